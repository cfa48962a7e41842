use serde_json::{Value, json};

use super::Compare;
use crate::testing::{answer, asked, window};
use crate::{Canvas, Question, Window};

fn compare(window: &Window, one: &str, other: &str) -> Value {
    answer(&asked::<Compare>(json!({"id1": one, "id2": other})), window)
}

fn shop() -> Window {
    window(
        "
        2024-01-15T10:00:00Z INFO [w-1] request_id=a order 1 received
        2024-01-15T10:00:00.1Z INFO [w-1] request_id=a order 1 placed
        2024-01-15T10:01:00Z INFO [w-2] request_id=b order 2 received
        2024-01-15T10:01:02Z ERROR [w-2] request_id=b order 2 lost: disk full
        2024-01-15T10:02:00Z INFO [w-1] request_id=c order 3 received
        2024-01-15T10:02:00.09Z INFO [w-1] request_id=c order 3 placed
        ",
    )
}

fn kinds(answer: &Value) -> Vec<&str> {
    let found = answer["differences"].as_array().expect("a list");
    found.iter().map(|difference| difference["type"].as_str().expect("a text")).collect()
}

#[test]
fn a_failed_request_is_compared_with_one_that_did_not() {
    let answer = compare(&shop(), "a", "b");
    assert_eq!(kinds(&answer), ["outcome", "duration", "error_count", "divergence"]);
    let divergence = &answer["differences"][3]["detail"];
    assert_eq!(divergence["step"], 2);
    assert_eq!(answer["level_changes"], json!({"INFO": -1, "ERROR": 1}));
    assert_eq!(
        (answer["only_in_1"].as_array().map(Vec::len), answer["only_in_2"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    let said = answer["recommendation"].as_str().expect("a sentence");
    assert!(said.contains("disk full"), "{said}");
    assert_eq!(answer["hierarchy"]["duration_change_ms"], 1900);
}

#[test]
fn numbers_in_messages_make_no_difference() {
    let answer = compare(&shop(), "a", "c");
    assert_eq!(answer["differences"], json!([]));
    assert_eq!(answer["summary"], "`a` and `c` went the same way");
    assert_eq!(answer["recommendation"], Value::Null);
}

#[test]
fn only_whole_words_are_taken_for_ids() {
    let shown = super::side::without("a cat at a=a, a-b", "a");
    assert_eq!(shown, "<*> cat at <*>=<*>, <*>-b");
    assert_eq!(super::side::without("grüße", "ü"), "grüße");
}

#[test]
fn threads_can_be_compared_too() {
    let answer = compare(&shop(), "w-1", "w-2");
    assert_eq!(answer["comparison"]["request1"]["type"], "thread");
    assert_eq!(answer["comparison"]["request1"]["entry_count"], 4);
    assert!(kinds(&answer).contains(&"entry_count"));
}

#[test]
fn an_id_that_nobody_carries_is_told_and_is_not_found() {
    for (one, other) in [("a", "nobody"), ("nobody", "nowhere")] {
        let question = asked::<Compare>(json!({"id1": one, "id2": other}));
        let reply = question.ask(&shop()).expect("an answer");
        assert!(!reply.found);
        assert_eq!(reply.answer.comparison.request2.outcome, "not_found");
    }
    assert_eq!(kinds(&compare(&shop(), "a", "nobody")), ["found"]);
    assert_eq!(compare(&shop(), "nobody", "nowhere")["summary"], "no entry carries `nobody` or `nowhere`");
}

#[test]
fn trees_are_compared_by_names_because_ids_differ() {
    let log = |trace: &str, minute: u32, db: u32, extra: bool| {
        let mut log = String::new();
        let mut add = |ms: u32, span: &str, parent: &str, service: &str, level: &str| {
            let mut entry = json!({
                "ts": format!("2024-01-15T10:{minute:02}:{:02}.{:03}Z", ms / 1000, ms % 1000),
                "level": level, "msg": format!("call {minute}"), "service": service,
                "trace_id": trace, "span_id": format!("{trace}{span}"),
            });
            if !parent.is_empty() {
                entry["parent_span_id"] = json!(format!("{trace}{parent}"));
            }
            log += &entry.to_string();
            log.push('\n');
        };
        add(0, "1", "", "api", "INFO");
        add(10, "2", "1", "db", "INFO");
        add(10 + db, "2", "1", "db", if extra { "ERROR" } else { "INFO" });
        if extra {
            add(20 + db, "3", "1", "fallback", "INFO");
        }
        add(100 + db, "1", "", "api", "INFO");
        log
    };
    let answer = compare(&window(&(log("x", 1, 100, false) + &log("y", 2, 900, true))), "x", "y");
    let trees = &answer["hierarchy"];
    assert_eq!((&trees["duration_change_ms"], &trees["node_count_change"]), (&json!(800), &json!(1)));
    let slower: Vec<(&Value, &Value)> = trees["degraded_nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| (&change["before_ms"], &change["after_ms"]))
        .collect();
    assert_eq!(slower, [(&json!(200), &json!(1000)), (&json!(100), &json!(900))]);
    assert_eq!(trees["new_nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(trees["new_errors"].as_array().map(Vec::len), Some(1));
}

#[test]
fn both_sides_are_drawn_beside_each_other() {
    let question = asked::<Compare>(json!({"id1": "a", "id2": "b"}));
    let reply = question.ask(&shop()).expect("an answer");
    let mut canvas = Canvas::new(70, false);
    assert!(question.draw(&reply.answer, &mut canvas));
    insta::assert_snapshot!(canvas.text);
}
