//! What sources speak to: they open partitions, hand over whole records, and say when a partition has ended.
//!
//! Each partition may have a bounded number of batches under way; a source asks for room before it reads on, and that
//! is the backpressure that a slow sink exerts.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use logbraid_core::progress::Mark;
use logbraid_core::sink::SourceOffset;
use logbraid_core::{EventTime, FieldReader, PartitionId, Position, Source};
use logbraid_parse::{Framing, RawBatch};
use tokio::sync::mpsc;

use crate::clock::Clock;

/// Batches of one partition that may be under way: being parsed, or waiting for their turn.
pub const BATCHES_UNDER_WAY_MAX: usize = 4;

/// What a source says of its partitions, in order.
#[derive(Debug)]
pub enum Message {
    /// A partition begins.
    Open {
        /// What it is.
        source: Arc<Source>,
        /// The key under which its position is kept between runs.
        identity: String,
        /// Where it resumes.
        start: Mark,
        /// True when it ends by itself, as a file that is not followed.
        bounded: bool,
        /// Who keeps its position.
        state: State,
    },
    /// Records of a partition; numbered from 0 in the order in which they were read.
    Batch {
        /// The number within the partition.
        sequence: u64,
        /// The records.
        raw: RawBatch,
    },
    /// A source has opened every partition that it begins with: event time may move once they have been heard of.
    Ready {
        /// Partitions that were opened so far, by any source. Parser threads may let this message pass theirs.
        partitions: u64,
        /// True when its partitions share their state with those of other sources.
        shared: bool,
    },
    /// A partition has ended; `sequence` batches came before.
    Finish {
        /// The partition.
        partition: PartitionId,
        /// How many batches it had.
        sequence: u64,
    },
    /// A partition is wanted elsewhere: take in the `sequence` batches that came before, make everything that follows
    /// from them durable, forget the partition, and answer with where another may go on. Not to answer, or to drop the
    /// sender, means that what was committed before stands. The source waits for a bounded time only.
    Release {
        /// The partition.
        partition: PartitionId,
        /// How many batches it had.
        sequence: u64,
        /// Takes the answer.
        drained: SyncSender<Drained>,
    },
    /// A partition is gone, and another may read it already: forget it, and commit nothing for it.
    Drop {
        /// The partition.
        partition: PartitionId,
    },
    /// Something about an input that the user should know.
    Notice {
        /// Whether the input is lost.
        fatal: bool,
        /// What happened, to which input, and how to mend it.
        text: String,
    },
}

/// Who keeps a partition's position between runs.
#[derive(Clone, Debug, Default)]
pub enum State {
    /// The run's checkpoint keeps it, together with the others'.
    #[default]
    Shared,
    /// The source keeps it, for each partition by itself.
    Own {
        /// The watermark through which records of this partition were delivered; [`EventTime::MIN`] at first.
        delivered_through: EventTime,
        /// Takes commits, once every sink has flushed what they cover.
        committer: Arc<dyn Committer>,
    },
}

/// Keeps positions of partitions with a state of their own. Calls never block and never fail: a commit that cannot be
/// stored is repeated or replaced by the next one, and one for a partition that was given away is ignored.
pub trait Committer: Send + Sync + fmt::Debug {
    /// `partition` may be resumed at `mark`; its records were delivered through `delivered_through`.
    fn commit(&self, partition: PartitionId, mark: Mark, delivered_through: EventTime);
    /// The same as an offset for a sink that stores it with its records; `None` when the partition was given away.
    fn offset(
        &self,
        partition: PartitionId,
        mark: Mark,
        delivered_through: EventTime,
    ) -> Option<SourceOffset>;
}

/// Where another may go on with a partition: everything before is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// The position.
    pub mark: Mark,
    /// The watermark through which records were delivered.
    pub delivered_through: EventTime,
}

#[derive(Debug, Default)]
struct Room {
    under_way: Mutex<HashMap<PartitionId, usize>>,
    /// How often room was made; changed under the lock, so that a waiter cannot miss a change.
    made: AtomicU64,
    changed: Condvar,
}

/// Positions to resume from, by identity.
pub type Positions = HashMap<String, Mark>;

/// The side of the pipeline that sources see. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    sender: mpsc::Sender<Message>,
    room: Arc<Room>,
    stopped: Arc<AtomicBool>,
    partitions: Arc<AtomicU64>,
    positions: Arc<Positions>,
    reader: Arc<dyn FieldReader>,
    clock: Arc<dyn Clock>,
}

/// The pipeline has stopped: the source should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline has stopped")]
pub struct Stopped;

