//! What all sinks share: `take`, settings and schemas.

use serde_json::json;

use super::*;
use logbraid_core::sink::SinkError;
use logbraid_core::{Finding, FindingKind, Id, Record, RecordKind, Severity};

pub(crate) fn finding(title: &str) -> Record {
    let at = EventTime::from_millis(1_705_312_800_120);
    let kind = FindingKind::ErrorFlow;
    Record::Finding(Box::new(Finding::new(kind, Severity::High, title.to_owned(), at, Id::default())))
}

pub(crate) fn stats() -> Record {
    Record::Stats(Box::new(logbraid_core::record::Stats {
        kind_of_record: "stats",
        counters: std::collections::BTreeMap::new(),
    }))
}

/// The titles of all records in `text`; every line must be whole.
pub(crate) fn lines(text: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["title"].as_str().unwrap_or_default().to_owned()
        })
        .collect()
}

pub(crate) fn context() -> Context {
    Context { now: Arc::new(|| EventTime::from_millis(0)), pretty: None, spans: None }
}

pub(crate) fn build(name: &str, settings: Value) -> Result<Box<dyn Sink>, ConfigError> {
    let spec = SINKS.iter().find(|spec| spec.name == name).unwrap();
    (spec.build)(&settings, &context())
}

fn error(name: &str, settings: Value) -> String {
    match build(name, settings) {
        Ok(_) => "no error".to_owned(),
        Err(error) => format!("{}: {error}", error.path),
    }
}

#[test]
fn take_has_a_default_and_names_what_is_wrong() {
    let kinds = |settings: Value| Take::of(&settings).map(|take| take.kinds().collect::<Vec<_>>());
    assert_eq!(kinds(json!({})).unwrap(), [RecordKind::Timelines, RecordKind::Findings]);
    assert_eq!(kinds(Value::Null).unwrap(), [RecordKind::Timelines, RecordKind::Findings]);
    assert_eq!(kinds(json!({ "take": ["rejects"] })).unwrap(), [RecordKind::Rejects]);
    assert_eq!(kinds(json!({ "take": "finding" })).unwrap(), [RecordKind::Findings]);
    assert!(error("stdout", json!({ "take": ["findigs"] })).starts_with("take.0: `findigs` is not"));
    assert!(error("stdout", json!({ "take": [] })).starts_with("take: "));
    assert!(error("stdout", json!({ "take": 7 })).starts_with("take: "));
}

#[test]
fn settings_that_do_not_exist_are_refused() {
    assert!(error("stdout", json!({ "fromat": "ndjson" })).contains("unknown field"));
    assert!(error("stdout", json!({ "format": "xml" })).starts_with("format: "));
    assert!(error("stdout", json!({ "format": "pretty" })).contains("not available"));
    assert!(build("stdout", Value::Null).is_ok());
}

#[test]
fn every_schema_lists_take_and_the_settings() {
    for spec in SINKS {
        let schema = serde_json::to_value((spec.schema)()).unwrap();
        assert!(schema["properties"]["take"].is_object(), "{}", spec.name);
        let own = match spec.name {
            "kafka" => "topic",
            "forward" => "tag",
            _ => "format",
        };
        assert!(schema["properties"][own].is_object(), "{}", spec.name);
        assert!(spec.docs.starts_with(&format!("# {}\n", spec.name)));
        assert!(spec.docs.contains("```yaml"));
    }
}

#[tokio::test]
async fn a_sink_is_given_only_what_it_takes() {
    let inner = stdout::Stdout::new(Vec::new(), ndjson::encoder());
    let mut sink = Taking::new(inner, Take::default());
    let (a, counters, b) = (finding("a"), stats(), finding("b"));
    let result: Result<(), SinkError> = sink.write(&[&a, &counters, &b]).await;
    result.unwrap();
    sink.write(&[&counters]).await.unwrap();
    let mut counted = 0;
    sink.metrics(&mut |name, value| counted += if name == "records" { value } else { 0 });
    assert_eq!(counted, 2);
}
