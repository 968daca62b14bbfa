//! Numbers and times as people read them.

/// Seconds of a minute and an hour.
const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;

/// A point in time; scripts make it relative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// RFC 3339.
    pub(crate) machine: String,
    /// Without a script.
    pub(crate) text: String,
}

/// A point in time, of milliseconds since 1970.
pub(crate) fn at(ms: i64) -> At {
    let Ok(time) = jiff::Timestamp::from_millisecond(ms) else {
        return At { machine: String::new(), text: String::new() };
    };
    At { machine: time.to_string(), text: time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string() }
}

/// A duration, such as `3 min 07 s`.
pub(crate) fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        HOUR_S.. => format!("{} h {:02} min", seconds / HOUR_S, seconds % HOUR_S / MINUTE_S),
        MINUTE_S.. => format!("{} min {:02} s", seconds / MINUTE_S, seconds % MINUTE_S),
        1.. => format!("{seconds} s"),
        _ => format!("{} ms", ms.max(0)),
    }
}

/// The first eight digits of a commit.
pub(crate) fn sha(commit: &str) -> String {
    commit.get(..8).unwrap_or(commit).to_owned()
}

/// The first eight digits of a release's digest.
pub(crate) fn digest(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..8).unwrap_or(hex).to_owned()
}

/// Bytes, in mebibytes.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// A share from 0 to 1, as a percentage.
pub(crate) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number with thin gaps between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// Up to two letters of a name.
pub(crate) fn initials(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next());
    words.take(2).collect()
}

/// A Git ref as people say it.
pub(crate) fn ref_name(name: &str) -> String {
    match name.strip_prefix("refs/merge-requests/").and_then(|rest| rest.split('/').next()) {
        Some(iid) => format!("!{iid}"),
        None => name.strip_prefix("refs/heads/").unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{at, duration, initials, percent, ref_name, sha, thousands};

    #[test]
    fn numbers() {
        for (ms, text) in
            [(0, "0 ms"), (950, "950 ms"), (12_345, "12 s"), (187_000, "3 min 07 s"), (3_720_000, "1 h 02 min")]
        {
            assert_eq!(duration(ms), text);
        }
        for (share, text) in [(0.0, "0 %"), (0.05, "5 %"), (0.125, "12.5 %"), (1.0, "100 %")] {
            assert_eq!(percent(share), text);
        }
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(thousands(12), "12");
    }

    #[test]
    fn names() {
        assert_eq!(sha("0123456789"), "01234567");
        assert_eq!(sha("é"), "é");
        assert_eq!(initials("Ada <b> Lovelace"), "Ab");
        assert_eq!(ref_name("refs/merge-requests/4/merge"), "!4");
        assert_eq!(ref_name("develop"), "develop");
        assert_eq!(at(0).machine, "1970-01-01T00:00:00Z");
        assert_eq!(at(i64::MAX).text, "");
    }
}
