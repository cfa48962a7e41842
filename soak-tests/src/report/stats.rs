//! Figures from repeated measurements, and how sure a comparison of two of them is.

use serde::{Deserialize, Serialize};

/// What repeated measurements of one thing say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Every measurement, sorted.
    pub values: Vec<f64>,
    /// The least.
    pub min: f64,
    /// The middle.
    pub median: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
    /// The standard deviation of a sample.
    pub stddev: f64,
    /// The standard deviation as a share of the mean.
    pub cov: f64,
}

impl Summary {
    /// Of `values`; `None` when there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let stddev = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        Some(Self {
            min,
            median: percentile(&values, 0.5),
            p95: percentile(&values, 0.95),
            p99: percentile(&values, 0.99),
            max,
            stddev,
            cov: if mean > 0.0 { stddev / mean } else { 0.0 },
            values,
        })
    }
}

/// The value below which `share` of the sorted `values` lie, between two of them by their distance.
/// (The "linear" method of Hyndman and Fan's type 7.)
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let rank = share.clamp(0.0, 1.0) * last as f64;
    let low = rank.floor();
    #[expect(clippy::cast_possible_truncation, reason = "a rank is less than the number of values")]
    let at = low as usize;
    let (below, above) = (values[at], values[(at + 1).min(last)]);
    below + (above - below) * (rank - low)
}

/// How sure it is that two sets of measurements differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The slowest of one is faster than the fastest of the other.
    Definitive,
    /// They overlap, their middle halves do not.
    Probable,
    /// Their middle halves overlap: no difference is claimed.
    Noise,
}

impl Confidence {
    /// That `a` and `b` differ.
    pub fn of(a: &Summary, b: &Summary) -> Self {
        let apart = |a: (f64, f64), b: (f64, f64)| a.1 < b.0 || b.1 < a.0;
        let half = |of: &Summary| (percentile(&of.values, 0.25), percentile(&of.values, 0.75));
        // One measurement has no distribution to lie apart from another.
        if a.values.len() > 1 && b.values.len() > 1 && apart((a.min, a.max), (b.min, b.max)) {
            Self::Definitive
        } else if apart(half(a), half(b)) {
            Self::Probable
        } else {
            Self::Noise
        }
    }
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Definitive => "definitive",
            Self::Probable => "probable",
            Self::Noise => "noise",
        }
    }
}

/// Milliseconds with three figures.
pub fn ms(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value if value >= 0.01 => format!("{value:.3}"),
        value => format!("{value:.4}"),
    }
}

/// A ratio with two or three figures.
pub fn times(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}×") } else { format!("{value:.1}×") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: &[f64]) -> Summary {
        Summary::of(values.to_vec()).unwrap_or_default()
    }

    #[test]
    fn a_summary_is_that_of_the_textbook() {
        let found = summary(&[4.0, 2.0, 8.0, 6.0]);
        assert_eq!((found.min, found.median, found.max), (2.0, 5.0, 8.0));
        assert!((found.stddev - 2.581_988_9).abs() < 1e-6 && (found.cov - 0.516_397_8).abs() < 1e-6);
        assert!((found.p95 - 7.7).abs() < 1e-9);
        assert_eq!(Summary::of(Vec::new()), None);
    }

    #[test]
    fn only_distributions_that_lie_apart_are_definitive() {
        let fast = summary(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let apart = summary(&[6.0, 7.0, 8.0, 9.0, 10.0]);
        let touching = summary(&[4.5, 7.0, 8.0, 9.0, 10.0]);
        let mixed = summary(&[2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(Confidence::of(&fast, &apart), Confidence::Definitive);
        assert_eq!(Confidence::of(&apart, &fast), Confidence::Definitive);
        assert_eq!(Confidence::of(&fast, &touching), Confidence::Probable);
        assert_eq!(Confidence::of(&fast, &mixed), Confidence::Noise);
    }

    #[test]
    fn a_single_measurement_is_never_definitive() {
        assert_eq!(Confidence::of(&summary(&[1.0]), &summary(&[100.0, 101.0])), Confidence::Probable);
    }
}
