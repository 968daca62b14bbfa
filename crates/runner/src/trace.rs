//! A job's trace on its way to the sink: sections, the runner's own lines, masking, coverage.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::coverage::Coverage;
use crate::mask::Masker;
use crate::request::TraceSink;

const GREEN: &str = "\x1b[32;1m";
const RED: &str = "\x1b[31;1m";
const YELLOW: &str = "\x1b[33;1m";
const CYAN: &str = "\x1b[36;1m";
const PLAIN: &str = "\x1b[0;m";

/// Writes a job's trace; everything passes the masks.
pub(crate) struct Trace<'a> {
    sink: &'a dyn TraceSink,
    masker: Masker,
    coverage: Option<Coverage>,
    out: Vec<u8>,
}

impl<'a> Trace<'a> {
    pub(crate) fn new(sink: &'a dyn TraceSink, masker: Masker, coverage: Option<Coverage>) -> Self {
        Self { sink, masker, coverage, out: Vec::new() }
    }

    /// The percentage in the last line so far that has one.
    pub(crate) fn coverage(&self) -> Option<f64> {
        self.coverage.as_ref().and_then(Coverage::percentage)
    }

    /// Takes what the job writes; waits as long as the sink waits.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.masker.push(bytes, &mut self.out);
        self.pass_on().await;
    }

    /// Shows what was held back: what follows comes from someone else.
    pub(crate) async fn settle(&mut self) {
        self.masker.finish(&mut self.out);
        self.pass_on().await;
    }

    /// Writes a line of the runner.
    pub(crate) async fn line(&mut self, text: &str) {
        self.write(text.as_bytes()).await;
        self.write(b"\n").await;
        self.settle().await;
    }

    /// Writes a line that says that something is well.
    pub(crate) async fn good(&mut self, text: &str) {
        self.line(&format!("{GREEN}{text}{PLAIN}")).await;
    }

    /// Writes a line that says that something is odd.
    pub(crate) async fn warning(&mut self, text: &str) {
        self.line(&format!("{YELLOW}WARNING: {text}{PLAIN}")).await;
    }

    /// Writes a line that says that something went wrong.
    pub(crate) async fn error(&mut self, text: &str) {
        self.line(&format!("{RED}ERROR: {text}{PLAIN}")).await;
    }

    /// Begins a section that pages can fold.
    pub(crate) async fn section(&mut self, name: &str, title: &str) {
        self.line(&format!("section_start:{}:{name}\r\x1b[0K\x1b[0K{CYAN}{title}{PLAIN}", seconds())).await;
    }

    /// Ends a section.
    pub(crate) async fn section_end(&mut self, name: &str) {
        self.write(format!("section_end:{}:{name}\r\x1b[0K", seconds()).as_bytes()).await;
        self.settle().await;
    }

    async fn pass_on(&mut self) {
        if self.out.is_empty() {
            return;
        }
        if let Some(coverage) = &mut self.coverage {
            coverage.push(&self.out);
        }
        self.sink.append(&self.out).await;
        self.out.clear();
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
