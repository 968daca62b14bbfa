//! The part of YAML that most pipeline files are written in, read without the general parser: block mappings and lists,
//! one-line scalars, one-line flow collections, literal block scalars, comments.
//!
//! Invariant: what is read here is read the same by [`super::compose`], places included, without a finding; all else,
//! whether it is right or wrong, is left to it.

use std::ops::Range;
use std::sync::Arc;

use super::{Entry, FileId, Map, Node, Null, Span, Value, resolve_with};

/// Levels of nesting; deeper files are left to the general parser, which has the bound that counts.
const DEPTH_MAX: usize = 50;
/// Values of one file, as with the depth.
const NODES_MAX: usize = 500_000;
/// Bytes of a key, as with the depth.
const KEY_BYTES_MAX: usize = 1_000;
/// Short texts that are kept once, by a number made of each.
const SHARED_TEXTS: usize = 512;
/// Bytes of a text that is kept once.
const SHARED_BYTES_MAX: usize = 32;

/// The root of a text; `None`: the general parser has to read it.
pub(super) fn read(text: &str, file: FileId) -> Option<Node> {
    if !has_plain_characters(text) || text.len() >= u32::MAX as usize {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        line_start: 0,
        line: None,
        file,
        nodes: 0,
        shared: vec![None; SHARED_TEXTS],
        entries: Vec::new(),
        items: Vec::new(),
    };
    reader.next_line()?;
    let root = (reader.line? == 0).then(|| reader.block(0, 1))??;
    reader.line.is_none().then_some(root)
}

/// Whether nothing stands in it that only some readers of YAML take for a line's end, or refuse.
fn has_plain_characters(text: &str) -> bool {
    let controls = text.bytes().fold(false, |found, byte| found | (byte < b' ' && byte != b'\n') | (byte == 0x7f));
    let special =
        |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    !controls && (text.is_ascii() || !text.contains(special))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where the present line starts.
    line_start: usize,
    /// The indentation of the line that comes next, whose first character is at `at`; `None`: there is none.
    line: Option<usize>,
    file: FileId,
    nodes: usize,
    shared: Vec<Option<Arc<str>>>,
    /// Entries and items of the collections that are being read, the inner ones last: each gets room for just what it has.
    entries: Vec<Entry>,
    items: Vec<Node>,
}

