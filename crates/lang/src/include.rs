//! `include`: files are asked for, read, and merged below the file that includes them.

use std::sync::Arc;

use crate::SourceFile;
use crate::expand::Unknown;
use crate::glob;
use crate::inputs;
use crate::load::{Loaded, bounded, load};
use crate::merge;
use crate::origin::Origin;
use crate::request::{Answer, Request};
use crate::rules;
use crate::session::{Reply, Session};
use crate::shape::checks::{self, is_yaml};
use crate::shape::{Checker, root};
use crate::syntax::{Map, Node, Span, Value};
use crate::template;

/// Included files of one pipeline; a file that is included twice counts twice.
const INCLUDES_MAX: usize = 150;
/// Bytes of all files of one pipeline.
const TOTAL_BYTES_MAX: usize = 32 << 20;

/// A file to read, and what it is given.
struct Source {
    file: SourceFile,
    given: Given,
}

/// What surrounds a file that is read.
struct Given {
    /// Where it came from.
    origin: Origin,
    /// Values for its inputs.
    inputs: inputs::Given,
    /// Facts of the component that it is.
    component: Option<inputs::Component>,
    /// The `include` that named it.
    included_from: Option<Span>,
}

impl Given {
    /// What an entry of `include` gives.
    fn by(entry: &Node, origin: Origin, component: Option<inputs::Component>) -> Self {
        let inputs = inputs::Given::of(entry.get("inputs"));
        Self { origin, inputs, component, included_from: Some(entry.span) }
    }
}

/// Reads a file and all that it includes.
struct Reader<'s, 'a> {
    session: &'s mut Session<'a>,
    included: usize,
    bytes: usize,
    full: bool,
}

impl<'s, 'a> Reader<'s, 'a> {
    /// A reader.
    fn new(session: &'s mut Session<'a>) -> Self {
        Self { session, included: 0, bytes: 0, full: false }
    }

    /// Reads a file; its included files are below it in the merged mapping.
    fn read(&mut self, source: Source) -> Map {
        self.bytes += source.file.bytes.len();
        if self.bytes > TOTAL_BYTES_MAX {
            let message = format!("the included files have more than {TOTAL_BYTES_MAX} bytes together");
            self.session.sink.error(source.given.included_from.unwrap_or_default(), message);
            self.full = true;
            return Map::default();
        }
        match load(source.file, source.given.included_from, &mut self.session.sink) {
            Some(loaded) => self.merge(loaded, &source.given),
            None => Map::default(),
        }
    }

    /// What a file says, over what it includes.
    fn merge(&mut self, loaded: Loaded, given: &Given) -> Map {
        let place = Span { file: loaded.file, start: 0, end: 0 };
        let place = given.included_from.unwrap_or(place);
        let root =
            inputs::interpolate(loaded, &given.inputs, given.component.as_ref(), (place, &given.origin), self.session);
        let Some(root) = root else { return Map::default() };
        let mut own = Arc::unwrap_or_clone(root);
        let Some(include) = own.remove("include") else {
            return own;
        };
        if include.value.is_null() {
            return own;
        }
        let merged = self.includes(&include.value, &given.origin);
        if merged.is_empty() { own } else { merge::deep(&merged, &own) }
    }

    fn includes(&mut self, node: &Node, origin: &Origin) -> Map {
        if let Some(shape) = root::shape("include") {
            Checker::new(&mut self.session.sink, "").key("include", node, shape);
        }
        if let Value::Reference(_) = node.value {
            self.session.sink.error(
                node.span,
                "`include` cannot be a `!reference`: files are included before references are resolved",
            );
        }
        let mut merged = Map::default();
        for entry in entries(node) {
            for source in self.sources(entry, origin) {
                if self.full {
                    return merged;
                }
                let map = self.read(source);
                merged = if merged.is_empty() { map } else { merge::deep(&merged, &map) };
            }
        }
        merged
    }

