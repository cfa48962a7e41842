//! Severity levels and counts by level.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// The severity of a log record, in rising order.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Finer than debugging.
    Trace,
    /// For developers.
    Debug,
    /// Ordinary operation, notices included.
    Info,
    /// Something to watch.
    Warn,
    /// Something failed.
    Error,
    /// The process or system cannot go on: fatal, critical, alert, emergency, panic.
    Fatal,
}

impl Level {
    /// Every level, in rising order.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The level's name as records carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
    /// True for ERROR and FATAL.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::Fatal)
    }
}

/// How many entries each level had; entries without a level count only in the total.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LevelCounts {
    by_level: [u64; 6],
}

impl LevelCounts {
    /// Counts one entry.
    pub fn add(&mut self, level: Option<Level>) {
        if let Some(level) = level {
            self.by_level[level as usize] += 1;
        }
    }
    /// Counts `count` entries of one level.
    pub fn add_many(&mut self, level: Level, count: u64) {
        self.by_level[level as usize] += count;
    }
    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.by_level.iter_mut().zip(other.by_level) {
            *mine += theirs;
        }
    }
    /// These counts less those of `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = *self;
        for (mine, theirs) in rest.by_level.iter_mut().zip(other.by_level) {
            *mine = mine.saturating_sub(theirs);
        }
        rest
    }
    /// The count of one level.
    pub const fn of(&self, level: Level) -> u64 {
        self.by_level[level as usize]
    }
    /// Entries at ERROR or FATAL.
    pub const fn errors(&self) -> u64 {
        self.of(Level::Error) + self.of(Level::Fatal)
    }
}

impl Serialize for LevelCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for level in Level::ALL {
            if self.of(level) > 0 {
                map.serialize_entry(level.name(), &self.of(level))?;
            }
        }
        map.end()
    }
}

impl schemars::JsonSchema for LevelCounts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LevelCounts".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "entries by level; levels without entries are left out",
            "additionalProperties": { "type": "integer", "minimum": 1 }
        })
    }
}
