use insta::assert_snapshot;
use logbraid_core::{ClosedBy, Element, EventTime, Finding, Group, Phase};
use proptest::prelude::*;
use serde_json::json;

use super::{TraceErrors, trace};
use crate::hierarchy::{Hierarchy, Linking, build};
use crate::testing::{at, built, events, findings, group, group_of, ms, run, shuffled};

/// The flow of a group with its tree: causes, then chains.
fn flow(notation: &str) -> String {
    let mut group = group(notation);
    group.hierarchy = Some(build(&group, &Linking::default()));
    told(&group)
}

fn told(group: &Group) -> String {
    let Some(flow) = trace(group) else { return "no errors".to_owned() };
    let mut out = String::new();
    for cause in &flow.root_causes {
        let leaf = if cause.leaf { " leaf" } else { "" };
        out.extend([format!(
            "cause {} @{} {}{leaf} n={}: {}\n",
            cause.node,
            ms(cause.timestamp),
            cause.confidence,
            cause.errors,
            cause.message
        )]);
    }
    for chain in &flow.chains {
        let steps = chain.steps.iter().map(|step| {
            let silent = if step.silent > 0 { format!(" over {}", step.silent) } else { String::new() };
            format!("{}@{} {:?}{silent}", step.node, ms(step.timestamp), step.link)
        });
        out.extend([format!("{} [{}]\n", steps.collect::<Vec<_>>().join(" > "), chain.services.join(" "))]);
    }
    out + &format!("affected {}", flow.affected_nodes)
}

const SPREAD: &str = "0 gateway g span=g start | 5 checkout c span=c parent=g start | 10 payments p span=p parent=c start | \
    15 payments-db d span=d parent=p start | 20 payments-db d span=d parent=p ERROR Connection refused to 10.0.0.7:5432 | \
    50 payments p span=p parent=c ERROR charge failed for order 17 | 60 checkout c span=c parent=g ERROR order 17 failed | \
    70 gateway g span=g ERROR 502 after 70ms";

