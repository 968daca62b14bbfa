//! A run told to people: what is open whenever that changes, and the verdict.

use serin_judge::{Answer, Language, Reason, Verdict, explain, explain_plan};

use super::write_line;
use crate::cli::Format;
use crate::judge::{Detail, Run, answer_line};
use crate::terminal::{self, DIM, GREEN, RED, YELLOW, styled};

/// Tells runs one after the other.
pub struct Story {
    language: Language,
    format: Format,
    told: Option<Vec<Reason>>,
}

impl Story {
    /// Starts with nothing told.
    pub fn new(language: Language, format: Format) -> Self {
        Self { language, format, told: None }
    }

    /// Tells who is compared with whom.
    pub fn begin(&mut self, run: &Run) {
        self.told = None;
        if self.format == Format::Text {
            let config = run.config();
            let names = |nodes: &[String]| match nodes {
                [first, .., last] if nodes.len() > 4 => format!("{first} … {last} ({})", nodes.len()),
                few => few.join(", "),
            };
            let (new, old) = (names(&config.canary), names(&config.baseline));
            terminal::line(&match self.language {
                Language::English => format!("canary {new} against {old}"),
                Language::Chinese => format!("灰度 {new} 对比 {old}"),
            });
        }
    }

    /// Tells an answer, if it says something new.
    pub fn tell(&mut self, run: &Run, answer: &Answer) {
        if self.format == Format::Json {
            // Nobody reads any more: nothing to tell, and nobody to tell it to.
            let _ = write_line(&answer_line(answer.tick, answer, Detail::Explained(self.language)));
            return;
        }
        if self.told.is_none()
            && let Some(outlook) = explain_plan(&run.outlook(), self.language)
        {
            self.line(run, answer, &styled(YELLOW, &outlook));
        }
        if self.told.as_ref() == Some(&answer.why) && answer.verdict == Verdict::Continue {
            return;
        }
        self.told = Some(answer.why.clone());
        let style = match answer.verdict {
            Verdict::Continue => DIM,
            Verdict::Pass => GREEN,
            Verdict::Fail => RED,
            Verdict::Inconclusive => YELLOW,
        };
        let sentence = explain(answer, self.language);
        let told = match answer.verdict {
            Verdict::Continue => sentence,
            verdict => format!("{}: {sentence}", verdict.as_str()),
        };
        self.line(run, answer, &styled(style, &told));
    }

    fn line(&self, run: &Run, answer: &Answer, text: &str) {
        let seconds = (answer.tick + 1) as f64 * run.config().tick_ms as f64 / 1000.0;
        let at = match seconds {
            s if s < 120.0 => format!("{s:.1} s"),
            s => format!("{:.1} min", s / 60.0),
        };
        terminal::line(&format!("{at:>10}  {text}"));
    }
}
