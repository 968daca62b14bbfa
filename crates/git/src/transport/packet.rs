//! Packet lines (gitprotocol-common, "pkt-line Format") and side bands (gitprotocol-pack, "Packfile Data").

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest packet's content, in bytes.
pub(crate) const CONTENT_BYTES_MAX: usize = 65_516;
const HEADER_BYTES: usize = 4;
pub(crate) const FLUSH: &[u8] = b"0000";

/// The side band of the report.
pub(crate) const BAND_DATA: u8 = 1;
/// The side band of messages to the user.
pub(crate) const BAND_MESSAGE: u8 = 2;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet<T> {
    Flush,
    Content(T),
}

/// Appends one packet; `content` must fit.
pub(crate) fn write(to: &mut Vec<u8>, content: &[u8]) {
    let content = &content[..content.len().min(CONTENT_BYTES_MAX)];
    to.extend_from_slice(format!("{:04x}", content.len() + HEADER_BYTES).as_bytes());
    to.extend_from_slice(content);
}

/// Appends as many packets of a side band as the content needs.
pub(crate) fn write_band(to: &mut Vec<u8>, band: u8, content: &[u8]) {
    for chunk in content.chunks(CONTENT_BYTES_MAX - 1) {
        let mut packet = Vec::with_capacity(chunk.len() + 1);
        packet.push(band);
        packet.extend_from_slice(chunk);
        write(to, &packet);
    }
}

/// Reads one packet and appends its raw bytes to `raw`; `None` at the end of the stream. Never reads past the packet.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    raw: &mut Vec<u8>,
) -> io::Result<Option<Packet<Vec<u8>>>> {
    let mut header = [0; HEADER_BYTES];
    let first = from.read(&mut header[..1]).await?;
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[1..]).await?;
    let length = length(header).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    raw.extend_from_slice(&header);
    let Some(length) = length else { return Ok(Some(Packet::Flush)) };
    let mut content = vec![0; length];
    from.read_exact(&mut content).await?;
    raw.extend_from_slice(&content);
    Ok(Some(Packet::Content(content)))
}

/// Splits the first packet off; `None` where the bytes end or are malformed.
pub(crate) fn split(bytes: &[u8]) -> Option<(Packet<&[u8]>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    match length(*header)? {
        None => Some((Packet::Flush, rest)),
        Some(length) => Some((Packet::Content(rest.get(..length)?), &rest[length..])),
    }
}

/// The content's length; `Some(None)` for a flush, `None` for what is no header.
fn length(header: [u8; HEADER_BYTES]) -> Option<Option<usize>> {
    if !header.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let length = usize::from_str_radix(std::str::from_utf8(&header).ok()?, 16).ok()?;
    match length {
        0 => Some(None),
        length => Some(Some(length.checked_sub(HEADER_BYTES).filter(|&length| length <= CONTENT_BYTES_MAX)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_no_byte_too_many() {
        let mut bytes: &[u8] = b"0006a\n0000PACK";
        let mut raw = Vec::new();
        assert_eq!(read(&mut bytes, &mut raw).await.unwrap(), Some(Packet::Content(b"a\n".to_vec())));
        assert_eq!(read(&mut bytes, &mut raw).await.unwrap(), Some(Packet::Flush));
        assert_eq!(bytes, b"PACK");
        assert_eq!(raw, b"0006a\n0000");
    }

    #[test]
    fn refuses_bad_lengths() {
        for bytes in [&b"0001"[..], b"0003", b"+00a123456", b"zzzz", b"fff1", b"0009ab", b"00"] {
            assert_eq!(split(bytes), None, "{bytes:?}");
        }
        assert_eq!(split(b"0004x"), Some((Packet::Content(&b""[..]), &b"x"[..])));
    }

    #[test]
    fn bands_are_cut_into_packets() {
        let mut bytes = Vec::new();
        write_band(&mut bytes, BAND_MESSAGE, &vec![b'x'; CONTENT_BYTES_MAX]);
        let Some((Packet::Content(first), rest)) = split(&bytes) else { panic!("no packet") };
        assert_eq!(first.len(), CONTENT_BYTES_MAX);
        assert_eq!(split(rest), Some((Packet::Content(&b"\x02x"[..]), &b""[..])));
    }
}
