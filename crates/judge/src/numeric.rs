//! Special functions in logarithms.

use std::f64::consts::{LN_2, PI, SQRT_2};

/// Logarithm of the sum of the exponentials.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if !max.is_finite() {
        return max;
    }
    max + values.map(|v| (v - max).exp()).sum::<f64>().ln()
}

/// `ln(exp(a) + exp(b))`.
pub(crate) fn log_add_exp(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// `ln(2 * Phi(z))` with `Phi` the standard normal distribution function; exact far into the lower tail.
pub(crate) fn log_twice_normal_cdf(z: f64) -> f64 {
    let x = -z / SQRT_2;
    if x > 1.5 {
        log_erfc_fraction(x)
    } else if x > -2.0 {
        (1.0 - erf_series(x)).ln()
    } else if x > -6.0 {
        LN_2 + (-0.5 * log_erfc_fraction(-x).exp()).ln_1p()
    } else {
        LN_2
    }
}

/// Error function by its Maclaurin series (Abramowitz and Stegun 7.1.6), for small arguments.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / (2.0 * f64::from(n) + 1.0);
        sum += term;
        if term.abs() < 1e-17 * sum.abs() {
            break;
        }
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// `ln erfc(x)` by its continued fraction (Abramowitz and Stegun 7.1.14), for large arguments.
fn log_erfc_fraction(x: f64) -> f64 {
    let terms = 10 + (80.0 / (x * x)) as i32;
    let fraction = (1..terms).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail);
    -x * x - fraction.ln() - 0.5 * PI.ln()
}

/// Quantile of the gamma distribution with unit scale (Wilson and Hilferty), `z` the normal quantile.
pub(crate) fn gamma_quantile(z: f64, shape: f64) -> f64 {
    let shape = shape.max(1e-9);
    shape * (1.0 - 1.0 / (9.0 * shape) + z / (3.0 * shape.sqrt())).max(0.0).powi(3)
}

/// Logarithm of the gamma function of a positive number (Stirling's series, moved up by the recurrence).
pub(crate) fn log_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 8.0 {
        product *= x;
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - f64::ln(product)
}

/// Mean of an iterator; `None` if it is empty.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
    (n > 0.0).then(|| sum / n)
}

/// Unbiased variance; 0 for fewer than two values.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let Some(m) = mean(values.iter().copied()) else { return 0.0 };
    if values.len() < 2 {
        return 0.0;
    }
    values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// One-sided e-value for a mean difference above zero, with estimated variance (judge.md (iv); after Lindon et al.,
/// arXiv 2210.08589: Gaussian mixture over the shift, right-Haar prior on the scale).
///
/// `d` is the estimate, `variance` its variance with `freedom` degrees, `spread` the prior deviation of the shift.
pub(crate) fn log_t_evalue(d: f64, variance: f64, freedom: f64, spread: f64) -> f64 {
    let a = variance.max(1e-18);
    let nu = freedom.max(2.0);
    let g = a / (a + spread * spread);
    let t2 = d * d / a;
    let two_sided = 0.5 * g.ln() + 0.5 * (nu + 1.0) * ((t2 / nu).ln_1p() - (g * t2 / nu).ln_1p());
    let tilt = d * spread / (a * (a + spread * spread)).sqrt();
    two_sided + log_twice_normal_cdf(tilt)
}

/// Half width of the interval that the two-sided e-value at level `1/alpha` leaves open at every look.
pub(crate) fn interval_half_width(variance: f64, freedom: f64, spread: f64, log_threshold: f64) -> f64 {
    let a = variance.max(1e-18);
    let (mut low, mut high) = (0.0, 1.0);
    let exceeds = |d: f64| two_sided(d, a, freedom, spread) >= log_threshold;
    while !exceeds(high) && high < 1e3 {
        high *= 2.0;
    }
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if exceeds(middle) { high = middle } else { low = middle }
    }
    high
}

fn two_sided(d: f64, a: f64, freedom: f64, spread: f64) -> f64 {
    let nu = freedom.max(2.0);
    let g = a / (a + spread * spread);
    let t2 = d * d / a;
    0.5 * g.ln() + 0.5 * (nu + 1.0) * ((t2 / nu).ln_1p() - (g * t2 / nu).ln_1p())
}

/// `ln 2`, for averages of two e-values.
pub(crate) const LOG_TWO: f64 = LN_2;

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() < within, "{a} against {b}");
    }

    #[test]
    fn normal_tail() {
        close(log_twice_normal_cdf(0.0), 0.0, 1e-12);
        close(log_twice_normal_cdf(-1.959_963_985), 0.05_f64.ln(), 1e-8);
        close(log_twice_normal_cdf(-8.0), (2.0 * 6.220_960_574e-16_f64).ln(), 1e-8);
        close(log_twice_normal_cdf(8.0), LN_2, 1e-12);
        close(log_twice_normal_cdf(3.0), (2.0 * 0.998_650_101_968_369_9_f64).ln(), 1e-9);
        close(log_twice_normal_cdf(1.0), (2.0 * 0.841_344_746_068_542_9_f64).ln(), 1e-9);
    }

    #[test]
    fn log_gamma_of_halves_and_integers() {
        close(log_gamma(0.5), 0.5 * PI.ln(), 1e-8);
        close(log_gamma(5.0), 24.0_f64.ln(), 1e-8);
        close(log_gamma(20.5), 40.831_500_974_530_8, 1e-8);
    }

    #[test]
    fn t_evalue_vectors() {
        let a = 0.0009 + 0.0004;
        let nu = a * a / (0.0009_f64.powi(2) / 20.0 + 0.0004_f64.powi(2) / 10.0);
        close(log_t_evalue(0.2, a, nu, 0.15), 9.3277, 1e-3);
        close(log_t_evalue(0.05, a, nu, 0.15), 0.0554, 1e-3);
        close(log_t_evalue(-0.05, a, nu, 0.15), -2.2733, 1e-3);
        assert!(log_t_evalue(-3.0, a, nu, 0.15) < -10.0);
    }
}
