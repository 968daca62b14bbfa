//! Durations, shares and tolerances.

use serin_model::service::Tolerance;

use crate::duration;

/// Milliseconds of `500ms`, `30s`, `5m`, `1h 30m`; a bare number is seconds.
pub(super) fn duration_ms(text: &str) -> Option<i64> {
    duration::parse_ms(text).filter(|ms| *ms >= 0)
}

/// A share from 0 to 1, of `1%`, `0.01` or `1 %`.
pub(super) fn share(text: &str) -> Option<f64> {
    let text = text.trim();
    let value = match text.strip_suffix('%') {
        Some(number) => plain(number)? / 100.0,
        None => plain(text)?,
    };
    (0.0..=1.0).contains(&value).then_some(value)
}

/// `10%` of the baseline, or `0.1pp`, a difference of shares.
pub(super) fn tolerance(text: &str) -> Option<Tolerance> {
    let text = text.trim();
    if let Some(number) = text.strip_suffix("pp") {
        return plain(number).filter(|points| *points <= 100.0).map(|points| Tolerance::Points(points / 100.0));
    }
    text.strip_suffix('%').and_then(plain).map(|percent| Tolerance::Relative(percent / 100.0))
}

/// Whether it is a day, `2026-12-31`.
pub(super) fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |text: &str, digits: usize| {
        let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| plain)
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn plain(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|value: &f64| digits && value.is_finite())
}
