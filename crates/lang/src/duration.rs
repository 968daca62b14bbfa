//! Durations in words: `3 hours 30 minutes`, `2h20min`, `one hour`, `90`.

/// Milliseconds of a duration in words; a bare number is seconds.
#[must_use]
pub fn parse_ms(text: &str) -> Option<i64> {
    let text = text.trim().to_lowercase();
    if let Some(ms) = clock_ms(&text) {
        return Some(ms);
    }
    let mut total = 0.0_f64;
    let mut pending: Option<f64> = None;
    let mut seen = false;
    for part in parts(&text) {
        match part {
            Part::Number(number) => {
                if pending.is_some() {
                    return None;
                }
                pending = Some(number);
            }
            Part::Word("and" | "with" | ",") => {}
            Part::Word(word) => {
                if let Some(number) = number_word(word) {
                    pending = Some(pending.unwrap_or(0.0) + number);
                    continue;
                }
                let number = pending.take()?;
                total += number * unit_ms(word)?;
                seen = true;
            }
        }
    }
    match pending {
        Some(number) if !seen => Some((number * 1000.0) as i64),
        Some(_) => None,
        None => seen.then_some(total as i64),
    }
}

/// `1:30` and `2:03:04`.
fn clock_ms(text: &str) -> Option<i64> {
    let fields: Vec<i64> =
        text.split(':').map(|field| field.parse().ok().filter(|n| (0..10_000).contains(n))).collect::<Option<_>>()?;
    let seconds = match fields[..] {
        [minutes, seconds] => minutes * 60 + seconds,
        [hours, minutes, seconds] => hours * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    Some(seconds * 1000)
}

enum Part<'a> {
    Number(f64),
    Word(&'a str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let number = first.is_ascii_digit() || first == '.';
        let end = rest
            .char_indices()
            .find(
                |(_, c)| {
                    if number { !c.is_ascii_digit() && *c != '.' } else { c.is_whitespace() || c.is_ascii_digit() }
                },
            )
            .map_or(rest.len(), |(at, _)| at);
        let part = &rest[..end];
        parts.push(match part.parse() {
            Ok(value) if number => Part::Number(value),
            _ => Part::Word(part.trim_end_matches([',', '.'])),
        });
        rest = rest[end..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }
    parts
}

fn unit_ms(word: &str) -> Option<f64> {
    Some(match word {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "wk" | "wks" | "week" | "weeks" => 7.0 * 86_400_000.0,
        "mo" | "mos" | "month" | "months" => 30.0 * 86_400_000.0,
        "y" | "yr" | "yrs" | "year" | "years" => 365.25 * 86_400_000.0,
        _ => return None,
    })
}

fn number_word(word: &str) -> Option<f64> {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const TENS: [&str; 7] = ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    if word == "a" || word == "an" {
        return Some(1.0);
    }
    if let Some(at) = WORDS.iter().position(|known| *known == word) {
        return Some(at as f64);
    }
    TENS.iter().position(|known| *known == word).map(|at| 30.0 + 10.0 * at as f64)
}

#[cfg(test)]
mod tests {
    use super::parse_ms;

    #[test]
    fn words_and_numbers() {
        for (text, seconds) in [
            ("3 mins 4 sec", 184.0),
            ("2h20min", 8400.0),
            ("3 hours 30 minutes", 12600.0),
            ("1h 30m", 5400.0),
            ("one hour", 3600.0),
            ("90", 90.0),
            ("1 week", 604_800.0),
            ("500ms", 0.5),
            ("1.5h", 5400.0),
            ("1 day and 2 hours", 93_600.0),
            ("6 mos 1 day", 15_638_400.0),
            ("1:30", 90.0),
            ("twenty one minutes", 1260.0),
            ("seventy five seconds", 75.0),
            ("1\u{a0}hour\u{2028}2\rminutes", 3720.0),
        ] {
            assert_eq!(parse_ms(text), Some((seconds * 1000.0) as i64), "`{text}`");
        }
        for text in ["", "soon", "3 3", "h", "1 fortnight", "5m 3", "a\u{2028}: 90"] {
            assert_eq!(parse_ms(text), None, "`{text}`");
        }
    }
}
