//! Pushing entries, and the scans and look-ups that questions are made of, on the benchmark's entries.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logbraid_core::{Event, EventTime, Fields, Level, PartitionId, Source};
use logbraid_index::{Column, Filter, IndexWriter, LevelSet, Options, Texts, View};
use logbraid_parse::{Framing, Parser, RawBatch, Settings};

const WORDS: [&str; 8] = [
    "GET /api/users 200",
    "POST /api/orders 201",
    "Slow query: SELECT on users took",
    "Retry attempt 2 for /api/pay",
    "Cache lookup for session:7 took",
    "Connection refused to db-primary:5432 after",
    "Timeout after 3000ms waiting for",
    "DELETE /api/cart 404",
];

/// Entries like the benchmark's: JSON of about 234 bytes, twenty requests at once, ten threads.
fn events(count: u64) -> Vec<Event> {
    let settings = Arc::new(Settings::default().compile().expect("the default settings are valid"));
    let mut parser = Parser::new(Arc::clone(&settings), &Fields::default());
    let source = Arc::new(Source::lines("bench.log", PartitionId(0)));
    let mut events = Vec::new();
    let (mut offset, mut random) = (0_u64, 42_u64);
    for first in (0..count).step_by(1000) {
        let mut bytes = String::new();
        for number in first..count.min(first + 1000) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = random >> 33;
            let level = ["ERROR", "DEBUG", "INFO", "INFO", "INFO", "INFO", "INFO", "INFO", "WARN", "WARN"]
                [(draw % 10) as usize];
            let (micros, thread, request) = (number * 2750 + draw % 2000, draw % 7, number % 20);
            let time =
                EventTime::from_nanos(1_736_935_200_000_000_000 + i64::try_from(micros * 1000).unwrap_or(0));
            let words = WORDS[(draw / 16 % 8) as usize];
            let (took, duration) = (draw / 128 % 500, (draw / 64 % 50_000) as f64 / 100.0);
            let _ = writeln!(
                bytes,
                "{{\"timestamp\": \"{time}\", \"level\": \"{level}\", \"message\": \"{words} {took}ms\", \"thread_id\": \"worker-{thread:03}\", \"correlation_id\": \"req-{request:06}\", \"trace_id\": \"trace-{request:04x}\", \"fields\": {{\"duration_ms\": {duration}}}}}"
            );
        }
        let len = bytes.len() as u64;
        let framing = Framing::Lines { offset, line: first + 1 };
        let raw = RawBatch {
            source: Arc::clone(&source),
            bytes: bytes.into_bytes(),
            framing,
            ingest: EventTime::MIN,
        };
        let batch = Arc::new(parser.parse(raw));
        offset += len;
        events.extend(
            (0..batch.rows.len()).map(|row| Event::new(Arc::clone(&batch), u32::try_from(row).unwrap_or(0))),
        );
    }
    events
}

fn push(writer: &mut IndexWriter, events: &[Event]) {
    for event in events {
        writer.push(black_box(event));
    }
}

fn indexed(events: &[Event]) -> Arc<View> {
    let mut writer = IndexWriter::new(Options::default());
    for event in events {
        writer.push(event);
    }
    writer.finish();
    writer.publish();
    writer.view()
}

fn index(criterion: &mut Criterion) {
    let events = events(50_000);
    let mut group = criterion.benchmark_group("index");
    group.sample_size(20);
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("push_packed", |bencher| {
        bencher.iter_batched_ref(
            || IndexWriter::new(Options::default()),
            |writer| push(writer, &events),
            BatchSize::PerIteration,
        );
    });
    let view = indexed(&events);
    let errors = Filter::default().levels(LevelSet::of(Level::Error));
    group.bench_function("scan_errors", |bencher| bencher.iter(|| view.scan(black_box(&errors)).count()));
    group.bench_function("scan_everything", |bencher| bencher.iter(|| view.iter().count()));
    let request = Filter::default().is(Column::Correlation, "req-000007");
    group.bench_function("scan_request", |bencher| bencher.iter(|| view.scan(black_box(&request)).count()));
    let unknown = Filter::default().is(Column::Span, "span-0000beef");
    group.bench_function("unknown_id", |bencher| bencher.iter(|| view.scan(black_box(&unknown)).count()));
    group.bench_function("messages_of_errors", |bencher| {
        bencher.iter(|| {
            let mut texts = Texts::new();
            view.scan_stored(&errors).filter(|entry| texts.message(*entry).is_ok()).count()
        });
    });
    group.bench_function("ids", |bencher| {
        bencher.iter(|| view.ids(Column::Correlation, &Filter::default()).len());
    });
    group.finish();
}

criterion_group!(benches, index);
criterion_main!(benches);
