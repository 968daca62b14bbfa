//! Findings with file, line and column, and how they are drawn.

mod sink;

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::SourceFile;
pub(crate) use sink::{Files, Finding, Sink};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// Legal, and surely not meant.
    Warning,
}

/// A place in a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Path of the file as it was asked for.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a lower-case fragment with the user's words in backticks.
    pub message: String,
    /// Path of the file as it was asked for.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The marked bytes of the file's text (after a byte order mark).
    pub span: Range<usize>,
    /// What would be right.
    pub hint: Option<String>,
    /// Where the file was included, innermost first.
    pub chain: Vec<Location>,
    /// Further places with a word on each.
    pub related: Vec<(Location, String)>,
}

/// Whether drawn text holds colour codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// No codes.
    Plain,
    /// ANSI codes.
    Ansi,
}

/// Draws findings with their source lines; `sources` holds the files that they name.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &[SourceFile], color: Color) -> String {
    let renderer = match color {
        Color::Plain => Renderer::plain(),
        Color::Ansi => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii);
    let mut texts = BTreeMap::new();
    for source in sources.iter().filter(|source| diagnostics.iter().any(|found| found.file == source.path)) {
        texts.entry(source.path.as_str()).or_insert_with(|| source.text());
    }
    let drawn: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| draw(diagnostic, texts.get(diagnostic.file.as_str()).map(|text| &**text), &renderer))
        .collect();
    drawn.join("\n\n")
}

fn draw(diagnostic: &Diagnostic, text: Option<&str>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(clean(&diagnostic.message));
    let mut group = match text {
        Some(text) => {
            let (window, line_start, span) = window(text, diagnostic.line as usize, &diagnostic.span);
            let snippet = Snippet::source(window.to_owned())
                .line_start(line_start)
                .path(clean(&diagnostic.file))
                .annotation(AnnotationKind::Primary.span(span));
            title.element(snippet)
        }
        None => Group::with_title(title)
            .element(Level::NOTE.message(format!("at {}:{}:{}", diagnostic.file, diagnostic.line, diagnostic.column))),
    };
    for (place, word) in &diagnostic.related {
        group = group.element(Level::NOTE.message(format!("{} at {}", clean(word), show(place))));
    }
    for place in &diagnostic.chain {
        group = group.element(Level::NOTE.message(format!("included from {}", show(place))));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(clean(hint)));
    }
    renderer.render(&[group])
}

fn show(place: &Location) -> String {
    format!("{}:{}:{}", clean(&place.file), place.line, place.column)
}

/// Lines around a span that are drawn, so that a 2 MB file costs no more than a small one.
const LINES_AROUND: usize = 2;
/// Bytes of one drawn line.
const LINE_BYTES_MAX: usize = 400;

fn window<'a>(text: &'a str, line: usize, span: &Range<usize>) -> (&'a str, usize, Range<usize>) {
    let start = floor(text, span.start.min(text.len()));
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = floor(text, span.end.clamp(start, line_end));
    let mut from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_start = from;
    for _ in 0..LINES_AROUND {
        if from == 0 {
            break;
        }
        let before = text[..from - 1].rfind('\n').map_or(0, |at| at + 1);
        if line_start - before > LINE_BYTES_MAX {
            break;
        }
        from = before;
    }
    if start - from > LINE_BYTES_MAX {
        from = floor(text, start - LINE_BYTES_MAX / 2);
    }
    let to = if line_end - from > 2 * LINE_BYTES_MAX { floor(text, (end + 40).min(line_end)) } else { line_end };
    let to = to.min(floor(text, start + 2 * LINE_BYTES_MAX)).max(start);
    let first_line = line.saturating_sub(text[from..start].matches('\n').count()).max(1);
    (&text[from..to], first_line, start - from..end.min(to) - from)
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Takes control characters out, so that a hostile file cannot steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
