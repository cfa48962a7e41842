//! Runs a world through the engine, calmly or in a storm.

use std::collections::VecDeque;
use std::sync::Arc;

use logbraid_core::progress::{Commit, Mark, TimeSettings};
use logbraid_core::{ClosedBy, EventTime, PartitionId, Source, Span};
use logbraid_parse::{Compiled, Framing, Parser, RawBatch, Settings};
use logbraid_runtime::engine::Engine;
use serde_json::json;

use super::Outcome;
use super::world::{self, MAX_DELAY_MS, Partition, T0_MS};
use crate::chain::{self, Steps};
use crate::generate::random::Random;
use crate::judge::Calm;

/// Everything that the world decides before anything runs.
struct Setup {
    partitions: Vec<Partition>,
    /// Some lines are later than allowed.
    late: bool,
    steps: Steps,
    time: TimeSettings,
    entries: bool,
    parse: Arc<Compiled>,
}

impl Setup {
    fn new(random: &mut Random) -> Result<Self, String> {
        let (partitions, late) = world::partitions(random);
        let millis =
            |least: u64, most: u64, random: &mut Random| format!("{}ms", random.between(least, most));
        let mut steps = chain::steps();
        for (name, settings) in &mut steps {
            match *name {
                "thread" => *settings = json!({ "carry": millis(200, 3_000, random) }),
                "correlate" => {
                    *settings = json!({
                        "gap": millis(1_000, 10_000, random),
                        "max_span": millis(20_000, 60_000, random),
                        "max_entries": random.between(8, 40),
                    });
                }
                _ => {}
            }
        }
        let time = TimeSettings {
            max_delay: Span::from_millis(i64::try_from(MAX_DELAY_MS).unwrap_or(0)),
            idle_after: Span::from_seconds(3),
            allowed_lateness: Span::from_seconds(5),
            tick: Span::from_millis(100),
        };
        let parse = Arc::new(Settings::default().compile().map_err(|error| error.to_string())?);
        Ok(Self { partitions, late, steps, time, entries: random.chance(50), parse })
    }

    fn engine(&self, commit: Option<&Commit>) -> Result<(Engine, Parser, Vec<usize>), String> {
        let (chain, fields) =
            chain::chain(&self.steps, self.time, self.entries).map_err(|error| error.to_string())?;
        let through = commit.map_or(EventTime::MIN, |commit| commit.emitted_through);
        let mut engine = Engine::new(Arc::clone(&self.parse), fields.clone(), chain, self.time, through);
        let mut cursors = Vec::new();
        for (at, partition) in self.partitions.iter().enumerate() {
            let source = source(at);
            let mark =
                commit.and_then(|commit| commit.marks.get(&source.partition).copied()).unwrap_or(Mark::START);
            let cursor = partition.line_at(mark.offset).ok_or_else(|| {
                format!("partition {at} resumes at byte {}, where no line begins", mark.offset)
            })?;
            if cursor as u64 + 1 != mark.line {
                return Err(format!(
                    "partition {at} resumes at line {}, which is line {}",
                    mark.line,
                    cursor + 1
                ));
            }
            cursors.push(cursor);
            engine.open(source, mark);
        }
        engine.resume();
        Ok((engine, Parser::new(Arc::clone(&self.parse), &fields), cursors))
    }

    /// Lines `from..to` of a partition as one read.
    fn batch(&self, partition: usize, from: usize, to: usize) -> RawBatch {
        let lines = &self.partitions[partition];
        RawBatch {
            source: source(partition),
            bytes: lines.lines[from..to].iter().flat_map(|line| line.bytes.iter().copied()).collect(),
            framing: Framing::Lines { offset: lines.offset(from), line: from as u64 + 1 },
            // A record without any time takes this; it must not depend on the storm.
            ingest: EventTime::from_millis(i64::try_from(T0_MS).unwrap_or(0)),
        }
    }
}

fn source(partition: usize) -> Arc<Source> {
    let id = PartitionId(u32::try_from(partition).unwrap_or(0));
    Arc::new(Source::lines(format!("partition-{partition}"), id))
}

fn texts(engine: &mut Engine) -> Vec<String> {
    // Records are plain data: they always have a JSON form.
    engine.take().iter().map(|record| serde_json::to_string(record).unwrap_or_default()).collect()
}

