//! What is different between two trees.

use std::collections::BTreeMap;

use logbraid_core::record::Millis;
use logbraid_core::template::mask;
use logbraid_core::tree::{Hierarchy as Tree, NodeKind};
use logbraid_core::{Group, KeyKind};
use schemars::JsonSchema;
use serde::Serialize;

use super::side::without;
use crate::Canvas;
use crate::draw::paragraph;
use crate::hierarchy::extent;
use crate::hierarchy::node::label;
use crate::request::Request;
use crate::text::duration;

/// A difference in length from which a node counts as changed, in milliseconds.
const CHANGE_MIN_MS: f64 = 10.0;
/// Most nodes of each list.
const LISTED_MAX: usize = 50;

/// What is different between two trees. Nodes of one name under parents of one name are the same node: ids differ from
/// request to request.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Trees {
    /// By how much the second is longer.
    #[schemars(with = "f64")]
    pub duration_change_ms: Millis,
    /// The same in percent of the first; none when that took no time.
    pub duration_change_percent: Option<f64>,
    /// How many more nodes the second has.
    pub node_count_change: i64,
    /// Nodes that are shorter in the second, the largest change first.
    pub improved_nodes: Vec<Change>,
    /// Nodes that are longer in the second, the largest change first.
    pub degraded_nodes: Vec<Change>,
    /// Nodes that only the second has.
    pub new_nodes: Vec<String>,
    /// Nodes that only the first has.
    pub removed_nodes: Vec<String>,
    /// Nodes that failed in the second only.
    pub new_errors: Vec<String>,
    /// Nodes that failed in the first only.
    pub resolved_errors: Vec<String>,
    /// True when not all are listed.
    #[serde(skip_serializing_if = "is_false")]
    pub truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A node that took longer or less long.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Change {
    /// Its path from the root.
    pub node: String,
    /// Its length in the first.
    #[schemars(with = "f64")]
    pub before_ms: Millis,
    /// Its length in the second.
    #[schemars(with = "f64")]
    pub after_ms: Millis,
    /// The difference.
    #[schemars(with = "f64")]
    pub change_ms: Millis,
}

/// What is known of a node by its path: nodes of one path are taken together.
#[derive(Default)]
struct Known {
    ms: f64,
    errors: u64,
}

/// Nodes by path.
fn by_path(group: &Group, tree: &Tree) -> BTreeMap<String, Known> {
    // Parents stand before children in the order of depth, so that each path is its parent's and one name more.
    let mut order: Vec<usize> = (0..tree.nodes.len()).collect();
    order.sort_by_key(|at| tree.nodes[*at].depth);
    let mut paths: Vec<String> = vec![String::new(); tree.nodes.len()];
    let mut nodes: BTreeMap<String, Known> = BTreeMap::new();
    for at in order {
        let node = &tree.nodes[at];
        // Ids of spans are different in every request; those of threads are names.
        let name = match (node.kind, &node.service, &node.name) {
            (NodeKind::Span, Some(service), None) | (NodeKind::Correlation, Some(service), _) => {
                service.clone()
            }
            (NodeKind::Correlation, None, _) => "request".to_owned(),
            // Numbers and ids in what a node does make no difference.
            _ => {
                let requests = group.ids.iter().filter(|(kind, _)| kind != KeyKind::Thread.name());
                let ids = requests.flat_map(|(_, ids)| ids).chain([&node.id]);
                mask(&ids.fold(label(node), |name, id| without(&name, id)))
            }
        };
        let path = match node.parent {
            // Paths of very deep trees would take the square of their depth.
            Some(parent) if node.depth <= 64 => format!("{} › {name}", paths[parent]),
            Some(parent) => paths[parent].clone(),
            None => name,
        };
        let known = nodes.entry(path.clone()).or_default();
        known.ms += node.duration_ms;
        known.errors += node.errors;
        paths[at] = path;
    }
    nodes
}

impl Trees {
    pub(super) fn of(first: &Request<'_>, second: &Request<'_>) -> Option<Self> {
        let (group1, group2) = (&first.group, &second.group);
        let (first, second) = (group1.hierarchy.as_ref()?, group2.hierarchy.as_ref()?);
        let ((_, before), (_, after)) = (extent(first), extent(second));
        let count = |tree: &Tree| i64::try_from(tree.nodes.len()).unwrap_or(i64::MAX);
        let mut trees = Self {
            duration_change_ms: Millis(after - before),
            duration_change_percent: (before > 0.0)
                .then(|| ((after - before) / before * 1000.0).round() / 10.0),
            node_count_change: count(second) - count(first),
            ..Self::default()
        };
        let (first, second) = (by_path(group1, first), by_path(group2, second));
        for (path, a) in &first {
            match second.get(path) {
                None => trees.removed_nodes.push(path.clone()),
                Some(b) => {
                    let change = b.ms - a.ms;
                    let list =
                        if change > 0.0 { &mut trees.degraded_nodes } else { &mut trees.improved_nodes };
                    if change.abs() > CHANGE_MIN_MS {
                        list.push(Change {
                            node: path.clone(),
                            before_ms: Millis(a.ms),
                            after_ms: Millis(b.ms),
                            change_ms: Millis(change),
                        });
                    }
                }
            }
            if a.errors > 0 && second.get(path).is_none_or(|b| b.errors == 0) {
                trees.resolved_errors.push(path.clone());
            }
        }
        for (path, b) in &second {
            if !first.contains_key(path) {
                trees.new_nodes.push(path.clone());
            }
            if b.errors > 0 && first.get(path).is_none_or(|a| a.errors == 0) {
                trees.new_errors.push(path.clone());
            }
        }
        let size = |change: &Change| change.change_ms.0.abs();
        for list in [&mut trees.improved_nodes, &mut trees.degraded_nodes] {
            list.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.node.cmp(&b.node)));
            trees.truncated |= list.len() > LISTED_MAX;
            list.truncate(LISTED_MAX);
        }
        for list in [
            &mut trees.new_nodes,
            &mut trees.removed_nodes,
            &mut trees.new_errors,
            &mut trees.resolved_errors,
        ] {
            trees.truncated |= list.len() > LISTED_MAX;
            list.truncate(LISTED_MAX);
        }
        Some(trees)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas) {
        for (slower, change) in self
            .degraded_nodes
            .iter()
            .map(|change| (true, change))
            .chain(self.improved_nodes.iter().map(|change| (false, change)))
        {
            let (before, after) = (duration(change.before_ms.0), duration(change.after_ms.0));
            let text = format!("{before:>8} → {after:<8} {}", change.node);
            paragraph(&text, canvas, |style, text| if slower { style.warn(text) } else { style.good(text) });
        }
        for node in &self.new_errors {
            paragraph(&format!("✗ failed only in the second: {node}"), canvas, |style, text| {
                style.error(text)
            });
        }
    }
}