    /// Counts a file that is about to be asked for, whether or not it is there; false: it is one too many.
    fn counts(&mut self, entry: &Node) -> bool {
        if !self.full && self.included == INCLUDES_MAX {
            self.session
                .sink
                .error(entry.span, format!("more than {INCLUDES_MAX} files are included"))
                .hint("a file that is included twice counts twice; look for a loop");
            self.full = true;
        }
        self.included += 1;
        !self.full
    }

    fn sources(&mut self, entry: &Node, origin: &Origin) -> Vec<Source> {
        if let Some(text) = entry.as_text() {
            let text = self.expand(text, origin);
            let remote = text.starts_with("http://") || text.starts_with("https://");
            return if remote { self.remote(&text, entry, entry) } else { self.local(&text, entry, entry, origin) };
        }
        if entry.get("rules").is_some_and(|list| !self.rules_hold(list, origin)) {
            return Vec::new();
        }
        let text = |key: &str| entry.get(key).and_then(|node| Some((node, node.as_text()?)));
        if let Some((node, path)) = text("local") {
            let path = self.expand(path, origin);
            self.local(&path, node, entry, origin)
        } else if let Some((node, url)) = text("remote") {
            let url = self.expand(url, origin);
            self.remote(&url, node, entry)
        } else if let Some((node, name)) = text("template") {
            let name = self.expand(name, origin);
            self.template(&name, node, entry)
        } else if let Some((node, project)) = text("project") {
            let project = self.expand(project, origin);
            self.project(&project, node, entry, origin)
        } else if let Some((node, address)) = text("component") {
            let address = self.expand(address, origin);
            self.component(&address, node, entry)
        } else {
            Vec::new()
        }
    }

    /// Remote files and templates see no variables.
    fn expand(&self, text: &str, origin: &Origin) -> String {
        match origin {
            Origin::Remote | Origin::Template => text.to_owned(),
            _ => self.session.known.scope().expand(text, Unknown::Empty),
        }
    }

    fn rules_hold(&mut self, list: &Node, origin: &Origin) -> bool {
        let known = self.session.known.clone();
        let scope = known.scope();
        let matching = rules::flat(list).into_iter().find(|rule| rules::holds(rule, &scope, origin, self.session));
        matching.is_some_and(|rule| rule.get("when").and_then(Node::as_text) != Some("never"))
    }

    fn local(&mut self, path: &str, at: &Node, entry: &Node, origin: &Origin) -> Vec<Source> {
        let clean = path.trim_start_matches('/');
        if clean.split('/').any(|part| part == ".." || part == ".") || clean.is_empty() {
            let message = format!(
                "the local file `{path}` does not exist: a path starts at the root of the repository and stays in it"
            );
            self.session.sink.error(at.span, message).hint("write the whole path, without `..` and `.`");
            return Vec::new();
        }
        if !is_yaml(clean) {
            self.no_yaml(path, at);
            return Vec::new();
        }
        if glob::is_wildcard(clean) {
            return self.wildcard(clean, at, entry, origin);
        }
        let Some(request) = origin.local(clean) else {
            let message = format!(
                "the local file `{path}` cannot be included from here: a remote file or template has nothing beside it"
            );
            self.session.sink.error(at.span, message).hint("use `remote`, `project` or `template`");
            return Vec::new();
        };
        let shown = self.shown(clean, origin);
        self.file(request, &shown, origin.clone(), at, entry).into_iter().collect()
    }

    /// The path as messages show it.
    fn shown(&self, path: &str, origin: &Origin) -> String {
        match origin {
            Origin::Project { project, reference } => {
                format!("{project}@{}/{path}", reference.as_deref().unwrap_or("HEAD"))
            }
            _ => path.to_owned(),
        }
    }

