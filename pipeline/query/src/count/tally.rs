//! Counts by name, in bounded memory: exact until there are too many names, then the rarest are given up and counted.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use schemars::JsonSchema;
use serde::Serialize;

/// Names that are counted one by one.
const NAMES_MAX: usize = 1 << 16;

/// Counts by name. Memory is bounded by the number of names; see [`Self::others`].
#[derive(Debug)]
pub(crate) struct Tally {
    counts: HashMap<Box<str>, u64>,
    names_max: usize,
    others: u64,
}

/// The most frequent of many names.
#[derive(Debug, Clone, Serialize, JsonSchema, Default)]
pub struct Counted {
    /// Name and count, most frequent first, then by name.
    pub values: InOrder<u64>,
    /// How many different names there are; at least so many where `others` is more than 0.
    pub unique_count: u64,
    /// Entries with names that are not shown.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub not_shown: u64,
    /// Of these, entries whose names were too many to be counted one by one.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub others: u64,
}

/// A JSON object that keeps the order it was made in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InOrder<T>(pub Vec<(String, T)>);

impl<T: Serialize> Serialize for InOrder<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<T: JsonSchema> JsonSchema for InOrder<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }
    fn json_schema(to: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, T>::json_schema(to)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new(NAMES_MAX)
    }
}

impl Tally {
    pub(crate) fn new(names_max: usize) -> Self {
        Self { counts: HashMap::new(), names_max, others: 0 }
    }
    /// Counts one entry with `name`.
    pub(crate) fn add(&mut self, name: &str) {
        self.add_many(name, 1);
    }
    /// Counts `many` entries with `name`.
    pub(crate) fn add_many(&mut self, name: &str, many: u64) {
        if let Some(count) = self.counts.get_mut(name) {
            *count += many;
            return;
        }
        if self.counts.len() >= self.names_max {
            self.others += halve(&mut self.counts, |count| *count, |count| *count);
        }
        self.counts.insert(name.into(), many);
    }
    /// How many different names there are, at least.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }
    /// Entries whose names were given up; while it is 0, every count is exact.
    pub(crate) const fn others(&self) -> u64 {
        self.others
    }
    /// All of them, most frequent first, then by name.
    pub(crate) fn sorted(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.counts.iter().map(|(name, count)| (&**name, *count)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all
    }
    /// The `most` most frequent; 0 for all.
    pub(crate) fn counted(&self, most: usize) -> Counted {
        let mut all = self.sorted();
        let unique_count = all.len() as u64;
        let hidden = if most == 0 { Vec::new() } else { all.split_off(most.min(all.len())) };
        Counted {
            values: InOrder(all.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()),
            unique_count,
            not_shown: hidden.iter().map(|(_, count)| count).sum::<u64>() + self.others,
            others: self.others,
        }
    }
}

/// Gives up the rarest half of a full map, and all as rare as those: the same ones in every run. Gives the sum of what
/// they weighed.
pub(super) fn halve<K, V>(
    map: &mut HashMap<K, V>,
    count: impl Fn(&V) -> u64,
    weight: impl Fn(&V) -> u64,
) -> u64 {
    let mut counts: Vec<u64> = map.values().map(&count).collect();
    let middle = counts.len() / 2;
    let limit = if counts.is_empty() { 0 } else { *counts.select_nth_unstable(middle).1 };
    let mut given_up = 0;
    map.retain(|_, value| {
        let keep = count(value) > limit;
        given_up += if keep { 0 } else { weight(value) };
        keep
    });
    given_up
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_until_there_are_too_many_names() {
        let mut tally = Tally::new(4);
        for name in ["a", "b", "a", "c", "a", "b"] {
            tally.add(name);
        }
        assert_eq!(tally.sorted(), [("a", 3), ("b", 2), ("c", 1)]);
        assert_eq!(tally.others(), 0);
    }

    #[test]
    fn beyond_that_frequent_names_stay_and_the_rest_is_counted() {
        let mut tally = Tally::new(8);
        for round in 0..1000 {
            tally.add("often");
            tally.add(&format!("once {round}"));
        }
        let counted = tally.counted(1);
        assert_eq!(counted.values.0, [("often".to_owned(), 1000)]);
        assert!(tally.len() <= 8);
        assert_eq!(counted.not_shown, 1000, "every entry is in a count or among the others");
    }
}
