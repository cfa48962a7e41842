use serde_json::json;

use super::Stats;
use crate::testing::{answer, asked, window, window_of};

#[test]
fn everything_is_counted_once_over_all_inputs() {
    let window = window_of(&[
        ("api=a.log", "2024-01-15T10:00:00Z INFO [w-1] a\n\n2024-01-15T10:00:10Z FATAL [w-1] b\n  at c\n"),
        ("b.log", "{\"ts\":\"2024-01-15T10:00:05Z\",\"msg\":\"x\"}\n"),
    ]);
    insta::assert_json_snapshot!(answer(&asked::<Stats>(json!({})), &window));
}

#[test]
fn no_entries_are_told_as_zeros_without_a_rate() {
    let counts = answer(&asked::<Stats>(json!({})), &window(""));
    assert_eq!((&counts["total"], &counts["error_rate"]), (&json!(0), &json!(0.0)));
    assert_eq!(counts.get("time_range"), None);
}
