//! The texts of an entry that can be asked for by value.

use logbraid_core::{FieldId, KeyKind};

/// A column of texts. Entries are found by these without looking at their raw text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Column {
    /// The service.
    Service,
    /// The host.
    Host,
    /// The thread, process or goroutine.
    Thread,
    /// The correlation or request id, an attributed one included.
    Correlation,
    /// The trace id, an attributed one included.
    Trace,
    /// The span id.
    Span,
    /// The parent span's id.
    ParentSpan,
    /// A field that some operator asked for.
    Field(FieldId),
}

impl Column {
    /// How many columns every entry has; fields come on top.
    pub(crate) const COUNT: usize = 7;
    /// Every column but fields.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Service,
        Self::Host,
        Self::Thread,
        Self::Correlation,
        Self::Trace,
        Self::Span,
        Self::ParentSpan,
    ];
    /// The name that records carry; fields are named by [`logbraid_core::Fields`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Host => "host",
            Self::Thread => "thread_id",
            Self::Correlation => "correlation_id",
            Self::Trace => "trace_id",
            Self::Span => "span_id",
            Self::ParentSpan => "parent_span_id",
            Self::Field(_) => "field",
        }
    }
    /// Its place among a block's columns; `None` for a field.
    pub(crate) const fn place(self) -> Option<usize> {
        match self {
            Self::Service => Some(0),
            Self::Host => Some(1),
            Self::Thread => Some(2),
            Self::Correlation => Some(3),
            Self::Trace => Some(4),
            Self::Span => Some(5),
            Self::ParentSpan => Some(6),
            Self::Field(_) => None,
        }
    }
}

impl From<KeyKind> for Column {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Correlation => Self::Correlation,
            KeyKind::Trace => Self::Trace,
            KeyKind::Thread => Self::Thread,
            KeyKind::Field(id) => Self::Field(id),
        }
    }
}
