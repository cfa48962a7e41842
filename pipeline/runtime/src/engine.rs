//! The engine: everything between parsed batches and records, without threads, channels or a clock.
//!
//! ```text
//!  Batch ─► Assembler ─► Progress ─► TimeOrder ─► Chain ─► records that are due
//!           per partition   watermarks   by event time         minus those that an earlier run delivered
//! ```
//!
//! The runtime drives it from one thread; replay, tests and the simulator call it in a loop, and get the same records.

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::chain::Hold;
use logbraid_core::operator::Due;
use logbraid_core::progress::{Commit, Mark, Progress, TimeSettings};
use logbraid_core::record::Reason;
use logbraid_core::{
    Batch, Chain, ClosedBy, Element, Event, EventTime, Fields, PartitionId, Position, Record, Reject, Source,
    Span, TimeOrder,
};
use logbraid_parse::{Assembler, Compiled};

use crate::repeats::{self, Repeats};
use crate::split_keys::{self, SplitKeys};

/// One partition's side of the engine.
#[derive(Debug)]
struct Partition {
    source: Arc<Source>,
    assembler: Assembler,
    newest: EventTime,
    start: Mark,
    /// What stands for it where ids are watched; none where state is not kept per partition.
    print: Option<u64>,
}

/// Counters of an engine.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records that were parsed and released to the operators.
    pub events: u64,
    /// Blank lines.
    pub blank: u64,
    /// Lines that were joined to the record before them.
    pub joined: u64,
    /// Records that are not in the format that was forced.
    pub rejected: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Records that an earlier run had delivered.
    pub replayed: u64,
    /// Events without a time of their own.
    pub untimed: u64,
    /// Entries that an earlier stage handed over twice.
    pub repeated: u64,
    /// Ids of such entries that were forgotten before their time because there were too many.
    pub repeats_forgotten: u64,
    /// Headers that did not become fields because they are not text.
    pub headers_left_out: u64,
}

/// Batches in, records out.
pub struct Engine {
    parse: Arc<Compiled>,
    fields: Fields,
    chain: Chain,
    progress: Progress,
    order: TimeOrder,
    partitions: BTreeMap<PartitionId, Partition>,
    delivered_through: EventTime,
    repeats: Repeats,
    split_keys: Option<Arc<SplitKeys>>,
    events: Vec<Event>,
    elements: Vec<Element>,
    due: Vec<Due>,
    records: Vec<Record>,
    counts: Counts,
}

