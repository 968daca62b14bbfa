//! Plain scalars, as Ruby's Psych reads YAML 1.1.

use std::sync::Arc;

use super::{Null, Value};

/// The value of a plain (not quoted) scalar.
pub(crate) fn resolve(text: &str) -> Value {
    resolve_with(text, |text| text.into())
}

/// As [`resolve`], with texts made by `make`.
pub(crate) fn resolve_with(text: &str, make: impl FnOnce(&str) -> Arc<str>) -> Value {
    let Some(first) = text.bytes().next() else {
        return Value::Null(Null::Empty);
    };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => word(text),
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(text),
        _ => None,
    }
    .unwrap_or_else(|| Value::Text(make(text)))
}

fn word(text: &str) -> Option<Value> {
    if text.len() > 5 {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "~" | "null" => Some(Value::Null(Null::Explicit)),
        "yes" | "true" | "on" => Some(Value::Bool(true)),
        "no" | "false" | "off" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    if text.len() > 64 {
        return None;
    }
    let (negative, digits) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(Value::Float(sign * f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if digits.len() == text.len() => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    if let Some(value) = integer(digits).or_else(|| base_60(digits)) {
        return value.map(|value| Value::Int(if negative { -value } else { value }));
    }
    float(digits).map(|value| Value::Float(sign * value))
}

/// What may stand between digits: Psych takes `1,2` for 12.
const SEPARATORS: [char; 2] = ['_', ','];

fn is_separator(byte: u8) -> bool {
    SEPARATORS.contains(&char::from(byte))
}

/// `None`: no whole number; `Some(None)`: looks like one and is out of range, so it stays text.
fn integer(digits: &str) -> Option<Option<i64>> {
    let (radix, body) = if let Some(body) = digits.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = digits.strip_prefix("0b") {
        (2, body)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    let is_digit = |byte: u8| char::from(byte).is_digit(radix);
    let bytes = body.as_bytes();
    if !bytes.iter().any(|byte| is_digit(*byte)) || !bytes.iter().all(|byte| is_separator(*byte) || is_digit(*byte)) {
        return None;
    }
    let follows_digit = |at: usize| at > 0 && is_digit(bytes[at - 1]);
    let leads_digit = |at: usize| bytes.get(at + 1).is_some_and(|byte| is_digit(*byte));
    let lonely = |at: usize| is_separator(bytes[at]) && !(follows_digit(at) && leads_digit(at));
    if radix == 10 && (0..bytes.len()).any(lonely) {
        return None;
    }
    Some(i64::from_str_radix(&body.replace(SEPARATORS, ""), radix).ok())
}

/// `1:30:15`, two or three parts; the first counts as hours also where there are two, as Psych has it.
fn base_60(digits: &str) -> Option<Option<i64>> {
    let (first, rest) = digits.split_once(':')?;
    let whole = first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') && !first.starts_with('_');
    if first.is_empty() || !whole {
        return None;
    }
    let mut sum = first.replace('_', "").parse::<i64>().ok().and_then(|hours| hours.checked_mul(3600));
    let parts: Vec<&str> = rest.split(':').collect();
    for (part, weight) in parts.iter().zip([60, 1]) {
        let value = part.parse::<i64>().ok().filter(|value| *value < 60 && part.len() <= 2)?;
        sum = sum.and_then(|sum| sum.checked_add(value * weight));
    }
    (parts.len() <= 2).then_some(sum)
}

fn float(digits: &str) -> Option<f64> {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let starts_right = whole.bytes().next().is_none_or(|byte| byte.is_ascii_digit());
    let whole_ok = starts_right && whole.bytes().all(|byte| byte.is_ascii_digit() || is_separator(byte));
    let fraction_ok = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|exponent| {
        exponent.strip_prefix(['+', '-']).is_some_and(|e| !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()))
    });
    if !whole_ok || !fraction_ok || !exponent_ok || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let plain = digits.replace(SEPARATORS, "");
    format!("0{plain}").replace(".e", ".0e").replace(".E", ".0e").trim_end_matches('.').parse().ok()
}

/// A float as Ruby's `to_s` writes it.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value != 0.0 && (value.abs() >= 1e16 || value.abs() < 1e-4) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') { mantissa.to_owned() } else { format!("{mantissa}.0") };
        let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |exponent| ("-", exponent));
        format!("{mantissa}e{sign}{exponent:0>2}")
    } else if value.fract() == 0.0 {
        format!("{value:.1}")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{Null, Value, float_text, resolve};

    fn check(text: &str, expected: Value) {
        assert_eq!(resolve(text), expected, "`{text}`");
    }

    #[test]
    fn words_of_yaml_1_1() {
        for text in ["yes", "Yes", "TRUE", "on", "true"] {
            check(text, Value::Bool(true));
        }
        for text in ["no", "False", "OFF"] {
            check(text, Value::Bool(false));
        }
        for text in ["~", "null", "NULL"] {
            check(text, Value::Null(Null::Explicit));
        }
        check("", Value::Null(Null::Empty));
        for text in ["y", "n", "nope", "truely", "-", ".", "+", "on-call"] {
            check(text, Value::Text(text.into()));
        }
    }

    #[test]
    fn numbers_of_yaml_1_1() {
        check("0755", Value::Int(0o755));
        check("0o755", Value::Text("0o755".into()));
        check("1_000", Value::Int(1000));
        check("-12", Value::Int(-12));
        check("+3", Value::Int(3));
        check("0x1F", Value::Int(31));
        check("0b101", Value::Int(5));
        check("0", Value::Int(0));
        check("089", Value::Text("089".into()));
        check("1.5", Value::Float(1.5));
        check(".5", Value::Float(0.5));
        check("1.", Value::Float(1.0));
        check("1.5e+3", Value::Float(1500.0));
        check("1e3", Value::Text("1e3".into()));
        check("1.2.3", Value::Text("1.2.3".into()));
        check("12abc", Value::Text("12abc".into()));
        check("70,75,80", Value::Int(707_580));
        check("12,", Value::Text("12,".into()));
        check("1__0", Value::Text("1__0".into()));
        check("1,000.5", Value::Float(1000.5));
        check("1:30", Value::Int(5400));
        check("1:30:15", Value::Int(5415));
        check("80:80", Value::Text("80:80".into()));
        check("1:2:3:4", Value::Text("1:2:3:4".into()));
        check("a:1", Value::Text("a:1".into()));
        check("99999999999999999999", Value::Text("99999999999999999999".into()));
    }

    #[test]
    fn floats_are_written_as_ruby_does() {
        for (value, text) in [(1.5, "1.5"), (2.0, "2.0"), (1e20, "1.0e+20"), (0.00001, "1.0e-05"), (0.1, "0.1")] {
            assert_eq!(float_text(value), text);
        }
    }
}
