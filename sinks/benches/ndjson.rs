//! Which writer of JSON is faster for our records.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logbraid_core::record::{Finding, FindingKind, Record, Severity};
use logbraid_core::{Batch, Event, EventTime, Id, PartitionId, Row, Source, Text};

fn records() -> Vec<Record> {
    let at = EventTime::from_millis(1_705_312_800_120);
    let message = "payment of order 4711 was refused by \"bank\" after 3 tries";
    let mut batch = Batch::new(Arc::new(Source::lines("app.log", PartitionId(0))));
    batch.text.push_str(message);
    let text = Text { start: 0, len: u32::try_from(message.len()).unwrap_or(0) };
    batch.rows.push(Row {
        time: at,
        raw: text,
        message: text,
        thread: Text { start: 0, len: 7 },
        ..Row::default()
    });
    let event = Event::new(Arc::new(batch), 0);
    let mut finding =
        Finding::new(FindingKind::ErrorFlow, Severity::High, message.to_owned(), at, Id::default());
    finding.evidence = vec![logbraid_core::Evidence::of_event(&event); 3];
    vec![Record::Entry(event), Record::Finding(Box::new(finding))]
}

fn bench(criterion: &mut Criterion) {
    let records: Vec<Record> = records().into_iter().cycle().take(100).collect();
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("ndjson");
    for record in &records {
        logbraid_sinks::ndjson::encode(record, &mut out);
    }
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            for record in &records {
                logbraid_sinks::ndjson::encode(black_box(record), &mut out);
            }
        });
    });
    group.bench_function("serde_json", |bencher| {
        bencher.iter(|| {
            out.clear();
            for record in &records {
                // Records of this bench have nothing that JSON could not say.
                let _ok = serde_json::to_writer(&mut out, black_box(record));
                out.push(b'\n');
            }
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
