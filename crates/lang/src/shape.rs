//! What may stand where, as data: one table for checking, suggestions and editor schemas.
//!
//! A shape says what each kind of value (text, number, list, mapping …) must look like, so that a wrong value is
//! answered by what is right for its kind.

pub(crate) mod checks;
pub(crate) mod include;
pub(crate) mod job;
pub(crate) mod root;
pub(crate) mod runner;

use std::sync::Arc;

use crate::diagnostic::{Finding, Severity, Sink};
use crate::suggest;
use crate::syntax::{Map, Node, Null, Span, Value};

/// What may stand at a place.
pub(crate) struct Shape {
    /// In words, for messages: `a list of texts`.
    pub what: &'static str,
    /// A text.
    pub text: Option<Text>,
    /// A whole number in that range.
    pub number: Option<(i64, i64)>,
    /// Any number.
    pub float: bool,
    /// A boolean.
    pub boolean: bool,
    /// A list.
    pub list: Option<List>,
    /// A mapping.
    pub map: Option<Object>,
    /// Whatever it is.
    pub any: bool,
    /// As an entry of a list: whether an empty one is passed over.
    pub skipped: bool,
    /// A further look.
    pub check: Option<fn(&Node, &mut Checker<'_>)>,
}

/// What a text may be.
#[derive(Clone, Copy)]
pub(crate) enum Text {
    /// Any.
    Any,
    /// Not empty.
    Filled,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Accepted by GitLab in some versions only.
    Doubtful,
}

/// What a list may hold.
pub(crate) struct List {
    /// Each item.
    pub item: &'static Shape,
    /// What to say of an empty list.
    pub empty: Empty,
    /// Most items.
    pub max: usize,
    /// Whether lists may nest, to be flattened.
    pub nested: Nested,
}

/// What to say of an empty list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// Nothing.
    Fine,
    /// A warning.
    Doubtful,
    /// An error.
    Wrong,
}

/// Whether lists may nest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nested {
    /// No.
    No,
    /// Yes, up to [`NESTING_MAX`] levels.
    Yes,
}

/// What a mapping may hold.
pub(crate) struct Object {
    /// Known keys.
    pub keys: &'static [(&'static str, &'static Shape)],
    /// Any other key; `None`: there are none.
    pub rest: Option<&'static Shape>,
    /// Keys that must be there.
    pub required: &'static [&'static str],
}

/// Levels of nested lists that are flattened.
pub(crate) const NESTING_MAX: usize = 10;

/// A shape that allows nothing; the base of all others.
pub(crate) const NOTHING: Shape = Shape {
    what: "nothing",
    text: None,
    number: None,
    float: false,
    boolean: false,
    list: None,
    map: None,
    any: false,
    skipped: false,
    check: None,
};
/// Whatever it is.
pub(crate) const ANYTHING: Shape = Shape { what: "anything", any: true, ..NOTHING };
/// Any text.
pub(crate) const TEXT: Shape = Shape { what: "a text", text: Some(Text::Any), ..NOTHING };
/// A text that is not empty.
pub(crate) const FILLED: Shape = Shape { what: "a text", text: Some(Text::Filled), ..NOTHING };
/// A boolean.
pub(crate) const BOOL: Shape = Shape { what: "`true` or `false`", boolean: true, ..NOTHING };
/// A list of texts.
pub(crate) const TEXTS: Shape = Shape { what: "a list of texts", ..list(&TEXT) };

/// A list of texts that should not be empty.
pub(crate) const SOME_TEXTS: Shape = Shape {
    what: "a list of texts",
    list: Some(List { item: &TEXT, empty: Empty::Doubtful, max: usize::MAX, nested: Nested::No }),
    ..NOTHING
};

/// A shape of words.
pub(crate) const fn choice(what: &'static str, words: &'static [&'static str]) -> Shape {
    Shape { what, text: Some(Text::Choice(words)), ..NOTHING }
}

/// A list of items.
pub(crate) const fn list(item: &'static Shape) -> Shape {
    Shape {
        what: "a list",
        list: Some(List { item, empty: Empty::Fine, max: usize::MAX, nested: Nested::No }),
        ..NOTHING
    }
}

/// A mapping of known keys.
pub(crate) const fn object(
    keys: &'static [(&'static str, &'static Shape)],
    required: &'static [&'static str],
) -> Shape {
    Shape { what: "a mapping", map: Some(Object { keys, rest: None, required }), ..NOTHING }
}

