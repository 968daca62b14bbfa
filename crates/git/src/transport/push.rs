//! The first half of a push: what the client wants, read before anything is decided.

use std::io;

use serin_model::CommitId;
use tokio::io::AsyncRead;

use super::{
    packet::{self, Packet},
    report::Refusal,
};
use crate::{
    error::{Error, Result, printable},
    name::{REF_NAME_BYTES_MAX, is_id, valid_ref_name},
};

/// The most refs that one push may move.
const COMMANDS_MAX: usize = 10_000;
/// The most push options of one push.
const OPTIONS_MAX: usize = 128;
/// The longest list of commands and options, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 20;
/// The most shallow lines, which a client sends for each edge of its shallow history.
const SHALLOW_MAX: usize = 10_000;
const ABSENT: &str = "0000000000000000000000000000000000000000";

/// One ref's move, as the client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefCommand {
    /// Where the client believes the ref to be; `None` for one to be created.
    pub old: Option<CommitId>,
    /// Where it is to go (a commit, or an annotated tag); `None` for one to be deleted.
    pub new: Option<CommitId>,
    /// The full name; check [`Push::unacceptable`] before trusting it.
    pub name: String,
}

/// What a client wants to push, without its pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The moves; empty for a client's probe, which wants an empty answer.
    pub commands: Vec<RefCommand>,
    /// The push options, in order.
    pub options: Vec<String>,
    /// What the client is able to do.
    pub capabilities: Vec<String>,
    pub(crate) head: Vec<u8>,
}

impl Push {
    /// The refs whose names are refused, with reasons; hand them to [`super::rejection`].
    #[must_use]
    pub fn unacceptable(&self) -> Vec<Refusal> {
        let refused = self.commands.iter().filter_map(|command| {
            let reason = valid_ref_name(&command.name).err()?;
            Some(Refusal { name: command.name.clone(), reason: format!("the name {reason}") })
        });
        refused.collect()
    }

    /// Whether the client demands all or nothing.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.has("atomic")
    }

    pub(crate) fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|have| have == capability)
    }
}

/// Reads the commands and options of a push and not one byte of the pack behind them: `body` stands at the pack after.
///
/// # Errors
/// The client sent something that is not the protocol, or more than 10,000 commands or a ref name over 255 bytes.
pub async fn read_push(body: &mut (impl AsyncRead + Unpin)) -> Result<Push> {
    let mut push = Push::default();
    let mut shallow = 0;
    while let Some(line) = next(body, &mut push).await? {
        if let Some(edge) = line.strip_prefix(b"shallow ") {
            shallow += 1;
            let good = shallow <= SHALLOW_MAX && std::str::from_utf8(edge).is_ok_and(|edge| is_id(edge.trim_end()));
            if !good {
                return Err(malformed("a shallow line", &line));
            }
            continue;
        }
        take_command(&mut push, &line)?;
    }
    if push.has("push-options") {
        take_options(body, &mut push).await?;
    }
    Ok(push)
}

async fn take_options(body: &mut (impl AsyncRead + Unpin), push: &mut Push) -> Result<()> {
    while let Some(line) = next(body, push).await? {
        if push.options.len() == OPTIONS_MAX {
            return Err(over("push options", OPTIONS_MAX, "options"));
        }
        let option = String::from_utf8(line).map_err(|error| malformed("a push option", error.as_bytes()))?;
        push.options.push(option.trim_end_matches('\n').to_owned());
    }
    Ok(())
}

/// The next line's content; `None` at a flush.
async fn next(body: &mut (impl AsyncRead + Unpin), push: &mut Push) -> Result<Option<Vec<u8>>> {
    let packet = packet::read(body, &mut push.head).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Error::Protocol("a packet's length is no hexadecimal number".to_owned()),
        io::ErrorKind::UnexpectedEof => Error::Protocol("the request ends inside a packet".to_owned()),
        _ => Error::io("read a push request")(error),
    })?;
    if push.head.len() > HEAD_BYTES_MAX {
        return Err(over("the list of refs", HEAD_BYTES_MAX, "bytes"));
    }
    match packet {
        Some(Packet::Content(line)) => Ok(Some(line)),
        Some(Packet::Flush) => Ok(None),
        None => Err(Error::Protocol("the request ends before its list of refs does".to_owned())),
    }
}

