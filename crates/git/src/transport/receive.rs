//! The second half of a push: the pack is checked and stored, the refs move.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt};

use super::{
    packet::{self, BAND_DATA, FLUSH, Packet},
    push::Push,
    report::{Refusal, write_messages},
    serve::Service,
    spool::drain,
};
use crate::{
    command::{Process, read_capped, read_head},
    error::{Error, Result},
    repository::Repository,
};

const NAME: &str = "receive-pack";
/// How long one push may take.
const PUSH_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// The longest answer of `git receive-pack`: a report line per ref, and progress.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Faults that old, honest histories hold and that harm nobody; every other one refuses the pack.
const FORGIVEN: [&str; 3] = ["badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode"];

/// What a push must keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivePolicy {
    /// Full names of refs that may only move forward. A push that moves one of them may force no other ref either.
    pub fast_forward_only: Vec<String>,
    /// The largest pack, in bytes.
    pub pack_bytes_max: u64,
}

impl Default for ReceivePolicy {
    fn default() -> Self {
        Self { fast_forward_only: Vec::new(), pack_bytes_max: 2 << 30 }
    }
}

/// What became of one ref of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefOutcome {
    /// The ref's full name.
    pub name: String,
    /// Why it did not move; `None` where it did.
    pub refused: Option<String>,
}

/// A finished push, whose answer may still be given messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What became of each ref, as `git` reported; empty where the client wanted no report.
    pub outcomes: Vec<RefOutcome>,
    answer: Vec<u8>,
    side_band: bool,
}

impl Received {
    /// The answer's body, with `messages` as `remote: …` lines at its end.
    #[must_use]
    pub fn finish(self, messages: &[String]) -> Vec<u8> {
        let mut answer = self.answer;
        if self.side_band && answer.ends_with(FLUSH) {
            answer.truncate(answer.len() - FLUSH.len());
            write_messages(&mut answer, messages);
            answer.extend_from_slice(FLUSH);
        }
        answer
    }
}

impl Repository {
    /// Runs a push that the caller has allowed: `rest` is the request's body where [`read_push`](super::read_push) left it.
    /// Objects are checked (`fsckObjects`), hooks are off, `atomic` is kept, refs outside `refs/heads/` and `refs/tags/` are
    /// refused. A push that `git` refuses is no error: the answer tells the client.
    ///
    /// # Errors
    /// A ref name is unacceptable, the client's body broke off, or `git` failed without an answer.
    pub async fn receive<R>(&self, push: &Push, rest: R, policy: &ReceivePolicy) -> Result<Received>
    where
        R: AsyncRead + Send + Unpin,
    {
        if let Some(Refusal { name, .. }) = push.unacceptable().first() {
            crate::name::checked_ref(name)?;
        }
        let call = Service::ReceivePack.call(None, &settings(push, policy)).arg(self.path());
        let mut process = call.start()?;
        let whole = exchange(&mut process, push, rest);
        let late = |_| Error::TimedOut { command: NAME, limit: PUSH_TIME_MAX };
        let answer = tokio::time::timeout(PUSH_TIME_MAX, whole).await.map_err(late)??;
        let side_band = push.has("side-band-64k");
        Ok(Received { outcomes: outcomes(&answer, side_band), answer, side_band })
    }
}

fn settings(push: &Push, policy: &ReceivePolicy) -> Vec<String> {
    let guarded = push.commands.iter().any(|command| policy.fast_forward_only.contains(&command.name));
    let mut settings = vec![
        "receive.fsckObjects=true".to_owned(),
        format!("receive.maxInputSize={}", policy.pack_bytes_max),
        format!("receive.denyNonFastForwards={guarded}"),
    ];
    settings.extend(FORGIVEN.iter().map(|fault| format!("receive.fsck.{fault}=ignore")));
    settings
}

async fn exchange(process: &mut Process, push: &Push, mut rest: impl AsyncRead + Unpin) -> Result<Vec<u8>> {
    let (mut stdin, stdout, stderr) = process.pipes()?;
    let feeding = async {
        let fed = match stdin.write_all(&push.head).await {
            Ok(()) => tokio::io::copy(&mut rest, &mut stdin).await.map(drop),
            Err(error) => Err(error),
        };
        // Closes the pipe: a pack cut short makes `git` give up, and nothing of it is kept.
        drop(stdin);
        // What `git` did not want is read all the same, so that the client comes to read its answer.
        drain(&mut rest).await;
        fed
    };
    let (fed, answer, complaint) =
        tokio::join!(feeding, read_capped(NAME, stdout, ANSWER_BYTES_MAX), read_head(stderr));
    let answer = answer?;
    let status = process.wait().await?;
    if let Err(error) = fed {
        tracing::debug!(%error, "push request was not read to its end");
    }
    if !status.success() && answer.is_empty() {
        return Err(Error::Failed { command: NAME, message: complaint.trim().to_owned() });
    }
    Ok(answer)
}

fn outcomes(answer: &[u8], side_band: bool) -> Vec<RefOutcome> {
    let report = if side_band { band(answer) } else { answer.to_vec() };
    packets(&report).filter_map(outcome).collect()
}

fn band(answer: &[u8]) -> Vec<u8> {
    packets(answer).filter_map(|packet| packet.strip_prefix(&[BAND_DATA])).flatten().copied().collect()
}

/// The packets up to the flush.
fn packets(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || match packet::split(bytes)? {
        (Packet::Content(content), rest) => {
            bytes = rest;
            Some(content)
        }
        (Packet::Flush, _) => None,
    })
}

/// Reads `ok <ref>` or `ng <ref> <reason>`.
fn outcome(line: &[u8]) -> Option<RefOutcome> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\n');
    if let Some(name) = text.strip_prefix("ok ") {
        return Some(RefOutcome { name: name.to_owned(), refused: None });
    }
    let (name, reason) = text.strip_prefix("ng ")?.split_once(' ')?;
    Some(RefOutcome { name: name.to_owned(), refused: Some(reason.to_owned()) })
}
