//! What Jaeger's user interface takes as a file: the answer of its `/api/traces`.

use serde_json::{Map, Value, json};

use super::model::{Span, Trace, micros};

pub(super) fn document(traces: &[Trace]) -> Result<String, serde_json::Error> {
    let data: Vec<Value> = traces.iter().map(trace).collect();
    let total = data.len();
    serde_json::to_string(&json!({ "data": data, "total": total, "limit": 0, "offset": 0, "errors": null }))
}

fn trace(trace: &Trace) -> Value {
    let services = trace.services();
    let process = |service: &str| {
        let at = services.iter().position(|known| *known == service).unwrap_or(0);
        format!("p{}", at + 1)
    };
    let processes: Map<String, Value> = services
        .iter()
        .map(|service| (process(service), json!({ "serviceName": service, "tags": [] })))
        .collect();
    let spans: Vec<Value> =
        trace.spans.iter().map(|span| value(trace, span, &process(&span.service))).collect();
    json!({ "traceID": trace.id, "spans": spans, "processes": processes, "warnings": null })
}

fn tag(key: &str, r#type: &str, value: Value) -> Value {
    json!({ "key": key, "type": r#type, "value": value })
}

fn value(trace: &Trace, span: &Span, process: &str) -> Value {
    let parent = span.parent.and_then(|parent| trace.spans.get(parent));
    let references: Vec<Value> = parent
        .iter()
        .map(|parent| json!({ "refType": "CHILD_OF", "traceID": trace.id, "spanID": parent.id }))
        .collect();
    let mut tags = vec![
        tag("logbraid.node", "string", json!(span.node)),
        tag("logbraid.node_type", "string", json!(span.kind)),
        tag("logbraid.entries", "int64", json!(span.entries)),
        tag("logbraid.self_ms", "float64", json!(span.self_ms)),
    ];
    if span.errors > 0 {
        tags.push(tag("error", "bool", json!(true)));
        tags.push(tag("logbraid.errors", "int64", json!(span.errors)));
    }
    let logs: Vec<Value> = span
        .events
        .iter()
        .map(|event| {
            let mut fields = vec![tag("message", "string", json!(event.message))];
            fields.extend(event.level.map(|level| tag("level", "string", json!(level.name()))));
            fields.extend(event.thread.as_ref().map(|thread| tag("thread", "string", json!(thread))));
            fields.push(tag("file", "string", json!(event.file)));
            if event.line > 0 {
                fields.push(tag("line", "int64", json!(event.line)));
            }
            json!({ "timestamp": micros(event.time), "fields": fields })
        })
        .collect();
    json!({
        "traceID": trace.id,
        "spanID": span.id,
        "flags": 1,
        "operationName": span.name,
        "references": references,
        "startTime": micros(span.start),
        "duration": micros(span.end).saturating_sub(micros(span.start)),
        "tags": tags,
        "logs": logs,
        "processID": process,
        "warnings": null,
    })
}
