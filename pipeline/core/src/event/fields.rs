//! Fields beyond those that every entry has: those that operators ask for by name, and all others on demand.

use std::fmt;

use super::Format;

/// Numbers the fields that some operator asked for by name; others stay in the raw line until somebody looks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldId(pub u16);

impl FieldId {
    /// The id of the request that caused this one: `parent_request_id`, `parent_correlation_id`.
    pub const PARENT_REQUEST: Self = Self(0);
    /// The id of a request that this one started: `child_correlation_id`, `spawned_request`.
    pub const CHILD_REQUEST: Self = Self(1);
    /// What a span does: `operation_name`, `operation`, `span.name`, `name`.
    pub const OPERATION: Self = Self(2);
    /// The logger, module or component.
    pub const LOGGER: Self = Self(3);
    /// Error type or exception class, where a field carries it.
    pub const EXCEPTION: Self = Self(4);
}

/// The names of the fields that operators asked for, beyond the parser's own.
#[derive(Clone, Debug)]
pub struct Fields {
    names: Vec<String>,
}

impl Default for Fields {
    fn default() -> Self {
        let names = ["parent_request_id", "spawned_request", "operation_name", "logger", "exception"];
        Self { names: names.map(str::to_owned).to_vec() }
    }
}

impl Fields {
    /// The id of the field called `name`, a dotted path for a nested one. At most 65,536 names.
    pub fn intern(&mut self, name: &str) -> FieldId {
        let at = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        FieldId(u16::try_from(at).unwrap_or(u16::MAX))
    }
    /// All names, in the order of their ids.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Lists all fields of a record that the row does not point to; the parser's side of lazy fields.
pub trait FieldReader: Send + Sync + fmt::Debug {
    /// The fields of `raw`, understood as `format`, without those that an entry carries by name.
    fn fields(&self, format: Format, raw: &str) -> serde_json::Map<String, serde_json::Value>;
}

/// A [`FieldReader`] that finds none.
#[derive(Debug)]
pub struct NoFields;

impl FieldReader for NoFields {
    fn fields(&self, _: Format, _: &str) -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::new()
    }
}
