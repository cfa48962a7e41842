//! The braid thread: restores the order of each partition, advances the partition that is furthest behind in event
//! time, runs the engine, and hands records to the sinks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use logbraid_core::progress::TimeSettings;
use logbraid_core::record::Stats;
use logbraid_core::{Batch, ClosedBy, EventTime, PartitionId, Record, Span};
use tokio::sync::mpsc;

use super::deliver::Delivery;
use super::workers::Parsed;
use crate::checkpoint::{Checkpoint, Place};
use crate::clock::Clock;
use crate::engine::Engine;
use crate::metrics::{Metrics, Sample};
use crate::run::{Notice, Report};
use crate::source::intake::{Control, Message};
use crate::split_keys::SplitKeys;

/// How often silence is looked at, and figures are published.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks without news after which sources that were asked to end are not waited for any longer.
const QUIET_LOOKS_MAX: u32 = 6;
/// How often figures are published.
const PUBLISH_EVERY: Span = Span::from_millis(500);
/// Records that are handed over at once, at most, so that sinks begin while more become due.
const RECORDS_MAX: usize = 4096;

/// What the braid thread needs.
pub(super) struct Setup {
    pub engine: Engine,
    pub time: TimeSettings,
    /// How many sources must have begun before event time may move.
    pub sources: usize,
    pub control: Control,
    pub senders: Vec<mpsc::Sender<Arc<Delivery>>>,
    /// Where commits are announced; none when nothing is kept between runs.
    pub expect: Option<mpsc::Sender<(u64, Checkpoint)>>,
    pub start: Checkpoint,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub notice: Notice,
    /// Notices requests whose entries are in several partitions, where requests are braided.
    pub split_keys: Option<Arc<SplitKeys>>,
    pub commit_every: Span,
}

/// A partition as the braid thread sees it.
struct Incoming {
    name: String,
    identity: String,
    bounded: bool,
    next: u64,
    batches: BTreeMap<u64, Batch>,
    /// How many batches it has, once that is known.
    total: Option<u64>,
    done: bool,
    /// When it last showed something, on the clock that only goes forward.
    heard: Span,
}

impl Incoming {
    /// True when its next batch, or its end, is here.
    fn ready(&self) -> bool {
        !self.done && (self.batches.contains_key(&self.next) || self.total == Some(self.next))
    }
}

/// The thread's state.
pub(super) struct Braid {
    setup: Setup,
    incoming: BTreeMap<PartitionId, Incoming>,
    /// Batches that came before their partition was announced.
    early: BTreeMap<PartitionId, Vec<(u64, Batch)>>,
    early_ends: BTreeMap<PartitionId, u64>,
    sources_ready: usize,
    partitions_expected: u64,
    started: bool,
    delivered: u64,
    committed: Span,
    published: Span,
    dirty: bool,
    report: Report,
    closed: bool,
}

