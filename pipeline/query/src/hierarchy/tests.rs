use serde_json::{Value, json};

use super::Hierarchy;
use crate::testing::{answer, asked, window};
use crate::{Canvas, Question, Window};

fn tree(window: &Window, options: Value) -> Value {
    answer(&asked::<Hierarchy>(options), window)
}

/// Every node, parents first, as `id entries`.
fn nodes(roots: &Value) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut todo: Vec<&Value> = roots.as_array().expect("a list").iter().rev().collect();
    while let Some(node) = todo.pop() {
        let id = node["id"].as_str().expect("an id").to_owned();
        found.push((id, node["entry_count"].as_u64().expect("a number")));
        todo.extend(node["children"].as_array().expect("a list").iter().rev());
    }
    found
}

/// Seven nested spans of six lines each.
fn nested() -> Window {
    let mut log = String::new();
    for depth in 0..7 {
        for line in 0..6 {
            let mut entry = json!({
                "ts": format!("2024-01-15T10:00:{depth:02}.{line}00Z"), "msg": format!("line {line}"),
                "trace_id": "t", "span_id": format!("s{depth}"),
            });
            if depth > 0 {
                entry["parent_span_id"] = json!(format!("s{}", depth - 1));
            }
            log += &entry.to_string();
            log.push('\n');
        }
    }
    window(&log)
}

#[test]
fn six_lines_a_span_stay_six_at_every_layer() {
    let answer = tree(&nested(), json!({"id": "t"}));
    let expected: Vec<(String, u64)> = (0..7).map(|depth| (format!("s{depth}"), 6)).collect();
    assert_eq!(nodes(&answer["roots"]), expected);
    assert_eq!((&answer["total_entries"], &answer["total_nodes"]), (&json!(42), &json!(7)));
}

