//! What a question says of a request is what a stream says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use logbraid_core::{Group, Id, Record};
use logbraid_operators::error_flow::trace;
use logbraid_operators::hierarchy::Linking;
use proptest::prelude::*;

use super::{Of, Request, all};
use crate::IdKind;
use crate::testing::{braided, lines, window};

/// The requests that a stream told, each as it was told last.
fn told(records: Vec<Record>) -> BTreeMap<Id, Box<Group>> {
    let closed = records.into_iter().filter_map(|record| match record {
        Record::Timeline(group) if group.is_closed() => Some(group),
        _ => None,
    });
    closed.map(|group| (group.id, group)).collect()
}

/// Everything that the tree and the error flow of a group say, and what the group is called.
fn shown(group: &Group) -> String {
    let messages: Vec<&str> = group.rows.iter().map(|row| group.message(row)).collect();
    format!("{:?} {:?} {messages:?}\n{:#?}\n{:#?}", group.key, group.levels, group.hierarchy, trace(group))
}

#[derive(Debug, Clone)]
struct Line {
    ms: u32,
    service: usize,
    thread: usize,
    request: usize,
    trace: usize,
    span: usize,
    parent: usize,
    level: usize,
    duration: u32,
}

impl Line {
    fn text(&self) -> String {
        let mut text = format!(
            r#"{{"ts":"2024-01-15T10:00:{:02}.{:03}Z","level":"{}","service":"s{}""#,
            self.ms / 1000,
            self.ms % 1000,
            ["DEBUG", "INFO", "WARN", "ERROR"][self.level],
            self.service,
        );
        let threads = ["main", "w-1", "w-1.task", "w-1.task:2", "pool-3"];
        let _ = write!(text, r#","thread":"{}""#, threads[self.thread]);
        for (name, number, known) in [
            ("request_id", self.request, 3),
            ("trace_id", self.trace, 2),
            ("span_id", self.span, 6),
            ("parent_span_id", self.parent, 6),
        ] {
            // Numbers beyond what is known are lines without that id.
            if number < known {
                let _ = write!(text, r#","{name}":"{}{number}""#, &name[..1]);
            }
        }
        if self.duration > 0 && self.duration < 50 {
            let _ = write!(text, r#","duration_ms":{}"#, self.duration);
        }
        let _ = write!(text, r#","msg":"step {} of s{}"}}"#, self.span, (self.service + 1) % 3);
        text
    }
}

fn line() -> impl Strategy<Value = Line> {
    let ids = (0_usize..6, 0_usize..5, 0_usize..9, 0_usize..9);
    (0_u32..20_000, 0_usize..3, 0_usize..5, ids, 0_usize..4, 0_u32..100).prop_map(
        |(ms, service, thread, (request, trace, span, parent), level, duration)| Line {
            ms,
            service,
            thread,
            request,
            trace,
            span,
            parent,
            level,
            duration,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_question_gives_the_tree_and_the_error_flow_of_the_stream(log in prop::collection::vec(line(), 1..60)) {
        let text: String = log.iter().map(|line| line.text() + "\n").collect();
        let (window, records) = braided(&text);
        let told = told(records);
        let live: BTreeSet<String> = told.values().map(|group| shown(group)).collect();
        let found = all(&window, usize::MAX);
        // A stream may have told of a request before it saw that another is the same.
        prop_assert!(found.total <= told.len() as u64);
        let mut entries = 0;
        for request in found.requests {
            let group = request.with_tree("", &Linking::default()).group;
            entries += group.rows.len();
            let shown = shown(&group);
            prop_assert!(live.contains(&shown), "{shown}\nis not among\n{live:#?}");
        }
        prop_assert_eq!(entries, log.len());
    }

    #[test]
    fn any_id_of_a_request_finds_all_of_it(log in prop::collection::vec(line(), 1..60)) {
        // Without errors and stated ends, nothing is told before all is known.
        let calm = |line: &Line| Line { level: line.level % 3, duration: 0, ..line.clone() };
        let text: String = log.iter().map(|line| calm(line).text() + "\n").collect();
        let (window, records) = braided(&text);
        for live in told(records).into_values() {
            for (kind, ids) in &live.ids {
                let kind = match kind.as_str() {
                    "correlation_id" => IdKind::Correlation,
                    "trace_id" => IdKind::Trace,
                    _ => continue,
                };
                for id in ids {
                    let found = Request::find(&window, &Of { id: id.clone(), kind: Some(kind) });
                    let group = found.map(|found| found.with_tree(id, &Linking::default()).group);
                    prop_assert_eq!(group.as_ref().map(shown), Some(shown(&live)));
                    prop_assert_eq!(group.map(|group| group.id), Some(live.id));
                }
            }
        }
    }
}

fn entries(window: &crate::Window, id: &str, kind: Option<IdKind>) -> Option<usize> {
    Request::find(window, &Of { id: id.to_owned(), kind }).map(|found| found.entries.len())
}

#[test]
fn ids_that_one_entry_carries_together_are_one_request() {
    let window = window(
        "
        2024-01-15T10:00:00Z INFO request_id=a begins
        2024-01-15T10:00:01Z INFO request_id=a trace_id=4bf92f3577b34da6a3ce929d0e0e4736 both
        2024-01-15T10:00:02Z INFO trace_id=4bf92f3577b34da6a3ce929d0e0e4736 request_id=b goes on
        2024-01-15T10:00:03Z INFO request_id=b ends
        2024-01-15T10:00:04Z INFO request_id=c something else
        ",
    );
    assert_eq!(entries(&window, "a", None), Some(4));
    assert_eq!(entries(&window, "b", None), Some(4));
    assert_eq!(entries(&window, "4bf92f3577b34da6a3ce929d0e0e4736", None), Some(4));
    assert_eq!(entries(&window, "c", None), Some(1));
    assert_eq!(entries(&window, "nobody", None), None);
}

#[test]
fn a_thread_is_its_own_entries_however_many_requests_it_served() {
    let window = window(
        "
        2024-01-15T10:00:00Z INFO [w-1] request_id=a one
        2024-01-15T10:00:01Z INFO [w-2] request_id=a two
        2024-01-15T10:00:02Z INFO [w-1] request_id=b three
        ",
    );
    assert_eq!(entries(&window, "w-1", None), Some(2));
    assert_eq!(entries(&window, "a", None), Some(2));
}

#[test]
fn spans_without_any_other_id_are_followed_to_their_parents_and_children() {
    let log = lines(5, |n| {
        format!(
            r#"{{"ts":"2024-01-15T10:00:0{n}Z","msg":"layer {n}","span_id":"s{n}","parent_span_id":"s{}"}}"#,
            n as i64 - 1
        )
    });
    let window = window(&log);
    assert_eq!(entries(&window, "s2", None), Some(5));
}
