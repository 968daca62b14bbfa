//! Small charts as SVG in the page itself: no script, no style of their own, colours by class.

/// Width and height of a trend chart, in its own units.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 96.0;
const EDGE: f64 = 8.0;

/// A line of values from pipeline to pipeline.
pub(crate) struct Line {
    pub(crate) title: &'static str,
    /// The newest value in words.
    pub(crate) newest: String,
    /// Top and bottom of the scale in words.
    pub(crate) top: String,
    pub(crate) bottom: String,
    /// `points` of a polyline.
    pub(crate) points: String,
    pub(crate) dots: Vec<Dot>,
    /// Everything in words, for who does not see it.
    pub(crate) label: String,
}

/// One value.
pub(crate) struct Dot {
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) href: String,
    pub(crate) text: String,
}

/// One value before it is drawn.
pub(crate) struct Value {
    pub(crate) value: f64,
    pub(crate) href: String,
    pub(crate) text: String,
}

/// Draws values between the ends of a scale; `None` where there is no value.
pub(crate) fn line(
    title: &'static str,
    values: Vec<Value>,
    (low, high): (f64, f64),
    word: impl Fn(f64) -> String,
) -> Option<Line> {
    let newest = values.last()?.text.clone();
    let label = values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join(", ");
    let step = (WIDTH - 2.0 * EDGE) / (values.len().max(2) - 1) as f64;
    let span = (high - low).max(f64::EPSILON);
    let dots: Vec<Dot> = values
        .into_iter()
        .enumerate()
        .map(|(index, value)| Dot {
            x: format!("{:.1}", EDGE + step * index as f64),
            y: format!("{:.1}", HEIGHT - EDGE - ((value.value - low) / span).clamp(0.0, 1.0) * (HEIGHT - 2.0 * EDGE)),
            href: value.href,
            text: value.text,
        })
        .collect();
    let points = dots.iter().map(|dot| format!("{},{}", dot.x, dot.y)).collect::<Vec<_>>().join(" ");
    Some(Line { title, newest, top: word(high), bottom: word(low), points, dots, label: format!("{title}: {label}") })
}

/// A test's newest runs as bars.
pub(crate) struct Spark {
    pub(crate) width: usize,
    pub(crate) bars: Vec<Bar>,
    pub(crate) label: String,
}

/// One run.
pub(crate) struct Bar {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) height: usize,
    pub(crate) class: &'static str,
}

/// Draws runs: a low bar for one that passed, a high one for one that failed, one between for one that needed attempts.
pub(crate) fn spark(history: &str, (runs, failed): (&str, &str)) -> Option<Spark> {
    const STEP: usize = 5;
    const HIGH: usize = 16;
    let bars: Vec<Bar> = history
        .chars()
        .enumerate()
        .map(|(index, letter)| {
            let (height, class) = match letter {
                'f' => (HIGH, "bad"),
                'm' => (10, "warn"),
                _ => (4, "ok"),
            };
            Bar { x: index * STEP, y: HIGH - height, height, class }
        })
        .collect();
    let failures = history.chars().filter(|letter| *letter != 'p').count();
    let label = format!("{} {runs}, {failures} {failed}", bars.len());
    (bars.len() > 1).then(|| Spark { width: bars.len() * STEP, bars, label })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_in_their_frame() {
        let value = |value: f64| Value { value, href: String::new(), text: value.to_string() };
        assert!(line("t", Vec::new(), (0.0, 1.0), |v| v.to_string()).is_none());
        let drawn = line("t", vec![value(0.0), value(5.0), value(99.0)], (0.0, 10.0), |v| v.to_string()).unwrap();
        assert_eq!(drawn.points, "8.0,88.0 160.0,48.0 312.0,8.0");
        assert_eq!((drawn.newest.as_str(), drawn.top.as_str()), ("99", "10"));
        let one = line("t", vec![value(1.0)], (1.0, 1.0), |v| v.to_string()).unwrap();
        assert_eq!(one.points, "8.0,88.0");
    }

    #[test]
    fn runs_are_bars() {
        let drawn = spark("pfm", ("runs", "failed")).unwrap();
        let bars: Vec<_> = drawn.bars.iter().map(|bar| (bar.x, bar.y, bar.class)).collect();
        assert_eq!(bars, [(0, 12, "ok"), (5, 0, "bad"), (10, 6, "warn")]);
        assert_eq!((drawn.width, drawn.label.as_str()), (15, "3 runs, 2 failed"));
        assert!(spark("f", ("", "")).is_none());
    }
}
