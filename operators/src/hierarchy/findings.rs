//! What a closed request's tree gives rise to: a bottleneck, or missing parts.

use logbraid_core::template::mask;
use logbraid_core::tree::{Hierarchy, Node};
use logbraid_core::{ClosedBy, Evidence, FieldId, Finding, FindingKind, Group, Id, Severity, Span};
use serde_json::json;

use super::build::PARENT_NOT_LOGGED;
use super::measure::extent;

/// From when on a node is a bottleneck.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) own_min: Span,
    pub(super) share_min: f64,
}

/// A bottleneck of at least this much own time and share is more than a curiosity.
const MEDIUM_OWN_MS: f64 = 1000.0;
const MEDIUM_SHARE: f64 = 0.7;
/// Most missing parents that a finding lists.
const LISTED_MAX: usize = 10;

/// The entries of a node, by index.
fn rows_of(tree: &Hierarchy, node: usize) -> impl DoubleEndedIterator<Item = usize> {
    tree.node_of_row.iter().enumerate().filter(move |(_, of)| **of as usize == node).map(|(row, _)| row)
}

/// What to call a node in a sentence: its service, with the operation where a record names one.
fn called(group: &Group, tree: &Hierarchy, at: usize) -> String {
    let node = &tree.nodes[at];
    let operation = rows_of(tree, at).find_map(|row| group.field(group.rows.get(row)?, FieldId::OPERATION));
    match (operation, &node.service) {
        (Some(operation), Some(service)) => format!("`{operation}` of `{service}`"),
        (Some(name), None) => format!("`{name}`"),
        (None, Some(service)) => format!("`{service}`"),
        (None, None) => format!("`{}`", node.id),
    }
}

/// What stays the same of a node from request to request: not its id.
fn kind_of(node: &Node) -> [String; 2] {
    [node.service.clone().unwrap_or_default(), node.name.as_deref().map(mask).unwrap_or_default()]
}

/// The request's slowest node, if it is slow enough.
pub(super) fn bottleneck(group: &Group, tree: &Hierarchy, limits: &Limits) -> Option<Finding> {
    let found = tree.bottleneck.as_ref()?;
    let slow = found.self_ms >= limits.own_min.millis() && found.share >= limits.share_min;
    if !slow || tree.nodes.len() < 2 {
        return None;
    }
    let at = tree.nodes.iter().position(|node| node.id == found.node)?;
    let node = &tree.nodes[at];
    let (start, end) = extent(&tree.nodes);
    let total_ms = end.since(start).millis();
    let severity = if found.self_ms >= MEDIUM_OWN_MS && found.share >= MEDIUM_SHARE {
        Severity::Medium
    } else {
        Severity::Low
    };
    let title = format!(
        "{} takes {:.0} ms of {:.0} ms ({:.0} %) in request {}",
        called(group, tree, at),
        found.self_ms,
        total_ms,
        found.share * 100.0,
        group.key.value,
    );
    let [service, name] = kind_of(node);
    let fingerprint = Id::of(&[FindingKind::Bottleneck.name(), &service, &name]);
    let mut finding = Finding::new(FindingKind::Bottleneck, severity, title, node.start, fingerprint);
    finding.confidence = node.confidence;
    finding.service.clone_from(&node.service);
    place(&mut finding, group);
    let (first, last) = (rows_of(tree, at).next(), rows_of(tree, at).next_back());
    let ends = [first, last.filter(|last| Some(*last) != first)];
    finding.evidence =
        ends.into_iter().flatten().filter_map(|row| Evidence::of_row(group, group.rows.get(row)?)).collect();
    let share = (found.share * 10_000.0).round() / 10_000.0;
    finding.data.extend([
        ("node".to_owned(), json!(node.id)),
        ("self_ms".to_owned(), json!(found.self_ms)),
        ("duration_ms".to_owned(), json!(node.duration_ms)),
        ("request_ms".to_owned(), json!(total_ms)),
        ("share".to_owned(), json!(share)),
        ("on_critical_path".to_owned(), json!(tree.critical_path.contains(&at))),
    ]);
    if let Some(name) = &node.name {
        finding.data.insert("name".to_owned(), json!(name));
    }
    Some(finding)
}

/// A request of which parts are surely missing: parent spans that nobody logged, or a forced end.
pub(super) fn incomplete(group: &Group, tree: &Hierarchy, why: ClosedBy) -> Option<Finding> {
    let request = &group.key.value;
    let cut = match why {
        ClosedBy::MaxSpan => Some("it was longer than `max_span`"),
        ClosedBy::Memory => Some("memory ran out"),
        _ => None,
    };
    let title = match (cut, tree.missing_parents) {
        (Some(cut), _) => format!("request {request} was cut: {cut}"),
        (None, 0) => return None,
        (None, 1) => format!("request {request} is incomplete: a parent span was never logged"),
        (None, missing) => {
            format!("request {request} is incomplete: {missing} parent spans were never logged")
        }
    };
    let orphans = || {
        tree.nodes.iter().enumerate().filter(|(_, node)| node.evidence.first() == Some(&PARENT_NOT_LOGGED))
    };
    let first = orphans().next().map(|(_, node)| node).or_else(|| tree.nodes.first());
    let service = first.and_then(|node| node.service.clone());
    let [kind_service, kind_name] = first.map(kind_of).unwrap_or_default();
    let cause = cut.unwrap_or(PARENT_NOT_LOGGED);
    let fingerprint = Id::of(&[FindingKind::Incomplete.name(), cause, &kind_service, &kind_name]);
    let (start, _) = extent(&tree.nodes);
    let mut finding = Finding::new(FindingKind::Incomplete, Severity::Low, title, start, fingerprint);
    finding.service = service;
    place(&mut finding, group);
    finding.data.insert("closed_by".to_owned(), json!(why));
    if tree.missing_parents > 0 {
        let mut missing: Vec<&str> = Vec::new();
        for (at, node) in orphans().take(LISTED_MAX) {
            let named = rows_of(tree, at).find_map(|row| {
                let row = group.rows.get(row)?;
                Some((row, group.get(row.parent_span)?))
            });
            let Some((row, parent)) = named else { continue };
            if missing.last() != Some(&parent) {
                missing.push(parent);
            }
            finding.evidence.extend(Evidence::of_row(group, row));
            debug_assert_eq!(node.parent, None);
        }
        missing.sort_unstable();
        missing.dedup();
        finding.data.insert("missing_parents".to_owned(), json!(tree.missing_parents));
        finding.data.insert("parents".to_owned(), json!(missing));
    }
    Some(finding)
}

fn place(finding: &mut Finding, group: &Group) {
    finding.key = Some(group.key.clone());
    finding.timeline = Some(group.id);
}
