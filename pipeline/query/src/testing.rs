//! Test notation: the text of log files. It is parsed by the real parser and goes down the chain of batch questions
//! (thread, index), so that tests see what users see.

#![allow(dead_code, reason = "each question's tests use a part of it")]

use std::sync::Arc;

use logbraid_core::component::{Component, Context, settings};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{
    Chain, Element, EventTime, Fields, Operator, PartitionId, Record, Source, Span, TimeOrder,
};
use logbraid_index::IndexReader;
use logbraid_operators::correlate::Correlate;
use logbraid_operators::error_flow::TraceErrors;
use logbraid_operators::hierarchy::Hierarchy;
use logbraid_operators::index::Index;
use logbraid_operators::thread::Thread;
use logbraid_parse::{Assembler, Framing, Parser, RawBatch, Settings};
use serde_json::{Value, json};

use crate::{Question, QuestionError, Window};

/// The window of one file, `app.log`. The spaces before the lines are those of the test, and do not count.
pub(crate) fn window(text: &str) -> Window {
    window_of(&[("app.log", text)])
}

/// The window of several files, each a name and a text; `api=api.log` says that it is of the service `api`.
pub(crate) fn window_of(files: &[(&str, &str)]) -> Window {
    let view = reader(files, EventTime::MAX).view();
    let now = view.newest();
    Window::new(view, now, false)
}

/// The window of a stream that goes on: one file that is known up to `through`.
pub(crate) fn live(text: &str, through: &str, now: &str) -> Window {
    Window::new(reader(&[("app.log", text)], at(through)).view(), at(now), true)
}

/// The window of real files, whose text stays where it is.
pub(crate) fn files(paths: &[&std::path::Path]) -> Window {
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).expect("the test wrote it")))
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let view = filled(&files, EventTime::MAX, Index::batch(64 << 20)).view();
    let now = view.newest();
    Window::new(view, now, false)
}

/// The text of so many lines.
pub(crate) fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    let lines: Vec<String> = (0..count).map(line).collect();
    lines.join("\n") + "\n"
}

/// A time, as RFC 3339.
pub(crate) fn at(text: &str) -> EventTime {
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("the test states a time");
    EventTime::from_nanos(time.timestamp_nanos_opt().expect("the test's times are of our days"))
}

/// The answer to a question, as the document that users get; an error is its code and message.
pub(crate) fn answer<Q: Question>(question: &Q, window: &Window) -> Value {
    match question.ask(window) {
        Ok(reply) => serde_json::to_value(&reply.answer).expect("answers are JSON"),
        Err(QuestionError { code, message, help }) => json!({"code": code, "message": message, "help": help}),
    }
}

/// A question from its options as JSON, as HTTP has them; what is not said has its default.
pub(crate) fn asked<Q: Question>(options: Value) -> Q {
    serde_json::from_value(options).expect("the test's options are right")
}

fn reader(files: &[(&str, &str)], through: EventTime) -> IndexReader {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: TimeSettings::default(),
        carry: Span::from_seconds(2),
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let settings = json!({"span": "100000d", "memory": "64MiB"});
    filled(files, through, built::<Index>(settings, &mut context))
}

fn filled(files: &[(&str, &str)], through: EventTime, index: Index) -> IndexReader {
    let mut fields = Fields::default();
    let (mut chain, reader) = {
        let time = TimeSettings::default();
        let mut context = Context {
            fields: &mut fields,
            time,
            carry: Span::from_seconds(2),
            originals: false,
            read: logbraid_core::component::no_files,
        };
        let thread: Box<dyn Operator> = Box::new(built::<Thread>(json!({}), &mut context));
        let reader = index.reader();
        (Chain::new(vec![thread, Box::new(index)], false, Span::from_seconds(60)), reader)
    };
    run(files, through, &fields, &mut chain);
    reader
}

