//! Events: parsed log records whose bytes stay where they were read.
//!
//! ```text
//!  Batch.text  "…{\"time\":…,\"msg\":\"boom\"}\n…"      one buffer, as read; decoded escapes are appended at its end
//!                 ▲            ▲
//!  Row         { raw, message, thread, …, time, level }  ranges into it, nothing owned
//!  Event       ( Arc<Batch>, row number )                what operators take
//! ```

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::id::{Id, IdBuilder};
use crate::level::Level;
use crate::tags::{Tag, Tags};
use crate::time::EventTime;

/// A range of a [`Batch`]'s or a group's text; [`Text::NONE`] is "absent", which differs from "empty".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Text {
    /// An absent text.
    pub const NONE: Self = Self { start: u32::MAX, len: 0 };

    /// True when there is a text, even an empty one.
    #[inline]
    pub const fn is_some(self) -> bool {
        self.start != u32::MAX
    }
    /// True when there is none.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.start == u32::MAX
    }
    /// The range as indices. An absent text gives `0..0`.
    #[inline]
    pub const fn range(self) -> std::ops::Range<usize> {
        if self.is_none() {
            return 0..0;
        }
        self.start as usize..self.start as usize + self.len as usize
    }
    /// One past the last byte.
    pub const fn end(self) -> u32 {
        self.start.saturating_add(self.len)
    }
    /// True when `other` lies within this text.
    pub const fn contains(self, other: Self) -> bool {
        other.start >= self.start && other.end() <= self.end()
    }
    /// Looks the text up in the buffer it belongs to; `None` when absent.
    #[inline]
    pub fn get(self, buffer: &str) -> Option<&str> {
        if self.is_none() { None } else { buffer.get(self.range()) }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::NONE
    }
}

/// How a line was understood.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 5424, RFC 3164 or BSD syslog.
    Syslog,
    /// Common or combined log format.
    Clf,
    /// Kubernetes klog, `I0115 10:00:00.000000 1 file.go:1] …`.
    Klog,
    /// A user format: a regex with named groups.
    Custom,
    /// Anything else.
    #[default]
    Text,
}

impl Format {
    /// The format's name as records carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::Syslog => "syslog",
            Self::Clf => "clf",
            Self::Klog => "klog",
            Self::Custom => "custom",
            Self::Text => "text",
        }
    }
}

/// Where an event's time came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeFrom {
    /// The record itself.
    #[default]
    Event,
    /// The record before it in its partition.
    Carried,
    /// The moment of reading, or the transport's own timestamp.
    Ingest,
}

/// Marks of an event, a small bit set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u32);

impl Flags {
    /// Several physical lines were joined.
    pub const MULTILINE: Self = Self(1);
    /// The line was longer than `max_line` and was cut.
    pub const TRUNCATED: Self = Self(1 << 1);
    /// The bytes were not valid UTF-8; bad ones became U+FFFD.
    pub const INVALID_UTF8: Self = Self(1 << 2);
    /// It came after its window had closed.
    pub const LATE: Self = Self(1 << 3);
    /// The record carried no usable time.
    pub const NO_TIMESTAMP: Self = Self(1 << 4);
    /// Its request was inferred from its thread.
    pub const ATTRIBUTED: Self = Self(1 << 5);
    /// Parser to assembler: a runtime cut the line here; the rest follows in the next record of the same stream.
    pub const PARTIAL: Self = Self(1 << 6);
    /// Parser to assembler: a container wrote it to its standard error.
    pub const STDERR: Self = Self(1 << 7);
    /// Parser to assembler: has no head of its own and continues a record.
    pub const CONTINUATION: Self = Self(1 << 8);
    /// Parser to assembler: has a head, but its message continues the record before it (one trace line per record).
    pub const HEADED_CONTINUATION: Self = Self(1 << 9);
    /// Parser to assembler: a stack trace may follow this record.
    pub const TRACE_HEAD: Self = Self(1 << 10);
    /// Assembler: joined to another record, no event of its own.
    pub const JOINED: Self = Self(1 << 11);
    /// Parser to assembler: the date had no year; the year was guessed.
    pub const NO_YEAR: Self = Self(1 << 12);
    /// Parser to assembler: day and month could be swapped.
    pub const AMBIGUOUS_DATE: Self = Self(1 << 13);
    /// Parser to assembler: the date shows that this source writes the day before the month.
    pub const DAY_FIRST: Self = Self(1 << 14);
    /// Parser to assembler: the date shows that this source writes the month before the day.
    pub const MONTH_FIRST: Self = Self(1 << 15);

