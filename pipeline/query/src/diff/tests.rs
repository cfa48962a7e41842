use serde_json::{Value, json};

use super::Diff;
use crate::testing::{answer, asked, live, window};

fn diff(log: &str, options: Value) -> Value {
    answer(&asked::<Diff>(options), &window(log))
}

const LOG: &str = "
    2024-01-15T10:00:00Z INFO [w-1] start
    2024-01-15T10:00:04Z ERROR [w-1] no space on 7
    2024-01-15T10:00:05Z INFO [w-1] on the boundary
    2024-01-15T10:00:06Z ERROR [w-2] refused by 10.0.0.1
    2024-01-15T10:00:07Z ERROR [w-2] refused by 10.0.0.2
    2024-01-15T10:00:10Z INFO [w-3] end
";

#[test]
fn an_entry_on_the_shared_boundary_counts_once() {
    let found =
        diff(LOG, json!({"before_start": "2024-01-15T10:00:00Z", "before_end": "2024-01-15T10:00:05Z"}));
    assert_eq!(found["comparison"]["before"]["total"], 2);
    assert_eq!(found["comparison"]["after"]["total"], 4);
    assert_eq!(found["comparison"]["before"]["by_level"], json!({"INFO": 1, "ERROR": 1}));
    assert_eq!(found["changes"]["error_rate_before"], 0.5);
    assert_eq!(found["changes"]["error_rate_after"], 0.5);
    assert_eq!(found["changes"]["error_rate_change"], "+0%");
    assert_eq!(found["changes"]["new_errors"][0]["pattern"], "refused by <*>");
    assert_eq!(found["changes"]["new_errors"][0]["count"], 2);
    assert_eq!(found["changes"]["resolved_errors"][0]["pattern"], "no space on <*>");
    assert_eq!(found["changes"]["thread_count_change"], 2);
}

#[test]
fn a_baseline_is_measured_from_the_newest_entry_or_from_now() {
    let found = diff(LOG, json!({"baseline": "5s"}));
    assert_eq!(
        found["comparison"]["after"]["total"], 3,
        "the newest entry belongs to it, the one 5 s before does not"
    );
    assert_eq!(found["comparison"]["before"]["total"], 2, "5 s before that, the moment itself left out");
    let window = live(LOG, "2024-01-15T10:00:11Z", "2024-01-15T10:00:12Z");
    let found = answer(&asked::<Diff>(json!({"baseline": "5s"})), &window);
    assert_eq!(found["comparison"]["after"]["total"], 1);
}

#[test]
fn without_periods_it_asks_for_them() {
    let refused = diff(LOG, json!({}));
    assert_eq!(refused["code"], "usage");
    assert!(refused["help"].as_str().is_some_and(|help| help.contains("--baseline")));
    assert_eq!(diff(LOG, json!({"baseline": "0s"}))["code"], "usage");
    let backwards = json!({"before_start": "2024-01-15T10:00:05Z", "before_end": "2024-01-15T10:00:00Z"});
    assert_eq!(diff(LOG, backwards)["code"], "usage");
    assert_eq!(diff(LOG, json!({"before_start": "soon", "before_end": "later"}))["code"], "usage");
}

#[test]
fn a_change_from_nothing_is_left_out_rather_than_infinite() {
    let found = diff(
        LOG,
        json!({"before_start": "2024-01-15T09:00:00Z", "before_end": "2024-01-15T09:00:05Z", "after_start": "2024-01-15T10:00:00Z"}),
    );
    assert!(found["changes"].get("error_rate_multiplier").is_none());
    assert!(found["changes"].get("volume_change_percent").is_none());
    assert_eq!(
        found["summary"],
        "nothing was logged before; 3 errors, and none before; 2 new kinds of errors"
    );
}

#[test]
fn periods_of_unequal_length_are_compared_by_the_minute() {
    let lines: Vec<String> =
        (0..30).map(|at| format!("2024-01-15T10:00:{at:02}Z ERROR lost {at}\n")).collect();
    let found = diff(
        &lines.concat(),
        json!({"before_start": "2024-01-15T10:00:00Z", "before_end": "2024-01-15T10:00:10Z", "after_end": "2024-01-15T10:00:30Z"}),
    );
    assert_eq!(found["changes"]["volume_change_percent"], 0.0);
    assert_eq!(found["changes"]["changed_errors"], json!([]));
}

#[test]
fn an_entry_without_a_time_of_its_own_is_in_one_period_at_most() {
    let log = "
        2024-01-15T10:00:00Z INFO a
        no time
        2024-01-15T10:00:06Z INFO b
    ";
    let found =
        diff(log, json!({"before_start": "2024-01-15T10:00:00Z", "before_end": "2024-01-15T10:00:05Z"}));
    assert_eq!(found["comparison"]["before"]["total"], 2, "it carries the time of the entry before it");
    assert_eq!(found["comparison"]["after"]["total"], 1);
}
