//! Asks, answers, compiles again: the loop around [`crate::compile`], for callers that wait for answers and that do not.

use crate::request::{Answer, Answers, Request};
use crate::{Compilation, Context, Parsed, SourceFile, Step, compile};

/// Rounds of questions that one compilation may ask; includes nest no deeper.
const ROUNDS_MAX: usize = 200;

/// One compilation and the answers that it was given.
///
/// ```
/// use serin_lang::{Answer, Context, Driver, SourceFile};
/// let entry = SourceFile::new(".gitlab-ci.yml", "job: {script: make}");
/// let context = Context { default_branch: "main".to_owned(), ..Context::default() };
/// let done = Driver::new(&entry, &context).run(|_| Ok::<_, ()>(Answer::Missing("not here".to_owned())));
/// assert_eq!(done.unwrap().plan.unwrap().jobs[0].name, "job");
/// ```
#[derive(Debug)]
pub struct Driver<'a> {
    entry: Parsed,
    context: &'a Context,
    answers: Answers,
    rounds: usize,
}

impl<'a> Driver<'a> {
    /// A compilation of that file.
    #[must_use]
    pub fn new(entry: &SourceFile, context: &'a Context) -> Self {
        Self::of(Parsed::new(entry), context)
    }

    /// A compilation of a file that was parsed ahead.
    #[must_use]
    pub fn of(entry: Parsed, context: &'a Context) -> Self {
        Self { entry, context, answers: Answers::default(), rounds: 0 }
    }

    /// Compiles as far as the answers reach. Questions beyond the last round are answered with a refusal, so that this
    /// ends after a bounded number of calls, whatever the files hold.
    pub fn step(&mut self) -> Step {
        loop {
            match compile::run(self.entry.clone(), self.context, &self.answers) {
                Step::Ask(requests) if self.rounds >= ROUNDS_MAX => {
                    let refusal = format!("files were asked for {ROUNDS_MAX} times, and no further ones are read");
                    requests.into_iter().for_each(|request| self.give(request, Answer::Missing(refusal.clone())));
                }
                step => {
                    self.rounds += 1;
                    return step;
                }
            }
        }
    }

    /// Keeps the answer to one question.
    pub fn give(&mut self, request: Request, answer: Answer) {
        self.answers.give(request, answer);
    }

    /// Compiles with answers that are at hand.
    ///
    /// # Errors
    /// What `answer` fails with.
    pub fn run<E>(mut self, mut answer: impl FnMut(&Request) -> Result<Answer, E>) -> Result<Compilation, E> {
        loop {
            match self.step() {
                Step::Done(compilation) => return Ok(*compilation),
                Step::Ask(requests) => {
                    for request in requests {
                        let given = answer(&request)?;
                        self.give(request, given);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Driver;
    use crate::{Answer, Context, Request, SourceFile};

    #[test]
    fn a_chain_that_never_ends_is_ended() {
        let entry = SourceFile::new("x", "include: 0.yml\njob: {script: x}");
        let mut asked = 0;
        let context = Context::default();
        let done = Driver::new(&entry, &context).run(|request| {
            asked += 1;
            let Request::ProjectFile { path } = request else { panic!("{request:?}") };
            let next = path.trim_end_matches(".yml").parse::<u32>().unwrap() + 1;
            Ok::<_, ()>(Answer::File(format!("include: {next}.yml").into_bytes()))
        });
        assert!(done.unwrap().plan.is_none());
        assert!(asked <= super::ROUNDS_MAX, "{asked}");
    }
}
