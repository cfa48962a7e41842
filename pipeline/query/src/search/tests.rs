use serde_json::{Value, json};

use super::Search;
use crate::testing::{answer, asked, lines, live, window, window_of};

const LOG: &str = "
    2024-01-15T10:00:00Z INFO [w-1] begin a.b request_id=req-1
    2024-01-15T10:00:01Z ERROR [w-1] refused by db request_id=req-1
    2024-01-15T10:00:02Z WARN [w-2] slow request_id=req-2
    2024-01-15T10:00:03.100Z INFO [w-2] end axb request_id=req-2
    2024-01-15T10:00:04Z FATAL [w-3] gone db request_id=req-3
    ";

fn ask(options: Value) -> Value {
    answer(&asked::<Search>(options), &window(LOG))
}

fn messages(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let first = |hit: &Value| {
        hit["message"].as_str().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
    };
    results.iter().map(first).collect()
}

#[test]
fn an_entry_is_shown_with_all_that_it_has() {
    insta::assert_json_snapshot!(ask(json!({ "level": ["FATAL"] })));
}

#[test]
fn the_query_is_a_regular_expression_unless_it_is_fixed() {
    assert_eq!(messages(&ask(json!({ "query": "a.b" }))), ["begin", "end"]);
    assert_eq!(messages(&ask(json!({ "query": "a.b", "fixed": true }))), ["begin"]);
    assert_eq!(messages(&ask(json!({ "query": "^REFUSED" }))), Vec::<String>::new());
    assert_eq!(messages(&ask(json!({ "query": "^REFUSED", "ignore_case": true }))), ["refused"]);
    assert_eq!(messages(&ask(json!({ "query": "10:00:02", "raw": true }))), ["slow"]);
}

#[test]
fn words_of_a_query_are_not_matched_one_by_one() {
    assert_eq!(ask(json!({ "query": "db zzz" }))["summary"]["total_matches"], 0);
}

#[test]
fn selections_narrow_each_other() {
    assert_eq!(messages(&ask(json!({ "level": ["warn+"] }))), ["refused", "slow", "gone"]);
    assert_eq!(
        messages(&ask(json!({ "level": ["warn+"], "exclude_level": ["FATAL"] }))),
        ["refused", "slow"]
    );
    assert_eq!(messages(&ask(json!({ "query": "db", "exclude_query": "^gone" }))), ["refused"]);
    assert_eq!(messages(&ask(json!({ "id": ["w-2"] }))), ["slow", "end"]);
    assert_eq!(
        messages(&ask(json!({ "id": ["w-2", "req-3"], "level": ["info+"] }))),
        ["slow", "end", "gone"]
    );
    assert_eq!(messages(&ask(json!({ "thread": "w-1", "correlation": "req-1" }))), ["begin", "refused"]);
    assert_eq!(messages(&ask(json!({ "thread": "w-1,w-3" }))), ["begin", "refused", "gone"]);
    assert_eq!(messages(&ask(json!({ "input": ["other.log"] }))), Vec::<String>::new());
}

#[test]
fn a_bad_exclude_regex_a_bad_level_and_a_bad_template_are_the_askers_mistakes() {
    let wrong = ask(json!({ "exclude_query": "(" }));
    assert_eq!(wrong["code"], "query", "{wrong}");
    assert!(wrong["message"].as_str().unwrap().contains("unclosed group"), "{wrong}");
    assert_eq!(ask(json!({ "template": ["7"] }))["code"], "usage");
    let group = ask(json!({ "group_by": ["status"] }));
    assert_eq!(group["message"], "`--group-by`: entries have no `status`");
    assert!(serde_json::from_value::<Search>(json!({ "level": ["LOUD"] })).is_err());
}

#[test]
fn unknown_is_a_level_that_can_be_asked_for() {
    let log = "2024-01-15T10:00:00Z INFO a\nno level here\n";
    let found = answer(&asked::<Search>(json!({ "level": ["UNKNOWN"] })), &window(log));
    assert_eq!(messages(&found), ["no"]);
    assert_eq!(found["aggregations"]["by_level"], json!({ "UNKNOWN": 1 }));
}

#[test]
fn totals_are_of_all_that_matches_whatever_is_shown() {
    let page = ask(json!({ "limit": 2, "offset": 1 }));
    assert_eq!(messages(&page), ["refused", "slow"]);
    let expected = json!({
        "total_matches": 5, "returned": 2, "offset": 1, "has_more": true, "inputs_searched": 1,
        "time_range": { "start": "2024-01-15T10:00:00Z", "end": "2024-01-15T10:00:04Z" },
    });
    assert_eq!((&page["summary"], &page["truncated"]), (&expected, &json!(true)));
    assert_eq!(page["aggregations"]["by_level"], json!({ "INFO": 2, "WARN": 1, "ERROR": 1, "FATAL": 1 }));
    assert_eq!(page["aggregations"]["by_thread"], json!({ "w-1": 2, "w-2": 2, "w-3": 1 }));
}

