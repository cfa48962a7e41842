//! Cost of finding a message's template: with few known templates and with many, and for messages that are ever new.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logbraid_core::EventTime;
use logbraid_operators::templates::{Limits, Miner};

const MESSAGES: usize = 10_000;

/// A word of letters that follows from a number.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    loop {
        word.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        number /= 26;
        if number == 0 {
            return word;
        }
    }
}

/// Messages of `templates` kinds, about 80 bytes each.
fn messages(templates: usize) -> Vec<String> {
    (0..MESSAGES)
        .map(|n| {
            let kind = word(n.wrapping_mul(7919) % templates);
            format!(
                "{kind} step{kind} finished request id={n} for 10.0.{}.{} in {}ms, status={}",
                n % 256,
                n % 251,
                n % 997,
                200 + n % 5
            )
        })
        .collect()
}

fn known(c: &mut Criterion) {
    let mut group = c.benchmark_group("known");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for templates in [10, 100, 1000, 5000] {
        let messages = messages(templates);
        let mut miner = Miner::new(Limits { templates_max: 20_000, ..Limits::default() });
        for message in &messages {
            miner.add(message, EventTime::MIN);
        }
        group.bench_with_input(BenchmarkId::from_parameter(templates), &messages, |b, messages| {
            b.iter(|| {
                for message in messages {
                    black_box(miner.add(message, EventTime::MIN));
                }
            });
        });
    }
    group.finish();
}

fn ever_new(c: &mut Criterion) {
    let mut group = c.benchmark_group("ever_new_word");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let messages: Vec<String> = (0..MESSAGES)
        .map(|n| format!("session opened for user {} by root on the console", word(n * 31)))
        .collect();
    group.bench_function("one_template", |b| {
        b.iter(|| {
            let mut miner = Miner::new(Limits::default());
            for message in &messages {
                black_box(miner.add(message, EventTime::MIN));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, known, ever_new);
criterion_main!(benches);
