//! Keys, headers, and what one stage hands over to the next.

use std::sync::Arc;

use logbraid_core::record::Reason;
use logbraid_core::{
    Attribution, Event, EventTime, Fields, KeyKind, PartitionId, Position, Record, Reject, Source, Tag, Tags,
    handover,
};
use logbraid_parse::{Assembler, Compiled, Framing, Parser, RawBatch, RawRecord};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{auto, compiled, seen};

/// A message: its key, its headers, its value.
#[derive(Clone, Debug, Default)]
struct Message {
    key: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    value: Vec<u8>,
}

fn message(value: impl AsRef<[u8]>, headers: &[(&str, &str)]) -> Message {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec()))).collect();
    Message { key: None, headers, value: value.as_ref().to_vec() }
}

fn topic(settings: &Compiled, name: &str, partition: i32) -> Arc<Source> {
    let mut source = Source::lines(format!("{name}/{partition}"), PartitionId(7));
    source.position = Position::Kafka { topic: name.to_owned(), partition };
    source.reader = settings.reader();
    Arc::new(source)
}

fn raw(source: &Arc<Source>, messages: &[Message], offset: u64, handed_over: bool, tags: Tags) -> RawBatch {
    let (mut bytes, mut records, mut tags) = (Vec::new(), Vec::new(), tags);
    for (number, message) in (0_u32..).zip(messages) {
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(&message.value);
        let len = u32::try_from(message.value.len()).unwrap();
        let offset = offset + u64::from(number);
        let ingest = Some(EventTime::from_millis(1_705_312_800_000 + i64::try_from(offset).unwrap()));
        records.push(RawRecord { start, len, offset, ingest, fresh: false });
        if let Some(key) = &message.key {
            tags.push(number, Tag { name: None, value: Some(key) });
        }
        for (name, value) in &message.headers {
            tags.push(number, Tag { name: Some(name), value: value.as_deref() });
        }
    }
    let framing = Framing::Tagged { records, tags, handed_over };
    RawBatch { source: Arc::clone(source), bytes, framing, ingest: EventTime::from_nanos(super::NOW) }
}

/// What a partition's messages become, cut into batches after every count of `cuts`.
fn events(
    settings: &Compiled,
    source: &Arc<Source>,
    messages: &[Message],
    cuts: &[usize],
    handed_over: bool,
) -> Vec<Event> {
    let fields = fields();
    let mut parser = Parser::new(Arc::new(settings.clone()), &fields);
    let mut assembler = Assembler::new(settings, EventTime::MIN).with_fields(settings, &fields);
    let mut out = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([messages.len()]) {
        let to = to.clamp(from, messages.len());
        if from == to {
            continue;
        }
        let batch = parser.parse(raw(source, &messages[from..to], from as u64, handed_over, Tags::new(None)));
        assembler.push(batch, &mut out);
        from = to;
    }
    assembler.flush(&mut out);
    assert_eq!(assembler.mark().0, messages.len() as u64, "everything is released");
    out
}

fn fields() -> Fields {
    let mut fields = Fields::default();
    fields.intern("tenant");
    fields
}

