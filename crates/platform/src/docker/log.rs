//! A container's log: every line counted once, also where the engine loses its reader; its last lines.

use super::Engine;
use crate::Error;
use crate::level::{self, Level};
use crate::lines::{Line, Lines};
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use serin_model::service::LogFormat;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::timeout;

/// A log that breaks off while its container runs is read on after that.
const RETRY: Duration = Duration::from_millis(200);
/// A log that is silent for so long is asked for its last line: engines lose a reader when files are changed under a flood,
/// and tell it nothing (seen with Docker 20.10).
const SILENCE_MIN: Duration = Duration::from_secs(4);
/// The same for one that has been silent all the time.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// What the engine gets to find the last line.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines of the two streams may stand in the log in another order than their time stamps, in seconds.
const DISORDER_S: i32 = 10;
/// Lines of a log that are read at once.
const LINES_MAX: usize = 10_000;

/// Log lines of one process.
#[derive(Debug, Default)]
pub(super) struct Counts {
    lines: AtomicU64,
    warn: AtomicU64,
    error: AtomicU64,
}

impl Counts {
    /// Lines, WARN lines, ERROR lines.
    pub(super) fn read(&self) -> (u64, u64, u64) {
        (self.lines.load(Relaxed), self.warn.load(Relaxed), self.error.load(Relaxed))
    }

    fn take(&self, format: LogFormat, line: &[u8]) {
        self.lines.fetch_add(1, Relaxed);
        match level::of(format, line) {
            Some(Level::Warn) => self.warn.fetch_add(1, Relaxed),
            Some(Level::Error) => self.error.fetch_add(1, Relaxed),
            Some(Level::Other) | None => 0,
        };
    }
}

/// A container's log.
pub(super) struct Log {
    pub(super) engine: Engine,
    pub(super) id: String,
    pub(super) format: LogFormat,
}

impl Log {
    /// Counts every line after that moment, until it is dropped.
    pub(super) async fn follow(self, begin: String, counts: Arc<Counts>) {
        let mut streams = [Reader::new(&begin), Reader::new(&begin)];
        loop {
            self.read(&mut streams, &counts).await;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Counts what was not counted before until the engine ends, or tells less than it has.
    async fn read(&self, streams: &mut [Reader; 2], counts: &Counts) {
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).timestamps(true);
        let options = options.since(newest(streams).seconds.saturating_sub(DISORDER_S).max(0)).build();
        let mut told = Box::pin(self.engine.api().logs(&self.id, Some(options)));
        streams.iter_mut().for_each(Reader::begin_again);
        let mut patience = SILENCE_MIN;
        loop {
            let output = match timeout(patience, told.next()).await {
                Ok(Some(Ok(output))) => output,
                Ok(_) => return,
                Err(_) if self.has_more(newest(streams)).await => return,
                Err(_) => {
                    patience = SILENCE_MAX.min(patience * 2);
                    continue;
                }
            };
            patience = SILENCE_MIN;
            let [out, err] = &mut *streams;
            let stream = if matches!(output, LogOutput::StdErr { .. }) { err } else { out };
            stream.take(&output.into_bytes(), |text| counts.take(self.format, text));
        }
    }

    /// Whether the log's last line is whole and younger than that.
    async fn has_more(&self, newest: Stamp) -> bool {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail("1").build();
        let mut stream = Box::pin(self.engine.api().logs(&self.id, Some(options)));
        let Ok(Some(Ok(output))) = timeout(ANSWER_TIMEOUT, stream.next()).await else { return false };
        let bytes = output.into_bytes();
        bytes.ends_with(b"\n") && stamped(&bytes).is_some_and(|(stamp, _)| stamp > newest)
    }
}

/// A point in time, to the nanosecond (RFC 3339, UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    /// Since 1970.
    seconds: i32,
    nanoseconds: u32,
}

impl Stamp {
    fn parse(text: &str) -> Self {
        let text = text.trim_end_matches('Z');
        let (_, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = part.bytes().chain(std::iter::repeat(b'0')).take(9);
        let nanoseconds = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0').min(9)));
        Self { seconds: seconds_of(text), nanoseconds }
    }
}

/// One of a log's two streams, and how far it was read.
struct Reader {
    lines: Lines,
    mark: Mark,
}

impl Reader {
    /// Nothing up to that moment is to be counted.
    fn new(begin: &str) -> Self {
        Self { lines: Lines::default(), mark: Mark::at(begin) }
    }

    /// The stream is read once more, from before the mark.
    fn begin_again(&mut self) {
        self.lines = Lines::default();
        self.mark.read_again();
    }

    /// Takes a chunk and gives the text of every new line that it completes.
    fn take(&mut self, chunk: &[u8], mut new: impl FnMut(&[u8])) {
        let Self { lines, mark } = self;
        lines.push(chunk, |line| {
            let Some((stamp, text)) = stamped(line.bytes) else { return };
            if mark.is_new(stamp) {
                new(text);
            }
        });
    }
}

fn newest(streams: &[Reader; 2]) -> Stamp {
    streams.iter().map(|stream| stream.mark.stamp).max().unwrap_or_default()
}

/// How far a stream was counted.
#[derive(Debug)]
struct Mark {
    /// The youngest line's.
    stamp: Stamp,
    /// Counted lines of just that time.
    lines: u64,
    /// Lines of just that time in this reading.
    again: u64,
    /// Whether this reading has come to what was never counted.
    is_past: bool,
}

impl Mark {
    fn at(begin: &str) -> Self {
        Self { stamp: Stamp::parse(begin), lines: u64::MAX, again: 0, is_past: false }
    }

