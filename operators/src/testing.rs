//! Test notation for groups: entries `MS SERVICE THREAD [key=value…] [LEVEL] message`, separated by `|` or line ends.
//!
//! `-` is no service or no thread. Keys: `span`, `parent`, `corr`, `op` (operation), `ms` (a stated duration).

use std::sync::Arc;

use logbraid_core::component::{Component, Context, settings};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{
    Batch, Chain, ClosedBy, Element, Event, EventTime, FieldId, Fields, Finding, Group, Key, Level, Operator,
    PartitionId, Phase, Record, Row, Source, Span, Text,
};

/// The moment `ms` milliseconds after the tests' beginning, 2024-01-15T10:00:00Z.
pub(crate) fn at(ms: f64) -> EventTime {
    #[expect(clippy::cast_possible_truncation, reason = "tests use small numbers")]
    let nanos = (ms * 1e6).round() as i64;
    EventTime::from_millis(1_705_312_800_000) + Span::from_nanos(nanos)
}

/// The milliseconds since the tests' beginning.
pub(crate) fn ms(time: EventTime) -> f64 {
    time.since(at(0.0)).millis()
}

/// The events of a notation, all of one source.
pub(crate) fn events(notation: &str) -> Vec<Event> {
    let mut batch = Batch::new(Arc::new(Source::lines("test.log", PartitionId(0))));
    let lines = notation.split(['|', '\n']).map(str::trim).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        let start = batch.text.len();
        let text = |part: &str| Text {
            start: u32::try_from(start + (part.as_ptr() as usize - line.as_ptr() as usize)).unwrap(),
            len: u32::try_from(part.len()).unwrap(),
        };
        let optional = |part: &str| if part == "-" { Text::NONE } else { text(part) };
        let mut words = line.splitn(4, ' ');
        let mut row = Row {
            time: at(words.next().unwrap().parse().unwrap()),
            offset: start as u64,
            line: number as u64 + 1,
            raw: text(line),
            service: optional(words.next().expect("a service")),
            thread: optional(words.next().expect("a thread")),
            extras_start: u32::try_from(batch.extras.len()).unwrap(),
            ..Row::default()
        };
        let mut rest = words.next().unwrap_or(&line[line.len()..]);
        loop {
            let (word, tail) = rest.split_once(' ').unwrap_or((rest, &rest[rest.len()..]));
            match word.split_once('=') {
                Some(("span", value)) => row.span = text(value),
                Some(("parent", value)) => row.parent_span = text(value),
                Some(("corr", value)) => row.correlation = text(value),
                Some(("ms", value)) => row.duration_ms = value.parse().unwrap(),
                Some(("op", value)) => {
                    batch.extras.push((FieldId::OPERATION, text(value)));
                    row.extras_len += 1;
                }
                _ => match Level::ALL.into_iter().find(|level| level.name() == word) {
                    Some(level) => row.level = Some(level),
                    None => break,
                },
            }
            rest = tail;
        }
        row.message = text(rest);
        batch.text.push_str(line);
        batch.rows.push(row);
    }
    let batch = Arc::new(batch);
    (0..batch.rows.len()).map(|at| Event::new(Arc::clone(&batch), u32::try_from(at).unwrap())).collect()
}

/// The group of a notation: request `req-123`, closed because it was idle, sorted.
pub(crate) fn group(notation: &str) -> Box<Group> {
    group_of(&events(notation))
}

/// The group of some events.
pub(crate) fn group_of(events: &[Event]) -> Box<Group> {
    let key = Key { kind: "correlation_id".to_owned(), value: "req-123".to_owned() };
    let mut group = Box::new(Group { key, phase: Phase::Closed(ClosedBy::Idle), ..Group::default() });
    for event in events {
        assert!(group.push(event), "the group has room");
    }
    group.sort();
    group.id = Group::id_of(&group.key, "", group.start());
    group.due = group.end() + Span::from_seconds(30);
    group.hold = group.start();
    group
}

/// Builds an operator from its settings.
pub(crate) fn built<C: Component>(config: serde_json::Value) -> C {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: TimeSettings::default(),
        carry: Span::from_seconds(2),
        originals: false,
        read: logbraid_core::component::no_files,
    };
    C::build(settings(&config).unwrap(), &mut context).unwrap()
}

/// What comes out of a chain of operators for `elements` and the end of the input.
pub(crate) fn run(stages: Vec<Box<dyn Operator>>, mut elements: Vec<Element>) -> Vec<Record> {
    let mut chain = Chain::new(stages, false, Span::from_seconds(60));
    let mut out = Vec::new();
    elements.push(Element::Watermark(EventTime::MAX));
    chain.push(&mut elements, &mut out);
    out.into_iter().map(|due| due.record).collect()
}

/// The findings among `records`.
pub(crate) fn findings(records: Vec<Record>) -> Vec<Finding> {
    records
        .into_iter()
        .filter_map(|record| match record {
            Record::Finding(finding) => Some(*finding),
            _ => None,
        })
        .collect()
}

/// A tree as text: `id start–end own=self n=entries (how)`, children indented.
pub(crate) fn drawn(tree: &logbraid_core::tree::Hierarchy) -> String {
    let mut out = String::new();
    let mut todo: Vec<usize> = tree.roots.iter().rev().copied().collect();
    while let Some(at) = todo.pop() {
        let node = &tree.nodes[at];
        let how = node.evidence.first().map_or(String::new(), |why| format!(" ({why} {})", node.confidence));
        out.extend([format!(
            "{}{} {}-{} own={} n={}{how}\n",
            "  ".repeat(node.depth),
            node.id,
            ms(node.start),
            ms(node.end),
            node.self_ms,
            node.entries,
        )]);
        todo.extend(node.children.iter().rev());
    }
    out
}

/// The error for settings that an operator refuses, with its help.
pub(crate) fn refused<C: Component>(config: serde_json::Value) -> String {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: TimeSettings::default(),
        carry: Span::from_seconds(2),
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let error = settings(&config).and_then(|config| C::build(config, &mut context).map(|_| ()));
    let error = error.expect_err("the settings are wrong");
    format!("{} ({})", error.message, error.help.unwrap_or_default())
}

/// The same items in an order that follows from `seed`.
pub(crate) fn shuffled<T: Clone>(items: &[T], seed: u32) -> Vec<T> {
    let mut items = items.to_vec();
    for at in (1..items.len()).rev() {
        items.swap(at, (seed as usize).wrapping_mul(at + 7) % (at + 1));
    }
    items
}
