use serde_json::{Value, json};

use super::Patterns;
use crate::testing::{answer, asked, window};

fn patterns(log: &str, options: Value) -> Value {
    answer(&asked::<Patterns>(options), &window(log))
}

#[test]
fn errors_that_begin_alike_for_fifty_characters_are_told_apart() {
    let long = "the connection to the primary database of the shop was lost while";
    let lines: Vec<String> = (0..6)
        .map(|at| {
            let what = if at % 2 == 0 { "reading rows" } else { "writing rows" };
            format!("2024-01-15T10:00:0{at}Z ERROR [w-{at}] {long} {what}\n")
        })
        .collect();
    let found = patterns(&lines.concat(), json!({}));
    assert_eq!(found["total_patterns"], 2);
    assert_eq!(found["patterns"][0]["occurrences"], 3);
    assert_eq!(found["patterns"][0]["pattern_type"], "RepeatedError");
    assert_eq!(found["patterns"][0]["affected_threads"].as_array().map(Vec::len), Some(3));
    assert_eq!(found["patterns"][0]["per_hour"], 1800.0);
}

#[test]
fn repeated_errors_without_a_time_are_found() {
    let found = patterns("ERROR disk full\nERROR disk full\nERROR disk full\n", json!({}));
    assert_eq!(found["patterns"][0]["occurrences"], 3);
}

#[test]
fn fatal_counts_as_an_error_and_a_level_takes_its_place() {
    let log = "2024-01-15T10:00:00Z FATAL gone\n2024-01-15T10:00:01Z WARN slow\n";
    let found = patterns(log, json!({"min_occurrences": 1}));
    assert_eq!(found["total_patterns"], 1);
    assert_eq!(found["total_entries"], 1);
    let found = patterns(log, json!({"min_occurrences": 1, "level": ["WARN"]}));
    assert_eq!(found["patterns"][0]["pattern_type"], "RepeatedMessage");
}

#[test]
fn what_is_not_shown_is_counted() {
    let log = "2024-01-15T10:00:00Z ERROR gone away\n2024-01-15T10:00:01Z ERROR too slow\n";
    let found = patterns(log, json!({"min_occurrences": 1, "limit": 1}));
    assert_eq!(found["total_patterns"], 2);
    assert_eq!(found["truncated"], true);
}
