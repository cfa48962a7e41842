use std::collections::BTreeSet;

use logbraid_core::operator::Due;
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, ClosedBy, Element, EventTime, Phase, Record, Span};

use crate::test_lines::{built, events};

/// Runs events through `correlate` alone, with a watermark two seconds behind the newest event after each of them.
fn run(settings: serde_json::Value, lines: &str) -> Vec<Due> {
    let mut chain = Chain::new(vec![built::<super::Correlate>(settings)], false, Span::from_seconds(60));
    let mut out = Vec::new();
    let (mut newest, mut watermark) = (EventTime::MIN, EventTime::MIN);
    let mut elements = Vec::new();
    for event in events(lines) {
        newest = newest.max(event.time());
        elements.push(Element::Event(event));
        let due = (newest - Span::from_seconds(2)).floor_to(TimeSettings::default().tick);
        if due > watermark {
            watermark = due;
            elements.push(Element::Watermark(due));
        }
    }
    elements.push(Element::Watermark(EventTime::MAX));
    chain.push(&mut elements, &mut out);
    out
}

/// One line per record: key, revision, why it was closed, when it was due, and the seconds of its entries.
fn told(settings: serde_json::Value, lines: &str) -> String {
    run(settings, lines).iter().map(describe).collect::<Vec<_>>().join("\n")
}

fn seconds(time: EventTime) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small test times")]
    let seconds = time.nanos() as f64 / 1e9;
    seconds
}

fn describe(due: &Due) -> String {
    match &due.record {
        Record::Timeline(group) => {
            let by = match group.phase {
                Phase::Closed(by) => serde_json::to_value(by).unwrap().as_str().unwrap().to_owned(),
                Phase::Early => "early".to_owned(),
            };
            let times: Vec<String> = group.rows.iter().map(|row| seconds(row.time).to_string()).collect();
            let omitted =
                if group.omitted > 0 { format!(" and {} omitted", group.omitted) } else { String::new() };
            let at = seconds(due.due);
            format!("{}#{} {by} at {at}: {}{omitted}", group.key.value, group.revision, times.join(" "))
        }
        Record::Entry(event) => format!("late {}", seconds(event.time())),
        other => format!("{other:?}"),
    }
}

#[test]
fn entries_that_share_an_id_are_one_request_and_quiet_ends_it() {
    assert_eq!(
        told(serde_json::json!({}), "0 req=a\n1 req=b\n2 req=a\n40 req=b"),
        "b#0 idle at 31: 1\na#0 idle at 32: 0 2\nb#0 end_of_input at 70: 40"
    );
}

#[test]
fn an_entry_with_two_ids_links_what_either_knows() {
    let out = told(serde_json::json!({}), "0 trace=t\n1 req=a\n2 req=a trace=t\n3 trace=t");
    assert_eq!(out, "a#0 end_of_input at 33: 0 1 2 3");
}

#[test]
fn an_entry_that_joins_two_sessions_makes_them_one() {
    let out = told(serde_json::json!({}), "0 req=a\n5 req=b\n6 trace=t\n7 req=b trace=t\n8 req=a trace=t");
    assert_eq!(out, "a#0 end_of_input at 38: 0 5 6 7 8");
}

#[test]
fn threads_serve_only_entries_without_any_other_id() {
    let out = told(serde_json::json!({}), "0 req=a thread=w\n1 thread=w\n2 req=b thread=w");
    assert_eq!(out, "a#0 end_of_input at 30: 0\nw#0 end_of_input at 31: 1\nb#0 end_of_input at 32: 2");
}

