//! Entries for the tests: drawn at random, as events of batches.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::sync::Arc;

use logbraid_core::{Batch, Event, EventTime, FieldId, Flags, Level, PartitionId, Row, Source, Span, Text};
use proptest::prelude::*;

/// An entry as a test states it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub source: u32,
    pub ms: i64,
    pub level: Option<Level>,
    pub service: Option<String>,
    pub thread: Option<String>,
    pub correlation: Option<String>,
    pub span: Option<String>,
    pub parent: Option<String>,
    pub duration: Option<f64>,
    pub fields: Vec<(u16, String)>,
    pub message: String,
    pub flags: Flags,
    /// The message stands beside the raw text, not in it.
    pub decoded: bool,
}

/// The tests' beginning.
pub const START: EventTime = EventTime::from_millis(1_705_312_800_000);

pub fn at(ms: i64) -> EventTime {
    START + Span::from_millis(ms)
}

pub fn source_name(number: u32) -> String {
    format!("logs/{number}.log")
}

/// The events of `lines`, each source a batch; in the order of `lines`.
pub fn events(lines: &[Line]) -> Vec<Event> {
    let sources = lines.iter().map(|line| line.source).max().map_or(0, |most| most + 1);
    let mut batches: Vec<Batch> = (0..sources)
        .map(|number| Batch::new(Arc::new(Source::lines(source_name(number), PartitionId(number)))))
        .collect();
    let mut places = Vec::new();
    for line in lines {
        let batch = &mut batches[line.source as usize];
        places.push((line.source as usize, u32::try_from(batch.rows.len()).unwrap()));
        add(batch, line);
    }
    let batches: Vec<Arc<Batch>> = batches.into_iter().map(Arc::new).collect();
    places.into_iter().map(|(batch, row)| Event::new(Arc::clone(&batches[batch]), row)).collect()
}

fn push(batch: &mut Batch, text: &str) -> Text {
    let start = u32::try_from(batch.text.len()).unwrap();
    batch.text.push_str(text);
    Text { start, len: u32::try_from(text.len()).unwrap() }
}

fn add(batch: &mut Batch, line: &Line) {
    let before = batch.rows.last().map_or(0, |row| row.offset + u64::from(row.raw.len) + 1);
    let number = batch.rows.len() as u64 + 1;
    let start = u32::try_from(batch.text.len()).unwrap();
    let mut option = |value: &Option<String>| {
        let text = value.as_ref().map_or(Text::NONE, |value| push(batch, value));
        push(batch, " ");
        text
    };
    let mut row = Row {
        time: at(line.ms),
        offset: before,
        line: number,
        duration_ms: line.duration.unwrap_or(f64::NAN),
        service: option(&line.service),
        thread: option(&line.thread),
        correlation: option(&line.correlation),
        span: option(&line.span),
        parent_span: option(&line.parent),
        level: line.level,
        flags: line.flags,
        ..Row::default()
    };
    if !line.decoded {
        row.message = push(batch, &line.message);
    }
    let end = u32::try_from(batch.text.len()).unwrap();
    row.raw = Text { start, len: end - start };
    if line.decoded {
        row.message = push(batch, &line.message);
    }
    row.extras_start = u32::try_from(batch.extras.len()).unwrap();
    for (field, value) in &line.fields {
        let text = push(batch, value);
        batch.extras.push((FieldId(*field), text));
        row.extras_len += 1;
    }
    batch.rows.push(row);
}

fn name(pattern: &'static str) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(pattern.prop_map(|text| text))
}

/// Any entry whose time lies within `span_ms`.
pub fn line(span_ms: i64) -> impl Strategy<Value = Line> {
    let names = (
        name("api|db|[a-z]{0,3}"),
        name("w-[0-9]"),
        name("req-[0-9]{1,2}"),
        name("s-[0-9]{1,3}"),
        name("s-[0-9]{1,3}"),
    );
    let duration = proptest::option::of(prop_oneof![
        (0_i32..5000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
        any::<f64>().prop_filter("a number", |number| !number.is_nan()),
    ]);
    let fields = proptest::collection::vec((0_u16..4, "[a-zé]{0,4}"), 0..4);
    let level = proptest::option::of(proptest::sample::select(Level::ALL.to_vec()));
    let flags = proptest::sample::select(vec![
        Flags::default(),
        Flags::MULTILINE,
        Flags::LATE | Flags::TRUNCATED,
        Flags::NO_TIMESTAMP,
    ]);
    ((0_u32..3, 0..span_ms, level, flags, any::<bool>()), names, duration, fields, "[a-z0-9 é]{0,30}")
        .prop_map(
            |(
                (source, ms, level, flags, decoded),
                (service, thread, correlation, span, parent),
                duration,
                fields,
                message,
            )| Line {
                source,
                ms,
                level,
                service,
                thread,
                correlation,
                span,
                parent,
                duration,
                fields,
                message,
                flags,
                decoded,
            },
        )
}

/// A workload of distinct entries: `count` of them, a millisecond apart.
pub fn steady(count: usize, message: impl Fn(usize) -> String) -> Vec<Line> {
    (0..count)
        .map(|number| Line {
            ms: i64::try_from(number).unwrap(),
            level: Some(if number % 10 == 0 { Level::Error } else { Level::Info }),
            correlation: Some(format!("req-{}", number % 20)),
            span: Some(format!("span-{number:08x}")),
            message: message(number),
            ..Line::default()
        })
        .collect()
}
