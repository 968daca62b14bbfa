//! Added lines that repeat others: equal runs of words and signs, blanks and line ends aside.
//!
//! Two places are called equal where at least [`WINDOW`] tokens in a row are the same; names are compared as they are
//! written. Every equality is looked at token by token, so that no accident of a sum can call lines repeated.

use std::collections::BTreeMap;

use crate::coverage::{ChangedLines, Ratio};
use crate::place::TreePath;

/// Tokens in a row that must be the same.
pub const WINDOW: usize = 60;
/// Tokens of all texts together; what is beyond is not looked at.
pub const TOKENS_MAX: usize = 4_000_000;
/// Places of one window that are compared with each other.
const PLACES_MAX: usize = 64;

struct Token<'t> {
    text: &'t str,
    line: u32,
    file: u32,
}

/// Added lines that repeat others, of all added lines that hold a token. `files` are the changed files as they are after
/// the change.
#[must_use]
pub fn duplicated(files: &BTreeMap<TreePath, String>, changed: &ChangedLines) -> Ratio {
    let mut tokens = Vec::new();
    for (file, text) in files.values().enumerate() {
        tokenize(text, u32::try_from(file).unwrap_or(u32::MAX), &mut tokens);
    }
    let repeated = repeated(&tokens);
    let mut lines: BTreeMap<(u32, u32), bool> = BTreeMap::new();
    for (token, is_repeated) in tokens.iter().zip(repeated) {
        let known = lines.entry((token.file, token.line)).or_default();
        *known |= is_repeated;
    }
    let mut ratio = Ratio::default();
    for (file, (path, _)) in files.iter().enumerate() {
        let Some(ranges) = changed.get(path) else { continue };
        let file = u32::try_from(file).unwrap_or(u32::MAX);
        for range in ranges {
            for (_, is_repeated) in lines.range((file, *range.start())..=(file, *range.end())) {
                ratio.total += 1;
                ratio.covered += u64::from(*is_repeated);
            }
        }
    }
    ratio
}

fn tokenize<'t>(text: &'t str, file: u32, tokens: &mut Vec<Token<'t>>) {
    for (line, number) in text.lines().zip(1..) {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            if tokens.len() == TOKENS_MAX {
                return;
            }
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = match is_word(first) {
                true => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
                false => first.len_utf8(),
            };
            let (token, behind) = rest.split_at(length);
            tokens.push(Token { text: token, line: number, file });
            rest = behind.trim_start();
        }
    }
}

/// For every token whether it lies in a run that is somewhere else too.
fn repeated(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut marks = vec![false; tokens.len()];
    let mut windows: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (start, sum) in sums(tokens) {
        let places = windows.entry(sum).or_default();
        let end = start + WINDOW;
        if tokens[start].file != tokens[end - 1].file {
            continue;
        }
        // A run that overlaps itself, as a long list of the same word does, repeats nothing.
        let same = |other: &usize| {
            *other + WINDOW <= start
                && tokens[*other..*other + WINDOW].iter().zip(&tokens[start..end]).all(|(a, b)| a.text == b.text)
        };
        if let Some(other) = places.iter().find(|other| same(other)).copied() {
            marks[start..end].fill(true);
            marks[other..other + WINDOW].fill(true);
        } else if places.len() < PLACES_MAX {
            places.push(start);
        }
    }
    marks
}

/// A sum of every window, rolling.
fn sums(tokens: &[Token<'_>]) -> Vec<(usize, u64)> {
    const BASE: u64 = 0x0000_0100_0000_01b3;
    let of = |token: &Token<'_>| {
        token.text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(BASE))
    };
    let first = (1..WINDOW).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut sum = 0_u64;
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if let Some(gone) = index.checked_sub(WINDOW) {
            sum = sum.wrapping_sub(of(&tokens[gone]).wrapping_mul(first));
        }
        sum = sum.wrapping_mul(BASE).wrapping_add(of(token));
        if index + 1 >= WINDOW {
            found.push((index + 1 - WINDOW, sum));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    /// Ten lines of 8 tokens, all different from those of another seed.
    fn block(seed: &str) -> String {
        (0..10).map(|n| format!("let {seed}{n} = call_{seed}(a{n}, {n});\n")).collect()
    }

    #[test]
    fn copied_code_is_found_with_other_blanks() {
        let copied = block("x").replace("let ", "    let   ");
        let files = BTreeMap::from([
            (path("a"), format!("{}{}", block("x"), block("y"))),
            (path("b"), format!("{}{copied}", block("z"))),
        ]);
        let changed = ChangedLines::from([(path("b"), vec![1..=20])]);
        assert_eq!(duplicated(&files, &changed), Ratio { covered: 10, total: 20 });
        let changed = ChangedLines::from([(path("a"), vec![9..=12])]);
        assert_eq!(duplicated(&files, &changed), Ratio { covered: 2, total: 4 });
    }

    #[test]
    fn short_and_self_overlapping_runs_are_no_copies() {
        let short: String = block("x").lines().take(3).map(|line| format!("{line}\n")).collect();
        let files = BTreeMap::from([
            (path("a"), format!("{short}{}", block("y"))),
            (path("b"), format!("{short}{}", block("z"))),
            (path("c"), "0, ".repeat(59)),
        ]);
        let changed =
            ChangedLines::from([(path("a"), vec![1..=99]), (path("b"), vec![1..=99]), (path("c"), vec![1..=9])]);
        assert_eq!(duplicated(&files, &changed).covered, 0);
        assert_eq!(duplicated(&BTreeMap::new(), &changed), Ratio::default());
    }
}
