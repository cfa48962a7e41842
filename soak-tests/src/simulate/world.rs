//! What happens in a simulated world: requests through services, their log lines, and when each line arrives.

use serde_json::{Map, Value};

use crate::generate::random::Random;
use crate::generate::stamp::Stamps;

/// 2025-06-01T12:00:00Z, in milliseconds since 1970.
pub(super) const T0_MS: u64 = 1_748_779_200_000;
/// How far out of order a partition may be, in milliseconds.
pub(super) const MAX_DELAY_MS: u64 = 2_000;

/// One physical line.
#[derive(Debug)]
pub(super) struct Line {
    /// When it can be read, in milliseconds since the world began.
    pub(super) arrives_ms: u64,
    /// The line with its newline.
    pub(super) bytes: Vec<u8>,
}

/// The lines of one partition, in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) lines: Vec<Line>,
}

impl Partition {
    /// The byte offset of line `at`, which may be one past the last.
    pub(super) fn offset(&self, at: usize) -> u64 {
        self.lines[..at].iter().map(|line| line.bytes.len() as u64).sum()
    }
    /// The line that begins at byte `offset`.
    pub(super) fn line_at(&self, offset: u64) -> Option<usize> {
        let mut here = 0;
        for (at, line) in self.lines.iter().enumerate() {
            if here == offset {
                return Some(at);
            }
            here += line.bytes.len() as u64;
        }
        (here == offset).then_some(self.lines.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Json,
    Logfmt,
    Text,
}

struct Record {
    time_ms: u64,
    partition: usize,
    service: usize,
    thread: u64,
    level: &'static str,
    message: String,
    request: Option<u64>,
    trace: Option<u64>,
    span: Option<(u64, Option<u64>)>,
    parent_request: Option<u64>,
    stack: usize,
}

const MESSAGES: [&str; 8] = [
    "handling the call",
    "cache miss for key 17",
    "3 rows in 12 ms",
    "calling the next service",
    "order accepted",
    "retrying in 100 ms",
    "answer 200 in 31ms",
    "done",
];
const ERRORS: [&str; 5] = [
    "connection refused by db:5432",
    "upstream answered 503",
    "timeout after 3000 ms",
    "deadlock detected",
    "cannot place order: payments failed",
];

/// The partitions of the world of `random`, and whether some lines are later than `max_delay` allows. Only a single
/// partition may be: with several, it would depend on their interleaving which lines are late.
pub(super) fn partitions(random: &mut Random) -> (Vec<Partition>, bool) {
    let count = usize::try_from(random.between(1, 4)).unwrap_or(1);
    let styles: Vec<Style> = (0..count)
        .map(|_| *random.pick(&[&Style::Json, &Style::Json, &Style::Logfmt, &Style::Text]))
        .collect();
    let mut records = Vec::new();
    let length_ms = random.between(20_000, 240_000);
    let requests = random.between(5, 90);
    for number in 0..requests {
        let begin_ms = random.below(length_ms);
        request(random, number, begin_ms, count, &mut records);
    }
    // Lines of nobody: no id, a thread that may or may not be known.
    for _ in 0..random.below(40) {
        let time_ms = random.below(length_ms);
        let partition = usize::try_from(random.below(count as u64)).unwrap_or(0);
        records.push(Record {
            time_ms,
            partition,
            service: partition,
            thread: random.below(6),
            level: "INFO",
            message: "housekeeping".to_owned(),
            request: None,
            trace: None,
            span: None,
            parent_request: None,
            stack: 0,
        });
    }
    let mut partitions: Vec<Partition> = (0..count).map(|_| Partition::default()).collect();
    let late = count == 1 && random.chance(60);
    let mut arrivals: Vec<(u64, usize)> = records
        .iter()
        .enumerate()
        .map(|(at, record)| {
            let overdue_ms = if late && random.chance(5) { random.between(2_000, 25_000) } else { 0 };
            (record.time_ms + random.below(MAX_DELAY_MS - 200) + overdue_ms, at)
        })
        .collect();
    arrivals.sort_unstable();
    let mut stamps = Stamps::default();
    for (arrives_ms, at) in arrivals {
        let record = &records[at];
        let lines = &mut partitions[record.partition].lines;
        write(record, styles[record.partition], arrives_ms, &mut stamps, lines);
        if random.chance(1) {
            let junk: &[u8] = match random.below(4) {
                0 => b"\n",
                1 => b"{\"timestamp\":\"not a time\",\"message\":\n",
                2 => b"\xff\xfe\x00 binary\n",
                _ => b"plain words without a time\n",
            };
            lines.push(Line { arrives_ms, bytes: junk.to_vec() });
        }
    }
    (partitions, late)
}

fn request(random: &mut Random, number: u64, begin_ms: u64, partitions: usize, records: &mut Vec<Record>) {
    let services = random.between(1, 4);
    let fails = random.chance(25);
    let traced = random.chance(40).then_some(number);
    let spans = random.chance(30);
    // Now and then a request outlasts `gap` or `max_span`.
    let pace_ms = if random.chance(8) { 6_000 } else { 700 };
    let child_of = (number > 0 && random.chance(10)).then(|| random.below(number));
    let most = if random.chance(10) { 60 } else { 12 };
    let entries = random.between(2, most);
    let mut time_ms = begin_ms;
    for at in 0..entries {
        time_ms += random.between(1, pace_ms);
        let service = usize::try_from(random.below(services)).unwrap_or(0);
        let error = fails && (at + 1 == entries || random.chance(20));
        let message = if error { random.pick(&ERRORS) } else { random.pick(&MESSAGES) };
        let span = spans.then(|| {
            let own = number * 1000 + service as u64;
            (own, (service > 0).then(|| number * 1000 + random.below(service as u64)))
        });
        let named = random.chance(88);
        records.push(Record {
            time_ms,
            partition: service % partitions,
            service,
            thread: (number + service as u64) % 7,
            level: if error { "ERROR" } else { "INFO" },
            message: message.to_owned(),
            request: (named && !(traced.is_some() && random.chance(15))).then_some(number),
            trace: traced.filter(|_| named),
            span,
            parent_request: child_of.filter(|_| named && at == 0),
            stack: if error && random.chance(40) {
                usize::try_from(random.between(1, 6)).unwrap_or(1)
            } else {
                0
            },
        });
    }
}

const SERVICES: [&str; 4] = ["front", "orders", "payments", "db"];

fn write(record: &Record, style: Style, arrives_ms: u64, stamps: &mut Stamps, lines: &mut Vec<Line>) {
    let mut time = Vec::new();
    stamps.iso_millis(&mut time, (T0_MS + record.time_ms) * 1000, "Z");
    let time = String::from_utf8_lossy(&time).into_owned();
    let (service, thread) = (SERVICES[record.service], format!("worker-{}", record.thread));
    let request = record.request.map(|number| format!("r-{number}"));
    let trace = record.trace.map(|number| format!("{:032x}", number + 0xabcd));
    let parent = record.parent_request.map(|number| format!("r-{number}"));
    let span = record.span.map(|(own, above)| (format!("{own:016x}"), above.map(|id| format!("{id:016x}"))));
    let optional = [
        ("request_id", request),
        ("trace_id", trace),
        ("parent_request_id", parent),
        ("span_id", span.as_ref().map(|(own, _)| own.clone())),
        ("parent_span_id", span.and_then(|(_, above)| above)),
    ];
    let (level, message) = (record.level, &record.message);
    let text = match style {
        Style::Json => {
            let mut map = Map::new();
            for (key, value) in [
                ("timestamp", &time),
                ("service", &service.to_owned()),
                ("thread", &thread),
                ("message", message),
            ] {
                map.insert(key.to_owned(), Value::from(value.as_str()));
            }
            map.insert("level".to_owned(), level.into());
            for (key, value) in optional {
                if let Some(value) = value {
                    map.insert(key.to_owned(), value.into());
                }
            }
            Value::Object(map).to_string()
        }
        Style::Logfmt => {
            let ids: String =
                optional.into_iter().filter_map(|(key, value)| Some(format!(" {key}={}", value?))).collect();
            format!("time={time} level={level} service={service} thread={thread} msg=\"{message}\"{ids}")
        }
        Style::Text => {
            let ids: String =
                optional.into_iter().filter_map(|(key, value)| Some(format!("{key}={} ", value?))).collect();
            format!("{time} {level} [{thread}] {service} - {ids}{message}")
        }
    };
    lines.push(Line { arrives_ms, bytes: format!("{text}\n").into_bytes() });
    for at in 0..record.stack {
        let text = if at == 0 {
            "java.lang.IllegalStateException: broken\n".to_owned()
        } else {
            format!("\tat com.shop.Worker.step{at}(Worker.java:{})\n", 10 * at)
        };
        // A writer writes a trace at one go: its lines arrive together.
        lines.push(Line { arrives_ms, bytes: text.into_bytes() });
    }
}
