//! Where the time goes: each stage alone, on one thread, with what it allocates.
//!
//! Operators are timed as differences: a chain of the first three less a chain of the first two is the third. Events,
//! groups and records are dropped inside the stage that consumes them, as they are in life.

use std::io;
use std::sync::Arc;

use logbraid_core::operator::Due;
use logbraid_core::progress::{Mark, Progress, TimeSettings};
use logbraid_core::{Batch, Element, Event, EventTime, PartitionId, Source, TimeOrder};
use logbraid_parse::{Assembler, Compiled, Framing, Parser, RawBatch, Settings};

use super::table::{Table, ns_per_line};
use crate::alloc::Count;
use crate::chain::{self, Steps};
use crate::stopwatch::{Stopwatch, median};

/// Bytes that are read and parsed together.
const READ_BYTES: usize = 256 * 1024;

/// One pass of a stage.
#[derive(Clone, Copy, Debug)]
struct Pass {
    seconds: f64,
    count: Count,
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Pass) {
    let before = Count::now();
    let watch = Stopwatch::start();
    let result = work();
    let seconds = watch.seconds();
    (result, Pass { seconds, count: Count::now().since(before) })
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Whole lines of `text`, about [`READ_BYTES`] at a time.
fn reads(text: &[u8], source: &Arc<Source>) -> Vec<RawBatch> {
    let (mut out, mut from, mut line) = (Vec::new(), 0, 1);
    while from < text.len() {
        let to = (from + READ_BYTES).min(text.len());
        let end = memchr::memrchr(b'\n', &text[from..to]).map_or(text.len(), |at| from + at + 1);
        let bytes = text[from..end].to_vec();
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64;
        let framing = Framing::Lines { offset: from as u64, line };
        out.push(RawBatch { source: Arc::clone(source), bytes, framing, ingest: EventTime::MIN });
        (from, line) = (end, line + lines);
    }
    out
}

struct Stages<'a> {
    text: &'a [u8],
    source: Arc<Source>,
    parse: Arc<Compiled>,
    time: TimeSettings,
    steps: Steps,
}

