//! Windows without releases, by the clocks of their time zones.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Disambiguation, TimeZone};
use jiff::{Span as Length, Timestamp as Instant};
use serin_model::Timestamp;
use serin_model::freeze::{Minute, Span, Window};
use serin_rollout::Freeze;

/// Windows that follow one another without a gap are followed this often.
const CHAIN_MAX: usize = 100;
/// Days of a week.
const WEEK_DAYS: i64 = 7;

/// A window with its zone's clocks.
struct Known<'w> {
    text: &'w str,
    window: Window,
    zone: TimeZone,
}

/// The window that holds at a point in time, with the end of all that hold and follow at once. What cannot be read holds
/// nothing: `serin.yml` is checked before.
pub(super) fn freeze_at(windows: &[String], now: Timestamp) -> Option<Freeze> {
    let windows: Vec<Known<'_>> = windows.iter().filter_map(|text| Known::read(text)).collect();
    let (first, mut until) = windows.iter().find_map(|known| Some((known, known.end(now)?)))?;
    for _ in 0..CHAIN_MAX {
        let later = windows.iter().filter_map(|known| known.end(until)).max();
        match later.filter(|later| *later > until) {
            Some(later) => until = later,
            None => break,
        }
    }
    Some(Freeze { window: first.text.to_owned(), until, ends: first.shown(until) })
}

impl<'w> Known<'w> {
    fn read(text: &'w str) -> Option<Self> {
        let window = Window::parse(text).ok()?;
        let zone = TimeZone::get(&window.zone).ok()?;
        Some(Self { text, window, zone })
    }

    /// Its end, where it holds at that time.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let holds = |(from, until): (DateTime, DateTime)| {
            // Where clocks are set, a window is never shorter than it is written.
            let from = self.instant(from, Disambiguation::Earlier)?;
            let until = self.instant(until, Disambiguation::Later)?;
            (from <= at && at < until).then_some(until)
        };
        match self.window.span {
            Span::Once { from, until } => holds((date_time(from)?, date_time(until)?)),
            Span::Weekly { from, until } => {
                let today = Instant::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone()).date();
                let since_monday = i64::from(today.weekday().to_monday_zero_offset());
                let over_sunday = i64::from(until <= from) * WEEK_DAYS;
                // This week's, and the one of the week before, which may last into this week.
                [0, WEEK_DAYS].into_iter().find_map(|back| {
                    let monday = -since_monday - back;
                    holds((minute_of(today, monday, from)?, minute_of(today, monday + over_sunday, until)?))
                })
            }
        }
    }

    fn instant(&self, local: DateTime, which: Disambiguation) -> Option<Timestamp> {
        let zoned = self.zone.to_ambiguous_zoned(local).disambiguate(which).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    }

    fn shown(&self, at: Timestamp) -> String {
        match Instant::from_millisecond(at.0) {
            Ok(instant) => {
                let local = instant.to_zoned(self.zone.clone());
                format!("{} {}", local.strftime("%Y-%m-%d %H:%M"), self.window.zone)
            }
            Err(_) => "the end of time".to_owned(),
        }
    }
}

fn date_time(minute: Minute) -> Option<DateTime> {
    minute_of(Date::new(minute.year, minute.month, minute.day).ok()?, 0, minute.minute)
}

/// A minute after the midnight that is some days away.
fn minute_of(day: Date, days: i64, minute: u32) -> Option<DateTime> {
    let day = day.checked_add(Length::new().try_days(days).ok()?).ok()?;
    day.to_datetime(Time::midnight()).checked_add(Length::new().minutes(i64::from(minute))).ok()
}

#[cfg(test)]
mod tests {
    use super::freeze_at;
    use serin_model::Timestamp;

    const WEEKEND: &str = "Fri 16:00 – Mon 09:00 Asia/Shanghai";
    const SECOND_MS: i64 = 1_000;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn until(windows: &[&str], now: Timestamp) -> Option<String> {
        let windows: Vec<String> = windows.iter().map(|text| (*text).to_owned()).collect();
        freeze_at(&windows, now).map(|freeze| freeze.ends)
    }