impl<'a> Reader<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn ends_word(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    fn skip_blanks(&mut self) {
        while self.byte(self.at) == Some(b' ') {
            self.at += 1;
        }
    }

    /// The end of the line that holds a place.
    fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.text.as_bytes()[at..]).map_or(self.text.len(), |length| at + length)
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span { file: self.file, start: range.start as u32, end: range.end as u32 }
    }

    /// From a place to the end of its line: the mark of a block collection.
    fn first_line(&self, start: usize) -> Span {
        let line = self.text[start..self.line_end(start)].trim_end();
        self.span(start..start + line.len().max(1))
    }

    /// Goes from the start of a line to the next one that holds something.
    fn next_line(&mut self) -> Option<()> {
        loop {
            self.line_start = self.at;
            self.skip_blanks();
            match self.byte(self.at) {
                None => {
                    self.line = None;
                    return Some(());
                }
                Some(b'\n') => self.at += 1,
                Some(b'#') => self.at = (self.line_end(self.at) + 1).min(self.text.len()),
                Some(_) => break,
            }
        }
        let indent = self.at - self.line_start;
        let rest = &self.text[self.at..];
        self.line = Some(indent);
        // These part documents.
        (indent > 0 || !(rest.starts_with("---") || rest.starts_with("..."))).then_some(())
    }

    /// Goes over the rest of a line, which may hold a comment, to the next one.
    fn end_line(&mut self) -> Option<()> {
        let before = self.at;
        self.skip_blanks();
        match self.byte(self.at) {
            None | Some(b'\n') => {}
            Some(b'#') if self.at > before => self.at = self.line_end(self.at),
            Some(_) => return None,
        }
        self.at = (self.at + 1).min(self.text.len());
        self.next_line()
    }

    fn starts_item(&self) -> bool {
        self.byte(self.at) == Some(b'-') && self.ends_word(self.at + 1)
    }

    fn node(&mut self, value: Value, span: Span) -> Option<Node> {
        self.nodes += 1;
        (self.nodes <= NODES_MAX).then_some(Node { value, span })
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        let bytes = text.as_bytes();
        let [first, .., last] = bytes else { return text.into() };
        if bytes.len() > SHARED_BYTES_MAX {
            return text.into();
        }
        let middle = bytes[bytes.len() / 2];
        let mixed = usize::from(*first) * 31 + usize::from(*last) * 7 + usize::from(middle) * 113 + bytes.len();
        let slot = &mut self.shared[mixed % SHARED_TEXTS];
        match slot {
            Some(known) if **known == *text => known.clone(),
            _ => slot.insert(text.into()).clone(),
        }
    }

    fn block(&mut self, column: usize, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        if self.starts_item() { self.list(column, depth) } else { self.map(column, depth) }
    }

    fn map(&mut self, column: usize, depth: usize) -> Option<Node> {
        let (start, first) = (self.at, self.entries.len());
        loop {
            let key = self.key()?;
            let (key_span, value_at) = (self.span(key.span), key.next);
            let key = self.shared(&self.text[key.text]);
            self.at = value_at;
            let value = self.value(column, depth)?;
            self.entries.push(Entry { key, key_span, value });
            match self.line {
                Some(indent) if indent > column || indent == column && self.starts_item() => return None,
                Some(indent) if indent == column => {}
                _ => break,
            }
        }
        let map = self.map_since(first)?;
        self.node(map, self.first_line(start))
    }

    /// What stands behind a key: on its line, or on the lines below.
    fn value(&mut self, column: usize, depth: usize) -> Option<Node> {
        let behind = self.at;
        self.skip_blanks();
        if !matches!(self.byte(self.at), None | Some(b'\n' | b'#')) {
            return self.inline(column, depth);
        }
        self.at = behind;
        self.end_line()?;
        match self.line {
            Some(indent) if indent > column => self.block(indent, depth + 1),
            Some(indent) if indent == column && self.starts_item() => {
                // Its place is that of its first item, as the general parser has it.
                let dash = self.at;
                self.at += 1;
                self.skip_blanks();
                let start = std::mem::replace(&mut self.at, dash);
                let list = self.list(indent, depth + 1)?;
                Some(Node { span: self.first_line(start), ..list })
            }
            _ => self.node(Value::Null(Null::Empty), self.span(behind - 1..behind - 1)),
        }
    }

    fn list(&mut self, column: usize, depth: usize) -> Option<Node> {
        let (start, first) = (self.at, self.items.len());
        loop {
            self.at += 1;
            self.skip_blanks();
            if self.starts_item() || matches!(self.byte(self.at), None | Some(b'\n' | b'#')) {
                return None;
            }
            let item = match self.key() {
                Some(_) if depth >= DEPTH_MAX => return None,
                Some(_) => self.map(self.at - self.line_start, depth + 1)?,
                None => self.inline(column, depth)?,
            };
            self.items.push(item);
            match self.line {
                Some(indent) if indent > column => return None,
                Some(indent) if indent == column && self.starts_item() => {}
                _ => break,
            }
        }
        let list = self.list_since(first);
        self.node(list, self.first_line(start))
    }

    fn map_since(&mut self, first: usize) -> Option<Value> {
        Some(Value::Map(Arc::new(Map::of_different(self.entries.split_off(first))?)))
    }

    fn list_since(&mut self, first: usize) -> Value {
        Value::List(Arc::new(self.items.split_off(first)))
    }

    /// A value that starts on the present line, below a collection in that column.
    fn inline(&mut self, column: usize, depth: usize) -> Option<Node> {
        let node = match self.byte(self.at)? {
            b'|' => return self.literal(column),
            b'[' | b'{' => self.flow(depth + 1)?,
            b'"' | b'\'' => self.quoted()?,
            _ => self.plain()?,
        };
        self.end_line()?;
        // A deeper line would go on with the scalar.
        self.line.is_none_or(|indent| indent <= column).then_some(node)
    }

    /// Whether a plain scalar may start there.
    fn starts_plain(&self) -> bool {
        match self.byte(self.at) {
            None | Some(b' ' | b'\n') => false,
            Some(b'-') => self.byte(self.at + 1).is_some_and(|next| next.is_ascii_alphanumeric()),
            Some(first) => !b"?:,[]{}#&*!|>'\"%@`".contains(&first),
        }
    }

    fn plain(&mut self) -> Option<Node> {
        if !self.starts_plain() {
            return None;
        }
        let start = self.at;
        let mut end = self.line_end(start);
        let bytes = self.text.as_bytes();
        for at in start..end {
            if bytes[at] == b':' && self.ends_word(at + 1) {
                return None;
            }
            if bytes[at] == b'#' && bytes[at - 1] == b' ' {
                end = at;
                break;
            }
        }
        let text = self.text[start..end].trim_end_matches(' ');
        self.scalar(text, start)
    }

    fn scalar(&mut self, text: &str, start: usize) -> Option<Node> {
        self.at = start + text.len();
        let value = resolve_with(text, |text| self.shared(text));
        self.node(value, self.span(start..start + text.len()))
    }

    /// The text between quotes on one line, and the place behind them; escapes are left to the general parser.
    fn between_quotes(&self) -> Option<(Range<usize>, usize)> {
        let quote = self.byte(self.at)?;
        let inner = &self.text.as_bytes()[self.at + 1..];
        let length = inner.iter().position(|byte| *byte == quote || matches!(byte, b'\\' | b'\n'))?;
        let end = self.at + 1 + length;
        // A backslash is a text's own between single quotes.
        let closes = inner[length] == quote && self.byte(end + 1) != Some(quote);
        closes.then_some((self.at + 1..end, end + 1))
    }

    fn quoted(&mut self) -> Option<Node> {
        let start = self.at;
        let (text, end) = self.between_quotes()?;
        let text = self.shared(&self.text[text]);
        self.at = end;
        self.node(Value::Text(text), self.span(start..end))
    }

    /// The key that starts at the present place, where one does.
    fn key(&self) -> Option<Key> {
        let start = self.at;
        let (text, end) = match self.byte(start)? {
            b'"' | b'\'' => self.between_quotes()?,
            _ => {
                let end = self.plain_key()?;
                (start..end, end)
            }
        };
        let follows = self.byte(end) == Some(b':') && self.ends_word(end + 1);
        let is_merge = &self.text[text.clone()] == "<<";
        (follows && !is_merge && end - start <= KEY_BYTES_MAX).then_some(Key { text, span: start..end, next: end + 1 })
    }

    fn plain_key(&self) -> Option<usize> {
        if !self.starts_plain() {
            return None;
        }
        let bytes = self.text.as_bytes();
        for at in self.at..bytes.len() {
            match bytes[at] {
                b'\n' => return None,
                b'#' if bytes[at - 1] == b' ' => return None,
                b':' if self.ends_word(at + 1) => return (bytes[at - 1] != b' ').then_some(at),
                _ => {}
            }
        }
        None
    }

    fn flow(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        let start = self.at;
        let is_map = self.byte(start)? == b'{';
        let (first_entry, first_item) = (self.entries.len(), self.items.len());
        self.at += 1;
        self.skip_blanks();
        if !self.closes_flow(is_map) {
            self.flow_parts(is_map, depth)?;
        }
        self.at += 1;
        let value = if is_map { self.map_since(first_entry)? } else { self.list_since(first_item) };
        self.node(value, self.span(start..self.at))
    }

    fn closes_flow(&self, is_map: bool) -> bool {
        self.byte(self.at) == Some(if is_map { b'}' } else { b']' })
    }

    /// All entries or items up to the closing bracket; there is at least one.
    fn flow_parts(&mut self, is_map: bool, depth: usize) -> Option<()> {
        loop {
            if is_map {
                let entry = self.flow_entry(depth)?;
                self.entries.push(entry);
            } else {
                let item = self.flow_value(depth)?;
                self.items.push(item);
            }
            self.skip_blanks();
            if self.closes_flow(is_map) {
                return Some(());
            }
            if self.byte(self.at) != Some(b',') {
                return None;
            }
            self.at += 1;
            self.skip_blanks();
        }
    }

    fn flow_entry(&mut self, depth: usize) -> Option<Entry> {
        let start = self.at;
        let (text, end) = match self.byte(start)? {
            b'"' | b'\'' => self.between_quotes()?,
            _ => {
                let end = self.flow_plain_end()?;
                (start..end, end)
            }
        };
        let follows = self.byte(end) == Some(b':') && self.byte(end + 1) == Some(b' ');
        if !follows || &self.text[text.clone()] == "<<" || end - start > KEY_BYTES_MAX {
            return None;
        }
        let key = self.shared(&self.text[text]);
        self.at = end + 1;
        self.skip_blanks();
        Some(Entry { key, key_span: self.span(start..end), value: self.flow_value(depth)? })
    }

    fn flow_value(&mut self, depth: usize) -> Option<Node> {
        match self.byte(self.at)? {
            b'[' | b'{' => self.flow(depth + 1),
            b'"' | b'\'' => {
                let node = self.quoted()?;
                // `"a": b` in a list is a mapping of its own.
                (self.byte(self.at) != Some(b':')).then_some(node)
            }
            _ => {
                let (start, end) = (self.at, self.flow_plain_end()?);
                if self.byte(end) == Some(b':') {
                    return None;
                }
                self.scalar(self.text[start..end].trim_end_matches(' '), start)
            }
        }
    }

    /// Where a plain scalar in a flow collection ends: before `,`, a bracket or `: `.
    fn flow_plain_end(&self) -> Option<usize> {
        if !self.starts_plain() {
            return None;
        }
        let bytes = self.text.as_bytes();
        for at in self.at..bytes.len() {
            match bytes[at] {
                b'\n' | b'[' | b'{' => return None,
                b'#' if bytes[at - 1] == b' ' => return None,
                b',' | b']' | b'}' => return Some(at),
                b':' => match self.byte(at + 1)? {
                    b' ' => return (bytes[at - 1] != b' ').then_some(at),
                    b'\n' | b',' | b'[' | b']' | b'{' | b'}' => return None,
                    _ => {}
                },
                _ => {}
            }
        }
        None
    }

    /// `|` or `|-` and the lines below, which are as deep as the first of them or deeper.
    fn literal(&mut self, column: usize) -> Option<Node> {
        let start = self.at;
        let header = &self.text[start..self.line_end(start)];
        let strips = match header {
            "|" => false,
            "|-" => true,
            _ => return None,
        };
        self.at = start + header.len() + 1;
        let (mut text, mut indent, mut blank_lines) = (String::new(), None, 0);
        let mut place = None;
        while self.at < self.text.len() {
            let end = self.line_end(self.at);
            let line = &self.text[self.at..end];
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if blanks == line.len() && indent.is_none_or(|indent| blanks <= indent) {
                // The first lines say how deep the text is.
                if indent.is_none() && blanks > 0 {
                    return None;
                }
                blank_lines += 1;
            } else {
                let indent = *indent.get_or_insert(blanks);
                place.get_or_insert(self.at + indent..end);
                if blanks < indent || indent <= column {
                    break;
                }
                text.extend(std::iter::repeat_n('\n', blank_lines));
                blank_lines = 0;
                text.push_str(&line[indent..]);
                text.push('\n');
            }
            if end == self.text.len() {
                return None;
            }
            self.at = end + 1;
        }
        let place = place.filter(|_| !text.is_empty())?;
        if strips {
            text.pop();
        }
        self.next_line()?;
        if self.line.is_some_and(|indent| indent > column) {
            return None;
        }
        self.node(Value::Text(text.into()), self.span(place))
    }
}

