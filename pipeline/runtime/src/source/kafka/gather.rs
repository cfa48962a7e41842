//! Messages of one partition on their way into batches.

use std::collections::VecDeque;
use std::sync::Arc;

use logbraid_core::{EventTime, Span, Tag, Tags};
use logbraid_parse::{Framing, RawRecord};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// A batch is handed over when it has this many bytes.
pub(super) const BATCH_BYTES: usize = 64 << 10;
/// Or when its first message has waited for this long.
const LINGER: Span = Span::from_millis(5);

#[derive(Debug, Default)]
struct Pack {
    bytes: Vec<u8>,
    records: Vec<RawRecord>,
    /// Keys and headers; most records of some topics have none.
    tags: Tags,
    newest: Option<EventTime>,
    since: Span,
}

/// What the records of a topic are.
#[derive(Debug, Clone, Default)]
pub(super) struct Kind {
    /// Under which name a record's key becomes a field.
    pub(super) key_name: Option<Arc<str>>,
    /// Another stage wrote them.
    pub(super) handed_over: bool,
}

/// What waits to be handed over.
#[derive(Debug, Default)]
pub(super) struct Gather {
    kind: Kind,
    current: Pack,
    full: VecDeque<Pack>,
    waiting: usize,
}

impl Gather {
    /// Nothing waits yet.
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Adds a message with the value `value` that was read at `now`.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>, value: &[u8], now: Span) {
        let time = message.timestamp().to_millis().filter(|millis| *millis > 0).map(EventTime::from_millis);
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        let full = self.current.bytes.len() + self.current.tags.bytes() + value.len() > BATCH_BYTES
            && !self.current.records.is_empty();
        if full {
            self.full.push_back(std::mem::take(&mut self.current));
        }
        let pack = &mut self.current;
        if pack.records.is_empty() {
            pack.since = now;
            pack.tags = Tags::new(self.kind.key_name.clone());
        }
        let before = pack.tags.bytes();
        // Records of a batch are counted in far fewer than 32 bits.
        let number = u32::try_from(pack.records.len()).unwrap_or(u32::MAX);
        if let Some(key) = message.key() {
            pack.tags.push(number, Tag { name: None, value: Some(key) });
        }
        for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            pack.tags.push(number, Tag { name: Some(header.key), value: header.value });
        }
        self.waiting += pack.tags.bytes() - before;
        // Batches stay far below 4 GiB: one message more than `BATCH_BYTES` at most.
        let start = u32::try_from(pack.bytes.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        pack.bytes.extend_from_slice(value);
        pack.records.push(RawRecord { start, len, offset, ingest: time, fresh: false });
        pack.newest = pack.newest.max(time);
        self.waiting += value.len() + size_of::<RawRecord>();
    }
    /// Bytes that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }
    /// True when a batch should go at `now`.
    pub(super) fn is_ripe(&self, now: Span) -> bool {
        !self.full.is_empty()
            || (!self.current.records.is_empty()
                && now.nanos() - self.current.since.nanos() >= LINGER.nanos())
    }
    /// The oldest batch: its bytes, records, and newest transport time, or `otherwise` where no message has one.
    pub(super) fn pop(&mut self, otherwise: EventTime) -> (Vec<u8>, Framing, EventTime) {
        let pack = self.full.pop_front().unwrap_or_else(|| std::mem::take(&mut self.current));
        let taken = pack.bytes.len() + pack.tags.bytes() + pack.records.len() * size_of::<RawRecord>();
        self.waiting = self.waiting.saturating_sub(taken);
        let Pack { bytes, records, tags, newest, .. } = pack;
        let framing = if tags.is_empty() && !self.kind.handed_over {
            Framing::Records(records)
        } else {
            Framing::Tagged { records, tags, handed_over: self.kind.handed_over }
        };
        (bytes, framing, newest.unwrap_or(otherwise))
    }
    /// Forgets what waits: it will be read again.
    pub(super) fn clear(&mut self) {
        *self = Self::new(std::mem::take(&mut self.kind));
    }
}
