//! YAML as a tree whose nodes know their places.
//!
//! The parser's events are composed here: aliases, merge keys, duplicate keys, YAML 1.1 scalars and `!reference`.

mod compose;
mod scalar;
mod subset;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use compose::compose;
pub(crate) use scalar::{float_text, resolve, resolve_with};

/// About how many bytes an entry takes beside its text.
pub(crate) const ENTRY_BYTES: usize = 64;

/// Number of a file in [`crate::diagnostic::Sink`].
pub(crate) type FileId = u32;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// Byte behind the last.
    pub end: u32,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing was written, or `null`, or `~`.
    Null(Null),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Node>>),
    /// A mapping.
    Map(Arc<Map>),
    /// `!reference [a, b]`, not resolved yet.
    Reference(Arc<Vec<Node>>),
}

/// How a null was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Null {
    /// `key:` and nothing behind.
    Empty,
    /// `null` or `~`.
    Explicit,
}

/// A mapping in source order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    entries: Vec<Entry>,
    /// Places of the keys, where there are many; shared by copies whose keys stayed the same.
    index: Option<Arc<BTreeMap<Arc<str>, usize>>>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key as text.
    pub key: Arc<str>,
    /// Where the key was written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// Entries from which on a mapping keeps an index.
const INDEXED_FROM: usize = 24;

impl Map {
    /// A mapping of entries whose keys all differ; `None` where they do not.
    pub fn of_different(entries: Vec<Entry>) -> Option<Self> {
        let mut map = Self { entries, index: None };
        map.index_from(0);
        let all = &map.entries;
        let differ = match &map.index {
            Some(index) => index.len() == all.len(),
            None => (1..all.len()).all(|at| !all[..at].iter().any(|other| is_same_key(&other.key, &all[at].key))),
        };
        differ.then_some(map)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.position(key).map(|at| &self.entries[at])
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how many bytes it takes in memory, whatever is shared counted each time.
    pub fn weight(&self) -> usize {
        self.entries.iter().map(|entry| entry.key.len() + entry.value.weight()).sum()
    }

    /// A copy with room for more.
    pub fn with_room(&self, more: usize) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len() + more);
        entries.extend_from_slice(&self.entries);
        Self { entries, index: self.index.clone() }
    }

    /// A copy with other values.
    pub fn with_values(&self, mut value: impl FnMut(&Entry) -> Node) -> Self {
        let entries = self.entries.iter().map(|entry| {
            let value = value(entry);
            Entry { key: entry.key.clone(), key_span: entry.key_span, value }
        });
        Self { entries: entries.collect(), index: self.index.clone() }
    }

    /// The entry of a key, to be changed; its key stays.
    pub fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.position(key).map(|at| &mut self.entries[at])
    }

    /// Sets a key; a key that is there keeps its place in the order. Returns the entry that was replaced.
    pub fn set(&mut self, entry: Entry) -> Option<Entry> {
        if let Some(at) = self.position(&entry.key) {
            return Some(std::mem::replace(&mut self.entries[at], entry));
        }
        self.add(entry);
        None
    }

    /// Adds a key that is not there.
    pub fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.index_from(self.entries.len() - 1);
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.position(key)?;
        let entry = self.entries.remove(at);
        self.index = None;
        self.index_from(0);
        Some(entry)
    }

    fn index_from(&mut self, from: usize) {
        if self.entries.len() < INDEXED_FROM {
            return;
        }
        let from = if self.index.is_some() { from } else { 0 };
        let index = Arc::make_mut(self.index.get_or_insert_default());
        for (at, entry) in self.entries.iter().enumerate().skip(from) {
            index.insert(entry.key.clone(), at);
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|entry| is_same_key(&entry.key, key)),
        }
    }
}

/// Most keys differ in length or in their first byte, which takes no call to see.
fn is_same_key(one: &str, two: &str) -> bool {
    one.len() == two.len() && one.as_bytes().first() == two.as_bytes().first() && one == two
}

impl Node {
    /// A text at a place.
    pub fn text(text: impl Into<Arc<str>>, span: Span) -> Self {
        Self { value: Value::Text(text.into()), span }
    }

    /// Whether it is null, however written.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null(_))
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The list, where it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping, where it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The boolean, where it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The whole number, where it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self.value {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a key, where this is a mapping and the value is not null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).filter(|node| !node.is_null())
    }

    /// A scalar as text, the way Ruby's `to_s` writes it; null is the empty text.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Null(_) => Some(String::new()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(float_text(*value)),
            Value::Text(text) => Some(text.to_string()),
            Value::List(_) | Value::Map(_) | Value::Reference(_) => None,
        }
    }

    /// Whether both hold the same, wherever it was written.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null(_), Value::Null(_)) => true,
            (Value::List(one), Value::List(two)) | (Value::Reference(one), Value::Reference(two)) => {
                Arc::ptr_eq(one, two)
                    || one.len() == two.len() && one.iter().zip(two.iter()).all(|(one, two)| one.is_same(two))
            }
            (Value::Map(one), Value::Map(two)) => {
                let same = |(one, two): (&Entry, &Entry)| one.key == two.key && one.value.is_same(&two.value);
                Arc::ptr_eq(one, two) || one.len() == two.len() && one.iter().zip(two.iter()).all(same)
            }
            (one, two) => one == two,
        }
    }

    /// About how many bytes it takes in memory, whatever is shared counted each time.
    pub fn weight(&self) -> usize {
        ENTRY_BYTES
            + match &self.value {
                Value::Text(text) => text.len(),
                Value::List(items) => items.iter().map(Node::weight).sum(),
                Value::Map(map) => map.weight(),
                _ => 0,
            }
    }

    /// The kind in words, with its article.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null(_) => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Reference(_) => "a reference",
        }
    }

    /// The texts of a text, or of lists of texts nested in each other, in order; what is no text is left out.
    pub fn flat_texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        self.collect_texts(&mut texts);
        texts
    }

    fn collect_texts(&self, texts: &mut Vec<String>) {
        match &self.value {
            Value::List(items) => items.iter().for_each(|item| item.collect_texts(texts)),
            Value::Null(_) | Value::Map(_) | Value::Reference(_) => {}
            _ => texts.extend(self.scalar_text()),
        }
    }
}