#[test]
fn entries_of_a_trace_without_spans_are_one_node() {
    let log = r#"{"ts":"2024-01-15T10:00:00Z","msg":"one","trace_id":"t"}
                 {"ts":"2024-01-15T10:00:01Z","msg":"two","trace_id":"t"}
                 {"ts":"2024-01-15T10:00:02Z","msg":"three","trace_id":"t"}"#;
    let answer = tree(&window(log), json!({"id": "t"}));
    assert_eq!(nodes(&answer["roots"]).iter().map(|(_, entries)| *entries).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_span_is_the_root_of_its_own_tree() {
    let answer = tree(&nested(), json!({"id": "s4"}));
    assert_eq!(
        nodes(&answer["roots"]).iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        ["s4", "s5", "s6"]
    );
    assert_eq!(answer["identifier_type"], "span");
    assert_eq!((&answer["total_entries"], &answer["missing_parents"]), (&json!(18), &Value::Null));
}

#[test]
fn what_lies_deeper_than_max_depth_is_counted_not_dropped() {
    let answer = tree(&nested(), json!({"id": "t", "max_depth": 2}));
    assert_eq!(nodes(&answer["roots"]).len(), 3);
    assert_eq!((&answer["hidden_nodes"], &answer["truncated"]), (&json!(4), &json!(true)));
    assert_eq!(answer["roots"][0]["children"][0]["children"][0]["hidden"], 4);
    assert_eq!((&answer["total_nodes"], &answer["max_depth"]), (&json!(7), &json!(6)));
}

#[test]
fn min_confidence_leaves_out_links_that_are_less_sure() {
    let window = window(
        "
        2024-01-15T10:00:00Z INFO [w-1] request_id=a begins
        2024-01-15T10:00:01Z INFO [w-1.task] request_id=a task
        2024-01-15T10:00:02Z INFO [w-1.task] request_id=a task done
        2024-01-15T10:00:03Z INFO [w-1] request_id=a ends
        ",
    );
    let named = tree(&window, json!({"id": "a"}));
    assert_eq!((&named["detection_method"], &named["max_depth"]), (&json!("NamingPattern"), &json!(1)));
    assert_eq!(named["roots"][0]["children"][0]["confidence"], 0.8);
    assert_eq!(named["roots"][0]["relationship_evidence"], json!([]));
    let sure = tree(&window, json!({"id": "a", "min_confidence": 0.9}));
    assert_eq!((&sure["detection_method"], &sure["max_depth"]), (&json!("None"), &json!(0)));
    let temporal = tree(&window, json!({"id": "a", "method": ["temporal"]}));
    assert_eq!(temporal["detection_methods"], json!(["TemporalInference"]));
    let wrong = tree(&window, json!({"id": "a", "min_confidence": 2.0}));
    assert_eq!(wrong["message"], "`--min-confidence`: `2` is not from 0 to 1");
}

#[test]
fn a_child_stands_under_its_nearest_ancestor_by_name_and_once_only() {
    let line = |second: u32, thread: &str, request: &str| {
        format!(
            r#"{{"ts":"2024-01-15T10:00:0{second}Z","msg":"m","thread":"{thread}","request_id":"{request}"}}"#
        ) + "\n"
    };
    let log =
        [line(0, "w", "a"), line(1, "w.a", "a"), line(2, "w.a.b", "a"), line(2, "w-1", "other")].concat();
    let window = window(&log);
    let answer = tree(&window, json!({"id": "a"}));
    assert_eq!(
        nodes(&answer["roots"]),
        [("w".to_owned(), 1), ("w.a".to_owned(), 1), ("w.a.b".to_owned(), 1)]
    );
    assert_eq!(answer["max_depth"], 2);
}

#[test]
fn a_cycle_of_parents_is_cut_and_told() {
    let window = window(
        r#"
        {"ts":"2024-01-15T10:00:00Z","msg":"a","trace_id":"t","span_id":"a","parent_span_id":"b"}
        {"ts":"2024-01-15T10:00:01Z","msg":"b","trace_id":"t","span_id":"b","parent_span_id":"a"}
        {"ts":"2024-01-15T10:00:02Z","msg":"c","trace_id":"t","span_id":"c","parent_span_id":"c"}
        "#,
    );
    let answer = tree(&window, json!({"id": "t"}));
    assert_eq!((&answer["total_nodes"], &answer["cycles_cut"]), (&json!(3), &json!(["a", "c"])));
}

#[test]
fn the_total_covers_children_that_run_on_and_the_bottleneck_is_own_time() {
    let window = window(
        r#"
        {"ts":"2024-01-15T10:00:00.000Z","msg":"root begins","trace_id":"t","span_id":"a"}
        {"ts":"2024-01-15T10:00:00.100Z","msg":"child begins","trace_id":"t","span_id":"b","parent_span_id":"a"}
        {"ts":"2024-01-15T10:00:00.200Z","msg":"root ends","trace_id":"t","span_id":"a"}
        {"ts":"2024-01-15T10:00:01.000Z","msg":"child ends","trace_id":"t","span_id":"b","parent_span_id":"a"}
        "#,
    );
    let answer = tree(&window, json!({"id": "t"}));
    assert_eq!(answer["total_duration_ms"], 1000);
    let bottleneck = &answer["bottleneck"];
    assert_eq!(
        (&bottleneck["node_id"], &bottleneck["self_ms"], &bottleneck["percentage"]),
        (&json!("b"), &json!(900), &json!(90.0))
    );
    assert_eq!(answer["concurrent_count"], 1);
}

#[test]
fn requests_that_started_others_are_told() {
    let window = window(
        r#"
        {"ts":"2024-01-15T10:00:00Z","msg":"begins","correlation_id":"a","spawned_request":"b"}
        {"ts":"2024-01-15T10:00:01Z","msg":"begins","correlation_id":"b","parent_request_id":"a"}
        {"ts":"2024-01-15T10:00:02Z","msg":"begins","correlation_id":"c","parent_request_id":"b"}
        {"ts":"2024-01-15T10:00:03Z","msg":"alone","correlation_id":"d"}
        "#,
    );
    let answer = tree(&window, json!({"id": "b"}));
    let links: Vec<String> = answer["correlation_chains"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|link| format!("{} {}", link["parent_correlation_id"], link["child_correlation_id"]))
        .collect();
    assert_eq!(links, [r#""a" "b""#, r#""b" "c""#]);
    assert_eq!(answer["chain_roots"], json!(["a"]));
    assert_eq!(tree(&window, json!({"id": "d"}))["correlation_chains"], Value::Null);
    let all = super::Chains::all(&window);
    assert_eq!((all.correlation_chains.len(), all.chain_roots.as_slice()), (2, ["a".to_owned()].as_slice()));
    let below = all.below("b");
    assert_eq!(below.correlation_chains.len(), 1);
    assert_eq!(below.correlation_chains[0].child_correlation_id, "c");
}

#[test]
fn an_unknown_id_is_not_found_and_says_so() {
    let question = asked::<Hierarchy>(json!({"id": "nobody"}));
    let reply = question.ask(&nested()).expect("an answer");
    assert!(!reply.found);
    assert_eq!((reply.answer.detection_method.as_str(), reply.answer.total_nodes), ("Unknown", 0));
    let mut canvas = Canvas::new(60, false);
    assert!(question.draw(&reply.answer, &mut canvas));
    assert_eq!(canvas.text, "no entry carries `nobody`\n");
}

#[test]
fn the_range_of_the_window_cuts_the_tree() {
    use crate::testing::at;
    let window = nested().between(at("2024-01-15T10:00:02Z"), at("2024-01-15T10:00:04Z"));
    let answer = tree(&window, json!({"id": "t"}));
    assert_eq!(nodes(&answer["roots"]), [("s2".to_owned(), 6), ("s3".to_owned(), 6)]);
    assert_eq!(answer["missing_parents"], 1);
}

#[test]
fn a_tree_of_twenty_thousand_layers_is_answered_and_drawn() {
    let log: String = (0..20_000)
        .map(|n| {
            let parent = if n == 0 { String::new() } else { format!(r#","parent_span_id":"s{}""#, n - 1) };
            format!(r#"{{"ts":"2024-01-15T10:00:00Z","msg":"m","trace_id":"t","span_id":"s{n}"{parent}}}"#)
                + "\n"
        })
        .collect();
    let question = asked::<Hierarchy>(json!({"id": "t"}));
    let reply = question.ask(&window(&log)).expect("an answer");
    assert_eq!((reply.answer.total_nodes, reply.answer.max_depth), (20_000, 19_999));
    let text = serde_json::to_string(&reply.answer).expect("it is JSON");
    assert!(serde_json::from_str::<Value>(&text).is_ok());
    let mut canvas = Canvas::new(80, false);
    question.draw(&reply.answer, &mut canvas);
    assert!(canvas.text.contains("not drawn"));
}
