//! Durations, shares and tolerances.

use serin_model::service::{Tolerance, Volume};

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

/// Bytes of `512M`, `1.5G` or `64KiB`, by powers of 1,024; a bare number is bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = plain(number)? * (1_u64 << shift) as f64;
    (1.0..=(1_u64 << 50) as f64).contains(&bytes).then_some(bytes as u64)
}

/// Thousandths of a core of `1.5`.
pub(super) fn cpu_milli(text: &str) -> Option<u32> {
    let milli = (plain(text)? * 1000.0).round();
    (1.0..=1_024_000.0).contains(&milli).then_some(milli as u32)
}

/// `SOURCE:/target` or `SOURCE:/target:ro`.
pub(super) fn volume(text: &str) -> Option<Volume> {
    let mut parts = text.split(':');
    let (source, target) = (parts.next()?, parts.next()?);
    let read_only = match (parts.next(), parts.next()) {
        (None, _) | (Some("rw"), None) => false,
        (Some("ro"), None) => true,
        _ => return None,
    };
    let source_is_good = if source.starts_with('/') { is_path(source) } else { is_name(source) };
    let volume = Volume { source: source.to_owned(), target: target.to_owned(), read_only };
    (source_is_good && is_path(target) && target != "/").then_some(volume)
}

/// An absolute path without detours.
fn is_path(text: &str) -> bool {
    let plain = !text.chars().any(|letter| letter.is_control() || letter.is_whitespace());
    text.starts_with('/') && plain && text.split('/').skip(1).all(|part| !matches!(part, "." | ".."))
}

/// Letters, digits, `-`, `_` and `.`, the first a letter or digit, at most 100.
pub(super) fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    letters && text.len() <= 100 && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
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
