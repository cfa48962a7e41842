//! `keep --reservoir`: some lines of the whole input, chosen in one pass by the strategies of the question `sample`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{
    Event, EventTime, Flags, Id, KeyKind, Level, Record, RecordKind, Source, write_original,
};
use logbraid_query::sample::{Candidate, Chosen, Population, Strategy};
use serde_json::{Value, json};

use crate::cli::{Fault, tell};
use crate::render::text::escaped;

/// Records that it looks at: what came late is a part of the input, too.
pub(super) const TAKE: [RecordKind; 3] = [RecordKind::Entries, RecordKind::Late, RecordKind::Rejects];

/// A line as long as it may be chosen.
struct Line {
    time: EventTime,
    level: Option<Level>,
    template: Id,
    thread: Option<Box<str>>,
    service: Option<Box<str>>,
    source: Arc<Source>,
    /// Of the source's name.
    hash: u64,
    offset: u64,
    flags: Flags,
    raw: Box<[u8]>,
}

#[derive(Clone)]
struct Shared(Arc<Line>);

impl Shared {
    fn place(&self) -> (EventTime, &str, u64) {
        (self.0.time, &self.0.source.name, self.0.offset)
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}
impl Eq for Shared {}
impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Shared {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl Candidate for Shared {
    fn time(&self) -> EventTime {
        self.0.time
    }
    fn level(&self) -> Option<Level> {
        self.0.level
    }
    fn template(&self) -> Id {
        self.0.template
    }
    fn thread(&self) -> Option<&str> {
        self.0.thread.as_deref()
    }
    fn service(&self) -> Option<&str> {
        self.0.service.as_deref()
    }
    fn input(&self) -> &str {
        &self.0.source.name
    }
    fn offset(&self) -> u64 {
        self.0.offset
    }
    fn input_hash(&self, _: &mut Vec<(usize, u64)>) -> u64 {
        self.0.hash
    }
}

/// What was seen, and what of it may be chosen.
struct State {
    population: Population<Shared>,
    seen: BTreeMap<Option<Level>, u64>,
    rejected: u64,
    /// The source of the last line, and the hash of its name.
    source: Option<(Arc<Source>, u64)>,
}

impl State {
    fn add(&mut self, event: &Event) {
        let source = event.source();
        let hash = match &self.source {
            Some((known, hash)) if Arc::ptr_eq(known, source) => *hash,
            _ => {
                let hash = Id::of(&[&source.name]).0;
                self.source = Some((Arc::clone(source), hash));
                hash
            }
        };
        let row = event.row();
        *self.seen.entry(row.level).or_default() += 1;
        self.population.add(Shared(Arc::new(Line {
            time: event.time(),
            level: row.level,
            template: event.template(),
            thread: event.key(KeyKind::Thread).map(Into::into),
            service: event.service().map(Into::into),
            source: Arc::clone(source),
            hash,
            offset: row.offset,
            flags: event.flags(),
            raw: event.raw_bytes().into(),
        })));
    }
}

/// Chooses lines while they come. Cheap to clone: the sink has one, and whoever prints has one.
#[derive(Clone)]
pub(super) struct Reservoir {
    size: usize,
    strategy: Strategy,
    seed: u64,
    state: Arc<Mutex<State>>,
}

impl Reservoir {
    pub(super) fn new(size: usize, strategy: Strategy, seed: u64) -> Self {
        let population = Population::new(strategy, size, seed, None);
        let state = State { population, seen: BTreeMap::new(), rejected: 0, source: None };
        Self { size, strategy, seed, state: Arc::new(Mutex::new(state)) }
    }

    /// What must have looked at the lines before.
    pub(super) fn operators(&self) -> Vec<Value> {
        match self.strategy {
            Strategy::Diverse | Strategy::ErrorsFocused => vec![json!({ "templates": {} })],
            _ => Vec::new(),
        }
    }

    /// Prints what was chosen, in the order of time, and returns what is told of it. Whoever closes the output has enough.
    pub(super) fn print(&self, out: &mut dyn Write, explain: bool) -> Result<String, Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = Population::new(Strategy::Head, 0, 0, None);
        let mut chosen = std::mem::replace(&mut state.population, empty).choose();
        chosen.sort_by(|a, b| a.entry.cmp(&b.entry));
        let (mut bytes, mut kept) = (Vec::new(), BTreeMap::<Option<Level>, u64>::new());
        for Chosen { entry: Shared(line), reason } in &chosen {
            write_original(&line.raw, line.flags, &mut bytes);
            *kept.entry(line.level).or_default() += 1;
            if explain {
                let message = String::from_utf8_lossy(&line.raw);
                let message = escaped(message.lines().next().unwrap_or_default(), true);
                let message: String = message.chars().take(100).collect();
                tell(&format!("keep {reason:<36} {}:{}  {message}\n", line.source.name, line.offset));
            }
        }
        match out.write_all(&bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(Fault::Failure(format!("cannot write: {error}")));
            }
            _ => {}
        }
        let all: u64 = state.seen.values().sum();
        let name = serde_json::to_value(self.strategy).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        let share = 100.0 * chosen.len() as f64 / all.max(1) as f64;
        let mut text = format!(
            "kept {} of {all} lines ({share:.3} %): strategy {name}, size {}, seed {}\n",
            chosen.len(),
            self.size,
            self.seed
        );
        for (level, count) in state.seen.iter().rev() {
            let name = level.map_or("no level", Level::name);
            let kept = kept.get(level).copied().unwrap_or(0);
            let _ = writeln!(text, "  {name:<12} {kept} of {count} lines");
        }
        if state.rejected > 0 {
            let _ = writeln!(
                text,
                "note: {} lines are not in the format, and were not chosen from",
                state.rejected
            );
        }
        Ok(text)
    }
}

impl Sink for Reservoir {
    fn name(&self) -> &'static str {
        "reservoir"
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        // A std mutex: held for one delivery, never across an await.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            match record {
                Record::Entry(event) => state.add(event),
                Record::Reject(_) => state.rejected += 1,
                _ => {}
            }
        }
        drop(state);
        Box::pin(std::future::ready(Ok(())))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
