//! A push's pack set aside before any lock is taken, so that a slow client holds up nobody but itself.

use std::{
    fs::OpenOptions,
    io::{self, Cursor},
    path::Path,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, ReadBuf},
};

use crate::{
    error::{Error, Result},
    repository::Repository,
};

/// A pack up to this size stays in memory.
const MEMORY_BYTES_MAX: usize = 1 << 20;
/// How long a client may send nothing.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(60);
const CHUNK_BYTES: usize = 64 << 10;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The rest of a push's body, complete; read it as the `rest` of [`Repository::receive`].
#[derive(Debug)]
pub struct Pack {
    content: Content,
}

#[derive(Debug)]
enum Content {
    Memory(Cursor<Vec<u8>>),
    Disk(File),
}

impl AsyncRead for Pack {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.content {
            Content::Memory(bytes) => Pin::new(bytes).poll_read(context, buffer),
            Content::Disk(file) => Pin::new(file).poll_read(context, buffer),
        }
    }
}

impl Repository {
    /// Reads the rest of a push's body to its end: into memory up to 1 MiB, into a nameless file in the repository's folder
    /// beyond. To be called before the lock that [`Repository::receive`] runs under.
    ///
    /// # Errors
    /// The body breaks off, is silent for a minute or is over `bytes_max`, or the disk is full.
    pub async fn spool<R: AsyncRead + Unpin>(&self, mut rest: R, bytes_max: u64) -> Result<Pack> {
        let failed = || Error::io("read a push request");
        let mut buffer = Vec::with_capacity(CHUNK_BYTES);
        let mut file: Option<File> = None;
        let mut total: u64 = 0;
        while let Some(length) = read_some(&mut rest, &mut buffer).await.map_err(failed())? {
            total += length;
            if total > bytes_max {
                return Err(Error::TooLarge { what: "the pack".to_owned(), max: bytes_max, unit: "bytes" });
            }
            if file.is_none() && buffer.len() > MEMORY_BYTES_MAX {
                file = Some(nameless(self.path())?);
            }
            if let Some(file) = &mut file {
                file.write_all(&buffer).await.map_err(failed())?;
                buffer.clear();
            }
        }
        let Some(mut file) = file else { return Ok(Pack { content: Content::Memory(Cursor::new(buffer)) }) };
        file.flush().await.map_err(failed())?;
        file.rewind().await.map_err(failed())?;
        Ok(Pack { content: Content::Disk(file) })
    }
}

/// Reads and drops the rest of a body that is not wanted, so that the client comes to read its answer; gives up in
/// silence after 256 MiB, or a minute without a byte.
pub async fn drain<R: AsyncRead + Unpin>(rest: R) {
    const DRAIN_BYTES_MAX: u64 = 256 << 20;
    let mut rest = rest.take(DRAIN_BYTES_MAX);
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    while let Ok(Some(_)) = read_some(&mut rest, &mut buffer).await {
        buffer.clear();
    }
}

/// Appends what comes next; `None` at the end.
async fn read_some(rest: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Option<u64>> {
    buffer.reserve(CHUNK_BYTES);
    let length = tokio::time::timeout(SILENCE_TIME_MAX, rest.read_buf(buffer)).await??;
    Ok((length > 0).then_some(length as u64))
}

/// A file whose name is gone before anything is written, so that no crash leaves it behind.
fn nameless(folder: &Path) -> Result<File> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("incoming-{}-{number}", std::process::id()));
    let failed = || Error::io(format!("create `{}`", path.display()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(failed())?;
    std::fs::remove_file(&path).map_err(failed())?;
    Ok(File::from_std(file))
}
