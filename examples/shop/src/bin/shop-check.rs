//! Integration tests against running nodes: `SERIN_TARGET_URLS` holds their addresses, separated by blanks.

use shop::client::{Answer, Client};
use std::process::ExitCode;
use std::time::Instant;

/// A check: its name, and what it does with a connection to the node.
type Check = (&'static str, fn(&mut Client) -> Result<(), String>);

const CHECKS: [Check; 8] = [
    ("is healthy", |client| {
        expect(client.get("/healthz"), 200, "ok")
    }),
    ("tells its version", |client| {
        expect(client.get("/version"), 200, "\"version\"")
    }),
    ("shows the goods", |client| {
        expect(client.get("/"), 200, "<li>")
    }),
    ("finds goods by words", |client| {
        expect(client.get("/api/products?q=oak+chair"), 200, "Chair of oak")
    }),
    ("knows similar goods", similar),
    ("knows how goods sell", |client| {
        expect(
            client.get("/api/products/5/sales?days=7"),
            200,
            "\"pieces\"",
        )
    }),
    ("prices a cart", cart),
    ("refuses what is wrong", wrong),
];

fn main() -> ExitCode {
    let urls = std::env::var("SERIN_TARGET_URLS").unwrap_or_default();
    let urls: Vec<&str> = urls.split_whitespace().collect();
    if urls.is_empty() {
        eprintln!(
            "SERIN_TARGET_URLS is empty; set it to the nodes' addresses, such as http://127.0.0.1:8080"
        );
        return ExitCode::from(2);
    }
    let failed = urls.iter().map(|url| check(url)).sum::<usize>();
    println!(
        "{} nodes, {} checks each, {failed} failed",
        urls.len(),
        CHECKS.len()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs every check against one node; gives the number of failed ones.
fn check(url: &str) -> usize {
    let began = Instant::now();
    let mut client = match Client::connect(url) {
        Ok(client) => client,
        Err(error) => {
            println!("FAIL {url}: cannot connect: {error}");
            return CHECKS.len();
        }
    };
    let mut failed = 0;
    for (name, check) in CHECKS {
        if let Err(reason) = check(&mut client) {
            println!("FAIL {url} {name}: {reason}");
            failed += 1;
        }
    }
    println!(
        "{} {url} in {} ms",
        if failed == 0 { "ok  " } else { "FAIL" },
        began.elapsed().as_millis()
    );
    failed
}

fn expect(answer: std::io::Result<Answer>, status: u16, text: &str) -> Result<(), String> {
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != status {
        return Err(format!(
            "answered {}, not {status}: {}",
            answer.status, answer.body
        ));
    }
    if !answer.body.contains(text) {
        return Err(format!("answered without `{text}`: {}", answer.body));
    }
    Ok(())
}

fn similar(client: &mut Client) -> Result<(), String> {
    for id in [1, 120, 240] {
        expect(
            client.get(&format!("/api/products/{id}/similar")),
            200,
            "\"name\"",
        )?;
    }
    Ok(())
}

fn cart(client: &mut Client) -> Result<(), String> {
    let body = r#"{"items":[{"id":1,"pieces":1}]}"#;
    expect(
        client.post("/api/cart", body),
        200,
        r#""lines":1,"goods":"88.19""#,
    )
}

fn wrong(client: &mut Client) -> Result<(), String> {
    expect(client.get("/api/products/0"), 404, "no such product")?;
    expect(client.get("/api/cart"), 405, "error")?;
    expect(client.post("/api/cart", "{}"), 422, "empty")
}