    fn wildcard(&mut self, pattern: &str, at: &Node, entry: &Node, origin: &Origin) -> Vec<Source> {
        let Some(request) = origin.listing() else {
            self.session.sink.error(at.span, "a wildcard cannot be used in a remote file or template");
            return Vec::new();
        };
        let Reply::Given(answer) = self.session.ask(request) else { return Vec::new() };
        let Answer::Files(files) = answer else {
            self.missing(pattern, answer, at);
            return Vec::new();
        };
        let mut paths: Vec<&String> = files.iter().filter(|path| glob::include_matches(pattern, path)).collect();
        paths.sort();
        if paths.is_empty() {
            self.session.sink.error(at.span, format!("no file matches `{pattern}`"));
        }
        let mut sources = Vec::new();
        for path in paths {
            let Some(request) = origin.local(path) else { continue };
            let shown = self.shown(path, origin);
            sources.extend(self.file(request, &shown, origin.clone(), at, entry));
        }
        sources
    }

    fn remote(&mut self, url: &str, at: &Node, entry: &Node) -> Vec<Source> {
        if !checks::is_address(url) {
            if has_variable(at) {
                let hint = "write it as `https://host/path.yml`";
                self.session.sink.error(at.span, format!("`{url}` is no address")).hint(hint);
            }
            return Vec::new();
        }
        let request = Request::Remote { url: url.to_owned() };
        let source = self.file(request, url, Origin::Remote, at, entry);
        let Some(source) = source else { return Vec::new() };
        if let Some(integrity) = entry.get("integrity")
            && let Some(expected) = integrity.as_text()
            && !crate::sha256::integrity_holds(expected, &source.file.bytes)
        {
            let message = format!("the content of `{url}` does not have the `integrity` that is written here");
            self.session
                .sink
                .error(integrity.span, message)
                .hint("look at what changed there before writing the new one");
            return Vec::new();
        }
        vec![source]
    }

    fn template(&mut self, name: &str, at: &Node, entry: &Node) -> Vec<Source> {
        if name != template::DEVOPS {
            let request = Request::Template { name: name.to_owned() };
            return self.file(request, name, Origin::Template, at, entry).into_iter().collect();
        }
        if !self.counts(entry) {
            return Vec::new();
        }
        let Reply::Given(answer) = self.session.ask(Request::ProjectFile { path: "serin.yml".to_owned() }) else {
            return Vec::new();
        };
        let Answer::File(bytes) = answer else {
            let message = format!("`{name}` needs a `serin.yml` beside this file");
            self.session
                .sink
                .error(at.span, message)
                .hint("say in it what the service is: `service: {name: shop, build: [make]}`");
            return Vec::new();
        };
        let (config, found) = crate::service::parse(&bounded("serin.yml", bytes));
        let Some(config) = config else {
            let first = found.first().map(|found| format!("{}:{}: {}", found.line, found.column, found.message));
            let message = format!("`{name}` needs a `serin.yml` without errors: {}", first.unwrap_or_default());
            self.session.sink.error(at.span, message);
            return Vec::new();
        };
        vec![Source { file: template::devops(&config), given: Given::by(entry, Origin::Template, None) }]
    }

    fn no_yaml(&mut self, path: &str, at: &Node) {
        if has_variable(at) {
            self.session.sink.error(at.span, format!("`{path}` must end in `.yml` or `.yaml`"));
        }
    }

    fn project(&mut self, project: &str, at: &Node, entry: &Node, origin: &Origin) -> Vec<Source> {
        let reference = entry
            .get("ref")
            .and_then(Node::as_text)
            .map(|text| self.expand(text, origin))
            .filter(|text| !text.is_empty());
        let mut sources = Vec::new();
        let Some(file) = entry.get("file") else { return sources };
        for path in file.flat_texts() {
            let path = self.expand(&path, origin).trim_start_matches('/').to_owned();
            if !is_yaml(&path) {
                self.no_yaml(&path, file);
                continue;
            }
            if path.split('/').any(|part| part == "..") {
                self.session.sink.error(file.span, format!("`{path}` must be a whole path, without `..`"));
                continue;
            }
            let origin = Origin::Project { project: project.to_owned(), reference: reference.clone() };
            if glob::is_wildcard(&path) {
                sources.extend(self.wildcard(&path, at, entry, &origin));
                continue;
            }
            let Some(request) = origin.local(&path) else { continue };
            let shown = self.shown(&path, &origin);
            sources.extend(self.file(request, &shown, origin, at, entry));
        }
        sources
    }

