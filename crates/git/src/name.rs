//! Names that come from outside: refs, revisions, ids, paths. All are hostile until checked here.

use crate::error::{Error, Result, printable};

/// The longest ref name accepted, in bytes, `refs/heads/` included.
pub const REF_NAME_BYTES_MAX: usize = 255;

const ID_DIGITS: usize = 40;

/// Checks a full ref name (`refs/…`) for what Git itself demands and for what Serin demands beyond that.
///
/// # Errors
/// Says why the name is refused, as the rest of a sentence that begins with the name.
pub fn valid_ref_name(name: &str) -> std::result::Result<(), &'static str> {
    if name.len() > REF_NAME_BYTES_MAX {
        return Err("is longer than 255 bytes");
    }
    let Some(rest) = name.strip_prefix("refs/") else {
        return Err("does not begin with `refs/`");
    };
    if !rest.contains('/') {
        return Err("names no branch or tag: `refs/heads/<name>` is needed");
    }
    characters(name)?;
    for part in name.split('/') {
        component(part)?;
    }
    branch(name)
}

fn characters(name: &str) -> std::result::Result<(), &'static str> {
    if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err("contains a control or invisible character");
    }
    if name.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) {
        return Err("contains a space or one of `~^:?*[\\`");
    }
    if name.contains("..") || name.contains("@{") {
        return Err("contains `..` or `@{`");
    }
    if name.ends_with('.') {
        return Err("ends with a dot");
    }
    Ok(())
}

/// Marks that reorder or hide text, so that two names could look the same on a page.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn component(part: &str) -> std::result::Result<(), &'static str> {
    if part.is_empty() {
        return Err("has an empty component");
    }
    if part.starts_with('-') {
        return Err("has a component that begins with `-`");
    }
    if part.starts_with('.') {
        return Err("has a component that begins with a dot");
    }
    let tail = part.len().checked_sub(5).and_then(|at| part.get(at..));
    if tail.is_some_and(|end| end.eq_ignore_ascii_case(".lock")) {
        return Err("has a component that ends with `.lock`");
    }
    Ok(())
}

fn branch(name: &str) -> std::result::Result<(), &'static str> {
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    match short {
        Some("HEAD" | "@") => Err("is reserved"),
        Some(short) if is_id(short) => Err("looks like a commit id"),
        _ => Ok(()),
    }
}

pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub(crate) fn checked_id(text: &str) -> Result<&str> {
    if is_id(text) { Ok(text) } else { Err(Error::Id(printable(text.as_bytes()))) }
}

pub(crate) fn checked_ref(name: &str) -> Result<&str> {
    match valid_ref_name(name) {
        Ok(()) => Ok(name),
        Err(why) => Err(Error::RefName { name: printable(name.as_bytes()), why }),
    }
}

/// Whether `text` may stand in a revision argument: no control characters, ranges, pathspecs, reflogs or searches.
pub(crate) fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= REF_NAME_BYTES_MAX
        && !text.starts_with(['-', '.', '/', '^'])
        && !["..", "@{", "^{"].iter().any(|mark| text.contains(mark))
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || ":?*[\\".contains(c))
}

/// Splits a path inside a tree into its components.
pub(crate) fn components(path: &str) -> Result<Vec<&[u8]>> {
    let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
    if parts.iter().all(|part| is_component(part)) { Ok(parts) } else { Err(Error::Path(printable(path.as_bytes()))) }
}

/// Whether a tree entry's name is one plain path component that may be written to disk.
pub(crate) fn is_component(part: &[u8]) -> bool {
    !part.is_empty()
        && part != b"."
        && part != b".."
        && !part.eq_ignore_ascii_case(b".git")
        && !part.contains(&b'/')
        && !part.contains(&0)
}

/// The `Git-Protocol` header's value where it is one that may be handed on.
pub(crate) fn protocol(value: Option<&str>) -> Option<&str> {
    const PROTOCOL_BYTES_MAX: usize = 128;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"=:.-_".contains(&b);
    value.filter(|text| !text.is_empty() && text.len() <= PROTOCOL_BYTES_MAX && text.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ref_names() {
        for name in [
            "refs/heads/main",
            "refs/heads/feature/a-b_c.d",
            "refs/heads/日本",
            "refs/heads/$(touch x)".replace(' ', "_").as_str(),
            "refs/heads/a\"b'c",
            "refs/tags/v1.0",
            "refs/merge-requests/7/head",
            "refs/heads/@x",
        ] {
            assert_eq!(valid_ref_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn refused_ref_names() {
        let long = format!("refs/heads/{}", "x".repeat(65_536));
        let edge = format!("refs/heads/{}", "x".repeat(245));
        for name in [
            "",
            "main",
            "refs/heads",
            "refs/main",
            "refs/heads/",
            "refs/heads/--upload-pack=x",
            "refs/heads/-x",
            "refs/heads/a/-x",
            "refs/heads/a b",
            "refs/heads/$(touch x)",
            "refs/heads/a\nb",
            "refs/heads/a\0b",
            "refs/heads/a\u{202e}b",
            "refs/heads/a..b",
            "refs/heads/a/../b",
            "refs/heads/.git",
            "refs/heads/a.lock",
            "refs/heads/a.LOCK",
            "refs/heads/a//b",
            "refs/heads/a@{1}",
            "refs/heads/a:b",
            "refs/heads/a.",
            "refs/heads/HEAD",
            "refs/heads/0123456789012345678901234567890123456789",
            &long,
            &edge,
        ] {
            assert!(valid_ref_name(name).is_err(), "{}", printable(name.as_bytes()));
        }
        assert_eq!(valid_ref_name(&edge[..255]), Ok(()));
    }

    #[test]
    fn revisions_and_paths() {
        assert!(["main", "HEAD~2", "a^2", "v1.0", "feature/x", "{x}", "deadbeef"].iter().all(|r| is_revision(r)));
        for revision in ["", "-x", "--all", "a..b", "a:b", "a@{1}", "a^{/x}", ":/x", "a b", "a\nb", "^a", "/a", "*"] {
            assert!(!is_revision(revision), "{revision}");
        }
        assert_eq!(components("a/b c/\n").unwrap().len(), 3);
        for path in ["", "/a", "a/", "a//b", "../a", "a/..", "./a", ".git/config", "a/.GIT/x", "a\0b"] {
            assert!(components(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn protocol_header() {
        assert_eq!(protocol(Some("version=2")), Some("version=2"));
        assert_eq!(protocol(Some("version=2:x=y")), Some("version=2:x=y"));
        assert_eq!(protocol(Some("version=2\nX: y")), None);
        assert_eq!(protocol(Some("")), None);
        assert_eq!(protocol(None), None);
    }
}