    fn read_again(&mut self) {
        self.again = 0;
        self.is_past = false;
    }

    /// Whether the next line, of that time, was not counted before; then it is.
    fn is_new(&mut self, stamp: Stamp) -> bool {
        match stamp.cmp(&self.stamp) {
            Ordering::Greater => *self = Self { stamp, lines: 1, again: 1, is_past: true },
            Ordering::Equal => {
                self.again += 1;
                if self.again > self.lines {
                    self.lines = self.again;
                    self.is_past = true;
                }
            }
            // A clock may be set back.
            Ordering::Less => {}
        }
        self.is_past
    }
}

/// The time stamp that a line begins with, and its text.
fn stamped(line: &[u8]) -> Option<(Stamp, &[u8])> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let (stamp, text) = line.split_at(blank);
    Some((Stamp::parse(std::str::from_utf8(stamp).ok()?), text.get(1..).unwrap_or_default()))
}

/// Seconds since 1970 of a time stamp; 0, the log's beginning, where it is none.
pub(super) fn seconds_of(stamp: &str) -> i32 {
    let whole = stamp.trim_end_matches('Z');
    let whole = whole.split_once('.').map_or(whole, |(whole, _)| whole);
    let Some((date, time)) = whole.split_once('T') else { return 0 };
    let (Some([year, month, day]), Some([hour, minute, second])) = (three(date, '-'), three(time, ':')) else {
        return 0;
    };
    // Days of the civil calendar since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    // The engine's word for "never" is the year 1.
    i32::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).unwrap_or(0).max(0)
}

fn three(text: &str, by: char) -> Option<[i64; 3]> {
    let mut parts = text.split(by).map(|part| part.parse::<u16>().ok().map(i64::from));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// The last lines of a container's log, oldest first.
pub(super) async fn last_lines(engine: &Engine, id: &str, count: usize) -> Result<Vec<String>, Error> {
    let count = count.min(LINES_MAX);
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail(&count.to_string());
    let mut stream = Box::pin(engine.api().logs(id, Some(options.build())));
    let mut lines: [Lines; 2] = Default::default();
    let mut texts = Vec::new();
    let take = |line: Line<'_>, texts: &mut Vec<String>| {
        let text = line.bytes.iter().position(|byte| *byte == b' ').and_then(|blank| line.bytes.get(blank + 1..));
        texts.push(String::from_utf8_lossy(text.unwrap_or_default()).into_owned());
    };
    while let Some(output) = stream.next().await {
        let output = output.map_err(Error::docker("read the node's log"))?;
        let [out, err] = &mut lines;
        let lines = if matches!(output, LogOutput::StdErr { .. }) { err } else { out };
        lines.push(&output.into_bytes(), |line| take(line, &mut texts));
    }
    for lines in &mut lines {
        lines.finish(|line| take(line, &mut texts));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::{Mark, Stamp, seconds_of, stamped};

    #[test]
    fn time_stamps() {
        assert_eq!(seconds_of("1970-01-01T00:00:00Z"), 0);
        assert_eq!(seconds_of("2026-11-22T21:40:10.25Z"), 1_795_383_610);
        assert_eq!(seconds_of("2024-02-29T23:59:59.999999999Z"), 1_709_251_199);
        assert_eq!(seconds_of("0001-01-01T00:00:00Z"), 0);
        assert_eq!(seconds_of("nonsense"), 0);
        let nanoseconds = |text: &str| Stamp::parse(text).nanoseconds;
        assert_eq!(nanoseconds("2026-11-22T21:40:10.25Z"), 250_000_000);
        assert_eq!(nanoseconds("2026-11-22T21:40:10.000000001Z"), 1);
        assert_eq!(nanoseconds("2026-11-22T21:40:10Z"), 0);
    }

    /// Which of the lines, each the last part of its time stamp, are counted.
    fn counted(mark: &mut Mark, lines: &[&str]) -> Vec<bool> {
        mark.read_again();
        lines.iter().map(|end| mark.is_new(Stamp::parse(&format!("2026-11-22T21:40:{end}Z")))).collect()
    }

    #[test]
    fn lines_of_the_process_before_are_left_out() {
        let mut mark = Mark::at("2026-11-22T21:40:10.25Z");
        assert_eq!(counted(&mut mark, &["10.249999999", "10.25", "10.250000001", "11"]), [false, false, true, true]);
        assert!(counted(&mut Mark::at(""), &["00"])[0]);
        assert_eq!(stamped(b"2026-11-22T21:40:11Z ").unwrap().1, b"");
        assert_eq!(stamped(b"2026-11-22T21:40:11Z new one").unwrap().1, b"new one");
        assert_eq!(stamped(b""), None);
    }

    #[test]
    fn what_is_read_again_is_counted_once_whatever_the_engine_still_has() {
        let mut mark = Mark::at("");
        assert_eq!(counted(&mut mark, &["10.1", "10.2", "10.2"]), [true; 3]);
        // The first lines are no longer kept, and a third one has the same time.
        assert_eq!(counted(&mut mark, &["10.2", "10.2", "10.2", "10.3"]), [false, false, true, true]);
        assert_eq!(counted(&mut mark, &["10.3"]), [false]);
        assert_eq!(counted(&mut mark, &["20.5"]), [true]);
        assert_eq!(counted(&mut mark, &[]), [false; 0]);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_line_of_a_stream() {
        let mut mark = Mark::at("");
        assert_eq!(counted(&mut mark, &["10.5", "09.1", "09.2"]), [true; 3]);
        assert_eq!(counted(&mut mark, &["09.2", "10.5", "10.6", "09.9"]), [false, false, true, true]);
    }
}
