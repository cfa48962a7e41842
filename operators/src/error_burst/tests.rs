use insta::assert_snapshot;
use logbraid_core::{Chain, Element, Event, EventTime, Finding, Operator, Record, Span};
use proptest::prelude::*;
use serde_json::json;

use super::ErrorBurst;
use crate::testing::{at, built, events, findings, ms, refused, run};

/// Events of one service: for each window of 10 s, how many errors among how many entries.
fn windows(service: &str, counts: &[(u32, u32)]) -> String {
    let mut lines = Vec::new();
    for (window, (errors, total)) in (0_u32..).zip(counts) {
        for n in 0..*total {
            let level = if n < *errors { "ERROR" } else { "INFO" };
            lines.push(format!("{} {service} t {level} entry {n}", window * 10_000 + n * 10));
        }
    }
    lines.join("|")
}

fn elements(notation: &str) -> Vec<Element> {
    events(notation).into_iter().map(Element::Event).collect()
}

fn told(config: serde_json::Value, elements: Vec<Element>) -> String {
    let found = findings(run(vec![Box::new(built::<ErrorBurst>(config))], elements));
    let lines = found.into_iter().map(|Finding { severity, title, at, data, .. }| {
        format!("{severity:?} @{} {title} {}", ms(at), serde_json::Value::Object(data))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_service_that_fails_more_often_than_it_did_is_told_once_per_window() {
    let notation = windows("pay", &[(3, 50), (2, 50), (4, 50), (12, 50), (11, 50)]);
    assert_snapshot!(told(json!({}), elements(&notation)), @r#"Medium @30000 pay: 12 errors in 10s, usually 3 {"errors":12,"total":50,"rate":0.24,"baseline":3.0,"window_start":"2024-01-15T10:00:30Z","window_ms":10000}"#);
}

#[test]
fn few_errors_or_no_past_are_no_burst() {
    assert_eq!(
        told(json!({}), elements(&windows("pay", &[(0, 5), (0, 5), (0, 5), (9, 20)]))),
        "",
        "below min"
    );
    assert_eq!(
        told(json!({}), elements(&windows("pay", &[(0, 5), (0, 5), (90, 90)]))),
        "",
        "two windows are no past"
    );
    assert_eq!(
        told(json!({}), elements(&windows("pay", &[(5, 9), (5, 9), (5, 9), (19, 20)]))),
        "",
        "below factor"
    );
    let none = told(json!({}), elements(&windows("-", &[(0, 5), (0, 5), (0, 5), (10, 20)])));
    assert_snapshot!(none, @r#"High @30000 entries without a service: 10 errors in 10s, usually none {"errors":10,"total":20,"rate":0.5,"baseline":0.0,"window_start":"2024-01-15T10:00:30Z","window_ms":10000}"#);
}

#[test]
fn silent_windows_and_those_beyond_the_history_do_not_count() {
    // Three windows with traffic, then silence, then a burst: compared as long as the history reaches back to them.
    let silence = |windows_between: usize| {
        let mut counts = vec![(1, 9), (1, 9), (1, 9)];
        counts.extend(vec![(0, 0); windows_between]);
        counts.push((30, 30));
        told(json!({"history": 10}), elements(&windows("pay", &counts)))
    };
    assert!(silence(7).contains("usually 1 "));
    assert_eq!(silence(8), "");
}

#[test]
fn a_window_that_was_told_is_not_told_again() {
    let mut input = elements(&windows("pay", &[(0, 9), (0, 9), (0, 9), (12, 12)]));
    input.push(Element::Watermark(at(40_000.0)));
    input.extend(elements(&windows("pay", &[(0, 0), (0, 0), (0, 0), (500, 500)])));
    let mut chain = Chain::new(vec![Box::new(built::<ErrorBurst>(json!({})))], false, Span::from_seconds(60));
    input.push(Element::Watermark(EventTime::MAX));
    let mut out = Vec::new();
    chain.push(&mut input, &mut out);
    assert_eq!(findings(out.into_iter().map(|due| due.record).collect::<Vec<Record>>()).len(), 1);
    let mut late = 0;
    chain.metrics(&mut |_, name, value| late += if name == "late_total" { value } else { 0 });
    assert_eq!(late, 500);
}

#[test]
fn services_are_bounded_and_forgotten_when_silent() {
    let mut operator = built::<ErrorBurst>(json!({"history": 3}));
    let mut out = logbraid_core::Emit::default();
    let of = |from: u32, ms: u32| {
        let lines: Vec<String> = (from..from + 5000).map(|n| format!("{ms} s{n} t x")).collect();
        events(&lines.join("|"))
    };
    let unwatched = |operator: &ErrorBurst| {
        let mut value = 0;
        operator.metrics(&mut |name, count| value += if name == "unwatched_total" { count } else { 0 });
        value
    };
    for event in of(0, 0) {
        operator.on_event(event, &mut out);
    }
    assert_eq!(unwatched(&operator), 904);
    operator.on_watermark(at(100_000.0), &mut out);
    assert_eq!(operator.hold(), EventTime::MAX, "all were forgotten");
    for event in of(10_000, 100_000) {
        operator.on_event(event, &mut out);
    }
    assert_eq!(unwatched(&operator), 2 * 904);
    assert_eq!(operator.hold(), at(70_000.0), "the open window less three");
}

#[test]
fn settings_out_of_range_are_refused_with_help() {
    assert_eq!(refused::<ErrorBurst>(json!({"window": 0})), "`window` must be longer than zero (try `10s`)");
    assert_eq!(
        refused::<ErrorBurst>(json!({"factor": 0.5})),
        "`factor` must be a number of at least 1 (try `4`)"
    );
}

/// A chain that merges nothing.
fn chain() -> Chain {
    let operator = built::<ErrorBurst>(json!({"history": 4, "min": 5, "factor": 2.0}));
    Chain::new(vec![Box::new(operator)], false, Span::from_nanos(1))
}

/// Pushes events with a watermark two seconds behind the newest; what was found, with its due time.
fn stream<'a>(chain: &mut Chain, events: impl Iterator<Item = &'a Event>) -> Vec<(EventTime, String)> {
    let mut out = Vec::new();
    let mut watermark = EventTime::MIN;
    for event in events {
        let mut elements = vec![Element::Event(event.clone())];
        let next = (event.time() - Span::from_seconds(2)).floor_to(Span::from_seconds(1));
        if next > watermark {
            watermark = next;
            elements.push(Element::Watermark(watermark));
        }
        chain.push(&mut elements, &mut out);
    }
    let told = out.into_iter().filter_map(|due| match due.record {
        Record::Finding(finding) => Some((due.due, finding.title)),
        _ => None,
    });
    told.collect()
}

proptest! {
    #[test]
    fn a_restart_from_the_hold_tells_the_same(
        counts in proptest::collection::vec((0..25_u32, 0..30_u32), 4..20),
        cut in 0..200_u32,
    ) {
        let counts: Vec<(u32, u32)> = counts.iter().map(|(errors, more)| (*errors, errors + more)).collect();
        let events = events(&windows("pay", &counts));
        let whole = stream(&mut chain(), events.iter());
        let cut = at(f64::from(cut) * 1000.0);
        let mut first = chain();
        let mut all = stream(&mut first, events.iter().filter(|event| event.time() < cut));
        let begin = first.hold().since.min(cut);
        let again = stream(&mut chain(), events.iter().filter(|event| event.time() >= begin));
        all.extend(again.into_iter().filter(|(due, _)| *due > first.watermark()));
        prop_assert_eq!(all, whole);
    }
}