    /// It was the first of its template.
    pub const NEW_TEMPLATE: Self = Self(1 << 16);
    /// It belongs to a request, which goes on as a group.
    pub const GROUPED: Self = Self(1 << 17);
    /// Its line ended with a carriage return and a line feed; if it has several, each of them did.
    pub const CRLF: Self = Self(1 << 18);
    /// An earlier run has told what it makes by itself.
    const TOLD: Self = Self(1 << 19);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::MULTILINE, "multiline"),
        (Self::TRUNCATED, "truncated"),
        (Self::INVALID_UTF8, "invalid_utf8"),
        (Self::LATE, "late"),
        (Self::NO_TIMESTAMP, "no_timestamp"),
        (Self::ATTRIBUTED, "attributed"),
        (Self::NEW_TEMPLATE, "new_template"),
    ];

    /// True when every mark of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// True when any mark of `other` is set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Sets the marks of `other`.
    pub const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Clears the marks of `other`.
    pub const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
    /// The marks that say what an event is, as bits; those between parser and assembler are left out.
    pub const fn bits(self) -> u32 {
        self.0 & Self::LASTING
    }
    /// The marks of [`Self::bits`].
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits & Self::LASTING)
    }
    const LASTING: u32 = Self::MULTILINE.0
        | Self::TRUNCATED.0
        | Self::INVALID_UTF8.0
        | Self::LATE.0
        | Self::NO_TIMESTAMP.0
        | Self::ATTRIBUTED.0
        | Self::STDERR.0;
    /// The names of the marks that users see.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

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

/// One parsed record: ranges into the text that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// When it happened; [`EventTime::MIN`] until the assembler has carried a time to it.
    pub time: EventTime,
    /// The byte (files, pipes) or offset (Kafka) where the record begins.
    pub offset: u64,
    /// Its 1-based line, 0 where lines are not counted.
    pub line: u64,
    /// A duration that the record states, in milliseconds; NaN when it states none.
    pub duration_ms: f64,
    /// The whole record as it came, without its terminator.
    pub raw: Text,
    /// The message.
    pub message: Text,
    /// The service that wrote it.
    pub service: Text,
    /// The host it came from.
    pub host: Text,
    /// The thread, process or goroutine.
    pub thread: Text,
    /// The correlation or request id.
    pub correlation: Text,
    /// The trace id.
    pub trace: Text,
    /// The span id.
    pub span: Text,
    /// The parent span's id.
    pub parent_span: Text,
    /// The id of its message's template, once `templates` has seen it.
    pub template: Id,
    /// First of its fields in the batch's or group's list of extra fields.
    pub extras_start: u32,
    /// How many extra fields it has.
    pub extras_len: u16,
    /// Which of a group's sources it came from; 0 in a batch.
    pub source: u16,
    /// Marks.
    pub flags: Flags,
    /// Its level, if it has one.
    pub level: Option<Level>,
    /// How it was understood.
    pub format: Format,
    /// Where its time came from.
    pub time_from: TimeFrom,
    /// How sure its request is, in percent; 100 unless attributed.
    pub confidence: u8,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            time: EventTime::MIN,
            offset: 0,
            line: 0,
            duration_ms: f64::NAN,
            raw: Text::NONE,
            message: Text::NONE,
            service: Text::NONE,
            host: Text::NONE,
            thread: Text::NONE,
            correlation: Text::NONE,
            trace: Text::NONE,
            span: Text::NONE,
            parent_span: Text::NONE,
            template: Id::default(),
            extras_start: 0,
            extras_len: 0,
            source: 0,
            flags: Flags::default(),
            level: None,
            format: Format::Text,
            time_from: TimeFrom::Event,
            confidence: 100,
        }
    }
}

impl Row {
    /// Every range of the row but `raw`, for moving it to another buffer.
    #[inline]
    pub fn texts_mut(&mut self) -> [&mut Text; 8] {
        [
            &mut self.message,
            &mut self.service,
            &mut self.host,
            &mut self.thread,
            &mut self.correlation,
            &mut self.trace,
            &mut self.span,
            &mut self.parent_span,
        ]
    }
    /// Every range of the row but `raw`, in the order of [`Self::texts_mut`].
    #[inline]
    pub const fn texts(&self) -> [Text; 8] {
        [
            self.message,
            self.service,
            self.host,
            self.thread,
            self.correlation,
            self.trace,
            self.span,
            self.parent_span,
        ]
    }
    /// Copies the row's texts from `from` to the end of `to` and points the row there; the raw line is left behind unless
    /// `keep_raw`, and then texts that are parts of it point into it. A text that `last`, a row whose texts are in `to`,
    /// has as well is not copied: entries of one request share most of their names. Returns false, with `to` unchanged,
    /// when `to` would pass 4 GiB.
    pub fn move_text(
        &mut self,
        from: &str,
        to: &mut String,
        last: Option<[Text; 8]>,
        keep_raw: bool,
        extras: &mut [(FieldId, Text)],
    ) -> bool {
        let raw = if keep_raw { self.raw } else { Text::NONE };
        self.raw = Text::NONE;
        let loose: usize = extras.iter().map(|(_, text)| text.len as usize).sum();
        let needed: usize =
            self.texts().iter().map(|text| text.len as usize).sum::<usize>() + loose + raw.len as usize;
        if to.len().saturating_add(needed) >= u32::MAX as usize {
            return false;
        }
        let append = |text: &mut Text, to: &mut String| {
            let start = u32::try_from(to.len()).unwrap_or(u32::MAX);
            to.push_str(text.get(from).unwrap_or_default());
            text.start = start;
        };
        if raw.is_some() {
            self.raw = raw;
            append(&mut self.raw, to);
        }
        let kept = self.raw;
        let place = |text: &mut Text, to: &mut String| {
            if raw.is_some() && raw.contains(*text) {
                text.start = text.start - raw.start + kept.start;
            } else {
                append(text, to);
            }
        };
        for (text, last) in self.texts_mut().into_iter().zip(last.unwrap_or_default()) {
            if text.is_none() {
                continue;
            }
            if last.is_some() && last.len == text.len && same(last.get(to), text.get(from)) {
                text.start = last.start;
            } else {
                place(text, to);
            }
        }
        for (_, text) in extras {
            if text.is_some() {
                place(text, to);
            }
        }
        true
    }
}

