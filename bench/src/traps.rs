//! Hostile pipeline files: each is refused, or read, within bounds.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::listing::repository;
use crate::once;

/// Longest answer, in time of the processor.
const TIME_MAX: Duration = Duration::from_millis(100);
/// Largest resident memory.
const MEMORY_BYTES_MAX: u64 = 100_000_000;
/// Bytes of the scalar that is far too long.
const SCALAR_BYTES: usize = 100_000_000;

/// Measures and prints; says whether the bounds hold.
pub fn measure(serin: &Path) -> Result<bool> {
    let mut holds = true;
    println!("trap                          exit       CPU      wall     memory");
    for (name, text, expected) in traps() {
        let folder = tempfile::Builder::new().prefix("serin-bench-").tempdir()?;
        std::fs::write(folder.path().join("loop.yml"), "include: [loop.yml]\n")?;
        repository(folder.path(), text)?;
        let run = once::run(folder.path(), serin, &["lint", "--offline"])?;
        let good = run.exit_code == expected && run.cpu <= TIME_MAX && run.memory_bytes <= MEMORY_BYTES_MAX;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{name:30} {:3} {:6.1} ms {:6.1} ms {:6.1} MB{}",
            run.exit_code,
            ms(run.cpu),
            ms(run.wall),
            run.memory_bytes as f64 / 1e6,
            if good { "" } else { "  over its bound" }
        );
        holds &= good;
    }
    Ok(holds)
}

/// Name, file, and the exit code of `serin lint`.
fn traps() -> Vec<(&'static str, Vec<u8>, i32)> {
    let text = |text: String| text.into_bytes();
    let job = "job: {script: echo}\n";
    let many: Vec<String> = (0..10_000).map(|at| format!("f{at}.yml")).collect();
    let matrix: Vec<String> = ('A'..='F').map(|key| format!("{key}: [0,1,2,3,4,5,6,7,8,9]")).collect();
    let pattern = "rules: [{if: '$A =~ /((a{1000}){1000}){1000}/'}]";
    let mut huge = b"job: {script: echo, x: ".to_vec();
    huge.resize(SCALAR_BYTES, b'a');
    vec![
        ("aliases that expand 10^12 times", text(aliases() + job), 1),
        ("depth 10,000, flow", text("[".repeat(10_000)), 1),
        (
            "depth 10,000, block",
            text((0..10_000).fold(String::new(), |all, at| all + &" ".repeat(at % 1_900) + "a:\n")),
            1,
        ),
        ("a merge key in itself", text("a: &a\n  <<: *a\n  script: echo\n".to_owned()), 1),
        ("3,000 merge keys in a chain", text(merges() + job), 1),
        ("an include loop", text(format!("include: [loop.yml]\n{job}")), 1),
        ("10,000 includes", text(format!("include: [{}]\n{job}", many.join(", "))), 1),
        ("a scalar of 100 MB", huge, 1),
        ("a matrix of 10^6", text(format!("job: {{script: x, parallel: {{matrix: [{{{}}}]}}}}", matrix.join(", "))), 1),
        ("a pattern of 10^9 states", text(format!("job: {{script: x, {pattern}}}")), 1),
        (
            "a pattern that backtracks",
            text("job: {script: x, rules: [{if: '$CI_COMMIT_BRANCH =~ /^(a+)+$/'}]}".to_owned()),
            0,
        ),
        ("bytes that are no UTF-8", b"job: {script: \xff}".to_vec(), 1),
        ("a tab as indentation", text("job:\n\tscript: echo\n".to_owned()), 1),
    ]
}

fn aliases() -> String {
    let mut text = String::from(".a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for at in 1..12 {
        let below = vec![format!("*a{}", at - 1); 10].join(", ");
        text.push_str(&format!(".a{at}: &a{at} [{below}]\n"));
    }
    text
}

fn merges() -> String {
    let mut text = String::from(".m0: &m0 {k0: 1}\n");
    for at in 1..3_000 {
        text.push_str(&format!(".m{at}: &m{at} {{<<: *m{}, k{at}: 1}}\n", at - 1));
    }
    text
}
