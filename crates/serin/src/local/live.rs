//! The progress area: one line for each running job, with its time and its last line of output.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal;

/// Redraws in a second.
const FRAMES: u8 = 10;
/// A running job's line.
const TEMPLATE: &str = "{spinner:.cyan} {prefix:.bold} {elapsed:.dim} {wide_msg:.dim}";

/// The area.
#[derive(Debug)]
pub struct Live {
    area: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Live {
    /// An area on standard output.
    pub fn new() -> Self {
        let area = MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(FRAMES));
        Self { area, bars: Mutex::default() }
    }

    /// A job begins.
    pub fn started(&self, name: &str) {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = self.area.add(ProgressBar::new_spinner().with_style(style));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(FRAMES)));
        if let Some(before) = self.bars().insert(name.to_owned(), bar) {
            before.finish_and_clear();
        }
    }

    /// A job wrote a line.
    pub fn line(&self, name: &str, text: &str) {
        if let Some(bar) = self.bars().get(name) {
            bar.set_message(anstream::adapter::strip_str(text).to_string());
        }
    }

    /// A job ended.
    pub fn ended(&self, name: &str) {
        let bar = self.bars().remove(name);
        if let Some(bar) = bar {
            bar.finish_and_clear();
            self.area.remove(&bar);
        }
    }

    /// Writes a line above the area.
    pub fn print(&self, text: &str) {
        let text =
            if terminal::shows_colours() { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() };
        // A terminal that is gone shows nothing.
        let _ = self.area.println(if text.is_empty() { " " } else { &text });
    }

    /// Takes the area away.
    pub fn clear(&self) {
        self.bars().drain().for_each(|(_, bar)| bar.finish_and_clear());
        // A terminal that is gone shows nothing. The area leaves the cursor at the end of the line above it.
        let _ = self.area.clear().and_then(|()| writeln!(std::io::stdout()));
    }

    fn bars(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
