use logbraid_core::component::{Component, Context};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, Element, Fields, Record, Span};
use serde_json::json;

use super::*;
use crate::test_lines::events;

fn filter(settings: serde_json::Value) -> Result<Filter, ConfigError> {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: TimeSettings::default(),
        carry: Span::ZERO,
        originals: false,
        read: logbraid_core::component::no_files,
    };
    Filter::build(logbraid_core::component::settings(&settings)?, &mut context)
}

fn passed(settings: serde_json::Value) -> Vec<String> {
    let mut chain = Chain::new(vec![Box::new(filter(settings).unwrap())], true, Span::from_seconds(60));
    let mut elements = events("0 zero\n1 one\n2 two\n3 three").into_iter().map(Element::Event).collect();
    let mut due = Vec::new();
    chain.push(&mut elements, &mut due);
    let message = |due: logbraid_core::operator::Due| match due.record {
        Record::Entry(event) => event.message().to_owned(),
        other => format!("{other:?}"),
    };
    due.into_iter().map(message).collect()
}

#[test]
fn the_first_moment_is_in_and_the_last_is_out() {
    let settings = json!({ "after": "1970-01-01T00:00:01Z", "before": "1970-01-01 01:00:03+01:00" });
    assert_eq!(passed(settings), ["one", "two"]);
    assert_eq!(passed(json!({ "after": "1970-01-01T00:00:02.5" })), ["three"]);
    assert_eq!(passed(json!({})), ["zero", "one", "two", "three"]);
}

#[test]
fn what_is_no_moment_is_refused_with_help() {
    for text in [
        "",
        "now",
        "2024-13-01T00:00:00Z",
        "2024-01-15T10:00:00+1",
        "2024-01-15T10:00:00.Z",
        "日本語日本語日本語日",
    ] {
        let error = filter(json!({ "after": text })).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("write it like `2024-01-15T10:00:00Z`"), "{text}");
    }
    let swapped = json!({ "after": "2024-01-15T10:00:00Z", "before": "2024-01-15T09:00:00Z" });
    assert_eq!(filter(swapped).unwrap_err().to_string(), "`before` must be later than `after`");
}
