use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Export;
use crate::testing::{asked, lines, window};
use crate::{Question, Window};

const FORMS: [&str; 5] = ["otlp", "jaeger", "zipkin", "perfetto", "html"];

fn written(window: &Window, id: &str, form: &str) -> String {
    let question = asked::<Export>(json!({"id": id, "as": form, "limit": 0}));
    let reply = question.ask(window).expect("an answer");
    question.written(&reply.answer).expect("it was found").text
}

fn document(window: &Window, id: &str, form: &str) -> Value {
    serde_json::from_str(&written(window, id, form)).expect("it is JSON")
}

const REAL: &str = r#"
    {"ts":"2024-01-15T10:00:00.000000001Z","service":"api","thread":"w-1","msg":"GET /","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00F067aa0ba902b7"}
    {"ts":"2024-01-15T10:00:00.100Z","service":"db","msg":"query","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"not hex","parent_span_id":"00F067aa0ba902b7"}
    {"ts":"2024-01-15T10:00:00.150Z","service":"db","level":"ERROR","msg":"gone","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"not hex","parent_span_id":"00F067aa0ba902b7"}
    {"ts":"2024-01-15T10:00:00.200Z","service":"api","msg":"done","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00F067aa0ba902b7"}
"#;

#[test]
fn otlp_keeps_real_ids_has_numbers_as_texts_and_a_resource_for_each_service() {
    let document = document(&window(REAL), "4bf92f3577b34da6a3ce929d0e0e4736", "otlp");
    let resources = document["resourceSpans"].as_array().expect("a list");
    let services: Vec<&Value> = resources
        .iter()
        .map(|resource| &resource["resource"]["attributes"][0]["value"]["stringValue"])
        .collect();
    assert_eq!(services, ["api", "db"]);
    let api = &resources[0]["scopeSpans"][0]["spans"][0];
    assert_eq!(api["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(api["spanId"], "00f067aa0ba902b7");
    assert_eq!(api["startTimeUnixNano"], "1705312800000000001");
    assert_eq!(api["endTimeUnixNano"], "1705312800200000000");
    assert_eq!((&api["parentSpanId"], &api["status"]), (&Value::Null, &Value::Null));
    let db = &resources[1]["scopeSpans"][0]["spans"][0];
    assert_eq!(
        (&db["parentSpanId"], &db["status"]),
        (&api["spanId"], &json!({"code": 2, "message": "gone"}))
    );
    assert!(
        db["spanId"].as_str().is_some_and(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    );
    assert_eq!(db["events"].as_array().map(Vec::len), Some(2));
}

#[test]
fn zipkin_has_whole_microseconds_real_services_and_texts_as_tags() {
    let document = document(&window(REAL), "4bf92f3577b34da6a3ce929d0e0e4736", "zipkin");
    let [api, db] = document.as_array().expect("a list").as_slice() else { panic!("two spans") };
    assert_eq!((&api["timestamp"], &api["duration"]), (&json!(1_705_312_800_000_000_u64), &json!(200_000)));
    assert_eq!((&db["parentId"], &db["localEndpoint"]), (&api["id"], &json!({"serviceName": "db"})));
    assert_eq!((&api["tags"]["error"], &db["tags"]["error"]), (&Value::Null, &json!("gone")));
    assert!(db["tags"].as_object().expect("an object").values().all(Value::is_string));
}

#[test]
fn jaeger_has_references_processes_and_typed_tags() {
    let document = document(&window(REAL), "4bf92f3577b34da6a3ce929d0e0e4736", "jaeger");
    let trace = &document["data"][0];
    let db = &trace["spans"][1];
    assert_eq!(trace["processes"][db["processID"].as_str().expect("a text")]["serviceName"], "db");
    let reference = &db["references"][0];
    assert_eq!(
        (&reference["refType"], &reference["spanID"]),
        (&json!("CHILD_OF"), &trace["spans"][0]["spanID"])
    );
    assert!(
        db["tags"]
            .as_array()
            .expect("a list")
            .contains(&json!({"key": "error", "type": "bool", "value": true}))
    );
    assert_eq!((&db["startTime"], &db["duration"]), (&json!(1_705_312_800_100_000_u64), &json!(50_000)));
}

#[test]
fn an_export_is_the_bare_document_and_the_same_in_every_run() {
    for form in FORMS {
        let texts: Vec<String> =
            (0..2).map(|_| written(&window(REAL), "4bf92f3577b34da6a3ce929d0e0e4736", form)).collect();
        assert_eq!(texts[0], texts[1], "{form}");
        assert!(!texts[0].starts_with(r#"{"identifier""#));
    }
}

#[test]
fn a_page_shows_what_a_log_contains_as_text_and_loads_nothing() {
    let evil = json!({
        "ts": "2024-01-15T10:00:00Z", "request_id": "a", "service": "<img src=x onerror=alert(1)>",
        "level": "ERROR", "msg": "</script><script>alert(1)</script> <!-- \u{1b}[31mred\u{1b}[0m /*DATA*/ <!--TITLE-->\u{2028}",
    });
    let page = written(&window(&format!("{evil}\n")), "a", "html");
    // The page's own two scripts and no other.
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    assert!(!page.contains("<img") && !page.contains('\u{1b}') && !page.contains('\u{2028}'));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src=\""));
    let data =
        page.split(r#"id="data">"#).nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    let data: Value = serde_json::from_str(data).expect("it is JSON");
    let message = data["traces"][0]["entries"][0]["m"].as_str().expect("a text");
    assert!(
        message.starts_with("</script><script>alert(1)</script> <!-- ␛[31mred␛[0m /*DATA*/"),
        "{message}"
    );
    assert_eq!(data["traces"][0]["flow"][0]["s"], "<img src=x onerror=alert(1)>");
}

#[test]
fn every_request_of_the_window_is_exported_up_to_a_limit_that_is_told() {
    let log = lines(7, |n| format!("2024-01-15T10:00:0{n}Z INFO [w-{n}] request_id=r{n} begins"));
    let window = window(&log);
    let question = asked::<Export>(json!({"id": "all", "as": "jaeger", "limit": 3}));
    let answer = question.ask(&window).expect("an answer").answer;
    assert_eq!((answer.trace_count, answer.total_traces, answer.truncated), (3, 7, true));
    assert_eq!(document(&window, "all", "jaeger")["data"].as_array().map(Vec::len), Some(7));
}

#[test]
fn what_is_not_found_is_no_document() {
    for form in FORMS {
        let question = asked::<Export>(json!({"id": "nobody", "as": form}));
        let reply = question.ask(&window(REAL)).expect("an answer");
        assert!(!reply.found && question.written(&reply.answer).is_none());
    }
}

/// Entries of a few requests, spans and threads; 9 stands for none.
fn log() -> impl Strategy<Value = String> {
    let entry = (0_u32..3000, 0_usize..10, 0_usize..10, 0_usize..4, 0_usize..3, "[\\PC]{0,12}");
    proptest::collection::vec(entry, 1..60).prop_map(|entries| {
        let lines = entries.into_iter().map(|(ms, span, parent, request, service, message)| {
            let mut line = json!({
                "ts": format!("2024-01-15T10:00:{:02}.{:03}Z", ms / 1000, ms % 1000),
                "service": format!("s{service}"), "thread": format!("t{}", ms % 3), "msg": message,
                "level": if ms % 5 == 0 { "ERROR" } else { "INFO" },
            });
            for (name, number) in [("span_id", span), ("parent_span_id", parent), ("request_id", request)] {
                if number != 9 {
                    line[name] = json!(format!("{name}-{number}"));
                }
            }
            line.to_string() + "\n"
        });
        lines.collect()
    })
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn parents_exist_ids_are_unique_and_no_span_ends_before_it_begins(log in log()) {
        let window = window(&log);
        let zipkin = document(&window, "all", "zipkin");
        let mut traces: BTreeMap<&str, BTreeMap<&str, &Value>> = BTreeMap::new();
        for span in zipkin.as_array().expect("a list") {
            prop_assert!(span["duration"].as_u64().is_some_and(|us| us > 0));
            let known = traces.entry(text(span, "traceId")).or_default().insert(text(span, "id"), span);
            prop_assert!(known.is_none());
        }
        for span in zipkin.as_array().expect("a list") {
            let parent = text(span, "parentId");
            prop_assert!(parent.is_empty() || traces[text(span, "traceId")].contains_key(parent));
        }
        let events = zipkin.as_array().expect("a list").iter();
        let events: usize = events.map(|span| span["annotations"].as_array().map_or(0, Vec::len)).sum();
        prop_assert_eq!(events, log.lines().count());
    }

    #[test]
    fn slices_of_one_lane_lie_within_each_other_or_apart(log in log()) {
        let perfetto = document(&window(&log), "all", "perfetto");
        let mut lanes: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
        for event in perfetto["traceEvents"].as_array().expect("a list") {
            let number = |key: &str| event[key].as_u64().unwrap_or(u64::MAX);
            if event["ph"] == "X" {
                lanes.entry((number("pid"), number("tid"))).or_default().push((number("ts"), number("ts") + number("dur")));
            }
        }
        for slices in lanes.values() {
            for (at, (start, end)) in slices.iter().enumerate() {
                for (from, to) in &slices[..at] {
                    let apart = end <= from || to <= start;
                    let within = (from <= start && end <= to) || (start <= from && to <= end);
                    prop_assert!(apart || within, "{start}..{end} and {from}..{to}");
                }
            }
        }
    }
}
