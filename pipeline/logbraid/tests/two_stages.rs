//! Repartitioning: lines that lie anywhere are written again under the keys of their requests, and the second stage says
//! what one engine that sees everything would say.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::component::Context;
use logbraid_core::progress::{Mark, TimeSettings};
use logbraid_core::{
    Chain, ClosedBy, Event, EventTime, Fields, Id, PartitionId, Position, Record, Source, Span, Tag, Tags,
    handover,
};
use logbraid_parse::{Compiled, Framing, Parser, RawBatch, RawRecord, Settings};
use logbraid_runtime::engine::{Counts, Engine};
use logbraid_runtime::replay::{Feed, Replay};
use proptest::prelude::*;

/// Partitions of the topic between the stages.
const BETWEEN: usize = 3;

fn time() -> TimeSettings {
    TimeSettings {
        max_delay: Span::from_seconds(2),
        idle_after: Span::from_seconds(10),
        allowed_lateness: Span::from_seconds(4),
        tick: Span::from_millis(100),
    }
}

fn chain(names: &[&str], entries: bool) -> (Chain, Fields) {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: time(),
        carry: Span::ZERO,
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let build = |name: &&str| {
        let settings = match *name {
            "thread" => serde_json::json!({ "carry": "1s" }),
            "correlate" => serde_json::json!({ "gap": "5s", "max_span": "40s", "settle": "500ms" }),
            _ => serde_json::json!({}),
        };
        let spec = logbraid_operators::OPERATORS.iter().find(|spec| spec.name == *name).unwrap();
        (spec.build)(&settings, &mut context).unwrap()
    };
    let stages = names.iter().map(build).collect();
    (Chain::new(stages, entries, Span::from_seconds(20)), fields)
}

fn parse() -> Arc<Compiled> {
    Arc::new(Settings::default().compile().unwrap())
}

fn replay(feeds: &[Feed], names: &[&str], entries: bool) -> Vec<Record> {
    let (chain, fields) = chain(names, entries);
    let now = EventTime::from_millis(1_705_400_000_000);
    Replay::new(&parse(), &fields, chain, time(), feeds, None, now).run(7)
}

/// A message between the stages.
#[derive(Clone, Debug)]
struct Message {
    time: EventTime,
    key: Vec<u8>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    value: Vec<u8>,
}

fn message(event: &Event) -> Message {
    let tags = handover::tags(event);
    Message {
        time: event.time(),
        key: tags.key.unwrap(),
        headers: tags.headers,
        value: event.raw_bytes().to_vec(),
    }
}

/// What the first stage writes: each feed is a partition with an engine of its own.
fn first_stage(feeds: &[Feed], chain: &[&str]) -> Vec<Message> {
    let entries = |feed: &Feed| replay(std::slice::from_ref(feed), chain, true);
    let mut messages: Vec<Message> = feeds
        .iter()
        .flat_map(entries)
        .filter_map(|record| match record {
            Record::Entry(event) => Some(message(&event)),
            _ => None,
        })
        .collect();
    messages.sort_by_key(|message| message.time);
    messages
}

fn partition_of(message: &Message) -> usize {
    usize::try_from(Id::of(&[&String::from_utf8_lossy(&message.key)]).0 % BETWEEN as u64).unwrap()
}

/// What the second stage says of one partition's messages, read in batches of `cut`.
fn second_stage(
    number: usize,
    messages: &[Message],
    cut: usize,
    operators: &[&str],
) -> (Vec<Record>, Counts) {
    let parse = parse();
    let (chain, fields) = chain(operators, false);
    let id = PartitionId(0);
    let mut source = Source::lines(format!("by-request/{number}"), id);
    source.position =
        Position::Kafka { topic: "by-request".to_owned(), partition: i32::try_from(number).unwrap() };
    source.reader = parse.reader();
    let source = Arc::new(source);
    let mut engine = Engine::new(Arc::clone(&parse), fields.clone(), chain, time(), EventTime::MIN);
    engine.open(Arc::clone(&source), Mark { line: 0, ..Mark::START });
    engine.resume();
    let mut parser = Parser::new(parse, &fields);
    for (first, part) in messages.chunks(cut).enumerate() {
        let (mut bytes, mut records, mut tags) = (Vec::new(), Vec::new(), Tags::new(None));
        for (at, message) in (0_u32..).zip(part) {
            let start = u32::try_from(bytes.len()).unwrap();
            bytes.extend_from_slice(&message.value);
            let len = u32::try_from(message.value.len()).unwrap();
            records.push(RawRecord {
                start,
                len,
                offset: (first * cut) as u64 + u64::from(at),
                ingest: None,
                fresh: false,
            });
            tags.push(at, Tag { name: None, value: Some(&message.key) });
            for (name, value) in &message.headers {
                tags.push(at, Tag { name: Some(name), value: value.as_deref() });
            }
        }
        let framing = Framing::Tagged { records, tags, handed_over: true };
        let source = Arc::clone(&source);
        engine.push(parser.parse(RawBatch { source, bytes, framing, ingest: EventTime::MIN }));
    }
    engine.end(ClosedBy::EndOfInput);
    let commit = engine.commit();
    assert_eq!(commit.marks[&id].offset, messages.len() as u64, "commits count by the topic that is read");
    (engine.take(), engine.counts())
}

