//! Events: parsed log records whose bytes stay where they were read.
//!
//! ```text
//!  Batch.text  "…{\"time\":…,\"msg\":\"boom\"}\n…"      one buffer, as read; decoded escapes are appended at its end
//!                 ▲            ▲
//!  Row         { raw, message, thread, …, time, level }  ranges into it, nothing owned
//!  Event       ( Arc<Batch>, row number )                what operators take
//! ```

mod batch;
mod fields;
mod flags;
mod key;
mod row;
mod source;
mod text;

use std::sync::Arc;

use crate::id::{Id, IdBuilder};
use crate::tags::Tag;
use crate::time::EventTime;

pub use batch::{Batch, Origin};
pub use fields::{FieldId, FieldReader, Fields, NoFields};
pub use flags::Flags;
pub use key::{Attribution, KeyKind};
pub use row::{Format, Row, TimeFrom};
pub use source::{PartitionId, Position, Source};
pub use text::Text;

/// One record on its way through the operators. Cheap to move: a shared batch and a row number.
#[derive(Clone, Debug)]
pub struct Event {
    batch: Arc<Batch>,
    row: u32,
    marks: Flags,
    template: Id,
    attribution: Option<Box<Attribution>>,
}

impl Event {
    /// The event of row `row`. The row must exist.
    pub fn new(batch: Arc<Batch>, row: u32) -> Self {
        debug_assert!((row as usize) < batch.rows.len());
        Self { batch, row, marks: Flags::default(), template: Id::default(), attribution: None }
    }
    /// Its parsed row.
    #[inline]
    pub fn row(&self) -> &Row {
        &self.batch.rows[self.row as usize]
    }
    /// When it happened.
    #[inline]
    pub fn time(&self) -> EventTime {
        self.row().time
    }
    /// Its batch.
    #[inline]
    pub fn batch(&self) -> &Arc<Batch> {
        &self.batch
    }
    /// Where it came from; where it was read first, when an earlier stage handed it over.
    #[inline]
    pub fn source(&self) -> &Arc<Source> {
        self.origin().map_or(&self.batch.source, |origin| &origin.source)
    }
    fn origin(&self) -> Option<&Origin> {
        self.batch.origins.get(self.row as usize)
    }
    /// True when an earlier stage handed it over, so that it may come twice.
    pub fn is_handed_over(&self) -> bool {
        self.origin().is_some_and(|origin| origin.handed_over)
    }
    /// What its transport says of it: key and headers.
    pub fn tags(&self) -> impl Iterator<Item = Tag<'_>> {
        self.batch.tags.iter().flat_map(|tags| tags.of(self.row))
    }
    /// The name of the field that its key is.
    pub fn key_name(&self) -> &str {
        self.batch.tags.as_ref().map_or(crate::tags::KEY_NAME, |tags| tags.key_name())
    }
    /// Its bytes as they came; they differ from [`Self::raw`] where they are not valid UTF-8, or were cut.
    pub fn raw_bytes(&self) -> &[u8] {
        let originals = &self.batch.originals;
        let original = originals.binary_search_by_key(&self.row, |(row, _)| *row).ok();
        match original.and_then(|at| originals.get(at)) {
            Some((_, bytes)) => bytes,
            None => self.raw().as_bytes(),
        }
    }
    /// All of its fields that it does not carry by name, its transport's among them. A field of the record itself wins
    /// over a header of the same name; of headers of one name, the first.
    pub fn fields(&self) -> serde_json::Map<String, serde_json::Value> {
        let row = self.row();
        let mut fields = self.source().reader.fields(row.format, self.raw());
        let carried =
            [row.correlation, row.trace, row.span, row.parent_span, row.thread, row.service, row.host];
        for tag in self.tags() {
            let Some(text) = tag.text() else { continue };
            if carried.iter().any(|known| self.text(*known) == Some(text)) {
                continue;
            }
            let name = tag.name.unwrap_or_else(|| self.key_name());
            if !fields.contains_key(name) {
                fields.insert(name.to_owned(), text.into());
            }
        }
        fields
    }
    /// One of its texts.
    #[inline]
    pub fn text(&self, text: Text) -> Option<&str> {
        text.get(&self.batch.text)
    }
    /// The message; the empty text when it has none.
    #[inline]
    pub fn message(&self) -> &str {
        self.text(self.row().message).unwrap_or_default()
    }
    /// The whole record as it came.
    pub fn raw(&self) -> &str {
        self.text(self.row().raw).unwrap_or_default()
    }
    /// The service: its own, else its source's.
    #[inline]
    pub fn service(&self) -> Option<&str> {
        self.text(self.row().service).or_else(|| self.source().service.as_deref())
    }
    /// The host: its own, else its source's.
    #[inline]
    pub fn host(&self) -> Option<&str> {
        self.text(self.row().host).or_else(|| self.source().host.as_deref())
    }
    /// True when a format was forced on it that it is not in.
    pub fn is_rejected(&self) -> bool {
        self.batch.rejected.binary_search(&self.row).is_ok()
    }
    /// The extra fields that operators asked for.
    #[inline]
    pub fn extras(&self) -> &[(FieldId, Text)] {
        let row = self.row();
        let start = row.extras_start as usize;
        self.batch.extras.get(start..start + row.extras_len as usize).unwrap_or_default()
    }
    /// An extra field by its id.
    pub fn field(&self, id: FieldId) -> Option<&str> {
        self.extras().iter().find(|(field, _)| *field == id).and_then(|(_, text)| self.text(*text))
    }
    /// The value of a key of this event, if it carries one.
    #[inline]
    pub fn key(&self, kind: KeyKind) -> Option<&str> {
        let row = self.row();
        match kind {
            KeyKind::Correlation => self.text(row.correlation),
            KeyKind::Trace => self.text(row.trace),
            KeyKind::Thread => self.text(row.thread),
            KeyKind::Field(id) => self.field(id),
        }
    }
    /// The request it was attributed to.
    #[inline]
    pub fn attribution(&self) -> Option<&Attribution> {
        self.attribution.as_deref().or_else(|| self.origin()?.request.as_ref())
    }
    /// Attributes it to a request.
    pub fn attribute(&mut self, attribution: Attribution) {
        self.marks.set(Flags::ATTRIBUTED);
        self.attribution = Some(Box::new(attribution));
    }
    /// Marks, with `attributed` when it was.
    #[inline]
    pub fn flags(&self) -> Flags {
        self.row().flags | self.marks
    }
    /// The id of its message's template; the default until `templates` has seen it.
    pub const fn template(&self) -> Id {
        self.template
    }
    /// Says which template its message has, and whether it is the first of it.
    pub fn set_template(&mut self, template: Id, first: bool) {
        self.template = template;
        if first {
            self.marks.set(Flags::NEW_TEMPLATE);
        }
    }
    /// Says that it belongs to a request, which goes on as a group.
    pub const fn mark_grouped(&mut self) {
        self.marks.set(Flags::GROUPED);
    }
    /// Marks it as having come after its window had closed.
    pub fn mark_late(&mut self) {
        self.marks.set(Flags::LATE);
    }
    /// Where it stands in its batch's source: what progress and commits count by.
    pub fn position(&self) -> u64 {
        self.batch.position_of(self.row)
    }
    /// Marks it as read again by a run whose predecessor has told what it makes by itself.
    pub const fn mark_told(&mut self) {
        self.marks.set(Flags::TOLD);
    }
    /// True when an earlier run has told what it makes by itself: a late entry, or a reject.
    pub const fn is_told(&self) -> bool {
        self.marks.has(Flags::TOLD)
    }
    /// Its id: the same record at the same place has the same id in every run.
    pub fn id(&self) -> Id {
        entry_id(self.source(), self.row().offset, self.service(), self.raw())
    }
}