fn take_command(push: &mut Push, line: &[u8]) -> Result<()> {
    let mut halves = line.splitn(2, |&b| b == 0);
    let command = halves.next().unwrap_or_default();
    if let Some(capabilities) = halves.next() {
        let text = String::from_utf8_lossy(capabilities);
        push.capabilities.extend(text.split_whitespace().map(str::to_owned));
    }
    if push.commands.len() == COMMANDS_MAX {
        return Err(over("the push", COMMANDS_MAX, "refs"));
    }
    push.commands.push(parse_command(command)?);
    Ok(())
}

fn parse_command(line: &[u8]) -> Result<RefCommand> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| malformed("a ref command", line))?;
    let mut words = text.splitn(3, ' ');
    let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) else {
        return Err(malformed("a ref command", line));
    };
    if name.len() > REF_NAME_BYTES_MAX {
        return Err(Error::RefName { name: printable(name.as_bytes()), why: "is longer than 255 bytes" });
    }
    if !is_id(old) || !is_id(new) {
        return Err(malformed("a ref command", line));
    }
    let id = |text: &str| (text != ABSENT).then(|| CommitId::from(text));
    Ok(RefCommand { old: id(old), new: id(new), name: name.to_owned() })
}

fn malformed(what: &str, line: &[u8]) -> Error {
    Error::Protocol(format!("`{}` is not {what}", printable(line)))
}

fn over(what: &str, max: usize, unit: &'static str) -> Error {
    Error::TooLarge { what: what.to_owned(), max: max as u64, unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";

    fn body(lines: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            packet::write(&mut bytes, line.as_bytes());
        }
        bytes.extend_from_slice(packet::FLUSH);
        bytes
    }

    #[tokio::test]
    async fn reads_commands_and_options_up_to_the_pack() {
        let mut bytes = body(&[
            format!("{ABSENT} {ONE} refs/heads/a\0 report-status side-band-64k push-options atomic agent=git/2"),
            format!("{ONE} {ABSENT} refs/heads/b c"),
        ]);
        bytes.extend(body(&["ci.skip".to_owned(), "merge_request.title=a b\n".to_owned()]));
        bytes.extend(b"PACK");
        let mut rest = bytes.as_slice();
        let push = read_push(&mut rest).await.unwrap();
        assert_eq!(rest, b"PACK");
        assert_eq!(push.head, bytes[..bytes.len() - 4]);
        assert_eq!(push.options, ["ci.skip", "merge_request.title=a b"]);
        assert_eq!(push.commands[0], RefCommand { old: None, new: Some(ONE.into()), name: "refs/heads/a".into() });
        assert_eq!(push.commands[1].new, None);
        assert!(push.is_atomic());
        assert_eq!(push.unacceptable().len(), 1);
        assert_eq!(push.unacceptable()[0].name, "refs/heads/b c");
    }

    #[tokio::test]
    async fn refuses_what_is_malformed_or_too_much() {
        let long = format!("{ABSENT} {ONE} refs/heads/{}", "x".repeat(65_000));
        let many: Vec<String> = (0..=COMMANDS_MAX).map(|n| format!("{ABSENT} {ONE} refs/heads/{n}")).collect();
        let cases =
            [body(&[long]), body(&many), body(&["push-cert x".into()]), b"GET / HTTP".to_vec(), b"0010ab".to_vec()];
        for bytes in cases {
            let found = read_push(&mut bytes.as_slice()).await;
            assert!(found.is_err(), "{}", printable(&bytes));
        }
        assert_eq!(read_push(&mut &b"0000"[..]).await.unwrap().commands, []);
    }
}
