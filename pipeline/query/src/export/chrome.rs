//! The trace event format of Chrome, which Perfetto loads.
//!
//! A service is a process; its spans are slices of as many threads as they need, because slices of one thread must lie
//! within each other or apart. Arrows lead from a span to those that it called in other lanes.

use serde_json::{Value, json};

use super::model::{Span, Trace, micros};

pub(super) fn document(traces: &[Trace]) -> Result<String, serde_json::Error> {
    let mut services: Vec<&str> = traces.iter().flat_map(Trace::services).collect();
    services.sort_unstable();
    services.dedup();
    let mut events: Vec<Value> = Vec::new();
    // A process for each service of all traces, so that one service is one track.
    let mut spans: Vec<(&Trace, usize)> = Vec::new();
    for trace in traces {
        spans.extend((0..trace.spans.len()).map(|at| (trace, at)));
    }
    let mut flow = 0_u64;
    let mut lanes_of: hashbrown::HashMap<&str, (usize, usize)> = hashbrown::HashMap::new();
    for (number, service) in (1_usize..).zip(&services) {
        events.push(named("process_name", number, 0, service));
        let mut own: Vec<(&Trace, &Span)> = spans
            .iter()
            .filter_map(|(trace, at)| Some((*trace, trace.spans.get(*at)?)))
            .filter(|(_, span)| span.service == **service)
            .collect();
        // The longer first, so that what lies within comes after what it lies within.
        own.sort_by(|(_, a), (_, b)| {
            (micros(a.start), std::cmp::Reverse(micros(a.end)), a.depth, &a.id).cmp(&(
                micros(b.start),
                std::cmp::Reverse(micros(b.end)),
                b.depth,
                &b.id,
            ))
        });
        let mut lanes: Vec<Vec<u64>> = Vec::new();
        for (trace, span) in own {
            let lane = place(&mut lanes, micros(span.start), micros(span.end));
            lanes_of.insert(span.id.as_str(), (number, lane + 1));
            slice(&mut events, trace, span, number, lane + 1);
        }
        for lane in 1..=lanes.len() {
            events.push(named("thread_name", number, lane, &format!("lane {lane}")));
        }
    }
    for trace in traces {
        for span in &trace.spans {
            let Some(parent) = span.parent.and_then(|parent| trace.spans.get(parent)) else { continue };
            let places = lanes_of.get(parent.id.as_str()).zip(lanes_of.get(span.id.as_str()));
            let Some(((from_pid, from_tid), (pid, tid))) = places else { continue };
            if (from_pid, from_tid) == (pid, tid) {
                continue;
            }
            flow += 1;
            // Both ends must lie within their slices.
            let start = micros(span.start);
            let from = start.clamp(micros(parent.start), micros(parent.end));
            events.push(json!({ "ph": "s", "cat": "call", "name": "call", "id": flow, "ts": from, "pid": from_pid, "tid": from_tid }));
            events.push(json!({ "ph": "f", "bp": "e", "cat": "call", "name": "call", "id": flow, "ts": start, "pid": pid, "tid": tid }));
        }
    }
    serde_json::to_string(&json!({ "traceEvents": events, "displayTimeUnit": "ms" }))
}

fn named(what: &str, pid: usize, tid: usize, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } })
}

/// The first lane in which `start..end` lies within what is open there, or after it.
fn place(lanes: &mut Vec<Vec<u64>>, start: u64, end: u64) -> usize {
    for (at, open) in lanes.iter_mut().enumerate() {
        while open.last().is_some_and(|until| *until <= start) {
            open.pop();
        }
        if open.last().is_none_or(|until| *until >= end) {
            open.push(end);
            return at;
        }
    }
    lanes.push(vec![end]);
    lanes.len() - 1
}

fn slice(events: &mut Vec<Value>, trace: &Trace, span: &Span, pid: usize, tid: usize) {
    events.push(json!({
        "ph": "X",
        "name": span.name,
        "cat": if span.errors > 0 { "error" } else { span.kind },
        "ts": micros(span.start),
        "dur": micros(span.end).saturating_sub(micros(span.start)),
        "pid": pid,
        "tid": tid,
        "args": {
            "trace": trace.id,
            "span": span.node,
            "entries": span.entries,
            "errors": span.errors,
            "self_ms": span.self_ms,
            "critical": span.critical,
        },
    }));
    for event in &span.events {
        events.push(json!({
            "ph": "i",
            "s": "t",
            "name": event.message,
            "cat": event.level.map_or("log", logbraid_core::Level::name),
            "ts": micros(event.time),
            "pid": pid,
            "tid": tid,
            "args": { "file": event.file, "line": event.line, "thread": event.thread },
        }));
    }
}
