//! Entries that an earlier stage handed over twice: a stage that crashed writes again what it had written since its
//! last commit. The same entry has the same id and the same time, so that it is looked for among those of its time.

use std::collections::{BTreeMap, HashSet};

use logbraid_core::{Event, EventTime, Span};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Ids that are remembered, at most, by each engine; about 16 bytes each.
pub(crate) const IDS_MAX: usize = 1 << 20;
/// How long a request may be open, so that an entry of its beginning still counts: longer than `max_span` usually is.
pub(crate) const OPEN: Span = Span::from_seconds(900);
/// The shortest stretch of event time whose ids are forgotten together.
const STRETCH_MIN: Span = Span::from_seconds(1);

/// Ids of entries that were taken in, by event time, until the watermark has passed them by `keep`.
#[derive(Debug)]
pub(crate) struct Repeats {
    stretch: Span,
    keep: Span,
    ids_max: usize,
    seen: BTreeMap<i64, HashSet<u64>>,
    len: usize,
    forgotten: u64,
}

impl Repeats {
    /// Remembers ids until the watermark has passed them by `keep`, which is how late an entry may come.
    pub(crate) fn new(keep: Span) -> Self {
        Self::bounded(keep, IDS_MAX)
    }

    fn bounded(keep: Span, ids_max: usize) -> Self {
        let stretch = (keep / 64).max(STRETCH_MIN);
        Self { stretch, keep, ids_max, seen: BTreeMap::new(), len: 0, forgotten: 0 }
    }

    fn number(&self, time: EventTime) -> i64 {
        time.nanos().div_euclid(self.stretch.nanos().max(1))
    }

    /// True when `event` was taken in before; from now on it was.
    pub(crate) fn is_repeat(&mut self, event: &Event) -> bool {
        // Two files may begin with the same line, which then has the same id in both.
        let id = xxh3_64_with_seed(event.source().name.as_bytes(), event.id().0);
        self.is_known(event.time(), id)
    }

    fn is_known(&mut self, time: EventTime, id: u64) -> bool {
        let new = self.seen.entry(self.number(time)).or_default().insert(id);
        self.len += usize::from(new);
        if self.len > self.ids_max
            && let Some((_, ids)) = self.seen.pop_first()
        {
            self.len -= ids.len();
            self.forgotten += ids.len() as u64;
        }
        !new
    }

    /// Forgets what no entry that still counts can repeat.
    pub(crate) fn pass(&mut self, watermark: EventTime) {
        if self.seen.is_empty() || !watermark.is_known() {
            return;
        }
        let first = self.number(watermark - self.keep);
        while let Some(entry) = self.seen.first_entry().filter(|entry| *entry.key() < first) {
            self.len -= entry.remove().len();
        }
    }

    /// Ids that were forgotten before their time because there were too many.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> EventTime {
        EventTime::from_millis(seconds * 1000)
    }

    #[test]
    fn an_entry_is_a_repeat_as_long_as_it_would_count() {
        let mut repeats = Repeats::new(Span::from_seconds(30));
        assert!(!repeats.is_known(at(100), 1));
        assert!(!repeats.is_known(at(100), 2), "another entry of the same time");
        assert!(repeats.is_known(at(100), 1));
        repeats.pass(at(129));
        assert!(repeats.is_known(at(100), 2));
        repeats.pass(at(132));
        assert_eq!(repeats.len, 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut repeats = Repeats::bounded(Span::from_seconds(1000), 100);
        for number in 0..1000_u32 {
            assert!(!repeats.is_known(at(i64::from(number)), u64::from(number)));
            assert!(repeats.len <= 100);
        }
        assert!(repeats.is_known(at(999), 999));
        assert_eq!(repeats.forgotten() + repeats.len as u64, 1000);
    }
}
