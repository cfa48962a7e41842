//! The values of a series: all of them while there is room, then a histogram of them.

use hdrhistogram::Histogram;

/// Values, for percentiles.
#[derive(Debug)]
pub(super) enum Values {
    /// All of them: percentiles are exact.
    All(Vec<f64>),
    /// Counts of values that are equal to three digits.
    Spread(Box<Spread>),
}

/// An HDR histogram of values of both signs.
#[derive(Debug)]
pub(super) struct Spread {
    /// What values are multiplied with, so that they are whole numbers.
    scale: f64,
    negative: Histogram<u64>,
    positive: Histogram<u64>,
}

/// Two significant digits keep a histogram under 64 KiB whatever its range; the error is below 1 %.
const DIGITS: u8 = 2;

impl Default for Values {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Values {
    /// Adds a value; it is finite.
    pub(super) fn push(&mut self, value: f64) {
        match self {
            Self::All(all) => all.push(value),
            Self::Spread(spread) => spread.push(value),
        }
    }
    /// How many values are kept one by one.
    pub(super) const fn kept(&self) -> usize {
        match self {
            Self::All(all) => all.len(),
            Self::Spread(_) => 0,
        }
    }
    /// Gives up single values for a histogram of them. True when there was something to give up.
    pub(super) fn spread(&mut self) -> bool {
        let Self::All(all) = self else { return false };
        let Some(mut spread) = Spread::new(all) else { return false };
        for value in all.iter() {
            spread.push(*value);
        }
        *self = Self::Spread(Box::new(spread));
        true
    }
    /// The quantiles `at` (0 to 1), by linear interpolation between neighbours; nothing without values.
    pub(super) fn quantiles<const N: usize>(&mut self, at: [f64; N]) -> Option<[f64; N]> {
        match self {
            Self::All(all) => {
                all.sort_unstable_by(f64::total_cmp);
                let last = all.len().checked_sub(1)?;
                Some(at.map(|quantile| {
                    let rank = quantile * last as f64;
                    #[expect(clippy::cast_possible_truncation, reason = "a rank is at most the length")]
                    let low = rank.floor() as usize;
                    let (a, b) = (all.get(low), all.get((low + 1).min(last)));
                    let (a, b) = (a.copied().unwrap_or(0.0), b.copied().unwrap_or(0.0));
                    a + (b - a) * (rank - low as f64)
                }))
            }
            Self::Spread(spread) => Some(at.map(|quantile| spread.quantile(quantile))),
        }
    }
}

impl Spread {
    fn new(values: &[f64]) -> Option<Self> {
        // Small values keep their digits: the smallest becomes a three-digit number, as long as the largest has room.
        let sizes = || values.iter().map(|value| value.abs()).filter(|size| *size > 0.0);
        let least = sizes().fold(f64::INFINITY, f64::min);
        let most = sizes().fold(0.0, f64::max);
        let wanted = if least.is_finite() { (100.0 / least).max(1.0) } else { 1.0 };
        let room = if most > 0.0 { 1e15 / most } else { wanted };
        let histogram = || Histogram::<u64>::new(DIGITS).ok();
        Some(Self { scale: wanted.min(room), negative: histogram()?, positive: histogram()? })
    }
    fn push(&mut self, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "what is out of range is the greatest value")]
        let size = (value.abs() * self.scale).round().min(1e18) as u64;
        let side = if value < 0.0 { &mut self.negative } else { &mut self.positive };
        // It grows with its values; only one that could not grow would count the value at its end.
        if side.record(size).is_err() {
            side.saturating_record(size);
        }
    }
    fn quantile(&self, quantile: f64) -> f64 {
        let (below, above) = (self.negative.len(), self.positive.len());
        let rank = quantile * (below + above).saturating_sub(1) as f64;
        if rank < below as f64 {
            let from_zero = 1.0 - rank / below as f64;
            return -(self.negative.value_at_quantile(from_zero) as f64) / self.scale;
        }
        let within = (rank - below as f64) / above.saturating_sub(1).max(1) as f64;
        self.positive.value_at_quantile(within) as f64 / self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_interpolate_between_neighbours() {
        let mut values = Values::default();
        for value in [4.0, 1.0, 3.0, 2.0] {
            values.push(value);
        }
        assert_eq!(values.quantiles([0.0, 0.5, 1.0]), Some([1.0, 2.5, 4.0]));
        assert_eq!(Values::default().quantiles([0.5]), None);
    }

    proptest! {
        #[test]
        fn a_histogram_is_within_one_percent_of_the_values(
            values in proptest::collection::vec(prop_oneof![0.001_f64..1e6, -1e6_f64..-0.001], 1..300),
            quantile in 0.0_f64..1.0,
        ) {
            let (mut exact, mut spread) = (Values::default(), Values::default());
            for value in &values {
                exact.push(*value);
                spread.push(*value);
            }
            prop_assert!(spread.spread());
            prop_assert_eq!(spread.kept(), 0);
            let Some([found]) = spread.quantiles([quantile]) else { panic!("there are values") };
            // Between the neighbours of the exact place, give or take one percent.
            let step = 1.0 / (values.len() - 1).max(1) as f64;
            let around = [(quantile - step).max(0.0), (quantile + step).min(1.0)];
            let Some([low, high]) = exact.quantiles(around) else { panic!("there are values") };
            let slack = |value: f64| value.abs() * 0.011 + 1e-5;
            prop_assert!(found >= low - slack(low) && found <= high + slack(high), "{low} {found} {high}");
        }
    }
}
