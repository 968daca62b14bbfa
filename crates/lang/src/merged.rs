//! The merged configuration with the origin of everything in it, to be printed and explained.

use std::fmt::Write;
use std::sync::Arc;

use serin_model::plan::Variable;

use crate::context::{Context, SettingVariable};
use crate::diagnostic::{Files, Location};
use crate::inputs::json;
use crate::rules;
use crate::shape::job::DEFAULT_KEYS;
use crate::syntax::{Entry, Map, Node, Value};
use crate::{Compilation, JobDetail};

/// What hides a masked value.
const MASKED: &str = "[MASKED]";

/// The whole configuration after includes, references and `extends`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    root: Arc<Map>,
    files: Files,
}

/// Whether printed YAML says where each line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// It does not.
    Hidden,
    /// A comment behind each key says file and line.
    Shown,
}

/// A keyword of a job and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrigin {
    /// The keyword.
    pub key: String,
    /// Its value as JSON.
    pub value: String,
    /// Where it is written: in the job, in what it extends, or under `default`.
    pub location: Location,
    /// Whether it came from `default`.
    pub from_default: bool,
}

/// Where a variable came from, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VariableSource {
    /// `variables` of the root.
    Global,
    /// `workflow:rules:variables`.
    Workflow,
    /// `variables` of the job, or of what it extends.
    Job,
    /// `parallel`.
    Parallel,
    /// `rules:variables`.
    Rule,
    /// Settings of a group.
    Group,
    /// Settings of the project.
    Project,
    /// Given when the pipeline was started.
    Pipeline,
}

/// A variable that a job sees and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableOrigin {
    /// Its name.
    pub key: String,
    /// Its text, `[MASKED]` where it is secret.
    pub value: String,
    /// The strongest source that has it.
    pub source: VariableSource,
    /// Where that is written, where it is a file.
    pub location: Option<Location>,
}

/// Why a job is, or is not, in a pipeline, and where everything in it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The job, its rule, the reason.
    pub detail: JobDetail,
    /// Its keywords.
    pub keys: Vec<KeyOrigin>,
    /// Its variables, predefined ones aside.
    pub variables: Vec<VariableOrigin>,
}

impl Compilation {
    /// Explains a job by its name in the plan or in the file; `None`: there is none of that name.
    #[must_use]
    pub fn explain(&self, job: &str, context: &Context) -> Option<Explanation> {
        let known = || self.details.iter().chain(&self.excluded);
        let detail = known().find(|detail| detail.job == job).or_else(|| known().find(|detail| detail.group == job))?;
        let keys = self.merged.keys(&detail.group);
        Some(Explanation { detail: detail.clone(), keys, variables: self.variables(detail, context) })
    }

    fn variables(&self, detail: &JobDetail, context: &Context) -> Vec<VariableOrigin> {
        let planned = self.plan.iter().flat_map(|plan| &plan.jobs).find(|job| job.name == detail.job);
        let own: &[Variable] = planned.map_or(&[], |job| &job.variables);
        let mut origins: Vec<VariableOrigin> =
            own.iter().map(|variable| self.merged.origin(variable, detail)).collect();
        let environment = planned.and_then(|job| job.environment.as_ref()).map(|environment| environment.name.as_str());
        let settings = |list: &[SettingVariable]| {
            let one = Context { project_variables: list.to_vec(), protected: context.protected, ..Context::default() };
            crate::variables::settings(&one, environment).into_values().collect::<Vec<_>>()
        };
        let layers = [
            (VariableSource::Group, settings(&context.group_variables)),
            (VariableSource::Project, settings(&context.project_variables)),
            (VariableSource::Pipeline, context.pipeline_variables.clone()),
        ];
        for (source, variables) in layers {
            for variable in variables {
                let value = if variable.masked { MASKED.to_owned() } else { variable.value };
                let origin = VariableOrigin { key: variable.key, value, source, location: None };
                match origins.iter_mut().find(|known| known.key == origin.key) {
                    Some(known) => *known = origin,
                    None => origins.push(origin),
                }
            }
        }
        origins
    }
}

impl Merged {
    pub(crate) fn new(root: Arc<Map>, files: Files) -> Self {
        Self { root, files }
    }