/// What a source knows of a partition when it opens it.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The input as users know it; shown in records.
    pub name: String,
    /// The key under which its position is kept between runs; stable over renames.
    pub identity: String,
    /// What positions mean.
    pub position: Position,
    /// The service to assume for its entries.
    pub service: Option<String>,
    /// The host to assume for its entries.
    pub host: Option<String>,
    /// True when it ends by itself.
    pub bounded: bool,
}

/// One partition, open.
#[derive(Debug)]
pub struct Partition {
    source: Arc<Source>,
    sequence: u64,
    start: Mark,
    intake: Intake,
}

impl Intake {
    /// An intake whose messages arrive at `sender`'s other end.
    pub fn new(
        sender: mpsc::Sender<Message>,
        positions: Positions,
        reader: Arc<dyn FieldReader>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            sender,
            room: Arc::default(),
            stopped: Arc::default(),
            partitions: Arc::default(),
            positions: Arc::new(positions),
            reader,
            clock,
        }
    }

    /// The time, for sources that wait.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// True once the pipeline wants no more.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Where the partition known as `identity` was left by an earlier run.
    pub fn position(&self, identity: &str) -> Option<Mark> {
        self.positions.get(identity).copied()
    }

    /// Begins a partition at `start`. Blocks while the pipeline is busy.
    pub fn open(&self, opening: Opening, start: Mark) -> Result<Partition, Stopped> {
        let (message, partition) = self.opened(opening, start, State::Shared);
        self.send(message)?;
        Ok(partition)
    }

    /// Like [`Self::open`], for a partition with a `state` of its own and without waiting: `None` while the pipeline is
    /// busy.
    pub fn try_open(
        &self,
        opening: &Opening,
        start: Mark,
        state: &State,
    ) -> Result<Option<Partition>, Stopped> {
        let Some(permit) = self.permit()? else { return Ok(None) };
        let (message, partition) = self.opened(opening.clone(), start, state.clone());
        permit.send(message);
        Ok(Some(partition))
    }

    fn opened(&self, opening: Opening, start: Mark, state: State) -> (Message, Partition) {
        let number = self.partitions.fetch_add(1, Ordering::Relaxed);
        let partition = PartitionId(u32::try_from(number).unwrap_or(u32::MAX));
        let source = Arc::new(Source {
            name: opening.name,
            partition,
            position: opening.position,
            service: opening.service,
            host: opening.host,
            reader: Arc::clone(&self.reader),
        });
        let Opening { identity, bounded, .. } = opening;
        let message = Message::Open { source: Arc::clone(&source), identity, start, bounded, state };
        (message, Partition { source, sequence: 0, start, intake: self.clone() })
    }

    /// A place for one message, if there is one at this moment.
    fn permit(&self) -> Result<Option<mpsc::Permit<'_, Message>>, Stopped> {
        match self.sender.try_reserve() {
            Ok(permit) => Ok(Some(permit)),
            Err(mpsc::error::TrySendError::Full(())) => Ok(None),
            Err(mpsc::error::TrySendError::Closed(())) => Err(Stopped),
        }
    }

    /// Sends `message` if the pipeline takes it at once; gives it back otherwise.
    pub fn try_send(&self, message: Message) -> Result<Option<Message>, Stopped> {
        match self.sender.try_send(message) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(message)) => Ok(Some(message)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Stopped),
        }
    }

    /// Tells the user something about an input. `fatal` when the input is lost.
    pub fn notice(&self, fatal: bool, text: String) {
        let _stopped = self.send(Message::Notice { fatal, text });
    }

    /// Every partition that the source begins with is open. Each source says so once; until all have, no event is
    /// looked at, so that a partition that is opened a little later than the others is not late.
    pub fn ready(&self) -> Result<(), Stopped> {
        self.send(self.ready_now(true))
    }

    /// Like [`Self::ready`], for a source whose partitions have states of their own, and without waiting: false while the
    /// pipeline is busy.
    pub fn try_ready(&self) -> Result<bool, Stopped> {
        Ok(self.try_send(self.ready_now(false))?.is_none())
    }

    fn ready_now(&self, shared: bool) -> Message {
        Message::Ready { partitions: self.partitions.load(Ordering::Relaxed), shared }
    }

    /// The pipeline's own side of the intake; it does not keep the pipeline open.
    pub fn control(&self) -> Control {
        Control { room: Arc::clone(&self.room), stopped: Arc::clone(&self.stopped) }
    }

    /// Waits until some partition has room again, the pipeline stops, or `timeout` has passed.
    pub fn wait_for_room(&self, timeout: Duration) {
        let under_way = self.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopped() {
            let _woken = self.room.changed.wait_timeout(under_way, timeout);
        }
    }

    /// How often room was made so far. Note it before asking [`Partition::has_room`], then wait with
    /// [`Self::wait_for_room_since`]: room that is made in between is not missed.
    pub fn room_made(&self) -> u64 {
        self.room.made.load(Ordering::Acquire)
    }

    /// Waits until room has been made more than `made` times, the pipeline stops, or `timeout` has passed.
    pub fn wait_for_room_since(&self, made: u64, timeout: Duration) {
        let under_way = self.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopped() && self.room_made() == made {
            let _woken = self.room.changed.wait_timeout(under_way, timeout);
        }
    }

    /// True once nobody receives the messages any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// True when an earlier run left positions.
    pub fn has_positions(&self) -> bool {
        !self.positions.is_empty()
    }

    fn send(&self, message: Message) -> Result<(), Stopped> {
        self.sender.blocking_send(message).map_err(|_| Stopped)
    }
}

