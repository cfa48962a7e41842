//! The parser: whole lines in, rows out. Every row depends on its own line and the settings alone.

use std::sync::Arc;

use logbraid_core::{
    Batch, EventTime, FieldId, Fields, Flags, Format, Level, Position, Row, Source, Text, TimeFrom,
};

use crate::draft::{Draft, Piece, Tail};
use crate::keys::{Slot, Table};
use crate::raw::{Framing, RawBatch, RawRecord};
use crate::settings::{Compiled, Forced, Inner};
use crate::time::{Context, DayCache, DayOrder};
use crate::{clf, custom, ids, json, klog, logfmt, shape, syslog, text, wrap};

/// Batches longer than this are cut: ranges are 32 bits wide, and decoded text needs room behind.
const BATCH_BYTES_MAX: usize = 3 << 30;
/// Wrapped records within wrapped records are opened this many times.
const WRAPS_MAX: u8 = 4;

/// Turns raw batches into batches of rows. One per worker thread.
#[derive(Debug)]
pub struct Parser {
    pub(crate) engine: Engine,
    pub(crate) draft: Draft,
    /// Inputs that earlier stages read, see [`crate::tagged`].
    pub(crate) origins: Vec<Arc<Source>>,
}

/// What reading lines needs and keeps from line to line, none of which changes what a line means.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Arc<Inner>,
    pub(crate) table: Arc<Table>,
    pub(crate) day: DayCache,
    pub(crate) path: String,
    pub(crate) context: Context,
    pub(crate) tail: Tail,
    /// The user formats that this source's name matches.
    patterns: Vec<usize>,
    patterns_of: String,
}

impl Parser {
    /// A parser that extracts `fields` beside its own.
    pub fn new(settings: Arc<Compiled>, fields: &Fields) -> Self {
        Self { engine: Engine::new(&settings, fields), draft: Draft::default(), origins: Vec::new() }
    }

    /// Parses one batch. The bytes stay where they are; only lines that are not valid UTF-8 are rewritten.
    pub fn parse(&mut self, raw: RawBatch) -> Batch {
        let RawBatch { source, mut bytes, framing, ingest } = raw;
        let cut = bytes.len() > BATCH_BYTES_MAX;
        bytes.truncate(BATCH_BYTES_MAX);
        let mut batch = Batch::new(Arc::clone(&source));
        self.engine.begin(&source, ingest);
        match framing {
            Framing::Lines { offset, line } => self.lines(bytes, offset, line, &mut batch),
            Framing::Records(records) => self.records(bytes, records, &mut batch),
            Framing::Tagged { records, tags, handed_over } => {
                self.tagged(bytes, records, tags, handed_over, &mut batch);
            }
        }
        if cut && let Some(row) = batch.rows.last_mut() {
            row.flags.set(Flags::TRUNCATED);
        }
        batch
    }

    fn lines(&mut self, bytes: Vec<u8>, mut offset: u64, mut number: u64, batch: &mut Batch) {
        let read = bytes.len();
        let (text, mended) = utf8(bytes);
        let mut mended = mended.into_iter().peekable();
        self.engine.tail.base = narrow(text.len());
        // Typical lines have 100 bytes and more; growing twice is cheap.
        batch.rows.reserve(text.len() / 160 + 1);
        let mut start = 0;
        while start < text.len() {
            let rest = &text.as_bytes()[start..];
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let ended = usize::from(len < rest.len());
            let mut flags = Flags::default();
            let mut original = None;
            let mut taken = (len + ended) as u64;
            if let Some((_, line)) = mended.next_if(|(at, _)| *at == start) {
                flags.set(Flags::INVALID_UTF8);
                taken = (line.len() + ended) as u64;
                original = Some(line);
            }
            let mut end = start + len;
            if len > 0 && text.as_bytes()[end - 1] == b'\r' {
                end -= 1;
                flags.set(Flags::CRLF);
            }
            let place = Place { offset, line: number, flags };
            if self.row(&text, start..end, place, batch, |_, _| {})
                && let Some(mut line) = original
            {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                batch.originals.push((narrow(batch.rows.len() - 1), line));
            }
            offset += taken;
            number += 1;
            start += len + ended;
        }
        self.finish(text, batch, offset, number);
        batch.bytes = read as u64;
    }

