//! Notices requests whose entries are in several partitions: state is kept per partition, so that they are not braided
//! together.
//!
//! ```text
//!  id ─► hash ─► one in 8 is looked at ─► place in a table ─► (print of the id, print of the partition)
//!                                                              same id, other partition: counted
//! ```
//! The table is small, shared by all engines, and forgets: a newer id takes the place of an older one. Where keys are
//! wrong, nearly all requests are split, and some are seen at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use logbraid_core::{Event, KeyKind, Span};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Ids that are remembered, at most.
pub const IDS_MAX: usize = 1 << 13;
/// One id in so many is looked at; a power of two.
const ONE_IN: u64 = 8;
/// How often it is told, at most.
const TELL_EVERY: Span = Span::from_seconds(60);
/// Bits of a place that say which partition; the others say which id.
const PARTITION: u64 = (1 << 20) - 1;

/// Where ids were seen last.
#[derive(Debug)]
pub struct SplitKeys {
    places: Box<[AtomicU64]>,
    split: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    at: Option<Span>,
    split: u64,
    /// An id that was split, and the partition where it turned up again.
    example: Option<(String, String)>,
}

impl Default for SplitKeys {
    fn default() -> Self {
        let places = (0..IDS_MAX).map(|_| AtomicU64::new(0)).collect();
        Self { places, split: AtomicU64::new(0), told: Mutex::default() }
    }
}

/// What stands for a partition; the same for as long as it has its name.
pub fn print(partition: &str) -> u64 {
    xxh3_64(partition.as_bytes()) & PARTITION
}

impl SplitKeys {
    /// Looks at an event of the partition that `partition` stands for, see [`print`].
    #[inline]
    pub fn see(&self, partition: u64, event: &Event) {
        let ids = [KeyKind::Correlation, KeyKind::Trace];
        let Some((kind, id)) = ids.into_iter().find_map(|kind| Some((kind, event.key(kind)?))) else {
            return;
        };
        let hash = xxh3_64_with_seed(id.as_bytes(), u64::from(kind == KeyKind::Trace));
        if hash.is_multiple_of(ONE_IN) {
            self.look(hash, partition, id, event);
        }
    }

    #[cold]
    fn look(&self, hash: u64, partition: u64, id: &str, event: &Event) {
        let at = usize::try_from(hash / ONE_IN % IDS_MAX as u64).unwrap_or(0);
        let Some(place) = self.places.get(at) else { return };
        let new = (hash & !PARTITION) | partition;
        let old = place.swap(new, Ordering::Relaxed);
        if old == new || old & !PARTITION != new & !PARTITION {
            return;
        }
        self.split.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.example.is_none() {
            told.example = Some((id.to_owned(), event.batch().source.name.clone()));
        }
    }

    /// How often an id turned up in another partition than before, of those that are looked at.
    pub fn split(&self) -> u64 {
        self.split.load(Ordering::Relaxed)
    }

    /// What to tell the user at `now`, a time that only goes forward; once a minute at most.
    pub fn notice(&self, now: Span) -> Option<String> {
        let split = self.split();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let early = told.at.is_some_and(|at| now.nanos() - at.nanos() < TELL_EVERY.nanos());
        if early || split == told.split {
            return None;
        }
        let (id, partition) = told.example.take()?;
        let more = split - told.split;
        (told.at, told.split) = (Some(now), split);
        Some(format!(
            "request `{id}` came in two partitions, the second is {partition}; {more} of one in {ONE_IN} ids did: their \
             entries are not braided together; use the request's id as the key of messages, or repartition, see docs/kafka.md"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logbraid_core::{Batch, PartitionId, Row, Source, Text};

    use super::*;

    fn event(id: &str, partition: &str) -> Event {
        let mut batch = Batch::new(Arc::new(Source::lines(partition, PartitionId(0))));
        batch.text = id.to_owned();
        let correlation = Text { start: 0, len: u32::try_from(id.len()).unwrap() };
        batch.rows.push(Row { correlation, ..Row::default() });
        Event::new(Arc::new(batch), 0)
    }

    #[test]
    fn requests_in_two_partitions_are_noticed_and_told_once_a_minute() {
        let keys = SplitKeys::default();
        for number in 0..1000 {
            keys.see(print("t/0"), &event(&format!("req-{number}"), "t/0"));
            keys.see(print("t/0"), &event(&format!("req-{number}"), "t/0"));
        }
        assert_eq!((keys.split(), keys.notice(Span::ZERO)), (0, None), "each is where it was");
        for number in 0..1000 {
            keys.see(print("t/1"), &event(&format!("req-{number}"), "t/1"));
        }
        assert!((60..250).contains(&keys.split()), "{} of 1000, one in 8", keys.split());
        let notice = keys.notice(Span::from_seconds(1)).unwrap();
        assert!(notice.contains("t/1") && notice.contains("repartition"), "{notice}");
        for number in 0..1000 {
            keys.see(print("t/0"), &event(&format!("req-{number}"), "t/0"));
        }
        assert_eq!(keys.notice(Span::from_seconds(60)), None);
        assert!(keys.notice(Span::from_seconds(61)).is_some());
        assert_eq!(keys.notice(Span::from_seconds(200)), None, "nothing new");
    }

    #[test]
    fn an_event_without_an_id_is_nowhere() {
        let keys = SplitKeys::default();
        let mut batch = Batch::new(Arc::new(Source::lines("t/0", PartitionId(0))));
        batch.rows.push(Row::default());
        let event = Event::new(Arc::new(batch), 0);
        keys.see(1, &event);
        keys.see(2, &event);
        assert_eq!(keys.split(), 0);
    }
}
