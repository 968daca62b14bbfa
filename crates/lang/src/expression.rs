//! `rules:if`: tokens, tree, value.

mod lexer;
mod parser;

use std::collections::BTreeSet;

use regex::Regex;

use crate::pattern;

/// Tokens of one expression; GitLab refuses the hundredth.
pub(crate) const TOKENS_MAX: usize = 99;

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Term,
}

/// What an expression yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: an undefined variable, or `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A text.
    Text(String),
}

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Value(Value),
    Variable(String),
    Input(String),
    Pattern(Regex, String),
    Not(Box<Term>),
    Binary(Operator, Box<Term>, Box<Term>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    NotEquals,
    Matches,
    NotMatches,
    And,
    Or,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Byte of the text where it goes wrong.
    pub at: usize,
    /// What is wrong.
    pub reason: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let tokens = lexer::tokens(text)?;
        parser::parse(&tokens, text.len()).map(|root| Self { root })
    }

    /// Its value, with the values of variables.
    pub fn value<'a>(&self, variable: &dyn Fn(&str) -> Option<&'a str>) -> Value {
        evaluate(&self.root, &|name| variable(name).map(|text| Value::Text(text.to_owned())), &|_| Value::Null)
    }

    /// Whether the value is present: not null, not false, not an empty or blank text.
    pub fn holds<'a>(&self, variable: &dyn Fn(&str) -> Option<&'a str>) -> bool {
        self.value(variable).is_present()
    }

    /// Whether it holds, with the values of inputs.
    pub(crate) fn holds_with_inputs(
        &self,
        variable: &dyn Fn(&str) -> Option<Value>,
        input: &dyn Fn(&str) -> Value,
    ) -> bool {
        evaluate(&self.root, variable, input).is_present()
    }

    /// Whether it tests by `==` or `!=` if something is a pattern, which nothing is.
    pub(crate) fn equals_pattern(&self) -> bool {
        let mut found = false;
        collect(&self.root, &mut |term| {
            if let Term::Binary(Operator::Equals | Operator::NotEquals, left, right) = term {
                found |= matches!(**left, Term::Pattern(..)) != matches!(**right, Term::Pattern(..));
            }
        });
        found
    }

    /// Whether the other holds wherever this one does, as far as that shows in how both are put together.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        let parts = |root: &Term| -> Vec<BTreeSet<String>> {
            flat(root, Operator::Or)
                .into_iter()
                .map(|part| flat(part, Operator::And).into_iter().map(|term| format!("{term:?}")).collect())
                .collect()
        };
        let others = parts(&other.root);
        parts(&self.root).iter().all(|own| others.iter().any(|other| other.is_subset(own)))
    }

    /// The variables in it.
    pub(crate) fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        collect(&self.root, &mut |term| {
            if let Term::Variable(name) = term {
                names.push(name.as_str());
            }
        });
        names
    }
}

impl Value {
    /// Not null, not false, not an empty or blank text.
    #[must_use]
    pub fn is_present(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Text(text) => !text.trim().is_empty(),
        }
    }

    /// Whether Ruby's `&&` and `||` take it for true: an empty text is.
    fn is_truthy(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    fn into_text(self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// What stands on both sides of an operator, and of the same operator within.
fn flat(term: &Term, by: Operator) -> Vec<&Term> {
    match term {
        Term::Binary(operator, left, right) if *operator == by => {
            let mut all = flat(left, by);
            all.extend(flat(right, by));
            all
        }
        _ => vec![term],
    }
}

fn collect<'t>(term: &'t Term, see: &mut dyn FnMut(&'t Term)) {
    see(term);
    match term {
        Term::Not(inner) => collect(inner, see),
        Term::Binary(_, left, right) => {
            collect(left, see);
            collect(right, see);
        }
        _ => {}
    }
}

fn evaluate(term: &Term, variable: &dyn Fn(&str) -> Option<Value>, input: &dyn Fn(&str) -> Value) -> Value {
    let eval = |term: &Term| evaluate(term, variable, input);
    match term {
        Term::Value(value) => value.clone(),
        Term::Variable(name) => variable(name).unwrap_or(Value::Null),
        Term::Input(name) => input(name),
        Term::Pattern(_, text) => Value::Text(text.clone()),
        Term::Not(inner) => Value::Bool(!eval(inner).is_present()),
        Term::Binary(Operator::And, left, right) => {
            let left = eval(left);
            if left.is_truthy() { eval(right) } else { left }
        }
        Term::Binary(Operator::Or, left, right) => {
            let left = eval(left);
            if left.is_truthy() { left } else { eval(right) }
        }
        Term::Binary(Operator::Equals, left, right) => Value::Bool(equal(left, right, &eval)),
        Term::Binary(Operator::NotEquals, left, right) => Value::Bool(!equal(left, right, &eval)),
        Term::Binary(Operator::Matches, left, right) => Value::Bool(matches(eval(left), right, &eval)),
        Term::Binary(Operator::NotMatches, left, right) => Value::Bool(!matches(eval(left), right, &eval)),
    }
}

/// A pattern is equal to the same pattern alone, never to a text.
fn equal(left: &Term, right: &Term, eval: &dyn Fn(&Term) -> Value) -> bool {
    let is_pattern = |term: &Term| matches!(term, Term::Pattern(..));
    is_pattern(left) == is_pattern(right) && eval(left) == eval(right)
}

/// A right side that is no pattern asks whether it contains the left side.
fn matches(left: Value, right: &Term, eval: &dyn Fn(&Term) -> Value) -> bool {
    let left = left.into_text();
    if let Term::Pattern(regex, _) = right {
        return regex.is_match(&left);
    }
    let Value::Text(right) = eval(right) else {
        return false;
    };
    if let Some((body, flags)) = right.lines().find_map(pattern::slashed)
        && let Ok(regex) = pattern::compile_slashed(body, flags)
    {
        return regex.is_match(&left);
    }
    right.contains(&left)
}