    fn records(&mut self, bytes: Vec<u8>, records: Vec<RawRecord>, batch: &mut Batch) {
        let end = records.last().map_or(0, |record| record.offset.saturating_add(1));
        let (text, records, originals) = record_texts(bytes, records);
        self.engine.tail.base = narrow(text.len());
        let ingest = self.engine.context.ingest;
        let rows = batch.source.position == Position::Row;
        let mut originals = originals.into_iter().peekable();
        for (at, record) in records.iter().enumerate() {
            let mut flags = Flags::default();
            if record.fresh {
                flags.set(Flags::FRESH);
            }
            let original = originals.next_if(|(number, _)| *number == at);
            if original.is_some() {
                flags.set(Flags::INVALID_UTF8);
            }
            let std::ops::Range { start, mut end } = record.range();
            while end > start && matches!(text.as_bytes()[end - 1], b'\n' | b'\r') {
                end -= 1;
            }
            self.engine.context.ingest = record.ingest.map_or(ingest, EventTime::nanos);
            let line = if rows { record.offset } else { 0 };
            let place = Place { offset: record.offset, line, flags };
            if self.row(&text, start..end, place, batch, |_, _| {}) {
                keep_original(batch, original.map(|(_, bytes)| bytes), text.get(record.range()));
            }
        }
        self.engine.context.ingest = ingest;
        self.finish(text, batch, end, 0);
    }

    pub(crate) fn finish(&mut self, text: String, batch: &mut Batch, offset: u64, line: u64) {
        batch.bytes = text.len() as u64;
        batch.text = text;
        batch.text.push_str(&self.engine.tail.text);
        self.engine.tail.text.clear();
        // One huge record must not hold its memory for ever.
        self.engine.tail.text.shrink_to(1 << 20);
        batch.end_offset = offset;
        batch.end_line = line;
    }

    /// Makes a row of `text[range]` and of what `also` knows; false when it is blank.
    #[inline]
    pub(crate) fn row(
        &mut self,
        text: &str,
        range: std::ops::Range<usize>,
        place: Place,
        batch: &mut Batch,
        also: impl FnOnce(&mut Engine, &mut Draft),
    ) -> bool {
        let mut flags = place.flags;
        let mut line = text.get(range.clone()).unwrap_or_default();
        if line.len() > self.engine.settings.line_bytes_max {
            line =
                line.get(..line.floor_char_boundary(self.engine.settings.line_bytes_max)).unwrap_or_default();
            flags.set(Flags::TRUNCATED);
        }
        // Most lines begin with something visible.
        if line.as_bytes().first().is_none_or(|b| *b <= b' ') && line.trim().is_empty() {
            batch.blank += 1;
            return false;
        }
        self.draft.clear();
        let piece = Piece { text: line, at: narrow(range.start) };
        self.engine.understand(&mut self.draft, piece);
        also(&mut self.engine, &mut self.draft);
        self.draft.settle();
        let draft = &mut self.draft;
        draft.row.raw = Text { start: piece.at, len: narrow(line.len()) };
        draft.row.offset = place.offset;
        draft.row.line = place.line;
        draft.row.flags.set(flags);
        if draft.rejected {
            batch.rejected.push(narrow(batch.rows.len()));
        }
        let row = self.engine.close(draft, &mut batch.extras);
        batch.rows.push(row);
        true
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) line: u64,
    pub(crate) flags: Flags,
}

