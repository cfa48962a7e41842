//! One page that shows requests and needs nothing else: no network, no fonts, no other files.
//!
//! What a log contains is data: it stands in a JSON block in which `<` is escaped, control characters are made visible
//! before, and the page puts it on the screen as text only.

use logbraid_core::record::Millis;
use serde_json::{Value, json};

use super::model::{Span, Trace};
use crate::text::escaped;

const PAGE: &str = include_str!("page.html");
/// Where the data goes.
const DATA: &str = "/*DATA*/";
const TITLE: &str = "<!--TITLE-->";

pub(super) fn document(traces: &[Trace]) -> Result<String, serde_json::Error> {
    let data: Vec<Value> = traces.iter().map(trace).collect();
    let data = serde_json::to_string(&json!({ "version": env!("CARGO_PKG_VERSION"), "traces": data }))?;
    // Within a script block, only `<` could end it or open a comment.
    let data = data.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let title = match traces {
        [one] => markup(&one.name),
        many => format!("{} requests", many.len()),
    };
    // The title first: what stands in the data must not be taken for its place.
    let (head, tail) = PAGE.split_once(DATA).unwrap_or((PAGE, ""));
    Ok(format!("{}{data}{tail}", head.replace(TITLE, &title)))
}

/// `text` between tags.
fn markup(text: &str) -> String {
    shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a log contains, with nothing in it that is not visible.
fn shown(text: &str) -> String {
    escaped(text, false).into_owned()
}

fn trace(trace: &Trace) -> Value {
    let spans: Vec<Value> = trace.spans.iter().map(|span| node(trace, span)).collect();
    let mut entries: Vec<(i64, Value)> = Vec::new();
    for (at, span) in trace.spans.iter().enumerate() {
        for event in &span.events {
            let since = Millis(event.time.since(trace.start).millis());
            let value = json!({
                "n": at,
                "t": since,
                "at": event.time,
                "l": event.level.map(logbraid_core::Level::name),
                "s": event.service.as_deref().map(shown),
                "th": event.thread.as_deref().map(shown),
                "m": shown(&event.message),
                "f": shown(&event.file),
                "ln": event.line,
            });
            entries.push((event.time.nanos(), value));
        }
    }
    entries.sort_by_key(|(time, _)| *time);
    let entries: Vec<Value> = entries.into_iter().map(|(_, value)| value).collect();
    json!({
        "id": trace.id,
        "name": shown(&trace.name),
        "start": trace.start,
        "total": Millis(trace.end.since(trace.start).millis()),
        "busy": trace.concurrency_max,
        "services": trace.services().into_iter().map(shown).collect::<Vec<_>>(),
        "spans": spans,
        "entries": entries,
        "flow": flow(trace),
    })
}

fn node(trace: &Trace, span: &Span) -> Value {
    json!({
        "id": shown(&span.node),
        "p": span.parent,
        "d": span.depth,
        "name": shown(&span.name),
        "s": shown(&span.service),
        "k": span.kind,
        "from": Millis(span.start.since(trace.start).millis()),
        "to": Millis(span.end.since(trace.start).millis()),
        "ms": Millis(span.duration_ms),
        "own": Millis(span.self_ms),
        "e": span.errors,
        "n": span.entries,
        "c": span.confidence,
        "crit": span.critical,
        "slow": span.bottleneck,
    })
}

fn flow(trace: &Trace) -> Value {
    let Some(flow) = &trace.flow else { return Value::Null };
    let since = |time: logbraid_core::EventTime| Millis(time.since(trace.start).millis());
    let causes: Vec<Value> = flow
        .root_causes
        .iter()
        .map(|cause| {
            let steps = flow.chains.iter().filter(|chain| chain.root_cause == cause.node);
            let steps: Vec<Value> = steps
                .flat_map(|chain| chain.steps.iter().skip(1))
                .map(|step| {
                    json!({
                        "node": shown(&step.node),
                        "s": step.service.as_deref().map(shown),
                        "t": since(step.timestamp),
                        "m": shown(&step.message),
                        "link": step.link,
                    })
                })
                .collect();
            json!({
                "node": shown(&cause.node),
                "s": cause.service.as_deref().map(shown),
                "t": since(cause.timestamp),
                "m": shown(&cause.message),
                "sure": cause.confidence,
                "steps": steps,
            })
        })
        .collect();
    Value::Array(causes)
}
