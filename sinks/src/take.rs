//! `take`: which types of records a sink is given.

use futures::future::BoxFuture;
use logbraid_core::component::ConfigError;
use logbraid_core::sink::{Sink, SinkError, SourceOffset};
use logbraid_core::{Record, RecordKind};
use serde_json::Value;

/// A set of record types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Take(u8);

impl Default for Take {
    /// Findings and timelines.
    fn default() -> Self {
        [RecordKind::Findings, RecordKind::Timelines].into_iter().collect()
    }
}

impl FromIterator<RecordKind> for Take {
    fn from_iter<T: IntoIterator<Item = RecordKind>>(kinds: T) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | Self::bit(kind)))
    }
}

impl Take {
    const fn bit(kind: RecordKind) -> u8 {
        1 << kind as u8
    }
    /// True when records of this type are taken.
    pub const fn has(self, kind: RecordKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }
    /// The types that are taken.
    pub fn kinds(self) -> impl Iterator<Item = RecordKind> {
        RecordKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
    /// What a sink's settings say about `take`; the default where they say nothing.
    ///
    /// # Errors
    /// When `take` is not a list of types of records, or an empty one.
    pub fn of(settings: &Value) -> Result<Self, ConfigError> {
        let Some(take) = settings.get("take").filter(|take| !take.is_null()) else {
            return Ok(Self::default());
        };
        let help = "list the types of records, such as `take: [findings, timelines]`";
        let list = match take {
            Value::Array(list) => list.as_slice(),
            // One type needs no brackets.
            Value::String(_) => std::slice::from_ref(take),
            _ => return Err(ConfigError::new("take", "`take` must be a list of types of records").help(help)),
        };
        if list.is_empty() {
            return Err(ConfigError::new("take", "`take` must name a type of records").help(help));
        }
        list.iter()
            .enumerate()
            .map(|(at, kind)| {
                let text = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
                let kind: Result<RecordKind, String> = text.parse();
                kind.map_err(|message| ConfigError::new(&format!("take.{at}"), message).help(help))
            })
            .collect()
    }
}

/// A sink that is given only the types of records that it takes.
pub struct Taking<S> {
    sink: S,
    take: Take,
}

impl<S: Sink> Taking<S> {
    /// Hands only what is in `take` to `sink`.
    pub const fn new(sink: S, take: Take) -> Self {
        Self { sink, take }
    }
}

impl<S: Sink> Sink for Taking<S> {
    fn name(&self) -> &str {
        self.sink.name()
    }
    fn open(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.sink.open()
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        if records.iter().all(|record| self.take.has(record.kind())) {
            if records.is_empty() {
                return Box::pin(async { Ok(()) });
            }
            return self.sink.write(records);
        }
        let taken: Vec<&Record> =
            records.iter().copied().filter(|record| self.take.has(record.kind())).collect();
        Box::pin(async move { if taken.is_empty() { Ok(()) } else { self.sink.write(&taken).await } })
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.sink.flush()
    }
    fn commits_offsets(&self) -> bool {
        self.sink.commits_offsets()
    }
    fn flush_with<'a>(&'a mut self, offsets: &'a [SourceOffset]) -> BoxFuture<'a, Result<(), SinkError>> {
        self.sink.flush_with(offsets)
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        self.sink.metrics(report);
    }
}
