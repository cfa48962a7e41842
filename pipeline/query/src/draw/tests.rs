use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::View;
use crate::hierarchy::Hierarchy;
use crate::testing::{asked, window};
use crate::{Canvas, Question, Window};

fn drawn(window: &Window, view: View, width: usize, colour: bool) -> String {
    let question = asked::<Hierarchy>(json!({"id": "t", "view": view}));
    let reply = question.ask(window).expect("an answer");
    let mut canvas = Canvas::new(width, colour);
    assert!(question.draw(&reply.answer, &mut canvas));
    canvas.text
}

const CHECKOUT: &str = r#"
    {"ts":"2024-01-15T10:00:00.000Z","service":"gateway","op":"1","msg":"POST /checkout","trace_id":"t","span_id":"a"}
    {"ts":"2024-01-15T10:00:00.050Z","service":"checkout","msg":"place order","trace_id":"t","span_id":"b","parent_span_id":"a"}
    {"ts":"2024-01-15T10:00:00.100Z","service":"inventory","msg":"reserve","trace_id":"t","span_id":"c","parent_span_id":"b"}
    {"ts":"2024-01-15T10:00:00.200Z","service":"inventory","msg":"reserved","trace_id":"t","span_id":"c","parent_span_id":"b"}
    {"ts":"2024-01-15T10:00:00.200Z","service":"payments","msg":"charge","trace_id":"t","span_id":"d","parent_span_id":"b"}
    {"ts":"2024-01-15T10:00:00.900Z","service":"payments","level":"error","msg":"card \u001b[31mrefused","trace_id":"t","span_id":"d","parent_span_id":"b"}
    {"ts":"2024-01-15T10:00:00.950Z","service":"checkout","msg":"order lost","trace_id":"t","span_id":"b","parent_span_id":"a"}
    {"ts":"2024-01-15T10:00:01.000Z","service":"gateway","msg":"502","trace_id":"t","span_id":"a"}
"#;

#[test]
fn a_tree_has_its_numbers_at_the_right() {
    assert_snapshot!(drawn(&window(CHECKOUT), View::Tree, 80, false));
}

#[test]
fn in_a_waterfall_bars_stand_where_their_time_was() {
    assert_snapshot!(drawn(&window(CHECKOUT), View::Waterfall, 80, false));
}

#[test]
fn in_a_flame_graph_children_stand_under_their_parents() {
    let picture = drawn(&window(CHECKOUT), View::Flamegraph, 80, false);
    let column = |name: &str| {
        let line = picture.lines().find(|line| line.contains(name)).expect("it is drawn");
        line[..line.find(name).expect("it is there")].width()
    };
    // 50 ms, 100 ms and 200 ms of 1 s, in 80 columns.
    assert_eq!((column("[checkout"), column("[inv"), column("[payments")), (4, 8, 16));
    assert_snapshot!(picture);
}

#[test]
fn colours_are_only_where_they_are_welcome_and_logs_bring_none() {
    for view in [View::Tree, View::Waterfall, View::Flamegraph] {
        let log = CHECKOUT.replace("place order", "place \\u001b[2J\\u0007order");
        let plain = drawn(&window(&log), view, 100, false);
        assert!(!plain.contains('\u{1b}') && plain.contains('␛'), "{plain}");
        let coloured = drawn(&window(CHECKOUT), view, 100, true);
        assert!(coloured.contains("\u{1b}[1;31m"), "{coloured}");
    }
}

#[test]
fn durations_are_never_cut_however_long() {
    let log = CHECKOUT.replace("2024-01-15T10:00:01.000Z", "2024-01-16T22:59:01.000Z");
    for view in [View::Tree, View::Waterfall] {
        assert!(drawn(&window(&log), view, 40, false).contains("36h59m"));
    }
}

#[derive(Debug, Clone)]
struct Node {
    parent: usize,
    start: u32,
    length: u32,
    name: String,
}

fn forest() -> impl Strategy<Value = Vec<Node>> {
    let node = (0_usize..100, 0_u32..5000, 0_u32..5000, "[a-z日\\x1b\u{202e} ]{1,40}");
    let node = node.prop_map(|(parent, start, length, name)| Node { parent, start, length, name });
    prop::collection::vec(node, 1..100)
}

fn log(nodes: &[Node]) -> String {
    let mut log = String::new();
    for (at, node) in nodes.iter().enumerate() {
        for ms in [node.start, node.start + node.length] {
            let mut line = json!({
                "ts": format!("2024-01-15T10:00:{:02}.{:03}Z", ms / 1000, ms % 1000),
                "trace_id": "t", "span_id": format!("s{at}"), "msg": node.name,
                "level": if at % 7 == 3 { "ERROR" } else { "INFO" },
            });
            if node.parent < at {
                line["parent_span_id"] = json!(format!("s{}", node.parent));
            }
            log += &line.to_string();
            log.push('\n');
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_drawing_fits_its_width_and_is_harmless(nodes in forest(), width in 40_usize..220) {
        let window = window(&log(&nodes));
        for view in [View::Tree, View::Waterfall, View::Flamegraph] {
            let picture = drawn(&window, view, width, false);
            for line in picture.lines() {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
                prop_assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
            }
            if view != View::Flamegraph {
                // A heading, the axis, a line for each node, and what is said below.
                prop_assert!(picture.lines().count() >= nodes.len() + 2);
            }
        }
    }
}