    /// A window's first and last moments: one millisecond further it does not hold.
    fn holds_exactly(window: &str, from: &str, to: &str) {
        let (from, to) = (at(from), at(to));
        let ends = |ms: i64, base: Timestamp| until(&[window], base.plus_ms(ms));
        assert_eq!(ends(-1, from), None, "{window}");
        assert!(ends(0, from).is_some(), "{window}");
        assert!(ends(-1, to).is_some(), "{window}");
        assert_eq!(ends(0, to), None, "{window}");
        let found = freeze_at(&[window.to_owned()], from).unwrap();
        assert_eq!(found.until, to, "{window}: {}", found.ends);
    }

    #[test]
    fn a_window_holds_from_its_first_to_its_last_moment() {
        holds_exactly(WEEKEND, "2026-11-27T16:00:00+08:00", "2026-11-30T09:00:00+08:00");
        holds_exactly("Mon 22:00 – Tue 06:00 UTC", "2026-11-30T22:00:00Z", "2026-12-01T06:00:00Z");
        holds_exactly("Sat 00:00 – Sun 24:00 UTC", "2026-11-28T00:00:00Z", "2026-11-30T00:00:00Z");
        holds_exactly(
            "2026-12-24 12:00 – 2027-01-04 09:00 Europe/Berlin",
            "2026-12-24T12:00:00+01:00",
            "2027-01-04T09:00:00+01:00",
        );
        assert_eq!(until(&[WEEKEND], at("2026-11-29T12:00:00Z")).as_deref(), Some("2026-11-30 09:00 Asia/Shanghai"));
        assert_eq!(until(&[WEEKEND], at("2026-12-02T12:00:00Z")), None);
        // All week but an hour.
        let most = "Fri 16:00 – Fri 15:00 UTC";
        holds_exactly(most, "2026-11-20T16:00:00Z", "2026-11-27T15:00:00Z");
    }

    #[test]
    fn where_clocks_are_set_a_window_is_never_shorter() {
        // Forward on 2026-03-29: 02:30 is not there.
        holds_exactly("Sun 02:30 – Sun 05:00 Europe/Berlin", "2026-03-29T01:30:00+01:00", "2026-03-29T05:00:00+02:00");
        holds_exactly("Sat 22:00 – Sun 02:30 Europe/Berlin", "2026-03-28T22:00:00+01:00", "2026-03-29T03:30:00+02:00");
        // Back on 2026-10-25: 02:30 comes twice.
        holds_exactly("Sun 02:30 – Sun 05:00 Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T05:00:00+01:00");
        holds_exactly("Sat 22:00 – Sun 02:30 Europe/Berlin", "2026-10-24T22:00:00+02:00", "2026-10-25T02:30:00+01:00");
        // Over the night on which they are set it ends by the clock on the wall.
        holds_exactly("Fri 16:00 – Mon 09:00 Europe/Berlin", "2026-03-27T16:00:00+01:00", "2026-03-30T09:00:00+02:00");
        holds_exactly("Fri 16:00 – Mon 09:00 Europe/Berlin", "2026-10-23T16:00:00+02:00", "2026-10-26T09:00:00+01:00");
    }

    #[test]
    fn windows_that_follow_at_once_are_one() {
        let days = ["Fri 16:00 – Sat 00:00 UTC", "Sat 00:00 – Mon 00:00 UTC", "Sun 12:00 – Mon 09:00 UTC"];
        let now = at("2026-11-27T17:00:00Z");
        assert_eq!(until(&days, now).as_deref(), Some("2026-11-30 09:00 UTC"));
        // No gap at all: it ends after a bounded look.
        let always = ["Mon 00:00 – Fri 00:00 UTC", "Fri 00:00 – Mon 00:00 UTC"];
        assert!(until(&always, now).is_some());
        assert_eq!(until(&["Fri 16:00 – Mon 09:00 Nowhere/Land", "nonsense"], now.plus_ms(SECOND_MS)), None);
    }
}
