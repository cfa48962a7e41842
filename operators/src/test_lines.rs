//! Test notation: one event a line, `seconds key=value… words of the message`.

use std::sync::Arc;

use logbraid_core::component::{Component, Context};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{
    Batch, Event, EventTime, FieldId, Fields, Flags, Level, Operator, PartitionId, Row, Source, Span, Text,
};

/// Builds an operator from its settings.
pub(crate) fn built<C: Component>(settings: serde_json::Value) -> Box<dyn Operator> {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: TimeSettings::default(),
        carry: Span::ZERO,
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let config = logbraid_core::component::settings(&settings).unwrap();
    Box::new(C::build(config, &mut context).unwrap())
}

/// Parses the notation: `req= trace= thread= span= parent= svc= host= ms= level= up= (parent request) down= (child request)`.
pub(crate) fn events(lines: &str) -> Vec<Event> {
    let mut batch = Batch::new(Arc::new(Source::lines("test.log", PartitionId(0))));
    for (number, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let start = u32::try_from(batch.text.len()).unwrap();
        batch.text.push_str(line);
        let mut row = Row { offset: u64::from(start), line: number as u64 + 1, ..Row::default() };
        row.raw = Text { start, len: u32::try_from(line.len()).unwrap() };
        row.extras_start = u32::try_from(batch.extras.len()).unwrap();
        let mut at = start;
        let mut message = None;
        for (index, word) in line.split(' ').enumerate() {
            let value_of = |key: &str| {
                word.strip_prefix(key).map(|value| Text {
                    start: at + u32::try_from(key.len()).unwrap(),
                    len: u32::try_from(value.len()).unwrap(),
                })
            };
            if index == 0 {
                let seconds: f64 = word.parse().unwrap();
                #[expect(clippy::cast_possible_truncation, reason = "small test times")]
                let nanos = (seconds * 1e9).round() as i64;
                row.time = EventTime::from_nanos(nanos);
            } else if let Some(text) = value_of("req=") {
                row.correlation = text;
            } else if let Some(text) = value_of("trace=") {
                row.trace = text;
            } else if let Some(text) = value_of("thread=") {
                row.thread = text;
            } else if let Some(text) = value_of("span=") {
                row.span = text;
            } else if let Some(text) = value_of("parent=") {
                row.parent_span = text;
            } else if let Some(text) = value_of("svc=") {
                row.service = text;
            } else if let Some(text) = value_of("host=") {
                row.host = text;
            } else if let Some(ms) = word.strip_prefix("ms=") {
                row.duration_ms = ms.parse().unwrap();
            } else if let Some(level) = word.strip_prefix("level=") {
                row.level = Level::ALL.into_iter().find(|known| known.name() == level);
            } else if let Some(text) = value_of("up=") {
                batch.extras.push((FieldId::PARENT_REQUEST, text));
                row.extras_len += 1;
            } else if let Some(text) = value_of("down=") {
                batch.extras.push((FieldId::CHILD_REQUEST, text));
                row.extras_len += 1;
            } else if message.is_none() {
                message = Some(at);
            }
            at += u32::try_from(word.len()).unwrap() + 1;
        }
        if let Some(first) = message {
            row.message = Text { start: first, len: row.raw.end() - first };
        }
        if row.time == EventTime::MIN {
            row.flags.set(Flags::NO_TIMESTAMP);
        }
        batch.text.push('\n');
        batch.rows.push(row);
    }
    let batch = Arc::new(batch);
    (0..batch.rows.len()).map(|row| Event::new(Arc::clone(&batch), u32::try_from(row).unwrap())).collect()
}