    fn component(&mut self, address: &str, at: &Node, entry: &Node) -> Vec<Source> {
        let parts = address.rsplit_once('@').and_then(|(path, version)| {
            let (_, rest) = path.split_once('/')?;
            let (project, name) = rest.rsplit_once('/')?;
            (!version.is_empty() && !name.is_empty()).then_some((path, project, name, version))
        });
        let Some((path, project, name, version)) = parts else {
            let message = format!("`{address}` is no component's address");
            self.session.sink.error(at.span, message).hint("write it as `host/group/project/name@version`");
            return Vec::new();
        };
        if !self.counts(entry) {
            return Vec::new();
        }
        let context = self.session.context;
        if project == context.project && !context.sha.is_empty() && (version == context.sha) {
            return self.own_component(name, version, at, entry);
        }
        let request = Request::Component { address: path.to_owned(), version: version.to_owned() };
        let Reply::Given(answer) = self.session.ask(request) else { return Vec::new() };
        let Answer::Component { bytes, project, sha, version: found } = answer else {
            self.missing(address, answer, at);
            return Vec::new();
        };
        let component = inputs::Component {
            name: name.to_owned(),
            sha: sha.clone(),
            version: found.clone(),
            reference: version.to_owned(),
        };
        let origin = Origin::Project { project: project.clone(), reference: Some(sha.clone()) };
        vec![Source { file: bounded(address, bytes), given: Given::by(entry, origin, Some(component)) }]
    }

    /// A component of the pipeline's own commit: `templates/name.yml` or `templates/name/template.yml`.
    fn own_component(&mut self, name: &str, sha: &str, at: &Node, entry: &Node) -> Vec<Source> {
        let paths = [format!("templates/{name}.yml"), format!("templates/{name}/template.yml")];
        let mut asked = false;
        for path in &paths {
            match self.session.ask(Request::ProjectFile { path: path.clone() }) {
                Reply::Asked => asked = true,
                Reply::Given(Answer::File(bytes)) => {
                    let text = || sha.to_owned();
                    let component =
                        inputs::Component { name: name.to_owned(), sha: text(), version: text(), reference: text() };
                    let given = Given::by(entry, Origin::Own, Some(component));
                    return vec![Source { file: bounded(path, bytes), given }];
                }
                Reply::Given(_) => {}
            }
        }
        if !asked {
            let message =
                format!("the component `{name}` does not exist: neither `{}` nor `{}` is there", paths[0], paths[1]);
            self.session.sink.error(at.span, message);
        }
        Vec::new()
    }

    fn file(&mut self, request: Request, shown: &str, origin: Origin, at: &Node, entry: &Node) -> Option<Source> {
        if !self.counts(entry) {
            return None;
        }
        let Reply::Given(answer) = self.session.ask(request) else { return None };
        let Answer::File(bytes) = answer else {
            self.missing(shown, answer, at);
            return None;
        };
        Some(Source { file: bounded(shown, bytes), given: Given::by(entry, origin, None) })
    }

    fn missing(&mut self, shown: &str, answer: &Answer, at: &Node) {
        let why = match answer {
            Answer::Missing(why) if !why.is_empty() => format!(": {why}"),
            _ => String::new(),
        };
        self.session.sink.error(at.span, format!("the file `{shown}` cannot be included{why}"));
    }
}

/// The entries of `include`, in order.
fn entries(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(entries).collect(),
        Value::Text(_) | Value::Map(_) => vec![node],
        _ => Vec::new(),
    }
}

/// Whether a text is known only here, where variables have values; other texts were checked by their shape.
fn has_variable(node: &Node) -> bool {
    node.flat_texts().iter().any(|text| text.contains('$'))
}

/// What an entry file says, over all that it includes.
pub(crate) fn read(entry: Loaded, session: &mut Session<'_>) -> Arc<Map> {
    let inputs = inputs::Given::of_context(session.context);
    let given = Given { origin: Origin::Own, inputs, component: None, included_from: None };
    Arc::new(Reader::new(session).merge(entry, &given))
}
