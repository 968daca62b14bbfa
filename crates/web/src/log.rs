//! A job's log: lines in chunks, a search over all of it, and the log as it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serin_objects::{AttemptKey, TRACE_READ_BYTES_MAX};
use serin_server::App;
use serin_server::error::Result;

use crate::reply::protect;
use crate::visit::Visit;

/// Lines given at once.
const LINES_MAX: u64 = 5_000;
/// Bytes of one line that are shown; the raw log has the rest.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Reads for one answer; a line may fill a whole read.
const READS_MAX: usize = 16;
/// Places that a search finds at most.
const FOUND_MAX: usize = 10_000;
/// Time for one search.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(2);

/// Lines of a log.
#[derive(Serialize)]
struct Chunk {
    from: u64,
    lines: Vec<String>,
    total: u64,
}

/// Where a search found something.
#[derive(Serialize)]
struct Places {
    found: Vec<u64>,
    more: bool,
}

/// `GET …/jobs/{id}/log?from=0&lines=1000` or `?find=words`
///
/// # Errors
/// Where the log cannot be read.
pub(crate) async fn lines(visit: &Visit, key: AttemptKey) -> Result<Response> {
    let number = |name: &str| visit.query.get(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(words) = visit.query.get("find") {
        return Ok(Json(find(&visit.app, key, words).await?).into_response());
    }
    let from = number("from").unwrap_or(0);
    let count = number("lines").unwrap_or(1_000).clamp(1, LINES_MAX);
    let total = visit.app.objects.traces.state(key).await?.lines;
    let lines = read(&visit.app, key, (from, count)).await?;
    Ok(Json(Chunk { from, lines, total }).into_response())
}

async fn read(app: &App, key: AttemptKey, (from, count): (u64, u64)) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for _ in 0..READS_MAX {
        let left = count.saturating_sub(lines.len() as u64);
        if left == 0 {
            break;
        }
        let part = app.objects.traces.read_lines(key, from.saturating_add(lines.len() as u64), left).await?;
        let cut = part.bytes.len() >= TRACE_READ_BYTES_MAX && !part.bytes.ends_with(b"\n");
        let mut pieces: Vec<String> = split(&part.bytes).map(shown).collect();
        if cut && pieces.len() > 1 {
            pieces.pop();
        }
        if pieces.is_empty() {
            break;
        }
        lines.append(&mut pieces);
        if !cut {
            break;
        }
    }
    Ok(lines)
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let empty = bytes.is_empty();
    bytes.split(|byte| *byte == b'\n').filter(move |_| !empty)
}

/// A line as text, cut where it is too long.
fn shown(line: &[u8]) -> String {
    if line.len() <= LINE_BYTES_MAX {
        return String::from_utf8_lossy(line).into_owned();
    }
    format!("{} … [{} bytes, see the raw log]", String::from_utf8_lossy(&line[..LINE_BYTES_MAX]), line.len())
}

async fn find(app: &App, key: AttemptKey, words: &str) -> Result<Places> {
    let words = words.to_lowercase();
    if words.is_empty() {
        return Ok(Places { found: Vec::new(), more: false });
    }
    let started = Instant::now();
    let end = app.objects.traces.state(key).await?.size;
    let (mut found, mut line, mut offset) = (Vec::new(), 0, 0);
    let mut rest: Vec<u8> = Vec::new();
    while offset < end {
        if started.elapsed() > SEARCH_TIME_MAX || found.len() >= FOUND_MAX {
            return Ok(Places { found, more: true });
        }
        let piece = app.objects.traces.read(key, offset..end).await?;
        if piece.is_empty() {
            break;
        }
        offset += piece.len() as u64;
        rest.extend_from_slice(&piece);
        let whole = match rest.iter().rposition(|byte| *byte == b'\n') {
            Some(place) => rest.drain(..=place).collect::<Vec<u8>>(),
            // A line longer than a read is searched piece by piece.
            None if rest.len() < TRACE_READ_BYTES_MAX && offset < end => continue,
            None => std::mem::take(&mut rest),
        };
        line = search(&whole, &words, (line, &mut found));
    }
    search(&rest, &words, (line, &mut found));
    let more = found.len() > FOUND_MAX;
    found.truncate(FOUND_MAX);
    Ok(Places { found, more })
}

/// Notes the lines that hold the words; the number of the line behind them.
fn search(bytes: &[u8], words: &str, (first, found): (u64, &mut Vec<u64>)) -> u64 {
    let ended = bytes.ends_with(b"\n");
    let mut line = first;
    for text in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n') {
        if String::from_utf8_lossy(text).to_lowercase().contains(words) && found.last() != Some(&line) {
            found.push(line);
        }
        line += 1;
    }
    if ended { line } else { line.saturating_sub(1) }
}

/// `GET …/jobs/{id}/raw`
///
/// # Errors
/// Where the log cannot be read.
pub(crate) async fn raw(visit: &Visit, key: AttemptKey) -> Result<Response> {
    let end = visit.app.objects.traces.state(key).await?.size;
    let app = Arc::clone(&visit.app);
    let pieces = futures_util::stream::try_unfold(0, move |from| {
        let app = Arc::clone(&app);
        async move {
            if from >= end {
                return Ok::<_, serin_objects::Error>(None);
            }
            let piece = app.objects.traces.read(key, from..end).await?;
            let next = if piece.is_empty() { end } else { from + piece.len() as u64 };
            Ok(Some((piece, next)))
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let mut response = (kind, Body::from_stream(pieces)).into_response();
    protect(&mut response);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, search, shown, split};

    #[test]
    fn lines_split_at_their_ends() {
        let texts = |bytes: &'static [u8]| split(bytes).map(shown).collect::<Vec<_>>();
        assert_eq!(texts(b"a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(texts(b"a\nb"), ["a", "b"]);
        assert_eq!(texts(b""), [""; 0]);
        assert_eq!(texts(b"\xff<script>\n"), ["\u{fffd}<script>"]);
    }

    #[test]
    fn long_lines_are_cut() {
        let line = shown(&vec![b'x'; LINE_BYTES_MAX + 5]);
        assert!(line.len() < LINE_BYTES_MAX + 100);
        assert!(line.ends_with("bytes, see the raw log]"));
    }

    #[test]
    fn searches_number_lines_across_pieces() {
        let mut found = Vec::new();
        let line = search(b"Error one\nfine\n", "error", (0, &mut found));
        let line = search(b"fine\nan ERROR\n", "error", (line, &mut found));
        assert_eq!(line, 4);
        search(b"error at the end", "error", (line, &mut found));
        assert_eq!(found, [0, 3, 4]);
    }
}
