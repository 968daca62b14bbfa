//! Metrics that need no configuration, and how `serin.yml` changes their tolerance.

use serin_model::service::Tolerance;

use crate::config::{Direction, Kind, Margin, Metric, Role, SlopeMargin};

/// Quotient of the logarithms of a derived `bad` and the given `ok` limit.
const BAD_OVER_OK: f64 = 3.0;
/// Quotient of a derived absolute `bad` margin and the given `ok` margin.
const BAD_POINTS_OVER_OK: f64 = 5.0;

/// Why a tolerance of `serin.yml` cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ToleranceError {
    /// No default metric has that name.
    #[error(
        "`{0}` is not a metric; known are `cpu`, `memory`, `latency.p50`, `latency.p99`, `http.errors`, `log.warn`, \
         `log.error`, `disk`, `network`"
    )]
    Unknown(String),
    /// The size is not a positive number.
    #[error("tolerance of `{0}` must be above 0, such as `10%`")]
    Size(String),
    /// Percentage points for something that is no share.
    #[error(
        "tolerance of `{0}` must be relative, such as `10%`; `pp` is for `http.errors`, `log.warn` and `log.error`"
    )]
    Points(String),
}

/// Returns the metrics that every node of Serin delivers, with tolerances that fit most services.
pub fn default_metrics() -> Vec<Metric> {
    let by_request = || Kind::Count { exposure: Some("requests".to_owned()) };
    let load = || Some("requests".to_owned());
    let rel = Margin::relative;
    let leak = Some(SlopeMargin { ok: 0.01, bad: 0.02 });
    let latency = Kind::Histogram { scale: 4, quantiles: vec![0.5, 0.99] };
    vec![
        metric("requests", Kind::Count { exposure: None }, (rel(0.0), rel(1.0)), Role::Exposure),
        metric("http_errors", Kind::Proportion, points((0.5, 0.001), (2.0, 0.01)), Role::Watched),
        metric("latency_ms", latency, (rel(0.15), rel(0.6)), Role::Watched),
        metric("log_warn", by_request(), points((0.5, 0.002), (2.0, 0.02)), Role::Watched),
        metric("log_error", by_request(), points((0.5, 0.001), (2.0, 0.01)), Role::Watched),
        metric("cpu_pct", Kind::Gauge { load: load(), slope: None }, (rel(0.15), rel(0.6)), Role::Watched),
        metric("mem_bytes", Kind::Gauge { load: None, slope: leak }, (rel(0.1), rel(0.4)), Role::Watched),
        metric("disk_bytes", Kind::Counter { load: load() }, (rel(0.5), rel(2.0)), Role::Watched),
        metric("net_bytes", Kind::Counter { load: load() }, (rel(0.25), rel(1.0)), Role::Watched),
    ]
}

fn metric(name: &str, kind: Kind, (ok, bad): (Margin, Margin), role: Role) -> Metric {
    Metric { name: name.to_owned(), kind, direction: Direction::Up, ok, bad, role }
}

fn points(ok: (f64, f64), bad: (f64, f64)) -> (Margin, Margin) {
    (Margin::with_absolute(ok.0, ok.1), Margin::with_absolute(bad.0, bad.1))
}

/// Sets the tolerance of `serin.yml`'s metric `name` on the default metrics; the `bad` margin follows.
pub fn tolerate(metrics: &mut [Metric], name: &str, tolerance: Tolerance) -> Result<(), ToleranceError> {
    let unknown = || ToleranceError::Unknown(name.to_owned());
    let target = sample_name(name).ok_or_else(unknown)?;
    let metric = metrics.iter_mut().find(|m| m.name == target).ok_or_else(unknown)?;
    let size = match tolerance {
        Tolerance::Relative(size) | Tolerance::Points(size) => size,
    };
    if !(size.is_finite() && size > 0.0) {
        return Err(ToleranceError::Size(name.to_owned()));
    }
    let events = matches!(metric.kind, Kind::Count { .. } | Kind::Proportion);
    match tolerance {
        Tolerance::Relative(size) => {
            metric.ok.rel = size;
            metric.bad.rel = (1.0 + size).powf(BAD_OVER_OK) - 1.0;
        }
        Tolerance::Points(_) if !events => return Err(ToleranceError::Points(name.to_owned())),
        Tolerance::Points(size) => {
            metric.ok.abs = Some(size);
            metric.bad.abs = Some(size * BAD_POINTS_OVER_OK);
        }
    }
    Ok(())
}

/// Returns the samples' name of a metric that `serin.yml` names.
pub fn sample_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "cpu" => "cpu_pct",
        "memory" => "mem_bytes",
        "latency" | "latency.p50" | "latency.p99" => "latency_ms",
        "http.errors" => "http_errors",
        "log.warn" => "log_warn",
        "log.error" => "log_error",
        "disk" => "disk_bytes",
        "network" => "net_bytes",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_tolerance_moves_both_margins() {
        let mut metrics = default_metrics();
        tolerate(&mut metrics, "cpu", Tolerance::Relative(0.1)).unwrap();
        let cpu = metrics.iter().find(|m| m.name == "cpu_pct").unwrap();
        assert_eq!(cpu.ok.rel, 0.1);
        assert!((cpu.bad.rel - 0.331).abs() < 1e-12);
    }

    #[test]
    fn points_are_for_shares_only() {
        let mut metrics = default_metrics();
        tolerate(&mut metrics, "http.errors", Tolerance::Points(0.001)).unwrap();
        assert_eq!(metrics[1].bad.abs, Some(0.005));
        let refused = tolerate(&mut metrics, "memory", Tolerance::Points(0.001));
        assert_eq!(refused, Err(ToleranceError::Points("memory".to_owned())));
        assert!(matches!(tolerate(&mut metrics, "ram", Tolerance::Relative(0.1)), Err(ToleranceError::Unknown(_))));
        assert!(matches!(tolerate(&mut metrics, "cpu", Tolerance::Relative(-0.1)), Err(ToleranceError::Size(_))));
    }
}