impl Stages<'_> {
    fn parse(&self, reads: Vec<RawBatch>) -> io::Result<(Vec<Batch>, Pass)> {
        let (_, fields) = chain::operators(&self.steps, self.time).map_err(other)?;
        let mut parser = Parser::new(Arc::clone(&self.parse), &fields);
        Ok(timed(|| reads.into_iter().map(|raw| parser.parse(raw)).collect()))
    }

    fn assemble(&self, batches: Vec<Batch>) -> (Vec<Vec<Event>>, Pass) {
        let mut assembler = Assembler::new(&self.parse, EventTime::MIN);
        timed(|| {
            let mut out: Vec<Vec<Event>> = Vec::with_capacity(batches.len() + 1);
            for batch in batches {
                let mut events = Vec::with_capacity(batch.rows.len());
                assembler.push(batch, &mut events);
                out.push(events);
            }
            let mut events = Vec::new();
            assembler.flush(&mut events);
            out.push(events);
            out
        })
    }

    /// Events in the order of their times, with watermarks where they belong.
    fn elements(&self, events: Vec<Vec<Event>>) -> (Vec<Vec<Element>>, Pass) {
        let id = PartitionId(0);
        let mut progress = Progress::new(self.time);
        let mut order = TimeOrder::new(self.time.tick);
        progress.open(id, Mark::START);
        timed(|| {
            let mut all = Vec::with_capacity(events.len() + 1);
            for events in events {
                let mut elements = Vec::with_capacity(events.len() + 8);
                for event in events {
                    let time = event.time();
                    if time < progress.watermark() {
                        elements.push(Element::Event(event));
                    } else {
                        order.push(event);
                    }
                    if let Some(watermark) = progress.observe(id, time) {
                        order.release(watermark, &mut elements);
                        elements.push(Element::Watermark(watermark));
                    }
                }
                all.push(elements);
            }
            let mut last = Vec::new();
            order.release(EventTime::MAX, &mut last);
            last.push(Element::Watermark(EventTime::MAX));
            all.push(last);
            all
        })
    }

    fn chain(&self, steps: usize, elements: Vec<Vec<Element>>) -> io::Result<(Vec<Due>, Pass)> {
        let steps: Steps = self.steps.iter().take(steps).cloned().collect();
        let (mut chain, _) = chain::chain(&steps, self.time, false).map_err(other)?;
        Ok(timed(|| {
            let mut due = Vec::new();
            for mut elements in elements {
                chain.push(&mut elements, &mut due);
            }
            due
        }))
    }

    /// Every stage once, in order, by name.
    fn round(&self) -> io::Result<Vec<(String, Pass)>> {
        let mut passes = Vec::new();
        let (lines, split) = timed(|| memchr::memchr_iter(b'\n', self.text).count());
        std::hint::black_box(lines);
        passes.push(("split".to_owned(), split));
        let mut previous: Option<Pass> = None;
        for steps in 0..=self.steps.len() {
            // Each chain gets events of its own, since it consumes them.
            let (batches, parse) = self.parse(reads(self.text, &self.source))?;
            let (events, assemble) = self.assemble(batches);
            let (elements, watermarks) = self.elements(events);
            let (due, pass) = self.chain(steps, elements)?;
            if steps == 0 {
                passes.push(("parse".to_owned(), parse));
                passes.push(("assemble".to_owned(), assemble));
                passes.push(("order, watermarks".to_owned(), watermarks));
                passes.push(("(drop events)".to_owned(), pass));
            } else if let Some(before) = previous {
                let own =
                    Pass { seconds: pass.seconds - before.seconds, count: pass.count.since(before.count) };
                passes.push((self.steps[steps - 1].0.to_owned(), own));
            }
            previous = Some(pass);
            if steps == self.steps.len() {
                let mut out = Vec::with_capacity(1 << 20);
                let (bytes, serialise) = timed(|| {
                    let mut bytes = 0;
                    for due in due {
                        logbraid_sinks::ndjson::encode(&due.record, &mut out);
                        if out.len() > 1 << 20 {
                            bytes += out.len();
                            out.clear();
                        }
                    }
                    bytes + out.len()
                });
                std::hint::black_box(bytes);
                passes.push(("serialise".to_owned(), serialise));
            }
        }
        Ok(passes)
    }
}

/// A table of the stages for `text`, lines of JSON; medians of `rounds` after one that is discarded.
pub fn table(text: &[u8], rounds: u32) -> io::Result<String> {
    let parse = Settings::default().compile().map_err(other)?;
    let stages = Stages {
        text,
        source: Arc::new(Source::lines("bench", PartitionId(0))),
        parse: Arc::new(parse),
        time: TimeSettings::default(),
        steps: chain::steps(),
    };
    stages.round()?;
    let all = (0..rounds.max(1)).map(|_| stages.round()).collect::<io::Result<Vec<_>>>()?;
    let lines = memchr::memchr_iter(b'\n', text).count() as u64;
    let mut table = Table::new(&["stage", "ns/line", "allocations/line", "bytes allocated/line"]);
    let (mut sum, names) = (0.0, all.first().map_or(0, Vec::len));
    for at in 0..names {
        let mut seconds: Vec<f64> = all.iter().map(|round| round[at].1.seconds).collect();
        let middle = median(&mut seconds);
        sum += middle;
        let (name, pass) = &all[0][at];
        table.row([
            name.clone(),
            ns_per_line(lines, middle),
            format!("{:.2}", pass.count.calls as f64 / lines as f64),
            format!("{:.0}", pass.count.bytes as f64 / lines as f64),
        ]);
    }
    table.row(["sum".to_owned(), ns_per_line(lines, sum), String::new(), String::new()]);
    Ok(table.markdown())
}