/// Timelines by id and revision; why one was closed hangs on what else its partition holds.
fn timelines(records: &[Record]) -> BTreeMap<(String, u64), String> {
    let timeline = |record: &Record| {
        let mut json = serde_json::to_value(record).unwrap();
        json.as_object_mut().unwrap().remove("closed_by");
        (json["type"] == "timeline").then(|| {
            let id = (json["id"].as_str().unwrap().to_owned(), json["revision"].as_u64().unwrap());
            (id, json.to_string())
        })
    };
    records.iter().filter_map(timeline).collect()
}

/// Time since the line before, jitter, request, service, kind.
type Step = (i64, i64, u8, u8, u8);

fn feed(number: usize, steps: &[Step]) -> Feed {
    let mut now = 0;
    let mut bytes = Vec::new();
    for (step, jitter, request, service, kind) in steps {
        now += step;
        let time = EventTime::from_millis(1_705_312_800_000 + now + jitter);
        let mut line = serde_json::json!({
            "time": time.to_string(), "service": format!("s{service}"), "thread": format!("w{request}"), "msg": "step",
        });
        match kind {
            // Each request has one kind of id: the first stage cannot know what a later entry links.
            0..4 if request % 2 == 0 => line["request_id"] = format!("r{request}").into(),
            0..4 => line["trace_id"] = format!("{:032x}", request + 1).into(),
            4 => {
                line["request_id"] = format!("q{request}").into();
                line["level"] = "ERROR".into();
                line["msg"] = "connection refused".into();
            }
            // Only the thread knows.
            5 => {}
            _ if !bytes.is_empty() => {
                bytes.extend_from_slice(b"\tat com.shop.Db.query(Db.java:42)\n");
                continue;
            }
            _ => {}
        }
        bytes.extend_from_slice(line.to_string().as_bytes());
        bytes.push(b'\n');
    }
    Feed { name: format!("f{number}.log"), bytes: bytes.into() }
}

fn world() -> impl Strategy<Value = Vec<Feed>> {
    let line = (0_i64..700, -800_i64..=0, 0_u8..5, 0_u8..3, 0_u8..7);
    prop::collection::vec(prop::collection::vec(line, 1..50), 1..4)
        .prop_map(|feeds| feeds.iter().enumerate().map(|(number, steps)| feed(number, steps)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_stages_say_what_one_would(
        feeds in world(), together: bool, cut in 1_usize..20, repeats in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..6), 0..12),
    ) {
        let whole = timelines(&replay(&feeds, &["thread", "correlate", "hierarchy", "error_flow"], false));
        let one_process: &[&str] = &["thread", "repartition", "correlate", "hierarchy", "error_flow"];
        let apart: [&[&str]; 2] = [&["thread"], &["correlate", "hierarchy", "error_flow"]];
        let [first, second] = if together { [one_process; 2] } else { apart };
        let messages = first_stage(&feeds, first);
        let mut partitions: Vec<Vec<Message>> = vec![Vec::new(); BETWEEN];
        for message in &messages {
            partitions[partition_of(message)].push(message.clone());
        }
        // A first stage that crashed writes some again, a little later.
        let mut twice = 0;
        for (which, later) in repeats {
            let partition = &mut partitions[which.index(BETWEEN)];
            if !partition.is_empty() {
                let at = which.index(partition.len());
                let again = partition[at].clone();
                partition.insert((at + later).min(partition.len()), again);
                twice += 1;
            }
        }
        let (mut said, mut repeated) = (Vec::new(), 0);
        for (number, messages) in partitions.iter().enumerate() {
            let (records, counts) = second_stage(number, messages, cut, second);
            said.extend(records);
            repeated += counts.repeated;
        }
        prop_assert_eq!(repeated, twice);
        let said = timelines(&said);
        for (id, timeline) in &whole {
            prop_assert_eq!(said.get(id), Some(timeline));
        }
        prop_assert_eq!(said.len(), whole.len());
    }
}
