//! The open block: entries as rows, as they came, until there are enough of them for columns.

use std::sync::Arc;

use hashbrown::HashMap;
use logbraid_core::{Event, EventTime, FieldId, Flags, Id, KeyKind, Row, Source, Text};
use xxhash_rust::xxh3::xxh3_64;

use crate::bits::len32;
use crate::column::Column;
use crate::dict::Interner;
use crate::origin::Origin;

/// Most extra columns of a block: a record with more fields of interest than this loses the last of them.
pub(crate) const EXTRAS_MAX: usize = 64;

/// What kinds of text an entry has: bits of a row's `stored`.
pub(crate) mod stored {
    /// The block holds the raw text.
    pub(crate) const RAW: u8 = 1;
    /// A file holds the raw text.
    pub(crate) const FILE: u8 = 2;
    /// The block holds a message that is no part of the raw text, after it.
    pub(crate) const MESSAGE: u8 = 4;
    /// The text did not fit into the index.
    pub(crate) const DROPPED: u8 = 8;
}

/// The flags that an index keeps, in the order of their bits.
pub(crate) const FLAGS: [Flags; 8] = [
    Flags::MULTILINE,
    Flags::TRUNCATED,
    Flags::INVALID_UTF8,
    Flags::LATE,
    Flags::NO_TIMESTAMP,
    Flags::ATTRIBUTED,
    Flags::STDERR,
    Flags::NO_YEAR,
];

/// What is pushed: one parsed record and the buffer that its ranges point into.
pub(crate) struct Entry<'a> {
    pub row: &'a Row,
    pub text: &'a str,
    pub source: &'a Arc<Source>,
    pub flags: Flags,
    pub confidence: u8,
    pub attributed: Option<(KeyKind, &'a str)>,
    pub extras: &'a [(FieldId, Text)],
    pub template: Option<Id>,
}

impl<'a> Entry<'a> {
    pub(crate) fn of(event: &'a Event, template: Option<Id>) -> Self {
        let attribution = event.attribution();
        Self {
            row: event.row(),
            text: &event.batch().text,
            source: event.source(),
            flags: event.flags(),
            confidence: attribution.map_or(event.row().confidence, |attribution| attribution.confidence),
            attributed: attribution.map(|attribution| (attribution.kind, attribution.value.as_str())),
            extras: event.extras(),
            template,
        }
    }
    pub(crate) fn get(&self, text: Text) -> Option<&'a str> {
        text.get(self.text)
    }
    pub(crate) fn raw(&self) -> &'a str {
        self.get(self.row.raw).unwrap_or_default()
    }
    fn key(&self, text: Text, kind: KeyKind) -> Option<&'a str> {
        let attributed = || self.attributed.filter(|(of, _)| *of == kind).map(|(_, value)| value);
        self.get(text).or_else(attributed)
    }
}

/// One entry of an open block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenRow {
    pub time: EventTime,
    pub offset: u64,
    pub line: u64,
    pub duration_ms: f64,
    pub template: Id,
    /// Where its stored text begins in the block's text, and its length.
    pub text_start: u32,
    pub text_len: u32,
    pub raw_len: u32,
    pub message_start: u32,
    pub message_len: u32,
    pub check: u32,
    pub codes: [u16; Column::COUNT],
    pub origin: u16,
    pub level: u8,
    pub format: u8,
    pub time_from: u8,
    pub flags: u8,
    pub confidence: u8,
    pub stored: u8,
}

/// Rows that are not yet columns.
#[derive(Debug, Default)]
pub(crate) struct OpenBlock {
    pub rows: Vec<OpenRow>,
    pub text: String,
    /// One per kind of text; parent spans share the dictionary of spans.
    pub dicts: [Interner; Column::COUNT],
    pub origins: Vec<Arc<Origin>>,
    /// Origins' numbers, by address.
    places: HashMap<usize, u16>,
    pub extra_dict: Interner,
    /// Row, field, how often the row had this field before, code.
    pub extras: Vec<(u16, FieldId, u16, u16)>,
    /// The extra columns that there are so far.
    pub extra_columns: Vec<(FieldId, u16)>,
    pub extras_left_out: u64,
}

