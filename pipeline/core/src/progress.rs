//! Progress: how far event time has come, and where a restart must begin.
//!
//! Every partition has its own newest event time; the stream's watermark stays `max_delay` behind the slowest partition
//! that is not idle, and moves in whole ticks, so that it stands at places fixed by the data. (Akidau et al., "The
//! Dataflow Model", VLDB 2015; Kafka Streams' stream time, without its stop when input stops.)
//!
//! A commit is `{ position, newest event time there }` per partition and the watermark through which records were
//! delivered. Operators hold event times, not offsets: [`Progress::commit`] finds for each partition the last marked
//! position before which no event at or after the held time was read.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::event::PartitionId;
use crate::time::{EventTime, Span};

/// How the stream's watermark follows its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeSettings {
    /// How far out of order a source may be.
    pub max_delay: Span,
    /// A source that is silent for this long no longer holds the others back.
    pub idle_after: Span,
    /// How long a closed window still takes late entries.
    pub allowed_lateness: Span,
    /// The watermark moves in whole multiples of this.
    pub tick: Span,
}

impl Default for TimeSettings {
    fn default() -> Self {
        Self {
            max_delay: Span::from_seconds(2),
            idle_after: Span::from_seconds(10),
            allowed_lateness: Span::from_seconds(30),
            tick: Span::from_millis(100),
        }
    }
}

/// A position in a partition from which reading can begin again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// The byte or offset of the next record.
    pub offset: u64,
    /// Its line, where lines are counted.
    pub line: u64,
    /// The newest event time before it, in nanoseconds.
    pub newest: i64,
    /// The time that a record without one would carry here, in nanoseconds.
    pub carried: i64,
    /// The position up to which records were taken in when this was committed: what those make by themselves, such as
    /// a late entry or a reject, was told, although they are read again.
    #[serde(default)]
    pub taken: u64,
}

impl Mark {
    /// The beginning of a partition.
    pub const START: Self = Self { offset: 0, line: 1, newest: i64::MIN, carried: i64::MIN, taken: 0 };
}

impl Default for Mark {
    fn default() -> Self {
        Self::START
    }
}

/// What is durable: where each partition resumes, and what was delivered already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Where each partition resumes.
    pub marks: BTreeMap<PartitionId, Mark>,
    /// The watermark through which records were delivered.
    pub emitted_through: EventTime,
}

#[derive(Debug)]
struct Partition {
    newest: EventTime,
    /// While idle: the event time through which its silence counts as "nothing came".
    idle_through: Option<EventTime>,
    finished: bool,
    /// Positions to resume from, oldest first, one per tick.
    marks: VecDeque<Mark>,
    /// The position after everything that was taken in.
    next: Mark,
    /// The furthest position that this run, or one before, has taken in.
    taken: u64,
}

/// Follows every partition and decides the stream's watermark.
///
/// ```
/// use logbraid_core::progress::{Mark, Progress, TimeSettings};
/// use logbraid_core::{EventTime, PartitionId, Span};
/// let settings = TimeSettings { max_delay: Span::from_seconds(2), tick: Span::from_seconds(1), ..Default::default() };
/// let mut progress = Progress::new(settings);
/// let (a, b) = (PartitionId(0), PartitionId(1));
/// progress.open(a, Mark::START);
/// progress.open(b, Mark::START);
/// let at = |seconds: i64| EventTime::from_millis(seconds * 1000);
/// assert_eq!(progress.observe(a, at(10)), None); // b has said nothing yet
/// assert_eq!(progress.observe(b, at(7)), Some(at(5))); // two seconds behind the slower one
/// ```
#[derive(Debug)]
pub struct Progress {
    settings: TimeSettings,
    partitions: BTreeMap<PartitionId, Partition>,
    watermark: EventTime,
    /// The newest event time that any partition, even a closed one, has shown.
    newest: EventTime,
    /// The slowest partition's newest time must pass this before the watermark can move.
    next_move: EventTime,
}

/// Most marks kept per partition; beyond it every second one is dropped, so that a restart may replay a little more.
const MARKS_MAX: usize = 8192;

