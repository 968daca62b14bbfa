//! The table at the demo's end.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::command::short;
use crate::terminal::{BOLD, DIM, GREEN, RED, styled};

/// What the demo showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Milliseconds from the good change's first `git push` to its first job's process.
    pub push_to_first_job_ms: i64,
    /// Milliseconds from the mended change's `git push` to the canary's verdict.
    pub push_to_verdict_ms: i64,
    /// Milliseconds from the mended change's `git push` to its version on every node.
    pub push_to_released_ms: i64,
    /// Why the gate refused the good change as it was first written.
    pub refused_by_gate: String,
    /// The same, Chinese.
    pub refused_by_gate_zh: String,
    /// The good change's verdict in words.
    pub good_verdict: String,
    /// The bad change's verdict in words.
    pub bad_verdict: String,
    /// The bad change's verdict in words, Chinese.
    pub bad_verdict_zh: String,
    /// Milliseconds from the bad change's first traffic to the judge's word.
    pub detection_ms: i64,
    /// Milliseconds from the judge's word until no user reached the bad change any more.
    pub traffic_off_ms: i64,
    /// Requests by chapter.
    pub requests: Vec<Traffic>,
    /// Requests that nodes on the bad version answered.
    pub reached_bad_version: u64,
    /// Most nodes that ran the bad version at one time.
    pub bad_nodes_max: usize,
    /// Whether the server was killed during the canary.
    pub crashed: bool,
    /// Version on every node at the end.
    pub versions: BTreeMap<String, String>,
    /// The released version's image; none on processes.
    pub image: Option<String>,
    /// Components in its bill of materials.
    pub components: usize,
    /// Where its page is.
    pub release_url: String,
    /// What had to hold.
    pub checks: Vec<Check>,
    /// Seconds that the story took.
    pub seconds: f64,
}

/// Requests of one chapter.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// The chapter.
    pub chapter: String,
    /// Requests sent.
    pub sent: u64,
    /// Requests a second.
    pub per_second: f64,
    /// Requests that failed.
    pub failed: u64,
    /// Failures by cause.
    pub causes: BTreeMap<String, u64>,
}

/// Something that had to hold.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// Whether it held.
    pub held: bool,
}

impl Report {
    /// Notes something that had to hold.
    pub fn check(&mut self, what: &str, held: bool) {
        self.checks.push(Check { what: what.to_owned(), held });
    }

    /// Whether all of it held.
    pub fn held(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.held)
    }

    /// The table, for people.
    pub fn lines(&self) -> Vec<String> {
        let seconds = |ms: i64| format!("{:.1} s", ms as f64 / 1000.0);
        let mut lines = vec![String::new(), styled(BOLD, "What happened")];
        let mut row = |name: &str, value: String| lines.push(format!("  {name:<36} {value}"));
        row("push → first job started", format!("{} ms", self.push_to_first_job_ms));
        row("push → canary verdict", seconds(self.push_to_verdict_ms));
        row("push → released on every node", seconds(self.push_to_released_ms));
        for traffic in &self.requests {
            let causes: Vec<String> =
                traffic.causes.iter().map(|(cause, count)| format!("{count} × {cause}")).collect();
            let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
            let figures =
                format!("{} sent ({:.0}/s), {} failed{causes}", traffic.sent, traffic.per_second, traffic.failed);
            row(&format!("requests, {}", traffic.chapter), figures);
        }
        row("bad change: first traffic → caught", seconds(self.detection_ms));
        row("bad change: caught → no traffic", format!("{} ms", self.traffic_off_ms));
        let reached = format!("{} users' requests on {} nodes", self.reached_bad_version, self.bad_nodes_max);
        row("bad change reached", reached);
        row("server killed during the canary", if self.crashed { "yes" } else { "no" }.to_owned());
        let versions: Vec<String> =
            self.versions.iter().map(|(node, digest)| format!("{node} {}", short(digest))).collect();
        row("versions", versions.join("  "));
        let image = self.image.as_ref().map(|image| format!("image {}, ", short(image))).unwrap_or_default();
        row("released", format!("{image}{} components in its bill, {}", self.components, self.release_url));
        row("whole story", format!("{:.1} s", self.seconds));
        lines.push(String::new());
        lines.push(format!("  {} {}", styled(DIM, "gate:"), self.refused_by_gate));
        lines.push(format!("        {}", self.refused_by_gate_zh));
        lines.push(format!("  {} {}", styled(DIM, "good:"), self.good_verdict));
        lines.push(format!("  {} {}", styled(DIM, "bad: "), self.bad_verdict));
        lines.push(format!("        {}", self.bad_verdict_zh));
        lines.push(String::new());
        for check in &self.checks {
            let mark = if check.held { styled(GREEN, "✓ held  ") } else { styled(RED, "✗ BROKEN") };
            lines.push(format!("  {mark} {}", check.what));
        }
        lines
    }
}