impl OpenBlock {
    /// Takes an entry of `origins[origin]`. Without `room` for its text it is stored without.
    pub(crate) fn push(&mut self, entry: &Entry<'_>, origin: u16, template: Id, room: bool) {
        let row = entry.row;
        let raw = entry.raw();
        let in_raw = row.message.is_none() || row.raw.contains(row.message);
        let message = entry.get(row.message).unwrap_or_default();
        let file = self.origins.get(usize::from(origin)).is_some_and(|origin| origin.file().is_some())
            && !entry.flags.any(Flags::MULTILINE | Flags::INVALID_UTF8 | Flags::TRUNCATED)
            && memchr::memchr(b'\n', raw.as_bytes()).is_none();
        let text_start = self.text.len();
        let mut kept = 0;
        if file {
            kept |= stored::FILE;
        } else if room {
            kept |= stored::RAW;
            self.text.push_str(raw);
        } else {
            kept |= stored::DROPPED;
        }
        let mut message_start = row.message.start.wrapping_sub(row.raw.start);
        if row.message.is_none() {
            message_start = 0;
        } else if !in_raw && room {
            kept |= stored::MESSAGE;
            message_start = 0;
            self.text.push_str(message);
        }
        let service = entry.get(row.service).or(entry.source.service.as_deref());
        let host = entry.get(row.host).or(entry.source.host.as_deref());
        let [services, hosts, threads, correlations, traces, spans, _] = &mut self.dicts;
        let codes = [
            services.intern(service),
            hosts.intern(host),
            threads.intern(entry.get(row.thread)),
            correlations.intern(entry.key(row.correlation, KeyKind::Correlation)),
            traces.intern(entry.key(row.trace, KeyKind::Trace)),
            spans.intern(entry.get(row.span)),
            spans.intern(entry.get(row.parent_span)),
        ];
        let number = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        if !entry.extras.is_empty() {
            self.push_extras(entry, number);
        }
        let flags = (0..)
            .zip(FLAGS)
            .filter(|(_, flag)| entry.flags.has(*flag))
            .fold(0, |bits, (bit, _)| bits | 1 << bit);
        self.rows.push(OpenRow {
            time: row.time,
            offset: row.offset,
            line: row.line,
            duration_ms: row.duration_ms,
            template,
            text_start: len32(text_start),
            text_len: len32(self.text.len() - text_start),
            raw_len: len32(raw.len()),
            message_start,
            message_len: len32(message.len()),
            check: if file { check_of(raw.as_bytes()) } else { 0 },
            codes,
            origin,
            level: row.level.map_or(0, |level| level as u8 + 1),
            format: row.format as u8,
            time_from: row.time_from as u8,
            flags,
            confidence: entry.confidence,
            stored: kept,
        });
    }

    fn push_extras(&mut self, entry: &Entry<'_>, number: u16) {
        let first = self.extras.len();
        for &(field, text) in entry.extras {
            let Some(value) = entry.get(text) else { continue };
            let before = self.extras.get(first..).unwrap_or_default();
            let nth = before.iter().filter(|(_, other, ..)| *other == field).count();
            let nth = u16::try_from(nth).unwrap_or(u16::MAX);
            if !self.extra_columns.contains(&(field, nth)) {
                if self.extra_columns.len() >= EXTRAS_MAX {
                    self.extras_left_out += 1;
                    continue;
                }
                self.extra_columns.push((field, nth));
            }
            let code = self.extra_dict.intern(Some(value));
            if code == 0 {
                self.extras_left_out += 1;
                continue;
            }
            self.extras.push((number, field, nth, code));
        }
    }

    /// The number of an origin of this block.
    pub(crate) fn origin(&mut self, origin: &Arc<Origin>) -> u16 {
        // Nearly always the last one.
        if self.origins.last().is_some_and(|last| Arc::ptr_eq(last, origin)) {
            return u16::try_from(self.origins.len() - 1).unwrap_or(u16::MAX);
        }
        *self.places.entry(Arc::as_ptr(origin) as usize).or_insert_with(|| {
            self.origins.push(Arc::clone(origin));
            u16::try_from(self.origins.len() - 1).unwrap_or(u16::MAX)
        })
    }

    /// Empties it, keeping its memory for the next block.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.text.clear();
        self.text.shrink_to(2 << 20);
        for dict in &mut self.dicts {
            dict.clear();
        }
        self.origins.clear();
        self.places.clear();
        self.extra_dict.clear();
        self.extras.clear();
        self.extra_columns.clear();
    }

    /// Bytes that grow with what it holds: text, dictionaries, rows.
    pub(crate) fn filled(&self) -> usize {
        self.text.len()
            + self.rows.len() * size_of::<OpenRow>()
            + self.dicts.iter().map(Interner::text_bytes).sum::<usize>()
            + self.extra_dict.text_bytes()
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.rows.capacity() * size_of::<OpenRow>()
            + self.text.capacity()
            + self.dicts.iter().map(Interner::bytes).sum::<usize>()
            + self.extra_dict.bytes()
            + self.extras.capacity() * size_of::<(u16, FieldId, u16, u16)>()
            + self.origins.capacity() * size_of::<Arc<Origin>>()
            + self.places.allocation_size()
    }
}

/// The hash that shows whether a file still holds an entry's text.
pub(crate) fn check_of(raw: &[u8]) -> u32 {
    let hash = xxh3_64(raw).to_le_bytes();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
}
