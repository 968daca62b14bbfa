//! A job's output as lines for people, out of the trace's bytes.

use std::collections::VecDeque;

/// Bytes of a line that are shown.
const LINE_BYTES_MAX: usize = 4 << 10;
/// Lines that are kept for the end.
const TAIL_LINES: usize = 12;

/// Takes a trace's bytes; knows what of it a person at a terminal wants to see.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    section: Option<String>,
    tail: VecDeque<String>,
}

impl Lines {
    /// Takes bytes, and hands each line that is to be shown to `show`.
    pub fn push(&mut self, mut bytes: &[u8], show: &mut dyn FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            self.end_line(show);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Nothing follows.
    pub fn finish(&mut self, show: &mut dyn FnMut(&str)) {
        if !self.line.is_empty() {
            self.end_line(show);
        }
    }

    /// The last lines that were shown.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, show: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).into_owned();
        let mut rest = text.as_str();
        // A section may begin or end right behind output that has no line's end.
        while let Some((before, (start, name, after))) = next_mark(rest) {
            if !before.is_empty() {
                self.show(before, show);
            }
            rest = after;
            if !OWN.contains(&name) {
                continue;
            }
            self.section = start.then(|| name.to_owned());
            if start {
                return;
            }
        }
        if !rest.is_empty() || rest.len() == text.len() {
            self.show(rest, show);
        }
    }

    fn show(&mut self, text: &str, show: &mut dyn FnMut(&str)) {
        let text = calm(text);
        if !self.is_shown(&text) {
            return;
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text.clone());
        show(&text);
    }

    /// Scripts speak; of what the runner does around them, only what is wrong is told.
    fn is_shown(&self, text: &str) -> bool {
        match self.section.as_deref() {
            Some("step_script" | "after_script") => true,
            _ => text.starts_with("\x1b[33;1mWARNING: ") || is_error(text),
        }
    }
}

/// Whether the runner tells of something that the job's end alone does not tell.
fn is_error(text: &str) -> bool {
    let ending = |rest: &str| rest.starts_with("Job failed: exit code") || rest.starts_with("Job failed: canceled");
    text.strip_prefix("\x1b[31;1mERROR: ").is_some_and(|rest| !ending(rest))
}

/// The runner's own sections.
const OWN: [&str; 10] = [
    "prepare_executor",
    "prepare_script",
    "get_sources",
    "restore_cache",
    "download_artifacts",
    "step_script",
    "after_script",
    "archive_cache",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
];

/// The first mark of a section in a text, and what comes before it.
fn next_mark(text: &str) -> Option<(&str, (bool, &str, &str))> {
    let at = text.match_indices("section_").find_map(|(at, _)| Some((at, mark(&text[at..])?)));
    at.map(|(at, mark)| (&text[..at], mark))
}

/// A section's mark at the beginning of a text: whether it starts, its name, what follows.
fn mark(text: &str) -> Option<(bool, &str, &str)> {
    let (start, rest) = match text.strip_prefix("section_start:") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("section_end:")?),
    };
    let (time, rest) = rest.split_once(':')?;
    let (name, rest) = rest.split_once('\r')?;
    let plain = time.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| (start, name.split('[').next().unwrap_or(name), rest.trim_start_matches("\x1b[0K")))
}

/// A line that cannot do anything to a terminal but colour it: what a carriage return overwrote is gone, and so are all
/// control characters and sequences but colours.
#[must_use]
pub fn calm(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let used = match colour(tail) {
            Some(length) => {
                out.push_str(&tail[..length]);
                length
            }
            None => sequence(tail),
        };
        rest = &tail[used..];
    }
    out.push_str(rest);
    out
}

/// The length of a colour's sequence.
fn colour(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\x1b[")?;
    let end = body.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    (body.as_bytes().get(end) == Some(&b'm')).then_some(end + 3)
}

/// The length of a control character, or of the sequence that it begins.
fn sequence(text: &str) -> usize {
    let first = text.chars().next().map_or(1, char::len_utf8);
    if let Some(body) = text.strip_prefix("\x1b[") {
        let end = body.bytes().take_while(|byte| (0x20..0x40).contains(byte)).count();
        let last = body.as_bytes().get(end).is_some_and(|byte| (0x40..0x7f).contains(byte));
        return 2 + end + usize::from(last);
    }
    if let Some(body) = text.strip_prefix("\x1b]") {
        let end = body.find(['\x07', '\x1b']).map_or(body.len(), |end| end + 1);
        return 2 + end;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::{Lines, calm};

    #[test]
    fn terminals_are_only_coloured() {
        assert_eq!(calm("a\x1b[31mb\x1b[0;1mc"), "a\x1b[31mb\x1b[0;1mc");
        assert_eq!(calm("\x1b[2J\x1b[1;1Hx\x07\x1b]0;title\x07y\x1bc"), "xyc");
        assert_eq!(calm("10%\r20%\r30%\r"), "30%");
        assert_eq!(calm("\u{9b}31mx\tz"), "31mx\tz");
        assert_eq!(calm("\x1b["), "");
        assert_eq!(calm("\x1b[ä"), "ä");
    }

    #[test]
    fn scripts_are_shown_and_warnings() {
        let trace = "Running\nsection_start:1:get_sources\r\x1b[0K\x1b[0KGetting\nCopying\n\x1b[33;1mWARNING: odd\x1b[0;m\n\
            section_end:1:get_sources\r\x1b[0Ksection_start:2:step_script\r\x1b[0K\x1b[0KExecuting\none\n\
            section_start:3:mine[collapsed=true]\r\x1b[0KTwo\nsection_end:3:mine\r\x1b[0K\nthree\n\
            open endsection_end:2:step_script\r\x1b[0KJob\nend";
        let mut lines = Lines::default();
        let mut shown = Vec::new();
        for chunk in trace.as_bytes().chunks(7) {
            lines.push(chunk, &mut |line| shown.push(line.to_owned()));
        }
        lines.finish(&mut |line| shown.push(line.to_owned()));
        assert_eq!(shown, ["\x1b[33;1mWARNING: odd\x1b[0;m", "one", "Two", "three", "open end"]);
        assert_eq!(lines.tail(), shown);
    }
}
