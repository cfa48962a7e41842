//! Deterministic identifiers: the same input gives the same id, in every run and on every machine.

use std::fmt;

use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3Default;

/// A 64-bit content hash (XXH3), written as 16 hex digits.
///
/// ```
/// use logbraid_core::Id;
/// assert_eq!(Id::of(&["a", "b"]), Id::of(&["a", "b"]));
/// assert_ne!(Id::of(&["a", "b"]), Id::of(&["ab", ""]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Id(pub u64);

impl Id {
    /// The id of a list of texts; where one text ends and the next begins is part of it.
    pub fn of(parts: &[&str]) -> Self {
        let mut builder = IdBuilder::default();
        for part in parts {
            builder.text(part);
        }
        builder.finish()
    }
}

/// Builds an [`Id`] from texts and numbers in order.
#[derive(Default)]
pub struct IdBuilder(Xxh3Default);

impl IdBuilder {
    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }
    /// Adds a number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }
    /// The id of all that was added.
    pub fn finish(&self) -> Id {
        Id(self.0.digest())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
    }
}
