//! The braid thread: restores the order of each partition, advances the partition that is furthest behind in event
//! time, runs the engines, and hands records to the sinks.
//!
//! ```text
//!  parsed batches ─► lane of files and pipes: one engine ──────────┐
//!                ├─► lane of a Kafka partition: an engine of its own ├─► deliveries ─► sinks
//!                └─► …                                              ─┘      └─► commits ─► ledger
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

use logbraid_core::component::ConfigError;
use logbraid_core::progress::TimeSettings;
use logbraid_core::record::Stats;
use logbraid_core::{Batch, ClosedBy, EventTime, PartitionId, Position, Record, Span};
use tokio::sync::mpsc;

use super::deliver::{Delivery, Place};
use super::figures::Figures;
use super::lane::{Incoming, Lane, Own};
use super::queue;
use super::workers::Parsed;
use crate::checkpoint::{self, Checkpoint};
use crate::clock::Clock;
use crate::engine::Engine;
use crate::ledger::{Commits, OwnCommit};
use crate::metrics::Metrics;
use crate::run::{Notice, Report, RunError};
use crate::source::intake::{Control, Drained, Message, State};
use crate::source::kafka::Status;
use crate::source::receive;
use crate::split_keys::SplitKeys;

/// How often silence is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time that passes while the thread waits for a sink counts as this much at most: nobody was silent then.
const ATTENTIVE_MAX: Span = Span::from_millis(100);
/// Looks without news after which sources that were asked to end are not waited for any longer.
const QUIET_LOOKS_MAX: u32 = 6;
/// How often figures are published.
const PUBLISH_EVERY: Span = Span::from_millis(500);
/// Records that are handed over at once, at most, so that sinks begin while more become due.
const RECORDS_MAX: usize = 4096;
/// Messages that are heard before the engines have their turn again.
const MESSAGES_MAX: usize = 64;
/// Partitions that were given away and whose late batches are still known as such.
const GONE_MAX: usize = 4096;

/// Makes engines that are silent about what was delivered through a watermark.
pub(super) type MakeEngine = Box<dyn Fn(EventTime) -> Result<Engine, ConfigError> + Send>;

/// What the braid thread needs.
pub(super) struct Setup {
    pub engine: MakeEngine,
    pub time: TimeSettings,
    /// How many sources with shared state, and of all, must have begun: the first before shared event time may move.
    pub sources_shared: usize,
    pub sources: usize,
    pub control: Control,
    pub senders: Vec<queue::Sender>,
    /// Where commits are announced.
    pub expect: mpsc::Sender<(u64, Commits)>,
    /// Where shared positions began; nothing when they are not kept between runs.
    pub start: Option<Checkpoint>,
    /// True when a sink stores positions with its records: then a partition that is lost ends the run.
    pub exactly_once: bool,
    /// Kafka sources.
    pub groups: Vec<Arc<Status>>,
    /// Listeners.
    pub listeners: Vec<Arc<receive::Status>>,
    pub split_keys: Option<Arc<SplitKeys>>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub notice: Notice,
    pub commit_every: Span,
}

/// What was heard of a partition before it was announced: parser threads let messages pass each other.
#[derive(Default)]
struct Early {
    batches: Vec<(u64, Batch)>,
    total: Option<u64>,
    release: Option<(u64, SyncSender<Drained>)>,
}

/// The thread's state.
pub(super) struct Braid {
    setup: Setup,
    shared: Lane,
    owned: BTreeMap<PartitionId, Lane>,
    early: BTreeMap<PartitionId, Early>,
    gone: BTreeSet<PartitionId>,
    opened: u64,
    sources_ready: (usize, usize),
    partitions_expected: u64,
    delivered: u64,
    /// Time during which this thread was attentive, and when it last looked.
    attentive: Span,
    looked: Span,
    committed: Span,
    published: Span,
    figures: Figures,
    report: Report,
    closed: bool,
}

