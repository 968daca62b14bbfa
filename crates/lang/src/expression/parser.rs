//! Tokens to a tree: comparisons bind tighter than `&&`, and that tighter than `||`.

use super::lexer::Token;
use super::{Invalid, Operator, Term, Value};

pub(super) fn parse(tokens: &[(usize, Token)], end: usize) -> Result<Term, Invalid> {
    let mut parser = Parser { tokens, at: 0, end };
    let term = parser.level(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(term),
        Some((at, Token::Close)) => Err(invalid(*at, "this `)` closes nothing")),
        Some((at, _)) => Err(invalid(*at, "an operator is missing here")),
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    end: usize,
}

/// Operators, loosest first.
const LEVELS: [&[Operator]; 3] = [
    &[Operator::Or],
    &[Operator::And],
    &[Operator::Equals, Operator::NotEquals, Operator::Matches, Operator::NotMatches],
];

impl Parser<'_> {
    fn level(&mut self, level: usize) -> Result<Term, Invalid> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.level(level + 1)?;
        while let Some((_, Token::Operator(operator))) = self.tokens.get(self.at)
            && operators.contains(operator)
        {
            self.at += 1;
            let right = self.level(level + 1)?;
            left = Term::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Term, Invalid> {
        let Some((at, token)) = self.tokens.get(self.at) else {
            return Err(invalid(self.end, "a value is missing at the end"));
        };
        self.at += 1;
        Ok(match token {
            Token::Not => Term::Not(Box::new(self.unary()?)),
            Token::Open => self.group(*at)?,
            Token::Variable(name) => Term::Variable(name.clone()),
            Token::Input(name) => Term::Input(name.clone()),
            Token::Text(text) => Term::Value(Value::Text(text.clone())),
            Token::Pattern(regex, text) => Term::Pattern(regex.clone(), text.clone()),
            Token::Null => Term::Value(Value::Null),
            Token::Bool(value) => Term::Value(Value::Bool(*value)),
            Token::Close => return Err(invalid(*at, "a value is missing before `)`")),
            Token::Operator(_) => return Err(invalid(*at, "a value is missing before this operator")),
        })
    }

    fn group(&mut self, open: usize) -> Result<Term, Invalid> {
        let term = self.level(0)?;
        match self.tokens.get(self.at) {
            Some((_, Token::Close)) => {
                self.at += 1;
                Ok(term)
            }
            _ => Err(invalid(open, "this `(` is not closed")),
        }
    }
}

fn invalid(at: usize, reason: &str) -> Invalid {
    Invalid { at, reason: reason.to_owned(), hint: None }
}
