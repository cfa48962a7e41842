//! What holds requests together.

use serde::Serialize;

use super::FieldId;

/// The request that an event without an id was attributed to, by its thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// What kind of id it is.
    pub kind: KeyKind,
    /// The id.
    pub value: String,
    /// How sure, in percent.
    pub confidence: u8,
}

/// The kinds of identifiers that hold a request together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(into = "String")]
pub enum KeyKind {
    /// A correlation or request id.
    Correlation,
    /// A trace id.
    Trace,
    /// A thread, within its host and service.
    Thread,
    /// A field that the configuration names.
    Field(FieldId),
}

impl KeyKind {
    /// The name that records carry; fields are named by [`Fields`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Correlation => "correlation_id",
            Self::Trace => "trace_id",
            Self::Thread => "thread_id",
            Self::Field(_) => "field",
        }
    }
}

impl From<KeyKind> for String {
    fn from(kind: KeyKind) -> Self {
        kind.name().to_owned()
    }
}
