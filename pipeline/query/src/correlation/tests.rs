use serde_json::{Value, json};

use super::list::List;
use super::run::Run;
use crate::testing::{answer, asked, window, window_of};
use crate::{Documents, Question, QuestionError, Window};

/// Files of a test.
struct Shelf(Value);

impl Documents for Shelf {
    fn read(&mut self, _: &str) -> Result<Value, QuestionError> {
        Ok(self.0.clone())
    }
    fn find(&mut self, _: Option<&str>, names: &[&str]) -> Option<String> {
        names.first().map(|name| format!("/etc/{name}"))
    }
}

fn run(window: &Window, rules: Value, options: &[(&str, Value)]) -> Value {
    let mut request = json!({"rules": {"correlations": rules}});
    for (name, value) in options {
        request[name] = value.clone();
    }
    answer(&asked::<Run>(request), window)
}

fn shop() -> Window {
    window_of(&[
        (
            "logs/gateway.log",
            r#"
            {"ts":"2024-01-15T10:00:00Z","level":"info","request_id":"r-1","msg":"in"}
            {"ts":"2024-01-15T10:00:02Z","level":"info","request_id":"r-2","msg":"in"}
            "#,
        ),
        (
            "logs/shop.log",
            r#"
            {"ts":"2024-01-15T10:00:01Z","level":"error","order":{"request":"r-1"},"took_ms":900,"msg":"refused by a.b"}
            {"ts":"2024-01-15T10:00:09Z","level":"info","order":{"request":"r-3"},"took_ms":9,"msg":"done"}
            "#,
        ),
    ])
}

#[test]
fn entries_that_share_a_value_are_a_cluster() {
    let rules = json!({"orders": {"rules": [{
        "type": "field_match",
        "source": {"file_pattern": "gate*.log", "field": "correlation_id"},
        "target": {"file_pattern": "shop.log", "field": "order.request"},
    }]}});
    let found = run(&shop(), rules, &[]);
    assert_eq!(found["entries_loaded"], 4);
    assert_eq!(found["groups_applied"], json!(["orders"]));
    assert_eq!(found["total_clusters"], 1);
    let cluster = &found["clusters"][0];
    assert_eq!(cluster["shared_value"], "r-1");
    assert_eq!(cluster["entry_count"], 2);
    assert_eq!(cluster["source_count"], 1);
    assert_eq!(cluster["target_count"], 1);
    assert_eq!(cluster["entries"][1]["source"]["input"], "logs/shop.log");
    assert!(cluster["virtual_trace_id"].as_str().is_some_and(|id| id.len() == 15 && id.starts_with("vt-")));
}

#[test]
fn an_entry_on_both_sides_counts_once() {
    let side = json!({"field": "thread_id"});
    let rules = json!({"x": {"rules": [{"type": "field_match", "source": side, "target": side}]}});
    let log = "
        2024-01-15T10:00:00Z INFO [w-1] a
        2024-01-15T10:00:01Z INFO [w-1] b
        2024-01-15T10:00:02Z INFO [w-2] alone
    ";
    let found = run(&window(log), rules, &[]);
    assert_eq!(found["total_clusters"], 1, "one entry alone shares nothing");
    assert_eq!(found["clusters"][0]["entry_count"], 2);
    assert_eq!(found["clusters"][0]["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["total_entries_correlated"], 2);
}

#[test]
fn all_that_an_anchor_states_must_hold() {
    let rule =
        |anchor: Value| json!({"e": {"rules": [{"type": "temporal", "anchor": anchor, "window": "1s"}]}});
    let full = json!({"file_pattern": "shop*", "level": "error", "pattern": r"a\.b$", "field": "took_ms", "condition": ">500"});
    let found = run(&shop(), rule(full.clone()), &[]);
    assert_eq!(found["total_clusters"], 1);
    assert_eq!(found["clusters"][0]["entry_count"], 3);
    assert_eq!(found["clusters"][0]["entries"][0]["relative_ms"], -1000.0);
    for (name, value) in [
        ("file_pattern", "gate*"),
        ("level", "warn"),
        ("pattern", r"a\.c"),
        ("field", "nothing"),
        ("condition", "<500"),
    ] {
        let mut other = full.clone();
        other[name] = json!(value);
        assert_eq!(run(&shop(), rule(other), &[])["total_clusters"], 0, "{name}");
    }
}

#[test]
fn more_than_ten_thousand_entries_of_a_file_are_looked_at() {
    let line = |at: i64, level: &str| {
        format!("{{\"ts\":{},\"level\":\"{level}\",\"msg\":\"n\"}}\n", 1_705_312_800_000 + at * 10)
    };
    let log: Vec<String> =
        (0..11_000).map(|at| line(at, if at == 10_500 { "fatal" } else { "info" })).collect();
    let rules =
        json!({"e": {"rules": [{"type": "temporal", "anchor": {"level": "FATAL"}, "window": "15ms"}]}});
    let found = run(&window(&log.concat()), rules, &[]);
    assert_eq!(found["entries_loaded"], 11_000);
    assert_eq!(found["clusters"][0]["entry_count"], 3);
}

#[test]
fn an_unknown_rule_and_a_wrong_one_are_refused() {
    let temporal =
        |anchor: Value| json!({"e": {"rules": [{"type": "temporal", "anchor": anchor, "window": "1s"}]}});
    let refused = run(&shop(), temporal(json!({"level": "ERROR"})), &[("rule", json!("f"))]);
    assert_eq!(refused["code"], "usage");
    assert_eq!(refused["help"], "there are e");
    for wrong in [
        json!({"e": {"rules": []}}),
        temporal(json!({})),
        temporal(json!({"level": "ERROR", "condition": ">1"})),
        temporal(json!({"level": "ERROR", "file_pattern": "a[b"})),
        temporal(json!({"pattern": "("})),
    ] {
        assert!(run(&shop(), wrong.clone(), &[])["code"].is_string(), "{wrong}");
    }
}

#[test]
fn limits_hide_but_count() {
    let rules =
        json!({"e": {"rules": [{"type": "temporal", "anchor": {"pattern": "in|done"}, "window": "20s"}]}});
    let found = run(&shop(), rules, &[("limit", json!(1)), ("entries", json!(2))]);
    assert_eq!(found["total_clusters"], 3);
    assert_eq!(found["clusters"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["clusters"][0]["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["total_entries_correlated"], 4);
    assert_eq!(found["truncated"], true);
}

#[test]
fn rules_come_from_a_file_that_is_listed_whole() {
    let rule =
        json!({"type": "temporal", "anchor": {"file_pattern": "a*", "level": "ERROR"}, "window": "5s"});
    let file = json!({"correlations": {"e": {"description": "errors", "rules": [rule]}}});
    let mut list = List::default();
    list.attach(&mut Shelf(file)).expect("the file is right");
    assert_eq!(
        answer(&list, &window("")),
        json!({
            "config_path": "/etc/.logbraid/correlations.yaml",
            "groups": {"e": {"description": "errors", "rule_count": 1, "rules": [rule]}},
        })
    );
    assert_eq!(answer(&List::default(), &window(""))["code"], "usage");
}

#[test]
fn an_unknown_key_of_a_rule_is_a_mistake_with_its_place() {
    let file = json!({"correlations": {"e": {"rules": [{"type": "temporal", "anchor": {"levle": "ERROR"}, "window": "5s"}]}}});
    let error = Run::default().attach(&mut Shelf(file)).expect_err("the key is unknown");
    assert_eq!(error.code, "config");
    assert!(
        error.message.contains("levle") && error.message.contains("correlations.e.rules[0]"),
        "{}",
        error.message
    );
}