impl Braid {
    /// # Errors
    /// When the operators cannot be made.
    pub(super) fn new(setup: Setup) -> Result<Self, ConfigError> {
        let through = setup.start.as_ref().map_or(EventTime::MIN, Checkpoint::delivered_through);
        let mut engine = (setup.engine)(through)?;
        if let Some(start) = &setup.start {
            for name in engine.recall(&start.learned) {
                let text = format!("what `{name}` had learned is of another version, and is learned anew");
                (setup.notice)(false, &text);
            }
        }
        Ok(Self {
            shared: Lane::new(engine, None),
            owned: BTreeMap::new(),
            early: BTreeMap::new(),
            gone: BTreeSet::new(),
            opened: 0,
            sources_ready: (0, 0),
            partitions_expected: 0,
            delivered: 0,
            attentive: Span::ZERO,
            looked: setup.clock.uptime(),
            committed: Span::ZERO,
            published: Span::ZERO,
            figures: Figures::default(),
            report: Report::default(),
            closed: false,
            setup,
        })
    }

    /// Runs until no source is left, or nobody takes records any more.
    pub(super) fn run(mut self, from_workers: Receiver<Parsed>) -> Report {
        let mut quiet_looks = 0;
        if self.setup.sources_shared == 0 {
            self.shared.begin();
        }
        loop {
            let stepped = self.step();
            let heard = if let Ok(heard) = self.listen(&from_workers, stepped) {
                heard
            } else {
                // Whoever never said that it was ready will not say it now.
                if !self.shared.started {
                    self.shared.begin();
                }
                if !self.anything_ready() {
                    break;
                }
                true
            };
            if heard {
                quiet_looks = 0;
            } else if !stepped {
                // A source that waits in a read of a pipe or terminal does not hear that it should end.
                quiet_looks += 1;
                if self.setup.control.is_stopped() && quiet_looks > QUIET_LOOKS_MAX {
                    break;
                }
            }
            self.look_at_silence();
            self.release();
            self.publish(false);
            self.commit_if_due();
            if self.closed {
                self.setup.control.stop();
                break;
            }
        }
        self.end();
        self.report
    }

