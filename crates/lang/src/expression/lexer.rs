//! Text to tokens.

use regex::Regex;

use super::{Invalid, Operator, TOKENS_MAX};
use crate::pattern;

#[derive(Clone, Debug)]
pub(super) enum Token {
    Open,
    Close,
    Not,
    Operator(Operator),
    Variable(String),
    Input(String),
    Text(String),
    Pattern(Regex, String),
    Null,
    Bool(bool),
}

pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Invalid> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(is_blank).len();
        if at == text.len() {
            return Ok(tokens);
        }
        if tokens.len() == TOKENS_MAX {
            return Err(invalid(
                at,
                format!("it has more than {TOKENS_MAX} parts"),
                Some("set a variable in `workflow:rules` and test that"),
            ));
        }
        let (token, bytes) = token(&text[at..], at)?;
        tokens.push((at, token));
        at += bytes;
    }
}

/// What stands between tokens; a no-break space does not.
fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

fn token(rest: &str, at: usize) -> Result<(Token, usize), Invalid> {
    for (word, token) in [
        ("==", Token::Operator(Operator::Equals)),
        ("=~", Token::Operator(Operator::Matches)),
        ("!=", Token::Operator(Operator::NotEquals)),
        ("!~", Token::Operator(Operator::NotMatches)),
        ("&&", Token::Operator(Operator::And)),
        ("||", Token::Operator(Operator::Or)),
        ("(", Token::Open),
        (")", Token::Close),
        ("!", Token::Not),
    ] {
        if rest.starts_with(word) {
            return Ok((token, word.len()));
        }
    }
    match rest.as_bytes()[0] {
        b'$' => variable(rest, at),
        quote @ (b'"' | b'\'') => string(rest, char::from(quote), at),
        b'/' => slashed(rest, at),
        _ => word(rest, at),
    }
}

fn variable(rest: &str, at: usize) -> Result<(Token, usize), Invalid> {
    if let Some(block) = rest.strip_prefix("$[[") {
        let end =
            block.find("]]").ok_or_else(|| invalid(at, "`$[[` is not closed", Some("write `$[[ inputs.name ]]`")))?;
        let name = block[..end].trim().strip_prefix("inputs.");
        let name = name
            .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
            .ok_or_else(|| invalid(at, "only inputs may stand in `$[[ ]]`", Some("write `$[[ inputs.name ]]`")))?;
        return Ok((Token::Input(name.to_owned()), end + 5));
    }
    let name: String = rest[1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        let hint =
            rest[1..].strip_prefix('{').and_then(|body| body.split('}').next()).map(|name| format!("write `${name}`"));
        let reason = "a variable is written as `$NAME`, without braces";
        return Err(Invalid { at, reason: reason.to_owned(), hint });
    }
    let bytes = name.len() + 1;
    Ok((Token::Variable(name), bytes))
}

fn string(rest: &str, quote: char, at: usize) -> Result<(Token, usize), Invalid> {
    match rest[1..].find([quote, '\n']) {
        Some(end) if rest[1 + end..].starts_with(quote) => Ok((Token::Text(rest[1..=end].to_owned()), end + 2)),
        Some(_) => Err(invalid(at, "the quotes are not closed on this line", None)),
        None => Err(invalid(at, "the quotes are not closed", None)),
    }
}

fn slashed(rest: &str, at: usize) -> Result<(Token, usize), Invalid> {
    let Some(end) = closing_slash(&rest[1..]) else {
        return Err(invalid(at, "the pattern is not closed", Some("write `/pattern/`, and `\\/` for a slash in it")));
    };
    let body = &rest[1..=end];
    let flags: String = rest[end + 2..].chars().take_while(|c| "ismU".contains(*c)).collect();
    if body.chars().count() < 2 {
        return Err(invalid(at, "a pattern needs at least two characters", Some("write `/^x/` or compare with `==`")));
    }
    if body.contains('\n') {
        return Err(invalid(at, "a pattern stands on one line", None));
    }
    let regex = pattern::compile_slashed(body, &flags)
        .map_err(|reason| invalid(at, format!("`/{body}/` is no pattern: {reason}"), None))?;
    let bytes = end + 2 + flags.len();
    Ok((Token::Pattern(regex, rest[..bytes].to_owned()), bytes))
}

/// Where a pattern ends: at the first slash without a backslash before it, or at a second one right behind that.
fn closing_slash(body: &str) -> Option<usize> {
    let bytes = body.as_bytes();
    let end = (0..bytes.len()).find(|&at| bytes[at] == b'/' && (at == 0 || bytes[at - 1] != b'\\'))?;
    let doubled = end > 0 && bytes.get(end + 1) == Some(&b'/');
    Some(end + usize::from(doubled))
}

fn word(rest: &str, at: usize) -> Result<(Token, usize), Invalid> {
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let token = match word.as_str() {
        "null" => Token::Null,
        "true" => Token::Bool(true),
        "false" => Token::Bool(false),
        "" => {
            let c = rest.chars().next().unwrap_or(' ');
            let hint = match c {
                '&' => Some("write `&&`"),
                '|' => Some("write `||`"),
                '=' => Some("write `==` or `=~`"),
                c if c.is_whitespace() => Some("put an ordinary space in its place"),
                _ => None,
            };
            return Err(invalid(at, format!("`{c}` means nothing here"), hint));
        }
        word => {
            let hint = format!("write `${word}` for a variable or `\"{word}\"` for a text");
            return Err(Invalid { at, reason: format!("the bare word `{word}` means nothing here"), hint: Some(hint) });
        }
    };
    Ok((token, word.len()))
}

fn invalid(at: usize, reason: impl Into<String>, hint: Option<&str>) -> Invalid {
    Invalid { at, reason: reason.into(), hint: hint.map(str::to_owned) }
}
