//! Rows with aligned columns.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::terminal::{BOLD, plain, styled};

/// Columns between two columns of text.
const GAP: usize = 2;

/// A text and its style.
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text as it comes.
    pub fn new(text: &str) -> Self {
        Self::styled(text, Style::new())
    }

    /// A text in a style.
    pub fn styled(text: &str, style: Style) -> Self {
        Self { text: plain(text), style }
    }
}

/// Draws rows below a head; the last column is as wide as its text.
pub fn draw(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let head: Vec<Cell> = head.iter().map(|title| Cell::styled(title, BOLD)).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().filter_map(|row| Some(row.get(column)?.text.width())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let titled = head.iter().any(|cell| !cell.text.is_empty());
    let lines = all().skip(usize::from(!titled)).map(|row| line(row, &widths));
    lines.collect::<Vec<_>>().join("\n")
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
    for (at, (cell, width)) in row.iter().zip(widths).take(filled).enumerate() {
        line.push_str(&styled(cell.style, &cell.text));
        if at + 1 < filled {
            line.push_str(&" ".repeat(width - cell.text.width() + GAP));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Cell, draw};

    #[test]
    fn columns_are_aligned_by_width() {
        let rows = [vec![Cell::new("测试"), Cell::new("a")], vec![Cell::new("x"), Cell::new("\u{1b}[2J")]];
        let drawn = anstream::adapter::strip_str(&draw(&["NAME", "N"], &rows)).to_string();
        assert_eq!(drawn, "NAME  N\n测试  a\nx     \u{fffd}[2J");
    }
}
