//! Says in one sentence where an error began and how it spread.

use logbraid_core::tree::Hierarchy;
use logbraid_core::{Evidence, Finding, FindingKind, Group, Id, Severity};
use serde_json::json;

use super::target::target;
use super::trace::{Traced, clipped};

/// Most entries that a finding shows.
const EVIDENCE_MAX: usize = 10;
/// Most bytes of a message in a title.
const TITLE_BYTES_MAX: usize = 120;
/// Most bytes of a message among the evidence.
const EVIDENCE_BYTES_MAX: usize = 4096;
/// Most services that a title lists.
const SERVICES_MAX: usize = 6;

/// The finding and its origin: what early and closed views of the request share.
pub(super) fn finding(group: &Group, tree: &Hierarchy, traced: &Traced) -> Option<(Id, Finding)> {
    let flow = &traced.flow;
    let cause = flow.root_causes.first()?;
    let chain = flow.chains.iter().find(|chain| chain.root_cause == cause.node);
    let own = || cause.service.iter().cloned().collect::<Vec<String>>();
    let services = chain.map_or_else(own, |chain| chain.services.clone());
    let mut title = cause.service.as_ref().map(|service| format!("{service}: ")).unwrap_or_default();
    let line = cause.message.lines().next().unwrap_or_default().trim_end().trim_end_matches('.');
    title += &clipped(line, TITLE_BYTES_MAX);
    title += &spread(&services);
    title += &others(traced.causes.saturating_sub(1));
    let origin = Id::of(&[
        FindingKind::ErrorFlow.name(),
        cause.service.as_deref().unwrap_or_default(),
        &cause.template.to_string(),
    ]);
    let severity = severity(&services, traced);
    let mut finding =
        Finding::new(FindingKind::ErrorFlow, severity, title, cause.timestamp, flow.fingerprint);
    finding.confidence = (traced.confidence * 1e4).round() / 1e4;
    finding.service.clone_from(&cause.service);
    finding.key = Some(group.key.clone());
    finding.timeline = Some(group.id);
    finding.evidence = evidence(group, traced);
    let share = flow.affected_nodes as f64 / tree.nodes.len().max(1) as f64;
    let data = &mut finding.data;
    let known = |word: &str| tree.nodes.iter().any(|node| node.service.as_deref() == Some(word));
    if let Some(dependency) = target(&cause.message, known) {
        data.insert("dependency".to_owned(), json!(dependency));
    }
    data.extend([
        ("root_cause".to_owned(), json!(cause)),
        ("chain".to_owned(), json!(services)),
        ("steps".to_owned(), json!(chain.map(|chain| chain.steps.as_slice()).unwrap_or_default())),
        ("root_causes".to_owned(), json!(traced.causes)),
        ("affected_nodes".to_owned(), json!(flow.affected_nodes)),
        ("affected_share".to_owned(), json!((share * 1e4).round() / 1e4)),
        ("outcome".to_owned(), json!(group.outcome())),
    ]);
    Some((origin, finding))
}

/// ` spread through payments and checkout to gateway`.
fn spread(services: &[String]) -> String {
    // The way may come back to a service; a sentence names each once.
    let mut seen: Vec<&str> = Vec::new();
    for service in services {
        if !seen.contains(&service.as_str()) {
            seen.push(service);
        }
    }
    let Some((last, between)) = seen.get(1..).and_then(<[&str]>::split_last) else { return String::new() };
    let listed = between.len().min(SERVICES_MAX);
    match (&between[..listed], between.len() - listed) {
        ([], _) => format!(" spread to {last}"),
        ([only], _) => format!(" spread through {only} to {last}"),
        ([head @ .., tail], 0) => format!(" spread through {} and {tail} to {last}", head.join(", ")),
        (head, more) => format!(" spread through {} and {more} more to {last}", head.join(", ")),
    }
}

/// ` (and 2 more causes)`.
fn others(causes: usize) -> String {
    match causes {
        0 => String::new(),
        1 => " (and 1 more cause)".to_owned(),
        more => format!(" (and {more} more causes)"),
    }
}

fn severity(services: &[String], traced: &Traced) -> Severity {
    let mut distinct: Vec<&String> = services.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    match distinct.len() {
        _ if traced.fatal => Severity::Critical,
        3.. if traced.reached_front => Severity::Critical,
        2.. => Severity::High,
        _ => Severity::Medium,
    }
}

/// The entries along the first chain, then the other causes' own.
fn evidence(group: &Group, traced: &Traced) -> Vec<Evidence> {
    let (first, others) = traced.rows.split_first().map_or((&[][..], &[][..]), |(a, b)| (a.as_slice(), b));
    let heads = others.iter().filter_map(|rows| rows.first());
    let rows = first.iter().chain(heads).take(EVIDENCE_MAX);
    let shown = rows.filter_map(|row| Evidence::of_row(group, group.rows.get(*row)?)).map(|mut evidence| {
        if evidence.message.len() > EVIDENCE_BYTES_MAX {
            evidence.message = clipped(&evidence.message, EVIDENCE_BYTES_MAX);
        }
        evidence
    });
    shown.collect()
}
