//! Keeps `$[[ … ]]` out of YAML's sight: each block becomes a word of the same number of bytes, so that places stay
//! right and a block may stand wherever a text may.

use std::sync::Arc;

use crate::syntax::{Node, Value};

/// Blocks in one file.
const BLOCKS_MAX: usize = 10_000;
/// First character of plane 15, which is for private use: block `n` starts with the `n`th from there.
const FIRST: u32 = 0xF0000;
/// What fills a block up to its number of bytes.
const FILLER: char = '_';

/// The texts of the blocks of one file, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    texts: Vec<String>,
}

/// A piece of a masked text.
pub(crate) enum Piece<'a> {
    /// Plain text.
    Text(&'a str),
    /// The text between `$[[` and `]]`.
    Block(&'a str),
}

/// Hides the blocks of a text; `None`: there are none, or the text itself holds such characters.
pub(crate) fn mask(text: &str) -> (Option<String>, Blocks) {
    let mut blocks = Blocks::default();
    if !text.contains("$[[") || text.chars().any(|c| u32::from(c) >= FIRST) {
        return (None, blocks);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("$[[") {
        let Some(end) = rest[start..].find("]]").map(|at| start + at + 2) else { break };
        let block = &rest[start..end];
        let marker = u32::try_from(blocks.texts.len()).ok().and_then(|n| char::from_u32(FIRST + n));
        let (Some(marker), true) = (marker, blocks.texts.len() < BLOCKS_MAX && !block.contains('\n')) else {
            out.push_str(&rest[..start + 3]);
            rest = &rest[start + 3..];
            continue;
        };
        out.push_str(&rest[..start]);
        out.push(marker);
        out.extend(std::iter::repeat_n(FILLER, block.len() - marker.len_utf8()));
        blocks.texts.push(block.to_owned());
        rest = &rest[end..];
    }
    out.push_str(rest);
    (Some(out), blocks)
}

impl Blocks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Cuts a masked text into its pieces.
    pub fn pieces<'a>(&'a self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, block)) = self.next(rest) {
            if at > 0 {
                pieces.push(Piece::Text(&rest[..at]));
            }
            pieces.push(Piece::Block(&block[3..block.len() - 2]));
            rest = &rest[at + block.len()..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest));
        }
        pieces
    }

    /// A value with its blocks written out again: a header is not interpolated.
    pub fn restored(&self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Text(text) if self.next(text).is_some() => Value::Text(self.written_out(text).into()),
            Value::List(items) => Value::List(Arc::new(items.iter().map(|item| self.restored(item)).collect())),
            Value::Map(map) => Value::Map(Arc::new(map.with_values(|entry| self.restored(&entry.value)))),
            other => other.clone(),
        };
        Node { value, span: node.span }
    }

    fn written_out(&self, text: &str) -> String {
        let pieces = self.pieces(text).into_iter().map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Block(inner) => format!("$[[{inner}]]"),
        });
        pieces.collect()
    }

    fn next(&self, text: &str) -> Option<(usize, &str)> {
        let (at, c) = text.char_indices().find(|(_, c)| u32::from(*c) >= FIRST)?;
        let block = self.texts.get((u32::from(c) - FIRST) as usize)?;
        (text.len() >= at + block.len()).then_some((at, block))
    }
}
