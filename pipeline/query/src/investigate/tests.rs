use serde_json::{Value, json};

use super::*;
use crate::testing::{answer, asked, window};

/// Three requests fail in `db` and then in `api`, one fails in `mail`, one is slow and none of them.
const SHOP: &str = r#"
    {"ts":"2024-01-15T10:00:00Z","level":"info","service":"api","request_id":"r1","msg":"begin"}
    {"ts":"2024-01-15T10:00:00.100Z","level":"error","service":"db","request_id":"r1","msg":"no slot for conn 7"}
    {"ts":"2024-01-15T10:00:00.200Z","level":"error","service":"api","request_id":"r1","msg":"500"}
    {"ts":"2024-01-15T10:00:01Z","level":"info","service":"api","request_id":"r2","msg":"begin"}
    {"ts":"2024-01-15T10:00:01.100Z","level":"error","service":"db","request_id":"r2","msg":"no slot for conn 8"}
    {"ts":"2024-01-15T10:00:01.150Z","level":"error","service":"pay","request_id":"r2","msg":"refused"}
    {"ts":"2024-01-15T10:00:01.200Z","level":"error","service":"api","request_id":"r2","msg":"500"}
    {"ts":"2024-01-15T10:00:02Z","level":"info","service":"mail","request_id":"r3","msg":"begin"}
    {"ts":"2024-01-15T10:00:02.100Z","level":"fatal","service":"mail","request_id":"r3","msg":"no route"}
    {"ts":"2024-01-15T10:00:03Z","level":"info","service":"api","request_id":"r4","msg":"begin"}
    {"ts":"2024-01-15T10:00:03.010Z","level":"info","service":"db","request_id":"r4","msg":"waiting for a lock"}
    {"ts":"2024-01-15T10:00:09Z","level":"info","service":"api","request_id":"r4","msg":"end"}
    {"ts":"2024-01-15T10:00:10Z","level":"info","service":"cron","msg":"tick"}
"#;

fn report(options: Value) -> Value {
    answer(&asked::<Investigate>(options), &window(SHOP))
}

#[test]
fn failing_requests_are_told_by_where_they_began_to_fail() {
    let report = report(json!({}));
    let failures: Vec<Value> = report["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            json!([
                failure["began_in"],
                failure["message"],
                failure["requests"],
                failure["spreads_to"],
                failure["example"],
                failure["source"]["line"]
            ])
        })
        .collect();
    assert_eq!(
        json!(failures),
        json!([
            ["db", "no slot for conn 7", 2, ["pay", "api"], "r1", 2],
            ["mail", "no route", 1, [], "r3", 9],
        ])
    );
}

#[test]
fn fatal_entries_are_errors_too() {
    let report = report(json!({"service": ["mail"]}));
    assert_eq!(report["overview"]["failed_requests"], json!(1));
    assert_eq!(report["assessment"]["severity"], json!("critical"));
}

#[test]
fn slow_requests_say_where_the_time_went() {
    let report = report(json!({"top": 1}));
    assert_eq!(
        report["slow_requests"],
        json!([{
            "request": "r4", "start": "2024-01-15T10:00:03Z", "duration_ms": 6000.0, "entries": 3, "errors": 0,
            "silence_ms": 5990.0, "silent_after": "waiting for a lock", "silent_service": "db",
        }])
    );
    assert_eq!(report["overview"]["request_ms_p50"], json!(200.0));
}

#[test]
fn suggestions_are_commands_for_what_was_found() {
    let commands = |report: Value| -> Vec<String> {
        let suggestions = report["suggestions"].as_array().unwrap();
        suggestions.iter().map(|one| one["command"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        commands(report(json!({}))),
        [
            "error-flow r1",
            "hierarchy r1 --view waterfall",
            "diff --before-start 2024-01-15T10:00:00Z --before-end 2024-01-15T10:00:00.100Z",
            "bottleneck r4"
        ]
    );
    assert_eq!(commands(report(json!({"service": ["cron"]}))), ["patterns"]);
    let odd = window(r#"{"ts":"2024-01-15T10:00:00Z","level":"error","request_id":"it's; rm","msg":"x"}"#);
    assert_eq!(commands(answer(&asked::<Investigate>(json!({})), &odd))[0], r"error-flow 'it'\''s; rm'");
}

#[test]
fn an_id_lists_its_entries_errors_first_of_all() {
    let report = report(json!({"correlation": "r2", "limit": 3}));
    let messages: Vec<&Value> =
        report["timeline"].as_array().unwrap().iter().map(|entry| &entry["message"]).collect();
    assert_eq!(messages, ["begin", "no slot for conn 8", "500"]);
    assert_eq!(report["truncated"], json!(true));
    assert_eq!(report["overview"]["total_entries"], json!(4));
}

#[test]
fn the_report_fits_the_terminal_and_ends_with_what_to_ask() {
    let asked: Investigate = asked(json!({}));
    let reply = asked.ask(&window(SHOP)).unwrap();
    let mut canvas = Canvas::new(80, false);
    assert!(asked.draw(&reply.answer, &mut canvas));
    insta::assert_snapshot!(canvas.text, @r"
    CRITICAL: 6 errors among 13 entries (46.15 %), most often `<*>` (2 times)
    13 entries, 2024-01-15T10:00:00Z to 2024-01-15T10:00:10Z (10.00s)
    4 requests, 3 with errors, p50 200ms, p95 6.00s
    services: api 6 (2 errors), db 3 (2 errors), mail 2 (1 error), cron 1, pay 1 (1…

    Where requests began to fail
          2×  db: no slot for conn 7
              first at 2024-01-15T10:00:00.100Z, then errors in pay → api; see r1
          1×  mail: no route
              first at 2024-01-15T10:00:02.100Z; see r3

    Slowest requests
         6.00s  r4
                silent for 5.99s after db: waiting for a lock
         200ms  r1
                silent for 100ms after api: begin
         200ms  r2
                silent for 100ms after api: begin
         100ms  r3
                silent for 100ms after mail: begin

    Ask next
      logbraid error-flow r1
          2 requests begin to fail in db; this is one of them
      logbraid hierarchy r1 --view waterfall
          who called whom when it failed
      logbraid diff --before-start 2024-01-15T10:00:00Z --before-end 2024-01-15T10:…
          what is different since the first failure, at 2024-01-15T10:00:00.100Z
      logbraid bottleneck r4
          it took 6.00s; half of the requests take at most 200ms
    ");
}

#[test]
fn nothing_is_told_of_nothing() {
    let reply = asked::<Investigate>(json!({})).ask(&window("")).unwrap();
    assert!(!reply.found);
    assert!(reply.answer.suggestions.is_empty());
    assert_eq!(reply.answer.overview.request_ms_p50, None);
}