fn one(message: Message) -> Event {
    let settings = auto();
    let mut events = events(&settings, &topic(&settings, "t", 0), &[message], &[], false);
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn entry(event: &Event) -> Value {
    serde_json::to_value(Record::Entry(event.clone())).unwrap()
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn headers_are_ids_and_fields_where_the_line_is_silent() {
    for (name, value, found) in [
        (
            "traceparent",
            TRACEPARENT,
            "service=api trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 ",
        ),
        (
            "b3",
            "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90",
            "service=api trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 parent=05e3ac9a4f6e3b90 ",
        ),
        (
            "X-B3-TraceId",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "service=api trace=4bf92f3577b34da6a3ce929d0e0e4736 ",
        ),
        ("x-request-id", "req-7", "service=api correlation=req-7 "),
        ("correlationId", "req-7", "service=api correlation=req-7 "),
        ("thread", "w1", "service=api thread=w1 "),
        ("host", "h1", "service=api host=h1 "),
        ("level", "error", "ERROR service=api "),
        ("ce_time", "2024-01-15T10:00:00Z", "service=api "),
        ("timestamp", "2024-01-15T10:00:00Z", "2024-01-15T10:00:00Z service=api "),
        ("message", "not mine", "service=api "),
    ] {
        let event = one(message(r#"{"msg":"paid","service":"api"}"#, &[(name, value)]));
        assert!(seen(&event).starts_with(found), "{name}: {}", seen(&event));
        assert_eq!(event.message(), "paid", "{name}");
    }
    let event = one(message("paid", &[("service", "api"), ("tenant", "acme"), ("region", "eu")]));
    assert_eq!(event.service(), Some("api"));
    let mut names = fields();
    assert_eq!(event.field(names.intern("tenant")), Some("acme"), "an operator asked for it");
    assert_eq!(entry(&event)["fields"], json!({ "tenant": "acme", "region": "eu" }), "no service twice");
}

#[test]
fn the_line_wins_over_its_headers() {
    let headers = [
        ("traceparent", TRACEPARENT),
        ("request_id", "header"),
        ("service", "header"),
        ("level", "debug"),
        ("timestamp", "2020-01-01T00:00:00Z"),
        ("tenant", "header"),
        ("thread", "header"),
        ("span_id", "header"),
    ];
    for line in [
        r#"{"time":"2024-01-15T10:00:00Z","level":"ERROR","service":"s","request_id":"r","trace_id":"t","span_id":"p","thread":"w","tenant":"l","msg":"m"}"#,
        "time=2024-01-15T10:00:00Z level=ERROR service=s request_id=r trace_id=t span_id=p thread=w tenant=l msg=m",
        r#"{"log":"{\"time\":\"2024-01-15T10:00:00Z\",\"level\":\"ERROR\",\"service\":\"s\",\"request_id\":\"r\",\"trace_id\":\"t\",\"span_id\":\"p\",\"thread\":\"w\",\"tenant\":\"l\",\"msg\":\"m\"}\n"}"#,
        r#"{"attributes":{"request_id":"r","trace_id":"t","span_id":"p","thread":"w","service":"s","level":"ERROR","time":"2024-01-15T10:00:00Z","tenant":"l"},"msg":"m"}"#,
    ] {
        let plain = one(message(line, &[]));
        let tagged = one(message(line, &headers));
        assert_eq!(seen(&tagged), seen(&plain), "{line}");
        assert!(seen(&plain).contains("trace=t span=p"), "{}", seen(&plain));
        assert_eq!(tagged.field(fields().intern("tenant")), plain.field(fields().intern("tenant")), "{line}");
    }
    // Of a text, too, what it says counts.
    let event = one(message("2024-01-15 10:00:00 ERROR [w] request_id=r failed", &headers));
    assert_eq!(event.text(event.row().correlation), Some("r"));
    assert_eq!(event.row().level, Some(logbraid_core::Level::Error));
    assert_eq!(event.service(), Some("header"), "of which the text says nothing");
}

#[test]
fn a_key_is_a_field_or_the_id_that_the_source_names() {
    let keyed = || Message { key: Some(b"req-9".to_vec()), ..message(r#"{"msg":"a"}"#, &[]) };
    let event = one(keyed());
    assert_eq!(event.text(event.row().correlation), None);
    assert_eq!(entry(&event)["fields"], json!({ "kafka.key": "req-9" }));
    let settings = auto();
    let source = topic(&settings, "t", 0);
    let mut parser = Parser::new(Arc::new(settings), &Fields::default());
    let tags = Tags::new(Some("correlation_id".into()));
    let batch = Arc::new(parser.parse(raw(&source, &[keyed()], 0, false, tags)));
    let event = Event::new(batch, 0);
    assert_eq!(event.text(event.row().correlation), Some("req-9"));
    assert_eq!(entry(&event).get("fields"), None, "it is carried by name");
}

#[test]
fn headers_that_are_no_text_stay_with_the_record_and_are_counted() {
    let mut bad = message(r#"{"msg":"a"}"#, &[("good", "yes")]);
    bad.key = Some(vec![0xff]);
    bad.headers.push(("bad".to_owned(), Some(vec![0, 0xff])));
    bad.headers.push(("null".to_owned(), None));
    let settings = auto();
    let source = topic(&settings, "t", 0);
    let mut parser = Parser::new(Arc::new(settings), &Fields::default());
    let batch =
        parser.parse(raw(&source, &[message("  ", &[("gone", "1")]), bad], 5, false, Tags::new(None)));
    assert_eq!((batch.headers_left_out, batch.blank), (2, 1));
    let event = Event::new(Arc::new(batch), 0);
    assert_eq!(entry(&event)["fields"], json!({ "good": "yes" }));
    assert_eq!(event.tags().count(), 4);
    let reject = Reject::new(&event, Reason::GroupFull);
    let tags = reject.tags();
    assert_eq!(tags.key.as_deref(), Some(&[0xff][..]));
    assert_eq!(tags.headers[1], ("bad".to_owned(), Some(vec![0, 0xff])));
    assert_eq!(tags.headers[2], ("null".to_owned(), None));
    let written = serde_json::to_value(&reject).unwrap();
    assert_eq!(written["key_base64"], "/w==");
    assert_eq!(written["headers"][0], json!({ "name": "good", "value": "yes" }));
}

#[test]
fn what_is_rejected_is_kept_byte_for_byte() {
    let settings = compiled(json!({ "formats": "json", "max_line": "64B", "multiline": "off" }));
    let source = topic(&settings, "t", 0);
    let long = format!("{}\r\n", "x".repeat(100));
    for value in [&b"plain\r\n"[..], b"bad \xff\xfe\n", long.as_bytes()] {
        let messages = [message(value, &[("a", "1")])];
        let events = events(&settings, &source, &messages, &[], false);
        assert!(events[0].is_rejected());
        let reject = Reject::new(&events[0], Reason::WrongFormat);
        assert_eq!(reject.bytes(), value);
        assert_eq!(reject.tags().headers, [("a".to_owned(), Some(b"1".to_vec()))]);
    }
}

#[test]
fn a_record_without_a_time_has_its_transports() {
    let settings = auto();
    let source = topic(&settings, "t", 0);
    let messages = [message("a", &[]), message("b", &[("x", "1")])];
    let events = events(&settings, &source, &messages, &[1], false);
    let times: Vec<Value> = events.iter().map(|event| entry(event)["timestamp"].clone()).collect();
    assert_eq!(times, [json!("2024-01-15T10:00:00Z"), json!("2024-01-15T10:00:00.001Z")]);
    assert_eq!(entry(&events[1])["timestamp_from"], "ingest");
}

/// The entry as the next stage's sink would write it to its topic.
fn handed_on(event: &Event) -> Message {
    let tags = handover::tags(event);
    Message { key: tags.key, headers: tags.headers, value: event.raw_bytes().to_vec() }
}

/// Lines of many kinds, among them those whose meaning hangs on others.
fn line() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"{"time":"2024-01-15T10:00:00.120Z","level":"info","service":"api","request_id":"r1","msg":"in"}"#,
        r#"{"time":"2024-01-15T10:00:01Z","thread":"w1","level":"ERROR","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"a\tb"}"#,
        r#"{"msg":"no time","tenant":"acme","duration_ms":12}"#,
        "2024-01-15 10:00:02,250 ERROR [main] app - request_id=r2 failed",
        "java.lang.IllegalStateException: gone",
        "\tat com.example.Shop.pay(Shop.java:12)",
        "Caused by: java.io.IOException: closed",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in <module>",
        "ValueError: no",
        "01/02/2024 10:00:00 first",
        "13/02/2024 10:00:01 the day comes first",
        "<13>Jan 15 10:00:00 web-1 app[12]: request r3 took 5ms",
        r#"{"log":"part one of a long line ","stream":"stdout","time":"2024-01-15T10:00:03Z"}"#,
        "level=warn msg=\"slow\" req_id=r4",
        "plain words",
        "{",
        "}",
        "   ",
    ])
    .prop_map(str::to_owned)
}

fn some_message() -> impl Strategy<Value = Message> {
    let header = prop::sample::select(vec![
        ("x-request-id", "h1"),
        ("traceparent", TRACEPARENT),
        ("service", "from-header"),
        ("tenant", "t9"),
        ("odd", "\u{1F600}"),
    ]);
    let key = prop::option::of(prop::sample::select(vec![&b"k1"[..], b"\xff"]));
    (line(), prop::collection::vec(header, 0..3), key, any::<bool>()).prop_map(|(line, headers, key, bad)| {
        let mut message = message(&line, &headers);
        message.key = key.map(<[u8]>::to_vec);
        if bad && line.starts_with("plain") {
            message.value.push(0xff);
        }
        message
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..30, 0..4).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

fn plain(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| {
        let named = handover::NAMED.map(|id| event.field(id).map(str::to_owned));
        format!(
            "{} {} {named:?} {:?} {:?}",
            entry(event),
            event.raw(),
            event.field(fields().intern("tenant")),
            event.row().duration_ms
        )
    };
    events.iter().map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_cut_does_not_matter(messages in prop::collection::vec(some_message(), 1..24), one in cuts(), two in cuts()) {
        let settings = auto();
        let source = topic(&settings, "t", 0);
        let whole = plain(&events(&settings, &source, &messages, &one, false));
        prop_assert_eq!(whole, plain(&events(&settings, &source, &messages, &two, false)));
    }

    #[test]
    fn the_next_stage_has_the_same_entries_with_the_same_ids(
        messages in prop::collection::vec(some_message(), 1..24), one in cuts(), two in cuts(),
    ) {
        let settings = auto();
        let first = topic(&settings, "app-logs", 3);
        let mut before = events(&settings, &first, &messages, &one, false);
        if let Some(event) = before.get_mut(0) {
            event.attribute(Attribution { kind: KeyKind::Trace, value: "t1".to_owned(), confidence: 70 });
        }
        let second = topic(&settings, "requests", 0);
        let between: Vec<Message> = before.iter().map(handed_on).collect();
        let after = events(&settings, &second, &between, &two, true);
        prop_assert_eq!(plain(&before), plain(&after));
        // And a third stage could have them, too.
        let again: Vec<Message> = after.iter().map(handed_on).collect();
        for (here, there) in between.iter().zip(&again) {
            prop_assert_eq!(&here.key, &there.key);
            prop_assert_eq!(&here.value, &there.value);
            prop_assert_eq!(&here.headers, &there.headers);
        }
    }

    #[test]
    fn rubbish_between_stages_is_a_record_like_any_other(text in ".{0,200}", value in ".{0,40}") {
        let settings = auto();
        let source = topic(&settings, "requests", 0);
        let messages = [message(&value, &[(handover::ENTRY, &text)]), message("good", &[])];
        for event in events(&settings, &source, &messages, &[], true) {
            prop_assert_eq!(event.source().name.as_str(), "requests/0");
        }
    }
}
