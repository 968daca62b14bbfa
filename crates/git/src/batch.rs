//! Object reads without a new process each: `git cat-file --batch-command`, kept for a while between reads.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{ChildStderr, ChildStdin, ChildStdout},
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{
    command::{CALL_TIME_MAX, Call, Process},
    error::{Error, Result},
    object::{Kind, Object},
};

const NAME: &str = "cat-file";
/// Readers that work at once on one repository.
const READERS_MAX: usize = 2;
/// Readers kept idle in the whole process, over all repositories.
const IDLE_MAX: usize = 32;
/// How long an idle reader is kept.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// The longest header line: a name, a kind and a size.
const HEADER_BYTES_MAX: u64 = 1024;

static IDLE: Semaphore = Semaphore::const_new(IDLE_MAX);

/// The readers of one repository.
#[derive(Debug)]
pub(crate) struct Pool {
    path: PathBuf,
    turns: Semaphore,
    idle: Mutex<Idlers>,
}

#[derive(Debug, Default)]
struct Idlers {
    readers: Vec<Idle>,
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    reader: Reader,
    since: Instant,
    _place: SemaphorePermit<'static>,
}

/// What is asked of a reader.
#[derive(Clone, Copy)]
enum Request {
    Info,
    Contents { bytes_max: u64 },
}

impl Pool {
    pub(crate) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), turns: Semaphore::new(READERS_MAX), idle: Mutex::default() })
    }

    /// The id and kind of what `name` stands for; `name` must hold no white space.
    pub(crate) async fn info(self: &Arc<Self>, name: &str) -> Result<Option<Object>> {
        self.request(Request::Info, name).await
    }

    /// The object that `name` stands for, whole; `name` must hold no white space.
    pub(crate) async fn contents(self: &Arc<Self>, name: &str, bytes_max: u64) -> Result<Option<Object>> {
        self.request(Request::Contents { bytes_max }, name).await
    }

    async fn request(self: &Arc<Self>, request: Request, name: &str) -> Result<Option<Object>> {
        let _turn = self.turns.acquire().await;
        if let Some(mut reader) = self.take() {
            match reader.request(request, name).await {
                // A reader that died while idle says nothing about the repository: a fresh one is asked.
                Err(Error::Io { .. } | Error::Answer { .. }) => {}
                answer => return self.keep(reader, answer),
            }
        }
        let mut reader = Reader::start(&self.path)?;
        let answer = reader.request(request, name).await;
        self.keep(reader, answer)
    }

    fn take(&self) -> Option<Reader> {
        self.lock().readers.pop().map(|idle| idle.reader)
    }

    fn lock(&self) -> MutexGuard<'_, Idlers> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the reader only where it answered, since after a failure its pipe is in an unknown state.
    fn keep(self: &Arc<Self>, reader: Reader, answer: Result<Option<Object>>) -> Result<Option<Object>> {
        let object = answer?;
        if let Ok(place) = IDLE.try_acquire() {
            let mut idle = self.lock();
            idle.readers.push(Idle { reader, since: Instant::now(), _place: place });
            if !std::mem::replace(&mut idle.swept, true) {
                tokio::spawn(sweep(Arc::downgrade(self)));
            }
        }
        Ok(object)
    }
}

/// Ends readers that stayed idle, until none is left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE_TIME).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.lock();
        idle.readers.retain(|idle| idle.since.elapsed() < IDLE_TIME);
        if idle.readers.is_empty() {
            idle.swept = false;
            return;
        }
    }
}

#[derive(Debug)]
struct Reader {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _stderr: ChildStderr,
    _process: Process,
}

impl Reader {
    fn start(path: &Path) -> Result<Self> {
        let mut process = Call::new(path, NAME).arg("--batch-command").start()?;
        let (stdin, stdout, stderr) = process.pipes()?;
        Ok(Self { stdin, stdout: BufReader::with_capacity(32 << 10, stdout), _stderr: stderr, _process: process })
    }

    async fn request(&mut self, request: Request, name: &str) -> Result<Option<Object>> {
        let whole = self.exchange(request, name);
        match tokio::time::timeout(CALL_TIME_MAX, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { command: NAME, limit: CALL_TIME_MAX }),
        }
    }

    async fn exchange(&mut self, request: Request, name: &str) -> Result<Option<Object>> {
        let verb = match request {
            Request::Info => "info",
            Request::Contents { .. } => "contents",
        };
        let line = format!("{verb} {name}\n");
        self.stdin.write_all(line.as_bytes()).await.map_err(Error::io("write to `git cat-file`"))?;
        let Some(mut object) = self.header(name).await? else { return Ok(None) };
        if let Request::Contents { bytes_max } = request {
            object.bytes = self.body(&object, bytes_max).await?;
        }
        Ok(Some(object))
    }

    async fn header(&mut self, name: &str) -> Result<Option<Object>> {
        let mut line = Vec::new();
        let read = (&mut self.stdout).take(HEADER_BYTES_MAX).read_until(b'\n', &mut line).await;
        read.map_err(Error::io("read from `git cat-file`"))?;
        let text = std::str::from_utf8(&line).ok().and_then(|text| text.strip_suffix('\n'));
        let Some(text) = text else { return Err(Error::answer(NAME, &line)) };
        if text.strip_prefix(name).is_some_and(|rest| matches!(rest, " missing" | " ambiguous")) {
            return Ok(None);
        }
        parse_header(text).map(Some).ok_or_else(|| Error::answer(NAME, &line))
    }

    async fn body(&mut self, object: &Object, bytes_max: u64) -> Result<Vec<u8>> {
        if object.size > bytes_max {
            return Err(Error::TooLarge { what: format!("object {}", object.id), max: bytes_max, unit: "bytes" });
        }
        let mut bytes = Vec::new();
        let with_newline = object.size + 1;
        let read = (&mut self.stdout).take(with_newline).read_to_end(&mut bytes).await;
        read.map_err(Error::io("read from `git cat-file`"))?;
        if bytes.len() as u64 != with_newline || bytes.pop() != Some(b'\n') {
            return Err(Error::answer(NAME, b"an object cut short"));
        }
        Ok(bytes)
    }
}

fn parse_header(line: &str) -> Option<Object> {
    let mut words = line.split(' ');
    let id = words.next().filter(|id| crate::name::is_id(id))?.to_owned();
    let kind = Kind::parse(words.next()?)?;
    let size = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Object { id, kind, size, bytes: Vec::new() })
}
