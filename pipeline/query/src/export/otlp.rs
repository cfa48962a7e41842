//! OTLP as JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. Ids are hexadecimal, 64-bit numbers
//! are texts, enumerations are numbers.

use std::collections::BTreeMap;

use logbraid_core::Level;
use serde_json::{Value, json};

use super::model::{Event, Span, Trace, UNKNOWN_SERVICE, nanos};

/// `SPAN_KIND_INTERNAL`: logs do not say who was client and who was server.
const INTERNAL: u8 = 1;
/// `STATUS_CODE_ERROR`.
const FAILED: u8 = 2;

pub(super) fn document(traces: &[Trace]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&json!({ "resourceSpans": resources(traces) }))
}

/// The spans of some requests, by resource.
pub(super) fn resources(traces: &[Trace]) -> Vec<Value> {
    // A resource is a service on a host.
    let mut resources: BTreeMap<(&str, Option<&str>), Vec<Value>> = BTreeMap::new();
    for trace in traces {
        for span in &trace.spans {
            let host = span.events.iter().find_map(|event| event.host.as_deref());
            resources.entry((span.service.as_str(), host)).or_default().push(value(trace, span));
        }
    }
    resources
        .into_iter()
        .map(|((service, host), spans)| {
            let mut attributes = vec![text("service.name", service)];
            attributes.extend(host.map(|host| text("host.name", host)));
            json!({
                "resource": { "attributes": attributes },
                "scopeSpans": [{
                    "scope": { "name": "logbraid", "version": env!("CARGO_PKG_VERSION") },
                    "spans": spans,
                }],
            })
        })
        .collect()
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}
fn whole(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
fn number(key: &str, value: f64) -> Value {
    json!({ "key": key, "value": { "doubleValue": value } })
}

fn value(trace: &Trace, span: &Span) -> Value {
    let mut attributes = vec![
        text("logbraid.node", &span.node),
        text("logbraid.node_type", span.kind),
        whole("logbraid.entries", span.entries),
        number("logbraid.self_ms", span.self_ms),
        number("logbraid.confidence", span.confidence),
    ];
    attributes.extend(span.evidence.iter().map(|evidence| text("logbraid.evidence", evidence)).take(1));
    if let Some(thread) = span.events.iter().find_map(|event| event.thread.as_deref()) {
        attributes.push(text("thread.name", thread));
    }
    let mut value = json!({
        "traceId": trace.id,
        "spanId": span.id,
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(span.start).to_string(),
        "endTimeUnixNano": nanos(span.end).to_string(),
        "attributes": attributes,
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent.and_then(|parent| trace.spans.get(parent)) {
        value["parentSpanId"] = json!(parent.id);
    }
    if span.errors > 0 {
        let said = span.events.iter().find(|event| event.level.is_some_and(Level::is_error));
        value["status"] =
            json!({ "code": FAILED, "message": said.map_or("", |event| event.message.as_str()) });
    }
    value
}

fn event(event: &Event) -> Value {
    let mut attributes = Vec::new();
    attributes.extend(event.level.map(|level| text("log.severity", level.name())));
    attributes.push(text("log.message", &event.message));
    attributes.push(text("log.file.path", &event.file));
    if event.line > 0 {
        attributes.push(whole("log.record.line", event.line));
    }
    attributes.extend(event.thread.as_deref().map(|thread| text("thread.name", thread)));
    attributes.extend(event.exception.as_deref().map(|class| text("exception.type", class)));
    if event.service.as_deref().unwrap_or(UNKNOWN_SERVICE) != UNKNOWN_SERVICE {
        attributes.extend(event.service.as_deref().map(|service| text("log.service", service)));
    }
    let name = if event.exception.is_some() { "exception" } else { "log" };
    json!({ "timeUnixNano": nanos(event.time).to_string(), "name": name, "attributes": attributes })
}