/// A key that stands at the present place.
struct Key {
    text: Range<usize>,
    span: Range<usize>,
    /// The place behind the colon.
    next: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;
    use crate::syntax::compose::compose_any;

    /// Whether it is read here; the general parser must read the same then.
    fn agrees(text: &str) -> bool {
        let Some(root) = read(text, 0) else { return false };
        let mut sink = crate::diagnostic::Sink::default();
        let documents = compose_any(text, 0, &mut sink).unwrap_or_else(|| panic!("only read here: {text:?}"));
        assert_eq!(documents.len(), 1, "{text:?}");
        assert_eq!(documents[0].root, root, "{text:?}");
        assert_eq!(sink.count(), 0, "{text:?}");
        true
    }

    #[test]
    fn what_pipelines_are_written_in() {
        for text in [
            "a: b\n",
            "a: b",
            "a:\nb: 1\n",
            "a:",
            "- a",
            "a: # c\n\nb: c # d\n# e\n",
            "a:\n- b\n- c: d\n  e: f\ng: h\n",
            "a:\n  - b: c\n  -   d: e\n      f:\n      - g\n",
            "a: [b, 'c', \"d\", 1.5, [e, {f: g}]]\nh: {}\ni: []\n",
            "a: {b: c, \"d\": [e], f: {g: yes}} # h\n",
            "a: |\n  b\n\n   c\nd: |-\n  e\n\n\nf: g\n",
            "a:\n  - |\n    b\n  - |-\n    c\n",
            "\"a b\": 'c d'\n'e': \"f # g: h\"\n",
            "é: ü # ö\nb: 🦀\n",
            "a: -1\nb: -x\nc: ~\nd: 0755\ne: $F == \"g\"\nh: http://i\n",
            "a: b:c\nd: e#f\ng:h: i\n",
        ] {
            assert!(agrees(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_left_to_the_general_parser() {
        for text in [
            "",
            "a",
            " a: b",
            "a: b\n c: d\n",
            "a: b\n  c\n",
            "a: &b c\n",
            "a: *b\n",
            "a: !b c\n",
            "a: b\na: c\n",
            "<<: {a: b}\n",
            "---\na: b\n",
            "a: b\n...\n",
            "a: b: c\n",
            "a:\tb\n",
            "a: b\r\n",
            "a: >\n  b\n",
            "a: |2\n  b\n",
            "a: \"b\\n\"\n",
            "a: 'b''c'\n",
            "a: [b,\n c]\n",
            "a: [b: c]\n",
            "a: {b}\n",
            "a: [b, ]\n",
            "a:\n  b\n",
            "- - a\n",
            "? a\n",
            "a: @b\n",
            "a: 'b' c\n",
            "a: b\u{85}c\n",
            "\u{feff}a: b\n",
            "a: |\n  b",
        ] {
            assert!(!agrees(text), "{text:?}");
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "a", "b", "c d", "key", ":", ": ", ":", " ", "- ", "-", "#", " # c", "\"e\"", "'f'", "\"", "'", "[", "]",
            "{", "}", ", ", ",", "|", "|-", ">", "&x ", "*x", "!t ", "1", "~", "é", "$V", "<<", "?", "%", "..", "\\",
        ]);
        let indent = prop::sample::select(vec![0_usize, 0, 0, 1, 2, 2, 2, 3, 4, 4, 6]);
        let parts = prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat());
        let whole = prop::sample::select(vec![
            "a:",
            "b:",
            "c: d",
            "e: [f, g]",
            "h: {i: j, k: [l]}",
            "- m",
            "- n: o",
            "- p:",
            "q: |",
            "r: |-",
            "- |",
            "- \"s: t\"",
            "'u': v",
            "# w",
            "",
            "x y",
            "-",
        ]);
        let text = prop_oneof![1 => parts, 4 => whole.prop_map(str::to_owned)];
        (indent, text).prop_map(|(indent, text)| format!("{}{text}", " ".repeat(indent)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn made_up_texts_are_read_the_same(lines in prop::collection::vec(line(), 1..9), ends in any::<bool>()) {
            let text = lines.join("\n") + if ends { "\n" } else { "" };
            agrees(&text);
        }
    }
}
