//! One call of the compiler: what is known, what is asked for, what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::context::Context;
use crate::diagnostic::Sink;
use crate::glob::Glob;
use crate::request::{Answer, Answers, Request};
use crate::variables::Known;

/// Comparisons of a path with a glob, after which a clause holds without looking further.
const COMPARISONS_MAX: usize = 50_000;

/// Bytes that the jobs of a pipeline may take together.
const PLAN_BYTES_MAX: usize = 48 << 20;

/// One call of the compiler.
pub(crate) struct Session<'a> {
    /// What the pipeline is created with.
    pub context: &'a Context,
    /// The answers so far.
    pub answers: &'a Answers,
    /// Variables known before any file is read.
    pub known: Rc<Known>,
    /// Findings.
    pub sink: Sink,
    asked: BTreeSet<Request>,
    globs: BTreeMap<String, Glob>,
    plan_bytes: usize,
}

/// What is known of a request.
pub(crate) enum Reply<'a> {
    /// It was asked for just now.
    Asked,
    /// It was answered.
    Given(&'a Answer),
}

impl<'a> Session<'a> {
    /// A call with that context and those answers, after what was found so far.
    pub fn new(context: &'a Context, answers: &'a Answers, sink: Sink) -> Self {
        Self {
            context,
            answers,
            known: Rc::new(Known::new(context)),
            sink,
            asked: BTreeSet::new(),
            globs: BTreeMap::new(),
            plan_bytes: 0,
        }
    }

    /// Whether a further job of that size has room among the others.
    pub fn afford(&mut self, bytes: usize) -> bool {
        self.plan_bytes = self.plan_bytes.saturating_add(bytes);
        self.plan_bytes <= PLAN_BYTES_MAX
    }

    /// Whether the jobs have become too large.
    pub fn is_overdrawn(&self) -> bool {
        self.plan_bytes > PLAN_BYTES_MAX
    }

    /// Looks an answer up, or asks for it.
    pub fn ask(&mut self, request: Request) -> Reply<'a> {
        match self.answers.get(&request) {
            Some(answer) => Reply::Given(answer),
            None => {
                self.asked.insert(request);
                Reply::Asked
            }
        }
    }

    /// What was asked for and not answered.
    pub fn take_asked(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.asked).into_iter().collect()
    }

    /// Whether one of the paths matches one of the patterns; too many comparisons count as a match.
    pub fn any_match(&mut self, patterns: &[String], paths: &[String]) -> bool {
        if patterns.len().saturating_mul(paths.len()) > COMPARISONS_MAX && !patterns.iter().all(|p| is_plain(p)) {
            return true;
        }
        patterns.iter().any(|pattern| {
            if is_plain(pattern) {
                return paths.iter().any(|path| path == pattern);
            }
            let glob = self.globs.entry(pattern.clone()).or_insert_with(|| Glob::new(pattern));
            paths.iter().any(|path| glob.matches(path))
        })
    }
}

fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{', '\\']) && !pattern.starts_with("./")
}
