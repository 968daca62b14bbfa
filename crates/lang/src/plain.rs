//! Texts without quotes that are not read as such: dates, which GitLab's reader of YAML refuses, and numbers of YAML 1.1.

use crate::diagnostic::Sink;
use crate::syntax::{Map, Node, Value};

/// Reports each of them in a configuration.
pub(crate) fn report(map: &Map, sink: &mut Sink) {
    map.iter().for_each(|entry| node(&entry.value, sink));
}

fn node(node: &Node, sink: &mut Sink) {
    match &node.value {
        Value::Map(map) => report(map, sink),
        Value::List(items) => items.iter().for_each(|item| self::node(item, sink)),
        Value::Text(text) if is_date(text) && sink.text(node.span) == &**text => {
            let message = format!("`{text}` is a date, which GitLab does not take");
            sink.error(node.span, message).hint(format!("put it in quotes: `\"{text}\"`"));
        }
        Value::Int(number) if sink.text(node.span).contains([',', ':']) => {
            let message = format!("`{}` is read as the number {number}", sink.text(node.span));
            sink.warning(node.span, message).hint("put it in quotes to keep the text");
        }
        _ => {}
    }
}

/// `2026-12-24`, also with a time behind it.
pub(crate) fn is_date(text: &str) -> bool {
    if text.len() < 8 || text.as_bytes()[4] != b'-' {
        return false;
    }
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start())),
        None => (text, None),
    };
    let digits =
        |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, date] = parts[..] else { return false };
    let within = |part: &str, high: u32| digits(part, 2) && part.parse().is_ok_and(|value: u32| value <= high);
    year.len() == 4 && digits(year, 4) && within(month, 12) && within(date, 31) && time.is_none_or(is_time)
}

/// `9:30:00`, with a fraction and a zone or without.
fn is_time(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(text.len());
    let parts: Vec<&str> = text[..end].split(':').collect();
    let [hour, minute, second] = parts[..] else { return false };
    let zone = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'Z' | '+' | '-' | ':' | ' ');
    (1..=2).contains(&hour.len()) && minute.len() == 2 && second.len() == 2 && text[end..].chars().all(zone)
}

#[cfg(test)]
mod tests {
    use super::is_date;

    #[test]
    fn dates_and_what_only_looks_like_one() {
        for text in ["2026-12-24", "2026-1-2", "2026-01-02T03:04:05Z", "2026-01-02 3:04:05.5 +1:00"] {
            assert!(is_date(text), "`{text}`");
        }
        for text in
            ["2026-13-01", "2026-01", "2026-01-02-rc1", "2026-01-02T", "v026-01-02", "20-01-2026", "日本2026-01"]
        {
            assert!(!is_date(text), "`{text}`");
        }
    }
}
