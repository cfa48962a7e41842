use serde_json::{Value, json};

use super::Ids;
use crate::testing::{answer, asked, window};

const LOG: &str = r#"
    {"ts":"2024-01-15T10:00:00Z","msg":"a","thread":"w-2","request_id":"r-1","span_id":"s1","trace_id":"t1","service":"api"}
    {"ts":"2024-01-15T10:00:01Z","msg":"b","thread":"w-1","request_id":"r-1","span_id":"s2","trace_id":"t1","service":"api","level":"error"}
    {"ts":"2024-01-15T10:00:02Z","msg":"c","thread":"w-3","request_id":"r-2"}
    "#;

fn ask(options: Value) -> Value {
    answer(&asked::<Ids>(options), &window(LOG))
}

#[test]
fn ids_of_every_kind_are_listed_by_count_and_name() {
    insta::assert_json_snapshot!(ask(json!({})));
}

#[test]
fn equal_counts_stand_in_the_order_of_names_and_cuts_are_told() {
    let found = ask(json!({ "type": ["thread"], "limit": 2 }));
    let ids: Vec<&Value> = found["thread_ids"].as_array().unwrap().iter().map(|id| &id["id"]).collect();
    assert_eq!(ids, ["w-1", "w-2"]);
    assert_eq!((&found["totals"], &found["truncated"]), (&json!({ "thread_ids": 3 }), &json!(true)));
    assert_eq!(found["correlation_ids"], json!([]));
}

#[test]
fn a_selection_by_text_counts_the_same_as_one_by_columns() {
    let by_text = ask(json!({ "query": "." }));
    assert_eq!(by_text, ask(json!({})));
    assert_eq!(ask(json!({ "query": "b" }))["services"][0]["errors"], 1);
}