impl Progress {
    /// Nothing known yet.
    pub fn new(settings: TimeSettings) -> Self {
        Self {
            settings,
            partitions: BTreeMap::new(),
            watermark: EventTime::MIN,
            newest: EventTime::MIN,
            next_move: EventTime::MIN,
        }
    }
    /// The current watermark.
    pub const fn watermark(&self) -> EventTime {
        self.watermark
    }
    /// The newest event time that was seen.
    pub const fn newest(&self) -> EventTime {
        self.newest
    }
    /// Follows a partition from `start` on. Until it shows an event or goes idle, it holds the watermark.
    pub fn open(&mut self, partition: PartitionId, start: Mark) {
        let newest = EventTime::from_nanos(start.newest);
        self.newest = self.newest.max(newest);
        self.partitions.insert(
            partition,
            Partition {
                newest,
                idle_through: None,
                finished: false,
                marks: VecDeque::from([start]),
                next: start,
                taken: start.taken,
            },
        );
        self.next_move = EventTime::MIN;
    }
    /// The watermark as it stands when every partition has been opened after a restart.
    pub fn resume(&mut self) -> Option<EventTime> {
        self.advance()
    }
    /// Takes note of an event's time; returns the watermark if it moved.
    pub fn observe(&mut self, partition: PartitionId, time: EventTime) -> Option<EventTime> {
        let state = self.partitions.get_mut(&partition)?;
        if state.idle_through.take().is_some() {
            self.next_move = EventTime::MIN;
        }
        if time <= state.newest {
            return None;
        }
        let before = std::mem::replace(&mut state.newest, time);
        self.newest = self.newest.max(time);
        // Only the slowest partition can move the watermark, and only by passing the next whole tick.
        if self.next_move.is_known() && (before >= self.next_move || time < self.next_move) {
            return None;
        }
        self.advance()
    }
    /// Notes that everything before `mark` of a partition was taken in.
    pub fn taken(&mut self, partition: PartitionId, mark: Mark) {
        let tick = self.settings.tick;
        let Some(state) = self.partitions.get_mut(&partition) else { return };
        state.next = mark;
        let last = state.marks.back().map_or(EventTime::MIN, |mark| EventTime::from_nanos(mark.newest));
        if EventTime::from_nanos(mark.newest).floor_to(tick) > last.floor_to(tick) {
            state.marks.push_back(mark);
            if state.marks.len() > MARKS_MAX {
                let mut keep = false;
                state.marks.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
        }
    }
    /// A partition has shown a sign of life: it is no longer idle, even while its record waits to be completed.
    pub fn wake(&mut self, partition: PartitionId) {
        if let Some(state) = self.partitions.get_mut(&partition)
            && state.idle_through.take().is_some()
        {
            self.next_move = EventTime::MIN;
        }
    }
    /// A partition has been silent for `quiet` longer than `idle_after`: it no longer holds the others back, and
    /// when all are silent, time goes on with the clock. Returns the watermark if it moved.
    pub fn idle(&mut self, partition: PartitionId, quiet: Span) -> Option<EventTime> {
        let state = self.partitions.get_mut(&partition)?;
        state.idle_through = Some(state.newest + quiet);
        self.advance()
    }
    /// A partition has ended. Returns the watermark if it moved; when all have ended, it stays `max_delay` behind the
    /// newest event of all, whichever ended last. The caller closes what is left with [`EventTime::MAX`].
    pub fn finish(&mut self, partition: PartitionId) -> Option<EventTime> {
        self.partitions.get_mut(&partition)?.finished = true;
        self.advance()
    }
    /// Forgets a partition, as when it was assigned to somebody else or its file is gone for good.
    pub fn close(&mut self, partition: PartitionId) -> Option<EventTime> {
        self.partitions.remove(&partition)?;
        self.advance()
    }
    /// True when every partition has ended.
    pub fn all_finished(&self) -> bool {
        self.partitions.values().all(|partition| partition.finished)
    }

    fn advance(&mut self) -> Option<EventTime> {
        let TimeSettings { max_delay, tick, .. } = self.settings;
        let active = self.partitions.values().filter(|p| !p.finished && p.idle_through.is_none());
        let slowest = active.map(|p| p.newest).min();
        let due = if let Some(newest) = slowest {
            newest - max_delay
        } else {
            // All are idle or at their end. Silence takes the place of new events.
            let idle = self.partitions.values().filter(|p| !p.finished).filter_map(|p| p.idle_through).max();
            idle.map_or(self.newest - max_delay, |through| through.max(self.newest) - max_delay)
        };
        if !due.is_known() {
            self.next_move = EventTime::MIN;
            return None;
        }
        let due = due.floor_to(tick);
        self.next_move = due.max(self.watermark) + tick + max_delay;
        if due > self.watermark {
            self.watermark = due;
            return Some(due);
        }
        None
    }

    /// The commit under which nothing that is held at or after `hold` is lost, and records through `emitted_through`
    /// count as delivered. Older marks are forgotten.
    pub fn commit(&mut self, hold: EventTime, emitted_through: EventTime) -> Commit {
        let mut marks = BTreeMap::new();
        for (&id, partition) in &mut self.partitions {
            if EventTime::from_nanos(partition.next.newest) < hold {
                partition.marks.clear();
                partition.marks.push_back(partition.next);
            }
            while partition.marks.get(1).is_some_and(|mark| EventTime::from_nanos(mark.newest) < hold) {
                partition.marks.pop_front();
            }
            let mark = partition.marks.front().copied().unwrap_or(partition.next);
            // Early in a replay, what the run before had taken in still counts.
            partition.taken = partition.taken.max(partition.next.offset);
            marks.insert(id, Mark { taken: partition.taken, ..mark });
        }
        Commit { marks, emitted_through }
    }
    /// How far behind the newest event a partition's event time is: the figure to watch for a slow source.
    pub fn lags(&self) -> impl Iterator<Item = (PartitionId, Span)> {
        self.partitions
            .iter()
            .filter(|(_, p)| p.newest.is_known() && !p.finished)
            .map(|(id, p)| (*id, self.newest.since(p.newest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> EventTime {
        EventTime::from_millis(seconds * 1000)
    }

    fn progress(partitions: u32) -> Progress {
        let mut progress = Progress::new(TimeSettings {
            max_delay: Span::from_seconds(2),
            tick: Span::from_seconds(1),
            ..TimeSettings::default()
        });
        for id in 0..partitions {
            progress.open(PartitionId(id), Mark::START);
        }
        progress
    }

    #[test]
    fn the_slowest_partition_holds_the_watermark_until_it_is_idle() {
        let mut progress = progress(2);
        assert_eq!(progress.observe(PartitionId(0), at(100)), None);
        assert_eq!(progress.observe(PartitionId(1), at(50)), Some(at(48)));
        assert_eq!(progress.observe(PartitionId(0), at(110)), None);
        assert_eq!(progress.idle(PartitionId(1), Span::from_seconds(10)), Some(at(108)));
        assert_eq!(progress.observe(PartitionId(1), at(51)), None, "it never goes back");
        assert_eq!(progress.watermark(), at(108));
    }

    #[test]
    fn time_goes_on_when_all_are_silent() {
        let mut progress = progress(1);
        progress.observe(PartitionId(0), at(100));
        assert_eq!(progress.idle(PartitionId(0), Span::from_seconds(30)), Some(at(128)));
        assert_eq!(progress.idle(PartitionId(0), Span::from_seconds(31)), Some(at(129)));
        assert_eq!(progress.observe(PartitionId(0), at(140)), Some(at(138)));
    }

    #[test]
    fn the_last_watermark_does_not_depend_on_who_ended_last() {
        for order in [[0, 1], [1, 0]] {
            let mut progress = progress(2);
            progress.observe(PartitionId(0), at(100));
            progress.observe(PartitionId(1), at(50));
            for id in order {
                progress.finish(PartitionId(id));
            }
            assert!(progress.all_finished());
            assert_eq!(progress.watermark(), at(98));
        }
    }

    #[test]
    fn a_commit_resumes_before_the_held_time_and_no_earlier_than_needed() {
        let mut progress = progress(1);
        for second in 0..20 {
            progress.observe(PartitionId(0), at(second));
            let newest = at(second).nanos();
            let next = u64::try_from(second).unwrap() + 1;
            progress.taken(
                PartitionId(0),
                Mark { offset: next, line: next + 1, newest, carried: newest, taken: 0 },
            );
        }
        let commit = progress.commit(at(10), at(17));
        assert_eq!(commit.marks[&PartitionId(0)].offset, 10, "events at 0..9 were read before offset 10");
        let commit = progress.commit(EventTime::MAX, at(17));
        assert_eq!(commit.marks[&PartitionId(0)].offset, 20, "nothing is held");
    }
}