impl Braid {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            incoming: BTreeMap::new(),
            early: BTreeMap::new(),
            early_ends: BTreeMap::new(),
            sources_ready: 0,
            partitions_expected: 0,
            started: false,
            delivered: 0,
            committed: Span::ZERO,
            published: Span::ZERO,
            dirty: false,
            report: Report::default(),
            closed: false,
        }
    }

    /// Runs until no source is left, or nobody takes records any more.
    pub(super) fn run(mut self, from_workers: Receiver<Parsed>) -> Report {
        let mut quiet_looks = 0;
        loop {
            let stepped = self.started && self.step();
            let message = if stepped {
                match from_workers.try_recv() {
                    Ok(message) => Some(message),
                    Err(std::sync::mpsc::TryRecvError::Empty) => None,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) if self.anything_ready() => None,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => break,
                }
            } else {
                match from_workers.recv_timeout(LOOK_EVERY) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => {
                        // Whoever never said that it was ready will not say it now.
                        if !self.started {
                            self.begin();
                        }
                        if !self.anything_ready() {
                            break;
                        }
                        None
                    }
                }
            };
            if let Some(message) = message {
                quiet_looks = 0;
                self.hear(message);
            } else if !stepped {
                self.look_at_silence();
                // A source that waits in a read of a pipe or terminal does not hear that it should end.
                quiet_looks += 1;
                if self.setup.control.is_stopped() && quiet_looks > QUIET_LOOKS_MAX {
                    break;
                }
            }
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

    fn anything_ready(&self) -> bool {
        self.started && self.incoming.values().any(Incoming::ready)
    }

    fn hear(&mut self, message: Parsed) {
        match message {
            Parsed::Batch { sequence, batch } => {
                let id = batch.source.partition;
                match self.incoming.get_mut(&id) {
                    Some(partition) => {
                        partition.heard = self.setup.clock.uptime();
                        partition.batches.insert(sequence, batch);
                    }
                    None => self.early.entry(id).or_default().push((sequence, batch)),
                }
            }
            Parsed::Message(Message::Open { source, identity, start, bounded, .. }) => {
                let id = source.partition;
                let name = source.name.clone();
                self.setup.engine.open(source, start);
                let batches = self.early.remove(&id).unwrap_or_default().into_iter().collect();
                let total = self.early_ends.remove(&id);
                let heard = self.setup.clock.uptime();
                let partition =
                    Incoming { name, identity, bounded, next: 0, batches, total, done: false, heard };
                self.incoming.insert(id, partition);
                self.dirty = true;
                self.begin_when_ready();
            }
            Parsed::Message(Message::Finish { partition, sequence }) => {
                match self.incoming.get_mut(&partition) {
                    Some(incoming) => incoming.total = Some(sequence),
                    None => {
                        self.early_ends.insert(partition, sequence);
                    }
                }
            }
            Parsed::Message(Message::Notice { fatal, text }) => {
                (self.setup.notice)(fatal, &text);
                if fatal {
                    self.report.lost_inputs.push(text);
                }
            }
            Parsed::Message(Message::Ready { partitions }) => {
                self.sources_ready += 1;
                self.partitions_expected = self.partitions_expected.max(partitions);
                self.begin_when_ready();
            }
            // Workers parse batches; none comes through as it was.
            Parsed::Message(Message::Batch { .. } | Message::Release { .. } | Message::Drop { .. }) => {}
        }
    }

    /// Begins when every source is ready and every partition that they began with has been heard of.
    fn begin_when_ready(&mut self) {
        let ready = self.sources_ready >= self.setup.sources
            && self.incoming.len() as u64 >= self.partitions_expected;
        if ready && !self.started {
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.started = true;
        self.setup.engine.resume();
        self.setup.metrics.health(|health| health.started = true);
    }

    /// Takes in one batch of the partition that is furthest behind. False when there is nothing to take, or the one
    /// that is furthest behind will show more soon and the others wait for it.
    fn step(&mut self) -> bool {
        let engine = &self.setup.engine;
        let next = self
            .incoming
            .iter()
            .filter(|(_, partition)| partition.ready() || (partition.bounded && !partition.done))
            .min_by_key(|(id, partition)| (engine.newest(**id), !partition.ready(), *id));
        let Some((&id, partition)) = next else { return false };
        if !partition.ready() {
            return false;
        }
        let Some(partition) = self.incoming.get_mut(&id) else { return false };
        self.dirty = true;
        if let Some(batch) = partition.batches.remove(&partition.next) {
            partition.next += 1;
            let live = &self.setup.metrics.live;
            live.bytes.fetch_add(batch.text.len() as u64, Ordering::Relaxed);
            live.events.fetch_add(batch.rows.len() as u64, Ordering::Relaxed);
            self.setup.engine.push(batch);
            self.setup.control.taken(id);
        } else {
            partition.done = true;
            self.setup.engine.finish(id);
        }
        self.deliver(false);
        true
    }

    /// A partition that has been silent for longer than `idle_after` no longer holds the others back.
    fn look_at_silence(&mut self) {
        if !self.started {
            return;
        }
        let now = self.setup.clock.uptime();
        let idle_after = self.setup.time.idle_after;
        let silent: Vec<(PartitionId, Span)> = self
            .incoming
            .iter()
            .filter(|(_, partition)| !partition.done && !partition.bounded)
            .map(|(id, partition)| (*id, Span::from_nanos(now.nanos() - partition.heard.nanos())))
            .filter(|(_, quiet)| *quiet >= idle_after)
            .collect();
        for (id, quiet) in silent {
            self.setup.engine.idle(id, quiet);
            self.dirty = true;
        }
        self.deliver(false);
    }

    fn deliver(&mut self, commit: bool) {
        let mut records = self.setup.engine.take();
        if records.is_empty() && !commit {
            return;
        }
        for record in &records {
            if let Record::Finding(finding) = record {
                self.report.worst = self.report.worst.max(Some(finding.severity));
            }
        }
        while records.len() > RECORDS_MAX {
            let rest = records.split_off(RECORDS_MAX);
            self.send(std::mem::replace(&mut records, rest), false);
        }
        self.send(records, commit);
    }

    fn send(&mut self, records: Vec<Record>, commit: bool) {
        self.delivered += 1;
        let made = self.setup.clock.uptime();
        let delivery = Arc::new(Delivery { number: self.delivered, records, made, commit });
        for sender in &self.setup.senders {
            // Waits while the sink is slow: the backpressure that reaches back to the sources.
            if sender.blocking_send(Arc::clone(&delivery)).is_err() {
                self.closed = true;
            }
        }
    }

    fn commit_if_due(&mut self) {
        let now = self.setup.clock.uptime();
        if self.setup.expect.is_none() || !self.started || !self.dirty {
            return;
        }
        if now.nanos() - self.committed.nanos() >= self.setup.commit_every.nanos() {
            self.committed = now;
            self.commit();
        }
    }

    /// Announces where a run may go on once everything so far is flushed, and asks the sinks to flush.
    fn commit(&mut self) {
        let Some(expect) = &self.setup.expect else { return };
        self.dirty = false;
        let commit = self.setup.engine.commit();
        let mut checkpoint = self.setup.start.clone();
        if commit.emitted_through != EventTime::MIN {
            checkpoint.delivered_through = Some(commit.emitted_through.nanos());
        }
        for (id, mark) in commit.marks {
            let Some(partition) = self.incoming.get(&id) else { continue };
            let done = partition.done && EventTime::from_nanos(mark.newest) >= self.setup.engine.newest(id);
            let place = Place { name: partition.name.clone(), mark, done };
            checkpoint.partitions.insert(partition.identity.clone(), place);
        }
        self.setup.start.clone_from(&checkpoint);
        if expect.blocking_send((self.delivered + 1, checkpoint)).is_err() {
            self.closed = true;
        }
        self.deliver(true);
    }

    fn end(&mut self) {
        let stopped = self.setup.control.is_stopped();
        let all_read = self.incoming.values().all(|partition| partition.done);
        if self.setup.expect.is_some() && stopped {
            // What is open stays open, even where a source has ended because it was asked to: the next run reads it
            // again and goes on.
            self.deliver(false);
        } else {
            let why = if all_read && !stopped { ClosedBy::EndOfInput } else { ClosedBy::Shutdown };
            self.setup.engine.end(why);
            self.deliver(false);
        }
        self.dirty = true;
        self.commit();
        self.publish(true);
        let counters: BTreeMap<String, u64> = self
            .setup
            .metrics
            .samples()
            .into_iter()
            .filter(|sample| sample.label.is_none())
            .map(|sample| (sample.name, u64::try_from(sample.value).unwrap_or(0)))
            .collect();
        self.report.counters.clone_from(&counters);
        self.send(vec![Record::Stats(Box::new(Stats::new(counters)))], false);
    }

    /// Publishes the engine's figures, every now and then.
    fn publish(&mut self, now: bool) {
        let uptime = self.setup.clock.uptime();
        if !now && uptime.nanos() - self.published.nanos() < PUBLISH_EVERY.nanos() {
            return;
        }
        self.published = uptime;
        let engine = &self.setup.engine;
        let counts = engine.counts();
        let mut samples = vec![
            Sample::new("events_total", counts.events),
            Sample::new("blank_lines_total", counts.blank),
            Sample::new("joined_lines_total", counts.joined),
            Sample::new("rejected_total", counts.rejected),
            Sample::new("read_bytes_total", counts.bytes),
            Sample::new("replayed_records_total", counts.replayed),
            Sample::new("untimed_events_total", counts.untimed),
            Sample::new("repeated_entries_total", counts.repeated),
            Sample::new("repeats_forgotten_total", counts.repeats_forgotten),
            Sample::new("headers_left_out_total", counts.headers_left_out),
            Sample::new("waiting_events", engine.waiting() as u64),
            Sample::new(
                "partitions",
                self.incoming.values().filter(|partition| !partition.done).count() as u64,
            ),
        ];
        if let Some(keys) = &self.setup.split_keys {
            samples.push(Sample::new("split_keys_total", keys.split()));
            if let Some(text) = keys.notice(uptime) {
                (self.setup.notice)(false, &text);
            }
        }
        let watermark = engine.watermark();
        if watermark.is_known() {
            samples.push(Sample::new("watermark_ms", watermark.nanos() / 1_000_000));
            let lag = engine.newest_of_all().since(watermark);
            samples.push(Sample::new("watermark_lag_ms", lag.nanos() / 1_000_000));
        }
        let hold = engine.hold();
        if hold.since.is_known() {
            let age = engine.newest_of_all().since(hold.since);
            samples.push(Sample::new("held_age_ms", age.nanos() / 1_000_000).label("by", hold.by));
        }
        for (source, lag) in engine.lags().into_iter().take(100) {
            samples.push(
                Sample::new("partition_lag_ms", lag.nanos() / 1_000_000).label("input", source.name.clone()),
            );
        }
        engine.metrics(&mut |operator, name, value| {
            samples.push(Sample::new(format!("{operator}_{name}"), value));
        });
        self.setup.metrics.publish(samples);
    }
}
