//! Entries by level, entries without one included.

use std::collections::BTreeMap;

use logbraid_core::{Level, LevelCounts};
use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// How many entries each level had. Entries without a level count as `UNKNOWN`; levels without entries are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByLevel {
    known: LevelCounts,
    unknown: u64,
}

impl ByLevel {
    /// Counts that were made elsewhere.
    pub const fn new(known: LevelCounts, unknown: u64) -> Self {
        Self { known, unknown }
    }
    /// Counts one entry.
    pub fn add(&mut self, level: Option<Level>) {
        self.known.add(level);
        self.unknown += u64::from(level.is_none());
    }
    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.known.merge(&other.known);
        self.unknown += other.unknown;
    }
    /// Entries of all levels and of none.
    pub fn total(&self) -> u64 {
        Level::ALL.iter().map(|level| self.known.of(*level)).sum::<u64>() + self.unknown
    }
    /// Entries at ERROR or FATAL.
    pub const fn errors(&self) -> u64 {
        self.known.errors()
    }
    /// Entries of one level.
    pub const fn of(&self, level: Level) -> u64 {
        self.known.of(level)
    }
    /// Entries without a level.
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }
    /// The levels that have entries, with their counts, highest level first; `None` is the entries without one.
    pub fn present(&self) -> impl Iterator<Item = (Option<Level>, u64)> {
        let known = Level::ALL.into_iter().rev().map(|level| (Some(level), self.known.of(level)));
        known.chain([(None, self.unknown)]).filter(|(_, count)| *count > 0)
    }
}

impl Serialize for ByLevel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for level in Level::ALL {
            if self.known.of(level) > 0 {
                map.serialize_entry(level.name(), &self.known.of(level))?;
            }
        }
        if self.unknown > 0 {
            map.serialize_entry("UNKNOWN", &self.unknown)?;
        }
        map.end()
    }
}

impl JsonSchema for ByLevel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByLevel".into()
    }
    fn json_schema(to: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, u64>::json_schema(to)
    }
}

/// `part / whole` with four decimals; 0 of nothing.
pub(crate) fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 1e4).round() / 1e4
}

/// The change from `before` to `after` in percent with two decimals; none from nothing.
pub(crate) fn percent(before: u64, after: u64) -> Option<f64> {
    (before > 0).then(|| ((after as f64 - before as f64) / before as f64 * 1e4).round() / 1e2)
}

/// The first line of `text`, at most `most` characters of it; what was cut ends in `…`.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) const fn is_zero(count: &u64) -> bool {
    *count == 0
}
