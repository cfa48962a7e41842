use serde_json::{Value, json};

use super::Threads;
use crate::testing::{answer, asked, window, window_of};
use crate::{Question, Window};

fn threads(window: &Window, options: Value) -> Value {
    answer(&asked::<Threads>(options), window)
}

#[test]
fn threads_of_one_name_in_two_services_are_two() {
    let line = "2024-01-15T10:00:00Z INFO [main] begins\n";
    let answer = threads(&window_of(&[("a=a.log", line), ("b=b.log", line)]), json!({}));
    let found: Vec<(&Value, &Value)> = answer["threads"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|thread| (&thread["thread_id"], &thread["service"]))
        .collect();
    assert_eq!(found, [(&json!("main"), &json!("a")), (&json!("main"), &json!("b"))]);
}

const WORK: &str = "
    2024-01-15T10:00:00Z INFO [w-1] request_id=a one
    2024-01-15T10:00:01Z INFO [w-1] without an id
    2024-01-15T10:00:09Z ERROR [w-1] request_id=b two
    2024-01-15T10:00:10Z INFO [w-1] request_id=a again
    2024-01-15T10:00:11Z INFO [w-2] request_id=a elsewhere
    ";

#[test]
fn a_thread_is_followed_from_request_to_request() {
    let answer = threads(&window(WORK), json!({"follow": "w-1"}));
    let stretches: Vec<String> = answer["segments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| {
            format!(
                "{} {} {} {}",
                part["correlation_id"], part["entries"], part["duration_ms"], part["idle_before_ms"]
            )
        })
        .collect();
    assert_eq!(stretches, [r#""a" 2 1000 null"#, r#""b" 1 0 8000"#, r#""a" 1 0 1000"#]);
    assert_eq!(answer["segments"][0]["attributed"], 1);
    assert_eq!(answer["threads"][0]["correlation_ids"], json!(["a", "b"]));
    assert_eq!(
        (&answer["threads"][0]["log_count"], &answer["threads"][0]["error_count"]),
        (&json!(4), &json!(1))
    );
}

#[test]
fn what_is_not_listed_is_counted_and_selections_hold() {
    let answer = threads(&window(WORK), json!({"limit": 1}));
    assert_eq!(
        (&answer["threads"][0]["thread_id"], &answer["total_threads"], &answer["truncated"]),
        (&json!("w-1"), &json!(2), &json!(true))
    );
    let errors = threads(&window(WORK), json!({"level": ["ERROR"], "query": "two"}));
    assert_eq!((&errors["total_entries"], &errors["total_threads"]), (&json!(1), &json!(1)));
    assert!(!asked::<Threads>(json!({"follow": "w-9"})).ask(&window(WORK)).expect("an answer").found);
}
