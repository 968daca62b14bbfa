//! Events to nodes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput, Tag, options};

use super::{Entry, FileId, Map, Node, Null, Span, Value, resolve, subset};
use crate::diagnostic::Sink;

/// Levels of nesting in one file, aliases expanded.
pub(crate) const DEPTH_MAX: usize = 100;
/// Nodes that aliases and merge keys may add to one file.
const ALIAS_NODES_MAX: usize = 500_000;
/// Nodes of one file, aliases expanded.
const NODES_MAX: usize = 1_000_000;
/// Documents of one file: a header and the configuration.
const DOCUMENTS_MAX: usize = 2;

/// A document and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its root.
    pub root: Node,
}

/// Reads all documents of a text; what cannot be read is reported and ends the reading.
pub(crate) fn compose(text: &str, file: FileId, sink: &mut Sink) -> Option<Vec<Document>> {
    let Some(root) = subset::read(text, file) else { return compose_any(text, file, sink) };
    debug_assert!(is_read_the_same(&root, text, file), "{text:?}");
    Some(vec![Document { root }])
}

/// Whether the general parser reads the same, and finds nothing to tell.
fn is_read_the_same(root: &Node, text: &str, file: FileId) -> bool {
    let mut sink = Sink::default();
    let documents = compose_any(text, file, &mut sink);
    let same = documents.is_some_and(|all| matches!(&all[..], [one] if one.root == *root));
    same && sink.count() == 0
}

/// As [`compose`], by the general parser.
pub(super) fn compose_any(text: &str, file: FileId, sink: &mut Sink) -> Option<Vec<Document>> {
    let options = options! { emit_comments: false, simple_key_max_lookahead: KEY_CHARS_MAX };
    let mut composer = Composer {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        file,
        sink,
        anchors: BTreeMap::new(),
        nodes: 0,
        alias_nodes: 0,
    };
    composer.documents()
}

/// Characters of a key that is written without `?`.
const KEY_CHARS_MAX: usize = 1024;

/// A node with what it weighs.
#[derive(Clone)]
struct Weighed {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// The reading cannot go on; what is wrong has been reported.
struct Stop;

struct Composer<'a, 's> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    file: FileId,
    sink: &'s mut Sink,
    anchors: BTreeMap<usize, Weighed>,
    nodes: usize,
    alias_nodes: usize,
}

