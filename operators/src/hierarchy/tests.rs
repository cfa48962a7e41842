use insta::assert_snapshot;
use logbraid_core::tree::{Hierarchy as Tree, Method};
use logbraid_core::{ClosedBy, Element, Phase};
use proptest::prelude::*;
use serde_json::json;

use super::{Hierarchy, Linking, build};
use crate::testing::{built, drawn, events, findings, group, group_of, run, shuffled};

fn tree(notation: &str) -> Tree {
    build(&group(notation), &Linking::default())
}

fn path(tree: &Tree) -> String {
    let ids: Vec<&str> = tree.critical_path.iter().map(|at| tree.nodes[*at].id.as_str()).collect();
    ids.join(" ")
}

#[test]
fn stated_parents_make_the_tree_and_entries_are_counted_once() {
    let lines: Vec<String> = (0..6)
        .flat_map(|n| {
            [
                format!("{} api w span=a INFO line {n}", 100 * n),
                format!("{} db w2 span=b parent=a INFO line {n}", 100 * n + 10),
                format!("{} disk w3 span=c parent=b ERROR line {n}", 80 * n + 20),
            ]
        })
        .collect();
    let tree = tree(&lines.join("|"));
    assert_snapshot!(drawn(&tree), @r"
    a 0-500 own=10 n=6
      b 10-510 own=100 n=6 (explicit_parent_span_id 1)
        c 20-420 own=400 n=6 (explicit_parent_span_id 1)
    ");
    assert_eq!(tree.nodes.iter().map(|node| node.errors).collect::<Vec<_>>(), [0, 0, 6]);
}

#[test]
fn services_without_spans_nest_by_time() {
    let by_thread = tree(
        "0 front main start | 10 api w-1 call | 20 db c-9 query | 300 db c-9 rows | 400 api w-1 done | 520 front main done",
    );
    assert_snapshot!(drawn(&by_thread), @r"
    main 0-520 own=130 n=2
      w-1 10-400 own=110 n=2 (temporal_containment 0.6)
        c-9 20-300 own=280 n=2 (temporal_containment 0.6)
    ");
    assert_eq!(path(&by_thread), "main w-1 c-9");
    assert_eq!(by_thread.concurrency_max, 1);
    let by_service = tree(
        "0 front - start | 10 api - call | 20 db - query | 300 db - rows | 400 api - done | 520 front - done",
    );
    assert_snapshot!(drawn(&by_service), @r"
    front 0-520 own=130 n=2
      api 10-400 own=110 n=2 (temporal_containment 0.6)
        db 20-300 own=280 n=2 (temporal_containment 0.6)
    ");
}

#[test]
fn threads_of_one_name_in_several_services_are_told_apart() {
    let tree = tree("0 front main a | 10 api main b | 20 api main c | 30 front main d | 5 - main e");
    assert_snapshot!(drawn(&tree), @r"
    front/main 0-30 own=20 n=2
      api/main 10-20 own=10 n=2 (temporal_containment 0.6)
    main 5-5 own=0 n=1
    ");
}

#[test]
fn equal_intervals_and_moments_do_not_nest() {
    let tree = tree("0 a t1 x | 9 a t1 x | 0 b t2 x | 9 b t2 x | 5 c t3 x");
    assert_snapshot!(drawn(&tree), @r"
    t1 0-9 own=9 n=2
    t2 0-9 own=9 n=2
    t3 5-5 own=0 n=1
    ");
    assert_eq!(tree.concurrency_max, 2);
}

#[test]
fn the_tightest_interval_is_the_parent_even_where_intervals_cross() {
    // t2 is tighter than t1; t3 crosses t2's end and so only fits into t1.
    let tree = tree(
        "0 a t1 x | 100 a t1 x | 10 a t2 x | 60 a t2 x | 50 a t3 x | 90 a t3 x | 20 a t4 x | 55 a t4 x | 52 a t5 x | 54 a t5 x",
    );
    assert_snapshot!(drawn(&tree), @r"
    t1 0-100 own=20 n=2
      t2 10-60 own=15 n=2 (temporal_containment 0.6)
        t4 20-55 own=33 n=2 (temporal_containment 0.6)
          t5 52-54 own=2 n=2 (temporal_containment 0.6)
      t3 50-90 own=40 n=2 (temporal_containment 0.6)
    ");
}

#[test]
fn a_name_goes_under_its_longest_prefix_only() {
    let tree = tree(
        "0 a w x | 1 a w.a x | 2 a w.a.b x | 3 a w.ab x | 4 a w-1 x | 5 a w-10 x | 6 a w-1/t:3 x | 7 a ww x | 8 a w_x y",
    );
    assert_snapshot!(drawn(&tree), @r"
    w 0-0 own=0 n=1
      w.a 1-1 own=0 n=1 (naming_pattern 0.8)
        w.a.b 2-2 own=0 n=1 (naming_pattern 0.8)
      w.ab 3-3 own=0 n=1 (naming_pattern 0.8)
      w-1 4-4 own=0 n=1 (naming_pattern 0.8)
        w-1/t:3 6-6 own=0 n=1 (naming_pattern 0.8)
      w-10 5-5 own=0 n=1 (naming_pattern 0.8)
    ww 7-7 own=0 n=1
    w_x 8-8 own=0 n=1
    ");
}

#[test]
fn the_same_service_comes_first_when_names_are_ambiguous() {
    let tree = tree("0 a w x | 1 b w x | 2 b w.1 x | 3 c w.1 x");
    assert_snapshot!(drawn(&tree), @r"
    a/w 0-0 own=0 n=1
      c/w.1 3-3 own=0 n=1 (naming_pattern 0.8)
    b/w 1-1 own=0 n=1
      b/w.1 2-2 own=0 n=1 (naming_pattern 0.8)
    ");
}

#[test]
fn cycles_are_cut_at_their_first_node_and_reported() {
    let tree = tree(
        "0 a t span=a parent=c x | 1 a t span=b parent=a x | 2 a t span=c parent=b x | 3 a t span=s parent=s x | 4 a t span=d parent=c x",
    );
    assert_snapshot!(drawn(&tree), @r"
    a 0-0 own=0 n=1 (cycle_cut 1)
      b 1-1 own=0 n=1 (explicit_parent_span_id 1)
        c 2-2 own=0 n=1 (explicit_parent_span_id 1)
          d 4-4 own=0 n=1 (explicit_parent_span_id 1)
    s 3-3 own=0 n=1 (cycle_cut 1)
    ");
    assert_eq!(tree.cycles_cut, ["a", "s"]);
}

#[test]
fn a_guess_never_closes_a_cycle() {
    // `w.1` is under `w` by name, and `w` lies within `w.1` in time.
    let tree = tree("0 a w.1 x | 10 a w x | 20 a w x | 30 a w.1 x");
    assert_snapshot!(drawn(&tree), @r"
    w 10-20 own=0 n=2
      w.1 0-30 own=30 n=2 (naming_pattern 0.8)
    ");
    assert!(tree.cycles_cut.is_empty());
}

#[test]
fn a_parent_that_was_never_logged_is_counted_once_and_its_children_are_roots() {
    let tree = tree("0 a t span=a parent=gone x | 1 a t span=b parent=gone x | 2 a t span=c parent=lost x");
    assert_snapshot!(drawn(&tree), @r"
    a 0-0 own=0 n=1 (parent_not_logged 1)
    b 1-1 own=0 n=1 (parent_not_logged 1)
    c 2-2 own=0 n=1 (parent_not_logged 1)
    ");
    assert_eq!(tree.missing_parents, 2);
}

#[test]
fn an_entry_without_a_span_joins_the_only_span_of_its_thread_while_that_lasts() {
    let tree = tree(
        "0 api w span=a start | 50 api w no id | 100 api w span=a done | 150 api w after | \
         60 api v span=b parent=a one | 70 api v between | 80 api v span=c parent=a two",
    );
    assert_snapshot!(drawn(&tree), @r"
    a 0-100 own=100 n=3
      b 60-60 own=0 n=1 (explicit_parent_span_id 1)
      c 80-80 own=0 n=1 (explicit_parent_span_id 1)
    v 70-70 own=0 n=1
    w 150-150 own=0 n=1
    ");
    assert_eq!(tree.nodes.iter().map(|node| node.entries).sum::<u64>(), 7);
}

#[test]
fn a_stated_duration_is_counted_back_from_the_end_of_the_work() {
    let tree = tree(
        "520 api w span=a ms=500 done | 400 db c span=b parent=a ms=300 query done | \
         20 mq m span=d parent=a ms=40 publish | 70 mq m span=d parent=a flushed | 90 x y ms=1e300 absurd | 95 x y ms=NaN absurd",
    );
    assert_snapshot!(drawn(&tree), @r"
    a 20-520 own=145 n=1
      d 20-70 own=40 n=2 (explicit_parent_span_id 1)
      y 90-95 own=5 n=2 (temporal_containment 0.6)
      b 100-400 own=300 n=1 (explicit_parent_span_id 1)
    ");
    let stated = tree.nodes.iter().find(|node| node.id == "d").unwrap();
    assert!((stated.duration_ms - 40.0).abs() < 1e-9, "a span's own figure wins over its entries");
}

#[test]
fn a_thread_does_many_things_so_a_part_is_not_the_whole() {
    let tree = tree("0 api w start | 90 api w ms=30 query done | 100 api w done | 300 db c ms=250 one line");
    assert_snapshot!(drawn(&tree), @r"
    w 0-100 own=100 n=3
    c 50-300 own=250 n=1
    ");
}

#[test]
fn links_that_are_not_sure_enough_are_not_made() {
    let notation =
        "0 a w span=a x | 99 a w span=a x | 1 a v span=b parent=a x | 2 a p y | 9 a p y | 3 a p.1 y";
    let links = |min_confidence, methods: &[Method]| {
        build(&group(notation), &Linking { methods: methods.to_vec(), min_confidence }).methods
    };
    let all = [Method::Temporal, Method::Naming, Method::Explicit];
    assert_eq!(links(0.5, &all), [(Method::Explicit, 1), (Method::Naming, 1), (Method::Temporal, 1)]);
    assert_eq!(links(0.7, &all), [(Method::Explicit, 1), (Method::Naming, 1)]);
    assert_eq!(links(0.9, &all), [(Method::Explicit, 1)]);
    assert_eq!(links(0.0, &[Method::Naming]), [(Method::Naming, 1)]);
    assert_eq!(links(0.0, &[]), []);
}

#[test]
fn the_critical_path_follows_the_child_that_finished_last_and_then_what_came_before_it() {
    let tree = tree(
        "0 a t span=a x | 100 a t span=a x | 5 b t span=b parent=a x | 40 b t span=b parent=a x | \
         10 c t span=c parent=a x | 30 c t span=c parent=a x | 50 d t span=d parent=a x | 95 d t span=d parent=a x | \
         60 e t span=e parent=d x | 120 e t span=e parent=d x",
    );
    assert_eq!(path(&tree), "a b d e", "c ran beside b and finished earlier");
    assert_eq!(tree.concurrency_max, 2);
    assert_snapshot!(drawn(&tree), @r"
    a 0-100 own=20 n=2
      b 5-40 own=35 n=2 (explicit_parent_span_id 1)
      c 10-30 own=20 n=2 (explicit_parent_span_id 1)
      d 50-95 own=10 n=2 (explicit_parent_span_id 1)
        e 60-120 own=60 n=2 (explicit_parent_span_id 1)
    ");
}

#[test]
fn a_request_that_took_no_time_has_no_bottleneck() {
    let tree = tree("0 a t x | 0 b u y");
    assert_eq!(tree.bottleneck, None);
    assert_eq!(path(&tree), "t");
    assert_eq!(build(&group(""), &Linking::default()).concurrency_max, 0);
}

#[test]
fn a_chain_of_ten_thousand_spans_does_not_overflow_the_stack() {
    let lines: Vec<String> =
        (0..10_000).map(|n| format!("{n} a t span=s{n} parent=s{} ms={} x", n + 1, n + 1)).collect();
    let tree = tree(&lines.join("|"));
    assert_eq!(tree.depth(), 10_000);
    assert_eq!(tree.critical_path.len(), 10_000);
    let thousands: Vec<String> = (0..10_000).map(|n| format!("0 a t{}", ".x".repeat(n % 100 + 1))).collect();
    assert!(build(&group(&thousands.join("|")), &Linking::default()).nodes.len() <= 100);
}

#[test]
fn names_come_from_the_operation_or_the_first_short_message() {
    let tree = tree(
        "0 a t span=a ERROR boom | 1 a t span=a query users | 2 a t span=b op=load x | 3 a t span=c {\"a\":1}",
    );
    let names: Vec<Option<&str>> = tree.nodes.iter().map(|node| node.name.as_deref()).collect();
    assert_eq!(names, [Some("query users"), Some("load"), None]);
}

fn told(notation: &str, why: ClosedBy, revision: u32) -> String {
    let mut group = group(notation);
    group.phase = Phase::Closed(why);
    group.revision = revision;
    let records = run(vec![Box::new(built::<Hierarchy>(json!({})))], vec![Element::Group(group)]);
    let lines = findings(records).into_iter().map(|finding| {
        let data = serde_json::Value::Object(finding.data);
        format!("{:?} {:?}: {} {data}", finding.severity, finding.kind, finding.title)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_slow_node_and_missing_parts_are_reported_once() {
    let slow =
        "0 api w span=a x | 520 api w span=a x | 100 db c span=b parent=a x | 400 db c span=b parent=a x";
    assert_snapshot!(told(slow, ClosedBy::Idle, 0), @r#"Low Bottleneck: `db` takes 300 ms of 520 ms (58 %) in request req-123 {"node":"b","self_ms":300.0,"duration_ms":300.0,"request_ms":520.0,"share":0.5769,"on_critical_path":true,"name":"x"}"#);
    assert_eq!(told(slow, ClosedBy::Idle, 1), "", "a late entry does not tell it again");
    assert_eq!(told("0 a t x | 900 a t x", ClosedBy::Idle, 0), "", "one node is no bottleneck");
    assert_snapshot!(told("0 a t span=a parent=z x | 5 a t span=b parent=y x", ClosedBy::Idle, 0), @r#"Low Incomplete: request req-123 is incomplete: 2 parent spans were never logged {"closed_by":"idle","missing_parents":2,"parents":["y","z"]}"#);
    assert_snapshot!(told("0 a t x", ClosedBy::MaxSpan, 0), @r#"Low Incomplete: request req-123 was cut: it was longer than `max_span` {"closed_by":"max_span"}"#);
}

#[test]
fn the_fingerprint_of_a_bottleneck_does_not_depend_on_ids_or_times() {
    let of = |notation: &str| {
        let group = group(notation);
        let operator = Box::new(built::<Hierarchy>(json!({})));
        findings(run(vec![operator], vec![Element::Group(group)]))[0].fingerprint
    };
    assert_eq!(
        of("0 api w span=a x | 520 api w span=a x | 100 db c span=b parent=a get 7 | 400 db c span=b x"),
        of("0 api v span=y x | 700 api v span=y x | 90 db d span=z parent=y get 81 | 640 db d span=z x"),
    );
}

#[test]
fn settings_out_of_range_are_refused_with_help() {
    let error = crate::testing::refused::<Hierarchy>(json!({"min_confidence": 50}));
    assert_eq!(error, "`min_confidence` must be from 0 to 1 (try `0.5`)");
}

/// Entries of a few services, threads and spans, with parents that may be missing or form cycles.
fn entries() -> impl Strategy<Value = Vec<String>> {
    let entry = (0..300_u32, 0..3_u8, 0..4_u8, 0..8_u8, 0..9_u8, 0..400_u32).prop_map(
        |(time, service, thread, span, parent, ms)| {
            let thread = ["", ".1", ".1-2", ".1:3"][thread as usize];
            let parent = if parent < 7 { format!(" parent=s{parent}") } else { String::new() };
            let ids = if span < 6 { format!(" span=s{span}{parent}") } else { String::new() };
            let stated = if ms < 100 { format!(" ms={ms}") } else { String::new() };
            format!("{time} s{service} t{thread}{ids}{stated} INFO work")
        },
    );
    proptest::collection::vec(entry, 0..60)
}

proptest! {
    #[test]
    fn the_tree_is_a_forest_that_counts_each_entry_once_whatever_the_order(lines in entries(), seed in any::<u32>()) {
        let events = events(&lines.join("|"));
        let group = group_of(&events);
        let tree = build(&group, &Linking::default());
        prop_assert_eq!(tree.nodes.iter().map(|node| node.entries).sum::<u64>(), lines.len() as u64);
        prop_assert_eq!(tree.node_of_row.len(), lines.len());
        let mut seen = 0;
        let mut todo = tree.roots.clone();
        while let Some(at) = todo.pop() {
            seen += 1;
            prop_assert!(seen <= tree.nodes.len(), "a cycle");
            let node = &tree.nodes[at];
            prop_assert!(node.self_ms >= 0.0 && node.self_ms <= node.duration_ms);
            for child in &node.children {
                prop_assert_eq!(tree.nodes[*child].parent, Some(at));
                todo.push(*child);
            }
        }
        prop_assert_eq!(seen, tree.nodes.len());
        let unique: std::collections::BTreeSet<_> = tree.nodes.iter().map(|node| &node.id).collect();
        prop_assert_eq!(unique.len(), tree.nodes.len());
        // The order in which entries arrived does not matter.
        let again = build(&group_of(&shuffled(&events, seed)), &Linking::default());
        prop_assert_eq!(drawn(&again), drawn(&tree));
        prop_assert_eq!(path(&again), path(&tree));
        prop_assert_eq!(again.bottleneck, tree.bottleneck);
    }
}
