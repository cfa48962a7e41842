//! Cost of `hierarchy` and `error_flow` on one group of 10,000 entries, in several shapes, and of `error_burst` and
//! `retry_storm` on as many events.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logbraid_core::component::{Component, Context, settings};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{
    Batch, Chain, Element, Event, EventTime, Fields, Group, Level, PartitionId, Row, Source, Span, Text,
};
use logbraid_operators::error_burst::ErrorBurst;
use logbraid_operators::error_flow::trace;
use logbraid_operators::hierarchy::{Linking, build};
use logbraid_operators::retry_storm::RetryStorm;

const ENTRIES: u32 = 10_000;

/// Names of an entry's service, thread, span and parent span; an empty one is absent.
type Names = [String; 4];

fn batch(names: impl Fn(u32) -> Names, errors_every: u32) -> Batch {
    let mut batch = Batch::new(Arc::new(Source::lines("bench.log", PartitionId(0))));
    for n in 0..ENTRIES {
        let mut push = |text: &str| {
            let start = u32::try_from(batch.text.len()).unwrap_or(u32::MAX);
            batch.text.push_str(text);
            let len = u32::try_from(text.len()).unwrap_or(0);
            if text.is_empty() { Text::NONE } else { Text { start, len } }
        };
        let [service, thread, span, parent] = names(n);
        let mut row = Row {
            time: EventTime::from_millis(1_705_312_800_000) + Span::from_nanos(i64::from(n) * 50_000),
            offset: u64::from(n),
            service: push(&service),
            thread: push(&thread),
            span: push(&span),
            parent_span: push(&parent),
            message: push("request handled, going on with the next part of the work"),
            ..Row::default()
        };
        let fails = n % errors_every == errors_every - 1;
        row.level = Some(if fails { Level::Error } else { Level::Info });
        row.raw = Text { start: row.service.start, len: row.message.end() - row.service.start };
        batch.rows.push(row);
    }
    batch
}

fn group(names: impl Fn(u32) -> Names) -> Group {
    let batch = Arc::new(batch(names, 100));
    let mut group = Group::default();
    for n in 0..ENTRIES {
        group.push(&Event::new(Arc::clone(&batch), n));
    }
    group.sort();
    group
}

fn spans_of(per_span: u32) -> impl Fn(u32) -> Names {
    move |n: u32| {
        let spans = (ENTRIES / per_span).max(1);
        let span = (n / 3) % spans;
        let parent = if span == 0 { String::new() } else { format!("00f067aa0ba9{:04x}", span / 3) };
        [
            format!("service-{}", span % 7),
            format!("worker-{}", span % 31),
            format!("00f067aa0ba9{span:04x}"),
            parent,
        ]
    }
}

fn threads(count: u32) -> Group {
    let names = move |n: u32| {
        // Nested in time: thread k writes its first and last entries inside those of thread k - 1.
        let fold = if n < ENTRIES / 2 { n } else { ENTRIES - 1 - n };
        let thread = fold * count / (ENTRIES / 2 + 1);
        [format!("service-{}", thread % 7), format!("worker-{thread}"), String::new(), String::new()]
    };
    group(names)
}

fn groups(criterion: &mut Criterion) {
    let linking = Linking::default();
    for (name, group) in [
        ("100 spans", group(spans_of(100))),
        ("1700 spans", group(spans_of(6))),
        ("10000 spans", group(spans_of(1))),
        ("7 threads", threads(7)),
        ("1000 threads", threads(1000)),
    ] {
        let mut bench = criterion.benchmark_group(name);
        bench.throughput(Throughput::Elements(u64::from(ENTRIES)));
        bench.bench_function("hierarchy", |b| b.iter(|| build(black_box(&group), &linking)));
        let mut traced = group;
        traced.hierarchy = Some(build(&traced, &linking));
        bench.bench_function("error_flow", |b| b.iter(|| trace(black_box(&traced))));
        bench.finish();
    }
}

/// Builds an operator with its defaults and runs the events of a group through it.
fn passing<C: Component>(criterion: &mut Criterion, events: &[Event]) {
    let mut fields = Fields::default();
    let time = TimeSettings::default();
    let mut context = Context {
        fields: &mut fields,
        time,
        carry: Span::from_seconds(2),
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let config = settings(&serde_json::Value::Null);
    let Ok(operator) = config.and_then(|config| C::build(config, &mut context)) else { return };
    let mut chain = Chain::new(vec![Box::new(operator)], false, Span::from_seconds(60));
    let mut bench = criterion.benchmark_group("events");
    bench.throughput(Throughput::Elements(events.len() as u64));
    bench.bench_function(C::NAME, |b| {
        b.iter(|| {
            let mut elements: Vec<Element> = events.iter().cloned().map(Element::Event).collect();
            chain.push(&mut elements, &mut Vec::new());
        });
    });
    bench.finish();
}

fn events(criterion: &mut Criterion) {
    let events: Vec<Event> = {
        let batch = Arc::new(batch(spans_of(100), 100));
        (0..ENTRIES).map(|n| Event::new(Arc::clone(&batch), n)).collect()
    };
    passing::<ErrorBurst>(criterion, &events);
    passing::<RetryStorm>(criterion, &events);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(300));
    targets = groups, events
}
criterion_main!(benches);
