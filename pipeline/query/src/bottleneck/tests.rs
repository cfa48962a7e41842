use serde_json::{Value, json};

use super::Bottleneck;
use crate::testing::{answer, asked, window};
use crate::{Canvas, Question, Window};

/// One span of a notation `NAME PARENT FROM TO [ERROR]` a line, as two entries.
fn spans(notation: &str) -> Window {
    let mut log = String::new();
    for line in notation.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, parent, from, to] = words[..4] else { panic!("a span has four words") };
        for (ms, level) in [(from, "INFO"), (to, words.get(4).copied().unwrap_or("INFO"))] {
            let ms: u32 = ms.parse().expect("a number");
            let mut entry = json!({
                "ts": format!("2024-01-15T10:00:{:02}.{:03}Z", ms / 1000, ms % 1000),
                "level": level, "msg": name.trim_end_matches(char::is_numeric), "service": "s",
                "trace_id": "t", "span_id": name,
            });
            if parent != "-" {
                entry["parent_span_id"] = json!(parent);
            }
            log += &entry.to_string();
            log.push('\n');
        }
    }
    window(&log)
}

fn slow(window: &Window, options: Value) -> Value {
    answer(&asked::<Bottleneck>(options), window)
}

#[test]
fn nodes_are_ranked_by_their_own_time_so_that_the_root_does_not_lead() {
    let window = spans("root - 0 1000\n child root 100 900\n leaf child 150 200");
    let answer = slow(&window, json!({"id": "t"}));
    let ranked: Vec<(&Value, &Value)> = answer["bottlenecks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| (&node["node_id"], &node["self_ms"]))
        .collect();
    assert_eq!(ranked, [(&json!("child"), &json!(750)), (&json!("root"), &json!(200))]);
    assert_eq!(answer["analysis"], json!({"threshold_ms": 100, "nodes_above_threshold": 2}));
    assert_eq!(answer["bottlenecks"][0]["path"], json!(["s: root", "s: child"]));
    assert_eq!(answer["bottlenecks"][0]["entry_count"], 2);
    assert_eq!(answer["hierarchy_bottleneck"]["percentage"], 75.0);
    assert_eq!(answer["total_duration_ms"], 1000);
}

#[test]
fn what_is_not_listed_is_counted() {
    let window = spans("root - 0 1000\n child root 100 900\n leaf child 150 200");
    let answer = slow(&window, json!({"id": "t", "threshold_ms": 0.0, "top_n": 1}));
    assert_eq!(answer["bottlenecks"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&answer["analysis"]["nodes_above_threshold"], &answer["truncated"]),
        (&json!(3), &json!(true))
    );
}

#[test]
fn calls_one_after_the_other_could_run_at_once_and_no_saving_counts_twice() {
    let window = spans(
        "root - 0 1000
         get1 root 0 300
         get2 root 300 600
         get3 root 600 1000",
    );
    let advice = &slow(&window, json!({"id": "t"}))["advice"];
    let saving = &advice["parallelization_opportunities"][0];
    assert_eq!(
        (&saving["node_id"], &saving["count"], &saving["potential_savings_ms"]),
        (&json!("root"), &json!(3), &json!(600))
    );
    assert_eq!(advice["caching_opportunities"][0]["count"], 3);
    assert_eq!(advice["estimated_improvement_ms"], 600);
}

#[test]
fn calls_that_ran_at_once_are_no_opportunity() {
    let window = spans("root - 0 1000\n a root 0 900\n b root 10 900\n c root 20 900");
    let advice = &slow(&window, json!({"id": "t"}))["advice"];
    assert_eq!(advice["parallelization_opportunities"], json!([]));
}

#[test]
fn a_request_without_any_length_has_advice_that_is_empty() {
    let window = spans("root - 5 5");
    let answer = slow(&window, json!({"id": "t"}));
    assert_eq!((&answer["total_duration_ms"], &answer["bottlenecks"]), (&json!(0), &json!([])));
    assert_eq!(answer["advice"]["optimization_suggestions"], json!([]));
}

#[test]
fn slow_nodes_that_failed_are_named_in_words() {
    let window = spans("root - 0 1000\n call root 0 900 ERROR");
    let question = asked::<Bottleneck>(json!({"id": "t"}));
    let reply = question.ask(&window).expect("an answer");
    let kinds: Vec<&str> =
        reply.answer.advice.optimization_suggestions.iter().map(|said| said.kind).collect();
    assert_eq!(kinds, ["bottleneck", "failed"]);
    let mut canvas = Canvas::new(120, false);
    assert!(question.draw(&reply.answer, &mut canvas));
    assert!(canvas.text.contains("a shorter timeout"), "{}", canvas.text);
}

#[test]
fn an_unknown_id_and_a_bad_threshold_are_told() {
    let window = spans("root - 0 1000");
    assert!(!asked::<Bottleneck>(json!({"id": "nobody"})).ask(&window).expect("an answer").found);
    let wrong = slow(&window, json!({"id": "t", "threshold_ms": -1.0}));
    assert_eq!(wrong["message"], "`--threshold-ms`: `-1` is not a number of milliseconds");
}
