use serde_json::{Value, json};

use super::Metrics;
use crate::testing::{answer, asked, window};

fn metrics(log: &str, options: Value) -> Value {
    answer(&asked::<Metrics>(options), &window(log))
}

#[test]
fn seconds_and_milliseconds_are_one_series_and_bare_numbers_another() {
    let log = "
        2024-01-15T10:00:00Z INFO job wait=5s
        2024-01-15T10:00:01Z INFO job wait=5ms
        2024-01-15T10:00:02Z INFO job wait=7
    ";
    let found = metrics(log, json!({}));
    assert_eq!(found["fields"]["wait (ms)"]["count"], 2);
    assert_eq!(found["fields"]["wait (ms)"]["unit"], "ms");
    assert_eq!(found["fields"]["wait (ms)"]["stats"]["max"], 5000.0);
    assert_eq!(found["fields"]["wait (ms)"]["stats"]["min"], 5.0);
    assert_eq!(found["fields"]["wait (no unit)"]["stats"]["max"], 7.0);
    assert_eq!(found["total_fields"], 2);
}

#[test]
fn a_time_in_a_message_is_no_series() {
    let log = r#"
        {"ts":"2024-01-15T10:00:00Z","msg":"next run 2024-01-15T10:05:00Z T10:05:00"}
    "#;
    assert_eq!(metrics(log, json!({}))["fields"], json!({}));
}

#[test]
fn a_number_that_is_field_and_text_counts_once() {
    let found = metrics("ts=2024-01-15T10:00:00Z level=info rows=7 size=12\n", json!({}));
    assert_eq!(found["fields"]["rows"]["count"], 1);
    assert_eq!(found["fields"]["size"]["count"], 1);
    let log = r#"{"ts":"2024-01-15T10:00:00Z","level":"info","rows":7,"msg":"done rows=7"}"#;
    assert_eq!(metrics(log, json!({}))["fields"]["rows"]["count"], 1);
    let log =
        r#"{"ts":"2024-01-15T10:00:00Z","level":"info","duration_ms":61,"msg":"POST /checkout in 61 ms"}"#;
    let found = metrics(log, json!({}));
    assert_eq!(found["fields"]["duration_ms"]["count"], 1);
    assert_eq!(found["fields"]["duration_ms"]["unit"], "ms");
}

#[test]
fn nested_fields_have_dotted_names_and_what_entries_carry_is_no_metric() {
    let log = r#"
        {"time":1705312800123,"level":30,"tid":7,"msg":"a","http":{"status":200,"took":"12ms"},"ok":true,"user_id":9}
        {"time":1705312801123,"level":30,"tid":7,"msg":"b","http":{"status":404,"took":"1s"},"ok":true,"user_id":9}
        {"time":1705312802123,"level":50,"tid":7,"msg":"c","http":{"status":500,"took":"-"},"ok":false,"user_id":9}
    "#;
    let found = metrics(log, json!({}));
    let names: Vec<&String> =
        found["fields"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    assert_eq!(names, ["http.status", "http.took"]);
    assert_eq!(found["fields"]["http.status"]["count"], 3);
    assert_eq!(found["fields"]["http.took"]["stats"]["max"], 1000.0);
    assert_eq!(metrics(log, json!({"fields": ["user_id"]}))["fields"]["user_id"]["count"], 3);
    assert_eq!(metrics(log, json!({"fields": ["status"]}))["total_fields"], 1);
}

#[test]
fn fields_of_wrapped_records_are_found_in_every_line() {
    let log = r#"
        {"log":"plain text\n","stream":"stdout","time":"2024-01-15T10:00:00Z"}
        {"log":"{\"level\":\"info\",\"msg\":\"x\",\"rows\":5}\n","stream":"stdout","time":"2024-01-15T10:00:01Z"}
        {"log":"level=info msg=x rows=6\n","stream":"stdout","time":"2024-01-15T10:00:02Z"}
    "#;
    let found = metrics(log, json!({}));
    assert_eq!(found["fields"]["rows"]["count"], 2);
    assert_eq!(found["fields"]["rows"]["stats"]["max"], 6.0);
}

#[test]
fn first_and_last_are_by_time_whatever_the_precision() {
    let log = "
        2024-01-15T10:00:00.100Z INFO x size=1
        2024-01-15T10:00:00Z INFO x size=2
        2024-01-15T10:00:00.050Z INFO x size=3
    ";
    let found = metrics(log, json!({}));
    assert_eq!(found["fields"]["size"]["first_timestamp"], "2024-01-15T10:00:00Z");
    assert_eq!(found["fields"]["size"]["last_timestamp"], "2024-01-15T10:00:00.100Z");
}

#[test]
fn buckets_are_aligned_to_the_clock_and_empty_ones_left_out() {
    let log = "
        2024-01-15T10:00:07Z INFO x size=1
        2024-01-15T10:00:09Z INFO x size=3
        2024-01-15T10:00:31Z INFO x size=5
    ";
    let found = metrics(log, json!({"bucket": "10s"}));
    assert_eq!(
        found["fields"]["size"]["buckets"],
        json!([
            {"start": "2024-01-15T10:00:00Z", "end": "2024-01-15T10:00:10Z", "min": 1.0, "max": 3.0, "avg": 2.0, "count": 2},
            {"start": "2024-01-15T10:00:30Z", "end": "2024-01-15T10:00:40Z", "min": 5.0, "max": 5.0, "avg": 5.0, "count": 1},
        ])
    );
    let refused = metrics(log, json!({"bucket": "1ms"}));
    assert_eq!(refused["code"], "usage");
    assert!(refused["help"].as_str().is_some_and(|help| help.contains("--bucket 1s")), "{refused}");
    assert_eq!(metrics(log, json!({"bucket": "0s"}))["code"], "usage");
}

#[test]
fn an_anomaly_is_far_from_the_values_before_it() {
    let line = |at: usize, value: usize| {
        format!("2024-01-15T10:{:02}:{:02}Z INFO x depth={value}\n", at / 60, at % 60)
    };
    let log: String = (0..200).map(|at| line(at, if at == 150 { 9000 } else { 100 + at % 7 })).collect();
    let found = metrics(&log, json!({}));
    let depth = &found["fields"]["depth"];
    assert_eq!(depth["total_anomalies"], 1);
    assert_eq!(depth["anomalies"][0]["value"], 9000.0);
    assert_eq!(depth["anomalies"][0]["source"]["line"], 151);
    assert_eq!(depth["stats"]["median"], 103.0);
    assert!(metrics(&log, json!({"anomaly_threshold": -1.0}))["message"].is_string());
}

#[test]
fn limits_hide_series_but_count_them() {
    let found = metrics("2024-01-15T10:00:00Z INFO x a=1 b=2\n", json!({"limit": 1}));
    assert_eq!(found["total_fields"], 2);
    assert_eq!(found["truncated"], true);
}

#[test]
fn a_value_that_is_no_number_is_no_metric_and_costs_no_line() {
    let found = metrics("ts=2024-01-15T10:00:00Z a=nan b=inf c=1e999 d=4\n", json!({}));
    let names: Vec<&String> =
        found["fields"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    assert_eq!(names, ["d"]);
    assert_eq!(found["entries_scanned"], 1);
}
