//! The pipeline as a picture: a column for each stage, a curve for each need.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::{Drawing, mark};
use crate::terminal::plain;

const MARGIN: usize = 16;
const ROW: usize = 36;
const BOX: usize = 26;
const GAP: usize = 64;
const HEAD: usize = 40;
/// Width of a column of text, in the size that is set below.
const CHARACTER: usize = 8;

const STYLE: &str = "text{font:13px ui-monospace,monospace;fill:#1f2328}.stage{font-weight:700}\
rect{fill:#f6f8fa;stroke:#8c959f}path{fill:none;stroke:#57606a}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#161b22;stroke:#6e7681}path{stroke:#8b949e}}";

/// Draws the pipeline.
pub fn draw(drawing: &Drawing<'_>) -> String {
    let mut columns = Vec::new();
    let mut places = vec![(0, 0, 0); drawing.plan.jobs.len()];
    let mut left = MARGIN;
    for (stage, jobs) in &drawing.stages {
        let width = jobs.iter().map(|job| title(drawing, *job).width() + 2).max().unwrap_or(0).max(stage.width());
        let width = width * CHARACTER;
        for (row, job) in jobs.iter().enumerate() {
            places[*job] = (left, HEAD + row * ROW, width);
        }
        columns.push((left, *stage));
        left += width + GAP;
    }
    let rows = drawing.stages.iter().map(|(_, jobs)| jobs.len()).max().unwrap_or(0);
    let (width, height) = (left.saturating_sub(GAP) + MARGIN, HEAD + rows * ROW + MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\"><title>pipeline</title><style>{STYLE}</style>\n"
    );
    for (from, to) in &drawing.edges {
        curve(&mut out, places[*from], places[*to]);
    }
    for (left, stage) in columns {
        let _ = writeln!(out, "<text class=\"stage\" x=\"{left}\" y=\"24\">{}</text>", escape(stage));
    }
    for (job, (left, top, width)) in places.iter().enumerate() {
        let (x, y) = (left + CHARACTER, top + 17);
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{BOX}\" rx=\"5\"/>\
             <text x=\"{x}\" y=\"{y}\">{}</text>",
            escape(&title(drawing, job))
        );
    }
    out.push_str("</svg>");
    out
}

fn title(drawing: &Drawing<'_>, job: usize) -> String {
    let job = &drawing.plan.jobs[job];
    format!("{} {}", mark(job), plain(&job.name))
}

/// A curve from the right side of one box to the left side of another; in one column, around its left side.
fn curve(out: &mut String, from: (usize, usize, usize), to: (usize, usize, usize)) {
    let (start, end) = (from.1 + BOX / 2, to.1 + BOX / 2);
    let bend = GAP / 2;
    let _ = if from.0 == to.0 {
        let (x, out_of) = (from.0, from.0.saturating_sub(bend / 2));
        writeln!(out, "<path d=\"M{x} {start}C{out_of} {start} {out_of} {end} {x} {end}\"/>")
    } else {
        let (x, left) = (from.0 + from.2, to.0);
        let (one, two) = (x + bend, left.saturating_sub(bend));
        writeln!(out, "<path d=\"M{x} {start}C{one} {start} {two} {end} {left} {end}\"/>")
    };
}

fn escape(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
