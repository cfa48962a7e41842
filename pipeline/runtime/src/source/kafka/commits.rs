//! What may be committed: the newest place of each partition that is held, until it is stored.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use logbraid_core::progress::Mark;
use logbraid_core::sink::{ConsumerGroup, SourceOffset};
use logbraid_core::{EventTime, PartitionId};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::StartError;
use super::consumer::{Reader, locked};
use super::place::Place;
use crate::source::intake::Committer;

/// A partition that this instance holds.
#[derive(Debug)]
struct Held {
    topic: String,
    number: i32,
    /// Waits to be stored.
    pending: Option<Place>,
    /// Under way to the broker.
    sent: Option<Place>,
}

/// The newest commits, handed from the ledger to the poll thread.
#[derive(Debug)]
pub(super) struct Commits {
    group: Arc<dyn ConsumerGroup>,
    held: Mutex<BTreeMap<PartitionId, Held>>,
}

impl Commits {
    pub(super) fn new(group: Arc<dyn ConsumerGroup>) -> Self {
        Self { group, held: Mutex::default() }
    }
    /// Takes commits for a partition from now on.
    pub(super) fn hold(&self, partition: PartitionId, topic: &str, number: i32) {
        let held = Held { topic: topic.to_owned(), number, pending: None, sent: None };
        locked(&self.held).insert(partition, held);
    }
    /// Ignores commits for a partition from now on.
    pub(super) fn forget(&self, partition: PartitionId) {
        locked(&self.held).remove(&partition);
    }
    /// The newest place of a partition that is not known to be stored: what is under way may yet be refused.
    pub(super) fn newest(&self, partition: PartitionId) -> Option<Place> {
        let held = locked(&self.held);
        let held = held.get(&partition)?;
        held.pending.or(held.sent)
    }
    /// What waits to be stored; it counts as under way. `None` when nothing does.
    pub(super) fn send(&self) -> KafkaResult<Option<TopicPartitionList>> {
        let mut list = TopicPartitionList::new();
        for held in locked(&self.held).values_mut() {
            if let Some(place) = held.pending.take() {
                add(&mut list, &held.topic, held.number, &place)?;
                held.sent = Some(place);
            }
        }
        Ok((list.count() > 0).then_some(list))
    }
    /// What was under way is stored, or waits again unless something newer does.
    pub(super) fn sent(&self, stored: bool) {
        for held in locked(&self.held).values_mut() {
            let sent = held.sent.take();
            if !stored && held.pending.is_none() {
                held.pending = sent;
            }
        }
    }
}

/// A thread that waits for the broker's word on commits, one after the other, so that the poll thread need not: the
/// library does not report the end of a commit that nobody waits for.
#[derive(Debug)]
pub(super) struct Clerk {
    work: SyncSender<TopicPartitionList>,
    done: Receiver<KafkaResult<()>>,
    thread: JoinHandle<()>,
    busy: bool,
}

impl Clerk {
    pub(super) fn start(reader: Arc<Reader>) -> Result<Self, StartError> {
        let (work, lists) = sync_channel::<TopicPartitionList>(1);
        let (tell, done) = sync_channel(1);
        let commit = move || {
            for list in lists {
                if tell.send(reader.commit(&list, CommitMode::Sync)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("kafka-commit".to_owned()).spawn(commit);
        let refused =
            |error: std::io::Error| StartError::new(format!("kafka: the system refused a thread: {error}"));
        Ok(Self { work, done, thread: thread.map_err(refused)?, busy: false })
    }
    /// True while a commit is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }
    /// Begins a commit; false when one is under way.
    pub(super) fn begin(&mut self, list: TopicPartitionList) -> bool {
        let begun = !self.busy && self.work.try_send(list).is_ok();
        self.busy |= begun;
        begun
    }
    /// The broker's word on the commit that was under way, once.
    pub(super) fn result(&mut self) -> Option<KafkaResult<()>> {
        match self.done.try_recv() {
            Ok(result) => {
                self.busy = false;
                Some(result)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }
    /// Waits for the commit that is under way, and ends.
    pub(super) fn end(self) {
        let Self { work, done, thread, .. } = self;
        drop((work, done));
        let _ended = thread.join();
    }
}

/// Adds a place to a list of offsets.
pub(super) fn add(list: &mut TopicPartitionList, topic: &str, number: i32, place: &Place) -> KafkaResult<()> {
    let offset = i64::try_from(place.mark.offset).unwrap_or(i64::MAX);
    let mut element = list.add_partition(topic, number);
    element.set_offset(Offset::Offset(offset))?;
    element.set_metadata(place.encode());
    Ok(())
}

impl Committer for Commits {
    fn commit(&self, partition: PartitionId, mark: Mark, delivered_through: EventTime) {
        if let Some(held) = locked(&self.held).get_mut(&partition) {
            held.pending = Some(Place { mark, delivered_through });
        }
    }
    fn offset(
        &self,
        partition: PartitionId,
        mark: Mark,
        delivered_through: EventTime,
    ) -> Option<SourceOffset> {
        let held = locked(&self.held);
        let held = held.get(&partition)?;
        Some(SourceOffset {
            topic: held.topic.clone(),
            partition: held.number,
            offset: i64::try_from(mark.offset).unwrap_or(i64::MAX),
            metadata: Place { mark, delivered_through }.encode(),
            group: Arc::clone(&self.group),
        })
    }
}
