//! Lines out of a stream of chunks, each bounded.

/// Bytes kept of one line.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// One line.
pub(crate) struct Line<'a> {
    /// Its bytes without the line's end.
    pub(crate) bytes: &'a [u8],
    /// Whether it was longer.
    pub(crate) is_cut: bool,
}

/// Puts lines together from chunks; what a line has beyond its limit is dropped.
#[derive(Default)]
pub(crate) struct Lines {
    open: Vec<u8>,
    is_cut: bool,
}

impl Lines {
    /// Takes a chunk and gives every line that it completes.
    pub(crate) fn push(&mut self, mut chunk: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = chunk.split_at(end);
            self.extend(head);
            self.emit(&mut line);
            chunk = rest.get(1..).unwrap_or_default();
        }
        self.extend(chunk);
    }

    /// Gives what is left without a line's end.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if !self.open.is_empty() {
            self.emit(&mut line);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.open.len();
        self.is_cut |= bytes.len() > room;
        self.open.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn emit(&mut self, line: &mut impl FnMut(Line<'_>)) {
        let bytes = self.open.strip_suffix(b"\r").unwrap_or(&self.open);
        line(Line { bytes, is_cut: self.is_cut });
        self.open.clear();
        self.is_cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, Lines};

    fn split(chunks: &[&[u8]]) -> Vec<(usize, bool)> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| seen.push((line.bytes.len(), line.is_cut)));
        }
        lines.finish(|line| seen.push((line.bytes.len(), line.is_cut)));
        seen
    }

    #[test]
    fn lines_come_out_whole_however_they_are_cut_into_chunks() {
        assert_eq!(split(&[b"a\nbb\r\n\nc"]), [(1, false), (2, false), (0, false), (1, false)]);
        assert_eq!(split(&[b"a", b"b", b"\n", b"c\n"]), [(2, false), (1, false)]);
        assert_eq!(split(&[b""]), []);
    }

    #[test]
    fn a_long_line_is_cut_and_counted_once() {
        let long = vec![b'x'; LINE_BYTES_MAX * 3];
        assert_eq!(split(&[&long, &long, b"\nb\n"]), [(LINE_BYTES_MAX, true), (1, false)]);
    }
}
