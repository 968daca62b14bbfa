//! `spec:inputs` and `$[[ … ]]`.

pub(crate) mod functions;
pub(crate) mod mask;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::Context;
use crate::diagnostic::Sink;
use crate::expression::{self, Expression};
use crate::load::Loaded;
use crate::origin::Origin;
use crate::pattern;
use crate::request::{Answer, Request};
use crate::session::{Reply, Session};
use crate::shape::{Checker, checks, include::SPEC};
use crate::suggest;
use crate::syntax::{Entry, Map, Node, Span, Value, compose};
use mask::{Blocks, Piece};

/// Inputs of one file.
const INPUTS_MAX: usize = 100;
/// Bytes of one block.
const BLOCK_BYTES_MAX: usize = 1 << 10;
/// Values that a pipeline may be started with.
const GIVEN_MAX: usize = 20;
/// Bytes of a text after its blocks were replaced.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of all texts of one file after replacing.
const FILE_BYTES_MAX: usize = 8 << 20;

/// Values that a file is given for its inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    values: Vec<(String, Node)>,
    of: Of,
}

/// Who gives the values.
#[derive(Clone, Copy, Debug, Default)]
enum Of {
    /// An `include`.
    #[default]
    Include,
    /// Whoever started the pipeline.
    Pipeline,
}

/// Facts of a component, for `$[[ component.name ]]`.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// Its name.
    pub name: String,
    /// The commit.
    pub sha: String,
    /// The version that was found.
    pub version: String,
    /// The version that was asked for.
    pub reference: String,
}

impl Given {
    /// The values of an `inputs` mapping.
    pub fn of(node: Option<&Node>) -> Self {
        let entries = node.and_then(Node::as_map).into_iter().flat_map(Map::iter);
        Self { values: entries.map(|entry| (entry.key.to_string(), entry.value.clone())).collect(), of: Of::Include }
    }

