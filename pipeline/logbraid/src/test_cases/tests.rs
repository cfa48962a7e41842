use super::*;
use insta::assert_snapshot;

fn case(yaml: &str) -> TestCase {
    let node = crate::config::node::parse(yaml).unwrap();
    logbraid_core::component::settings::<TestCase>(&node.to_value()).unwrap().check().unwrap()
}

fn faults(expectation: &str, records: Value) -> String {
    let case = case(&format!("name: t\ninput: []\n{expectation}"));
    matching::check(&case, records.as_array().unwrap()).join("\n")
}

#[test]
fn steps_are_lines_sources_passing_time_and_restarts() {
    let steps = case(
        "name: t\ncounts: {findings: 0}\ninput:\n  - plain line\n  - {source: a, line: x}\n  - {lines: \"1\\n2\"}\n  - pass: 10s\n  - restart: true\n",
    )
    .input;
    assert_eq!(steps.len(), 6);
    assert_eq!(steps[0], Step::Line { source: SOURCE.into(), line: "plain line".into() });
    assert_eq!(steps[1], Step::Line { source: "a".into(), line: "x".into() });
    assert_eq!(steps[4..], [Step::Pass(Span::from_seconds(10)), Step::Restart]);
}

#[test]
fn a_part_of_a_record_is_enough_and_each_record_counts_once() {
    let records = json!([
        {"type": "timeline", "id": "1", "services": ["a", "b", "c"], "duration_ms": 5, "key": {"value": "r1"}},
        {"type": "timeline", "id": "2", "outcome": "error"},
    ]);
    let ok = "expect: [{type: timeline}, {services: [a, c], duration_ms: 5.0, outcome: ~}]\ncounts: {timelines: 2}";
    assert_eq!(faults(ok, records.clone()), "");
    assert_snapshot!(faults("expect: [{outcome: error}, {outcome: error}]", records.clone()), @r#"expected {"outcome":"error"} once more: the records that fit were expected already"#);
    assert_snapshot!(faults("expect: [{type: timeline, key: {value: r2}, services: [c, a]}]", records.clone()), @r#"
    expected {"type":"timeline","key":{"value":"r2"},"services":["c","a"]}
      the nearest record is {"type":"timeline","id":"1","services":["a","b","c"],"duration_ms":5,"key":{"value":"r1"}}
        key.value: expected "r2", found "r1"
        services[1]: expected "a", found ["a","b","c"]
    "#);
    assert_snapshot!(faults("expect_none: [{outcome: error}]\ncounts: {timelines: 3, late: 0}", records), @r#"
    did not expect {"outcome":"error"}, but found
        {"type":"timeline","id":"2","outcome":"error"}
    expected 3 timelines, found 2
    "#);
    assert_snapshot!(faults("expect: [{type: finding}]", json!([])), @r#"expected {"type":"finding"}, but nothing was written"#);
}