/// The id of an entry of `source` at `offset`.
pub(crate) fn entry_id(source: &Source, offset: u64, service: Option<&str>, raw: &str) -> Id {
    let mut id = IdBuilder::default();
    match &source.position {
        Position::Kafka { topic, partition } => id.text(topic).number(i64::from(*partition)),
        Position::Line | Position::Row | Position::Log => id.text(service.unwrap_or_default()).text(raw),
    };
    id.number(i64::try_from(offset).unwrap_or(i64::MAX)).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Row>() <= 128, "{}", size_of::<Row>());
        assert!(size_of::<Event>() <= 32);
    }

    #[test]
    fn texts_within_a_raw_line_that_is_kept_are_not_copied_again() {
        let from = "xx{msg:hello}decoded";
        let mut row = Row {
            raw: Text { start: 2, len: 11 },
            message: Text { start: 7, len: 5 },
            thread: Text { start: 13, len: 7 },
            ..Row::default()
        };
        let mut to = "kept".to_owned();
        assert!(row.move_text(from, &mut to, None, true, &mut []));
        assert_eq!(to, "kept{msg:hello}decoded");
        assert_eq!((row.raw.get(&to), row.message.get(&to)), (Some("{msg:hello}"), Some("hello")));
        assert_eq!(row.thread.get(&to), Some("decoded"));
    }

    #[test]
    fn texts_that_the_row_before_has_are_not_copied() {
        let from = "xx{msg:hello}decoded";
        let mut row = Row {
            raw: Text { start: 2, len: 11 },
            message: Text { start: 7, len: 5 },
            thread: Text { start: 13, len: 7 },
            ..Row::default()
        };
        let (mut to, mut next) = ("kept".to_owned(), row);
        let mut extras = [(FieldId(9), Text { start: 3, len: 3 })];
        assert!(row.move_text(from, &mut to, None, false, &mut extras));
        assert_eq!(to, "kepthellodecodedmsg");
        assert_eq!(row.message.get(&to), Some("hello"));
        assert_eq!(row.thread.get(&to), Some("decoded"));
        assert_eq!(extras[0].1.get(&to), Some("msg"));
        assert_eq!((row.span.get(&to), row.raw.get(&to)), (None, None));

        next.message = Text { start: 0, len: 2 };
        assert!(next.move_text(from, &mut to, Some(row.texts()), false, &mut []));
        assert_eq!(to, "kepthellodecodedmsgxx");
        assert_eq!((next.message.get(&to), next.thread), (Some("xx"), row.thread));
    }
}