pub(super) fn seed(seed: u64) -> Result<Outcome, String> {
    let mut random = Random::new(seed);
    let setup = Setup::new(&mut random)?;
    // In a live world, silence moves the watermark: it would depend on the storm which lines are late.
    let live = !setup.late && random.chance(50);
    let calm = calm(&setup, live)?;
    let (stormy, crashes) = Storm::new(&setup, random, live)?.run()?;
    let verdict = Calm::new(calm.iter().map(String::as_str)).judge(stormy.iter().map(String::as_str));
    let lines = setup.partitions.iter().map(|partition| partition.lines.len()).sum();
    Ok(Outcome { verdict, crashes, lines, live })
}

/// All partitions read in the order of arrival, one line at a time, to their end.
fn calm(setup: &Setup, live: bool) -> Result<Vec<String>, String> {
    let (mut engine, mut parser, mut cursors) = setup.engine(None)?;
    let mut out = Vec::new();
    loop {
        let next = (0..cursors.len())
            .filter_map(|at| Some((setup.partitions[at].lines.get(cursors[at])?.arrives_ms, at)))
            .min();
        let Some((_, at)) = next else { break };
        engine.push(parser.parse(setup.batch(at, cursors[at], cursors[at] + 1)));
        cursors[at] += 1;
        out.append(&mut texts(&mut engine));
    }
    end(&mut engine, cursors.len(), live);
    out.append(&mut texts(&mut engine));
    Ok(out)
}

/// Ends a run. In a live world silence comes first: else it would depend on the storm's length whether a request was
/// closed by silence or by the end.
fn end(engine: &mut Engine, partitions: usize, live: bool) {
    if live {
        for at in 0..partitions {
            engine.idle(id(at), Span::from_seconds(3600));
        }
    }
    engine.end(ClosedBy::EndOfInput);
}

struct Storm<'a> {
    setup: &'a Setup,
    random: Random,
    /// Time passes as lines arrive; else everything is there from the beginning.
    live: bool,
    clock_ms: u64,
    engine: Engine,
    parser: Parser,
    cursors: Vec<usize>,
    last_read_ms: Vec<u64>,
    idle: Vec<bool>,
    ended: Vec<bool>,
    /// Written, not yet confirmed: records, and the commit that holds once they are.
    pending: VecDeque<(Vec<String>, Commit)>,
    durable: Vec<String>,
    commit: Option<Commit>,
    crashes: u64,
    crash_percent: u64,
    ack_percent: u64,
}

/// Writes that a sink may owe before the source has to wait.
const PENDING_MAX: usize = 12;

impl<'a> Storm<'a> {
    fn new(setup: &'a Setup, mut random: Random, live: bool) -> Result<Self, String> {
        let (engine, parser, cursors) = setup.engine(None)?;
        let count = cursors.len();
        Ok(Self {
            setup,
            live,
            clock_ms: 0,
            engine,
            parser,
            cursors,
            last_read_ms: vec![0; count],
            idle: vec![false; count],
            ended: vec![false; count],
            pending: VecDeque::new(),
            durable: Vec::new(),
            commit: None,
            crashes: 0,
            crash_percent: random.below(6),
            ack_percent: random.between(5, 100),
            random,
        })
    }

    fn run(mut self) -> Result<(Vec<String>, u64), String> {
        // A world ends: crashes stop after a while, and every step reads, waits or confirms.
        let mut steps = 0_u64;
        while !self.all_read() {
            steps += 1;
            if steps > 1_000_000 {
                return Err("the storm does not end".to_owned());
            }
            if self.live {
                self.live_step();
            } else {
                self.files_step();
            }
            self.deliver();
            if self.crashes < 12 && self.random.chance(self.crash_percent) {
                self.crash()?;
            }
        }
        end(&mut self.engine, self.cursors.len(), self.live);
        let mut last = texts(&mut self.engine);
        for (mut records, _) in self.pending.drain(..) {
            self.durable.append(&mut records);
        }
        self.durable.append(&mut last);
        Ok((self.durable, self.crashes))
    }

    fn all_read(&self) -> bool {
        self.cursors.iter().zip(&self.setup.partitions).all(|(at, partition)| *at >= partition.lines.len())
    }

    fn read(&mut self, partition: usize, to: usize) {
        let from = self.cursors[partition];
        let batch = self.setup.batch(partition, from, to);
        self.engine.push(self.parser.parse(batch));
        self.cursors[partition] = to;
        self.last_read_ms[partition] = self.clock_ms;
        self.idle[partition] = false;
    }

