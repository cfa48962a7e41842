//! The poll thread: reads, hands over, pauses, answers rebalances, commits; never waits for the pipeline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use logbraid_core::{Position, Span};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::commits::{Clerk, Commits, add};
use super::config::{Config, Start};
use super::consumer::{Change, Group, Reader, Status, give_up, take_over};
use super::feed::{Feed, TURN_MAX};
use super::gather::Gather;
use super::place::Place;
use super::{CommitBy, StartError};
use crate::source::intake::{Drained, Intake, Message, Opening, Partition, State, Stopped};

/// The longest wait for a message while nothing waits to be handed over.
const IDLE_WAIT: Duration = Duration::from_millis(20);
/// The same while something waits that is not ripe, or for an answer.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// Most events of the library that are worked off before everything else has its turn.
const EVENTS_MAX: usize = 100;
/// How often offsets are committed.
const COMMIT_EVERY: Span = Span::from_millis(500);
/// How long a question to the brokers may take, and after what time it is asked again.
const ASK: Duration = Duration::from_secs(5);
const ASK_AGAIN: Span = Span::from_millis(500);

/// A partition that this instance holds.
struct Slot {
    opening: Opening,
    place: Place,
    /// Absent until the pipeline has heard of it.
    partition: Option<Partition>,
    gather: Gather,
    feed: Feed,
    release: Release,
}

impl Slot {
    /// Reads what is there, as far as there is room; true when something was read.
    fn read(&mut self, status: &Status, now: Span) -> Result<bool, KafkaError> {
        // What is on its way out is read by somebody else.
        if !matches!(self.release, Release::No) {
            return Ok(false);
        }
        for turn in 0..TURN_MAX {
            if self.feed.pace(self.gather.waiting()) {
                status.pauses.fetch_add(1, Ordering::Relaxed);
            }
            if self.feed.is_paused() {
                return Ok(turn > 0);
            }
            match self.feed.next() {
                None => return Ok(turn > 0),
                Some(message) => take(&message?, &mut self.gather, status, now),
            }
        }
        Ok(true)
    }
}

fn take(message: &BorrowedMessage<'_>, gather: &mut Gather, status: &Status, now: Span) {
    let Some(value) = message.payload() else {
        status.tombstones.fetch_add(1, Ordering::Relaxed);
        return;
    };
    status.records.fetch_add(1, Ordering::Relaxed);
    status.bytes.fetch_add(value.len() as u64, Ordering::Relaxed);
    gather.push(message, value, now);
}

/// How far a partition is on its way to somebody else.
enum Release {
    /// It stays.
    No,
    /// The pipeline has not been asked yet.
    Asking,
    /// The pipeline finishes it.
    Waiting(Receiver<Drained>),
    /// It is finished; nothing where that failed, or took too long.
    Done(Option<Drained>),
}

/// The rebalance that is being worked off.
enum Work {
    Assigning { list: TopicPartitionList, again: Span },
    Revoking { list: TopicPartitionList, deadline: Span, lost: bool },
}

/// Why the thread ends.
enum End {
    Stopped,
    Fatal(String),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// The thread's state.
pub(super) struct Poll {
    config: Config,
    reader: Arc<Reader>,
    commit_by: CommitBy,
    intake: Intake,
    status: Arc<Status>,
    commits: Arc<Commits>,
    slots: BTreeMap<String, BTreeMap<i32, Slot>>,
    changes: VecDeque<Change>,
    work: Option<Work>,
    /// Words to the pipeline that it had no room for.
    outbox: VecDeque<Message>,
    /// True once the first partitions were assigned; then whether the pipeline knows.
    assigned: bool,
    said_ready: bool,
    clerk: Clerk,
    committed: Span,
    now: Span,
    told: Option<String>,
}

impl Poll {
    pub(super) fn new(
        config: Config,
        reader: Arc<Reader>,
        commit_by: CommitBy,
        intake: Intake,
    ) -> Result<Self, StartError> {
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        reader.subscribe(&topics).map_err(|error| {
            StartError::new(format!("kafka: the subscription to {} is refused: {error}", topics.join(", ")))
                .help("a topic that begins with `^` must be a regular expression")
        })?;
        let clerk = Clerk::start(Arc::clone(&reader))?;
        let commits = Arc::new(Commits::new(Arc::new(Group(Arc::downgrade(&reader)))));
        Ok(Self {
            status: Arc::clone(reader.context().status()),
            commits,
            config,
            reader,
            commit_by,
            now: intake.clock().uptime(),
            intake,
            slots: BTreeMap::new(),
            changes: VecDeque::new(),
            work: None,
            outbox: VecDeque::new(),
            assigned: false,
            said_ready: false,
            clerk,
            committed: Span::ZERO,
            told: None,
        })
    }

