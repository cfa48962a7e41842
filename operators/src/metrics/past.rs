//! What was usual: the last buckets of a series, and how far a new one is from them.

use std::collections::VecDeque;

use logbraid_core::EventTime;

use super::values::nearest_rank;

/// Buckets that must lie behind a series before it can be judged.
pub(super) const PAST_MIN: usize = 8;
/// Largest score that is told apart from larger ones.
const SCORE_MAX: f64 = 1000.0;

/// What is usual, and how much it varies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usual {
    /// The middle of what was.
    pub median: f64,
    /// A robust standard deviation.
    pub deviation: f64,
}

impl Usual {
    /// How far `value` is from what was usual, in robust standard deviations.
    pub(super) fn score(self, value: f64) -> f64 {
        ((value - self.median) / self.deviation).clamp(-SCORE_MAX, SCORE_MAX)
    }
}

/// Measures what is usual among `values`; `None` while they are too few. Differences below `floor` of the middle, or below
/// `least`, are usual in any case.
pub(super) fn usual(values: impl Iterator<Item = f64>, floor: f64, least: f64) -> Option<Usual> {
    // Source: median and median absolute deviation as by Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.
    let mut all: Vec<f64> = values.collect();
    if all.len() < PAST_MIN {
        return None;
    }
    let median = nearest_rank(&mut all, 0.5);
    for value in &mut all {
        *value = (*value - median).abs();
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let mad = nearest_rank(&mut all, 0.5);
    // More than half of the values are equal: the mean deviation takes the median's place.
    let deviation = if mad > 0.0 { 1.4826 * mad } else { 1.2533 * mean };
    let deviation = deviation.max(median.abs() * floor).max(least).max(f64::MIN_POSITIVE);
    Some(Usual { median, deviation })
}

/// Buckets by their beginning, oldest first, no older than a restart would see.
#[derive(Debug)]
pub(super) struct Past<T>(VecDeque<(EventTime, T)>);

impl<T> Default for Past<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Past<T> {
    /// Forgets what began before `since`.
    pub(super) fn forget(&mut self, since: EventTime) {
        while self.0.front().is_some_and(|(start, _)| *start < since) {
            self.0.pop_front();
        }
    }
    /// Forgets the oldest buckets for as long as `empty` says so of them.
    pub(super) fn forget_while(&mut self, empty: impl Fn(&T) -> bool) {
        while self.0.front().is_some_and(|(_, value)| empty(value)) {
            self.0.pop_front();
        }
    }
    /// Adds the newest bucket.
    pub(super) fn push(&mut self, start: EventTime, value: T) {
        self.0.push_back((start, value));
    }
    /// The values, oldest first.
    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }
    /// The beginning of the newest.
    pub(super) fn newest(&self) -> Option<EventTime> {
        self.0.back().map(|(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_hide_another_one() {
        let past = (0..20).map(|n| 100.0 + f64::from(n % 5)).chain([5000.0]);
        let usual = usual(past, 0.01, 0.0).expect("enough is known");
        assert!((usual.median - 102.0).abs() < 1.1, "{usual:?}");
        assert!(usual.score(5000.0) > 500.0 && usual.score(104.0).abs() < 3.0);
    }

    #[test]
    fn too_few_and_equal_values_give_no_false_alarms() {
        assert_eq!(usual(std::iter::repeat_n(1.0, PAST_MIN - 1), 0.05, 0.0), None);
        let usual = usual(std::iter::repeat_n(100.0, 30), 0.05, 0.0).expect("enough is known");
        assert!(usual.score(104.0) < 1.0 && usual.score(200.0) > 10.0);
    }
}