#[test]
fn an_error_is_followed_from_its_cause_to_the_front() {
    assert_snapshot!(flow(SPREAD), @r"
    cause d @20 1 leaf n=1: Connection refused to 10.0.0.7:5432
    d@20 Cause > p@50 Called > c@60 Called > g@70 Called [payments-db payments checkout gateway]
    affected 4
    ");
}

#[test]
fn an_error_above_that_came_before_the_cause_is_a_cause_of_its_own() {
    let notation =
        "0 api a span=a start | 10 api a span=a ERROR bad header | 20 db b span=b parent=a ERROR disk full";
    assert_snapshot!(flow(notation), @r"
    cause b @20 1 leaf n=1: disk full
    cause a @10 0.85 n=1: bad header
    affected 2
    ");
    // A later error of the same node is an effect.
    assert_snapshot!(flow(&format!("{notation} | 30 api a span=a ERROR query failed")), @r"
    cause b @20 1 leaf n=1: disk full
    cause a @10 0.85 n=2: bad header
    b@20 Cause > a@30 Called [db api]
    affected 2
    ");
}

#[test]
fn a_caller_that_gave_up_before_those_between_noticed_is_an_effect() {
    assert_snapshot!(flow("0 a a span=a x | 2 c c span=c parent=b ERROR stuck | 5 a a span=a ERROR timeout | 9 b b span=b parent=a ERROR c is stuck"), @r"
    cause c @2 1 leaf n=1: stuck
    c@2 Cause > a@5 Called > b@9 Called [c a b]
    affected 3
    ");
}

#[test]
fn failures_beside_each_other_are_causes_each() {
    assert_snapshot!(flow("0 a a span=a x | 5 b b span=b parent=a ERROR one | 8 c c span=c parent=a ERROR two | 10 a a span=a ERROR three"), @r"
    cause b @5 1 leaf n=1: one
    cause c @8 1 leaf n=1: two
    b@5 Cause > a@10 Called [b a]
    c@8 Cause > a@10 Called [c a]
    affected 3
    ");
}

#[test]
fn a_message_that_names_the_service_that_failed_before_explains_itself() {
    assert_snapshot!(flow("0 a a span=a x | 5 b b span=b parent=a ERROR one | 8 c c span=c parent=a ERROR call to b failed | 10 a a span=a ERROR three"), @r"
    cause b @5 1 leaf n=1: one
    b@5 Cause > c@8 Named > a@10 Called [b c a]
    affected 3
    ");
}

#[test]
fn a_silent_node_in_between_makes_the_chain_less_sure() {
    assert_snapshot!(flow("0 a a span=a x | 1 b b span=b parent=a x | 2 c c span=c parent=b ERROR boom | 9 a a span=a ERROR failed"), @r"
    cause c @2 0.8 leaf n=1: boom
    c@2 Cause > a@9 Called over 1 [c a]
    affected 2
    ");
}

#[test]
fn without_a_tree_time_orders_errors_and_the_confidence_says_so() {
    assert_snapshot!(flow("5 db d ERROR disk full | 7 api a ERROR query failed | 9 front f ERROR 500"), @r"
    cause d @5 0.6 leaf n=1: disk full
    d@5 Cause > a@7 Time > f@9 Time [db api front]
    affected 3
    ");
}

#[test]
fn at_one_moment_who_names_another_comes_after_it() {
    assert_snapshot!(flow("5 api a ERROR call to db:5432 failed | 5 db d ERROR disk full | 5 front f ERROR no answer from api"), @r"
    cause d @5 0.8 leaf n=1: disk full
    d@5 Cause > a@5 Named > f@5 Named [db api front]
    affected 3
    ");
}

#[test]
fn a_caller_that_failed_first_does_not_explain_what_it_called() {
    // Elsewhere in the request `front` calls `db`.
    let notation = "0 front x span=a x | 1 db y span=b parent=a x | 5 front z span=c ERROR bad input | 9 db w span=d ERROR disk full";
    assert_snapshot!(flow(notation), @r"
    cause c @5 1 leaf n=1: bad input
    cause d @9 1 leaf n=1: disk full
    affected 2
    ");
}

#[test]
fn a_service_that_is_known_to_call_the_failed_one_is_an_effect() {
    let notation = "0 front x span=a x | 1 db y span=b parent=a x | 5 db z span=c ERROR disk full | 9 front w span=d ERROR 500";
    assert_snapshot!(flow(notation), @r"
    cause c @5 0.8 leaf n=1: disk full
    c@5 Cause > d@9 Called [db front]
    affected 2
    ");
}

#[test]
fn without_the_hierarchy_operator_stated_parents_and_time_still_count() {
    let flat = group("5 db d ERROR disk full | 1 api a x | 7 api a ERROR query failed | 20 api a x");
    assert_snapshot!(told(&flat), @r"
    cause d @5 0.6 leaf n=1: disk full
    d@5 Cause > a@7 Time [db api]
    affected 2
    ");
    assert_eq!(told(&group(SPREAD)), flow(SPREAD));
    assert_eq!(told(&group("0 a t INFO fine")), "no errors");
}

fn found(group: Box<Group>) -> Vec<Finding> {
    let stages: Vec<Box<dyn logbraid_core::Operator>> =
        vec![Box::new(built::<Hierarchy>(json!({}))), Box::new(built::<TraceErrors>(json!({})))];
    let mut found = findings(run(stages, vec![Element::Group(group)]));
    found.retain(|finding| finding.kind == logbraid_core::FindingKind::ErrorFlow);
    found
}

fn sentence(notation: &str) -> String {
    let finding = &found(group(notation))[0];
    format!("{:?} {}: {}", finding.severity, finding.confidence, finding.title)
}

#[test]
fn the_finding_says_where_it_began_and_which_way_it_took() {
    let finding = &found(group(SPREAD))[0];
    assert_snapshot!(sentence(SPREAD), @"Critical 1: payments-db: Connection refused to 10.0.0.7:5432 spread through payments and checkout to gateway");
    assert_eq!(finding.at, at(20.0));
    assert_eq!(finding.service.as_deref(), Some("payments-db"));
    assert_eq!(finding.evidence.len(), 4);
    let mut data = finding.data.clone();
    data.shift_remove("steps");
    data.shift_remove("root_cause");
    assert_snapshot!(serde_json::Value::Object(data), @r#"{"dependency":"10.0.0.7:5432","chain":["payments-db","payments","checkout","gateway"],"root_causes":1,"affected_nodes":4,"affected_share":1.0,"outcome":"error"}"#);
}

#[test]
fn severity_grows_with_the_spread() {
    let cases = [
        "0 a t ERROR boom.",
        "0 - t ERROR boom",
        "0 a t FATAL boom",
        "5 a t ERROR boom | 6 b u ERROR bam",
        "0 a t span=a x | 1 b u span=b parent=a ERROR one | 2 c v span=c parent=a ERROR two",
    ];
    assert_snapshot!(cases.map(sentence).join("\n"), @r"
    Medium 1: a: boom
    Medium 1: boom
    Critical 1: a: boom
    High 0.6: a: boom spread to b
    Medium 1: b: one (and 1 more cause)
    ");
}

#[test]
fn requests_that_failed_in_the_same_way_share_a_fingerprint() {
    let other = SPREAD
        .replace("17", "4711")
        .replace("span=", "span=x")
        .replace("parent=", "parent=x")
        .replace("70ms", "93ms");
    let fingerprint = |notation: &str| found(group(notation))[0].fingerprint;
    assert_eq!(fingerprint(SPREAD), fingerprint(&other));
    assert_ne!(fingerprint(SPREAD), fingerprint(&SPREAD.replace("Connection refused", "Timeout")));
    assert_ne!(fingerprint(SPREAD), fingerprint(&SPREAD.replace("checkout", "cart")));
}

#[test]
fn an_open_request_is_told_early_and_revised_when_it_closes() {
    let mut early = group(SPREAD.split("| 50 payments").next().unwrap());
    early.phase = Phase::Early;
    early.due = early.end();
    let closed = group(SPREAD);
    let stages: Vec<Box<dyn logbraid_core::Operator>> = vec![Box::new(built::<TraceErrors>(json!({})))];
    let records = run(stages, vec![Element::Group(early), Element::Group(closed)]);
    let lines: Vec<String> = findings(records)
        .iter()
        .map(|finding| format!("{} {} {}", finding.id, finding.revision, finding.title))
        .collect();
    let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(first[..16], second[..16]);
    assert!(first[17..].starts_with("0 payments-db: Connection refused to 10.0.0.7:5432"));
    assert!(second[17..].ends_with("spread through payments and checkout to gateway"), "{second}");
}

#[test]
fn a_late_entry_revises_the_flow_but_tells_no_second_finding() {
    let mut late = group(SPREAD);
    late.revision = 1;
    late.phase = Phase::Closed(ClosedBy::Idle);
    assert!(found(late).is_empty());
}

#[test]
fn thousands_of_failing_nodes_stay_bounded() {
    let chain: Vec<String> = (0..5000)
        .map(|n| format!("{} s{n} t span=s{n} parent=s{} ERROR failed {n}", n, n + 1))
        .chain((0..5000).map(|n| format!("{n} leaf t span=l{n} parent=s{n} ERROR alone")))
        .collect();
    let mut group = group(&chain.join("|"));
    group.hierarchy = Some(build(&group, &Linking::default()));
    let flow = trace(&group).unwrap();
    assert_eq!(flow.root_causes.len(), 16);
    assert!(flow.chains.iter().all(|chain| chain.steps.len() <= 64));
    assert_eq!(found(group)[0].evidence.len(), 10);
}

fn entries() -> impl Strategy<Value = Vec<String>> {
    let entry = (0..40_u32, 0..4_u8, 0..10_u8, 0..10_u8, 0..3_u8, 0..5_u8).prop_map(
        |(time, service, span, parent, level, named)| {
            let parent = if parent < 8 { format!(" parent=n{parent}") } else { String::new() };
            let ids = if span < 8 { format!(" span=n{span}{parent}") } else { String::new() };
            let level = ["INFO", "ERROR", "ERROR"][level as usize];
            format!("{time} s{service} t{}{ids} {level} call to s{named} said no", span % 3)
        },
    );
    proptest::collection::vec(entry, 0..40)
}

proptest! {
    #[test]
    fn every_chain_runs_forward_in_time_and_no_error_goes_unexplained(lines in entries(), seed in any::<u32>()) {
        let events = events(&lines.join("|"));
        let mut group = group_of(&events);
        group.hierarchy = Some(build(&group, &Linking::default()));
        let errors = group.levels.errors();
        let Some(flow) = trace(&group) else {
            prop_assert_eq!(errors, 0);
            return Ok(());
        };
        let tree = group.hierarchy.as_ref().unwrap();
        let mut reached: std::collections::BTreeSet<&str> =
            flow.root_causes.iter().map(|cause| cause.node.as_str()).collect();
        for chain in &flow.chains {
            let times: Vec<EventTime> = chain.steps.iter().map(|step| step.timestamp).collect();
            prop_assert!(times.is_sorted());
            prop_assert_eq!(&chain.steps[0].node, &chain.root_cause);
            reached.extend(chain.steps.iter().map(|step| step.node.as_str()));
        }
        let failing: std::collections::BTreeSet<&str> =
            tree.nodes.iter().filter(|node| node.errors > 0).map(|node| node.id.as_str()).collect();
        prop_assert_eq!(flow.affected_nodes, failing.len());
        prop_assert_eq!(reached, failing);
        // The order in which entries arrived does not matter.
        let mut again = group_of(&shuffled(&events, seed));
        again.hierarchy = Some(build(&again, &Linking::default()));
        prop_assert_eq!(told(&again), told(&group));
    }
}