    /// The values that the pipeline was started with.
    pub fn of_context(context: &Context) -> Self {
        let mut values = Vec::new();
        for (name, json) in &context.inputs {
            let node = compose(json, 0, &mut Sink::default()).and_then(|documents| documents.into_iter().next());
            let node = node.map_or_else(|| Node::text(json.as_str(), Span::default()), |document| document.root);
            values.push((name.clone(), node));
        }
        Self { values, of: Of::Pipeline }
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.values.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// Checks the inputs of a file and puts them in; `None` where they do not fit, which has been reported.
pub(crate) fn interpolate(
    loaded: Loaded,
    given: &Given,
    component: Option<&Component>,
    (place, origin): (Span, &Origin),
    session: &mut Session<'_>,
) -> Option<Arc<Map>> {
    let Some(header) = &loaded.header else {
        if let Some((name, node)) = given.values.first() {
            let span = if node.span == Span::default() { place } else { node.span };
            let message = format!("the file declares no inputs, and `{name}` is given");
            session
                .sink
                .error(span, message)
                .hint("declare it: `spec: {inputs: {…}}` and `---` at the top of the file");
            return None;
        }
        return Some(loaded.root);
    };
    let errors_before = session.sink.error_count();
    Checker::new(&mut session.sink, "").key("spec", header, &SPEC);
    let declared = declarations(header, origin, session)?;
    let values = resolve(&declared, given, place, session);
    if session.sink.error_count() > errors_before {
        return None;
    }
    if loaded.blocks.is_empty() {
        return Some(loaded.root);
    }
    let mut walk = Interpolation { values, component, blocks: &loaded.blocks, session, bytes: 0 };
    let root = walk.map(&loaded.root);
    Some(Arc::new(root))
}

/// The declared inputs, those of `spec:include` first; `None` while their files are asked for.
fn declarations(header: &Node, origin: &Origin, session: &mut Session<'_>) -> Option<Vec<Entry>> {
    let mut declared: Vec<Entry> = Vec::new();
    let mut complete = true;
    if let Some(include) = header.get("include") {
        let entries: Vec<&Node> = include.as_list().map_or_else(|| vec![include], |list| list.iter().collect());
        for entry in entries {
            match included(entry, origin, session) {
                Some(map) => declared.extend(map.iter().cloned()),
                None => complete = false,
            }
        }
    }
    if let Some(own) = header.get("inputs").and_then(Node::as_map) {
        declared.extend(own.iter().cloned());
    }
    if declared.len() > INPUTS_MAX {
        session.sink.error(header.span, format!("more than {INPUTS_MAX} inputs are declared"));
        return None;
    }
    for (at, entry) in declared.iter().enumerate() {
        if let Some(earlier) = declared[..at].iter().find(|earlier| earlier.key == entry.key) {
            let message = format!("the input `{}` is declared twice", entry.key);
            session.sink.error(entry.key_span, message).related(earlier.key_span, "first declared");
        }
    }
    complete.then_some(declared)
}

fn included(entry: &Node, origin: &Origin, session: &mut Session<'_>) -> Option<Arc<Map>> {
    let text = |key: &str| entry.get(key).and_then(Node::as_text);
    let local = entry.as_text().or_else(|| text("local"));
    let request = if let Some(url) = text("remote") {
        Some(Request::Remote { url: url.to_owned() })
    } else if let (Some(project), Some(file)) = (text("project"), text("file")) {
        let reference = text("ref").map(str::to_owned);
        Origin::Project { project: project.to_owned(), reference }.local(file)
    } else {
        local.and_then(|path| origin.local(path))
    };
    let Some(request) = request else {
        session.sink.error(entry.span, "this file of inputs cannot be included from here");
        return None;
    };
    let path = local.or_else(|| text("file")).or_else(|| text("remote")).unwrap_or_default().to_owned();
    let Reply::Given(answer) = session.ask(request) else { return None };
    let Answer::File(bytes) = answer else {
        session.sink.error(entry.span, format!("the file `{path}` cannot be included"));
        return None;
    };
    let loaded = crate::load::load(crate::load::bounded(&path, bytes), Some(entry.span), &mut session.sink)?;
    let inputs = loaded.root.get("inputs").and_then(Node::as_map).cloned();
    Some(inputs.map_or(loaded.root, Arc::new))
}

/// The value of each declared input.
fn resolve(declared: &[Entry], given: &Given, place: Span, session: &mut Session<'_>) -> BTreeMap<String, Node> {
    for (name, node) in &given.values {
        if !declared.iter().any(|entry| *entry.key == **name) {
            let span = if node.span == Span::default() { place } else { node.span };
            let hint = suggest::hint(name, declared.iter().map(|entry| &*entry.key));
            session.sink.error(span, format!("the input `{name}` is given and not declared")).hint(hint);
        }
    }
    if matches!(given.of, Of::Pipeline) && given.values.len() > GIVEN_MAX {
        session.sink.error(place, format!("more than {GIVEN_MAX} inputs are given"));
    }
    let mut values = BTreeMap::new();
    for entry in declared {
        let value = given.get(&entry.key).filter(|node| !node.is_null());
        let (options, default) = by_rules(entry, &values, session);
        let Some(value) = value.or(default.as_ref()) else {
            let message = format!("the input `{}` is required and has no value", entry.key);
            session
                .sink
                .error(place, message)
                .related(entry.key_span, "declared")
                .hint(format!("add `inputs: {{{}: …}}`", entry.key));
            continue;
        };
        if fits(entry, value, options.as_ref(), &mut session.sink, place) {
            values.insert(entry.key.to_string(), value.clone());
        }
    }
    values
}

/// Options and default of an input, as its `rules` or its own keys say.
fn by_rules(entry: &Entry, values: &BTreeMap<String, Node>, session: &Session<'_>) -> (Option<Node>, Option<Node>) {
    let plain = |node: &Node, key: &str| node.get(key).cloned();
    let Some(rules) = entry.value.get("rules").and_then(Node::as_list) else {
        return (plain(&entry.value, "options"), plain(&entry.value, "default"));
    };
    let scope = session.known.scope();
    let variable = |name: &str| scope.get(name).map(|text| expression::Value::Text(text.to_owned()));
    let input = |name: &str| values.get(name).map_or(expression::Value::Null, as_expression_value);
    let holds = |rule: &&Node| match rule.get("if").and_then(Node::as_text) {
        None => true,
        Some(text) => Expression::parse(text).is_ok_and(|parsed| parsed.holds_with_inputs(&variable, &input)),
    };
    rules.iter().find(holds).map_or((None, None), |rule| (plain(rule, "options"), plain(rule, "default")))
}

fn as_expression_value(node: &Node) -> expression::Value {
    match &node.value {
        Value::Bool(value) => expression::Value::Bool(*value),
        Value::Null(_) => expression::Value::Null,
        _ => expression::Value::Text(render(node)),
    }
}

fn fits(entry: &Entry, value: &Node, options: Option<&Node>, sink: &mut Sink, place: Span) -> bool {
    let name = &entry.key;
    let span = if value.span == Span::default() { place } else { value.span };
    let kind = entry.value.get("type").and_then(Node::as_text).unwrap_or("string");
    if !checks::fits(value, kind) {
        let article = if kind == "array" { "an" } else { "a" };
        sink.error(span, format!("the input `{name}` must be {article} {kind}, not {}", value.kind()))
            .related(entry.key_span, "declared");
        return false;
    }
    if let Some(options) = options.and_then(Node::as_list) {
        let listed = |value: &Node| options.iter().any(|option| option.value == value.value);
        let all = value.as_list().map_or_else(|| listed(value), |items| items.iter().all(listed));
        if !all {
            let shown: Vec<String> = options.iter().map(|option| format!("`{}`", render(option))).collect();
            let message = format!("the input `{name}` is `{}`, which is not one of its options", render(value));
            sink.error(span, message).hint(format!("one of {}", shown.join(", ")));
            return false;
        }
    }
    if let (Some(regex), Some(text)) = (entry.value.get("regex").and_then(Node::as_text), value.as_text())
        && let Ok(compiled) = pattern::compile(regex, "")
        && !compiled.is_match(text)
    {
        sink.error(span, format!("the input `{name}` is `{text}`, which does not match `{regex}`"))
            .related(entry.key_span, "declared");
        return false;
    }
    true
}

/// A value as it stands inside a longer text: texts as they are, all else as JSON.
fn render(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.to_string(),
        Value::Null(_) => String::new(),
        _ => json(node),
    }
}

/// A value as JSON without blanks.
pub(crate) fn json(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quote(text),
        Value::Null(_) => "null".to_owned(),
        Value::List(items) | Value::Reference(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|entry| format!("{}:{}", quote(&entry.key), json(&entry.value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        _ => node.scalar_text().unwrap_or_default(),
    }
}

/// A text as JSON.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

struct Interpolation<'w, 'a> {
    values: BTreeMap<String, Node>,
    component: Option<&'w Component>,
    blocks: &'w Blocks,
    session: &'w mut Session<'a>,
    bytes: usize,
}

impl Interpolation<'_, '_> {
    fn map(&mut self, map: &Map) -> Map {
        let mut out = Map::default();
        for entry in map.iter() {
            let key = match self.text(&entry.key, entry.key_span).value {
                Value::Text(text) => text,
                value => Node { value, span: entry.key_span }.scalar_text().unwrap_or_default().into(),
            };
            let value = self.node(&entry.value);
            out.set(Entry { key, key_span: entry.key_span, value });
        }
        out
    }

    fn node(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Text(text) => return self.text(text, node.span),
            Value::List(items) => Value::List(Arc::new(items.iter().map(|item| self.node(item)).collect())),
            Value::Reference(items) => Value::Reference(Arc::new(items.iter().map(|item| self.node(item)).collect())),
            Value::Map(map) => Value::Map(Arc::new(self.map(map))),
            other => other.clone(),
        };
        Node { value, span: node.span }
    }

    fn text(&mut self, text: &Arc<str>, span: Span) -> Node {
        let blocks = self.blocks;
        let pieces = blocks.pieces(text);
        if let [Piece::Block(block)] = pieces[..]
            && !self.session.sink.text(span).starts_with(['"', '\''])
        {
            return self
                .block(block, span)
                .map_or_else(|| Node::text(text.clone(), span), |node| Node { value: node.value, span });
        }
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            return Node::text(text.clone(), span);
        }
        let mut out = String::new();
        for piece in pieces {
            if out.len() > TEXT_BYTES_MAX || self.bytes > FILE_BYTES_MAX {
                break;
            }
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Block(block) => {
                    out.push_str(&self.block(block, span).map_or_else(String::new, |node| render(&node)));
                }
            }
        }
        self.bytes += out.len();
        if out.len() > TEXT_BYTES_MAX || self.bytes > FILE_BYTES_MAX {
            self.session.sink.error(span, "the inputs make this text too long");
            return Node::text(text.clone(), span);
        }
        Node::text(out, span)
    }

