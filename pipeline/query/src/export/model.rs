//! Requests as spans with events, whatever they are written as.

use hashbrown::HashMap;
use logbraid_core::tree::{Hierarchy as Tree, NodeKind};
use logbraid_core::{EventTime, Group, Id, Level};
use logbraid_operators::error_flow;

use crate::hierarchy::node::label;

/// What stands for a service that entries do not name, as OpenTelemetry has it.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service";

/// A request.
pub(super) struct Trace {
    /// 32 hexadecimal digits: its own trace id where it has one, else made from its key.
    pub(super) id: String,
    /// What people call it.
    pub(super) name: String,
    /// Its spans, in the order of their start.
    pub(super) spans: Vec<Span>,
    /// Where errors began and how they spread, for pages.
    pub(super) flow: Option<logbraid_core::flow::ErrorFlow>,
    /// The first moment.
    pub(super) start: EventTime,
    /// The last moment.
    pub(super) end: EventTime,
    /// Most spans that were at work at one moment.
    pub(super) concurrency_max: usize,
}

/// A node of its tree.
pub(super) struct Span {
    /// 16 hexadecimal digits: its own id where it has one of that form, else made from it.
    pub(super) id: String,
    /// The id that entries carry.
    pub(super) node: String,
    /// The span above it, by index.
    pub(super) parent: Option<usize>,
    pub(super) name: String,
    pub(super) service: String,
    pub(super) kind: &'static str,
    pub(super) start: EventTime,
    pub(super) end: EventTime,
    pub(super) duration_ms: f64,
    pub(super) self_ms: f64,
    pub(super) depth: usize,
    pub(super) errors: u64,
    pub(super) entries: u64,
    pub(super) confidence: f64,
    pub(super) evidence: Vec<&'static str>,
    pub(super) critical: bool,
    pub(super) bottleneck: bool,
    /// Its entries in the order of time.
    pub(super) events: Vec<Event>,
}

/// An entry.
pub(super) struct Event {
    pub(super) time: EventTime,
    pub(super) level: Option<Level>,
    pub(super) message: String,
    pub(super) thread: Option<String>,
    pub(super) service: Option<String>,
    pub(super) host: Option<String>,
    pub(super) file: String,
    pub(super) line: u64,
    /// Its exception's class, where a field names it.
    pub(super) exception: Option<String>,
}

impl Trace {
    pub(super) fn of(group: &Group) -> Self {
        let empty = Tree::default();
        let tree = group.hierarchy.as_ref().unwrap_or(&empty);
        let mut ids: HashMap<String, usize> = HashMap::new();
        let mut spans: Vec<Span> = tree
            .nodes
            .iter()
            .map(|node| {
                let mut id = span_id(group, &node.id);
                // Ids that differ in case alone, or are made alike, stay apart.
                while ids.contains_key(&id) {
                    id = made(&["again", &id]);
                }
                ids.insert(id.clone(), 0);
                let kind = match node.kind {
                    NodeKind::Span => "span",
                    NodeKind::Thread => "thread",
                    NodeKind::Correlation => "correlation",
                };
                Span {
                    id,
                    node: node.id.clone(),
                    parent: node.parent,
                    name: node.name.clone().unwrap_or_else(|| node.id.clone()),
                    service: node.service.clone().unwrap_or_else(|| UNKNOWN_SERVICE.to_owned()),
                    kind,
                    start: node.start,
                    end: node.end,
                    duration_ms: node.duration_ms,
                    self_ms: node.self_ms,
                    depth: node.depth,
                    errors: node.errors,
                    entries: node.entries,
                    confidence: node.confidence,
                    evidence: node.evidence.clone(),
                    critical: false,
                    bottleneck: tree
                        .bottleneck
                        .as_ref()
                        .is_some_and(|most| most.node == node.id && most.self_ms > 0.0),
                    events: Vec::new(),
                }
            })
            .collect();
        for at in &tree.critical_path {
            if let Some(span) = spans.get_mut(*at) {
                span.critical = true;
            }
        }
        for (row, node) in group.rows.iter().zip(&tree.node_of_row) {
            let Some(span) = spans.get_mut(*node as usize) else { continue };
            let own = |text: Option<&str>| text.map(str::to_owned);
            span.events.push(Event {
                time: row.time,
                level: row.level,
                message: group.message(row).to_owned(),
                thread: own(group.get(row.thread)),
                service: own(group.service(row)),
                host: own(group.host(row)),
                file: group.source(row).map(|source| source.name.clone()).unwrap_or_default(),
                line: row.line,
                exception: own(group.field(row, logbraid_core::FieldId::EXCEPTION)),
            });
        }
        let start = spans.iter().map(|span| span.start).min().unwrap_or(EventTime::MIN);
        let end = spans.iter().map(|span| span.end).max().unwrap_or(EventTime::MIN);
        let root = tree.roots.first().and_then(|root| tree.nodes.get(*root));
        let what = root.map(label).unwrap_or_default();
        Self {
            id: trace_id(group),
            name: format!("{} {what}", group.key.value),
            flow: error_flow::trace(group),
            start,
            end,
            concurrency_max: tree.concurrency_max,
            spans,
        }
    }

    /// The services of its spans, in the order of their first.
    pub(super) fn services(&self) -> Vec<&str> {
        let mut services: Vec<&str> = Vec::new();
        for span in &self.spans {
            if !services.contains(&span.service.as_str()) {
                services.push(&span.service);
            }
        }
        services
    }
}

/// Whole microseconds since 1970; spans before that begin then.
pub(super) fn micros(time: EventTime) -> u64 {
    nanos(time) / 1000
}

/// Nanoseconds since 1970.
pub(super) fn nanos(time: EventTime) -> u64 {
    if time.is_known() { u64::try_from(time.nanos()).unwrap_or(0) } else { 0 }
}

fn is_hex(id: &str, digits: usize) -> bool {
    id.len() == digits
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0')
}

/// 16 hexadecimal digits for some texts; never all zero, which means "none" everywhere.
fn made(parts: &[&str]) -> String {
    let Id(number) = Id::of(parts);
    format!("{:016x}", number.max(1))
}

/// The first trace id that has a tracing tool's form, else one made from the request's key and first moment.
fn trace_id(group: &Group) -> String {
    let traces = group.ids.iter().filter(|(kind, _)| kind == "trace_id").flat_map(|(_, values)| values);
    for id in traces {
        let id = id.replace('-', "").to_ascii_lowercase();
        if is_hex(&id, 32) {
            return id;
        }
        if is_hex(&id, 16) {
            return format!("0000000000000000{id}");
        }
    }
    let own = group.id.to_string();
    format!("{}{}", made(&["trace", &own]), made(&["trace", &own, "2"]))
}

fn span_id(group: &Group, id: &str) -> String {
    if is_hex(id, 16) {
        return id.to_ascii_lowercase();
    }
    made(&["span", &group.id.to_string(), id])
}