    pub(super) fn run(mut self) {
        while !self.intake.is_stopped() && !self.intake.is_closed() {
            match self.round() {
                Ok(()) => {}
                Err(End::Stopped) => break,
                Err(End::Fatal(why)) => {
                    self.status.set_trouble(Some(why.clone()));
                    let help = "restart this instance: it goes on at its last commit";
                    self.intake.notice(true, format!("{why}; {help}"));
                    break;
                }
            }
        }
        self.finish();
    }

    fn round(&mut self) -> Result<(), End> {
        let made = self.intake.room_made();
        let now = self.intake.clock().uptime();
        self.now = now;
        let reader = Arc::clone(&self.reader);
        // Messages come by the partitions' own queues; this serves everything else, and shows that we are alive.
        for _ in 0..EVENTS_MAX {
            match reader.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    // One that was under way before its partition had a queue of its own.
                    if let Some(slot) = self.slot(message.topic(), message.partition())
                        && matches!(slot.release, Release::No)
                    {
                        take(&message, &mut slot.gather, reader.context().status(), now);
                    }
                }
                Some(Err(error)) => self.failed(&error)?,
            }
        }
        if let Some(why) = reader.context().take_fatal() {
            return Err(End::Fatal(format!("kafka {}: {why}", reader.context().brokers())));
        }
        let read = self.read()?;
        self.now = self.intake.clock().uptime();
        self.rebalance()?;
        self.hand_over()?;
        self.commit()?;
        self.tell();
        if !read {
            let wait = if self.is_busy() { BUSY_WAIT } else { IDLE_WAIT };
            self.intake.wait_for_room_since(made, wait);
        }
        Ok(())
    }

    /// Gives every partition its turn; true when something was read.
    fn read(&mut self) -> Result<bool, End> {
        let mut read = false;
        let mut failed = None;
        for slot in self.slots.values_mut().flat_map(BTreeMap::values_mut) {
            match slot.read(&self.status, self.now) {
                Ok(some) => read |= some,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(read), |error| self.failed(&error).map(|()| true))
    }

    /// True while something waits that the pipeline has no room for, or that is not ripe.
    fn is_busy(&self) -> bool {
        self.work.is_some()
            || !self.outbox.is_empty()
            || self.slots.values().flat_map(BTreeMap::values).any(|slot| slot.gather.waiting() > 0)
    }

    fn failed(&mut self, error: &KafkaError) -> Result<(), End> {
        let brokers = self.reader.context().brokers().to_owned();
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                let why = self.reader.client().fatal_error().map_or_else(|| code.to_string(), |(_, why)| why);
                Err(End::Fatal(format!("kafka {brokers}: {why}")))
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::PollExceeded) => Err(End::Fatal(format!(
                "kafka {brokers}: the group has given this instance up: it did not poll"
            ))),
            // The context has noted it already.
            _ => Ok(()),
        }
    }

    // --- Rebalances ---

    fn rebalance(&mut self) -> Result<(), End> {
        self.reader.context().take_changes(&mut self.changes);
        loop {
            let Some(work) = self.work.take() else {
                let Some(change) = self.changes.pop_front() else { return Ok(()) };
                self.work = Some(self.begin(change));
                continue;
            };
            let open = match work {
                Work::Assigning { list, again } if self.now < again => Some(Work::Assigning { list, again }),
                Work::Assigning { list, .. } => self.assign(list)?,
                Work::Revoking { list, deadline, lost } => self.revoke(list, deadline, lost)?,
            };
            if open.is_some() {
                self.work = open;
                return Ok(());
            }
        }
    }

    fn begin(&mut self, change: Change) -> Work {
        self.status.rebalances.fetch_add(1, Ordering::Relaxed);
        match change {
            Change::Assign(list) => Work::Assigning { list, again: self.now },
            Change::Revoke(list) => {
                let lost = self.reader.assignment_lost();
                for element in list.elements() {
                    if let Some(slot) = self.slot(element.topic(), element.partition()) {
                        slot.gather.clear();
                        let nothing = lost || slot.partition.is_none();
                        slot.release = if nothing { Release::Done(None) } else { Release::Asking };
                    }
                }
                Work::Revoking { list, deadline: self.now + self.config.drain_timeout, lost }
            }
        }
    }

    fn slot(&mut self, topic: &str, partition: i32) -> Option<&mut Slot> {
        self.slots.get_mut(topic)?.get_mut(&partition)
    }

    /// Takes partitions over where the group left them; tries again later while the brokers do not say.
    fn assign(&mut self, mut list: TopicPartitionList) -> Result<Option<Work>, End> {
        let places = match self.places(&mut list) {
            Ok(places) => places,
            Err(error) => {
                if let Some(code) = error.rdkafka_error_code() {
                    let text = format!("where to begin cannot be found out: {error}");
                    self.reader.context().note(code, &text);
                }
                return Ok(Some(Work::Assigning { list, again: self.now + ASK_AGAIN }));
            }
        };
        let control = self.intake.control();
        let split =
            |(topic, number, _): &(String, i32, Place)| Feed::split(&self.reader, topic, *number, &control);
        let feeds: Vec<Feed> = places.iter().map(split).collect::<Option<_>>().ok_or_else(|| {
            End::Fatal("kafka: the library has no queues for the partitions of this group".to_owned())
        })?;
        take_over(&self.reader, &list)
            .map_err(|error| End::Fatal(format!("kafka: partitions cannot be taken over: {error}")))?;
        for ((topic, number, place), feed) in places.into_iter().zip(feeds) {
            let opening = Opening {
                name: format!("{topic}/{number}"),
                identity: format!("kafka/{}/{topic}/{number}", self.config.group),
                position: Position::Kafka { topic: topic.clone(), partition: number },
                service: self.config.service.clone(),
                host: None,
                bounded: false,
            };
            let slot = Slot {
                opening,
                place,
                partition: None,
                gather: Gather::new(self.config.kind()),
                feed,
                release: Release::No,
            };
            self.slots.entry(topic).or_default().insert(number, slot);
        }
        self.count_slots();
        self.assigned = true;
        Ok(None)
    }

    /// Where each partition of `list` begins; the list is given those offsets.
    fn places(&mut self, list: &mut TopicPartitionList) -> Result<Vec<(String, i32, Place)>, KafkaError> {
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        let mut asked = TopicPartitionList::with_capacity(list.count());
        for element in list.elements() {
            asked.add_partition(element.topic(), element.partition());
        }
        let committed = self.reader.committed_offsets(asked, ASK)?;
        let mut places = Vec::with_capacity(list.count());
        let mut fresh = TopicPartitionList::new();
        let start = match self.config.start {
            Start::Earliest => Offset::Beginning,
            Start::Latest => Offset::End,
            Start::At(time) => Offset::Offset(time.nanos() / 1_000_000),
        };
        for element in committed.elements() {
            element.error()?;
            let (topic, number) = (element.topic().to_owned(), element.partition());
            match element.offset() {
                Offset::Offset(offset) => {
                    let offset = u64::try_from(offset).unwrap_or(0);
                    let place = Place::decode(offset, element.metadata()).unwrap_or_else(|why| {
                        let text = format!(
                            "kafka: {topic}/{number} begins at offset {offset} without what was known there: {why}"
                        );
                        self.outbox.push_back(Message::Notice { fatal: false, text });
                        Place::fresh(offset)
                    });
                    places.push((topic, number, place));
                }
                _ => fresh.add_partition_offset(&topic, number, start)?,
            }
        }
        if fresh.count() > 0 {
            for (topic, number, offset) in resolve(&self.reader, fresh)? {
                places.push((topic, number, Place::fresh(offset)));
            }
        }
        for (topic, number, place) in &places {
            let offset = i64::try_from(place.mark.offset).unwrap_or(i64::MAX);
            list.set_partition_offset(topic, *number, Offset::Offset(offset))?;
        }
        Ok(places)
    }

    /// Waits, without blocking, until the pipeline has finished what is wanted elsewhere; then commits and lets go.
    fn revoke(&mut self, list: TopicPartitionList, deadline: Span, lost: bool) -> Result<Option<Work>, End> {
        // They may be lost while they are being finished.
        let lost = lost || self.reader.assignment_lost();
        let late = self.now >= deadline;
        let mut open = false;
        for element in list.elements() {
            let Some(slot) =
                self.slots.get_mut(element.topic()).and_then(|s| s.get_mut(&element.partition()))
            else {
                continue;
            };
            if matches!(slot.release, Release::Asking)
                && let Some(partition) = &slot.partition
            {
                let (drained, answer) = sync_channel(1);
                let ask =
                    Message::Release { partition: partition.id(), sequence: partition.sequence(), drained };
                if self.intake.try_send(ask)?.is_none() {
                    slot.release = Release::Waiting(answer);
                }
            }
            if let Release::Waiting(answer) = &slot.release {
                match answer.try_recv() {
                    Ok(drained) => slot.release = Release::Done(Some(drained)),
                    Err(TryRecvError::Disconnected) => slot.release = Release::Done(None),
                    Err(TryRecvError::Empty) => {}
                }
            }
            if !matches!(slot.release, Release::Done(_)) {
                if lost || late {
                    slot.release = Release::Done(None);
                } else {
                    open = true;
                }
            }
        }
        if open {
            return Ok(Some(Work::Revoking { list, deadline, lost }));
        }
        if !lost {
            self.commit_drained(&list);
        }
        if let Err(error) = give_up(&self.reader, &list) {
            tracing::warn!("kafka: partitions cannot be given up: {error}");
        }
        for element in list.elements() {
            let Some(slot) = self.slots.get_mut(element.topic()).and_then(|s| s.remove(&element.partition()))
            else {
                continue;
            };
            if lost {
                self.status.lost.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(partition) = slot.partition {
                self.commits.forget(partition.id());
                if !matches!(slot.release, Release::Done(Some(_))) {
                    self.outbox.push_back(Message::Drop { partition: partition.id() });
                }
                partition.forget();
            }
        }
        self.count_slots();
        Ok(None)
    }

    /// Commits, and waits for the broker's word, what was finished; of the rest, what the ledger allows already.
    fn commit_drained(&self, list: &TopicPartitionList) {
        if self.commit_by == CommitBy::Sink {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        for element in list.elements() {
            let slot = self.slots.get(element.topic()).and_then(|slots| slots.get(&element.partition()));
            let Some(slot) = slot else { continue };
            let place = match (&slot.release, &slot.partition) {
                (Release::Done(Some(drained)), _) => {
                    Some(Place { mark: drained.mark, delivered_through: drained.delivered_through })
                }
                (_, Some(partition)) => self.commits.newest(partition.id()),
                _ => None,
            };
            if let Some(place) = place {
                let _added = add(&mut offsets, element.topic(), element.partition(), &place);
            }
        }
        if offsets.count() > 0 {
            let stored = self.reader.commit(&offsets, CommitMode::Sync);
            self.count_commit(stored, "who takes over reads more again");
        }
    }

    fn count_slots(&self) {
        let count: usize = self.slots.values().map(BTreeMap::len).sum();
        self.status.partitions.store(count as u64, Ordering::Relaxed);
    }

    // --- To the pipeline ---

    fn hand_over(&mut self) -> Result<(), End> {
        while let Some(message) = self.outbox.pop_front() {
            if let Some(message) = self.intake.try_send(message)? {
                self.outbox.push_front(message);
                break;
            }
        }
        let otherwise = self.intake.clock().now();
        let mut all_open = true;
        for (topic, slots) in &mut self.slots {
            for (number, slot) in slots {
                let Slot { opening, place, partition, gather, release, .. } = slot;
                if !matches!(release, Release::No) {
                    continue;
                }
                if partition.is_none() {
                    let committer = Arc::clone(&self.commits) as Arc<dyn crate::source::intake::Committer>;
                    let state = State::Own { delivered_through: place.delivered_through, committer };
                    *partition = self.intake.try_open(opening, place.mark, &state)?;
                    if let Some(partition) = partition {
                        self.commits.hold(partition.id(), topic, *number);
                    }
                }
                let Some(partition) = partition else {
                    all_open = false;
                    continue;
                };
                while gather.is_ripe(self.now) && partition.try_send(|| gather.pop(otherwise))? {}
            }
        }
        if self.assigned && all_open && !self.said_ready {
            self.said_ready = self.intake.try_ready()?;
        }
        Ok(())
    }

    fn tell(&mut self) {
        let trouble = self.status.trouble();
        if trouble == self.told {
            return;
        }
        // One trouble is told once, however its words change until it is over.
        if self.told.is_none() || trouble.is_none() {
            let text = match &trouble {
                Some(why) => format!("{why}; trying again"),
                None => format!("kafka {}: all is well again", self.reader.context().brokers()),
            };
            self.outbox.push_back(Message::Notice { fatal: false, text });
        }
        self.told = trouble;
    }

    // --- Commits ---

    /// Commits what the ledger allows, without waiting. Never during a rebalance: the broker would refuse it and, worse,
    /// begin another one.
    fn commit(&mut self) -> Result<(), End> {
        if let Some(result) = self.clerk.result() {
            self.commits.sent(result.is_ok());
            let code = result.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            if code == Some(RDKafkaErrorCode::FencedInstanceId) {
                return Err(End::Fatal(fenced(&self.config)));
            }
            self.count_commit(result, "it is tried again");
        }
        let context = self.reader.context();
        let calm =
            self.work.is_none() && self.changes.is_empty() && !context.has_changes() && context.is_steady();
        let due = self.now.nanos() - self.committed.nanos() >= COMMIT_EVERY.nanos();
        if self.commit_by == CommitBy::Sink || !calm || !due || self.clerk.is_busy() {
            return Ok(());
        }
        if let Ok(Some(list)) = self.commits.send() {
            self.committed = self.now;
            if !self.clerk.begin(list) {
                self.commits.sent(false);
            }
        }
        Ok(())
    }

    fn count_commit(&self, result: Result<(), KafkaError>, next: &str) {
        match result {
            Ok(()) => self.status.commits.fetch_add(1, Ordering::Relaxed),
            Err(why) => {
                tracing::warn!("kafka: a commit failed, {next}: {why}");
                self.status.commits_failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }

    // --- The end ---

    /// Lets go of the pipeline, waits for its last commits, stores them and leaves.
    fn finish(self) {
        let Self { config, reader, commit_by, intake, commits, clerk, slots, outbox, .. } = self;
        let clock = Arc::clone(intake.clock());
        // The pipeline ends when nobody can send to it any more.
        drop((slots, outbox, intake));
        let deadline = clock.uptime() + config.drain_timeout;
        let mut lost = false;
        let mut changes = VecDeque::new();
        while Arc::strong_count(&commits) > 1 && clock.uptime() < deadline && !lost {
            // Goes on polling: a member that falls silent loses its partitions before their last commit.
            let _ignored = reader.poll(IDLE_WAIT);
            reader.context().take_changes(&mut changes);
            lost = reader.assignment_lost();
        }
        clerk.end();
        if commit_by == CommitBy::Source && !lost && !reader.assignment_lost() {
            commits.sent(false);
            if let Ok(Some(list)) = commits.send()
                && let Err(error) = reader.commit(&list, CommitMode::Sync)
            {
                tracing::warn!("kafka: the last commit failed, a little more will be read again: {error}");
            }
        }
        reader.context().close();
        // A rebalance that nobody answered must be answered before the consumer can be closed.
        for change in changes {
            if let Change::Revoke(list) = change {
                let _left = give_up(&reader, &list);
            }
        }
    }
}

fn fenced(config: &Config) -> String {
    let name = config.instance_id.as_deref().unwrap_or("this instance's name");
    format!("kafka: another member of group `{}` has taken `{name}`", config.group)
}

/// Offsets of partitions for which `wanted` holds `Beginning`, `End`, or a transport time in milliseconds.
pub(super) fn resolve(
    reader: &Reader,
    wanted: TopicPartitionList,
) -> Result<Vec<(String, i32, u64)>, KafkaError> {
    let found = reader.offsets_for_times(wanted, ASK)?;
    let mut resolved = Vec::with_capacity(found.count());
    for element in found.elements() {
        element.error()?;
        let (topic, number) = (element.topic().to_owned(), element.partition());
        let offset = match element.offset() {
            Offset::Offset(offset) => u64::try_from(offset).unwrap_or(0),
            // Nothing was written at that time or later: what comes next.
            _ => u64::try_from(reader.fetch_watermarks(&topic, number, ASK)?.1).unwrap_or(0),
        };
        resolved.push((topic, number, offset));
    }
    Ok(resolved)
}
