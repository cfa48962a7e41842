use serde_json::{Value, json};

use super::Timeline;
use crate::testing::{answer, asked, lines, window, window_of};
use crate::{Canvas, Question, Window};

fn timeline(window: &Window, options: Value) -> Value {
    answer(&asked::<Timeline>(options), window)
}

fn shop() -> Window {
    window_of(&[
        (
            "api=api.log",
            "
            2024-01-15T10:00:00.5Z INFO request_id=a received
            2024-01-15T10:00:03Z ERROR request_id=a failed
            2024-01-15T10:00:09Z INFO request_id=b received
            ",
        ),
        // Another zone, and a line without a time: it has that of the line before it.
        ("db=db.log", "2024-01-15T12:00:01+02:00 WARN request_id=a slow\nno time here\n"),
        ("nameless.log", "2024-01-15T10:00:02Z INFO request_id=a passed on\n"),
    ])
}

#[test]
fn services_stand_side_by_side_in_the_order_of_time_across_zones() {
    let answer = timeline(&shop(), json!({"id": "a"}));
    let items: Vec<(&Value, &Value)> = answer["timeline"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| (&item["service"], &item["relative_time_ms"]))
        .collect();
    let expected = [("api", 0), ("db", 500), ("nameless.log", 1500), ("api", 2500)]
        .map(|(name, ms)| (json!(name), json!(ms)));
    assert_eq!(items, expected.iter().map(|(name, ms)| (name, ms)).collect::<Vec<_>>());
    assert_eq!(answer["duration_ms"], 2500);
    assert_eq!(answer["services"], json!(["api", "db", "nameless.log"]));
}

#[test]
fn entries_without_a_time_of_their_own_are_no_trouble() {
    let answer = timeline(&shop(), json!({"id": "all"}));
    assert_eq!((&answer["total_entries"], &answer["duration_ms"]), (&json!(6), &json!(8500)));
    assert_eq!(answer["identifier_type"], Value::Null);
}

#[test]
fn the_breakdown_counts_what_the_timeline_counts() {
    let answer = timeline(&shop(), json!({"id": "a", "level": ["WARN+"], "limit": 1}));
    assert_eq!(answer["service_breakdown"], json!({"db": 1, "api": 1}));
    assert_eq!((&answer["total_entries"], &answer["truncated"]), (&json!(2), &json!(true)));
    assert_eq!(answer["timeline"].as_array().map(Vec::len), Some(1));
}

#[test]
fn ten_thousand_entries_of_a_service_are_no_limit() {
    let log = lines(10_050, |n| {
        format!("2024-01-15T10:{:02}:{:02}Z INFO request_id=a step", n / 600 % 60, n / 10 % 60)
    });
    let answer = timeline(&window(&log), json!({"id": "a", "limit": 5}));
    assert_eq!(
        (&answer["total_entries"], &answer["service_breakdown"]),
        (&json!(10_050), &json!({"app.log": 10_050}))
    );
}

#[test]
fn lanes_mark_errors_where_they_happened() {
    let question = asked::<Timeline>(json!({"id": "a", "view": "waterfall"}));
    let reply = question.ask(&shop()).expect("an answer");
    let mut canvas = Canvas::new(60, false);
    assert!(question.draw(&reply.answer, &mut canvas));
    insta::assert_snapshot!(canvas.text);
}
