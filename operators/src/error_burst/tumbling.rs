//! Tumbling windows of event time: open until the watermark passes their end, never opened again.

use std::collections::BTreeMap;

use logbraid_core::{EventTime, Span};

/// What is counted in windows, by window start and key.
#[derive(Debug)]
pub(crate) struct Tumbling<K, V> {
    width: Span,
    open_max: usize,
    watermark: EventTime,
    open: BTreeMap<(EventTime, K), V>,
    /// Events whose window had been told.
    pub(crate) late: u64,
    /// Events that would have opened more windows than there may be.
    pub(crate) refused: u64,
}

impl<K: Ord + Copy, V: Default> Tumbling<K, V> {
    /// Windows of `width`, longer than zero; at most `open_max` counters at once.
    pub(crate) fn new(width: Span, open_max: usize) -> Self {
        Self { width, open_max, watermark: EventTime::MIN, open: BTreeMap::new(), late: 0, refused: 0 }
    }

    /// The counter for `key` at `time`; `None`, counted, when its window was told or there are too many.
    pub(crate) fn counter(&mut self, time: EventTime, key: K) -> Option<&mut V> {
        let start = time.floor_to(self.width);
        if !time.is_known() || start + self.width <= self.watermark {
            self.late += 1;
            return None;
        }
        if self.open.len() >= self.open_max && !self.open.contains_key(&(start, key)) {
            self.refused += 1;
            return None;
        }
        Some(self.open.entry((start, key)).or_default())
    }

    /// Moves the watermark and takes out the windows that it has passed, oldest first.
    pub(crate) fn close(&mut self, watermark: EventTime) -> Vec<(EventTime, K, V)> {
        self.watermark = self.watermark.max(watermark);
        let mut closed = Vec::new();
        while let Some(first) = self.open.first_entry() {
            let (start, key) = *first.key();
            if start + self.width > self.watermark {
                break;
            }
            closed.push((start, key, first.remove()));
        }
        closed
    }

    /// The start of the oldest window that has something in it.
    pub(crate) fn oldest(&self) -> Option<EventTime> {
        self.open.first_key_value().map(|((start, _), _)| *start)
    }
    /// Counters in open windows.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
    /// The newest watermark.
    pub(crate) const fn watermark(&self) -> EventTime {
        self.watermark
    }
    /// The keys of all open counters, oldest window first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.open.keys().map(|(_, key)| *key)
    }
}

/// The earliest few of something, in the order of every output: by time, then source, then position.
#[derive(Debug)]
pub(crate) struct Earliest<T> {
    kept: Vec<((EventTime, String, u64), T)>,
}

impl<T> Default for Earliest<T> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

/// How many of the earliest are kept.
const KEPT_MAX: usize = 3;

impl<T> Earliest<T> {
    /// Offers an event; `make` runs only if it is kept.
    pub(crate) fn offer(&mut self, event: &logbraid_core::Event, make: impl FnOnce() -> T) {
        let (time, source, offset) = (event.time(), event.source().name.as_str(), event.row().offset);
        let before = |(kept, _): &((EventTime, String, u64), T)| {
            (kept.0, kept.1.as_str(), kept.2) <= (time, source, offset)
        };
        let at = self.kept.partition_point(before);
        if at < KEPT_MAX {
            self.kept.insert(at, ((time, source.to_owned(), offset), make()));
            self.kept.truncate(KEPT_MAX);
        }
    }
    /// The time of the first.
    pub(crate) fn time(&self) -> Option<EventTime> {
        self.kept.first().map(|((time, ..), _)| *time)
    }
    /// What was kept, in order.
    pub(crate) fn into_kept(self) -> Vec<T> {
        self.kept.into_iter().map(|(_, value)| value).collect()
    }
}
