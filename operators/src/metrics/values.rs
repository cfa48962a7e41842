//! The values of one series in one bucket: all of them while they are few, then a histogram of them.

use hdrhistogram::Histogram;

/// Values that are kept one by one.
const EXACT_MAX: usize = 128;
/// Values are whole millionths in the histogram, so that the same values make the same one in any order.
const SCALE: f64 = 1e6;
/// Two digits: quantiles are off by less than 1 %.
const DIGITS: u8 = 2;

/// Values, for quantiles.
#[derive(Debug, Default)]
pub(super) struct Values {
    exact: Vec<f64>,
    spread: Option<Box<Spread>>,
    count: u64,
    max: f64,
}

#[derive(Debug)]
struct Spread {
    negative: Histogram<u32>,
    positive: Histogram<u32>,
}

impl Values {
    /// Adds a finite value.
    pub(super) fn push(&mut self, value: f64) {
        self.max = if self.count == 0 { value } else { self.max.max(value) };
        self.count += 1;
        if let Some(spread) = &mut self.spread {
            spread.push(value);
            return;
        }
        self.exact.push(value);
        if self.exact.len() <= EXACT_MAX {
            return;
        }
        let Some(mut spread) = Spread::new() else { return };
        for value in std::mem::take(&mut self.exact) {
            spread.push(value);
        }
        self.spread = Some(Box::new(spread));
    }

    /// How many values.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }
    /// The greatest; 0 without values.
    pub(super) const fn max(&self) -> f64 {
        self.max
    }
    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.exact.capacity() * size_of::<f64>() + self.spread.as_ref().map_or(0, |spread| spread.bytes())
    }
    /// The value that a share of `at` (0 to 1) of all values are at most; 0 without values.
    pub(super) fn quantile(&mut self, at: f64) -> f64 {
        match &self.spread {
            Some(spread) => spread.quantile(at, self.count).min(self.max),
            None => nearest_rank(&mut self.exact, at),
        }
    }
}

/// The value at a share of `at` of all of `values`; 0 when there are none.
pub(super) fn nearest_rank(values: &mut [f64], at: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = rank(at, values.len() as u64);
    let rank = usize::try_from(rank - 1).unwrap_or(usize::MAX).min(values.len() - 1);
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The 1-based place of a quantile among `count` values.
fn rank(at: f64, count: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "at most `count`, which is a u64")]
    let rank = (at * count as f64).ceil() as u64;
    rank.clamp(1, count.max(1))
}

impl Spread {
    fn new() -> Option<Self> {
        let histogram = || Histogram::new(DIGITS).ok();
        Some(Self { negative: histogram()?, positive: histogram()? })
    }
    fn push(&mut self, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a cast of floats stops at the ends")]
        let whole = ((value.abs() * SCALE).round() as u64).min(u64::MAX >> 2);
        let side = if value < 0.0 { &mut self.negative } else { &mut self.positive };
        if side.record(whole).is_err() {
            side.saturating_record(whole);
        }
    }
    fn bytes(&self) -> usize {
        (self.negative.distinct_values() + self.positive.distinct_values()) * size_of::<u32>()
    }
    fn quantile(&self, at: f64, count: u64) -> f64 {
        let rank = rank(at, count);
        let negative = self.negative.len();
        let (side, rank, sign) = if rank <= negative {
            // The lowest values are those farthest from zero.
            (&self.negative, negative - rank + 1, -1.0)
        } else {
            (&self.positive, rank - negative, 1.0)
        };
        let share = rank as f64 / side.len().max(1) as f64;
        sign * side.value_at_quantile(share) as f64 / SCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_whatever_the_size_and_the_order() {
        for count in [1_u32, 7, 100, 128, 129, 5000] {
            let mut values: Vec<f64> = (0..count).map(|n| f64::from(n) * 1.5 - 300.0).collect();
            let mut up = Values::default();
            let mut down = Values::default();
            for value in &values {
                up.push(*value);
            }
            for value in values.iter().rev() {
                down.push(*value);
            }
            assert!((8..100_000).contains(&up.bytes()), "{}", up.bytes());
            assert_eq!((up.count(), up.max()), (u64::from(count), f64::from(count - 1) * 1.5 - 300.0));
            for at in [0.01, 0.5, 0.95, 0.99] {
                let exact = nearest_rank(&mut values, at);
                let found = up.quantile(at);
                assert!((found - exact).abs() <= exact.abs() / 100.0 + 1.6, "{count} {at}: {found} {exact}");
                assert!((found - down.quantile(at)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn no_value_is_too_large_or_too_small() {
        let mut values = Values::default();
        for _ in 0..100 {
            values.push(f64::MAX);
            values.push(f64::MIN);
            values.push(1e-300);
        }
        assert!(values.quantile(0.5).abs() < 1e-6);
        assert!(values.quantile(0.99) > 1e11 && values.quantile(0.1) < -1e11);
    }
}
