use serde_json::{Value, json};

use super::Triage;
use crate::testing::{answer, asked, window};

fn triage(log: &str, options: Value) -> Value {
    answer(&asked::<Triage>(options), &window(log))
}

/// `errors` of `total` entries are errors, a second apart.
fn log(errors: usize, total: usize) -> String {
    let line = |at: usize| {
        let level = if at < errors { "ERROR" } else { "INFO" };
        format!("2024-01-15T10:{:02}:{:02}Z {level} [w-1] item {at} of {total}\n", at / 60, at % 60)
    };
    (0..total).map(line).collect()
}

#[test]
fn severity_follows_the_share_of_errors_and_a_limit_itself_is_not_above_it() {
    for (errors, severity) in [
        (0, "healthy"),
        (1, "healthy"),
        (2, "low"),
        (5, "low"),
        (6, "medium"),
        (11, "high"),
        (21, "critical"),
    ] {
        let verdict = triage(&log(errors, 100), json!({}));
        assert_eq!(verdict["assessment"]["severity"], severity, "{errors} of 100");
        assert_eq!(verdict["metrics"]["error_count"], errors);
    }
}

#[test]
fn no_entries_are_not_healthy() {
    let verdict = triage("", json!({}));
    assert_eq!(verdict["assessment"]["severity"], "unknown");
    assert_eq!(verdict["assessment"]["confidence"], 0.0);
}

#[test]
fn every_entry_counts_beyond_ten_thousand() {
    let line = |at: usize| {
        let level = if at >= 10_000 { "ERROR" } else { "INFO" };
        format!("{{\"ts\":{},\"level\":\"{level}\",\"msg\":\"n {at}\"}}\n", 1_705_312_800_000_i64 + at as i64)
    };
    let log: String = (0..12_000).map(line).collect();
    let verdict = triage(&log, json!({}));
    assert_eq!(verdict["metrics"]["total_entries"], 12_000);
    assert_eq!(verdict["metrics"]["error_count"], 2_000);
    assert_eq!(verdict["metrics"]["error_rate"], 0.1667);
}

#[test]
fn entries_without_a_level_are_unknown() {
    let verdict = triage("2024-01-15T10:00:00Z hello\n", json!({}));
    assert_eq!(verdict["metrics"]["log_levels"], json!({"UNKNOWN": 1}));
}

#[test]
fn issues_are_kinds_of_errors_with_their_services() {
    let log = r#"
        {"ts":"2024-01-15T10:00:00Z","level":"info","service":"api","msg":"start"}
        {"ts":"2024-01-15T10:00:01Z","level":"error","service":"db","msg":"refused by 10.0.0.1"}
        {"ts":"2024-01-15T10:00:02Z","level":"error","service":"api","msg":"refused by 10.0.0.2"}
        {"ts":"2024-01-15T10:00:03Z","level":"fatal","service":"db","msg":"out of memory"}
    "#;
    let verdict = triage(log, json!({}));
    assert_eq!(verdict["total_issues"], 2);
    let worst = &verdict["top_issues"][0];
    assert_eq!(worst["pattern"], "refused by <*>");
    assert_eq!(worst["count"], 2);
    assert_eq!(worst["services"], json!(["api", "db"]));
    assert_eq!(worst["first_seen"], "2024-01-15T10:00:01Z");
    assert_eq!(
        verdict["services"][0],
        json!({"service": "db", "entries": 2, "errors": 2, "error_rate": 1.0})
    );
    let one = triage(log, json!({"top": 1}));
    assert_eq!(one["top_issues"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["total_issues"], 2, "what is not shown is counted");
}

#[test]
fn the_end_of_the_range_is_compared_with_the_whole() {
    let verdict = triage(&log(30, 600), json!({}));
    let recent = verdict["recent"].as_array().expect("a list");
    assert_eq!(recent.len(), 2, "600 seconds are longer than 1 and 5 minutes");
    assert_eq!(recent[0]["entries"], 61);
    assert_eq!(recent[0]["error_rate"], 0.0);
}

#[test]
fn a_choice_narrows_all_counts_alike() {
    let log = r#"
        {"ts":"2024-01-15T10:00:00Z","level":"error","service":"api","msg":"no stock"}
        {"ts":"2024-01-15T10:00:01Z","level":"error","service":"db","msg":"no space"}
    "#;
    for options in [json!({"service": ["db"]}), json!({"query": "space"})] {
        let verdict = triage(log, options);
        assert_eq!(verdict["metrics"]["total_entries"], 1);
        assert_eq!(verdict["top_issues"][0]["pattern"], "no space");
    }
}