#[test]
fn the_tail_is_the_last_in_the_order_of_time_and_has_no_more_after_it() {
    let tail = ask(json!({ "tail": 2 }));
    assert_eq!(messages(&tail), ["end", "gone"]);
    assert_eq!(tail["summary"]["has_more"], false);
    assert_eq!(messages(&ask(json!({ "tail": 1, "query": "db" }))), ["gone"]);
}

#[test]
fn orders_are_by_time_or_level() {
    assert_eq!(messages(&ask(json!({ "sort": "newest", "limit": 2 }))), ["gone", "end"]);
    assert_eq!(messages(&ask(json!({ "sort": "level", "limit": 3 }))), ["gone", "refused", "slow"]);
}

#[test]
fn ten_thousand_is_no_limit() {
    let log = lines(10_050, |n| format!("2024-01-15T10:00:00Z INFO n{n}"));
    let window = window(&log);
    let all = answer(&asked::<Search>(json!({ "limit": 0 })), &window);
    assert_eq!(all["results"].as_array().unwrap().len(), 10_050);
    let counted = answer(&asked::<Search>(json!({ "metadata_only": true })), &window);
    assert_eq!(counted["aggregations"]["by_level"]["INFO"], 10_050);
}

#[test]
fn neighbours_are_of_the_same_input_and_look_like_the_hit() {
    let window = window_of(&[
        (
            "a.log",
            "2024-01-15T10:00:00Z INFO a1\n2024-01-15T10:00:02Z ERROR a2\n2024-01-15T10:00:04Z INFO a3\n",
        ),
        ("b.log", "2024-01-15T10:00:01Z INFO b1\n2024-01-15T10:00:03Z INFO b2\n"),
    ]);
    let found =
        answer(&asked::<Search>(json!({ "query": "a2", "before_context": 5, "after_context": 1 })), &window);
    let hit = &found["results"][0];
    assert_eq!(hit["context_before"][0]["message"], "a1");
    assert_eq!(hit["context_before"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&hit["context_after"][0]["message"], &hit["context_after"][0]["level"]),
        (&json!("a3"), &json!("INFO"))
    );
}

#[test]
fn values_are_counted_by_column_template_and_field() {
    let log = r#"
        {"ts":"2024-01-15T10:00:00Z","msg":"GET 1","http":{"status":200},"host":"h1"}
        {"ts":"2024-01-15T10:00:01Z","msg":"GET 2","http":{"status":500},"host":"h1"}
        {"ts":"2024-01-15T10:00:02Z","msg":"GET 3","http":{"status":200},"host":"h2"}
        "#;
    let found = answer(
        &asked::<Search>(json!({ "group_by": ["host", "fields.http.status", "template"] })),
        &window(log),
    );
    let groups = &found["aggregations"]["groups"];
    assert_eq!(groups["host"], json!({ "h1": 2, "h2": 1 }));
    assert_eq!(groups["fields.http.status"], json!({ "200": 2, "500": 1 }));
    assert_eq!(groups["template"].as_object().unwrap().len(), 1);
    let cut = answer(&asked::<Search>(json!({ "group_by": ["host"], "top": 1 })), &window(log));
    assert_eq!(cut["aggregations"]["not_listed"], json!({ "host": 1 }));
}

#[test]
fn a_summary_shows_kinds_of_messages_and_a_few_entries() {
    let log = lines(50, |n| format!("2024-01-15T10:00:{n:02}Z INFO got {n}"));
    let summed = answer(&asked::<Search>(json!({ "output_format": "summary" })), &window(&log));
    assert_eq!(summed["summary"]["total_matches"], 50);
    assert_eq!(summed["summary"]["unique_messages"], 1);
    assert_eq!(summed["top_messages"][0]["count"], 50);
    assert_eq!(summed["sample_entries"].as_array().unwrap().len(), 5);
    let short = answer(&asked::<Search>(json!({ "output_format": "compact", "limit": 1 })), &window(&log));
    assert_eq!(
        short["matches"][0],
        json!({ "time": "2024-01-15T10:00:00Z", "level": "INFO", "msg": "got 0", "file": "app.log", "line": 1 })
    );
}

#[test]
fn what_cannot_be_read_any_more_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    std::fs::write(&path, "2024-01-15T10:00:00Z INFO a\n2024-01-15T10:00:01Z INFO b\n").unwrap();
    let window = crate::testing::files(&[&path]);
    std::fs::write(&path, "2024-01-15T10:00:00Z INFO other\n").unwrap();
    let found = answer(&asked::<Search>(json!({ "query": "b" })), &window);
    assert_eq!(found["summary"]["unreadable"], 2, "{found}");
    let found = answer(&asked::<Search>(json!({})), &window);
    assert_eq!((&found["summary"]["unreadable"], &found["summary"]["total_matches"]), (&json!(2), &json!(2)));
}

#[test]
fn a_cut_window_is_searched_within_its_range() {
    let window = live(LOG, "2024-01-15T10:00:04Z", "2024-01-15T10:01:00Z");
    let from = crate::testing::at("2024-01-15T10:00:01Z");
    let to = crate::testing::at("2024-01-15T10:00:03.100Z");
    let found = answer(&asked::<Search>(json!({})), &window.between(from, to));
    assert_eq!(messages(&found), ["refused", "slow"]);
}