    /// Reads some lines of any partition; at its end a partition may finish before the others.
    fn files_step(&mut self) {
        let at = usize::try_from(self.random.below(self.cursors.len() as u64)).unwrap_or(0);
        let lines = self.setup.partitions[at].lines.len();
        let from = self.cursors[at];
        if from < lines {
            let most = if self.random.chance(20) { 200 } else { 9 };
            let count = usize::try_from(self.random.between(1, most)).unwrap_or(1);
            self.read(at, (from + count).min(lines));
        } else if !self.ended[at] && self.random.chance(50) {
            self.engine.finish(id(at));
            self.ended[at] = true;
        }
    }

    /// Lets time pass, reads some of what has arrived, and calls silent partitions idle.
    fn live_step(&mut self) {
        let unread = self.cursors.iter().zip(&self.setup.partitions).filter_map(|(at, p)| p.lines.get(*at));
        let next_ms = unread.map(|line| line.arrives_ms).min().unwrap_or(self.clock_ms);
        let step_ms = self.random.below(1_500);
        self.clock_ms =
            if self.clock_ms < next_ms && self.random.chance(50) { next_ms } else { self.clock_ms + step_ms };
        // An idle partition holds nobody back: what arrives there is read at once, or it would rightly be late.
        let awake = (0..self.cursors.len())
            .filter(|at| self.idle[*at])
            .filter_map(|at| Some((self.setup.partitions[at].lines.get(self.cursors[at])?.arrives_ms, at)))
            .filter(|(arrives_ms, _)| *arrives_ms <= self.clock_ms)
            .min();
        if let Some((arrives_ms, at)) = awake {
            self.clock_ms = arrives_ms;
            let from = self.cursors[at];
            self.read(at, self.whole_write(at, from, from + 1));
        }
        for at in 0..self.cursors.len() {
            let from = self.cursors[at];
            let arrived = self.setup.partitions[at].lines[from..]
                .iter()
                .take_while(|line| line.arrives_ms <= self.clock_ms)
                .count();
            if arrived > 0 {
                if self.random.chance(70) {
                    let count = usize::try_from(self.random.between(1, arrived as u64)).unwrap_or(1);
                    self.read(at, self.whole_write(at, from, from + count));
                }
                continue;
            }
            let quiet_ms = self.clock_ms - self.last_read_ms[at];
            let quiet = Span::from_millis(i64::try_from(quiet_ms).unwrap_or(0));
            if quiet > self.setup.time.idle_after {
                self.engine.idle(id(at), quiet);
                self.idle[at] = true;
            }
        }
    }

    /// What was written at one go is read before its partition can count as silent.
    fn whole_write(&self, partition: usize, from: usize, to: usize) -> usize {
        let lines = &self.setup.partitions[partition].lines;
        let arrived_ms = lines[to - 1].arrives_ms;
        to + lines[to..].iter().take_while(|line| to > from && line.arrives_ms == arrived_ms).count()
    }

    fn deliver(&mut self) {
        let records = texts(&mut self.engine);
        if !records.is_empty() || self.random.chance(30) {
            let commit = self.engine.commit();
            self.pending.push_back((records, commit));
        }
        while self.pending.len() > PENDING_MAX || self.random.chance(self.ack_percent.min(90)) {
            let Some((mut records, commit)) = self.pending.pop_front() else { break };
            self.durable.append(&mut records);
            self.commit = Some(commit);
        }
    }

    /// Everything in memory is gone. Some of what was written had reached its place, but nobody had said so.
    fn crash(&mut self) -> Result<(), String> {
        self.crashes += 1;
        let owed: usize = self.pending.iter().map(|(records, _)| records.len()).sum();
        let survived = usize::try_from(self.random.below(owed as u64 + 1)).unwrap_or(0);
        let records = self.pending.drain(..).flat_map(|(records, _)| records);
        self.durable.extend(records.take(survived));
        (self.engine, self.parser, self.cursors) = self.setup.engine(self.commit.as_ref())?;
        self.last_read_ms.fill(self.clock_ms);
        self.idle.fill(false);
        self.ended.fill(false);
        Ok(())
    }
}

fn id(partition: usize) -> PartitionId {
    PartitionId(u32::try_from(partition).unwrap_or(0))
}
