//! CPU time of compiling a pipeline of 2,000 jobs, the language alone: `cargo run --release --example pipeline_list`.

use std::io::Write as _;
use std::time::Instant;

#[path = "../src/listing/file.rs"]
mod file;

use serin_lang::{Answer, Context, Driver, SourceFile};

/// Times that it is compiled, where the second argument says nothing else.
const ROUNDS: u32 = 40;

fn main() {
    let jobs = std::env::args().nth(1).and_then(|jobs| jobs.parse().ok()).unwrap_or(2_000);
    let rounds = std::env::args().nth(2).and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let entry = SourceFile::new(".gitlab-ci.yml", file::text(jobs));
    let context = Context {
        branch: Some("main".to_owned()),
        default_branch: "main".to_owned(),
        project: "group/project".to_owned(),
        sha: "0".repeat(40),
        ..Context::default()
    };
    let started = Instant::now();
    for _ in 0..rounds {
        let Ok(done) = Driver::new(&entry, &context).run(|_| Ok::<_, ()>(Answer::Missing(String::new()))) else {
            return;
        };
        assert_eq!(done.plan.map(|plan| plan.jobs.len()), Some(jobs), "{:?}", done.diagnostics);
    }
    let each = started.elapsed() / rounds;
    let _ = writeln!(std::io::stdout(), "{jobs} jobs, {} bytes: {each:?} each", entry.bytes.len());
}
