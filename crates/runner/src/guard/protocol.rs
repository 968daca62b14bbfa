//! What runner and guard say to each other.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Bytes of one text of a [`Spec`].
const TEXT_BYTES_MAX: usize = 256 << 10;
/// Texts in one list of a [`Spec`].
const TEXTS_MAX: usize = 100_000;
/// Bytes of one order.
const ORDER_BYTES_MAX: usize = 64 << 20;
const JOB: u8 = b'J';
const TERMINATE: u8 = b'T';

/// What the guard starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The program, an absolute path.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Where it starts.
    pub(crate) folder: PathBuf,
    /// Its whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Spec {
    /// The bytes of it: 32-bit big-endian lengths and counts before texts and lists.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.program.as_bytes());
        put(&mut out, self.folder.as_os_str().as_bytes());
        put_length(&mut out, self.args.len());
        self.args.iter().for_each(|text| put(&mut out, text.as_bytes()));
        put_length(&mut out, self.environment.len());
        for (name, value) in &self.environment {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        out
    }

    fn read_from(input: &mut &[u8]) -> io::Result<Self> {
        let program = take(input)?;
        let folder = PathBuf::from(take(input)?);
        let args = (0..take_length(input, TEXTS_MAX)?).map(|_| take(input)).collect::<io::Result<_>>()?;
        let environment =
            (0..take_length(input, TEXTS_MAX)?).map(|_| Ok((take(input)?, take(input)?))).collect::<io::Result<_>>()?;
        Ok(Self { program, args, folder, environment })
    }
}

/// What the runner asks of the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Carry that out; the guard is free.
    Job(Spec),
    /// End everything of the present job.
    Terminate {
        /// Milliseconds between SIGTERM and SIGKILL.
        grace_ms: u32,
    },
}

impl Order {
    /// A byte for the kind, the 32-bit big-endian length of what follows, and that.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Job(spec) => (JOB, spec.to_bytes()),
            Self::Terminate { grace_ms } => (TERMINATE, grace_ms.to_be_bytes().to_vec()),
        };
        let mut out = vec![kind];
        put(&mut out, &body);
        out
    }

    /// Reads one order and nothing beyond it, in few calls: the input has no buffer.
    pub(crate) fn read_from(input: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 5];
        input.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut body = vec![0; length_within(length, ORDER_BYTES_MAX)?];
        input.read_exact(&mut body)?;
        let mut body = body.as_slice();
        match kind {
            JOB => Spec::read_from(&mut body).map(Self::Job),
            TERMINATE => {
                let mut grace = [0; 4];
                body.read_exact(&mut grace)?;
                Ok(Self::Terminate { grace_ms: u32::from_be_bytes(grace) })
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "unknown order")),
        }
    }
}

/// What the guard tells the runner, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The shell ended with this exit code; 128 and the signal's number where a signal ended it.
    Ended(i32),
    /// Nothing of the job is left; the guard may be given another one.
    Free,
    /// The guard could not do its duty.
    Error(String),
}

impl Notice {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            None if line == "free" => Some(Self::Free),
            Some(("ended", code)) => code.parse().ok().map(Self::Ended),
            Some(("error", text)) => Some(Self::Error(text.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Ended(code) => write!(f, "ended {code}"),
            Self::Error(text) => write!(f, "error {}", text.replace('\n', " ")),
        }
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    put_length(out, text.len());
    out.extend(text);
}

fn take_length(input: &mut &[u8], max: usize) -> io::Result<usize> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    length_within(bytes, max)
}

fn length_within(bytes: [u8; 4], max: usize) -> io::Result<usize> {
    match usize::try_from(u32::from_be_bytes(bytes)) {
        Ok(length) if length <= max => Ok(length),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "too long a text for the guard")),
    }
}

fn take(input: &mut &[u8]) -> io::Result<OsString> {
    let mut text = vec![0; take_length(input, TEXT_BYTES_MAX)?];
    input.read_exact(&mut text)?;
    Ok(OsString::from_vec(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives() {
        let spec = Spec {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "echo \n'\"".into()],
            folder: "/tmp/x".into(),
            environment: vec![("A".into(), OsString::from_vec(vec![255, 10, 61])), ("B".into(), "".into())],
        };
        let mut bytes = Order::Job(spec.clone()).to_bytes();
        bytes.extend(Order::Terminate { grace_ms: 1500 }.to_bytes());
        let mut input = bytes.as_slice();
        assert_eq!(Order::read_from(&mut input).unwrap(), Order::Job(spec));
        assert_eq!(Order::read_from(&mut input).unwrap(), Order::Terminate { grace_ms: 1500 });
        assert!(Order::read_from(&mut input).is_err());
    }

    #[test]
    fn notices_parse_back() {
        for notice in [Notice::Free, Notice::Ended(137), Notice::Error("no such file".to_owned())] {
            assert_eq!(Notice::parse(&notice.to_string()), Some(notice));
        }
        assert_eq!(Notice::parse("ended"), None);
    }
}