/// A mapping of any keys.
pub(crate) const fn mapping(rest: &'static Shape) -> Shape {
    Shape { what: "a mapping", map: Some(Object { keys: &[], rest: Some(rest), required: &[] }), ..NOTHING }
}

/// Compares values with shapes.
pub(crate) struct Checker<'s> {
    /// Where findings go.
    pub sink: &'s mut Sink,
    /// The job or section, as the message starts: `job `x``.
    subject: String,
    path: Vec<Arc<str>>,
}

impl<'s> Checker<'s> {
    /// A checker whose messages start with a subject, such as a job; an empty subject is left out.
    pub fn new(sink: &'s mut Sink, subject: impl Into<String>) -> Self {
        Self { sink, subject: subject.into(), path: Vec::new() }
    }

    /// Checks the value of a key.
    pub fn key(&mut self, key: impl Into<Arc<str>>, node: &Node, shape: &'static Shape) {
        if shape.any {
            return;
        }
        self.path.push(key.into());
        self.check(node, shape);
        self.path.pop();
    }

    /// Checks the root of a file.
    pub fn check_root(&mut self, node: &Node, shape: &'static Shape) {
        self.subject = "the file".to_owned();
        if let (Some(map), Some(object)) = (node.as_map(), &shape.map) {
            for required in object.required.iter().filter(|key| map.get(key).is_none_or(Node::is_null)) {
                self.error(node, &format!("needs the key `{required}`"));
            }
            for entry in map.iter() {
                match object.keys.iter().find(|(name, _)| **name == *entry.key) {
                    Some((_, shape)) => {
                        let subject = std::mem::take(&mut self.subject);
                        self.key(entry.key.clone(), &entry.value, shape);
                        self.subject = subject;
                    }
                    None => {
                        let hint = suggest::hint(&entry.key, object.keys.iter().map(|(name, _)| *name));
                        self.sink
                            .error(entry.key_span, format!("the file has the unknown key `{}`", entry.key))
                            .hint(hint);
                    }
                }
            }
        }
    }

    /// The keyword in words: ``job `x`: `cache:key` ``.
    pub fn place(&self) -> String {
        let path = self.path.join(":");
        match (self.subject.is_empty(), path.is_empty()) {
            (true, _) => format!("`{path}`"),
            (false, true) => self.subject.clone(),
            (false, false) => format!("{}: `{path}`", self.subject),
        }
    }

    /// Reports an error about the place.
    pub fn error(&mut self, node: &Node, says: &str) -> &mut Finding {
        self.tell(Severity::Error, node.span, says)
    }

    /// Reports an error at a part of the place.
    pub fn error_at(&mut self, span: Span, says: &str) -> &mut Finding {
        self.tell(Severity::Error, span, says)
    }

    /// Reports a warning about the place.
    pub fn warning(&mut self, node: &Node, says: &str) -> &mut Finding {
        self.tell(Severity::Warning, node.span, says)
    }

    fn tell(&mut self, severity: Severity, span: Span, says: &str) -> &mut Finding {
        let message = format!("{} {says}", self.place());
        let about = format!("{} {says}", self.path.join(":"));
        self.sink.once(severity, span, about, message)
    }

    /// Checks a value.
    pub fn check(&mut self, node: &Node, shape: &'static Shape) {
        if shape.any || self.sink.is_full() {
            return;
        }
        match &node.value {
            Value::Null(Null::Explicit) | Value::Reference(_) => return,
            Value::Null(Null::Empty) => {
                self.warning(node, "has no value and counts as not given")
                    .hint(format!("write {}, or `null`", shape.what));
                return;
            }
            Value::Bool(_) if shape.boolean => {}
            Value::Int(value) if shape.number.is_some() || shape.float => self.number(node, *value, shape),
            Value::Float(_) if shape.float => {}
            Value::Text(text) if shape.text.is_some() => self.text(node, text, shape),
            Value::List(items) if shape.list.is_some() => self.list(node, items, shape),
            Value::Map(map) if shape.map.is_some() => self.map(node, map, shape),
            _ => {
                let says = format!("must be {}, not {}", shape.what, node.kind());
                let hint = kind_hint(node, shape);
                self.error(node, &says).maybe_hint(hint);
                return;
            }
        }
        if let Some(check) = shape.check {
            check(node, self);
        }
    }