/// True for equal texts. Names are short, and comparing two words is faster than a call.
#[inline]
fn same(a: Option<&str>, b: Option<&str>) -> bool {
    let (Some(a), Some(b)) = (a.map(str::as_bytes), b.map(str::as_bytes)) else { return a == b };
    if a.len() != b.len() {
        return false;
    }
    match (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>()) {
        // The two words overlap, or touch, and leave nothing out.
        (Some(a_head), Some(b_head), Some(a_tail), Some(b_tail)) if a.len() <= 16 => {
            a_head == b_head && a_tail == b_tail
        }
        _ => a == b,
    }
}

/// Numbers a source's partitions within one run: a file, a Kafka partition, a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PartitionId(pub u32);

/// What positions in a source mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Position {
    /// Bytes and lines of a file or a pipe.
    Line,
    /// Offsets of a Kafka partition.
    Kafka {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// Rows of a table, by their numbers; a row's number is its line, too.
    Row,
    /// Places in the write-ahead log of what was received over a network.
    Log,
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

/// Where records come from: one partition of one input.
#[derive(Clone, Debug)]
pub struct Source {
    /// The input as the user wrote it, or its path; shown in records and used to break ties in time.
    pub name: String,
    /// Its number in this run.
    pub partition: PartitionId,
    /// What its positions mean.
    pub position: Position,
    /// The service to assume when a record names none: a label, or read off the path.
    pub service: Option<String>,
    /// The host to assume when a record names none.
    pub host: Option<String>,
    /// Reads fields on demand.
    pub reader: Arc<dyn FieldReader>,
}

impl Source {
    /// A source of lines called `name`.
    pub fn lines(name: impl Into<String>, partition: PartitionId) -> Self {
        Self {
            name: name.into(),
            partition,
            position: Position::Line,
            service: None,
            host: None,
            reader: Arc::new(NoFields),
        }
    }
}

/// Where a row was read first, when an earlier stage handed it over through another topic.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The input that the earlier stage read; the row's `offset` and `line` are positions in it.
    pub source: Arc<Source>,
    /// The position of the row in its batch's own source: what progress and commits count by.
    pub at: u64,
    /// False for a record that did not come from an earlier stage, and is its own origin.
    pub handed_over: bool,
    /// The request that the earlier stage attributed it to.
    pub request: Option<Attribution>,
}

/// Records that were read and parsed together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they came from.
    pub source: Arc<Source>,
    /// Their bytes.
    pub text: String,
    /// One row per record, in the order of the source.
    pub rows: Vec<Row>,
    /// Extra fields, pointed to by rows.
    pub extras: Vec<(FieldId, Text)>,
    /// The original bytes of rows that were not valid UTF-8, by row number.
    pub originals: Vec<(u32, Vec<u8>)>,
    /// Keys and headers of rows, by row number.
    pub tags: Option<Box<Tags>>,
    /// Where each row was read first; empty unless an earlier stage wrote them, and then one for each row.
    pub origins: Vec<Origin>,
    /// Headers that did not become fields because they are not text.
    pub headers_left_out: u32,
    /// The bytes that were read, before any was decoded or mended.
    pub bytes: u64,
    /// Blank lines, which make no row.
    pub blank: u32,
    /// Rows that are not in the format that was forced on them, by row number, in rising order.
    pub rejected: Vec<u32>,
    /// The byte or offset after the last record.
    pub end_offset: u64,
    /// The line after the last record, 0 where lines are not counted.
    pub end_line: u64,
}

impl Batch {
    /// An empty batch of `source`.
    pub fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            text: String::new(),
            rows: Vec::new(),
            extras: Vec::new(),
            originals: Vec::new(),
            tags: None,
            origins: Vec::new(),
            headers_left_out: 0,
            bytes: 0,
            blank: 0,
            rejected: Vec::new(),
            end_offset: 0,
            end_line: 0,
        }
    }
    /// Where row `at` stands in the batch's source: what progress and commits count by.
    pub fn position_of(&self, at: u32) -> u64 {
        let at = at as usize;
        match self.origins.get(at) {
            Some(origin) => origin.at,
            None => self.rows.get(at).map_or(self.end_offset, |row| row.offset),
        }
    }
}

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
