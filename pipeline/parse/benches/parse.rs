//! Lines per second by format, beside a bare parse of the same JSON lines into borrowed structs.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logbraid_core::{EventTime, Fields, PartitionId, Source};
use logbraid_parse::{Assembler, Framing, Parser, RawBatch, Settings};
use serde::Deserialize;

const LINES: usize = 4000;

#[derive(Deserialize)]
struct Bare<'a> {
    timestamp: &'a str,
    level: &'a str,
    message: &'a str,
    thread_id: &'a str,
    correlation_id: &'a str,
    trace_id: &'a str,
    fields: BareFields,
}

#[derive(Deserialize)]
struct BareFields {
    duration_ms: f64,
    status_code: u16,
}

/// A log of one format, `line` making each line from its number.
fn log(line: impl Fn(usize, &mut String)) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..LINES {
        line(number, &mut text);
        text.push('\n');
    }
    text.into_bytes()
}

fn json() -> Vec<u8> {
    log(|n, out| {
        let level = ["INFO", "DEBUG", "WARN", "ERROR"][usize::from(n % 10 == 0) * (n % 4)];
        let _written = write!(
            out,
            "{{\"timestamp\": \"2025-01-15T10:{:02}:{:02}.{:06}Z\", \"level\": \"{level}\", \"message\": \"GET /api/users 200 {}ms\", \
             \"thread_id\": \"worker-{:03}\", \"correlation_id\": \"req-{n:06}\", \"trace_id\": \"trace-{:04}\", \
             \"fields\": {{\"duration_ms\": {}.3, \"status_code\": 200}}}}",
            n / 60 % 60,
            n % 60,
            n * 17 % 1_000_000,
            n % 90,
            n % 16,
            n % 1000,
            n % 200
        );
    })
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "logfmt",
            log(|n, out| {
                let _written = write!(
                    out,
                    "time=2025-01-15T10:00:{:02}.{:03}Z level=info msg=\"request done\" service=api request_id=req-{n:06} trace_id=4bf92f3577b34da6a3ce929d0e0e4736 status=200 duration_ms={}",
                    n % 60,
                    n % 1000,
                    n % 90
                );
            }),
        ),
        (
            "log4j",
            log(|n, out| {
                let _written = write!(
                    out,
                    "2025-01-15 10:00:{:02},{:03} INFO [worker-{}] com.example.shop.OrderService: order {n} accepted for customer {} request_id=req-{n:06}",
                    n % 60,
                    n % 1000,
                    n % 16,
                    n % 7
                );
            }),
        ),
        (
            "syslog",
            log(|n, out| {
                let _written = write!(
                    out,
                    "<34>1 2025-01-15T10:00:{:02}.003Z host-{} api {} ID47 [ex@32473 iut=\"3\" eventID=\"1011\"] request req-{n:06} handled in {}ms",
                    n % 60,
                    n % 8,
                    n % 900,
                    n % 90
                );
            }),
        ),
        (
            "bsd",
            log(|n, out| {
                let _written = write!(
                    out,
                    "Jan 15 10:00:{:02} combo sshd[{}]: Accepted publickey for user{} from 10.0.0.{} port 5{:04} ssh2",
                    n % 60,
                    n % 9000,
                    n % 9,
                    n % 250,
                    n
                );
            }),
        ),
        (
            "clf",
            log(|n, out| {
                let _written = write!(
                    out,
                    "10.0.0.{} - frank [15/Jan/2025:10:00:{:02} +0000] \"GET /api/users/{n} HTTP/1.1\" 200 2326 \"-\" \"Mozilla/5.0\"",
                    n % 250,
                    n % 60
                );
            }),
        ),
        (
            "cri",
            log(|n, out| {
                let _written = write!(
                    out,
                    "2025-01-15T10:00:{:02}.123456789Z stdout F {{\"ts\":\"2025-01-15T10:00:{:02}.123Z\",\"level\":\"info\",\"msg\":\"order {n} accepted\",\"request_id\":\"req-{n:06}\"}}",
                    n % 60,
                    n % 60
                );
            }),
        ),
        (
            "klog",
            log(|n, out| {
                let _written = write!(
                    out,
                    "I0115 10:00:{:02}.123456       1 controller.go:{}] sync of node-{} done",
                    n % 60,
                    n % 900,
                    n % 40
                );
            }),
        ),
    ]
}

fn raw(source: &Arc<Source>, bytes: Vec<u8>) -> RawBatch {
    RawBatch {
        source: Arc::clone(source),
        bytes,
        framing: Framing::Lines { offset: 0, line: 1 },
        ingest: EventTime::from_millis(1_800_000_000_000),
    }
}

fn parse(c: &mut Criterion) {
    let Ok(settings) = Settings::default().compile() else { return };
    let source = Arc::new(Source::lines("bench", PartitionId(0)));
    let mut parser = Parser::new(Arc::new(settings.clone()), &Fields::default());
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(LINES as u64));
    let lines = json();
    group.bench_function("bare sonic-rs", |b| {
        b.iter(|| {
            let mut sum = 0_u64;
            for line in lines.split_inclusive(|b| *b == b'\n') {
                if let Ok(bare) = sonic_rs::from_slice::<Bare<'_>>(line.trim_ascii_end()) {
                    sum += bare.timestamp.len() as u64
                        + bare.level.len() as u64
                        + bare.message.len() as u64
                        + bare.thread_id.len() as u64
                        + bare.correlation_id.len() as u64
                        + bare.trace_id.len() as u64
                        + u64::from(bare.fields.status_code)
                        + bare.fields.duration_ms.to_bits() % 2;
                }
            }
            black_box(sum)
        });
    });
    group.bench_function("json", |b| {
        b.iter_batched(
            || lines.clone(),
            |bytes| parser.parse(raw(&source, bytes)),
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function("json and assemble", |b| {
        let mut assembler = Assembler::new(&settings, EventTime::MIN);
        let mut out = Vec::new();
        b.iter_batched(
            || lines.clone(),
            |bytes| {
                assembler.push(parser.parse(raw(&source, bytes)), &mut out);
                out.clear();
            },
            criterion::BatchSize::LargeInput,
        );
    });
    for (name, lines) in texts() {
        group.bench_function(name, |b| {
            b.iter_batched(
                || lines.clone(),
                |bytes| parser.parse(raw(&source, bytes)),
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
