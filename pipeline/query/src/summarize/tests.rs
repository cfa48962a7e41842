use serde_json::{Value, json};

use super::Summarize;
use crate::testing::{answer, asked, at, window};

fn summarize(log: &str, options: Value) -> Value {
    answer(&asked::<Summarize>(options), &window(log))
}

const LOG: &str = r#"
    {"ts":"2024-01-15T10:00:00Z","level":"info","service":"api","request_id":"r-1","msg":"start"}
    {"ts":"2024-01-15T10:00:01Z","level":"critical","service":"db","request_id":"r-1","msg":"no space on 7"}
    {"ts":"2024-01-15T10:00:02Z","level":"warn","service":"api","request_id":"r-2","msg":"slow"}
    {"ts":"2024-01-15T10:00:03Z","level":"error","service":"db","request_id":"r-2","msg":"no space on 8"}
"#;

#[test]
fn critical_is_an_error_here_as_everywhere() {
    let page = summarize(LOG, json!({}));
    assert_eq!(page["stats"]["error_count"], 2);
    assert_eq!(page["stats"]["by_level"], json!({"INFO": 1, "WARN": 1, "ERROR": 1, "FATAL": 1}));
    assert_eq!(page["errors"][0]["message"], "no space on 7");
    assert_eq!(page["errors"][0]["source"]["line"], 2);
    assert_eq!(page["errors"][0]["source"]["input"], "app.log");
    assert_eq!(page["stats"]["unique_correlation_ids"], 2);
    assert_eq!(page["stats"]["duration_ms"], 3000.0);
    assert_eq!(page["truncated"], false);
    insta::assert_snapshot!(page["summary"].as_str().unwrap_or_default(), @"4 entries from 2024-01-15T10:00:00Z to 2024-01-15T10:00:03Z, of 2 services: 2 errors of 1 kinds, 1 warnings; most often `no space on <*>` (2 times)");
}

#[test]
fn a_range_that_begins_within_a_day_keeps_the_entries_of_that_day() {
    let window = window(LOG).between(at("2024-01-15T10:00:02Z"), at("2024-01-15T10:00:04Z"));
    let page = answer(&asked::<Summarize>(json!({})), &window);
    assert_eq!(page["stats"]["total_entries"], 2);
}

#[test]
fn different_error_messages_are_bounded_and_those_not_shown_are_counted() {
    let lines: Vec<String> =
        (0..300).map(|at| format!("2024-01-15T10:00:00Z ERROR [w] lost block {at}\n")).collect();
    let page = summarize(&lines.concat(), json!({"top": 5}));
    let unique = &page["unique_error_messages"];
    assert_eq!(unique["values"].as_object().map(serde_json::Map::len), Some(5));
    assert_eq!(unique["unique_count"], 300);
    assert_eq!(unique["not_shown"], 295);
    assert_eq!(page["error_kinds"][0]["count"], 300);
    assert_eq!(page["errors"].as_array().map(Vec::len), Some(10));
    assert_eq!(page["truncated"], true);
}

#[test]
fn a_focus_leaves_the_rest_out_and_a_query_narrows_every_count() {
    let page = summarize(LOG, json!({"focus": "warnings"}));
    assert_eq!(page["errors"], json!([]));
    assert_eq!(page["warnings"][0]["message"], "slow");
    let page = summarize(LOG, json!({"query": "space"}));
    assert_eq!(page["stats"]["total_entries"], 2);
    assert_eq!(page["stats"]["by_service"]["values"], json!({"db": 2}));
    assert_eq!(page["stats"]["unique_threads"], 0);
}
