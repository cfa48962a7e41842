//! What was usual so far: a robust baseline of a series' last values.

/// Values that the baseline is made of.
const PAST_MAX: usize = 1024;
/// Before so many values nothing is unusual.
const PAST_MIN: usize = 32;
/// Largest deviation that is told apart from larger ones.
const SCORE_MAX: f64 = 1000.0;

/// The last values of a series, and what is usual among them.
#[derive(Debug, Default)]
pub(super) struct Past {
    values: Vec<f64>,
    oldest: usize,
    since: usize,
    baseline: Option<(f64, f64)>,
    scratch: Vec<f64>,
}

impl Past {
    /// How far `value` is from what was usual before it, in robust standard deviations (median and median absolute
    /// deviation; Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993). None while too little is known. The
    /// value itself becomes part of the past only afterwards.
    pub(super) fn score(&mut self, value: f64) -> Option<f64> {
        let score = self.baseline.map(|(median, scale)| {
            let score = (value - median) / scale;
            score.clamp(-SCORE_MAX, SCORE_MAX)
        });
        if self.values.len() < PAST_MAX {
            self.values.push(value);
        } else if let Some(slot) = self.values.get_mut(self.oldest) {
            *slot = value;
            self.oldest = (self.oldest + 1) % PAST_MAX;
        }
        self.since += 1;
        // Medians are found anew after a sixteenth of the values: a constant cost per value.
        if self.values.len() >= PAST_MIN && self.since * 16 >= self.values.len().max(PAST_MIN) {
            self.since = 0;
            self.baseline = self.measure();
        }
        score
    }

    fn measure(&mut self) -> Option<(f64, f64)> {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.values);
        let middle = median(&mut self.scratch)?;
        for value in &mut self.scratch {
            *value = (*value - middle).abs();
        }
        let mean = self.scratch.iter().sum::<f64>() / self.scratch.len() as f64;
        let mad = median(&mut self.scratch)?;
        // More than half of the values are equal: the mean deviation takes the median's place. Where all are equal, a
        // hundredth of the value counts as usual.
        let scale = if mad > 0.0 { 1.4826 * mad } else { 1.2533 * mean };
        Some((middle, scale.max(middle.abs() / 100.0).max(f64::MIN_POSITIVE)))
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: impl IntoIterator<Item = f64>) -> Vec<Option<f64>> {
        let mut past = Past::default();
        values.into_iter().map(|value| past.score(value)).collect()
    }

    #[test]
    fn an_outlier_is_judged_by_the_values_before_it_and_does_not_hide_itself() {
        let usual = (0..100).map(|at| 100.0 + f64::from(at % 7));
        let scores = scores(usual.chain([5000.0, 5000.0]));
        assert!(scores[99].is_some_and(|score| score.abs() < 3.5));
        assert!(scores[100].is_some_and(|score| score > 100.0));
        assert!(
            scores[101].is_some_and(|score| score > 100.0),
            "one outlier does not make the next one usual"
        );
    }

    #[test]
    fn what_becomes_usual_is_no_outlier_any_more() {
        let before = (0..200).map(|at| f64::from(at % 5));
        let after = (0..2000).map(|at| 1000.0 + f64::from(at % 5));
        let scores = scores(before.chain(after));
        assert!(scores[200].is_some_and(|score| score > 3.5));
        assert!(scores[2199].is_some_and(|score| score.abs() < 3.5));
    }

    #[test]
    fn too_few_values_and_equal_values_give_no_false_alarms() {
        assert_eq!(scores([1.0, 1000.0]), [None, None]);
        let scores = scores(std::iter::repeat_n(100.0, 64).chain([100.5, 200.0, 0.0]));
        assert!(scores[64].is_some_and(|score| score < 1.0));
        assert!(scores[65].is_some_and(|score| score > 3.5));
        assert!(scores[66].is_some_and(|score| score < -3.5));
    }
}
