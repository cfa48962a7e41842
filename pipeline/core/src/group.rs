//! Groups: all entries of one request, each stored once; what `correlate` hands to the operators after it.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Serialize;

use crate::event::{Event, FieldId, Flags, KeyKind, Row, Source, Text};
use crate::flow::ErrorFlow;
use crate::id::{Id, IdBuilder};
use crate::level::LevelCounts;
use crate::shared::Shared;
use crate::time::{EventTime, Span};
use crate::tree::Hierarchy;

/// What holds a group together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, schemars::JsonSchema)]
pub struct Key {
    /// `correlation_id`, `trace_id`, `thread_id`, or the name of a configured field.
    pub kind: String,
    /// The id.
    pub value: String,
}

/// Why a group was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// It was quiet for `gap`.
    Idle,
    /// A record that ends a request came, and nothing after it.
    EndMarker,
    /// The root span ended, and nothing came after it.
    RootDone,
    /// It was older than `max_span`.
    MaxSpan,
    /// The memory budget was used up.
    Memory,
    /// logbraid was told to stop.
    Shutdown,
    /// The input ended.
    EndOfInput,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No errors.
    Ok,
    /// At least one entry at ERROR or FATAL.
    Error,
    /// It was cut, or parts of it never came.
    Incomplete,
}

/// What is known of a group that a late entry may still change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Still open; passed down for what it shows so far.
    Early,
    /// Closed.
    Closed(ClosedBy),
}

/// The entries of one request. Text is stored once, raw lines only where an operator needs them; rows point into it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id: the same request has the same id in every run and revision.
    pub id: Id,
    /// 0 at first, higher when late entries changed it.
    pub revision: u32,
    /// What holds it together.
    pub key: Key,
    /// Every id that was seen, by kind, in order of appearance; bounded.
    pub ids: Vec<(String, Vec<String>)>,
    /// Open or closed, and why.
    pub phase: Phase,
    /// The watermark at which this view of it became due.
    pub due: EventTime,
    /// An event time at or before which reading must begin again to rebuild it.
    pub hold: EventTime,
    /// The requests that started this one.
    pub parents: Vec<Key>,
    /// The requests that it started.
    pub children: Vec<Key>,
    /// All its text. Text, rows and fields are shared with the views of the group that were told, until it changes.
    pub text: Shared<String>,
    /// Its entries; sorted by time, source and position once closed. Their raw lines are not kept, unless `keeps_raw`.
    pub rows: Shared<Vec<Row>>,
    /// Extra fields, pointed to by rows.
    pub extras: Shared<Vec<(FieldId, Text)>>,
    /// Where the entries came from, pointed to by rows.
    pub sources: Vec<Arc<Source>>,
    /// Whether raw lines are kept, for an operator that hands them on.
    pub keeps_raw: bool,
    /// The bytes, as they came, of entries whose raw line differs from them, by source and position; only with raw lines.
    pub originals: Vec<(u16, u64, Arc<[u8]>)>,
    /// The bytes of memory that `originals` point to.
    pub originals_bytes: usize,
    /// Entries by level, omitted ones included.
    pub levels: LevelCounts,
    /// Entries that were counted but not kept.
    pub omitted: u64,
    /// The tree of its work, once `hierarchy` has seen it.
    pub hierarchy: Option<Hierarchy>,
    /// Its errors, once `error_flow` has seen it.
    pub error_flow: Option<ErrorFlow>,
    /// Whether it is kept, once `sample` has decided.
    pub sampled: Option<Sampled>,
}

/// What `sample` has decided.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, schemars::JsonSchema)]
pub struct Sampled {
    /// The rule that decided.
    pub rule: &'static str,
    /// The probability with which it was kept.
    pub keep_probability: f64,
    /// Whether it was.
    pub kept: bool,
}

