//! Settings and bodies; the wire is tested through the program.

use serde_json::{Value, json};

use super::piece::{Piece, body};
use super::*;
use crate::tests::{build, finding, stats};

fn config(more: Value) -> Config {
    let mut value = json!({ "url": "http://localhost:1" });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn fault(settings: Value) -> String {
    let Err(error) = build("http", settings) else { return "no error".to_owned() };
    format!("{}: {error}; {}", error.path, error.help.clone().unwrap_or_default())
}

#[test]
fn wrong_settings_are_named_with_a_proposal() {
    let url = |url: &str| fault(json!({ "url": url }));
    assert_eq!(url("https://es:9200"), "no error");
    assert!(url("ftp://es:9200").contains("begin with `http://` or `https://`"));
    assert!(url("es:9200/x").contains("begin with `http://`") || url("es:9200/x").contains("not an address"));
    assert!(url("http://").starts_with("url: "));
    assert!(url("http://me:secret@es:9200").contains("would be shown"));
    assert!(!url("http://me:secret@es:9200").contains("secret@"));
    let more = |name: &str, value: Value| fault(json!({ "url": "http://es", name: value }));
    assert!(more("batch", json!({ "bytes": "1B" })).starts_with("batch.bytes: "));
    assert!(more("batch", json!({ "records": 0 })).starts_with("batch.records: "));
    assert!(more("timeout", json!("1ms")).starts_with("timeout: "));
    assert!(more("headers", json!({ "a b": "x" })).starts_with("headers.a b: "));
    assert!(more("headers", json!({ "x": "a\nb" })).starts_with("headers.x: "));
    assert!(more("headers", json!({ "Content-Type": "x" })).contains("set by the sink"));
    assert!(more("labels", json!({ "level": "x" })).starts_with("labels.level: "));
    assert!(more("labels", json!({ "1x": "x" })).starts_with("labels.1x: "));
    assert!(more("token", json!("")).starts_with("token: "));
    assert_eq!(more("labels", json!({ "env": "prod" })), "no error");
    assert!(more("tls", json!({})).starts_with("tls: "));
    let secret = |tls: Value| fault(json!({ "url": "https://es", "tls": tls }));
    assert!(secret(json!({ "certificate": "c.pem" })).starts_with("tls.certificate: "));
    assert_eq!(secret(json!({ "ca": "ca.pem", "name": "es.example" })), "no error");
}

#[test]
fn paths_are_added_where_the_format_has_one() {
    let path = |more: Value| {
        let target = config(more).check().unwrap();
        (target.path, target.traces)
    };
    let own = |path: &str| (path.to_owned(), String::new());
    assert_eq!(path(json!({ "url": "http://h/in?x=1" })), own("/in?x=1"));
    assert_eq!(path(json!({ "url": "http://h", "format": "bulk" })), own("/_bulk"));
    assert_eq!(path(json!({ "url": "http://h/x/_bulk", "format": "bulk" })), own("/x/_bulk"));
    assert_eq!(path(json!({ "url": "http://h/", "format": "loki" })), own("/loki/api/v1/push"));
    let otlp = path(json!({ "url": "http://h/base/", "format": "otlp" }));
    assert_eq!(otlp, ("/base/v1/logs".to_owned(), "/base/v1/traces".to_owned()));
}

fn written(more: Value, records: &[Record]) -> String {
    let config = config(more);
    let spans: Spans = Arc::new(|_| None);
    let pieces: Vec<Piece> = records.iter().map(|record| Piece::of(record, &config, Some(&spans))).collect();
    let (bytes, _) = body(config.format, pieces.iter(), EventTime::from_millis(5));
    String::from_utf8(bytes).unwrap()
}

const ODD: &str = "quote \" slash \\ line\nend\r nul\0 \u{2028} ä😀";

#[test]
fn bulk_has_an_action_and_a_document_for_each_record() {
    let text = written(json!({ "format": "bulk", "index": "i" }), &[finding(ODD), stats()]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["index"]["_index"], "i");
    assert_eq!(lines[1]["title"], ODD);
    assert_eq!(lines[1]["@timestamp"], lines[1]["at"]);
    assert_eq!(lines[2], json!({ "index": { "_index": "i" } }));
    assert_eq!(lines[3]["type"], "stats");
}

#[test]
fn loki_has_a_stream_for_each_set_of_labels_and_times_in_nanoseconds() {
    let records = [finding(ODD), stats(), finding("two")];
    let text = written(json!({ "format": "loki", "labels": { "env": "prod" } }), &records);
    let value: Value = serde_json::from_str(&text).unwrap();
    let streams = value["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2);
    let labels = json!({ "type": "finding", "service": "logbraid", "level": "error", "env": "prod" });
    assert_eq!(streams[0]["stream"], labels);
    assert_eq!(streams[0]["values"].as_array().unwrap().len(), 2);
    assert_eq!(streams[0]["values"][0][0], "1705312800120000000");
    let line: Value = serde_json::from_str(streams[0]["values"][0][1].as_str().unwrap()).unwrap();
    assert_eq!(line["title"], ODD);
    assert_eq!(streams[1]["values"][0][0], "5000000");
}

#[test]
fn otlp_logs_have_a_resource_a_severity_and_attributes() {
    let text = written(json!({ "format": "otlp" }), &[finding(ODD), stats()]);
    let value: Value = serde_json::from_str(&text).unwrap();
    let log = &value["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(log["body"]["stringValue"], ODD);
    assert_eq!(log["severityNumber"], 17);
    assert_eq!(log["timeUnixNano"], "1705312800120000000");
    assert_eq!(value["resourceLogs"].as_array().unwrap().len(), 2);
}

#[test]
fn answers_of_any_kind_are_read_without_harm() {
    for body in ["", "{}", "[]", "{\"items\":[{}]}", "{\"items\":[{\"index\":{\"status\":-1}}]}", "\0\u{ff}"]
    {
        assert!(refused::items(body.as_bytes()).is_none(), "{body}");
        assert!(refused::partial(body.as_bytes()).is_none(), "{body}");
    }
    let items = br#"{"items":[{"index":{"status":201}},{"index":{"status":400,"error":{"type":"mapper"}}}]}"#;
    let items = refused::items(items).unwrap();
    assert_eq!((items[0].0, items[1].0), (201, 400));
    assert!(items[1].1.contains("mapper"));
    let part = br#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}"#;
    assert_eq!(refused::partial(part).unwrap(), (2, "no".to_owned()));
    assert!(refused::partial(br#"{"partialSuccess":{}}"#).is_none());
    assert!(!refused::told(400, b"a\x1b[31m").contains('\u{1b}'));
}
