//! Tables in Arrow's layout, handed over through its C data interface: pandas, polars and pyarrow take them as they are.

use std::sync::Arc;

use arrow_array::builder::{
    Float64Builder, Int64Builder, LargeStringBuilder, StringDictionaryBuilder, TimestampNanosecondBuilder,
    UInt64Builder,
};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, Field, Schema};
use logbraid_core::EventTime;
use logbraid_query::Entry;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use serde_json::{Map, Value};

use crate::errors::usage;

/// Columns of equal length. `pyarrow.table`, `polars.DataFrame` and `pandas.DataFrame.from_arrow` take it.
#[pyclass(frozen, module = "logbraid._native")]
pub(crate) struct Table(RecordBatch);

#[pymethods]
impl Table {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A consumer that wants other types converts; the interface allows to answer with what there is.
        drop(requested_schema);
        let batches = [Ok(self.0.clone())];
        let reader: Box<dyn RecordBatchReader + Send> =
            Box::new(RecordBatchIterator::new(batches, self.0.schema()));
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), c"arrow_array_stream")
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.0.schema().as_ref())
            .map_err(|error| usage(py, error.to_string()))?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.0.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        format!("<logbraid.Table: {} rows of {}>", self.0.num_rows(), self.column_names().join(", "))
    }
}

/// Objects of JSON as a table: a column for each key. Keys that differ in type from object to object become text.
#[pyfunction]
pub(crate) fn table_of(py: Python<'_>, rows: &str) -> PyResult<Table> {
    let table = py.detach(|| {
        let rows: Vec<Map<String, Value>> = serde_json::from_str(rows).map_err(|error| error.to_string())?;
        of_rows(&rows).map_err(|error| error.to_string())
    });
    table.map(Table).map_err(|message| usage(py, format!("these rows are no table: {message}")))
}

type Words = StringDictionaryBuilder<Int32Type>;

/// Entries as columns.
#[derive(Default)]
pub(crate) struct Builder {
    timestamp: TimestampNanosecondBuilder,
    message: LargeStringBuilder,
    fields: LargeStringBuilder,
    line: UInt64Builder,
    words: [Words; WORDS.len()],
}

/// Columns whose values come again and again.
const WORDS: [&str; 11] = [
    "level",
    "service",
    "host",
    "thread_id",
    "correlation_id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "template",
    "flags",
    "input",
];

/// A row of a table of entries.
pub(crate) struct Row {
    /// Nanoseconds since 1970.
    timestamp: Option<i64>,
    message: String,
    fields: Map<String, Value>,
    line: Option<u64>,
    words: [Option<String>; WORDS.len()],
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        let line = entry.source.as_ref().map(|source| source.line).filter(|line| *line > 0);
        let words = [
            entry.level.map(|level| level.name().to_owned()),
            entry.service,
            entry.host,
            entry.thread_id,
            entry.correlation_id,
            entry.trace_id,
            entry.span_id,
            entry.parent_span_id,
            Some(entry.template.to_string()),
            (!entry.flags.is_empty()).then(|| entry.flags.join(",")),
            entry.source.map(|source| source.input),
        ];
        let timestamp = entry.timestamp.map(EventTime::nanos);
        Self { timestamp, message: entry.message, fields: entry.fields, line, words }
    }
}

impl From<Map<String, Value>> for Row {
    /// The row of an entry that another logbraid wrote as JSON.
    fn from(mut entry: Map<String, Value>) -> Self {
        let mut take = |name: &str| entry.remove(name).unwrap_or_default();
        let source = take("source");
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                Some(items.join(","))
            }
            _ => None,
        };
        let mut words = WORDS.map(|name| text(take(name)));
        if let [.., input] = &mut words {
            *input = source["input"].as_str().map(str::to_owned);
        }
        let time = text(take("timestamp"));
        let time = time.and_then(|time| chrono::DateTime::parse_from_rfc3339(&time).ok());
        Self {
            timestamp: time.and_then(|time| time.timestamp_nanos_opt()),
            message: text(take("message")).unwrap_or_default(),
            fields: match take("fields") {
                Value::Object(fields) => fields,
                _ => Map::new(),
            },
            line: source["line"].as_u64().filter(|line| *line > 0),
            words,
        }
    }
}

