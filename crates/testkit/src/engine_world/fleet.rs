//! The runners, and the wire between them and the server.

use serin_engine::Outcome;
use serin_model::{FailureReason, JobId, Timestamp};

use super::server::{Answer, Held, Server, Weather};
use crate::random::Random;

const SILENCE_MS_MAX: usize = 60_000;
const WIRE_MESSAGES_MAX: usize = 50;

/// All runners, and their messages under way.
pub struct Fleet {
    runners: Vec<Runner>,
    wire: Vec<Message>,
}

/// A runner with at most one job.
#[derive(Clone, Copy, Default)]
struct Runner {
    held: Option<Held>,
    /// How its job ended; sent until it is answered.
    result: Option<Outcome>,
    /// Cut off until then; it works on, and sends late.
    silent_until: Timestamp,
}

#[derive(Clone, Copy)]
struct Message {
    from: usize,
    held: Held,
    /// How it ended; `None`: it goes on.
    result: Option<Outcome>,
}

impl Fleet {
    pub fn new(runners: usize) -> Self {
        Self { runners: vec![Runner::default(); runners], wire: Vec::new() }
    }

    /// One runner does something.
    pub fn turn(&mut self, server: &mut Server, random: &mut Random, now: Timestamp) -> Result<(), String> {
        let from = random.below(self.runners.len());
        let storm = server.weather == Weather::Storm;
        let runner = &mut self.runners[from];
        if storm && runner.silent_until > now {
            return Ok(());
        }
        let Some(held) = runner.held else { return self.claim(from, (server, random), now) };
        let result = match random.below(100) {
            0..4 if storm => {
                *runner = Runner::default();
                return Ok(());
            }
            4..12 if storm => {
                runner.silent_until = now.plus_ms(random.below(SILENCE_MS_MAX) as i64);
                return Ok(());
            }
            0..50 => runner.result,
            _ => Some(*runner.result.get_or_insert_with(|| draw_outcome(random))),
        };
        self.send(Message { from, held, result });
        Ok(())
    }

    fn claim(&mut self, from: usize, world: (&mut Server, &mut Random), now: Timestamp) -> Result<(), String> {
        let (server, random) = world;
        let Some(job) = take(&mut server.queue, random) else { return Ok(()) };
        if let Answer::Done(fence) = server.claim(job, now)? {
            self.runners[from] = Runner { held: Some(Held { job, fence }), ..Runner::default() };
        }
        Ok(())
    }

    fn send(&mut self, message: Message) {
        if self.wire.len() < WIRE_MESSAGES_MAX {
            self.wire.push(message);
        }
    }

    /// A message arrives: not in order, perhaps twice, perhaps never.
    pub fn deliver(&mut self, server: &mut Server, random: &mut Random, now: Timestamp) -> Result<(), String> {
        if self.wire.is_empty() {
            return Ok(());
        }
        let at = random.below(self.wire.len());
        let message = self.wire[at];
        let storm = server.weather == Weather::Storm;
        if !(storm && random.chance(20)) {
            self.wire.swap_remove(at);
        }
        if storm && random.chance(10) {
            return Ok(());
        }
        let answer = match message.result {
            Some(outcome) => server.finish(message.held, outcome, now)?,
            None => server.renew(message.held, now)?,
        };
        self.hear(message, &answer, random);
        Ok(())
    }

    /// The runner hears the answer; now and then one that lost its job works on all the same.
    fn hear(&mut self, message: Message, answer: &Answer, random: &mut Random) {
        let runner = &mut self.runners[message.from];
        let over = match answer {
            Answer::Done(_) => message.result.is_some(),
            Answer::Refused => message.result.is_some() || random.chance(70),
            Answer::Silence => false,
        };
        if over && runner.held == Some(message.held) {
            *runner = Runner::default();
        }
    }

    /// The holder is told to stop; now and then it does not listen.
    pub fn stop(&mut self, held: Held, random: &mut Random) {
        let listens = random.chance(70);
        for runner in self.runners.iter_mut().filter(|runner| runner.held == Some(held) && listens) {
            runner.result.get_or_insert(Outcome::Canceled);
        }
    }
}

fn take(queue: &mut Vec<JobId>, random: &mut Random) -> Option<JobId> {
    if queue.is_empty() {
        return None;
    }
    Some(queue.swap_remove(random.below(queue.len())))
}

fn draw_outcome(random: &mut Random) -> Outcome {
    let failed = |reason, exit_code| Outcome::Failed { reason, exit_code };
    match random.below(20) {
        0..3 => failed(FailureReason::ScriptFailure, Some(1)),
        3 => failed(FailureReason::ScriptFailure, Some(2)),
        4 => failed(FailureReason::RunnerSystemFailure, None),
        5 => failed(FailureReason::JobExecutionTimeout, None),
        6 => Outcome::Canceled,
        _ => Outcome::Success,
    }
}
