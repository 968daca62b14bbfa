//! Text out of reports, made harmless: bounded, without escape sequences, control and direction characters.

/// Bytes kept of a name, such as a rule's or a test's.
pub const NAME_BYTES_MAX: usize = 512;
/// Bytes kept of a message.
pub const MESSAGE_BYTES_MAX: usize = 2_048;
/// Bytes kept of a failed test's output.
pub const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// Cleans text that stands on one line: blanks of every kind become one blank.
#[must_use]
pub fn line(raw: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(bytes_max));
    for part in Plain::of(raw) {
        let blank = part.is_whitespace();
        if blank && (out.is_empty() || out.ends_with(' ')) {
            continue;
        }
        if !push(&mut out, if blank { ' ' } else { part }, bytes_max) {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Cleans text of several lines; newlines and tabs stay.
#[must_use]
pub fn block(raw: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(bytes_max));
    for part in Plain::of(raw) {
        if !push(&mut out, part, bytes_max) {
            break;
        }
    }
    let kept = out.trim_end().len();
    out.truncate(kept);
    out
}

fn push(out: &mut String, part: char, bytes_max: usize) -> bool {
    const CUT: char = '…';
    if out.len() + part.len_utf8() > bytes_max.saturating_sub(CUT.len_utf8()) {
        out.push(CUT);
        return false;
    }
    out.push(part);
    true
}

/// The characters of a text that a terminal or a page may be shown.
struct Plain<'a> {
    rest: std::str::Chars<'a>,
}

impl<'a> Plain<'a> {
    fn of(raw: &'a str) -> Self {
        Self { rest: raw.chars() }
    }

    /// Skips an escape sequence after its ESC (ECMA-48: CSI, OSC and other strings, two-byte escapes).
    fn skip_escape(&mut self) {
        match self.rest.next() {
            Some('[') => while self.rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            Some(']' | 'P' | 'X' | '^' | '_') => {
                let mut last = ' ';
                for c in self.rest.by_ref() {
                    if c == '\u{7}' || c == '\u{9c}' || (last == '\u{1b}' && c == '\\') {
                        break;
                    }
                    last = c;
                }
            }
            Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
                self.rest.next();
            }
            _ => {}
        }
    }
}

impl Iterator for Plain<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            match self.rest.next()? {
                '\u{1b}' => self.skip_escape(),
                '\u{9b}' => while self.rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                kept @ ('\n' | '\t') => return Some(kept),
                '\u{2028}' | '\u{2029}' => return Some('\n'),
                other if other.is_control() || is_invisible(other) => {}
                other => return Some(other),
            }
        }
    }
}

/// Marks that turn the direction of text or take no room: they make text read as what it is not.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_invisible_marks_go() {
        for (raw, clean) in [
            ("\u{1b}[31;1mred\u{1b}[0m alert", "red alert"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\link", "alink"),
            ("a\u{1b}Pq evil \u{1b}\\b", "ab"),
            ("x\u{9b}31my", "xy"),
            ("if (admin\u{202e}\u{2066}) {", "if (admin) {"),
            ("nul\0bell\u{7}", "nulbell"),
            (" many \n\t lines ", "many lines"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("\u{1b}[", ""),
            ("\u{1b}", ""),
        ] {
            assert_eq!(line(raw, 100), clean);
        }
        assert_eq!(block("a\n\tb\r\n\u{1b}[2Kc\n\n", 100), "a\n\tb\nc");
    }

    #[test]
    fn length_is_bounded_at_a_character() {
        let cut = line(&"é".repeat(100), 16);
        assert!(cut.len() <= 16 && cut.ends_with('…'), "{cut}");
        assert_eq!(line("short", 16), "short");
    }
}