/// Keeps the bytes of the row that was made last, where its text does not say them all.
pub(crate) fn keep_original(batch: &mut Batch, original: Option<Vec<u8>>, record: Option<&str>) {
    let Some(row) = batch.rows.len().checked_sub(1) else { return };
    // What is rejected is given back byte for byte, even what was cut off.
    let whole = || {
        let record = record.filter(|_| batch.rejected.last() == Some(&narrow(row)))?;
        let shorter = batch.rows.last().is_some_and(|row| (row.raw.len as usize) < record.len());
        shorter.then(|| record.as_bytes().to_vec())
    };
    if let Some(bytes) = original.or_else(whole) {
        batch.originals.push((narrow(row), bytes));
    }
}

impl Engine {
    pub(crate) fn new(settings: &Compiled, fields: &Fields) -> Self {
        let settings = Arc::clone(&settings.0);
        let context = Context { zone: settings.zone, ingest: i64::MIN, order: DayOrder::Unknown };
        Self {
            table: settings.table(fields),
            settings,
            day: DayCache::default(),
            path: String::new(),
            context,
            tail: Tail::default(),
            patterns: Vec::new(),
            patterns_of: String::new(),
        }
    }

    /// Prepares for lines of `source`.
    pub(crate) fn begin(&mut self, source: &Source, ingest: EventTime) {
        self.context.ingest = ingest.nanos();
        if self.settings.patterns.is_empty() || self.settings.forced != Forced::Auto {
            return;
        }
        if self.patterns_of != source.name || self.patterns.is_empty() {
            let all = self.settings.patterns.iter().enumerate();
            self.patterns = all.filter(|(_, p)| p.is_for(&source.name)).map(|(at, _)| at).collect();
            source.name.clone_into(&mut self.patterns_of);
        }
    }

    /// Reads one record, in the forced format or in any.
    pub(crate) fn record(&mut self, draft: &mut Draft, piece: Piece<'_>) {
        self.understand(draft, piece);
        draft.settle();
    }

    /// Reads one record, save for what depends on several keys at once.
    #[inline]
    pub(crate) fn understand(&mut self, draft: &mut Draft, piece: Piece<'_>) {
        match self.settings.forced {
            Forced::Auto => {
                if self.patterns.is_empty() || !self.user_formats(draft, piece) {
                    self.line(draft, piece, 0);
                }
            }
            forced => self.forced(draft, piece, forced),
        }
    }

    fn user_formats(&mut self, draft: &mut Draft, piece: Piece<'_>) -> bool {
        let settings = Arc::clone(&self.settings);
        self.patterns.clone().into_iter().any(|at| {
            settings.patterns.get(at).is_some_and(|pattern| custom::read(self, draft, piece, pattern))
        })
    }

    fn forced(&mut self, draft: &mut Draft, piece: Piece<'_>, forced: Forced) {
        let trimmed = piece.part(piece.text.trim());
        let fits = match forced {
            Forced::Json => trimmed.text.starts_with('{') && self.object(draft, trimmed, 0),
            Forced::Logfmt => logfmt::read(self, draft, trimmed, 1),
            Forced::Syslog => syslog::read(self, draft, trimmed, WRAPS_MAX),
            Forced::Clf => clf::read(self, draft, trimmed),
            Forced::Cri => wrap::cri(self, draft, trimmed, 0),
            Forced::Custom(at) => {
                let settings = Arc::clone(&self.settings);
                settings.patterns.get(at).is_some_and(|pattern| custom::read(self, draft, piece, pattern))
            }
            Forced::Text | Forced::Auto => {
                text::read(self, draft, piece);
                return;
            }
        };
        if !fits {
            draft.clear();
            draft.row.message = piece.range(piece.text);
            draft.rejected = true;
            draft.row.flags.set(shape::of_bare_line(piece.text));
        }
    }

