//! What the engine reads and RE2 refuses.

use regex_syntax::ast::{self, Ast, RepetitionKind, RepetitionRange, Visitor};

use super::last_line;

/// Times that a part may be repeated, repetitions around it counted in.
const REPEATED_MAX: u64 = 1_000;

/// Looks through a pattern for what RE2 has no words for.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let tree = ast::parse::Parser::new().parse(pattern).map_err(|error| last_line(&error.to_string()))?;
    ast::visit(&tree, Limits { times: vec![1] })
}

struct Limits {
    /// How often the part at hand is repeated, outermost first.
    times: Vec<u64>,
}

impl Visitor for Limits {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), String> {
        let Ast::Repetition(repetition) = tree else { return Ok(()) };
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err("one repetition right behind another".to_owned());
        }
        let times = self.times.last().copied().unwrap_or(1).saturating_mul(most(&repetition.op.kind));
        if times > REPEATED_MAX {
            return Err(format!("a part is repeated more than {REPEATED_MAX} times"));
        }
        self.times.push(times);
        Ok(())
    }

    fn visit_post(&mut self, tree: &Ast) -> Result<(), String> {
        if matches!(tree, Ast::Repetition(_)) {
            self.times.pop();
        }
        Ok(())
    }
}

fn most(kind: &RepetitionKind) -> u64 {
    match kind {
        RepetitionKind::Range(
            RepetitionRange::Exactly(times) | RepetitionRange::AtLeast(times) | RepetitionRange::Bounded(_, times),
        ) => u64::from((*times).max(1)),
        _ => 1,
    }
}
