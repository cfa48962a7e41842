//! Messages of one partition on their way into batches.

use std::collections::VecDeque;

use logbraid_core::{EventTime, Span};
use logbraid_parse::{Framing, RawRecord};

/// A batch is handed over when it has this many bytes.
pub(super) const BATCH_BYTES: usize = 64 << 10;
/// Or when its first message has waited for this long.
const LINGER: Span = Span::from_millis(5);

#[derive(Debug, Default)]
struct Pack {
    bytes: Vec<u8>,
    records: Vec<RawRecord>,
    newest: Option<EventTime>,
    since: Span,
}

/// What waits to be handed over.
#[derive(Debug, Default)]
pub(super) struct Gather {
    current: Pack,
    full: VecDeque<Pack>,
    waiting: usize,
}

impl Gather {
    /// Adds a message that was read at `now`.
    pub(super) fn push(&mut self, value: &[u8], offset: u64, time: Option<EventTime>, now: Span) {
        let full = self.current.bytes.len() + value.len() > BATCH_BYTES && !self.current.records.is_empty();
        if full {
            self.full.push_back(std::mem::take(&mut self.current));
        }
        let pack = &mut self.current;
        if pack.records.is_empty() {
            pack.since = now;
        }
        // Batches stay far below 4 GiB: one message more than `BATCH_BYTES` at most.
        let start = u32::try_from(pack.bytes.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        pack.bytes.extend_from_slice(value);
        pack.records.push(RawRecord { start, len, offset, ingest: time });
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
        self.waiting =
            self.waiting.saturating_sub(pack.bytes.len() + pack.records.len() * size_of::<RawRecord>());
        (pack.bytes, Framing::Records(pack.records), pack.newest.unwrap_or(otherwise))
    }
    /// Forgets what waits: it will be read again.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