    /// Reads one line in whatever format it is in.
    pub(crate) fn line(&mut self, draft: &mut Draft, piece: Piece<'_>, wraps: u8) {
        let bytes = piece.text.as_bytes();
        let first = bytes.first().copied().unwrap_or(b' ');
        let trimmed = if first <= b' ' { piece.part(piece.text.trim()) } else { piece };
        if trimmed.text.starts_with('{') && self.object(draft, trimmed, wraps) {
            return;
        }
        if first > b' ' && wraps < WRAPS_MAX {
            let wrapped = match first {
                b'<' => syslog::read(self, draft, piece, wraps),
                b'0'..=b'9' => {
                    wrap::cri(self, draft, piece, wraps) || syslog::read(self, draft, piece, wraps)
                }
                b'[' => wrap::kubectl(self, draft, piece, wraps),
                b'A'..=b'Z' => {
                    syslog::read(self, draft, piece, wraps)
                        || klog::read(self, draft, piece)
                        || wrap::compose(self, draft, piece, wraps)
                }
                b'a'..=b'z' => wrap::compose(self, draft, piece, wraps),
                _ => false,
            };
            if wrapped || clf::read(self, draft, piece) || logfmt::read(self, draft, piece, 2) {
                return;
            }
        }
        text::read(self, draft, piece);
    }

    /// Reads a JSON object, and the record within it if it carries one.
    pub(crate) fn object(&mut self, draft: &mut Draft, piece: Piece<'_>, wraps: u8) -> bool {
        let mut walk = json::Walk {
            table: &self.table,
            draft,
            tail: &mut self.tail,
            day: &mut self.day,
            context: &self.context,
            path: &mut self.path,
            line: piece,
        };
        if !json::read(&mut walk) {
            draft.clear();
            return false;
        }
        draft.format(Format::Json);
        let message = draft.row.message;
        if message.is_none() {
            draft.row.message = piece.range(piece.text);
            return true;
        }
        let in_line = message.start.checked_sub(piece.at).and_then(|start| {
            let start = start as usize;
            piece.text.get(start..start + message.len as usize)
        });
        if let Some(text) = in_line {
            self.message(draft, Piece { text, at: message.start }, wraps);
        } else if let Some(text) = self.tail.get(message).map(str::to_owned) {
            // Decoded: it stands at the end of the buffer, which grows while it is read.
            self.message(draft, Piece { text: &text, at: message.start }, wraps);
        }
        true
    }

    /// Looks into the message of a JSON record.
    fn message(&mut self, draft: &mut Draft, message: Piece<'_>, wraps: u8) {
        let text = message.text;
        let wrapped = json::is_wrapped(draft.message_style);
        let first = text.as_bytes().first().copied().unwrap_or(b' ');
        let carries = match first {
            b'{' => true,
            // A shipper that found no level passes on a line that says it itself.
            b'0'..=b'9' | b'[' | b'<' if draft.row.level.is_none() => true,
            _ => wrapped,
        };
        if carries && wraps < WRAPS_MAX {
            let line = text.trim_end_matches(['\n', '\r']);
            let partial = wrapped && line.len() == text.len() && text.len() >= wrap::DOCKER_PART_BYTES;
            if partial {
                draft.row.flags.set(Flags::PARTIAL);
                return;
            }
            if line.trim().is_empty() {
                draft.row.message = message.range(line.trim());
                return;
            }
            let mut inner = Draft::default();
            self.line(&mut inner, message.part(line), wraps + 1);
            inner.settle();
            let told = inner.row.format != Format::Text
                || inner.row.time.is_known()
                || inner.row.level.is_some()
                || wrapped;
            if told {
                draft.merge(&mut inner);
                if !wrapped && inner.row.format == Format::Text {
                    draft.format(Format::Json);
                }
                return;
            }
        }
        let level = draft.row.level;
        // A record that names its request needs no search of its message, save for what it may have started.
        let named = draft.row.correlation.is_some() && draft.row.trace.is_some();
        if !named || ids::may_start_another(text) {
            ids::in_text(draft, message);
        }
        draft.row.flags.set(shape::of_message(text, level));
    }