    fn number(&mut self, node: &Node, value: i64, shape: &'static Shape) {
        let (low, high) = shape.number.unwrap_or((i64::MIN, i64::MAX));
        if value < low || value > high {
            self.error(node, &format!("must be a number from {low} to {high}, not `{value}`"));
        }
    }

    fn text(&mut self, node: &Node, text: &str, shape: &'static Shape) {
        match shape.text {
            Some(Text::Filled) if text.trim().is_empty() => {
                self.error(node, "must not be empty");
            }
            Some(Text::Choice(words)) if !words.contains(&text) => {
                let hint = suggest::hint(text, words.iter().copied());
                self.error(node, &format!("does not know `{text}`")).hint(hint);
            }
            Some(Text::Doubtful) => {
                self.warning(node, &format!("should be {}; not every version of GitLab accepts a text", shape.what));
            }
            _ => {}
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], shape: &'static Shape) {
        let Some(list) = &shape.list else { return };
        match list.empty {
            Empty::Fine => {}
            Empty::Doubtful if items.is_empty() => {
                self.warning(node, "is empty").hint("take it out or fill it");
            }
            Empty::Wrong if items.is_empty() => {
                self.error(node, "must not be empty").hint(format!("write {}", shape.what));
            }
            _ => {}
        }
        let count = self.items(items, list, 1);
        if count > list.max {
            self.error(node, &format!("has {count} entries; at most {} are allowed", list.max));
        }
    }

    fn items(&mut self, items: &[Node], list: &'static List, level: usize) -> usize {
        let mut count = 0;
        for item in items {
            match &item.value {
                Value::List(inner) if list.nested == Nested::Yes => {
                    if level >= NESTING_MAX {
                        self.error(item, &format!("is nested more than {NESTING_MAX} levels deep"));
                        return count;
                    }
                    count += self.items(inner, list, level + 1);
                }
                Value::Null(_) if list.item.skipped => {
                    self.warning(item, "has an empty entry, which is passed over").hint("take the lonely `-` out");
                }
                Value::Null(_) => {
                    self.error(item, "has an empty entry").hint("take the lonely `-` out");
                }
                _ => {
                    count += 1;
                    self.item(item, list.item);
                }
            }
        }
        count
    }

    fn item(&mut self, item: &Node, shape: &'static Shape) {
        let fits = shape.any
            || match &item.value {
                Value::Map(_) => shape.map.is_some(),
                Value::List(_) => shape.list.is_some(),
                Value::Text(_) => shape.text.is_some(),
                Value::Bool(_) => shape.boolean,
                Value::Int(_) => shape.number.is_some() || shape.float,
                Value::Float(_) => shape.float,
                _ => true,
            };
        if fits {
            self.check(item, shape);
        } else {
            let says = format!("must hold {} in each entry, not {}", shape.what, item.kind());
            let hint = kind_hint(item, shape);
            self.error(item, &says).maybe_hint(hint);
        }
    }

    fn map(&mut self, node: &Node, map: &Map, shape: &'static Shape) {
        let Some(object) = &shape.map else { return };
        for entry in map.iter() {
            let known = object.keys.iter().find(|(name, _)| **name == *entry.key).map(|(_, shape)| *shape);
            match known.or(object.rest) {
                Some(shape) => self.key(entry.key.clone(), &entry.value, shape),
                None if self.sink.is_full() => return,
                None => {
                    let hint = suggest::hint(&entry.key, object.keys.iter().map(|(name, _)| *name));
                    self.error_at(entry.key_span, &format!("has the unknown key `{}`", entry.key)).hint(hint);
                }
            }
        }
        for required in object.required {
            if map.get(required).is_none_or(Node::is_null) {
                self.error(node, &format!("needs the key `{required}`"));
            }
        }
    }
}

fn kind_hint(node: &Node, shape: &Shape) -> Option<String> {
    match &node.value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if shape.text.is_some() => Some("put it in quotes".to_owned()),
        Value::Text(text) if shape.list.is_some() && text.len() < 40 && !text.contains('\n') => {
            Some(format!("write `[{text}]`"))
        }
        Value::Text(text) if shape.boolean && matches!(&**text, "true" | "false") => {
            Some(format!("write `{text}` without quotes"))
        }
        Value::Text(text) if shape.number.is_some() && text.parse::<i64>().is_ok() => {
            Some(format!("write `{text}` without quotes"))
        }
        Value::Map(_) if shape.text.is_some() => Some("a text that holds `: ` needs quotes".to_owned()),
        _ => None,
    }
}