impl Builder {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        self.timestamp.append_option(row.timestamp);
        self.message.append_value(&row.message);
        let has_fields = !row.fields.is_empty();
        self.fields.append_option(has_fields.then(|| Value::Object(row.fields).to_string()));
        self.line.append_option(row.line);
        for (column, word) in self.words.iter_mut().zip(row.words) {
            column.append_option(word);
        }
    }

    /// The table.
    pub(crate) fn finish(mut self) -> Result<Table, ArrowError> {
        let timestamp = self.timestamp.finish().with_timezone("UTC");
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("timestamp", Arc::new(timestamp)), ("message", Arc::new(self.message.finish()))];
        for (name, mut column) in WORDS.into_iter().zip(self.words) {
            columns.push((name, Arc::new(column.finish())));
        }
        columns.push(("line", Arc::new(self.line.finish())));
        columns.push(("fields", Arc::new(self.fields.finish())));
        batch(columns.into_iter().map(|(name, column)| (name.to_owned(), column))).map(Table)
    }
}

fn batch(columns: impl Iterator<Item = (String, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) =
        columns.map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// What all values of a column are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Bool,
    Integer,
    Number,
    Time,
    Text,
}

impl Kind {
    fn of(name: &str, value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(text) if is_time(name) && time(text).is_some() => Self::Time,
            _ => Self::Text,
        }
    }
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, Self::Nothing) | (Self::Nothing, one) => one,
            (one, same) if one == same => one,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ => Self::Text,
        }
    }
}

/// True for names under which answers carry moments.
fn is_time(name: &str) -> bool {
    matches!(
        name,
        "timestamp" | "start" | "end" | "first_seen" | "last_seen" | "at" | "start_time" | "end_time"
    )
}

/// A moment as answers write it.
fn time(text: &str) -> Option<EventTime> {
    let whole = text.len() >= 20 && text.ends_with('Z');
    whole.then(|| logbraid_query::moment("", text, EventTime::MIN).ok()).flatten()
}

fn of_rows(rows: &[Map<String, Value>]) -> Result<RecordBatch, ArrowError> {
    let mut names: Vec<(&str, Kind)> = Vec::new();
    for row in rows {
        for (name, value) in row {
            let kind = Kind::of(name, value);
            match names.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = known.and(kind),
                None => names.push((name, kind)),
            }
        }
    }
    let columns = names.into_iter().map(|(name, kind)| {
        let values = rows.iter().map(|row| row.get(name).filter(|value| !value.is_null()));
        (name.to_owned(), column(kind, values))
    });
    batch(columns.collect::<Vec<_>>().into_iter())
}

fn column<'a>(kind: Kind, values: impl Iterator<Item = Option<&'a Value>>) -> ArrayRef {
    match kind {
        Kind::Bool => Arc::new(values.map(|value| value.and_then(Value::as_bool)).collect::<BooleanArray>()),
        Kind::Integer => {
            let mut column = Int64Builder::new();
            values.for_each(|value| column.append_option(value.and_then(Value::as_i64)));
            Arc::new(column.finish())
        }
        Kind::Number => {
            let mut column = Float64Builder::new();
            values.for_each(|value| column.append_option(value.and_then(Value::as_f64)));
            Arc::new(column.finish())
        }
        Kind::Time => {
            let mut column = TimestampNanosecondBuilder::new();
            let nanos = |value: &Value| value.as_str().and_then(time).map(EventTime::nanos);
            values.for_each(|value| column.append_option(value.and_then(nanos)));
            Arc::new(column.finish().with_timezone("UTC"))
        }
        Kind::Text | Kind::Nothing => {
            let mut column = LargeStringBuilder::new();
            for value in values {
                match value {
                    Some(Value::String(text)) => column.append_value(text),
                    Some(other) => column.append_value(other.to_string()),
                    None => column.append_null(),
                }
            }
            Arc::new(column.finish())
        }
    }
}
