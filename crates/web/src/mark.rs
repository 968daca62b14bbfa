//! Marks: a status as shape, word and colour together.

use crate::icon;
use crate::text::Text;

/// A status for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The shape, markup.
    pub(crate) icon: &'static str,
    /// The word.
    pub(crate) word: &'static str,
    /// `ok`, `bad`, `warn`, `run`, `idle`.
    pub(crate) class: &'static str,
}

impl Mark {
    pub(crate) const fn new(icon: &'static str, word: &'static str, class: &'static str) -> Self {
        Self { icon, word, class }
    }
}

/// How bad a finding is; the words are Code Climate's in every language.
pub(crate) fn severity(word: &str) -> Mark {
    match word {
        "blocker" => Mark::new(icon::FAILED, "blocker", "bad"),
        "critical" => Mark::new(icon::FAILED, "critical", "bad"),
        "major" => Mark::new(icon::FAILED, "major", "bad"),
        "minor" => Mark::new(icon::WARNING, "minor", "warn"),
        _ => Mark::new(icon::INFO, "info", "idle"),
    }
}

/// A job's or pipeline's status.
pub(crate) fn status(word: &str, t: &'static Text) -> Mark {
    match word {
        "created" => Mark::new(icon::CREATED, t.status_created, "idle"),
        "waiting_for_resource" => Mark::new(icon::WAITING, t.status_waiting_for_resource, "warn"),
        "pending" => Mark::new(icon::PENDING, t.status_pending, "warn"),
        "running" => Mark::new(icon::RUNNING, t.status_running, "run"),
        "success" => Mark::new(icon::SUCCESS, t.status_success, "ok"),
        "failed" => Mark::new(icon::FAILED, t.status_failed, "bad"),
        "canceling" => Mark::new(icon::CANCELED, t.status_canceling, "warn"),
        "canceled" => Mark::new(icon::CANCELED, t.status_canceled, "idle"),
        "skipped" => Mark::new(icon::SKIPPED, t.status_skipped, "idle"),
        "manual" => Mark::new(icon::HAND, t.status_manual, "idle"),
        "scheduled" => Mark::new(icon::SCHEDULED, t.status_scheduled, "idle"),
        _ => Mark::new(icon::LOST, t.status_unknown, "idle"),
    }
}

/// A job's status; a failure that does not count is a warning.
pub(crate) fn job(word: &str, allowed_to_fail: bool, t: &'static Text) -> Mark {
    if word == "failed" && allowed_to_fail {
        return Mark::new(icon::WARNING, t.status_failed, "warn");
    }
    status(word, t)
}

/// The status of a stage, out of its jobs'.
pub(crate) fn stage(jobs: &[Mark], t: &'static Text) -> Mark {
    let order = ["bad", "run", "warn"];
    let worst = order.iter().find_map(|class| jobs.iter().find(|mark| mark.class == *class));
    match worst {
        Some(mark) if mark.icon == icon::WARNING => Mark::new(icon::WARNING, t.status_warning, "warn"),
        Some(mark) => *mark,
        None if jobs.iter().any(|mark| mark.class == "ok") && jobs.iter().all(is_settled) => {
            Mark::new(icon::SUCCESS, t.status_success, "ok")
        }
        None => jobs.iter().find(|mark| mark.class != "ok").copied().unwrap_or_else(|| status("created", t)),
    }
}

fn is_settled(mark: &Mark) -> bool {
    mark.class == "ok" || mark.icon == icon::SKIPPED || mark.icon == icon::HAND
}

/// A merge request's state.
pub(crate) fn request(word: &str, t: &'static Text) -> Mark {
    match word {
        "merged" => Mark::new(icon::MERGE, t.request_merged, "ok"),
        "closed" => Mark::new(icon::FAILED, t.request_closed, "bad"),
        _ => Mark::new(icon::BRANCH, t.request_opened, "run"),
    }
}

/// A notice's kind.
pub(crate) fn notice(word: &str, t: &'static Text) -> Mark {
    match word {
        "success" => Mark::new(icon::SUCCESS, t.notice_success, "ok"),
        "warning" => Mark::new(icon::WARNING, t.notice_warning, "warn"),
        "failure" => Mark::new(icon::FAILED, t.notice_failure, "bad"),
        _ => Mark::new(icon::INFO, t.notice_info, "run"),
    }
}