impl Engine {
    /// An engine that stays silent about records that became due at or before `delivered_through`:
    /// [`EventTime::MIN`] for a first run, else what the last commit says.
    pub fn new(
        parse: Arc<Compiled>,
        fields: Fields,
        chain: Chain,
        time: TimeSettings,
        delivered_through: EventTime,
    ) -> Self {
        Self {
            parse,
            fields,
            chain,
            progress: Progress::new(time),
            order: TimeOrder::new(time.tick),
            partitions: BTreeMap::new(),
            delivered_through,
            repeats: Repeats::new(time.allowed_lateness + time.max_delay + repeats::OPEN),
            split_keys: None,
            events: Vec::new(),
            elements: Vec::new(),
            due: Vec::new(),
            records: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Watches for requests whose entries are in several partitions; all engines of a run share `keys`.
    #[must_use]
    pub fn with_split_keys(mut self, keys: Option<Arc<SplitKeys>>) -> Self {
        self.split_keys = keys;
        self
    }

    /// Begins a partition at `start`.
    pub fn open(&mut self, source: Arc<Source>, start: Mark) {
        let id = source.partition;
        let carried = EventTime::from_nanos(start.carried);
        let assembler = Assembler::new(&self.parse, carried).with_fields(&self.parse, &self.fields);
        self.progress.open(id, start);
        let newest = EventTime::from_nanos(start.newest);
        let keyed = matches!(source.position, Position::Kafka { .. });
        let print = keyed.then(|| split_keys::print(&source.name));
        self.partitions.insert(id, Partition { source, assembler, newest, start, print });
    }

    /// Sets the watermark as it stood where all partitions resume. Call it once, before the first batch.
    pub fn resume(&mut self) {
        let seen =
            self.partitions.values().map(|partition| EventTime::from_nanos(partition.start.newest)).max();
        self.chain.whole_after(seen.unwrap_or(EventTime::MIN));
        // Another instance may hold its neighbours, and count the same findings there.
        if let Some(only) = self.partitions.values().next().filter(|only| only.print.is_some())
            && self.partitions.len() == 1
        {
            self.chain.within(&only.source.name);
        }
        if let Some(watermark) = self.progress.resume() {
            self.pass(watermark);
            self.run();
        }
    }

    /// Takes the next batch of a partition, in the order in which it was read.
    pub fn push(&mut self, batch: Batch) {
        let id = batch.source.partition;
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        self.counts.blank += u64::from(batch.blank);
        self.counts.bytes += batch.bytes;
        self.counts.headers_left_out += u64::from(batch.headers_left_out);
        // Its last record may wait in the assembler; until it is out, it must hold the watermark.
        self.progress.wake(id);
        partition.assembler.push(batch, &mut self.events);
        self.release(id);
    }

    /// Hands the events that an assembler released to the chain, with watermarks where they belong.
    fn release(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let mut events = std::mem::take(&mut self.events);
        let taken = partition.start.taken;
        for mut event in events.drain(..) {
            let again = taken > 0 && event.position() < taken;
            if event.is_rejected() {
                self.counts.rejected += 1;
                if again {
                    self.counts.replayed += 1;
                    continue;
                }
                let record = Record::Reject(Box::new(Reject::new(&event, Reason::WrongFormat)));
                self.due.push(Due { due: EventTime::MIN, record });
                continue;
            }
            let time = event.time();
            // What the watermark had not passed when that was committed has made nothing yet.
            if again && time < self.delivered_through {
                event.mark_told();
            }
            if event.is_handed_over() && self.repeats.is_repeat(&event) {
                self.counts.repeated += 1;
                continue;
            }
            if let (Some(keys), Some(print)) = (&self.split_keys, partition.print) {
                keys.see(print, &event);
            }
            self.counts.events += 1;
            self.counts.untimed += u64::from(event.row().time_from != logbraid_core::TimeFrom::Event);
            partition.newest = partition.newest.max(time);
            if time < self.progress.watermark() {
                // Late: it is never in order, and must not wait for a watermark that has passed.
                self.elements.push(Element::Event(event));
            } else {
                self.order.push(event);
            }
            if let Some(watermark) = self.progress.observe(id, time) {
                self.order.release(watermark, &mut self.elements);
                self.elements.push(Element::Watermark(watermark));
                self.repeats.pass(watermark);
            }
        }
        self.events = events;
        let (offset, line, carried) = partition.assembler.mark();
        // Before its first record, an assembler knows no position but the one it began at.
        let offset = offset.max(partition.start.offset);
        let line = line.max(partition.start.line);
        let mark =
            Mark { offset, line, newest: partition.newest.nanos(), carried: carried.nanos(), taken: 0 };
        self.progress.taken(id, mark);
        self.run();
    }

    /// A partition has been silent for `quiet`, longer than `idle_after`: what it holds back is released, and it no
    /// longer holds the others.
    pub fn idle(&mut self, id: PartitionId, quiet: Span) {
        self.flush(id);
        if let Some(watermark) = self.progress.idle(id, quiet) {
            self.pass(watermark);
            self.run();
        }
    }

    /// A partition has ended.
    pub fn finish(&mut self, id: PartitionId) {
        self.flush(id);
        if let Some(watermark) = self.progress.finish(id) {
            self.pass(watermark);
            self.run();
        }
    }

    fn flush(&mut self, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.assembler.flush(&mut self.events);
            self.release(id);
        }
    }

    /// Closes everything that is open. Nothing may follow.
    pub fn end(&mut self, why: ClosedBy) {
        let open: Vec<PartitionId> = self.partitions.keys().copied().collect();
        for id in open {
            self.finish(id);
        }
        self.chain.ending(why);
        self.pass(EventTime::MAX);
        self.run();
    }

    fn pass(&mut self, watermark: EventTime) {
        self.order.release(watermark, &mut self.elements);
        self.elements.push(Element::Watermark(watermark));
        self.repeats.pass(watermark);
    }

    fn run(&mut self) {
        self.chain.push(&mut self.elements, &mut self.due);
        for due in self.due.drain(..) {
            if due.due > self.delivered_through || due.due == EventTime::MIN {
                self.records.push(due.record);
            } else {
                self.counts.replayed += 1;
            }
        }
    }

    /// The records that became due since the last call, in order.
    pub fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// From where a run may go on once everything taken so far has been delivered.
    pub fn commit(&mut self) -> Commit {
        let watermark = self.chain.watermark();
        let through = if watermark == EventTime::MAX { self.progress.watermark() } else { watermark };
        self.progress.commit(self.hold().since, through.max(self.delivered_through))
    }

    /// What operators have learned since this was last asked, by their names, for the commit of this moment.
    pub fn learned(&mut self) -> Vec<(&'static str, String)> {
        let since = self.hold().since;
        self.chain.learned(since)
    }
    /// Gives operators back what an earlier run had learned; returns the names of those that could not use it. Call it
    /// before the first batch.
    pub fn recall(&mut self, learned: &BTreeMap<String, String>) -> Vec<&'static str> {
        self.chain.recall(learned)
    }

    /// What holds the commit back.
    pub fn hold(&self) -> Hold {
        let hold = self.chain.hold();
        let watermark = self.chain.watermark();
        // Events that wait for the watermark are all at or after it.
        if self.order.waiting() > 0 && watermark < hold.since {
            Hold { since: watermark, by: "order" }
        } else {
            hold
        }
    }
    /// How many events wait for the watermark.
    pub const fn waiting(&self) -> usize {
        self.order.waiting()
    }
    /// The watermark that has passed through the chain.
    pub const fn watermark(&self) -> EventTime {
        self.chain.watermark()
    }
    /// The newest event time of a partition.
    pub fn newest(&self, id: PartitionId) -> EventTime {
        self.partitions.get(&id).map_or(EventTime::MIN, |partition| partition.newest)
    }
    /// The newest event time of all.
    pub const fn newest_of_all(&self) -> EventTime {
        self.progress.newest()
    }
    /// True when every partition has ended.
    pub fn all_finished(&self) -> bool {
        self.progress.all_finished()
    }
    /// Counters.
    pub fn counts(&self) -> Counts {
        let joined = self.partitions.values().map(|partition| partition.assembler.joined_lines()).sum();
        Counts { joined, repeats_forgotten: self.repeats.forgotten(), ..self.counts }
    }
    /// Reports every operator's counters and gauges as (operator, name, value).
    pub fn metrics(&self, report: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.chain.metrics(report);
    }
    /// How far each partition is behind the newest event of all.
    pub fn lags(&self) -> Vec<(Arc<Source>, Span)> {
        self.progress
            .lags()
            .filter_map(|(id, lag)| Some((Arc::clone(&self.partitions.get(&id)?.source), lag)))
            .collect()
    }
}
