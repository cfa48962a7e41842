use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Condition, CorrelateEvents};
use crate::testing::{answer, asked, window, window_of};

fn correlate(log: &str, options: Value) -> Value {
    answer(&asked::<CorrelateEvents>(options), &window(log))
}

const LOG: &str = "
    2024-01-15T10:00:00Z INFO [w-1] far before
    2024-01-15T10:00:05Z INFO [w-1] at the edge
    2024-01-15T10:00:10Z ERROR [w-1] d.b failed
    2024-01-15T10:00:10.500Z ERROR [w-1] dxb failed
    2024-01-15T10:00:15Z INFO [w-1] at the other edge
    2024-01-15T10:00:40Z FATAL [w-1] gone
    2024-01-15T10:00:41Z INFO [w-2] after it
";

#[test]
fn both_ends_of_the_window_are_in_it() {
    let found = correlate(LOG, json!({"anchor_timestamp": "2024-01-15 10:00:10"}));
    assert_eq!(found["clusters"][0]["entry_count"], 4);
    assert_eq!(found["clusters"][0]["rule_type"], "event_window");
    assert_eq!(found["clusters"][0]["entries"][0]["relative_ms"], -5000.0);
    assert_eq!(found["clusters"][0]["entries"][3]["message"], "at the other edge");
}

#[test]
fn events_within_a_window_are_one_cluster_and_not_one_a_second() {
    let found = correlate(LOG, json!({"trigger_level": ["ERROR+"]}));
    assert_eq!(found["total_events"], 3);
    assert_eq!(found["total_clusters"], 2);
    assert_eq!(found["clusters"][0]["events"], 2);
    assert_eq!(found["total_entries_correlated"], 6);
    let every = correlate(LOG, json!({"trigger_level": ["ERROR+"], "every_event": true}));
    assert_eq!(every["total_clusters"], 3);
    assert_eq!(every["total_entries_correlated"], 6, "an entry of two clusters counts once");
}

#[test]
fn a_trigger_pattern_is_a_regular_expression() {
    let found = correlate(LOG, json!({"trigger_pattern": r"^d.b"}));
    assert_eq!(found["total_events"], 2);
    let found = correlate(LOG, json!({"trigger_pattern": r"d\.b"}));
    assert_eq!(found["total_events"], 1);
    assert_eq!(correlate(LOG, json!({"trigger_pattern": "("}))["code"], "query");
}

#[test]
fn entries_without_a_time_are_not_in_every_window() {
    let files = [("a.log", LOG), ("b.log", "no time at all\nnor here\n")];
    let found = answer(&asked::<CorrelateEvents>(json!({"trigger_level": ["FATAL"]})), &window_of(&files));
    assert_eq!(found["clusters"][0]["entry_count"], 2);
}

#[test]
fn a_condition_compares_numbers_of_columns_and_fields() {
    let log = r#"
        {"ts":"2024-01-15T10:00:00Z","msg":"fast","duration_ms":5,"http":{"status":200}}
        {"ts":"2024-01-15T10:00:01Z","msg":"slow","duration_ms":900,"http":{"status":503}}
    "#;
    let slow = json!({"trigger_field": "duration_ms", "trigger_condition": ">500"});
    assert_eq!(correlate(log, slow)["total_events"], 1);
    let failed = json!({"trigger_field": "http.status", "trigger_condition": ">= 500"});
    assert_eq!(correlate(log, failed)["clusters"][0]["anchor_message"], "slow");
    assert_eq!(correlate(log, json!({"trigger_field": "http.status"}))["total_events"], 2);
    assert_eq!(correlate(log, json!({"trigger_field": "nothing"}))["total_events"], 0);
}

#[test]
fn conditions_are_read_and_written_alike() {
    for text in ["<1", "<=1.5", ">500", ">=-2", "==0", "!=200"] {
        let condition: Condition = text.parse().expect("it is a condition");
        assert_eq!(condition.to_string(), text);
    }
    for text in ["", "500", "> x", "=> 1", "<nan"] {
        assert!(text.parse::<Condition>().is_err(), "{text}");
    }
    assert!(!"!=1".parse::<Condition>().is_ok_and(|condition| condition.holds(f64::NAN)));
}

#[test]
fn an_anchor_is_a_line_of_an_input() {
    let files = [("logs/a.log", LOG), ("logs/b.log", LOG)];
    let window = window_of(&files);
    let at = |options| answer(&asked::<CorrelateEvents>(options), &window);
    let found = at(json!({"anchor_file": "b.log", "anchor_line": 6, "window": "1s"}));
    assert_eq!(found["clusters"][0]["anchor_file"], "logs/b.log");
    assert_eq!(found["clusters"][0]["entry_count"], 4);
    assert_eq!(at(json!({"anchor_line": 6}))["code"], "usage");
    assert_eq!(at(json!({"anchor_file": "c.log", "anchor_line": 6}))["code"], "usage");
    assert_eq!(at(json!({"anchor_file": "a.log", "anchor_line": 99}))["code"], "usage");
}

#[test]
fn without_an_event_it_asks_for_one() {
    assert_eq!(correlate(LOG, json!({}))["code"], "usage");
    assert_eq!(correlate(LOG, json!({"anchor_timestamp": "soon"}))["code"], "usage");
}

#[test]
fn limits_hide_but_count() {
    let found = correlate(LOG, json!({"trigger_level": ["ERROR+"], "limit": 1, "entries": 2}));
    assert_eq!(found["total_clusters"], 2);
    assert_eq!(found["truncated"], true);
    let cluster = &found["clusters"][0];
    assert_eq!(cluster["entry_count"], 4);
    assert_eq!(cluster["entries"][0]["message"], "d.b failed");
    assert_eq!(cluster["entries"][1]["message"], "dxb failed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn two_pointers_find_what_a_search_per_event_finds(
        steps in proptest::collection::vec((0_u64..4, any::<bool>()), 1..60),
        span in 0_u64..6,
    ) {
        let (mut second, mut lines, mut times) = (0, Vec::new(), Vec::new());
        for (step, error) in &steps {
            second += step;
            times.push((second, *error));
            let level = if *error { "ERROR" } else { "INFO" };
            let (m, s) = (second / 60, second % 60);
            lines.push(format!("2024-01-15T10:{m:02}:{s:02}Z {level} x\n"));
        }
        let log = lines.concat();
        let found = correlate(&log, json!({
            "trigger_level": ["ERROR"], "window": format!("{span}s"), "every_event": true, "limit": 0,
        }));
        let near = |at: u64| times.iter().filter(|(time, _)| time.abs_diff(at) <= span).count();
        let expected: Vec<usize> =
            times.iter().filter(|(_, error)| *error).map(|(time, _)| near(*time)).filter(|count| *count > 1).collect();
        let clusters: Vec<usize> = found["clusters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|cluster| usize::try_from(cluster["entry_count"].as_u64()?).ok())
            .collect();
        prop_assert_eq!(&clusters, &expected);
        let anchors: Vec<u64> = times.iter().filter(|(at, error)| *error && near(*at) > 1).map(|(at, _)| *at).collect();
        let once = times.iter().filter(|(time, _)| anchors.iter().any(|at| time.abs_diff(*at) <= span)).count();
        prop_assert_eq!(found["total_entries_correlated"].as_u64(), Some(once as u64));
    }
}
