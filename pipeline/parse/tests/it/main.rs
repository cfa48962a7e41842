//! The parser's claims, seen from outside.
#![expect(clippy::unwrap_used, reason = "tests state their claims in their names")]

mod assembly;
mod bad_input;
mod defects;
mod fields;
mod json;
mod laws;
mod settings;
mod tagged;
mod text;

use std::fmt::Write as _;
use std::sync::Arc;

use logbraid_core::{Batch, Event, EventTime, FieldId, Fields, PartitionId, Source, TimeFrom};
use logbraid_parse::{Assembler, Compiled, Framing, Parser, RawBatch, Settings};

/// 2026-06-01T00:00:00Z: the moment of reading, for times without a year.
const NOW: i64 = 1_780_272_000_000_000_000;

fn compiled(yaml_like: serde_json::Value) -> Compiled {
    serde_json::from_value::<Settings>(yaml_like).unwrap().compile().unwrap()
}

fn source(settings: &Compiled, name: &str) -> Arc<Source> {
    let mut source = Source::lines(name, PartitionId(0));
    source.reader = settings.reader();
    Arc::new(source)
}

fn batch_of(settings: &Compiled, name: &str, bytes: &[u8], offset: u64, line: u64) -> Batch {
    let mut parser = Parser::new(Arc::new(settings.clone()), &Fields::default());
    parser.parse(RawBatch {
        source: source(settings, name),
        bytes: bytes.to_vec(),
        framing: Framing::Lines { offset, line },
        ingest: EventTime::from_nanos(NOW),
    })
}

fn auto() -> Compiled {
    Settings::default().compile().unwrap()
}

/// The rows of some lines, each as an event.
fn events_with(settings: &Compiled, text: &[u8]) -> Vec<Event> {
    let batch = Arc::new(batch_of(settings, "app.log", text, 0, 1));
    (0..batch.rows.len()).map(|at| Event::new(Arc::clone(&batch), u32::try_from(at).unwrap())).collect()
}

/// One line, parsed.
fn one(line: &str) -> Event {
    let mut events = events_with(&auto(), line.as_bytes());
    assert_eq!(events.len(), 1, "{line}");
    events.remove(0)
}

/// What was found in an event, as one line of text; absent values are left out.
fn seen(event: &Event) -> String {
    let row = event.row();
    let mut out = String::new();
    if row.time_from == TimeFrom::Event {
        let _ = write!(out, "{} ", row.time);
    }
    if let Some(level) = row.level {
        let _ = write!(out, "{} ", level.name());
    }
    for (name, text) in [
        ("service", row.service),
        ("host", row.host),
        ("thread", row.thread),
        ("correlation", row.correlation),
        ("trace", row.trace),
        ("span", row.span),
        ("parent", row.parent_span),
    ] {
        if let Some(text) = event.text(text) {
            let _ = write!(out, "{name}={text} ");
        }
    }
    for (name, id) in [
        ("parent_request", FieldId::PARENT_REQUEST),
        ("child_request", FieldId::CHILD_REQUEST),
        ("operation", FieldId::OPERATION),
        ("logger", FieldId::LOGGER),
        ("exception", FieldId::EXCEPTION),
    ] {
        if let Some(text) = event.field(id) {
            let _ = write!(out, "{name}={text} ");
        }
    }
    if !row.duration_ms.is_nan() {
        let _ = write!(out, "ms={} ", row.duration_ms);
    }
    let _ = write!(out, "| {}", event.message());
    out
}

/// Checks lines against what is to be found in them.
fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(line, expected)| {
            let found = seen(&one(line));
            (found != *expected).then(|| format!("{line}\n  expected {expected}\n  found    {found}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Lines, parsed in batches of the given sizes and assembled.
fn assembled_with(settings: &Compiled, text: &str, cuts: &[usize]) -> (Vec<Event>, Assembler) {
    let mut assembler = Assembler::new(settings, EventTime::MIN);
    let mut out = Vec::new();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut start, mut offset, mut cuts) = (0, 0_u64, cuts.iter().cycle());
    while start < lines.len() {
        let count = cuts.next().copied().unwrap_or(lines.len()).clamp(1, lines.len() - start);
        let piece = lines[start..start + count].concat();
        assembler.push(batch_of(settings, "app.log", piece.as_bytes(), offset, start as u64 + 1), &mut out);
        offset += piece.len() as u64;
        start += count;
    }
    assembler.flush(&mut out);
    (out, assembler)
}

fn assembled(text: &str) -> Vec<Event> {
    assembled_with(&auto(), text, &[]).0
}
