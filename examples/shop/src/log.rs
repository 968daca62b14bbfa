//! Logs one JSON object a line on standard output.

use crate::json::quote;
use std::fmt::{Display, Write as _};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Something that is as it should be.
pub fn info(message: &str, fields: &[(&str, &dyn Display)]) {
    write("info", message, fields);
}

/// Something that a person should look at some day.
pub fn warn(message: &str, fields: &[(&str, &dyn Display)]) {
    write("warn", message, fields);
}

/// Something that a person should look at now.
pub fn error(message: &str, fields: &[(&str, &dyn Display)]) {
    write("error", message, fields);
}

fn write(level: &str, message: &str, fields: &[(&str, &dyn Display)]) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let line = line(&timestamp(millis), level, message, fields);
    // Nobody reads: no reason to stop selling.
    let _ = std::io::stdout().write_all(line.as_bytes());
}

fn line(ts: &str, level: &str, message: &str, fields: &[(&str, &dyn Display)]) -> String {
    let mut line = format!(
        r#"{{"ts":"{ts}","level":"{level}","msg":{}"#,
        quote(message)
    );
    for (name, value) in fields {
        let _ = write!(line, ",{}:{}", quote(name), quote(&value.to_string()));
    }
    line.push_str("}\n");
    line
}

/// RFC 3339 in UTC, from milliseconds since 1970.
fn timestamp(millis: u64) -> String {
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::{line, timestamp};

    #[test]
    fn dates() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_line_stays_one_line() {
        let line = line("now", "warn", "a\nb", &[("path", &"\"x\"")]);
        assert_eq!(
            line,
            "{\"ts\":\"now\",\"level\":\"warn\",\"msg\":\"a\\nb\",\"path\":\"\\\"x\\\"\"}\n"
        );
    }
}
