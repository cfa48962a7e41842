use serde_json::{Value, json};

use super::Schema;
use crate::testing::{answer, asked, lines, window, window_of};

#[test]
fn fields_are_found_with_their_types_values_and_patterns() {
    let log = lines(40, |n| {
        let line = json!({
            "ts": format!("2024-01-15T10:00:{n:02}Z"), "level": "info", "msg": format!("m {n}"), "service": "api",
            "request_id": format!("req-{n}"), "http": { "status": 200 + n % 3 }, "ok": true,
        });
        line.to_string()
    });
    insta::assert_json_snapshot!(answer(&asked::<Schema>(json!({})), &window(&log)));
}

#[test]
fn a_sample_spans_the_whole_window_and_mixed_zones_are_no_trouble() {
    let mut log = lines(100, |n| format!("2024-01-15 10:00:{:02} INFO n{n}", n % 60));
    log.push_str("{\"ts\":\"2024-01-15T23:00:00+02:00\",\"msg\":\"last\",\"only_here\":1}\n");
    let found = answer(&asked::<Schema>(json!({ "sample_size": 5 })), &window(&log));
    assert_eq!((&found["sample_size"], &found["total_entries"]), (&json!(5), &json!(101)));
    assert_eq!(found["custom_fields"]["only_here"]["present"], 0.2);
    assert_eq!(found["time_range"]["end"], "2024-01-15T21:00:00Z");
    assert_eq!(found["detected_formats"], json!({ "text": 0.8, "json": 0.2 }));
}

#[test]
fn nothing_looked_at_is_nothing_found() {
    let found: Value = answer(&asked::<Schema>(json!({})), &window_of(&[]));
    assert_eq!((&found["total_entries"], &found["schema"]), (&json!(0), &json!({})));
}
