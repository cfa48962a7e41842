use serde_json::{Value, json};

use super::Flow;
use crate::testing::{answer, asked, window};
use crate::{Canvas, Question, Window};

fn flow(window: &Window) -> Value {
    answer(&asked::<Flow>(json!({"id": "t"})), window)
}

/// One entry of a notation `MS SPAN PARENT LEVEL message` a line.
fn log(notation: &str) -> Window {
    let mut log = String::new();
    for line in notation.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let [ms, span, parent, level, message] = words[..] else { panic!("an entry has five parts") };
        let ms: u32 = ms.parse().expect("a number");
        let mut entry = json!({
            "ts": format!("2024-01-15T10:00:00.{ms:03}Z"), "level": level, "msg": message,
            "service": format!("svc-{span}"), "trace_id": "t", "span_id": span,
        });
        if parent != "-" {
            entry["parent_span_id"] = json!(parent);
        }
        log += &entry.to_string();
        log.push('\n');
    }
    window(&log)
}

#[test]
fn four_of_five_nodes_failed_because_of_the_deepest() {
    let window = log("0 a - INFO begins
         10 b a INFO begins
         20 c b INFO begins
         30 d c INFO begins
         40 e a INFO begins
         50 d c ERROR disk full
         60 c b ERROR write failed
         70 b a ERROR order lost
         80 a - ERROR 500");
    let answer = flow(&window);
    assert_eq!((&answer["has_errors"], &answer["total_error_nodes"]), (&json!(true), &json!(4)));
    let cause = &answer["root_causes"][0];
    assert_eq!(
        (&cause["node_id"], &cause["depth"], &cause["is_leaf"]),
        (&json!("d"), &json!(3), &json!(true))
    );
    let chain = &answer["propagation_chains"][0];
    let way: Vec<&Value> =
        chain["steps"].as_array().expect("a list").iter().map(|step| &step["node"]).collect();
    assert_eq!(way, ["d", "c", "b", "a"]);
    assert_eq!((&chain["propagation_type"], &chain["total_affected"]), (&json!("upward"), &json!(4)));
    let impact = &answer["impact_summary"];
    assert_eq!((&impact["affected_percentage"], &impact["max_propagation_depth"]), (&json!(80.0), &json!(3)));
    assert_eq!(impact["services"], json!(["svc-d", "svc-c", "svc-b", "svc-a"]));
}

#[test]
fn an_error_above_that_came_before_is_a_cause_of_its_own() {
    let answer = flow(&log(
        "0 a - INFO begins\n 5 a - ERROR cache lost\n 10 b a INFO begins\n 50 b a ERROR disk full",
    ));
    assert_eq!(answer["root_causes"].as_array().map(Vec::len), Some(2));
    let chains = answer["propagation_chains"].as_array().expect("a list");
    assert!(chains.iter().all(|chain| chain["total_affected"] == 1), "{chains:?}");
}

#[test]
fn nodes_between_that_logged_no_error_are_counted_not_skipped_in_silence() {
    let answer =
        flow(&log("0 a - INFO begins\n 10 b a INFO begins\n 20 c b ERROR disk full\n 30 a - ERROR 500"));
    let steps = answer["propagation_chains"][0]["steps"].as_array().expect("a list");
    assert_eq!((&steps[1]["node"], &steps[1]["silent"]), (&json!("a"), &json!(1)));
}

#[test]
fn a_request_without_errors_says_so() {
    let question = asked::<Flow>(json!({"id": "t"}));
    let reply = question.ask(&log("0 a - INFO begins")).expect("an answer");
    assert!(reply.found && !reply.answer.has_errors);
    let mut canvas = Canvas::new(60, false);
    question.draw(&reply.answer, &mut canvas);
    assert!(canvas.text.ends_with("no errors\n"));
}

#[test]
fn only_nodes_that_failed_and_those_above_them_are_drawn() {
    let window = log("0 a - INFO begins\n 10 b a ERROR lost\n 20 c a INFO fine\n 30 a - INFO ends");
    let question = asked::<Flow>(json!({"id": "t", "view": "tree"}));
    let reply = question.ask(&window).expect("an answer");
    let mut canvas = Canvas::new(80, false);
    question.draw(&reply.answer, &mut canvas);
    assert!(canvas.text.contains("svc-a: begins") && canvas.text.contains("svc-b"), "{}", canvas.text);
    assert!(!canvas.text.contains("svc-c"), "{}", canvas.text);
}
