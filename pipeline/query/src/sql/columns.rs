//! The columns of the table `logs`.

use logbraid_index::Column;

/// A column of `logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Timestamp,
    TimeNs,
    TimeMs,
    TimestampFrom,
    Level,
    Message,
    Text(Column),
    Fields,
    DurationMs,
    Format,
    Template,
    Input,
    Line,
    Byte,
    Topic,
    Partition,
    Offset,
    Flags,
    Confidence,
    Raw,
}

/// A column: its name, its declared type, what it holds.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) field: Field,
}

const fn column(name: &'static str, kind: &'static str, field: Field) -> Declared {
    Declared { name, kind, field }
}

/// Orders moments by time, however they are written.
pub(super) const MOMENT: &str = "moment";
/// Orders levels by severity.
pub(super) const SEVERITY: &str = "severity";

/// Every column, in the order of `SELECT *`; the hidden ones, which carry the batch tool's names, come last.
pub(super) const COLUMNS: [Declared; 28] = [
    column("id", "TEXT", Field::Id),
    column("timestamp", "TEXT COLLATE moment", Field::Timestamp),
    column("time_ms", "INTEGER", Field::TimeMs),
    column("time_ns", "INTEGER", Field::TimeNs),
    column("timestamp_from", "TEXT", Field::TimestampFrom),
    column("level", "TEXT COLLATE severity", Field::Level),
    column("message", "TEXT", Field::Message),
    column("service", "TEXT", Field::Text(Column::Service)),
    column("host", "TEXT", Field::Text(Column::Host)),
    column("thread_id", "TEXT", Field::Text(Column::Thread)),
    column("correlation_id", "TEXT", Field::Text(Column::Correlation)),
    column("trace_id", "TEXT", Field::Text(Column::Trace)),
    column("span_id", "TEXT", Field::Text(Column::Span)),
    column("parent_span_id", "TEXT", Field::Text(Column::ParentSpan)),
    column("fields", "TEXT", Field::Fields),
    column("duration_ms", "REAL", Field::DurationMs),
    column("format", "TEXT", Field::Format),
    column("template", "TEXT", Field::Template),
    column("input", "TEXT", Field::Input),
    column("line", "INTEGER", Field::Line),
    column("byte", "INTEGER", Field::Byte),
    column("topic", "TEXT", Field::Topic),
    column("partition", "INTEGER", Field::Partition),
    column("offset", "INTEGER", Field::Offset),
    column("flags", "TEXT", Field::Flags),
    column("confidence", "INTEGER", Field::Confidence),
    column("raw", "TEXT", Field::Raw),
    column("file", "TEXT HIDDEN", Field::Input),
];

/// The column at `number`, as SQLite counts them.
pub(super) fn at(number: std::ffi::c_int) -> Option<&'static Declared> {
    COLUMNS.get(usize::try_from(number).ok()?)
}

/// The names of all columns that `SELECT *` gives.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().filter(|column| !column.kind.contains("HIDDEN")).map(|column| column.name)
}

/// The statement that declares the table.
pub(super) fn declaration() -> String {
    let columns: Vec<String> =
        COLUMNS.iter().map(|column| format!("\"{}\" {}", column.name, column.kind)).collect();
    format!("CREATE TABLE logs({})", columns.join(", "))
}
