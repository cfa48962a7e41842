//! The value of any field of an entry.

use logbraid_index::{Column, EntryRef, TextError, Texts};
use serde_json::{Map, Value};

/// Where the value of a field is found: in a column, or in the fields of the text.
pub(crate) enum FieldOf {
    /// A column of the index.
    Column(Column),
    /// The level's name.
    Level,
    /// The message.
    Message,
    /// The input's name.
    Input,
    /// A duration that the entry states, or a field of that name.
    Duration(String),
    /// A dotted path into the fields.
    Path(String),
}

impl FieldOf {
    pub(crate) fn new(name: &str) -> Self {
        let columns = Column::ALL;
        if let Some(column) = columns.into_iter().find(|column| column.name() == name) {
            return Self::Column(column);
        }
        match name {
            "thread" => Self::Column(Column::Thread),
            "service_name" => Self::Column(Column::Service),
            "request_id" => Self::Column(Column::Correlation),
            "level" => Self::Level,
            "message" => Self::Message,
            "file" | "input" => Self::Input,
            "duration_ms" => Self::Duration(name.to_owned()),
            _ => Self::Path(name.to_owned()),
        }
    }
    /// The value as text; none when the entry has no such field.
    pub(crate) fn value<'v>(
        &self,
        texts: &mut Texts<'v>,
        entry: EntryRef<'v>,
    ) -> Result<Option<String>, TextError> {
        Ok(match self {
            Self::Column(column) => entry.get(*column).map(str::to_owned),
            Self::Level => entry.level().map(|level| level.name().to_owned()),
            Self::Message => Some(texts.message(entry)?.to_owned()),
            Self::Input => Some(entry.input().to_owned()),
            Self::Duration(name) => match entry.duration_ms() {
                Some(millis) => Some(millis.to_string()),
                None => path(&texts.fields(entry)?, name),
            },
            Self::Path(name) => path(&texts.fields(entry)?, name),
        })
    }
}

/// The value at a dotted path: the key as a whole, else its parts one below the other.
fn path(fields: &Map<String, Value>, name: &str) -> Option<String> {
    if let Some(value) = fields.get(name) {
        return match value {
            Value::Null | Value::Object(_) | Value::Array(_) => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
    }
    name.match_indices('.').find_map(|(at, _)| match fields.get(name.get(..at)?)? {
        Value::Object(inner) => path(inner, name.get(at + 1..)?),
        _ => None,
    })
}
