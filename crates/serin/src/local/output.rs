//! What people see while jobs run: prefixed lines, or a progress area on a terminal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};

use super::lines::Lines;
use super::live::Live;
use crate::terminal::{self, DIM, GREEN, RED, YELLOW, styled};

/// Characters of a job's name in front of its lines.
const NAME_WIDTH_MAX: usize = 32;
/// Colours of the names, in turn.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
];

/// Where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error, as standard output is for data.
    Error,
}

/// Writes for people.
#[derive(Debug)]
pub struct Output {
    stream: Stream,
    live: Option<Live>,
    over: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    width: usize,
    /// The jobs that wrote something, numbered in turn.
    jobs: HashMap<String, usize>,
}

/// One job's way to the output.
#[derive(Debug, Default)]
pub struct Feed(Mutex<Lines>);

impl Output {
    /// Writes lines to that stream.
    #[must_use]
    pub fn lines(stream: Stream) -> Self {
        Self { stream, live: None, over: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Shows running jobs in an area at the bottom of the terminal that standard output is.
    #[must_use]
    pub fn live() -> Self {
        Self { stream: Stream::Output, live: Some(Live::new()), over: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Tells the names of jobs that may come, so that their lines stand in line.
    pub fn expect<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut state = self.lock();
        for name in names {
            state.width = state.width.max(name.chars().count().min(NAME_WIDTH_MAX));
        }
    }

    /// A job begins.
    pub fn started(&self, name: &str) {
        match &self.live {
            Some(live) => live.started(name),
            None => self.write(name, &styled(DIM, "started")),
        }
    }

    /// A job wrote a line.
    pub fn line(&self, name: &str, text: &str) {
        match &self.live {
            Some(live) => live.line(name, text),
            None => self.write(name, text),
        }
    }

    /// Something about a job that does not run.
    pub fn aside(&self, name: &str, words: &str) {
        match &self.live {
            Some(live) => live.print(&format!("{} {name}  {}", styled(DIM, "·"), styled(DIM, words))),
            None => self.write(name, &styled(DIM, words)),
        }
    }

    /// A job ended well.
    pub fn good(&self, name: &str, words: &str) {
        self.ended(name, words, ("✓", GREEN));
    }

    /// A job ended with a warning, or an attempt of it.
    pub fn odd(&self, name: &str, words: &str) {
        self.ended(name, words, ("!", YELLOW));
    }

    /// A job ended badly.
    pub fn bad(&self, name: &str, words: &str) {
        self.ended(name, words, ("✗", RED));
    }

    fn ended(&self, name: &str, words: &str, (mark, style): (&str, Style)) {
        match &self.live {
            Some(live) => {
                live.ended(name);
                live.print(&format!("{} {name}  {}", styled(style, mark), styled(DIM, words)));
            }
            None => self.write(name, &styled(style, words)),
        }
    }

    /// Something about the whole run.
    pub fn note(&self, text: &str) {
        self.print(&styled(DIM, text));
    }

    fn write(&self, name: &str, text: &str) {
        let prefix = self.prefix(name);
        // A colour that the job leaves on is not the next line's.
        let end = if text.contains('\x1b') { "\x1b[0m" } else { "" };
        self.print(&format!("{prefix} {} {text}{end}", styled(DIM, "|")));
    }

    fn prefix(&self, name: &str) -> String {
        let mut state = self.lock();
        let next = state.jobs.len();
        let index = state.jobs.get(name).copied().unwrap_or_else(|| *state.jobs.entry(name.to_owned()).or_insert(next));
        let width = state.width;
        let style: Style = COLOURS[index % COLOURS.len()].on_default();
        let length = name.chars().count();
        let shown: String = if length > NAME_WIDTH_MAX {
            name.chars().take(NAME_WIDTH_MAX - 1).chain(['…']).collect()
        } else {
            name.to_owned()
        };
        let padding = " ".repeat(width.saturating_sub(length));
        format!("{}{padding}", styled(style, &shown))
    }

    fn print(&self, text: &str) {
        match (&self.live, self.stream) {
            (Some(live), _) if !self.over.load(Ordering::Relaxed) => live.print(text),
            (_, Stream::Output) => terminal::line(text),
            (_, Stream::Error) => terminal::note(text),
        }
    }

    /// No job runs any more: the area goes.
    pub fn rest(&self) {
        if let Some(live) = &self.live {
            live.clear();
        }
        self.over.store(true, Ordering::Relaxed);
    }

    /// Writes a line as it is.
    pub fn plain(&self, text: &str) {
        self.print(text);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// Takes bytes of a job's trace.
    pub fn push(&self, bytes: &[u8], output: &Output, name: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(bytes, &mut |line| output.line(name, line));
    }

    /// Nothing follows; the last lines.
    pub fn finish(&self, output: &Output, name: &str) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.finish(&mut |line| output.line(name, line));
        lines.tail()
    }
}