    /// The finished row of a draft; its extra fields go to `extras`.
    pub(crate) fn close(&mut self, draft: &mut Draft, extras: &mut Vec<(FieldId, Text)>) -> Row {
        const NAMED: [FieldId; 5] = [
            FieldId::OPERATION,
            FieldId::LOGGER,
            FieldId::EXCEPTION,
            FieldId::PARENT_REQUEST,
            FieldId::CHILD_REQUEST,
        ];
        let row = &mut draft.row;
        if !row.time.is_known() {
            row.time = EventTime::from_nanos(self.context.ingest);
            row.time_from = TimeFrom::Ingest;
            row.flags.set(Flags::NO_TIMESTAMP);
        }
        let start = extras.len();
        for (id, text) in NAMED.into_iter().zip(draft.named) {
            if text.is_some() {
                extras.push((id, text));
            }
        }
        extras.append(&mut draft.extras);
        row.extras_start = narrow(start);
        row.extras_len = u16::try_from(extras.len() - start).unwrap_or(u16::MAX);
        if row.message.is_none() {
            row.message = row.raw;
        }
        *row
    }

    /// Gives a draft what the wording of a system log implies, when it has no level.
    pub(crate) fn implied_level(&self, text: &str) -> Option<Level> {
        self.settings.wording.level(text)
    }
}

/// Saves a rank for values that a wrapper gives.
pub(crate) const OUTER: u8 = 200;

/// Sets a text of the wrapper, which counts less than what the record inside says.
pub(crate) fn outer(draft: &mut Draft, slot: Slot, piece: Piece<'_>, text: &str) {
    if !ids::is_absent(text) {
        draft.set(slot, OUTER, piece.range(text));
    }
}

pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Lines that were mended, by where each begins in the new text (records by their number), and their bytes as they
/// came, without LF.
pub(crate) type Mended = Vec<(usize, Vec<u8>)>;

/// The bytes as text without a copy; where they are not valid UTF-8, only the bad lines change.
fn utf8(bytes: Vec<u8>) -> (String, Mended) {
    if simdutf8::basic::from_utf8(&bytes).is_ok() {
        #[expect(unsafe_code, reason = "a second validation costs as much as reading the times of all lines")]
        // SAFETY: the line above validated exactly these bytes.
        let text = unsafe { String::from_utf8_unchecked(bytes) };
        return (text, Vec::new());
    }
    let mut text = String::with_capacity(bytes.len() + 64);
    let mut mended = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if let Ok(good) = simdutf8::basic::from_utf8(line) {
            text.push_str(good);
            continue;
        }
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        mended.push((text.len(), content.to_vec()));
        text.push_str(&String::from_utf8_lossy(content));
        if content.len() < line.len() {
            text.push('\n');
        }
    }
    (text, mended)
}

/// Like [`utf8`], for records with places of their own.
pub(crate) fn record_texts(bytes: Vec<u8>, records: Vec<RawRecord>) -> (String, Vec<RawRecord>, Mended) {
    let text = match String::from_utf8(bytes) {
        Ok(text) => {
            let within =
                |r: &RawRecord| text.get(r.start as usize..r.start as usize + r.len as usize).is_some();
            if records.iter().all(within) {
                return (text, records, Vec::new());
            }
            text.into_bytes()
        }
        Err(error) => error.into_bytes(),
    };
    let mut mended = String::with_capacity(text.len() + 64);
    let mut places = Vec::with_capacity(records.len());
    let mut originals = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        let start = (record.start as usize).min(text.len());
        let end = (start + record.len as usize).min(text.len());
        let bytes = &text[start..end];
        let from = mended.len();
        if let Ok(good) = simdutf8::basic::from_utf8(bytes) {
            mended.push_str(good);
        } else {
            mended.push_str(&String::from_utf8_lossy(bytes));
            originals.push((at, bytes.to_vec()));
        }
        places.push(RawRecord { start: narrow(from), len: narrow(mended.len() - from), ..record });
    }
    (mended, places, originals)
}
