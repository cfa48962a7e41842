use logbraid_core::{Chain, Element, EventTime, Span};

use crate::test_lines::{built, events};

/// `time id-or-dash thread` lines through the operator; prints what each event was attributed to.
fn attributed(lines: &str) -> String {
    let operator = built::<super::Thread>(serde_json::json!({ "carry": "2s" }));
    let mut chain = Chain::new(vec![operator], true, Span::from_seconds(60));
    let mut elements: Vec<Element> = events(lines).into_iter().map(Element::Event).collect();
    let mut out = Vec::new();
    chain.push(&mut elements, &mut out);
    out.iter()
        .filter_map(|due| match &due.record {
            logbraid_core::Record::Entry(event) => {
                event.attribution().map(|a| format!("{} {}%", a.value, a.confidence))
            }
            _ => None,
        })
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn an_entry_without_an_id_joins_what_its_thread_worked_on() {
    assert_eq!(attributed("0 req=r1 thread=w1\n0.5 thread=w1\n1 thread=w2"), "r1 80%");
}

#[test]
fn a_new_id_on_the_thread_ends_the_attribution_at_once() {
    assert_eq!(attributed("0 req=r1 thread=w1\n0.1 req=r2 thread=w1\n0.2 thread=w1"), "r2 88%");
}

#[test]
fn after_carry_nothing_is_attributed() {
    assert_eq!(attributed("0 req=r1 thread=w1\n2.1 thread=w1"), "");
}

#[test]
fn threads_of_two_services_are_two_threads() {
    assert_eq!(attributed("0 req=r1 thread=w1 svc=a\n0.5 thread=w1 svc=b"), "");
}

#[test]
fn beyond_the_bound_the_quietest_thread_is_forgotten_and_counted() {
    let mut operator = built::<super::Thread>(serde_json::json!({ "max_threads": 2 }));
    let mut out = logbraid_core::Emit::default();
    for event in events("0 req=r1 thread=w1\n1 req=r2 thread=w2\n2 req=r3 thread=w3") {
        operator.on_event(event, &mut out);
    }
    let mut seen = std::collections::BTreeMap::new();
    operator.metrics(&mut |name, value| {
        seen.insert(name, value);
    });
    assert_eq!((seen["threads"], seen["forgotten_total"]), (2, 1));
    operator.on_watermark(EventTime::from_millis(60_000), &mut out);
    operator.metrics(&mut |name, value| {
        seen.insert(name, value);
    });
    assert_eq!(seen["threads"], 0);
}
