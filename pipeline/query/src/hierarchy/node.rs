//! The nodes of a tree as answers show them.

use hashbrown::HashSet;
use logbraid_core::record::{DEPTH_MAX, Millis};
use logbraid_core::tree::{Hierarchy, Method, Node, NodeKind};
use logbraid_core::{EventTime, Level};
use schemars::JsonSchema;
use serde::Serialize;

use crate::InOrder;

/// A node and what is below it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TreeNode {
    /// The span or thread id.
    pub id: String,
    /// What it stands for.
    pub node_type: NodeKind,
    /// What it does, if an entry says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The service it ran in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The node above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Its depth; roots have 0.
    pub depth: usize,
    /// Its first moment.
    pub start_time: Option<EventTime>,
    /// Its last moment.
    pub end_time: Option<EventTime>,
    /// Its length: stated, else from its first moment to its last.
    #[schemars(with = "f64")]
    pub duration_ms: Millis,
    /// The part of it that no child covers.
    #[schemars(with = "f64")]
    pub self_ms: Millis,
    /// Its own entries.
    pub entry_count: u64,
    /// Its own entries at ERROR or FATAL.
    pub error_count: u64,
    /// Its own entries by level.
    pub level_counts: InOrder<u64>,
    /// How sure its place is, 0 to 1; roots are sure.
    pub confidence: f64,
    /// Why it is where it is.
    pub relationship_evidence: Vec<&'static str>,
    /// True when it is on the chain of nodes that determines the length.
    #[serde(skip_serializing_if = "is_false")]
    pub critical: bool,
    /// Nodes under it, in the order of their start.
    pub children: Vec<Self>,
    /// Nodes under it that are too deep to be shown.
    #[serde(skip_serializing_if = "is_none_hidden")]
    pub hidden: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_none_hidden(value: &usize) -> bool {
    *value == 0
}

/// The roots of a tree with everything down to `depth_max`, and how many nodes that leaves out.
pub(crate) fn roots(tree: &Hierarchy, depth_max: usize) -> (Vec<TreeNode>, usize) {
    let critical: HashSet<usize> = tree.critical_path.iter().copied().collect();
    // Deeper documents overflow the stacks of those who read them.
    let depth_max = depth_max.min(DEPTH_MAX - 2);
    let sizes = sizes(tree);
    let below = |at: usize| view(tree, at, depth_max, &critical, &sizes);
    let shown = tree.nodes.iter().filter(|node| node.depth <= depth_max).count();
    (tree.roots.iter().map(|at| below(*at)).collect(), tree.nodes.len() - shown)
}

/// How many nodes each node has under it.
fn sizes(tree: &Hierarchy) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tree.nodes.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(tree.nodes[*at].depth));
    let mut sizes = vec![0; tree.nodes.len()];
    for at in order {
        if let Some(parent) = tree.nodes[at].parent {
            sizes[parent] += sizes[at] + 1;
        }
    }
    sizes
}

/// Recursion goes as deep as `depth_max`, which is bounded.
fn view(
    tree: &Hierarchy,
    at: usize,
    depth_max: usize,
    critical: &HashSet<usize>,
    sizes: &[usize],
) -> TreeNode {
    let node = &tree.nodes[at];
    let leaf = node.depth >= depth_max;
    let children = if leaf { &[][..] } else { node.children.as_slice() };
    TreeNode {
        id: node.id.clone(),
        node_type: node.kind,
        name: node.name.clone(),
        service: node.service.clone(),
        parent_id: node.parent.and_then(|parent| tree.nodes.get(parent)).map(|parent| parent.id.clone()),
        depth: node.depth,
        start_time: known(node.start),
        end_time: known(node.end),
        duration_ms: Millis(node.duration_ms),
        self_ms: Millis(node.self_ms),
        entry_count: node.entries,
        error_count: node.errors,
        level_counts: levels(node),
        confidence: node.confidence,
        relationship_evidence: node.evidence.clone(),
        critical: critical.contains(&at),
        children: children.iter().map(|child| view(tree, *child, depth_max, critical, sizes)).collect(),
        hidden: if leaf { sizes.get(at).copied().unwrap_or(0) } else { 0 },
    }
}

pub(crate) fn known(time: EventTime) -> Option<EventTime> {
    time.is_known().then_some(time)
}

/// A node's entries by level; those without one are `UNKNOWN`.
pub(crate) fn levels(node: &Node) -> InOrder<u64> {
    let of = |level: Level| (level.name().to_owned(), node.levels.of(level));
    let mut counts: Vec<(String, u64)> =
        Level::ALL.into_iter().map(of).filter(|(_, count)| *count > 0).collect();
    let counted: u64 = counts.iter().map(|(_, count)| *count).sum();
    if node.entries > counted {
        counts.push(("UNKNOWN".to_owned(), node.entries - counted));
    }
    InOrder(counts)
}

/// What people call a node: its service and what it does, else its id.
pub(crate) fn label(node: &Node) -> String {
    let service = node.service.as_deref().filter(|service| *service != node.id);
    match (service, node.name.as_deref()) {
        (Some(service), Some(name)) => format!("{service}: {name}"),
        (Some(service), None) => format!("{service}: {}", node.id),
        (None, Some(name)) if node.kind == NodeKind::Span => name.to_owned(),
        (None, Some(name)) => format!("{}: {name}", node.id),
        (None, None) => node.id.clone(),
    }
}

/// The batch tool's names of the ways in which links were found.
pub(crate) fn methods(tree: &Hierarchy) -> (String, Vec<String>) {
    let name = |method: Method| match method {
        Method::Explicit => "ExplicitParentId",
        Method::Naming => "NamingPattern",
        Method::Temporal => "TemporalInference",
    };
    let used: Vec<String> = tree.methods.iter().map(|(method, _)| name(*method).to_owned()).collect();
    let one = match used.as_slice() {
        [] if tree.nodes.is_empty() => "Unknown",
        [] => "None",
        [one] => one,
        _ => "Mixed",
    };
    (one.to_owned(), used)
}