/// The window of one file, and what a stream with every operator says of the same file.
pub(crate) fn braided(text: &str) -> (Window, Vec<Record>) {
    let mut fields = Fields::default();
    let time = TimeSettings::default();
    let mut context = Context {
        fields: &mut fields,
        time,
        carry: Span::from_seconds(2),
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let index = built::<Index>(json!({"span": "100000d", "memory": "64MiB"}), &mut context);
    let reader = index.reader();
    let operators: Vec<Box<dyn Operator>> = vec![
        Box::new(built::<Thread>(json!({}), &mut context)),
        Box::new(index),
        Box::new(built::<Correlate>(json!({}), &mut context)),
        Box::new(built::<Hierarchy>(json!({}), &mut context)),
        Box::new(built::<TraceErrors>(json!({}), &mut context)),
    ];
    let mut chain = Chain::new(operators, false, Span::from_seconds(60));
    let records = run(&[("app.log", text)], EventTime::MAX, &fields, &mut chain);
    let view = reader.view();
    let now = view.newest();
    (Window::new(view, now, false), records)
}

/// Parses files and sends them down a chain.
fn run(files: &[(&str, &str)], through: EventTime, fields: &Fields, chain: &mut Chain) -> Vec<Record> {
    let compiled = Arc::new(Settings::default().compile().expect("the defaults are right"));
    let mut order = TimeOrder::new(Span::from_millis(100));
    for (number, (name, text)) in (0_u32..).zip(files) {
        let (service, name) =
            name.split_once('=').map_or((None, *name), |(label, name)| (Some(label.to_owned()), name));
        let mut source = Source::lines(name, PartitionId(number));
        source.service = service;
        source.reader = compiled.reader();
        let batch = Parser::new(Arc::clone(&compiled), fields).parse(RawBatch {
            source: Arc::new(source),
            bytes: trimmed(text).into_bytes(),
            framing: Framing::Lines { offset: 0, line: 1 },
            ingest: at("2024-06-01T00:00:00Z"),
        });
        let mut assembler = Assembler::new(&compiled, EventTime::MIN).with_fields(&compiled, fields);
        let mut events = Vec::new();
        assembler.push(batch, &mut events);
        assembler.flush(&mut events);
        for event in events {
            order.push(event);
        }
    }
    let mut elements = Vec::new();
    order.release(EventTime::MAX, &mut elements);
    elements.push(Element::Watermark(through));
    let mut out = Vec::new();
    chain.push(&mut elements, &mut out);
    out.into_iter().map(|due| due.record).collect()
}

fn built<C: Component>(config: Value, context: &mut Context<'_>) -> C {
    C::build(settings(&config).expect("the settings are read"), context).expect("the settings are right")
}

/// `text` without the indentation that all of its lines share, and without an empty first line.
fn trimmed(text: &str) -> String {
    let text = text.strip_prefix('\n').unwrap_or(text).trim_end_matches(' ');
    let indented = |line: &&str| !line.trim().is_empty();
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared = text.lines().filter(indented).map(depth).min().unwrap_or(0);
    let lines = text.split_inclusive('\n').map(|line| line.get(shared..).unwrap_or("\n"));
    lines.collect()
}

#[test]
fn the_notation_is_parsed_threaded_and_ordered() {
    let window = window_of(&[
        (
            "api=api.log",
            "
            2024-01-15T10:00:01Z ERROR [w-1] charge failed request_id=req-1
            Caused by: java.lang.IllegalStateException: no
                at com.shop.Charge.run(Charge.java:7)
            2024-01-15T10:00:02Z INFO [w-1] without an id
            ",
        ),
        ("db.log", r#"{"ts":"2024-01-15T10:00:00Z","level":"warn","msg":"slow","service":"db"}"#),
    ]);
    let mut shown = String::new();
    for entry in window.view().scan(&window.filter()) {
        let message = entry.message().expect("the text is there");
        let message = message.lines().next().unwrap_or_default();
        let (service, request) = (entry.service().unwrap_or("-"), entry.correlation().unwrap_or("-"));
        shown.extend([service, " ", request, " ", message, "\n"]);
    }
    assert_eq!(shown, "db - slow\napi req-1 charge failed request_id=req-1\napi req-1 without an id\n");
    assert_eq!(window.complete_through(), None);
}
