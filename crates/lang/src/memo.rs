//! Expressions and patterns that were read, by their text: many jobs share the same rules, and compiling a pattern is dear.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use crate::expression::{Expression, Invalid};
use crate::pattern;

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memo {
    expressions: BTreeMap<String, Arc<Result<Expression, Invalid>>>,
    patterns: BTreeMap<String, Option<Regex>>,
    /// Expressions whose patterns were too large to be compiled, which took its time.
    too_large: usize,
}

/// Expressions with patterns that are too large, after which no further one is read.
const TOO_LARGE_MAX: usize = 8;

fn unread() -> Invalid {
    Invalid { at: 0, reason: "it was not read, for too many before it are too large".to_owned(), hint: None }
}

impl Memo {
    /// An expression of that text.
    pub fn expression(&mut self, text: &str) -> Arc<Result<Expression, Invalid>> {
        if let Some(known) = self.expressions.get(text) {
            return known.clone();
        }
        let read = Arc::new(if self.too_large < TOO_LARGE_MAX { Expression::parse(text) } else { Err(unread()) });
        if read.as_ref().as_ref().is_err_and(|invalid| invalid.reason.ends_with(pattern::TOO_LARGE)) {
            self.too_large += 1;
        }
        self.expressions.insert(text.to_owned(), read.clone());
        read
    }

    /// A pattern of the form `/pattern/flags`; `None`: it is none.
    pub fn pattern(&mut self, text: &str) -> Option<Regex> {
        if let Some(known) = self.patterns.get(text) {
            return known.clone();
        }
        let read = pattern::slashed(text).and_then(|(body, flags)| pattern::compile(body, flags).ok());
        self.patterns.insert(text.to_owned(), read.clone());
        read
    }
}
