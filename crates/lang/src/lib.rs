//! `.gitlab-ci.yml` and `serin.yml`: YAML events to a spanned tree, includes, inputs, extends, rules, to a plan.
//!
//! Invariants: no I/O (what is needed from outside is asked for by a [`Request`] and given as an [`Answer`]), no clock,
//! no randomness, no serde. Reading never panics and never stops at the first mistake: every function returns what it
//! understood and the [`Diagnostic`]s. Work and memory are bounded by named constants, whatever the input.

pub mod child;
pub mod context;
pub mod diagnostic;
pub mod duration;
pub mod expand;
pub mod expression;
pub mod merged;
pub mod request;
pub mod schema;
pub mod service;
pub mod template;
pub mod variables;

mod compile;
mod driver;
mod extends;
mod fragment;
mod glob;
mod include;
mod inputs;
mod job;
mod load;
mod memo;
mod merge;
mod needs;
mod origin;
mod pattern;
mod plain;
mod reference;
mod rules;
mod session;
mod sha256;
mod shape;
mod suggest;
mod syntax;
mod warnings;

use std::borrow::Cow;

pub use context::{Context, PipelineSource, SettingVariable};
pub use diagnostic::{Color, Diagnostic, Location, Severity, render};
pub use driver::Driver;
pub use load::Parsed;
pub use merged::Merged;
pub use request::{Answer, Answers, Request};
use serin_model::plan::Plan;

/// A file as it lies in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, used in messages.
    pub path: String,
    /// Its bytes; whether they are UTF-8 is checked inside.
    pub bytes: Vec<u8>,
}

impl SourceFile {
    /// A file of that path and content.
    #[must_use]
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into() }
    }

    /// Its text without a byte order mark; bytes that are not UTF-8 are shown as replacement characters.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes))
    }
}

/// What a call of [`compile`] comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// These are needed first; answer them all and call again.
    Ask(Vec<Request>),
    /// It is done.
    Done(Box<Compilation>),
}

/// Why there is no pipeline although the file is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCreated {
    /// `workflow:rules` say so.
    Workflow,
    /// No job is left, or only jobs of `.pre` and `.post`.
    NoJobs,
}

/// Why a pipeline has a job or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has neither rules nor `only` and `except`.
    NoRules,
    /// A rule holds; it may say `never`.
    Rule,
    /// It has rules, and none holds.
    NoRuleHolds,
    /// `only` and `except`, or that jobs without rules are not in merge request pipelines.
    Filter,
}

/// What is known of a job beyond the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDetail {
    /// The job's name in the plan.
    pub job: String,
    /// Its name in the file, which copies share.
    pub group: String,
    /// Where it is defined.
    pub defined: Location,
    /// Where the rule stands that decided.
    pub rule: Option<Location>,
    /// Why the pipeline has it or not.
    pub reason: Reason,
    /// Whether the pipeline has it.
    pub included: bool,
    /// Keywords that the plan has no room for, as JSON: `id_tokens`, `secrets`, `release`, `pages`, `run`, `inputs`,
    /// `identity`, `dast_configuration`, `hooks`, and `needs` of other projects and pipelines.
    pub extra: Vec<(String, String)>,
}

/// A compiled pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compilation {
    /// The pipeline; `None` where there are errors, or none comes into being.
    pub plan: Option<Plan>,
    /// Why there is none although nothing is wrong.
    pub not_created: Option<NotCreated>,
    /// One for each job of the plan, in its order.
    pub details: Vec<JobDetail>,
    /// Jobs of the file that the pipeline does not have.
    pub excluded: Vec<JobDetail>,
    /// The whole configuration after includes, references and `extends`.
    pub merged: Merged,
    /// Errors and warnings, in order of file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read, the entry first; for [`render`].
    pub sources: Vec<SourceFile>,
}

/// Compiles a pipeline file: answers what it needs with [`Step::Ask`] until all is known.
#[must_use]
pub fn compile(entry: &SourceFile, context: &Context, answers: &Answers) -> Step {
    compile::run(Parsed::new(entry), context, answers)
}

/// Checks the keywords of a file that need not be whole, such as one that others include: shapes and spelling, no jobs'
/// relations.
#[must_use]
pub fn check_fragment(file: &SourceFile) -> Vec<Diagnostic> {
    fragment::check(file, |_| true)
}

/// Checks one root key of a file, as [`check_fragment`] does.
#[must_use]
pub fn check_key(file: &SourceFile, key: &str) -> Vec<Diagnostic> {
    fragment::check(file, |name| name == key)
}

/// Reads the value of each root key as a file of its own and checks it, as [`check_fragment`] does.
#[must_use]
pub fn fragments(file: &SourceFile) -> Vec<(String, Vec<Diagnostic>)> {
    fragment::each(file)
}