    /// The value of a block; what it cannot be has been reported.
    fn block(&mut self, block: &str, span: Span) -> Option<Node> {
        if block.len() > BLOCK_BYTES_MAX {
            self.session.sink.error(span, format!("a `$[[ … ]]` block has more than {BLOCK_BYTES_MAX} bytes"));
            return None;
        }
        let mut parts = split_pipes(block).into_iter();
        let access = parts.next().unwrap_or_default();
        if access.starts_with("matrix.") {
            return Some(Node::text(format!("$[[{block}]]"), span));
        }
        let functions: Vec<&str> = parts.collect();
        if functions.len() > functions::FUNCTIONS_MAX {
            let message =
                format!("`$[[{block}]]` has too many functions; at most {} are allowed", functions::FUNCTIONS_MAX);
            self.session.sink.error(span, message);
            return None;
        }
        let mut value = self.access(access, block, span)?;
        for function in functions {
            let scope = self.session.known.scope();
            match functions::apply(function, &value, &scope) {
                Ok(next) => value = next,
                Err(reason) => {
                    self.session.sink.error(span, format!("`$[[{block}]]`: {reason}"));
                    return None;
                }
            }
        }
        Some(value)
    }

    fn access(&mut self, access: &str, block: &str, span: Span) -> Option<Node> {
        let found = match access.split_once('.') {
            Some(("inputs", name)) => self.values.get(name).cloned(),
            Some(("component", fact)) => self.component.and_then(|component| {
                let text = match fact {
                    "name" => &component.name,
                    "sha" => &component.sha,
                    "version" => &component.version,
                    "reference" => &component.reference,
                    _ => return None,
                };
                Some(Node::text(text.as_str(), span))
            }),
            _ => None,
        };
        if found.is_none() {
            let name = access.strip_prefix("inputs.").unwrap_or(access);
            let hint = suggest::hint(name, self.values.keys().map(String::as_str));
            self.session
                .sink
                .error(span, format!("`$[[{block}]]` names `{name}`, which is no input of this file"))
                .hint(hint);
        }
        found
    }
}

/// The parts of a block between `|`, blanks trimmed; a `|` in quotes is text.
fn split_pipes(block: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, c) in block.char_indices() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('|', None) => {
                parts.push(block[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(block[from..].trim());
    parts
}