    /// Hears what has come, and waits for it when there is nothing else to do. False when nothing has.
    fn listen(&mut self, from_workers: &Receiver<Parsed>, busy: bool) -> Result<bool, Ended> {
        let mut heard = false;
        if !busy {
            match from_workers.recv_timeout(LOOK_EVERY) {
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            }
            heard = true;
        }
        for _ in 0..MESSAGES_MAX {
            match from_workers.try_recv() {
                Ok(message) => self.hear(message),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) if heard || self.anything_ready() => break,
                Err(TryRecvError::Disconnected) => return Err(Ended),
            }
            heard = true;
        }
        Ok(heard)
    }

    fn anything_ready(&self) -> bool {
        self.shared.is_ready() || self.owned.values().any(Lane::is_ready)
    }

    fn lane(&mut self, partition: PartitionId) -> Option<&mut Lane> {
        if self.shared.incoming.contains_key(&partition) {
            return Some(&mut self.shared);
        }
        self.owned.get_mut(&partition)
    }

    fn incoming(&mut self, partition: PartitionId) -> Option<&mut Incoming> {
        self.lane(partition)?.incoming.get_mut(&partition)
    }

    /// What was heard of a partition that is not known yet; nothing when it was given away.
    fn early(&mut self, partition: PartitionId) -> Option<&mut Early> {
        (!self.gone.contains(&partition)).then(|| self.early.entry(partition).or_default())
    }

    fn hear(&mut self, message: Parsed) {
        match message {
            Parsed::Batch { sequence, batch } => {
                let id = batch.source.partition;
                let now = self.attentive;
                if let Some(partition) = self.incoming(id) {
                    partition.heard = now;
                    partition.batches.insert(sequence, batch);
                } else if let Some(early) = self.early(id) {
                    early.batches.push((sequence, batch));
                }
            }
            Parsed::Message(message) => self.hear_message(message),
        }
    }

    fn hear_message(&mut self, message: Message) {
        match message {
            open @ Message::Open { .. } => self.open(open),
            Message::Finish { partition, sequence } => {
                if let Some(incoming) = self.incoming(partition) {
                    incoming.total = Some(sequence);
                } else if let Some(early) = self.early(partition) {
                    early.total = Some(sequence);
                }
            }
            Message::Release { partition, sequence, drained } => {
                if let Some(own) = self.lane(partition).and_then(|lane| lane.own.as_mut()) {
                    own.release = Some((sequence, drained));
                } else if let Some(early) = self.early(partition) {
                    early.release = Some((sequence, drained));
                }
            }
            Message::Drop { partition } => self.lose(partition),
            Message::Notice { fatal, text } => {
                (self.setup.notice)(fatal, &text);
                if fatal {
                    self.report.lost_inputs.push(text);
                }
            }
            Message::Ready { partitions, shared } => {
                self.sources_ready.0 += usize::from(shared);
                self.sources_ready.1 += 1;
                self.partitions_expected = self.partitions_expected.max(partitions);
                self.begin_when_ready();
            }
            // Workers parse batches; none comes through as it was.
            Message::Batch { .. } => {}
        }
    }

    fn open(&mut self, message: Message) {
        let Message::Open { source, identity, start, bounded, state } = message else { return };
        let id = source.partition;
        self.opened += 1;
        if self.gone.contains(&id) {
            return self.begin_when_ready();
        }
        let Early { batches, total, release } = self.early.remove(&id).unwrap_or_default();
        let heard = self.attentive;
        let incoming = Incoming {
            name: source.name.clone(),
            identity,
            bounded,
            next: 0,
            batches: batches.into_iter().collect(),
            total,
            done: false,
            heard,
        };
        match state {
            State::Shared => {
                self.shared.engine.open(source, start);
                self.shared.incoming.insert(id, incoming);
                self.shared.dirty = true;
            }
            State::Own { delivered_through, committer } => {
                let (topic, number) = match &source.position {
                    Position::Kafka { topic, partition } => (topic.clone(), *partition),
                    Position::Line | Position::Row | Position::Log => (source.name.clone(), 0),
                };
                let own =
                    Own { committer, partition: id, topic, number, committed: start, told: false, release };
                let engine = match (self.setup.engine)(delivered_through) {
                    Ok(engine) => engine,
                    // Its lines must not be committed unread.
                    Err(error) => {
                        self.report.ended = Some(RunError::Chain(error));
                        self.closed = true;
                        return;
                    }
                };
                let mut lane = Lane::new(engine, Some(own));
                lane.engine.open(source, start);
                lane.incoming.insert(id, incoming);
                lane.begin();
                self.owned.insert(id, lane);
            }
        }
        self.begin_when_ready();
    }

    /// Begins when every source is ready and every partition that they began with has been heard of.
    fn begin_when_ready(&mut self) {
        let (shared, all) = self.sources_ready;
        if self.opened < self.partitions_expected {
            return;
        }
        if shared >= self.setup.sources_shared && !self.shared.started {
            self.shared.begin();
        }
        if all >= self.setup.sources {
            self.setup.metrics.health(|health| health.started = true);
        }
    }

    /// A partition was lost: somebody else may read it already.
    fn lose(&mut self, partition: PartitionId) {
        let Some(lane) = self.forget(partition) else { return };
        // Its records are in the open transaction, and will be in somebody else's.
        if self.setup.exactly_once
            && let Some(own) = lane.own
        {
            let partition = format!("{}/{}", own.topic, own.number);
            self.report.ended = Some(RunError::LostPartition { partition });
            self.closed = true;
        }
    }

    fn forget(&mut self, partition: PartitionId) -> Option<Lane> {
        self.early.remove(&partition);
        self.gone.insert(partition);
        if self.gone.len() > GONE_MAX {
            self.gone.pop_first();
        }
        let lane = self.owned.remove(&partition)?;
        self.figures.keep(&lane.engine);
        Some(lane)
    }

    /// Takes in one batch of each lane. False when there is nothing to take.
    fn step(&mut self) -> bool {
        let mut stepped = false;
        for lane in std::iter::once(&mut self.shared).chain(self.owned.values_mut()) {
            let Some(step) = lane.step() else { continue };
            stepped = true;
            if let Some((bytes, events)) = step.taken {
                let live = &self.setup.metrics.live;
                live.bytes.fetch_add(bytes, Ordering::Relaxed);
                live.events.fetch_add(events as u64, Ordering::Relaxed);
                self.setup.control.taken(step.partition);
            }
        }
        if stepped {
            self.deliver(None);
        }
        stepped
    }

    fn look_at_silence(&mut self) {
        let now = self.setup.clock.uptime();
        let passed = Span::from_nanos(now.nanos() - self.looked.nanos());
        if passed < Span::from_millis(10) {
            return;
        }
        self.looked = now;
        self.attentive = self.attentive + passed.min(ATTENTIVE_MAX);
        // Nobody can say that a partition is silent while its brokers are.
        let cut_off = self.setup.groups.iter().any(|group| group.trouble().is_some());
        for lane in self.owned.values_mut() {
            if cut_off {
                lane.heard_all(self.attentive);
            }
            lane.look_at_silence(self.attentive, self.setup.time.idle_after);
        }
        self.shared.look_at_silence(self.attentive, self.setup.time.idle_after);
        self.deliver(None);
    }

    /// Hands the records that became due to the sinks, with `positions` when a commit waits for them.
    fn deliver(&mut self, positions: Option<Vec<Place>>) {
        let mut records = self.shared.engine.take();
        for lane in self.owned.values_mut() {
            let mut taken = lane.engine.take();
            if let Some(own) = &mut lane.own {
                own.told |= !taken.is_empty();
            }
            records.append(&mut taken);
        }
        if records.is_empty() && positions.is_none() {
            return;
        }
        for record in &records {
            if let Record::Finding(finding) = record {
                self.report.worst = self.report.worst.max(Some(finding.severity));
            }
        }
        while records.len() > RECORDS_MAX {
            let rest = records.split_off(RECORDS_MAX);
            self.send(std::mem::replace(&mut records, rest), None);
        }
        self.send(records, positions);
    }

    fn send(&mut self, records: Vec<Record>, commit: Option<Vec<Place>>) {
        self.delivered += 1;
        let made = self.setup.clock.uptime();
        let delivery = Arc::new(Delivery { number: self.delivered, records, made, commit });
        for sender in &self.setup.senders {
            // Waits while the sink is slow: the backpressure that reaches back to the sources.
            if sender.send(Arc::clone(&delivery)).is_err() {
                self.closed = true;
            }
        }
    }

    /// Commits at once what is wanted elsewhere.
    fn release(&mut self) {
        let drained: Vec<PartitionId> =
            self.owned.iter().filter(|(_, lane)| lane.is_drained()).map(|(id, _)| *id).collect();
        if drained.is_empty() {
            return;
        }
        self.commit();
        for id in drained {
            self.forget(id);
        }
    }

    fn commit_if_due(&mut self) {
        let now = self.setup.clock.uptime();
        let dirty = (self.setup.start.is_some() && self.shared.started && self.shared.dirty)
            || self.owned.values().any(|lane| lane.dirty);
        if dirty && now.nanos() - self.committed.nanos() >= self.setup.commit_every.nanos() {
            self.committed = now;
            self.commit();
        }
    }

    /// Announces where a run may go on once everything so far is flushed, and asks the sinks to flush. A commit covers
    /// all lanes: a transaction holds the records of all.
    fn commit(&mut self) {
        // What is due now belongs to this commit.
        self.deliver(None);
        let mut commits = Commits::default();
        if self.setup.start.is_some() && self.shared.dirty {
            self.shared.dirty = false;
            commits.checkpoint = self.checkpoint();
        }
        let mut places = Vec::new();
        for (id, lane) in &mut self.owned {
            if !std::mem::take(&mut lane.dirty) && lane.own.as_ref().is_some_and(|own| own.release.is_none())
            {
                continue;
            }
            let Some((mark, delivered_through)) = lane.own_commit() else { continue };
            let Some(own) = &mut lane.own else { continue };
            let committer = Arc::clone(&own.committer);
            places.push(Place { partition: *id, committer: Arc::clone(&committer), mark, delivered_through });
            let drained = own.release.take().map(|(_, drained)| drained);
            commits.own.insert(*id, OwnCommit { committer, mark, delivered_through, drained });
        }
        if commits.checkpoint.is_none() && commits.own.is_empty() {
            return;
        }
        if self.setup.expect.blocking_send((self.delivered + 1, commits)).is_err() {
            self.closed = true;
        }
        self.deliver(Some(places));
    }

    fn checkpoint(&mut self) -> Option<Checkpoint> {
        let commit = self.shared.engine.commit();
        let learned = self.shared.engine.learned();
        let checkpoint = self.setup.start.as_mut()?;
        checkpoint.learned.extend(learned.into_iter().map(|(name, text)| (name.to_owned(), text)));
        if commit.emitted_through != EventTime::MIN {
            checkpoint.delivered_through = Some(commit.emitted_through.nanos());
        }
        for (id, mark) in commit.marks {
            let Some(partition) = self.shared.incoming.get(&id) else { continue };
            let done = partition.done && EventTime::from_nanos(mark.newest) >= self.shared.engine.newest(id);
            let place = checkpoint::Place { name: partition.name.clone(), mark, done };
            checkpoint.partitions.insert(partition.identity.clone(), place);
        }
        Some(checkpoint.clone())
    }

    fn end(&mut self) {
        if self.report.ended.is_some() {
            // Nothing may be committed any more.
            return;
        }
        let stopped = self.setup.control.is_stopped();
        let all_read = self.shared.incoming.values().all(|partition| partition.done);
        // What is open stays open, even where a source has ended because it was asked to: the next run reads it again
        // and goes on. So it is with partitions of a group, always.
        if !(self.setup.start.is_some() && stopped) {
            let why = if all_read && !stopped { ClosedBy::EndOfInput } else { ClosedBy::Shutdown };
            self.shared.engine.end(why);
        }
        self.deliver(None);
        self.publish(true);
        let counters: BTreeMap<String, u64> = self
            .setup
            .metrics
            .samples()
            .into_iter()
            .filter(|sample| sample.labels.is_empty())
            .map(|sample| (sample.name, u64::try_from(sample.value).unwrap_or(0)))
            .collect();
        self.report.counters.clone_from(&counters);
        self.send(vec![Record::Stats(Box::new(Stats::new(counters)))], None);
        self.shared.dirty = true;
        for lane in self.owned.values_mut() {
            lane.dirty = true;
        }
        self.commit();
        // The last words of all are flushed, too, where nothing had to be committed.
        self.send(Vec::new(), Some(Vec::new()));
    }

    /// Publishes the engines' figures, every now and then.
    fn publish(&mut self, now: bool) {
        let uptime = self.setup.clock.uptime();
        if !now && uptime.nanos() - self.published.nanos() < PUBLISH_EVERY.nanos() {
            return;
        }
        self.published = uptime;
        if let Some(notice) = self.setup.split_keys.as_ref().and_then(|keys| keys.notice(uptime)) {
            (self.setup.notice)(false, &notice);
        }
        let lanes = std::iter::once(&self.shared).chain(self.owned.values());
        let samples = self.figures.samples(
            lanes,
            &self.setup.groups,
            &self.setup.listeners,
            self.setup.split_keys.as_deref(),
        );
        self.setup.metrics.publish(samples);
    }
}

/// No source is left.
struct Ended;
