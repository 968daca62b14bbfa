//! BuildKit's progress as lines for people.

use std::collections::HashMap;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::proto::{Moment, Status, Vertex};

/// Steps of a build that are told.
const STEPS_MAX: usize = 10_000;
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 4_096;

/// The steps of a build so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    steps: HashMap<String, Step>,
}

#[derive(Debug)]
struct Step {
    number: usize,
    is_told: bool,
    is_over: bool,
    /// The beginning of a line.
    held: Vec<u8>,
}

impl Progress {
    /// Takes a message in base64, and adds what there is to tell; what is none tells nothing.
    pub(super) fn take(&mut self, message: &str, lines: &mut Vec<String>) {
        let Ok(bytes) = STANDARD.decode(message) else { return };
        let Ok(status) = Status::decode(bytes.as_slice()) else { return };
        for vertex in &status.vertexes {
            self.vertex(vertex, lines);
        }
        for log in &status.logs {
            if let Some(step) = self.steps.get_mut(&log.vertex) {
                step.print(&log.text, lines);
            }
        }
        for vertex in &status.vertexes {
            self.end(vertex, lines);
        }
    }

    fn vertex(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let number = self.steps.len() + 1;
        if number > STEPS_MAX {
            return;
        }
        let new = || Step { number, is_told: false, is_over: false, held: Vec::new() };
        let step = self.steps.entry(vertex.digest.clone()).or_insert_with(new);
        if !step.is_told && (vertex.started.is_some() || vertex.cached) {
            step.is_told = true;
            let name = vertex.name.split_whitespace().collect::<Vec<_>>().join(" ");
            lines.push(format!("#{} {}", step.number, name.chars().take(LINE_BYTES_MAX).collect::<String>()));
        }
    }

    fn end(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let Some(step) = self.steps.get_mut(&vertex.digest).filter(|step| !step.is_over) else { return };
        let (Some(started), Some(completed)) = (vertex.started, vertex.completed) else { return };
        step.is_over = true;
        step.flush(lines);
        let number = step.number;
        lines.push(match (vertex.error.lines().next(), vertex.cached) {
            (Some(error), _) => format!("#{number} ERROR {}", error.chars().take(LINE_BYTES_MAX).collect::<String>()),
            (None, true) => format!("#{number} CACHED"),
            (None, false) => format!("#{number} DONE {:.1} s", seconds(completed) - seconds(started)),
        });
    }
}

impl Step {
    fn print(&mut self, text: &[u8], lines: &mut Vec<String>) {
        for piece in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let room = LINE_BYTES_MAX.saturating_sub(self.held.len());
            self.held.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") || piece.ends_with(b"\r") {
                self.flush(lines);
            }
        }
    }

    fn flush(&mut self, lines: &mut Vec<String>) {
        let line = mem::take(&mut self.held);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.is_empty() {
            lines.push(format!("#{} | {text}", self.number));
        }
    }
}

fn seconds(moment: Moment) -> f64 {
    moment.seconds as f64 + f64::from(moment.nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use super::super::proto::Log;
    use super::*;

    fn vertex(name: &str, completed: Option<i64>) -> Vertex {
        let moment = |seconds| Moment { seconds, nanos: 0 };
        Vertex {
            digest: format!("sha256:{name}"),
            name: name.to_owned(),
            started: Some(moment(10)),
            completed: completed.map(moment),
            ..Vertex::default()
        }
    }

    fn told(progress: &mut Progress, status: &Status) -> Vec<String> {
        let mut lines = Vec::new();
        progress.take(&STANDARD.encode(status.encode_to_vec()), &mut lines);
        lines
    }

    #[test]
    fn steps_are_told_once_and_their_output_line_by_line() {
        let mut progress = Progress::default();
        let log = |text: &str| Log { vertex: "sha256:RUN x".into(), text: text.into() };
        let begun = Status { vertexes: vec![vertex("RUN x", None)], logs: vec![log("one\ntw")] };
        assert_eq!(told(&mut progress, &begun), ["#1 RUN x", "#1 | one"]);
        assert_eq!(told(&mut progress, &Status { vertexes: vec![], logs: vec![log("o\nthree")] }), ["#1 | two"]);
        let over = Status { vertexes: vec![vertex("RUN x", Some(12))], logs: vec![] };
        assert_eq!(told(&mut progress, &over), ["#1 | three", "#1 DONE 2.0 s"]);
        assert_eq!(told(&mut progress, &over), [""; 0]);
        let cached = Vertex { cached: true, ..vertex("COPY a b", Some(10)) };
        let failed = Vertex { error: "exit code: 1\nstack".into(), ..vertex("RUN y", Some(10)) };
        let both = Status { vertexes: vec![cached, failed], logs: vec![] };
        assert_eq!(told(&mut progress, &both), ["#2 COPY a b", "#3 RUN y", "#2 CACHED", "#3 ERROR exit code: 1"]);
    }

    #[test]
    fn nonsense_tells_nothing_and_a_long_line_is_cut() {
        let mut progress = Progress::default();
        let mut lines = Vec::new();
        progress.take("!", &mut lines);
        progress.take(&STANDARD.encode([0xff; 40]), &mut lines);
        assert_eq!(lines, [""; 0]);
        let flood = Log { vertex: "sha256:RUN x".into(), text: vec![b'a'; 1 << 20] };
        told(&mut progress, &Status { vertexes: vec![vertex("RUN x", None)], logs: vec![flood] });
        let over = told(&mut progress, &Status { vertexes: vec![vertex("RUN x", Some(11))], logs: vec![] });
        assert!(over[0].len() < LINE_BYTES_MAX + 10, "{}", over[0].len());
    }
}
