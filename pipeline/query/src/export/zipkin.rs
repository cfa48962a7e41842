//! Zipkin's version 2: a list of spans, <https://zipkin.io/zipkin-api/>. Times are whole microseconds, tags are texts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Span, Trace, micros};

pub(super) fn document(traces: &[Trace]) -> Result<String, serde_json::Error> {
    let spans: Vec<Value> =
        traces.iter().flat_map(|trace| trace.spans.iter().map(|span| value(trace, span))).collect();
    serde_json::to_string(&spans)
}

fn value(trace: &Trace, span: &Span) -> Value {
    let mut tags: BTreeMap<&str, String> = BTreeMap::new();
    tags.insert("logbraid.node", span.node.clone());
    tags.insert("logbraid.node_type", span.kind.to_owned());
    tags.insert("logbraid.entries", span.entries.to_string());
    tags.insert("logbraid.self_ms", span.self_ms.to_string());
    let failed = span.events.iter().find(|event| event.level.is_some_and(logbraid_core::Level::is_error));
    if let Some(event) = failed {
        // Zipkin marks a span as failed by the mere presence of this tag.
        tags.insert("error", event.message.clone());
    }
    let annotations: Vec<Value> = span
        .events
        .iter()
        .map(|event| {
            let level = event.level.map_or(String::new(), |level| format!("{} ", level.name()));
            json!({ "timestamp": micros(event.time), "value": format!("{level}{}", event.message) })
        })
        .collect();
    let mut value = json!({
        "traceId": trace.id,
        "id": span.id,
        "name": span.name,
        "timestamp": micros(span.start).max(1),
        // Less than a microsecond is written as one, as the format asks.
        "duration": (micros(span.end) - micros(span.start).min(micros(span.end))).max(1),
        "localEndpoint": { "serviceName": span.service },
        "annotations": annotations,
        "tags": tags,
    });
    if let Some(parent) = span.parent.and_then(|parent| trace.spans.get(parent)) {
        value["parentId"] = json!(parent.id);
    }
    value
}
