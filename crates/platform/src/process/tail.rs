//! Reads the end of a node's log.

use crate::Error;
use crate::layout::NodeDir;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes read from the end of each file.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;
/// Lines given back, whatever was asked for.
const TAIL_LINES_MAX: usize = 10_000;

/// The last lines of the log, oldest first.
pub(super) fn last_lines(dir: &NodeDir, count: usize) -> Result<Vec<String>, Error> {
    let count = count.min(TAIL_LINES_MAX);
    let mut lines = tail(&dir.log(), count)?;
    if lines.len() < count {
        let mut before = tail(&dir.log_before(), count - lines.len())?;
        before.append(&mut lines);
        lines = before;
    }
    Ok(lines)
}

fn tail(path: &Path, count: usize) -> Result<Vec<String>, Error> {
    let text = match read_end(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect())
}

/// The file's end, beginning with a whole line.
fn read_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match text.split_once('\n') {
        Some((_, rest)) if from > 0 => Ok(rest.to_owned()),
        _ => Ok(text),
    }
}