impl<'a> Composer<'a, '_> {
    fn documents(&mut self) -> Option<Vec<Document>> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next().ok()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) => {
                    if documents.len() == DOCUMENTS_MAX {
                        self.sink
                            .error(span, "a file holds at most two documents: a `spec` header and the configuration")
                            .hint("take the further `---` out");
                        return Some(documents);
                    }
                    self.anchors.clear();
                }
                Event::StreamEnd => return Some(documents),
                event => {
                    let root = self.node(event, span, 1).ok()?;
                    documents.push(Document { root: root.node });
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(span.start.byte_offset(), span.end.byte_offset());
                Ok((event, span))
            }
            Some(Err(error)) => {
                self.syntax_error(&error);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, self.span(None, None))),
        }
    }

    fn span(&self, start: Option<usize>, end: Option<usize>) -> Span {
        let clamp =
            |at: Option<usize>| u32::try_from(at.unwrap_or(self.text.len()).min(self.text.len())).unwrap_or(u32::MAX);
        let start = clamp(start);
        Span { file: self.file, start, end: clamp(end).max(start) }
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset();
        let span = self.span(at, at.map(|at| at + 1));
        let line_start = self.text[..span.start as usize].rfind('\n').map_or(0, |at| at + 1);
        let indent = self.text[line_start..].split(|c| c != ' ' && c != '\t').next().unwrap_or_default();
        if let Some(tab) = indent.find('\t') {
            let start = (line_start + tab) as u32;
            let span = Span { start, end: start + 1, ..span };
            self.sink.error(span, "a tab cannot indent YAML").hint("indent with blanks");
        } else if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            self.too_deep(span);
        } else {
            let message = format!("invalid YAML: {}", error.info());
            let found = self.sink.error(span, message);
            if let Some(hint) = syntax_hint(error.kind()) {
                found.hint(hint);
            }
        }
    }

    fn too_deep(&mut self, span: Span) {
        let message = format!("the YAML is nested more than {DEPTH_MAX} levels deep");
        self.sink.error(span, message).hint("flatten it, or look for an alias that holds itself");
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Weighed, Stop> {
        if depth > DEPTH_MAX {
            self.too_deep(span);
            return Err(Stop);
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            self.sink.error(span, format!("the file holds more than {NODES_MAX} values"));
            return Err(Stop);
        }
        let (weighed, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.tight(span, style);
                let value = self.scalar(text, style, tag.as_deref(), span);
                (Weighed { node: Node { value, span }, nodes: 1, depth: 1 }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(span, tag.as_deref(), depth)?, anchor),
            Event::MappingStart(_, anchor, tag) => (self.map(span, tag.as_deref(), depth)?, anchor),
            Event::Alias(id) => return self.alias(id, span, depth),
            _ => (Weighed { node: Node { value: Value::Null(Null::Empty), span }, nodes: 1, depth: 1 }, 0),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, weighed.clone());
        }
        Ok(weighed)
    }

    /// A block scalar's span ends behind the last line; only its first line is worth marking.
    fn tight(&self, span: Span, style: ScalarStyle) -> Span {
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return span;
        }
        let text = &self.text[span.start as usize..span.end as usize];
        let end = span.start + text.find('\n').unwrap_or(text.len()) as u32;
        Span { end, ..span }
    }

    fn scalar(&mut self, text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        match tag.and_then(Tag::core_suffix) {
            Some("str") => return Value::Text(text.into()),
            Some(_) => return resolve(&text),
            None => {}
        }
        if let Some(tag) = tag.filter(|tag| !is_non_specific(tag)) {
            self.unknown_tag(tag, span);
        }
        if tag.is_none() && style == ScalarStyle::Plain && span.start == span.end {
            return Value::Null(Null::Empty);
        }
        let quoted = style != ScalarStyle::Plain || tag.is_some_and(is_non_specific);
        if quoted { Value::Text(text.into()) } else { resolve(&text) }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span) {
        let message = format!("unknown tag `{}`", tag.original());
        self.sink.error(span, message).hint("`!reference [job, keyword]` is the only tag");
    }

    fn list(&mut self, start: Span, tag: Option<&Tag>, depth: usize) -> Result<Weighed, Stop> {
        let (mut items, mut nodes, mut deepest) = (Vec::new(), 1, 0);
        let end = loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break span;
            }
            let item = self.node(event, span, depth + 1)?;
            nodes += item.nodes;
            deepest = deepest.max(item.depth);
            items.push(item.node);
        };
        let span = self.first_line(start, end);
        let items = Arc::new(items);
        let value = match tag {
            Some(tag) if tag.original() == "!reference" => Value::Reference(items),
            Some(tag) if tag.core_suffix().is_none() && !is_non_specific(tag) => {
                self.unknown_tag(tag, span);
                Value::List(items)
            }
            _ => Value::List(items),
        };
        Ok(Weighed { node: Node { value, span }, nodes, depth: deepest + 1 })
    }

    fn map(&mut self, start: Span, tag: Option<&Tag>, depth: usize) -> Result<Weighed, Stop> {
        let (mut map, mut nodes, mut deepest) = (Map::default(), 1, 0);
        let mut merges = Vec::new();
        let end = loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break key_span;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node_key(event, key_span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            nodes += value.nodes + 1;
            let levels = if merge { value.depth.saturating_sub(1) } else { value.depth };
            deepest = deepest.max(levels);
            if merge {
                merges.push((key_span, value.node));
                continue;
            }
            self.entry(&mut map, key, key_span, value.node);
        };
        // Of several `<<` the last wins, as a key does that is written twice.
        let mut merged = Map::default();
        for (span, source) in merges {
            let mut one = Map::default();
            nodes += self.merge(&mut one, &source, span)?;
            for entry in one.iter() {
                merged.set(entry.clone());
            }
        }
        for entry in merged.iter().filter(|entry| !map.contains(&entry.key)).cloned().collect::<Vec<_>>() {
            map.set(entry);
        }
        let span = self.first_line(start, end);
        if let Some(tag) = tag.filter(|tag| tag.core_suffix().is_none() && !is_non_specific(tag)) {
            self.unknown_tag(tag, span);
        }
        Ok(Weighed { node: Node { value: Value::Map(Arc::new(map)), span }, nodes, depth: deepest + 1 })
    }

    fn entry(&mut self, map: &mut Map, key: Arc<str>, key_span: Span, value: Node) {
        let entry = Entry { key, key_span, value };
        let name = entry.key.clone();
        if let Some(earlier) = map.set(entry) {
            self.sink
                .warning(key_span, format!("the key `{name}` is written twice; the last one counts"))
                .related(earlier.key_span, "first written")
                .hint("take one of them out");
        }
    }

    fn node_key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Arc<str>, Stop> {
        if let Event::Scalar(text, _, anchor, _) = &event {
            let key: Arc<str> = text.as_ref().into();
            if *anchor != 0 {
                let node = Node::text(key.clone(), span);
                self.anchors.insert(*anchor, Weighed { node, nodes: 1, depth: 1 });
            }
            return Ok(key);
        }
        let key = self.node(event, span, depth)?;
        match key.node.scalar_text() {
            Some(text) => Ok(text.into()),
            None => {
                let message = format!("a key must be a text, not {}", key.node.kind());
                self.sink.error(span, message).hint("a text that starts with `{` or `[` needs quotes");
                Err(Stop)
            }
        }
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Weighed, Stop> {
        let Some(target) = self.anchors.get(&id).cloned() else {
            let name = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
            let message = format!("the alias `{name}` stands inside its own anchor");
            self.sink.error(span, message).hint("an alias can only repeat what is complete");
            return Err(Stop);
        };
        if depth + target.depth > DEPTH_MAX + 1 {
            self.too_deep(span);
            return Err(Stop);
        }
        self.spend(target.nodes, span)?;
        Ok(target)
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.alias_nodes = self.alias_nodes.saturating_add(nodes);
        if self.alias_nodes <= ALIAS_NODES_MAX {
            return Ok(());
        }
        self.sink
            .error(span, format!("the aliases of this file expand to more than {ALIAS_NODES_MAX} values"))
            .hint("this looks like an alias bomb; repeat less");
        Err(Stop)
    }

    /// Adds the keys of `<<` that the mapping does not have; the first of several sources wins.
    fn merge(&mut self, map: &mut Map, source: &Node, span: Span) -> Result<usize, Stop> {
        let mut added = 0;
        match &source.value {
            Value::Map(other) => {
                self.spend(other.len(), span)?;
                for entry in other.iter().filter(|entry| !map.contains(&entry.key)).cloned().collect::<Vec<_>>() {
                    map.set(entry);
                    added += 1;
                }
            }
            Value::List(items) => {
                for item in items.iter() {
                    added += self.merge(map, item, span)?;
                }
            }
            Value::Null(_) => {}
            _ => {
                let message = format!("`<<` merges a mapping or a list of mappings, not {}", source.kind());
                self.sink.error(span, message).hint("point it to an anchor of a mapping: `<<: *name`");
            }
        }
        Ok(added)
    }

    /// From the start of a collection to the end of its first line.
    fn first_line(&self, start: Span, end: Span) -> Span {
        let (from, to) = (start.start as usize, (end.end as usize).max(start.start as usize));
        let text = self.text.get(from..to).unwrap_or_default();
        let line = text.split('\n').next().unwrap_or_default().trim_end();
        Span { end: start.start + line.len().max(1) as u32, ..start }
    }
}

fn is_non_specific(tag: &Tag) -> bool {
    tag.original() == "!"
}

fn syntax_hint(kind: &ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::UnknownAnchor => Some("anchors do not reach over files; use `extends` or `!reference`"),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            Some("a text that holds `: ` needs quotes; a key needs `:` behind it, on the same line")
        }
        ErrorKind::UnexpectedCharacter { .. } => Some("a text that starts with `@`, a backtick or `%` needs quotes"),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            Some("look at the indentation: keys of one mapping start in the same column")
        }
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::ExpectedFlowMappingSeparator => Some("look for a `[` or `{` above that is not closed"),
        ErrorKind::UnclosedQuotedScalar => Some("close the quotes"),
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            Some("close every `[` by `]` and every `{` by `}`; a text that starts with one of them needs quotes")
        }
        _ => None,
    }
}
