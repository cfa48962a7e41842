//! Drives an engine over bytes in memory: for configuration tests, property tests and the simulator.

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::progress::{Commit, Mark, TimeSettings};
use logbraid_core::{Chain, ClosedBy, EventTime, Fields, PartitionId, Record, Source, Span};
use logbraid_parse::{Compiled, Framing, Parser, RawBatch};

use crate::engine::Engine;

/// One input of a replay: a name and all its bytes.
#[derive(Clone)]
pub struct Feed {
    /// The input's name, as records show it.
    pub name: String,
    /// Its bytes: whole lines.
    pub bytes: Arc<[u8]>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:\n{}", self.name, String::from_utf8_lossy(&self.bytes))
    }
}

/// A run over feeds that the caller drives, line by line.
pub struct Replay {
    engine: Engine,
    parser: Parser,
    feeds: Vec<Position>,
    now: EventTime,
}

struct Position {
    source: Arc<Source>,
    bytes: Arc<[u8]>,
    at: usize,
    line: u64,
}

impl Replay {
    /// Begins a run over `feeds`, from the beginning or from a commit of an earlier one. The time of day is `now`.
    pub fn new(
        parse: &Arc<Compiled>,
        fields: &Fields,
        chain: Chain,
        time: TimeSettings,
        feeds: &[Feed],
        from: Option<&Commit>,
        now: EventTime,
    ) -> Self {
        let delivered = from.map_or(EventTime::MIN, |commit| commit.emitted_through);
        let mut engine = Engine::new(Arc::clone(parse), fields.clone(), chain, time, delivered);
        let mut positions = Vec::new();
        for (number, feed) in (0_u32..).zip(feeds) {
            let id = PartitionId(number);
            let mark = from.and_then(|commit| commit.marks.get(&id)).copied().unwrap_or(Mark::START);
            let mut source = Source::lines(feed.name.clone(), id);
            source.reader = parse.reader();
            let source = Arc::new(source);
            engine.open(Arc::clone(&source), mark);
            let at = usize::try_from(mark.offset).unwrap_or(usize::MAX).min(feed.bytes.len());
            positions.push(Position { source, bytes: Arc::clone(&feed.bytes), at, line: mark.line });
        }
        engine.resume();
        Self { engine, parser: Parser::new(Arc::clone(parse), fields), feeds: positions, now }
    }

    /// Lets the next `lines` lines of a feed in, as one batch. False when it has no more.
    pub fn read(&mut self, feed: usize, lines: usize) -> bool {
        let Some(position) = self.feeds.get_mut(feed) else { return false };
        let rest = position.bytes.get(position.at..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let mut taken = 0;
        let mut count = 0;
        for line in rest.split_inclusive(|byte| *byte == b'\n').take(lines.max(1)) {
            taken += line.len();
            count += 1;
        }
        let framing = Framing::Lines { offset: position.at as u64, line: position.line };
        let bytes = rest[..taken].to_vec();
        position.at += taken;
        position.line += count;
        let source = Arc::clone(&position.source);
        let batch = self.parser.parse(RawBatch { source, bytes, framing, ingest: self.now });
        self.engine.push(batch);
        true
    }

    /// True when a feed has no more.
    pub fn is_read(&self, feed: usize) -> bool {
        self.feeds.get(feed).is_none_or(|position| position.at >= position.bytes.len())
    }

    /// Says that a feed has ended.
    pub fn finish(&mut self, feed: usize) {
        if let Some(position) = self.feeds.get(feed) {
            self.engine.finish(position.source.partition);
        }
    }

    /// Lets `quiet` time pass in which no feed showed anything.
    pub fn silence(&mut self, quiet: Span) {
        self.now = self.now + quiet;
        let ids: Vec<PartitionId> = self.feeds.iter().map(|position| position.source.partition).collect();
        for id in ids {
            self.engine.idle(id, quiet);
        }
    }

    /// Ends the run.
    pub fn end(&mut self, why: ClosedBy) {
        self.engine.end(why);
    }

    /// The records that became due.
    pub fn take(&mut self) -> Vec<Record> {
        self.engine.take()
    }

    /// From where a run may go on, if everything taken so far was delivered.
    pub fn commit(&mut self) -> Commit {
        self.engine.commit()
    }

    /// What operators have learned, to go with a commit of this moment.
    pub fn learned(&mut self) -> Vec<(&'static str, String)> {
        self.engine.learned()
    }
    /// Gives operators back what an earlier run had learned, before anything is read.
    pub fn recall(&mut self, learned: &BTreeMap<String, String>) -> Vec<&'static str> {
        self.engine.recall(learned)
    }

    /// The engine, for its figures.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Reads everything, all feeds in turn, `lines` lines at a time, and ends.
    pub fn run(mut self, lines: usize) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            let mut any = false;
            for feed in 0..self.feeds.len() {
                any |= self.read(feed, lines);
            }
            records.append(&mut self.take());
            if !any {
                break;
            }
        }
        self.end(ClosedBy::EndOfInput);
        records.append(&mut self.take());
        records
    }

    /// How far each feed has been read, in bytes.
    pub fn positions(&self) -> BTreeMap<String, usize> {
        self.feeds.iter().map(|position| (position.source.name.clone(), position.at)).collect()
    }
}
