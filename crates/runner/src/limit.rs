//! Limits of time as variables hold them: `90s`, `1h20m`, as Go writes durations.

use std::time::Duration;

/// The longest limit; more than any job may take.
const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

/// A duration of numbers with units; `None` where it is none, or negative, or nothing.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let tail = &rest[end..];
        let (unit, seconds) = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| tail.starts_with(unit))?;
        let part = Duration::try_from_secs_f64(number * seconds).ok()?;
        sum = sum.checked_add(part)?.min(Duration::from_secs(SECONDS_MAX));
        rest = &tail[unit.len()..];
    }
    (sum > Duration::ZERO).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::{Duration, parse};

    #[test]
    fn durations_of_go() {
        for (text, expected) in [
            ("40s", Some(40_000)),
            ("1h20m", Some(4_800_000)),
            (" 2h ", Some(7_200_000)),
            ("1.5m", Some(90_000)),
            ("250ms", Some(250)),
            ("", None),
            ("0s", None),
            ("-5s", None),
            ("soon", None),
            ("5", None),
            ("5 s", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_millis), "`{text}`");
        }
    }
}