/// A commit's mark.
pub(crate) fn commit(word: &str, t: &'static Text) -> Mark {
    match word {
        "verified" => Mark::new(icon::SUCCESS, t.mark_verified, "ok"),
        _ => Mark::new(icon::FAILED, t.mark_refused, "bad"),
    }
}

/// A rollout's phase.
pub(crate) fn phase(word: &str, t: &'static Text) -> Mark {
    match word {
        "detaching" => Mark::new(icon::RUNNING, t.phase_detaching, "run"),
        "verifying" => Mark::new(icon::RUNNING, t.phase_verifying, "run"),
        "canary" => Mark::new(icon::RUNNING, t.phase_canary, "run"),
        "deciding" => Mark::new(icon::WARNING, t.phase_deciding, "warn"),
        "held" => Mark::new(icon::SUCCESS, t.phase_held, "ok"),
        "awaiting_release" => Mark::new(icon::HAND, t.phase_awaiting_release, "warn"),
        "releasing" => Mark::new(icon::RUNNING, t.phase_releasing, "run"),
        "watching" => Mark::new(icon::RUNNING, t.phase_watching, "run"),
        "restoring" => Mark::new(icon::ROLL_BACK, t.phase_restoring, "warn"),
        "stopping" => Mark::new(icon::STOP, t.phase_stopping, "warn"),
        "succeeded" => Mark::new(icon::SUCCESS, t.phase_succeeded, "ok"),
        "failed" => Mark::new(icon::FAILED, t.phase_failed, "bad"),
        "superseded" => Mark::new(icon::SKIPPED, t.phase_superseded, "idle"),
        _ => Mark::new(icon::CREATED, t.phase_created, "idle"),
    }
}

/// The judge's word.
pub(crate) fn verdict(word: &str, t: &'static Text) -> Mark {
    match word {
        "pass" => Mark::new(icon::SUCCESS, t.verdict_pass, "ok"),
        "fail" => Mark::new(icon::FAILED, t.verdict_fail, "bad"),
        "inconclusive" => Mark::new(icon::WARNING, t.verdict_inconclusive, "warn"),
        _ => Mark::new(icon::RUNNING, t.verdict_continue, "run"),
    }
}

/// A node's state.
pub(crate) fn node(word: &str, t: &'static Text) -> Mark {
    match word {
        "starting" => Mark::new(icon::RUNNING, t.node_starting, "run"),
        "healthy" => Mark::new(icon::SUCCESS, t.node_healthy, "ok"),
        "unhealthy" => Mark::new(icon::WARNING, t.node_unhealthy, "warn"),
        "failed" => Mark::new(icon::FAILED, t.node_failed, "bad"),
        "stopping" => Mark::new(icon::STOP, t.node_stopping, "idle"),
        "stopped" => Mark::new(icon::STOP, t.node_stopped, "idle"),
        _ => Mark::new(icon::LOST, t.node_lost, "bad"),
    }
}

/// A node's traffic.
pub(crate) fn traffic(word: &str, t: &'static Text) -> Mark {
    match word {
        "serving" => Mark::new(icon::SERVER, t.traffic_serving, "idle"),
        "canary" => Mark::new(icon::BRANCH, t.traffic_canary, "warn"),
        "draining" => Mark::new(icon::DRAINING, t.traffic_draining, "warn"),
        _ => Mark::new(icon::OFF, t.traffic_out, "idle"),
    }
}

#[cfg(test)]
mod tests {
    use serin_model::Status;

    use super::{job, stage, status};
    use crate::text::Language;

    #[test]
    fn every_status_has_a_word_and_a_shape() {
        for language in [Language::English, Language::Chinese] {
            let t = language.text();
            for known in Status::ALL {
                assert_ne!(status(known.as_str(), t).word, t.status_unknown, "{known}");
            }
        }
    }

    #[test]
    fn stages_show_their_worst_job() {
        let t = Language::English.text();
        let mark = |words: &[&str]| {
            let jobs: Vec<_> = words.iter().map(|word| job(word, false, t)).collect();
            stage(&jobs, t).word
        };
        assert_eq!(mark(&["success", "failed", "running"]), "failed");
        assert_eq!(mark(&["success", "running"]), "running");
        assert_eq!(mark(&["success", "manual"]), "passed");
        assert_eq!(mark(&["success", "created"]), "created");
        assert_eq!(mark(&["manual"]), "manual");
        assert_eq!(stage(&[job("failed", true, t)], t).word, "passed with warning");
    }
}
