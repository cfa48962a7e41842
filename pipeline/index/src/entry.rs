//! One entry of a view.

use std::cmp::Ordering;
use std::sync::Arc;

use logbraid_core::{EventTime, FieldId, Flags, Format, Id, Level, Row, Source, SourceRef, TimeFrom};

use crate::block::Block;
use crate::column::Column;
use crate::texts::Texts;
use crate::{Origin, TextError};

/// An entry. Copying it copies a reference and a number; what it carries is read from its block when asked for.
///
/// Entries are ordered as in every output: by time, then the source's name, then position.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'v> {
    pub(crate) block: &'v Block,
    pub(crate) row: u16,
}

impl<'v> EntryRef<'v> {
    /// When it happened.
    pub fn time(self) -> EventTime {
        self.block.time(self.row)
    }
    /// Where its time came from.
    pub fn time_from(self) -> TimeFrom {
        self.block.time_from(self.row)
    }
    /// Its level, if it has one.
    pub fn level(self) -> Option<Level> {
        self.block.level(self.row)
    }
    /// How it was understood.
    pub fn format(self) -> Format {
        self.block.format(self.row)
    }
    /// Its marks: those that users see, and [`Flags::STDERR`] and [`Flags::NO_YEAR`].
    pub fn flags(self) -> Flags {
        self.block.flags(self.row)
    }
    /// How sure its request is, in percent; 100 unless attributed.
    pub fn confidence(self) -> u8 {
        self.block.confidence(self.row)
    }
    /// One of its texts; of a field that occurs several times, the first.
    pub fn get(self, column: Column) -> Option<&'v str> {
        let block = self.block;
        block.names(column).find_map(|names| block.name_of(names, self.row))
    }
    /// All values of a column: several where a field occurs several times.
    pub fn all(self, column: Column) -> impl Iterator<Item = &'v str> {
        let (block, row) = (self.block, self.row);
        block.names(column).filter_map(move |names| block.name_of(names, row))
    }
    /// The service.
    pub fn service(self) -> Option<&'v str> {
        self.get(Column::Service)
    }
    /// The host.
    pub fn host(self) -> Option<&'v str> {
        self.get(Column::Host)
    }
    /// The thread, process or goroutine.
    pub fn thread(self) -> Option<&'v str> {
        self.get(Column::Thread)
    }
    /// The correlation id: its own, else the one it was attributed to.
    pub fn correlation(self) -> Option<&'v str> {
        self.get(Column::Correlation)
    }
    /// The trace id: its own, else the one it was attributed to.
    pub fn trace(self) -> Option<&'v str> {
        self.get(Column::Trace)
    }
    /// The span id.
    pub fn span(self) -> Option<&'v str> {
        self.get(Column::Span)
    }
    /// The parent span's id.
    pub fn parent_span(self) -> Option<&'v str> {
        self.get(Column::ParentSpan)
    }
    /// The first value of a field that some operator asked for.
    pub fn field(self, field: FieldId) -> Option<&'v str> {
        self.get(Column::Field(field))
    }
    /// The id of its message's template.
    pub fn template(self) -> Id {
        self.block.template_of(self.block.number(self.block.at.template, self.row))
    }
    /// A duration that it states, in milliseconds.
    pub fn duration_ms(self) -> Option<f64> {
        self.block.duration_ms(self.row)
    }
    /// Where it came from; `None` only for a corrupt block.
    pub fn source(self) -> Option<&'v Arc<Source>> {
        self.origin().map(|origin| origin.source())
    }
    pub(crate) fn origin(self) -> Option<&'v Arc<Origin>> {
        self.block.origin(self.row)
    }
    /// The input's name.
    pub fn input(self) -> &'v str {
        self.source().map_or("", |source| source.name.as_str())
    }
    /// The byte (files, pipes) or offset (Kafka) where it begins.
    pub fn offset(self) -> u64 {
        self.block.offset(self.row)
    }
    /// Its 1-based line, 0 where lines are not counted.
    pub fn line(self) -> u64 {
        self.block.line(self.row)
    }
    /// Bytes of its raw text.
    pub fn raw_len(self) -> usize {
        usize::try_from(self.block.number(self.block.at.raw_len, self.row)).unwrap_or(usize::MAX)
    }
    /// Where it was read, as records carry it; `None` only for a corrupt block.
    pub fn source_ref(self) -> Option<SourceRef> {
        let row = Row { offset: self.offset(), line: self.line(), ..Row::default() };
        self.source().map(|source| SourceRef::new(source, &row))
    }
    /// Its raw text, without its terminator. For more than one entry, [`Texts::raw`] is many times faster.
    pub fn raw(self) -> Result<String, TextError> {
        Texts::default().raw(self).map(str::to_owned)
    }
    /// Its message. For more than one entry, [`Texts::message`] is many times faster.
    pub fn message(self) -> Result<String, TextError> {
        Texts::default().message(self).map(str::to_owned)
    }
    /// Its fields beyond those it carries by name. For more than one entry, [`Texts::fields`] is many times faster.
    pub fn fields(self) -> Result<serde_json::Map<String, serde_json::Value>, TextError> {
        Texts::default().fields(self)
    }
}

impl PartialEq for EntryRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for EntryRef<'_> {}

impl PartialOrd for EntryRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.time()
            .cmp(&other.time())
            .then_with(|| self.input().cmp(other.input()))
            .then_with(|| self.offset().cmp(&other.offset()))
    }
}
