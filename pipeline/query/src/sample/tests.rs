use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Sample, Strategy};
use crate::testing::{answer, asked, window, window_of};

const STRATEGIES: [&str; 8] =
    ["random", "representative", "diverse", "chronological", "errors_focused", "head", "tail", "edges"];

fn sample(log: &str, options: Value) -> Value {
    answer(&asked::<Sample>(options), &window(log))
}

/// Entries a second apart: every tenth an error, the last hundredth a rare one.
fn log(entries: usize) -> String {
    let line = |at: usize| {
        let (level, what) = match at {
            _ if at + 5 == entries => ("FATAL", "power lost".to_owned()),
            _ if at % 10 == 7 => ("ERROR", format!("refused by 10.0.0.{at}")),
            _ => ("INFO", format!("served page {at}")),
        };
        let (h, m, s) = (at / 3600, at / 60 % 60, at % 60);
        format!("2024-01-15T{h:02}:{m:02}:{s:02}Z {level} [w-{}] {what}\n", at % 3)
    };
    (0..entries).map(line).collect()
}

fn messages(found: &Value) -> Vec<&str> {
    found["entries"].as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str()).collect()
}

#[test]
fn every_strategy_samples_the_whole_log_and_fills_its_size() {
    let log = log(3000);
    for strategy in STRATEGIES {
        let found = sample(&log, json!({"strategy": strategy, "size": 20}));
        assert_eq!(found["population"]["total_entries"], 3000);
        let size = found["sample"]["size"].as_u64().unwrap_or(0);
        // There are three templates on three threads: no more is diverse.
        let least = if strategy == "diverse" { 9 } else { 20 };
        assert!((least..=20).contains(&size), "{strategy}: {size}");
        let time = found["sample"]["coverage"]["time"].as_f64().unwrap_or(0.0);
        if !matches!(strategy, "head" | "tail") {
            assert!(time > 0.7, "{strategy} covers {time}");
        }
        let lines: Vec<u64> = found["entries"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["source"]["line"].as_u64())
            .collect();
        assert!(lines.is_sorted_by(|a, b| a < b), "{strategy}: in order, none twice");
    }
}

#[test]
fn the_strategies_differ_and_a_seed_decides() {
    let log = log(500);
    let lines = |options| {
        let found = sample(&log, options);
        found["entries"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["source"]["line"].clone())
            .collect::<Vec<_>>()
    };
    let mut all: Vec<Vec<Value>> =
        STRATEGIES.iter().map(|strategy| lines(json!({"strategy": strategy, "size": 10}))).collect();
    assert_eq!(all[0], lines(json!({"strategy": "random", "size": 10})));
    assert_ne!(all[0], lines(json!({"strategy": "random", "size": 10, "seed": 7})));
    all.sort_by_key(|lines| format!("{lines:?}"));
    all.dedup();
    assert_eq!(all.len(), STRATEGIES.len());
}

#[test]
fn head_and_tail_are_the_first_and_the_last() {
    let log = log(100);
    let found = sample(&log, json!({"strategy": "head", "size": 2}));
    assert_eq!(messages(&found), ["served page 0", "served page 1"]);
    let found = sample(&log, json!({"strategy": "tail", "size": 2}));
    assert_eq!(messages(&found), ["served page 98", "served page 99"]);
}

#[test]
fn representative_has_the_shares_of_the_levels_and_leaves_none_out() {
    let found = sample(&log(1000), json!({"strategy": "representative", "size": 20}));
    assert_eq!(found["sample"]["by_level"], json!({"INFO": 17, "ERROR": 2, "FATAL": 1}));
    assert_eq!(found["sample"]["coverage"]["levels"], 1.0);
}

#[test]
fn diverse_has_every_template_and_thread() {
    let found = sample(&log(1000), json!({"strategy": "diverse", "size": 6}));
    assert_eq!(found["sample"]["coverage"]["templates"], 1.0);
    assert_eq!(found["sample"]["coverage"]["threads"], 1.0);
}

#[test]
fn errors_bring_what_came_before_them_on_their_thread_and_nothing_comes_twice() {
    let log = "
        2024-01-15T10:00:00Z INFO [w-1] opening
        2024-01-15T10:00:01Z INFO [w-2] elsewhere
        2024-01-15T10:00:02Z ERROR [w-1] failed
        2024-01-15T10:00:03Z INFO [w-2] done
    ";
    let found = sample(log, json!({"strategy": "errors_focused", "size": 3}));
    let why: Vec<&Value> =
        found["entries"].as_array().into_iter().flatten().map(|entry| &entry["selection_reason"]).collect();
    assert_eq!(found["entries"][0]["message"], "opening");
    assert_eq!(why[0], "before an error");
    assert!(why.contains(&&json!("an error")) && why.contains(&&json!("for comparison")));
}

#[test]
fn edges_are_where_something_changes() {
    let log = "
        2024-01-15T10:00:00Z INFO [w-1] a
        2024-01-15T10:00:01Z INFO [w-1] b
        2024-01-15T10:00:02Z INFO [w-1] c
        2024-01-15T10:00:03Z ERROR [w-1] d
        2024-01-15T10:00:04Z ERROR [w-1] e
        2024-01-15T10:00:05Z INFO [w-1] f
        2024-01-15T10:00:06Z INFO [w-1] g
        2024-01-15T10:00:07Z INFO [w-1] h
    ";
    let found = sample(log, json!({"strategy": "edges", "size": 4}));
    assert_eq!(messages(&found), ["a", "d", "f", "h"]);
    assert_eq!(found["entries"][1]["selection_reason"], "the level rises to an error");
}

#[test]
fn filters_narrow_what_is_sampled_and_not_the_sample() {
    let found = sample(&log(200), json!({"exclude_level": ["INFO"], "strategy": "random", "size": 6}));
    assert_eq!(found["population"]["total_entries"], 21);
    assert_eq!(found["sample"]["size"], 6);
    assert!(found["sample"]["by_level"].get("INFO").is_none());
    let files = [("a=a.log", log(50)), ("b=b.log", log(50))];
    let window = window_of(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]);
    let found = answer(&asked::<Sample>(json!({"service": ["b"], "size": 4})), &window);
    assert_eq!(found["sample"]["size"], 4);
    assert_eq!(found["entries"][0]["source"]["input"], "b.log");
}

#[test]
fn a_sample_of_few_entries_is_all_of_them() {
    for strategy in STRATEGIES.into_iter().filter(|strategy| *strategy != "diverse") {
        let found = sample(&log(5), json!({"strategy": strategy, "size": 50}));
        assert_eq!(found["sample"]["size"], 5, "{strategy}");
        assert_eq!(sample("", json!({"strategy": strategy}))["sample"]["size"], 0);
    }
    for size in [0, 1_000_000] {
        assert_eq!(sample(&log(5), json!({"size": size}))["code"], "usage", "{size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn chance_is_the_same_for_all_entries(seed in any::<u64>()) {
        // Of 400 entries, 100 are chosen: about half of them from the first half.
        let found = answer(
            &Sample { strategy: Strategy::Random, size: 100, seed, ..Sample::default() },
            &window(&log(400)),
        );
        let early = found["entries"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["source"]["line"].as_u64().is_some_and(|line| line <= 200))
            .count();
        // Five standard deviations of the hypergeometric distribution.
        prop_assert!((28..=72).contains(&early), "{early} of 100 are from the first half");
    }
}
