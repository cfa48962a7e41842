//! Records as OTLP log records: <https://opentelemetry.io/docs/specs/otel/logs/data-model/>.

use logbraid_core::{Event, EventTime, Finding, Level, Record};
use serde_json::{Value, json};

use crate::about::{About, kind, level};
use crate::ndjson;

/// A record's resource and its log record.
pub(super) fn log(record: &Record, time: EventTime) -> (Value, Value) {
    let About { service, host, .. } = About::of(record);
    let service = match record {
        Record::Template(_) | Record::Reject(_) | Record::Stats(_) => Some("logbraid"),
        _ => service,
    };
    let mut resource = vec![text("service.name", service.unwrap_or("unknown_service"))];
    resource.extend(host.map(|host| text("host.name", host)));
    let mut log = match record {
        Record::Entry(event) => entry(event),
        Record::Finding(finding) => self::finding(finding),
        other => {
            let mut line = Vec::new();
            ndjson::encode(other, &mut line);
            let body = String::from_utf8_lossy(&line);
            json!({ "body": { "stringValue": body.trim_end() }, "attributes": [text("logbraid.type", kind(other))] })
        }
    };
    if time.is_known() {
        log["timeUnixNano"] = json!(time.nanos().max(0).to_string());
    }
    (json!({ "attributes": resource }), log)
}

fn entry(event: &Event) -> Value {
    let row = event.row();
    let mut attributes = vec![text("logbraid.type", "entry"), text("logbraid.id", &event.id().to_string())];
    let mut named = |name: &str, value: Option<&str>| attributes.extend(value.map(|value| text(name, value)));
    named("thread.name", event.text(row.thread));
    named("logbraid.correlation_id", event.text(row.correlation));
    let (trace, span) = (event.text(row.trace), event.text(row.span));
    // Ids of another form cannot stand where tracing tools look for them.
    named("logbraid.trace_id", trace.filter(|id| hex(id, 32).is_none()));
    named("logbraid.span_id", span.filter(|id| hex(id, 16).is_none()));
    named("log.file.name", Some(&event.source().name));
    let fields = event.fields();
    attributes.extend(fields.iter().map(|(name, value)| json!({ "key": name, "value": any(value) })));
    let mut log = json!({ "body": { "stringValue": event.message() }, "attributes": attributes });
    if let Some(level) = row.level {
        log["severityNumber"] = json!(number(level));
        log["severityText"] = json!(level.name());
    }
    if let Some(id) = trace.and_then(|id| hex(id, 32)) {
        log["traceId"] = json!(id);
    }
    if let Some(id) = span.and_then(|id| hex(id, 16)) {
        log["spanId"] = json!(id);
    }
    log
}

fn finding(finding: &Finding) -> Value {
    let severity = level(finding.severity);
    let mut attributes = vec![
        text("logbraid.type", "finding"),
        text("logbraid.id", &finding.id.to_string()),
        text("logbraid.kind", finding.kind.name()),
        text("logbraid.fingerprint", &finding.fingerprint.to_string()),
        json!({ "key": "logbraid.revision", "value": { "intValue": finding.revision.to_string() } }),
        json!({ "key": "logbraid.occurrences", "value": { "intValue": finding.occurrences.to_string() } }),
        json!({ "key": "logbraid.confidence", "value": any(&json!(finding.confidence)) }),
    ];
    attributes.extend(finding.timeline.map(|id| text("logbraid.timeline", &id.to_string())));
    attributes.extend(finding.key.as_ref().map(|key| text("logbraid.request", &key.value)));
    let evidence = serde_json::to_string(&finding.evidence).unwrap_or_default();
    attributes.push(text("logbraid.evidence", &evidence));
    attributes.extend(
        finding
            .data
            .iter()
            .map(|(name, value)| json!({ "key": format!("logbraid.data.{name}"), "value": any(value) })),
    );
    json!({
        "body": { "stringValue": finding.title },
        "severityNumber": number(severity),
        "severityText": severity.name(),
        "attributes": attributes,
    })
}

/// OpenTelemetry's number of a level: the first of its four.
const fn number(level: Level) -> u8 {
    match level {
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
        Level::Fatal => 21,
    }
}

fn hex(id: &str, digits: usize) -> Option<String> {
    let held = id.len() == digits
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0');
    held.then(|| id.to_ascii_lowercase())
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A JSON value as OTLP's `AnyValue`; what is nested is written as JSON text.
fn any(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({ "intValue": whole.to_string() }),
            None => json!({ "doubleValue": number }),
        },
        other => json!({ "stringValue": other.to_string() }),
    }
}