    /// The configuration as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        json(&Node { value: Value::Map(self.root.clone()), span: crate::syntax::Span::default() })
    }

    /// The configuration as YAML, hidden jobs left out.
    #[must_use]
    pub fn yaml(&self, origins: Origins) -> String {
        let mut printer = Printer { out: String::new(), merged: self, origins };
        for entry in self.root.iter().filter(|entry| !entry.key.starts_with('.')) {
            printer.entry(entry, 0);
        }
        printer.out
    }

    /// The keywords of a job of the file, those of `default` behind its own.
    fn keys(&self, job: &str) -> Vec<KeyOrigin> {
        let Some(own) = self.root.get(job).and_then(Node::as_map) else { return Vec::new() };
        let origin = |entry: &Entry, from_default: bool| KeyOrigin {
            key: entry.key.to_string(),
            value: json(&entry.value),
            location: self.files.locate(entry.key_span),
            from_default,
        };
        let mut keys: Vec<KeyOrigin> =
            own.iter().filter(|entry| !entry.value.is_null()).map(|entry| origin(entry, false)).collect();
        let allowed = own.get("inherit").and_then(|inherit| inherit.get("default"));
        let inherits = |key: &str| match allowed.map(|node| &node.value) {
            Some(Value::Bool(value)) => *value,
            Some(Value::List(list)) => list.iter().any(|node| node.as_text() == Some(key)),
            _ => true,
        };
        let section = self.root.get("default").and_then(Node::as_map).into_iter().flat_map(Map::iter);
        let root = self.root.iter().filter(|entry| DEFAULT_KEYS.contains(&&*entry.key));
        for entry in section.chain(root) {
            if inherits(&entry.key) && !keys.iter().any(|known| *known.key == *entry.key) {
                keys.push(origin(entry, true));
            }
        }
        keys
    }

    /// The strongest place of the file that has a variable of a job.
    fn origin(&self, variable: &Variable, detail: &JobDetail) -> VariableOrigin {
        let job = self.root.get(&detail.group);
        let of = |holder: Option<&Node>| {
            holder.and_then(|node| node.get("variables")?.as_map()?.entry(&variable.key)).map(|entry| entry.key_span)
        };
        let rules = job.and_then(|job| job.get("rules")).map(rules::flat).unwrap_or_default();
        let rule = rules.into_iter().find(|rule| Some(self.files.locate(rule.span)) == detail.rule);
        let global =
            self.root.get("variables").and_then(|node| node.as_map()?.entry(&variable.key)).map(|entry| entry.key_span);
        let matrix = job.and_then(|job| job.get("parallel"));
        let in_matrix =
            variable.key.starts_with("CI_NODE_") || matrix.is_some_and(|matrix| names(matrix, &variable.key));
        let (source, span) = if let Some(span) = of(rule) {
            (VariableSource::Rule, Some(span))
        } else if in_matrix {
            (VariableSource::Parallel, matrix.map(|node| node.span))
        } else if let Some(span) = of(job) {
            (VariableSource::Job, Some(span))
        } else if let Some(span) = global {
            (VariableSource::Global, Some(span))
        } else {
            (VariableSource::Workflow, self.root.entry("workflow").map(|entry| entry.key_span))
        };
        let value = if variable.masked { MASKED.to_owned() } else { variable.value.clone() };
        VariableOrigin { key: variable.key.clone(), value, source, location: span.map(|span| self.files.locate(span)) }
    }
}

/// Whether a matrix has a key.
fn names(node: &Node, key: &str) -> bool {
    match &node.value {
        Value::List(items) => items.iter().any(|item| names(item, key)),
        Value::Map(map) => map.contains(key) || map.get("matrix").is_some_and(|matrix| names(matrix, key)),
        _ => false,
    }
}

struct Printer<'m> {
    out: String,
    merged: &'m Merged,
    origins: Origins,
}

impl Printer<'_> {
    fn entry(&mut self, entry: &Entry, indent: usize) {
        let _ = write!(self.out, "{:indent$}{}:", "", scalar(&entry.key));
        let origin = self.comment(entry);
        self.value(&entry.value, indent + 2, &origin);
    }

    fn comment(&self, entry: &Entry) -> String {
        if self.origins == Origins::Hidden {
            return String::new();
        }
        let place = self.merged.files.locate(entry.key_span);
        // The end of a line in a file's name would end the comment.
        let file: String = place.file.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        format!("  # {file}:{}", place.line)
    }

    /// Writes a value behind its key or dash, and ends the line.
    fn value(&mut self, node: &Node, indent: usize, comment: &str) {
        match &node.value {
            Value::Map(map) if !map.is_empty() => {
                let _ = writeln!(self.out, "{comment}");
                map.iter().for_each(|entry| self.entry(entry, indent));
            }
            Value::List(items) if !items.is_empty() => {
                let _ = writeln!(self.out, "{comment}");
                for item in items.iter() {
                    let _ = write!(self.out, "{:indent$}-", "");
                    self.value(item, indent + 2, "");
                }
            }
            Value::Text(text) => {
                let _ = writeln!(self.out, " {}{comment}", scalar(text));
            }
            _ => {
                let _ = writeln!(self.out, " {}{comment}", json(node));
            }
        }
    }
}

/// A text as YAML: plain where that reads back as the same text, else in double quotes.
fn scalar(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/' || c == '$' || c == '_';
    let inner = |c: char| first(c) || "-+,=@ ()<>".contains(c);
    let plain = text.starts_with(first) && text.chars().all(inner) && !text.ends_with(' ');
    if plain && !crate::plain::is_date(text) && matches!(crate::syntax::resolve(text), Value::Text(_)) {
        return text.to_owned();
    }
    json(&Node::text(text, crate::syntax::Span::default()))
}
