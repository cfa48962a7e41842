use serde_json::{Value, json};

use super::VerifyPattern;
use crate::testing::{answer, asked, window};

fn verify(log: &str, options: Value) -> Value {
    answer(&asked::<VerifyPattern>(options), &window(log))
}

const LOG: &str = "
    2024-01-15T10:00:02Z INFO [w-2] took 10 ms
    2024-01-15T10:00:00Z INFO [w-1] took 1 ms
    2024-01-15T10:00:01Z WARN [w-1] took 1 ms
    2024-01-15T10:00:03Z INFO [w-1] done
";

#[test]
fn the_mean_is_over_all_matches_and_first_and_last_are_by_time() {
    let found = verify(
        LOG,
        json!({"pattern": r"took (?<ms>\d+) (\w+)", "extract_groups": true, "hypothesis": "slow"}),
    );
    assert_eq!(found["verified"], true);
    assert_eq!(found["hypothesis"], "slow");
    assert_eq!(found["statistics"]["total_matches"], 3);
    assert_eq!(found["statistics"]["total_entries"], 4);
    assert_eq!(found["statistics"]["match_rate"], 0.75);
    assert_eq!(found["statistics"]["first_match"], "2024-01-15T10:00:00Z");
    assert_eq!(found["statistics"]["last_match"], "2024-01-15T10:00:02Z");
    let group = &found["extracted_groups"]["ms"];
    assert_eq!(group["values"], json!({"1": 2, "10": 1}));
    assert_eq!(group["unique_count"], 2);
    assert_eq!(group["mean"], 4.0);
    assert_eq!(found["extracted_groups"]["group_2"]["values"], json!({"ms": 3}));
    assert!(found["extracted_groups"]["group_2"].get("mean").is_none());
    assert_eq!(found["distribution"]["by_thread"]["values"], json!({"w-1": 2, "w-2": 1}));
    assert_eq!(found["sample_matches"][0]["groups"]["ms"], "1");
    assert_eq!(found["sample_matches"][0]["source"]["line"], 2);
}

#[test]
fn the_line_is_matched_where_the_message_is_not() {
    let log = r#"{"ts":"2024-01-15T10:00:00Z","msg":"hello","shop":"b7"}"#;
    let found = verify(log, json!({"pattern": r#""shop":"b\d""#}));
    assert_eq!(found["statistics"]["total_matches"], 1);
    assert_eq!(found["statistics"]["matches_in_line_only"], 1);
}

#[test]
fn samples_are_bounded_and_counts_are_not() {
    let found = verify(LOG, json!({"pattern": ".", "samples": 1, "top": 1}));
    assert_eq!(found["statistics"]["total_matches"], 4);
    assert_eq!(found["sample_matches"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["truncated"], true);
}

#[test]
fn a_pattern_that_explodes_elsewhere_is_linear_here_and_a_bad_one_is_refused() {
    let log = format!("2024-01-15T10:00:00Z INFO {}\n", "a".repeat(20_000));
    let found = verify(&log, json!({"pattern": "(a+)+$x"}));
    assert_eq!(found["verified"], false);
    let refused = verify(LOG, json!({"pattern": "took ("}));
    assert_eq!(refused["code"], "pattern");
    assert!(refused["help"].is_string());
}
