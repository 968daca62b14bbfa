//! What a push is answered with (gitprotocol-pack, "Report Status").

use super::{
    packet::{self, BAND_DATA, BAND_MESSAGE, FLUSH},
    push::Push,
};

/// The longest reason or message, in characters.
const TEXT_CHARS_MAX: usize = 1_000;

/// A ref that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The ref's full name, as in the push.
    pub name: String,
    /// The reason, as the user reads it in `! [remote rejected] main -> main (<reason>)`.
    pub reason: String,
}

/// The answer to a push of which nothing is accepted: each refused ref with its reason, every other one as held back
/// because of them. `messages` appear as `remote: …` lines. Before it is sent,
/// [`drain`](super::drain) the rest of the request's body.
#[must_use]
pub fn rejection(push: &Push, refusals: &[Refusal], messages: &[String]) -> Vec<u8> {
    let mut report = Vec::new();
    packet::write(&mut report, b"unpack ok\n");
    for command in &push.commands {
        let refusal = refusals.iter().find(|refusal| refusal.name == command.name);
        let reason = refusal.map_or("held back, since another ref was refused", |refusal| &refusal.reason);
        packet::write(&mut report, format!("ng {} {}\n", command.name, one_line(reason)).as_bytes());
    }
    report.extend_from_slice(FLUSH);
    let reports = push.has("report-status") || push.has("report-status-v2");
    if push.commands.is_empty() || !reports {
        return Vec::new();
    }
    if !push.has("side-band-64k") {
        return report;
    }
    let mut answer = Vec::new();
    write_messages(&mut answer, messages);
    packet::write_band(&mut answer, BAND_DATA, &report);
    answer.extend_from_slice(FLUSH);
    answer
}

/// Appends messages to the user, each line for itself.
pub(super) fn write_messages(answer: &mut Vec<u8>, messages: &[String]) {
    for line in messages.iter().flat_map(|message| message.lines()) {
        packet::write_band(answer, BAND_MESSAGE, format!("{}\n", one_line(line)).as_bytes());
    }
}

fn one_line(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
