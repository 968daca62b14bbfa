//! Windows without releases, as people write them: `Fri 16:00 – Mon 09:00 Asia/Shanghai`, each week, or
//! `2026-12-24 12:00 – 2027-01-04 09:00 Europe/Berlin`, once. Times are those of the zone's clocks.

/// Minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A window, its beginning included, its end not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it is.
    pub span: Span,
    /// The time zone's name in the IANA database.
    pub zone: String,
}

/// The two ends of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Each week: minutes since Monday 00:00. The end may come before the beginning, over Sunday.
    Weekly {
        /// The first minute that is frozen.
        from: u32,
        /// The first that is free again.
        until: u32,
    },
    /// Once.
    Once {
        /// The first minute that is frozen.
        from: Minute,
        /// The first that is free again.
        until: Minute,
    },
}

/// A minute of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute {
    /// From 1970 to 9998.
    pub year: i16,
    /// From 1.
    pub month: i8,
    /// From 1.
    pub day: i8,
    /// Since 00:00.
    pub minute: u32,
}

impl Window {
    /// Reads a window.
    ///
    /// # Errors
    /// Says what is wrong, as the rest of a sentence about the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (from, dash, until, zone) = match words.as_slice() {
            [from, from_time, dash, until, until_time, zone] => ((from, from_time), dash, (until, until_time), zone),
            [_, _, _, _, _] => return Err("names no time zone".into()),
            _ => return Err("has not two days, two times and a time zone".into()),
        };
        if !matches!(*dash, "–" | "-" | "—" | "to") {
            return Err(format!("has `{dash}` where a dash belongs"));
        }
        if !zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'-')) {
            return Err(format!("names `{zone}`, which is no time zone"));
        }
        let span = match (weekday(from.0), weekday(until.0)) {
            (Some(first), Some(last)) => Span::Weekly {
                from: first * DAY_MINUTES + time(from.1)?,
                until: (last * DAY_MINUTES + time(until.1)?) % (7 * DAY_MINUTES),
            },
            (None, None) => Span::Once { from: minute(from.0, from.1)?, until: minute(until.0, until.1)? },
            _ => return Err("mixes a weekday and a date".into()),
        };
        let is_empty = match span {
            Span::Weekly { from, until } => from == until,
            Span::Once { from, until } => from >= until,
        };
        if is_empty {
            return Err("ends where it begins, or before".into());
        }
        Ok(Self { span, zone: (*zone).to_owned() })
    }
}

/// Days since Monday, of `Fri` or `friday`.
fn weekday(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let day = WEEKDAYS.iter().position(|name| text == *name || name.get(..3) == Some(text.as_str()))?;
    u32::try_from(day).ok()
}

/// Minutes since 00:00, of `16:00`; `24:00` is the end of the day.
fn time(text: &str) -> Result<u32, String> {
    let wrong = || format!("has the time `{text}`, and times are written as `16:00`");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| -> Option<u32> {
        (text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
    };
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(wrong)?;
    let minutes = hour * 60 + minute;
    if minute < 60 && minutes <= DAY_MINUTES { Ok(minutes) } else { Err(wrong()) }
}

fn minute(date: &str, clock: &str) -> Result<Minute, String> {
    let wrong = || format!("has the day `{date}`, and days are written as `Fri` or `2026-12-24`");
    let mut parts = date.split('-');
    let mut number = |digits: usize| -> Option<i16> {
        parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    };
    let (year, month, day) = (number(4), number(2), number(2));
    let ((year, month), day) = year.zip(month).zip(day).ok_or_else(wrong)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i16::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if parts.next().is_some() || !(1970..=9998).contains(&year) || !(1..=days).contains(&day) {
        return Err(wrong());
    }
    let small = |number: i16| i8::try_from(number).unwrap_or_default();
    Ok(Minute { year, month: small(month), day: small(day), minute: time(clock)? })
}

#[cfg(test)]
mod tests {
    use super::{Minute, Span, Window};

    #[test]
    fn windows_are_read() {
        let weekly = |from, until| Span::Weekly { from, until };
        let cases = [
            ("Fri 16:00 – Mon 09:00 Asia/Shanghai", weekly(4 * 1440 + 960, 540)),
            ("mon 0:00 - monday 09:30 UTC", weekly(0, 570)),
            ("Saturday 00:00 to Sunday 24:00 Etc/GMT+8", weekly(5 * 1440, 0)),
        ];
        for (text, span) in cases {
            assert_eq!(Window::parse(text).map(|window| window.span), Ok(span), "{text}");
        }
        let once = Window::parse("2027-12-24 12:00 – 2028-02-29 24:00 Europe/Berlin").unwrap();
        let Span::Once { from, until } = once.span else { panic!("{once:?}") };
        assert_eq!(from, Minute { year: 2027, month: 12, day: 24, minute: 720 });
        assert_eq!(until, Minute { year: 2028, month: 2, day: 29, minute: 1440 });
    }

    #[test]
    fn what_is_no_window_is_told() {
        for (text, says) in [
            ("Fri 16:00 – Mon 09:00", "names no time zone"),
            ("", "two days"),
            ("Fri 16:00 .. Mon 09:00 UTC", "`..` where a dash belongs"),
            ("Fry 16:00 – Mon 09:00 UTC", "mixes a weekday"),
            ("Fry 16:00 – Man 09:00 UTC", "the day `Fry`"),
            ("Fri 16h – Mon 09:00 UTC", "the time `16h`"),
            ("Fri 24:01 – Mon 09:00 UTC", "the time `24:01`"),
            ("Fri 16:60 – Mon 09:00 UTC", "the time `16:60`"),
            ("Fri +1:00 – Mon 09:00 UTC", "the time `+1:00`"),
            ("Fri 16:00 – Fri 16:00 UTC", "ends where it begins"),
            ("Mon 00:00 – Sun 24:00 UTC", "ends where it begins"),
            ("2027-02-29 00:00 – 2027-03-01 00:00 UTC", "the day `2027-02-29`"),
            ("2027-01-02 00:00 – 2027-01-01 00:00 UTC", "ends where it begins"),
            ("9999-01-02 00:00 – 9999-01-03 00:00 UTC", "the day `9999-01-02`"),
            ("Fri 16:00 – Mon 09:00 UTC;rm", "no time zone"),
        ] {
            let said = Window::parse(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
