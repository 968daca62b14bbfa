//! As much JSON as a shop needs.

use std::fmt::Write;

/// A text as JSON, in quotes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// The whole numbers named `key` in a JSON text, in order: `[{"id":1},{"id":2}]` has 1 and 2 for `id`.
pub fn numbers(text: &str, key: &str) -> Vec<u64> {
    let name = quote(key);
    let values = text.match_indices(&name).filter_map(|(at, _)| {
        let value = text[at + name.len()..]
            .trim_start()
            .strip_prefix(':')?
            .trim_start();
        let end = value
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(value.len());
        value[..end].parse().ok()
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::{numbers, quote};

    #[test]
    fn quotes() {
        assert_eq!(quote("a\"b\\c\n\u{1}ü"), "\"a\\\"b\\\\c\\n\\u0001ü\"");
    }

    #[test]
    fn finds_numbers_by_name() {
        assert_eq!(numbers(r#"[{"id": 1, "x": 5}, {"id":22}]"#, "id"), [1, 22]);
        assert_eq!(numbers(r#"{"id": "3", "id": -4}"#, "id"), []);
        assert_eq!(numbers("", "id"), []);
    }
}
