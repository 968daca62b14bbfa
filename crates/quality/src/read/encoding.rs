//! Reports in other encodings than UTF-8: UTF-16, as shells of Windows write it, and Latin-1, as old XML writers do.

use std::io::{self, Read};

/// Bytes by which an encoding is told: a mark, or XML's declaration.
const HEAD_BYTES: usize = 256;
/// Bytes that are decoded at once.
const BLOCK_BYTES: usize = 16 << 10;
const REPLACEMENT: &str = "\u{fffd}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16(Order),
    Latin1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// Gives a report's bytes as UTF-8, without the byte order mark that some tools begin with.
///
/// Bytes that claim to be UTF-8 are handed on as they are: the format's reader judges them.
pub(super) struct Utf8<R> {
    source: R,
    encoding: Option<Encoding>,
    /// Decoded bytes that were not handed out yet.
    ready: Vec<u8>,
    at: usize,
    /// What of a character is there, where the rest of it has not come.
    open: Vec<u8>,
}

impl<R: Read> Utf8<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, encoding: None, ready: Vec::new(), at: 0, open: Vec::new() }
    }

    /// Tells the encoding by the first bytes; a pipe may give less of them at once.
    fn begin(&mut self) -> io::Result<Encoding> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        self.source.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let (encoding, mark) = told_by(&head);
        self.encoding = Some(encoding);
        match encoding {
            Encoding::Utf8 => self.ready = head.split_off(mark),
            _ => self.decode(encoding, &head[mark..]),
        }
        Ok(encoding)
    }

    fn decode(&mut self, encoding: Encoding, bytes: &[u8]) {
        let Encoding::Utf16(order) = encoding else {
            self.ready.extend(bytes.iter().flat_map(|byte| char::from(*byte).to_string().into_bytes()));
            return;
        };
        self.open.extend_from_slice(bytes);
        let mut whole = self.open.len() & !1;
        // Of a pair of surrogates the second may be still to come.
        if whole >= 2 && matches!(unit(order, &self.open[whole - 2..]), 0xd800..=0xdbff) {
            whole -= 2;
        }
        let units = self.open[..whole].chunks_exact(2).map(|pair| unit(order, pair));
        let decoded: String =
            char::decode_utf16(units).map(|part| part.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        self.ready.extend(decoded.into_bytes());
        self.open.drain(..whole);
    }

    fn refill(&mut self, encoding: Encoding) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        while self.ready.is_empty() {
            let read = match self.source.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                if !std::mem::take(&mut self.open).is_empty() {
                    self.ready.extend(REPLACEMENT.bytes());
                }
                return Ok(());
            }
            self.decode(encoding, &block[..read]);
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None => self.begin()?,
        };
        if self.at == self.ready.len() {
            self.ready.clear();
            self.at = 0;
            if encoding == Encoding::Utf8 {
                return self.source.read(into);
            }
            self.refill(encoding)?;
        }
        let count = into.len().min(self.ready.len() - self.at);
        into[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn unit(order: Order, pair: &[u8]) -> u16 {
    let pair = [pair[0], pair[1]];
    match order {
        Order::Little => u16::from_le_bytes(pair),
        Order::Big => u16::from_be_bytes(pair),
    }
}

/// The encoding, and how many bytes its mark takes.
fn told_by(head: &[u8]) -> (Encoding, usize) {
    match head {
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
        [0xff, 0xfe, ..] => (Encoding::Utf16(Order::Little), 2),
        [0xfe, 0xff, ..] => (Encoding::Utf16(Order::Big), 2),
        [b'<' | b'{' | b'[', 0, ..] => (Encoding::Utf16(Order::Little), 0),
        [0, b'<' | b'{' | b'[', ..] => (Encoding::Utf16(Order::Big), 0),
        _ if declares_latin1(head) => (Encoding::Latin1, 0),
        _ => (Encoding::Utf8, 0),
    }
}

/// XML's declaration (Extensible Markup Language 1.0, 4.3.3).
fn declares_latin1(head: &[u8]) -> bool {
    let end = head.iter().position(|byte| *byte == b'>').unwrap_or(head.len());
    let Some(declaration) = std::str::from_utf8(&head[..end]).ok().filter(|text| text.starts_with("<?xml")) else {
        return false;
    };
    let named = declaration.split_once("encoding").and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
    let is = |name: &&str| named.is_some_and(|named| named.eq_ignore_ascii_case(name));
    ["iso-8859-1", "iso8859-1", "latin1", "latin-1", "windows-1252", "cp1252"].iter().any(is)
}

/// The first bytes of a report as text.
pub(super) fn head_text(head: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(head.len());
    // Bytes in memory can always be read.
    let _ = Utf8::new(head).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drops<'d>(&'d [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    fn utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "<?xml version='1.0'?>\r\n<a b='grün 绿 🐤'/>".to_owned() + &" ".repeat(BLOCK_BYTES);
        let latin1 = b"<?xml version='1.0' encoding='ISO-8859-1'?><a b='gr\xfcn'/>";
        for (bytes, wanted) in [
            (text.clone().into_bytes(), text.as_str()),
            (format!("\u{feff}{text}").into_bytes(), &text),
            (utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), &text),
            (utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), &text),
            (utf16(&text, u16::to_le_bytes), &text),
            (utf16(&text, u16::to_be_bytes), &text),
            (latin1.to_vec(), "<?xml version='1.0' encoding='ISO-8859-1'?><a b='grün'/>"),
            (vec![0xff, 0xfe, b'{', 0, 0x3e, 0xd8], "{\u{fffd}"),
            (vec![0xff, 0xfe, b'{', 0, b'}'], "{\u{fffd}"),
            (Vec::new(), ""),
            (vec![0xef], "\u{fffd}"),
        ] {
            assert_eq!(head_text(&bytes), wanted);
            let mut slow = Vec::new();
            Utf8::new(Drops(&bytes)).read_to_end(&mut slow).unwrap();
            assert_eq!(String::from_utf8_lossy(&slow), wanted);
        }
    }
}
