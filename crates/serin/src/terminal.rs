//! What people see: colours where there is a terminal, and one place that writes.

use std::io::{BufWriter, Stderr, Stdout, Write};
use std::sync::LazyLock;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Bold.
pub const BOLD: Style = Style::new().bold();
/// Faint.
pub const DIM: Style = Style::new().dimmed();
/// Good.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Bad.
pub const RED: Style = AnsiColor::Red.on_default();
/// Asks for attention.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Names and addresses.
pub const CYAN: Style = AnsiColor::Cyan.on_default();

/// Whether standard output and standard error show colours. Looked up once: a run of many jobs writes many lines.
static OUTPUT_COLOURS: LazyLock<ColorChoice> = LazyLock::new(|| AutoStream::choice(&std::io::stdout()));
static ERROR_COLOURS: LazyLock<ColorChoice> = LazyLock::new(|| AutoStream::choice(&std::io::stderr()));

/// Text in a style; the stream drops the codes where there is no terminal, or `NO_COLOR` is set.
#[must_use]
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes a line to standard output; a closed pipe ends the program's output silently.
pub fn line(text: &str) {
    // Nobody reads any more: nothing to tell, and nobody to tell it to.
    let _ = writeln!(stdout(), "{text}");
}

/// Writes a value as JSON to standard output, indented; a closed pipe ends the program's output silently.
///
/// # Errors
/// Where the value has no JSON form.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // Past the stream that drops colours: JSON has none, and looking for them would cost more than writing it.
    let mut out = BufWriter::new(std::io::stdout().lock());
    match serde_json::to_writer_pretty(&mut out, value) {
        Err(error) if !error.is_io() => return Err(error.into()),
        _ => {}
    }
    let _ = writeln!(out).and_then(|()| out.flush());
    Ok(())
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Whether standard output shows colours.
pub fn shows_colours() -> bool {
    *OUTPUT_COLOURS != ColorChoice::Never
}

fn stdout() -> AutoStream<Stdout> {
    AutoStream::new(std::io::stdout(), *OUTPUT_COLOURS)
}

fn stderr() -> AutoStream<Stderr> {
    AutoStream::new(std::io::stderr(), *ERROR_COLOURS)
}

/// Writes an error with what caused it.
pub fn error(error: &anyhow::Error) {
    note(&format!("{} {error}", styled(RED.bold(), "error:")));
    for cause in error.chain().skip(1) {
        note(&format!("  {} {cause}", styled(DIM, "because:")));
    }
}

/// Text from a file on one line: characters that could steer a terminal are replaced.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
