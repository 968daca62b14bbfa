//! Captured logs: bounded, counted to the line.

use crate::world::{World, get, is_healthy, key, poll, spec, wait};
use serin_model::service::LogFormat;
use serin_platform::{NodeSpec, Platform};

const FLOOD_LINES: u64 = 300_000;
const LOG_BYTES_MAX: u64 = 9 * 1024 * 1024;

#[tokio::test]
async fn a_flood_is_counted_and_bounded() {
    let world = World::new();
    let seen = world.healthy("ok").await;
    let line = format!("say/{FLOOD_LINES}/{{%22level%22:%22warn%22,%22msg%22:%22{}%22}}", "x".repeat(60));
    get(seen.address, &format!("/{line}")).await;
    let after = poll(&world.platform, "a-1", |seen| seen.usage.log_lines >= FLOOD_LINES).await;
    assert_eq!((after.usage.log_lines, after.usage.log_warn, after.usage.log_error), (FLOOD_LINES, FLOOD_LINES, 0));
    let dir = world.path().join("nodes/1-test/a-1");
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    assert!(size("log") + size("log.1") < LOG_BYTES_MAX && size("log.1") > 0);
    assert_eq!(world.platform.logs(&key("a-1"), 100).await.unwrap().len(), 100);
}

async fn count(format: LogFormat, lines: &[(&str, u64)]) -> (u64, u64, u64) {
    let world = World::new();
    world.platform.apply(&NodeSpec { logs: format, ..spec("ok", 1) }).await.unwrap();
    let seen = wait(&world.platform, "a-1", is_healthy).await;
    for (line, times) in lines {
        let line = line.replace(' ', "%20").replace('"', "%22");
        get(seen.address, &format!("/say/{times}/{line}")).await;
    }
    let total = lines.iter().map(|(_, times)| times).sum();
    let seen = poll(&world.platform, "a-1", |seen| seen.usage.log_lines >= total).await;
    (seen.usage.log_lines, seen.usage.log_warn, seen.usage.log_error)
}

#[tokio::test]
async fn json_lines_are_counted_exactly() {
    let lines = [
        (r#"{"level":"info","msg":"error"}"#, 500),
        (r#"{"severity":"WARNING"}"#, 7),
        (r#"{"lvl":"error"}"#, 11),
        (r#"{"level":"fatal"}"#, 2),
    ];
    assert_eq!(count(LogFormat::Json, &lines).await, (520, 7, 13));
}

#[tokio::test]
async fn logfmt_lines_are_counted_exactly() {
    let lines = [("level=info msg=\"level=error\"", 500), ("ts=1 level=warn", 3), ("lvl=error msg=x", 5)];
    assert_eq!(count(LogFormat::Logfmt, &lines).await, (508, 3, 5));
}

#[tokio::test]
async fn text_lines_are_counted_exactly() {
    let lines = [("INFO no ERROR here", 500), ("12:00 WARN careful", 4), ("[ERROR] broken", 6), ("nothing", 10)];
    assert_eq!(count(LogFormat::Text, &lines).await, (520, 4, 6));
}

#[tokio::test]
async fn counters_begin_anew_with_the_process() {
    let world = World::new();
    let seen = world.healthy("ok").await;
    get(seen.address, "/say/3/{%22level%22:%22error%22}").await;
    poll(&world.platform, "a-1", |seen| seen.usage.log_error == 3).await;
    get(seen.address, "/crash").await;
    let after = wait(&world.platform, "a-1", |seen| seen.restarts == 1 && is_healthy(seen)).await;
    assert_eq!((after.usage.log_lines, after.usage.log_error), (0, 0));
}