/// What the pipeline tells its sources: there is room again, or it is time to end.
#[derive(Clone, Debug)]
pub struct Control {
    room: Arc<Room>,
    stopped: Arc<AtomicBool>,
}

impl Control {
    /// Asks all sources to end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.room.changed.notify_all();
    }
    /// True once the sources were asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
    /// Wakes sources that wait for room: there is something to do for one of them.
    pub fn nudge(&self) {
        // Under the lock, so that nobody falls asleep between looking and waiting.
        let under_way = self.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        self.room.made.fetch_add(1, Ordering::AcqRel);
        drop(under_way);
        self.room.changed.notify_all();
    }
    /// A batch of `partition` was taken in: there is room for another.
    pub fn taken(&self, partition: PartitionId) {
        let mut under_way = self.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&partition) {
            *count = count.saturating_sub(1);
        }
        self.room.made.fetch_add(1, Ordering::AcqRel);
        drop(under_way);
        self.room.changed.notify_all();
    }
}

impl Partition {
    /// Its number.
    pub fn id(&self) -> PartitionId {
        self.source.partition
    }
    /// Where it began.
    pub const fn start(&self) -> Mark {
        self.start
    }
    /// True when another batch may be sent.
    pub fn has_room(&self) -> bool {
        let under_way = self.intake.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&self.id()).is_none_or(|count| *count < BATCHES_UNDER_WAY_MAX)
    }
    /// Hands over whole records. Ask [`Self::has_room`] first; this waits for room otherwise.
    pub fn send(&mut self, bytes: Vec<u8>, framing: Framing) -> Result<(), Stopped> {
        loop {
            let made = self.intake.room_made();
            if self.has_room() {
                break;
            }
            if self.intake.is_stopped() {
                return Err(Stopped);
            }
            self.intake.wait_for_room_since(made, Duration::from_millis(100));
        }
        let mut under_way = self.intake.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way.entry(self.id()).or_default() += 1;
        drop(under_way);
        let ingest = self.intake.clock.now();
        let raw = RawBatch { source: Arc::clone(&self.source), bytes, framing, ingest };
        let sequence = self.sequence;
        self.sequence += 1;
        self.intake.send(Message::Batch { sequence, raw })
    }
    /// Hands over whole records without waiting: false while the partition has no room or the pipeline is busy, and
    /// then `make` was not called. `make` gives the bytes, how they fall into records, and the newest transport time.
    pub fn try_send(
        &mut self,
        make: impl FnOnce() -> (Vec<u8>, Framing, EventTime),
    ) -> Result<bool, Stopped> {
        if !self.has_room() {
            return Ok(false);
        }
        let Some(permit) = self.intake.permit()? else { return Ok(false) };
        let mut under_way = self.intake.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way.entry(self.source.partition).or_default() += 1;
        drop(under_way);
        let (bytes, framing, ingest) = make();
        let raw = RawBatch { source: Arc::clone(&self.source), bytes, framing, ingest };
        permit.send(Message::Batch { sequence: self.sequence, raw });
        self.sequence += 1;
        Ok(true)
    }
    /// How many batches were handed over.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
    /// The partition was given away: what is under way no longer takes room.
    pub fn forget(self) {
        let mut under_way = self.intake.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.source.partition);
    }
    /// The partition has ended.
    pub fn finish(self) -> Result<(), Stopped> {
        let mut under_way = self.intake.room.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.id());
        drop(under_way);
        self.intake.send(Message::Finish { partition: self.id(), sequence: self.sequence })
    }
}
