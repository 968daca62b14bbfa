//! Hides secret values in a stream, also where chunks divide them.

use std::mem;

/// What stands in place of a secret.
const MASK: &[u8] = b"[MASKED]";
/// Bytes of one secret that are compared at a time; longer ones are hidden piece by piece.
const PIECE_BYTES_MAX: usize = 4_096;
/// Bytes of a line of a secret of several lines from which on it is hidden by itself.
const LINE_BYTES_MIN: usize = 8;

/// Replaces secrets by `[MASKED]`; holds back no more than the longest secret.
#[derive(Debug)]
pub struct Masker {
    /// The longest first.
    secrets: Vec<Vec<u8>>,
    starts: [bool; 256],
    /// The beginning of what may become a secret.
    held: Vec<u8>,
}

impl Masker {
    /// Hides those values; empty ones are none.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets: Vec<Vec<u8>> = values.into_iter().flat_map(pieces).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        let mut starts = [false; 256];
        for first in secrets.iter().filter_map(|secret| secret.first()) {
            starts[usize::from(*first)] = true;
        }
        Self { secrets, starts, held: Vec::new() }
    }

    /// Takes the next bytes and appends what can be shown to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.secrets.is_empty() {
            out.extend(chunk);
            return;
        }
        let mut text = mem::take(&mut self.held);
        text.extend(chunk);
        let shown = self.mask(&text, Rest::MayFollow, out);
        text.drain(..shown);
        self.held = text;
    }

    /// Appends what was held back: nothing follows.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let text = mem::take(&mut self.held);
        self.mask(&text, Rest::Ended, out);
    }

    /// Returns how many bytes of `text` are dealt with.
    fn mask(&self, text: &[u8], rest: Rest, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some(skipped) = text[at..].iter().position(|byte| self.starts[usize::from(*byte)]) {
            out.extend(&text[at..at + skipped]);
            at += skipped;
            match self.look(&text[at..], rest) {
                Found::Secret(length) => {
                    out.extend(MASK);
                    at += length;
                }
                Found::Perhaps => return at,
                Found::Nothing => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        out.extend(&text[at..]);
        text.len()
    }

    fn look(&self, text: &[u8], rest: Rest) -> Found {
        for secret in &self.secrets {
            if text.starts_with(secret) {
                return Found::Secret(secret.len());
            }
            if rest == Rest::MayFollow && secret.starts_with(text) {
                return Found::Perhaps;
            }
        }
        Found::Nothing
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    MayFollow,
    Ended,
}

enum Found {
    Secret(usize),
    Perhaps,
    Nothing,
}

/// A value, and its lines where it has several, in pieces of bounded length.
fn pieces(value: &str) -> Vec<Vec<u8>> {
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES_MIN && *line != value);
    std::iter::once(value)
        .chain(lines)
        .flat_map(|text| text.as_bytes().chunks(PIECE_BYTES_MAX))
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Masker;

    fn masked(secrets: &[&str], chunks: &[&[u8]]) -> String {
        let mut masker = Masker::new(secrets.iter().copied());
        let mut out = Vec::new();
        chunks.iter().for_each(|chunk| masker.push(chunk, &mut out));
        masker.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_way_to_divide_a_text_gives_the_same() {
        let text = b"a secret-12 secret-123 secret secretsecret-12! secret-1";
        let expected = "a [MASKED] [MASKED] secret secret[MASKED]! secret-1";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let chunks = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(masked(&["secret-12", "secret-123", ""], &chunks), expected);
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(masked(&["secret-12", "secret-123"], &bytes), expected);
    }

    #[test]
    fn lines_of_a_secret_are_hidden_by_themselves() {
        let key = "-----BEGIN-----\nabcdefghij\nx\n";
        assert_eq!(masked(&[key], &[b"abcdefghij x\n", key.as_bytes()]), "[MASKED] x\n[MASKED]");
    }

    #[test]
    fn long_secrets_are_hidden_in_pieces() {
        let long: String = (0..10_000).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
        let shown = masked(&[&long], &[b"<", long.as_bytes(), b">"]);
        assert_eq!(shown, "<[MASKED][MASKED][MASKED]>");
    }

    #[test]
    fn without_secrets_nothing_is_held() {
        let mut out = Vec::new();
        Masker::new([]).push(b"abc", &mut out);
        assert_eq!(out, b"abc");
    }
}
