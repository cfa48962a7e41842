use serde_json::{Value, json};

use super::Emit;
use crate::testing::{asked, window_of};
use crate::{Question, Window};

fn window() -> Window {
    window_of(&[
        (
            "a.log",
            "2024-01-15T10:00:00+02:00 INFO a1\n2024-01-15T10:00:03Z ERROR a2 trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n",
        ),
        ("b.log", r#"{"ts":"2024-01-15T10:00:01Z","msg":"b1","level":"info","n":7,"span_id":"s-1"}"#),
    ])
}

fn lines(options: Value) -> Vec<Value> {
    let emit: Emit = asked(options);
    let reply = emit.ask(&window()).unwrap();
    let written = emit.written(&reply.answer).unwrap();
    assert_eq!(written.media_type, "application/x-ndjson");
    written.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn entries_keep_their_ids_and_fields_and_come_in_the_order_of_time_across_zones() {
    let lines = lines(json!({}));
    let first = |line: &Value| line["message"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(lines.iter().map(first).collect::<Vec<_>>(), ["a1", "b1", "a2"]);
    assert_eq!((&lines[1]["fields"]["n"], &lines[1]["span_id"]), (&json!(7), &json!("s-1")));
    assert_eq!(lines[2]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(lines.iter().all(|line| line["type"] == "entry"));
}

#[test]
fn the_tail_is_by_time_not_by_file() {
    assert_eq!(
        lines(json!({ "tail": 2 })).iter().map(|line| line["source"]["input"].clone()).collect::<Vec<_>>(),
        ["b.log", "a.log"]
    );
    assert_eq!(lines(json!({ "limit": 1 })).len(), 1);
}

#[test]
fn nothing_found_writes_nothing_and_says_so() {
    let emit: Emit = asked(json!({ "level": ["FATAL"] }));
    let reply = emit.ask(&window()).unwrap();
    assert!(!reply.found);
    assert_eq!(emit.written(&reply.answer).unwrap().text, "");
}