#[test]
fn threads_of_one_name_in_two_services_are_two() {
    let out = run(serde_json::json!({}), "0 svc=a thread=main\n1 svc=b thread=main");
    let ids: BTreeSet<_> = out.iter().map(|due| due.record.id()).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn the_end_of_the_root_span_closes_after_a_moment_of_quiet() {
    let out = told(
        serde_json::json!({}),
        "0 req=a span=r\n0.1 req=a span=c parent=r\n0.5 req=a span=r ms=500\n9 req=z",
    );
    assert_eq!(out, "a#0 root_done at 1.5: 0 0.1 0.5\nz#0 end_of_input at 39: 9");
}

#[test]
fn a_childs_stated_end_is_not_the_end_of_the_request() {
    let out = told(
        serde_json::json!({}),
        "0 req=a span=r\n0.1 req=a span=c parent=r\n0.2 req=a span=c ms=100\n9 req=z",
    );
    assert_eq!(out, "a#0 end_of_input at 30.2: 0 0.1 0.2\nz#0 end_of_input at 39: 9");
}

#[test]
fn entries_after_the_root_is_done_revise_the_timeline() {
    let out = told(serde_json::json!({}), "0 req=a span=r ms=1\n4 req=a\n50 req=z");
    assert_eq!(out, "a#0 root_done at 1: 0\na#1 idle at 34: 0 4\nz#0 end_of_input at 80: 50");
}

#[test]
fn an_end_marker_closes_after_a_moment_of_quiet() {
    let settings = serde_json::json!({ "end_markers": ["request completed"] });
    assert_eq!(
        told(settings, "0 req=a\n1 req=a request completed\n9 req=z"),
        "a#0 end_marker at 2: 0 1\nz#0 end_of_input at 39: 9"
    );
}

#[test]
fn a_late_entry_revises_within_the_lateness_and_is_late_after_it() {
    let out = told(serde_json::json!({}), "0 req=a\n40 req=z\n5 req=a\n80 req=z\n6 req=a");
    assert_eq!(out.lines().next(), Some("late 6"));
    assert!(out.contains("a#0 idle at 30: 0\n"), "{out}");
    assert!(out.contains("a#1 idle at 38.1: 0 5\n"), "{out}");
}

#[test]
fn a_long_request_is_cut_at_whole_multiples_and_a_short_one_never() {
    let settings = || serde_json::json!({ "max_span": "60s", "gap": "20s" });
    let long: Vec<String> = (0..12).map(|n| format!("{} req=a", 5 + n * 10)).collect();
    assert_eq!(
        told(settings(), &long.join("\n")),
        "a#0 max_span at 65.000000001: 5 15 25 35 45 55\na#0 max_span at 95.000000001: 65 75 85\n\
         a#0 end_of_input at 135: 95 105 115"
    );
    // Thirty seconds across a boundary: not cut.
    assert_eq!(told(settings(), "50 req=a\n60 req=a\n70 req=a"), "a#0 end_of_input at 90: 50 60 70");
}

#[test]
fn nothing_is_due_at_the_very_time_of_the_entry_that_makes_it_due() {
    // Events at a watermark have not gone through yet when a commit at it is made.
    let due = |settings, lines: &str| seconds(run(settings, lines)[0].due);
    assert!(due(serde_json::json!({ "settle": "0s" }), "1 req=a span=r ms=1\n9 req=z") > 1.0);
    let cut = "5 req=a\n25 req=a\n45 req=a\n65 req=a\n200 req=z";
    assert!(due(serde_json::json!({ "max_span": "60s", "gap": "30s" }), cut) > 65.0);
}

#[test]
fn a_late_entry_that_cuts_a_request_is_told_of_after_the_watermark_it_missed() {
    let settings = serde_json::json!({ "max_span": "60s", "gap": "30s" });
    let out = told(settings, "5 req=a\n25 req=a\n45 req=a\n68 req=z\n62 req=a");
    assert_eq!(out.lines().next(), Some("a#0 max_span at 66.1: 5 25 45"), "{out}");
}

#[test]
fn beyond_max_entries_the_first_the_last_and_the_errors_stay() {
    let settings = serde_json::json!({ "max_entries": 8 });
    let lines: Vec<String> = (0..40)
        .map(|n| format!("{} req=a{}", f64::from(n) / 10.0, if n == 20 { " level=ERROR boom" } else { "" }))
        .collect();
    let out = told(settings, &lines.join("\n"));
    assert!(out.ends_with("0 0.1 0.2 0.3 2 3.8 3.9 and 33 omitted"), "{out}");
}

#[test]
fn beyond_the_memory_the_oldest_request_is_told_early_and_says_so() {
    let settings = serde_json::json!({ "memory": "1MiB" });
    let long = "x".repeat(2000);
    let lines: Vec<String> = (0..900).map(|n| format!("{} req=r{n} {long}", f64::from(n) / 100.0)).collect();
    let out = run(settings, &lines.join("\n"));
    let by_memory: Vec<&Due> = out
        .iter()
        .filter(|due| matches!(&due.record, Record::Timeline(group) if group.phase == Phase::Closed(ClosedBy::Memory)))
        .collect();
    assert!(by_memory.len() > 100, "{}", by_memory.len());
    assert!(
        by_memory.iter().all(|due| due.due == EventTime::MIN),
        "a restart tells it again: it may be lost else"
    );
    assert_eq!(out.len(), 900, "every request is told once");
}

#[test]
fn related_requests_are_linked_as_parent_and_child() {
    let out = run(serde_json::json!({}), "0 req=a down=b\n1 req=b up=a");
    let Record::Timeline(parent) = &out[0].record else { panic!() };
    let Record::Timeline(child) = &out[1].record else { panic!() };
    assert_eq!(parent.children[0].value, "b");
    assert_eq!(child.parents[0].value, "a");
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_proposal() {
    let build = |settings: serde_json::Value| {
        let mut fields = logbraid_core::Fields::default();
        let mut context = logbraid_core::component::Context {
            fields: &mut fields,
            time: TimeSettings::default(),
            carry: Span::ZERO,
            originals: false,
            read: logbraid_core::component::no_files,
        };
        let spec = crate::OPERATORS.iter().find(|spec| spec.name == "correlate").unwrap();
        (spec.build)(&settings, &mut context).err().unwrap()
    };
    let error = build(serde_json::json!({ "gap": "0s" }));
    assert_eq!(error.path, "gap");
    assert!(error.help.unwrap().contains("try `gap: 30s`"));
    assert_eq!(build(serde_json::json!({ "gap": "6m" })).path, "max_span");
    assert_eq!(build(serde_json::json!({ "keys": ["trace_id", "trace_id"] })).path, "keys");
}
