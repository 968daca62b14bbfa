//! RE2's text to the engine's: the same meaning where both read it, an error where RE2 has one.

/// Names that may stand in `[[:…:]]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Where the reader is.
struct Reader<'p> {
    rest: &'p str,
    out: String,
    in_class: bool,
    /// Behind `\d` and the like in a class, where a dash is plain text.
    after_set: bool,
}

/// Writes a pattern as the engine reads it.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader =
        Reader { rest: pattern, out: String::with_capacity(pattern.len() + 8), in_class: false, after_set: false };
    while let Some(c) = reader.rest.chars().next() {
        match c {
            '\\' => reader.escape()?,
            '[' if !reader.in_class => reader.open_class(),
            '(' if !reader.in_class => reader.open_group()?,
            _ if reader.in_class => reader.class_char(c)?,
            '{' if !is_repetition(reader.rest) => reader.write("\\{", 1),
            _ => reader.take(c.len_utf8()),
        }
    }
    Ok(reader.out)
}

impl Reader<'_> {
    /// Writes a text in place of the next bytes.
    fn write(&mut self, text: &str, bytes: usize) {
        self.out.push_str(text);
        self.rest = &self.rest[bytes..];
        self.after_set = false;
    }

    /// Takes the next bytes over as they are.
    fn take(&mut self, bytes: usize) {
        self.write(&self.rest[..bytes], bytes);
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(next) = self.rest[1..].chars().next() else {
            return Err("a lonely `\\` at the end".to_owned());
        };
        match next {
            'Q' => self.quoted(),
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => self.set(next),
            'b' | 'B' if !self.in_class => self.write(&format!("(?-u:\\{next})"), 2),
            'p' | 'P' => self.property(next)?,
            'x' => self.hex(),
            '0'..='7' => self.octal(next)?,
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'A' | 'z' => self.take(2),
            '_' => self.write("_", 2),
            _ if next.is_ascii_punctuation() => self.write(&regex::escape(next.encode_utf8(&mut [0; 4])), 2),
            _ => return Err(format!("`\\{next}` means nothing")),
        }
        Ok(())
    }

    /// `(`, `(?i)`, `(?s-m:`; names and what RE2 refuses are left to the engine.
    fn open_group(&mut self) -> Result<(), String> {
        let flags = self.rest.strip_prefix("(?").and_then(|rest| rest.find([')', ':']).map(|end| &rest[..end]));
        let flags = flags.filter(|flags| flags.chars().all(|c| c.is_ascii_alphabetic() || c == '-'));
        if flags.is_some_and(|flags| flags.contains(|c| !"imsU-".contains(c))) {
            return Err("the flags are `i`, `m`, `s` and `U`".to_owned());
        }
        self.take(1);
        Ok(())
    }

    /// `\Q…\E`.
    fn quoted(&mut self) {
        let body = &self.rest[2..];
        let end = body.find("\\E");
        let text = regex::escape(&body[..end.unwrap_or(body.len())]);
        self.write(&text, end.map_or(self.rest.len(), |end| end + 4));
    }

    /// The classes of Perl, which know ASCII alone.
    fn set(&mut self, letter: char) {
        let members = match letter.to_ascii_lowercase() {
            'd' => "0-9",
            'w' => "0-9A-Za-z_",
            _ => "\\t\\n\\x0c\\r ",
        };
        let not = if letter.is_ascii_uppercase() { "^" } else { "" };
        self.write(&format!("[{not}{members}]"), 2);
        self.after_set = self.in_class;
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`.
    fn property(&mut self, letter: char) -> Result<(), String> {
        if !self.rest[2..].starts_with('{') {
            self.take(2);
            return Ok(());
        }
        let end = self.rest.find('}').ok_or_else(|| format!("`\\{letter}{{` is not closed"))?;
        let name = &self.rest[3..end];
        let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let letter = if negated == (letter == 'p') { 'P' } else { 'p' };
        self.write(&format!("\\{letter}{{{name}}}"), end + 1);
        Ok(())
    }

    /// `\x61` and `\x{61}`; the braces are no repetition.
    fn hex(&mut self) {
        let braces = self.rest[2..].starts_with('{').then(|| self.rest.find('}')).flatten();
        self.take(braces.map_or(2, |end| end + 1));
    }

    /// `\101`; a single digit but zero would be a backreference.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let digits = self.rest[1..].bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        if first != '0' && digits < 2 {
            return Err("backreferences are not supported".to_owned());
        }
        let code = u32::from_str_radix(&self.rest[1..=digits], 8).unwrap_or_default();
        self.write(&format!("\\x{{{code:x}}}"), digits + 1);
        Ok(())
    }

    /// `[`, `[^`, and a `]` right behind it, which is plain text.
    fn open_class(&mut self) {
        let not = self.rest[1..].starts_with('^');
        self.take(1 + usize::from(not));
        if self.rest.starts_with(']') {
            self.write("\\]", 1);
        }
        self.in_class = true;
    }

    fn class_char(&mut self, c: char) -> Result<(), String> {
        let posix = self.rest.strip_prefix("[:").and_then(|rest| rest.find(":]").map(|end| &rest[..end]));
        if let Some(name) = posix {
            if !POSIX.contains(&name.trim_start_matches('^')) {
                return Err(format!("`[:{name}:]` is no class"));
            }
            self.take(name.len() + 4);
            return Ok(());
        }
        let escape = match c {
            '[' | '&' | '~' => true,
            '-' => self.after_set && !self.rest.starts_with("-]"),
            _ => false,
        };
        self.in_class = c != ']';
        if escape {
            self.write(&format!("\\{c}"), c.len_utf8());
        } else {
            self.take(c.len_utf8());
        }
        Ok(())
    }
}

fn is_repetition(rest: &str) -> bool {
    let Some((body, _)) = rest[1..].split_once('}') else { return false };
    let (low, high) = body.split_once(',').unwrap_or((body, ""));
    !low.is_empty() && low.bytes().chain(high.bytes()).all(|byte| byte.is_ascii_digit())
}