impl From<(&'static str, f64, bool)> for Sampled {
    fn from((rule, keep_probability, kept): (&'static str, f64, bool)) -> Self {
        Self { rule, keep_probability, kept }
    }
}

impl Default for Group {
    fn default() -> Self {
        Self {
            id: Id::default(),
            revision: 0,
            key: Key { kind: String::new(), value: String::new() },
            ids: Vec::new(),
            phase: Phase::Early,
            due: EventTime::MIN,
            hold: EventTime::MIN,
            parents: Vec::new(),
            children: Vec::new(),
            text: Shared::default(),
            rows: Shared::default(),
            extras: Shared::default(),
            sources: Vec::new(),
            keeps_raw: false,
            originals: Vec::new(),
            originals_bytes: 0,
            levels: LevelCounts::default(),
            omitted: 0,
            hierarchy: None,
            error_flow: None,
            sampled: None,
        }
    }
}

impl Group {
    /// Stores an entry: its texts, without those that the entry before it has, too, and its row. Returns false, storing
    /// nothing, when the group's text is full (4 GiB).
    pub fn push(&mut self, event: &Event) -> bool {
        let source = self.source_index(event.source());
        let mut row = *event.row();
        row.source = source;
        row.flags = event.flags();
        row.template = event.template();
        if let Some(attribution) = event.attribution() {
            row.confidence = attribution.confidence;
        }
        if !self.store(row, &event.batch().text, event.extras()) {
            return false;
        }
        if self.keeps_raw && row.flags.any(Flags::INVALID_UTF8 | Flags::TRUNCATED) {
            self.keep_original(source, row.offset, event.raw_bytes().into());
        }
        true
    }

    fn keep_original(&mut self, source: u16, offset: u64, bytes: Arc<[u8]>) {
        self.originals_bytes += bytes.len();
        self.originals.push((source, offset, bytes));
    }

    /// What an operator hands on of a group that may still change: its entries are shared, not copied.
    pub fn view(&mut self) -> Self {
        Self {
            key: self.key.clone(),
            ids: self.ids.clone(),
            parents: self.parents.clone(),
            children: self.children.clone(),
            text: self.text.share(),
            rows: self.rows.share(),
            extras: self.extras.share(),
            sources: self.sources.clone(),
            originals: self.originals.clone(),
            hierarchy: self.hierarchy.clone(),
            error_flow: self.error_flow.clone(),
            ..*self
        }
    }

    /// Moves all entries of `other` into this group.
    pub fn absorb(&mut self, other: &Self) {
        for row in other.rows.iter() {
            self.push_from(other, row);
        }
        self.levels.merge(&other.omitted_levels());
        self.omitted += other.omitted;
    }

    /// Copies one entry of `other`.
    pub fn push_from(&mut self, other: &Self, row: &Row) -> bool {
        let mut copy = *row;
        copy.source = other.sources.get(row.source as usize).map_or(0, |source| self.source_index(source));
        if !self.store(copy, &other.text, other.extras_of(row)) {
            return false;
        }
        if let Some(bytes) = other.original(row) {
            self.keep_original(copy.source, row.offset, Arc::clone(bytes));
        }
        true
    }

    fn store(&mut self, mut row: Row, text: &str, extras: &[(FieldId, Text)]) -> bool {
        let last = self.rows.last().map(Row::texts);
        let (raw, to) = (self.keeps_raw, self.text.to_mut());
        if extras.is_empty() {
            if !row.move_text(text, to, last, raw, &mut []) {
                return false;
            }
        } else {
            let all = self.extras.to_mut();
            let start = all.len();
            all.extend_from_slice(extras);
            let new_extras = all.get_mut(start..).unwrap_or_default();
            if !row.move_text(text, to, last, raw, new_extras) {
                all.truncate(start);
                return false;
            }
            row.extras_start = u32::try_from(start).unwrap_or(u32::MAX);
        }
        self.levels.add(row.level);
        self.rows.to_mut().push(row);
        true
    }

    fn omitted_levels(&self) -> LevelCounts {
        let mut kept = LevelCounts::default();
        for row in self.rows.iter() {
            kept.add(row.level);
        }
        self.levels.without(&kept)
    }

    fn source_index(&mut self, source: &Arc<Source>) -> u16 {
        // Nearly always the last one: requests cross few sources.
        let known =
            self.sources.iter().rposition(|known| Arc::ptr_eq(known, source) || known.name == source.name);
        let at = known.unwrap_or_else(|| {
            self.sources.push(Arc::clone(source));
            self.sources.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    /// One of its texts.
    #[inline]
    pub fn get(&self, text: Text) -> Option<&str> {
        text.get(&self.text)
    }
    /// An entry's message.
    #[inline]
    pub fn message(&self, row: &Row) -> &str {
        self.get(row.message).unwrap_or_default()
    }
    /// An entry's service: its own, else its source's.
    #[inline]
    pub fn service<'a>(&'a self, row: &Row) -> Option<&'a str> {
        self.get(row.service).or_else(|| self.source(row)?.service.as_deref())
    }
    /// An entry's host: its own, else its source's.
    pub fn host<'a>(&'a self, row: &Row) -> Option<&'a str> {
        self.get(row.host).or_else(|| self.source(row)?.host.as_deref())
    }
    fn original(&self, row: &Row) -> Option<&Arc<[u8]>> {
        if self.originals.is_empty() {
            return None;
        }
        let found = self.originals.iter().find(|(at, offset, _)| (*at, *offset) == (row.source, row.offset));
        found.map(|(.., bytes)| bytes)
    }
    /// An entry's bytes as they came, without the terminator; none unless raw lines are kept.
    pub fn raw_bytes(&self, row: &Row) -> Option<&[u8]> {
        match self.original(row) {
            Some(bytes) => Some(bytes),
            None => self.get(row.raw).map(str::as_bytes),
        }
    }
    /// An entry's id: the same as that of its event, where raw lines are kept.
    pub fn entry_id(&self, row: &Row) -> Id {
        let Some(source) = self.source(row) else { return Id::default() };
        crate::event::entry_id(source, row.offset, self.service(row), self.get(row.raw).unwrap_or_default())
    }
    /// An entry's source.
    #[inline]
    pub fn source(&self, row: &Row) -> Option<&Arc<Source>> {
        self.sources.get(row.source as usize)
    }
    /// An entry's extra fields.
    pub fn extras_of(&self, row: &Row) -> &[(FieldId, Text)] {
        let start = row.extras_start as usize;
        self.extras.get(start..start + row.extras_len as usize).unwrap_or_default()
    }
    /// An entry's extra field by its id.
    pub fn field(&self, row: &Row, id: FieldId) -> Option<&str> {
        self.extras_of(row).iter().find(|(field, _)| *field == id).and_then(|(_, text)| self.get(*text))
    }
    /// An entry's key of a kind.
    pub fn key_of(&self, row: &Row, kind: KeyKind) -> Option<&str> {
        self.get(self.key_text(row, kind)?)
    }
    /// Where an entry's key of a kind is; entries that follow each other often share it.
    #[inline]
    pub fn key_text(&self, row: &Row, kind: KeyKind) -> Option<Text> {
        let text = match kind {
            KeyKind::Correlation => row.correlation,
            KeyKind::Trace => row.trace,
            KeyKind::Thread => row.thread,
            KeyKind::Field(id) => self.extras_of(row).iter().find(|(field, _)| *field == id)?.1,
        };
        text.is_some().then_some(text)
    }

    /// Sorts the entries by time, then source, then position: the order of every output.
    pub fn sort(&mut self) {
        let sources = &self.sources;
        let name = |row: &Row| sources.get(row.source as usize).map_or("", |source| source.name.as_str());
        let order = |a: &Row, b: &Row| {
            a.time
                .cmp(&b.time)
                .then_with(|| if a.source == b.source { Ordering::Equal } else { name(a).cmp(name(b)) })
                .then_with(|| a.offset.cmp(&b.offset))
        };
        if !self.rows.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
            self.rows.to_mut().sort_by(order);
        }
    }

    /// The time of its first entry; unknown when it has none. Entries must be sorted.
    pub fn start(&self) -> EventTime {
        self.rows.first().map_or(EventTime::MIN, |row| row.time)
    }
    /// The time of its last entry. Entries must be sorted.
    pub fn end(&self) -> EventTime {
        self.rows.last().map_or(EventTime::MIN, |row| row.time)
    }
    /// Its length, from the first entry to the last.
    pub fn duration(&self) -> Span {
        self.end().since(self.start())
    }
    /// All its entries, omitted ones included.
    pub fn entries(&self) -> u64 {
        self.rows.len() as u64 + self.omitted
    }
    /// The bytes of memory that it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.text.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.extras.capacity() * size_of::<(FieldId, Text)>()
            + self.originals.capacity() * size_of::<(u16, u64, Arc<[u8]>)>()
            + self.originals_bytes
    }
    /// True when it was closed.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }
    /// Services in order of first appearance. Entries must be sorted.
    pub fn services(&self) -> Vec<&str> {
        let mut seen: Vec<&str> = Vec::new();
        // What a row shares with the one before it is one text.
        let mut last = None;
        for row in self.rows.iter() {
            let place = Some((row.service, row.source));
            if place == last {
                continue;
            }
            last = place;
            if let Some(service) = self.service(row)
                && !seen.contains(&service)
            {
                seen.push(service);
            }
        }
        seen
    }
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        let cut = matches!(self.phase, Phase::Closed(ClosedBy::MaxSpan | ClosedBy::Memory));
        if self.levels.errors() > 0 {
            Outcome::Error
        } else if cut || self.hierarchy.as_ref().is_some_and(|tree| tree.missing_parents > 0) {
            Outcome::Incomplete
        } else {
            Outcome::Ok
        }
    }
    /// Notes an id of the group, for `ids`; at most [`Self::IDS_MAX`] per kind are kept.
    pub fn note_id(&mut self, kind: &str, value: &str) {
        let at = self.ids.iter().position(|(known, _)| known == kind).unwrap_or_else(|| {
            self.ids.push((kind.to_owned(), Vec::new()));
            self.ids.len() - 1
        });
        let values = &mut self.ids[at].1;
        if values.len() < Self::IDS_MAX && !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }
    /// Most ids of one kind that a group lists.
    pub const IDS_MAX: usize = 64;

    /// The id of a request: its key and the time of its first entry.
    pub fn id_of(key: &Key, scope: &str, start: EventTime) -> Id {
        IdBuilder::default().text(&key.kind).text(&key.value).text(scope).number(start.nanos()).finish()
    }
    /// True when an entry was attributed by its thread.
    pub fn is_attributed(row: &Row) -> bool {
        row.flags.has(Flags::ATTRIBUTED)
    }
}
