//! Steps of a chore: a command whose output streams through, with its time.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What became of a step.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The step's name.
    pub name: &'static str,
    /// Whether it succeeded.
    pub is_good: bool,
    /// How long it took.
    pub time: Duration,
    /// Its lines that the caller asked for, without colours.
    pub kept: Vec<String>,
}

/// Prints a step's headline.
pub fn announce(name: &str, detail: &str) {
    eprintln!("\n==> {name}: {detail}");
}

/// Runs a command with its output streamed to this process's own, keeping the lines that `keep` accepts.
pub fn run(name: &'static str, command: &mut Command, keep: fn(&str) -> bool) -> Result<Outcome> {
    announce(name, &describe(command));
    let start = Instant::now();
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", describe(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let errors = thread::spawn(move || stream(stderr, std::io::stderr(), keep));
    let mut kept = stream(stdout, std::io::stdout(), keep);
    kept.extend(errors.join().unwrap_or_default());
    let status = child.wait().with_context(|| format!("wait for {}", describe(command)))?;
    let outcome = Outcome { name, is_good: status.success(), time: start.elapsed(), kept };
    eprintln!(
        "    {name}: {} in {:.1} s",
        if outcome.is_good { "passed" } else { "FAILED" },
        outcome.time.as_secs_f64()
    );
    Ok(outcome)
}

/// Returns a command as one would type it.
pub fn describe(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    format!("`{}`", words.join(" "))
}

/// Copies lines as they come; a line that is not UTF-8 passes unharmed.
fn stream(from: Option<impl Read>, mut to: impl Write, keep: fn(&str) -> bool) -> Vec<String> {
    let mut kept = Vec::new();
    let Some(from) = from else { return kept };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // A closed terminal must not end the tests.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let text = plain(&String::from_utf8_lossy(&line));
        if keep(&text) {
            kept.push(text);
        }
        line.clear();
    }
    kept
}

/// Removes colours and surrounding blanks.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut is_escape = false;
    for character in line.chars() {
        match character {
            '\u{1b}' => is_escape = true,
            'm' if is_escape => is_escape = false,
            _ if is_escape => {}
            other => text.push(other),
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_removed() {
        assert_eq!(plain("\u{1b}[32;1m  Summary\u{1b}[0m [ 1s ] 2 tests\r\n"), "Summary [ 1s ] 2 tests");
    }

    #[test]
    fn lines_pass_and_some_are_kept() {
        let mut copy = Vec::new();
        let kept = stream(Some(&b"one\n\xfftwo\nthree"[..]), &mut copy, |line| line.starts_with('t'));
        assert_eq!(copy, b"one\n\xfftwo\nthree");
        assert_eq!(kept, ["three"]);
    }

    #[test]
    fn a_failing_command_is_told() {
        let outcome =
            run("probe", Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), |_| true).unwrap();
        assert!(!outcome.is_good);
        assert_eq!(outcome.kept, ["out", "err"]);
        assert!(run("probe", &mut Command::new("/no/such/program"), |_| true).is_err());
    }
}
