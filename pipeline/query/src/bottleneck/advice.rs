//! What the shape of a tree says about making it shorter. Facts first; the sentences follow from them.

use logbraid_core::record::Millis;
use logbraid_core::tree::{Hierarchy as Tree, Node};
use schemars::JsonSchema;
use serde::Serialize;

use super::{by_own_time, percent};
use crate::hierarchy::{self, node};
use crate::text::duration;

/// A share of the request from which a node is worth a word, in percent.
const SHARE_MIN: f64 = 20.0;
/// A saving worth a word, as a share of the request.
const SAVING_MIN: f64 = 0.1;
/// Calls of one kind from which repetition is worth a word.
const REPEATED_MIN: usize = 3;
/// Most of each kind that are listed.
const LISTED_MAX: usize = 5;

/// What could make a request shorter.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Advice {
    /// The node with the most time of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_bottleneck: Option<hierarchy::Bottleneck>,
    /// Other nodes with at least a fifth of the request of their own.
    pub secondary_bottlenecks: Vec<String>,
    /// Children of one node that ran one after the other.
    pub parallelization_opportunities: Vec<Saving>,
    /// Calls of one kind that were made several times under one node.
    pub caching_opportunities: Vec<Saving>,
    /// The largest of these savings: they can overlap, so that they do not add up.
    #[schemars(with = "f64")]
    pub estimated_improvement_ms: Millis,
    /// The same in words.
    pub optimization_suggestions: Vec<Suggestion>,
}

/// Something that could be saved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Saving {
    /// The node whose children these are.
    pub node_id: String,
    /// Its depth.
    pub depth: usize,
    /// The children; at most five are listed.
    pub nodes: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// At most so much would be saved.
    #[schemars(with = "f64")]
    pub potential_savings_ms: Millis,
}

/// A proposal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Suggestion {
    /// What it is about: `bottleneck`, `parallel`, `repeated` or `failed`.
    pub kind: &'static str,
    /// The node that it is about.
    pub node_id: String,
    /// In words.
    pub text: String,
}

impl Advice {
    pub(super) fn of(tree: &Tree, total: f64) -> Self {
        let mut advice = Self { primary_bottleneck: hierarchy::Bottleneck::of(tree), ..Self::default() };
        if total <= 0.0 {
            return advice;
        }
        let order = by_own_time(tree);
        let large = |at: &&usize| percent(tree.nodes[**at].self_ms, total) >= SHARE_MIN;
        advice.secondary_bottlenecks =
            order.iter().skip(1).filter(large).take(4).map(|at| tree.nodes[*at].id.clone()).collect();
        for node in &tree.nodes {
            advice.note_sequence(tree, node, total);
            advice.note_repetition(tree, node, total);
        }
        let largest = |a: &Saving, b: &Saving| {
            let order = b.potential_savings_ms.0.total_cmp(&a.potential_savings_ms.0);
            order.then_with(|| a.node_id.cmp(&b.node_id))
        };
        advice.parallelization_opportunities.sort_by(largest);
        advice.parallelization_opportunities.truncate(LISTED_MAX);
        advice.caching_opportunities.sort_by(largest);
        advice.caching_opportunities.truncate(LISTED_MAX);
        let savings = advice.parallelization_opportunities.iter().chain(&advice.caching_opportunities);
        let most = savings.map(|saving| saving.potential_savings_ms.0).fold(0.0, f64::max);
        advice.estimated_improvement_ms = Millis(most);
        advice.put_into_words(tree, total);
        advice
    }

    /// Children that ran one after the other: at best, all of them take as long as the longest.
    fn note_sequence(&mut self, tree: &Tree, node: &Node, total: f64) {
        let mut runs: Vec<&Node> = Vec::new();
        let mut until = None;
        for child in &node.children {
            let child = &tree.nodes[*child];
            if child.end <= child.start {
                continue;
            }
            if until.is_some_and(|until| child.start < until) {
                continue;
            }
            until = Some(child.end);
            runs.push(child);
        }
        let sum: f64 = runs.iter().map(|run| run.end.since(run.start).millis()).sum();
        let longest = runs.iter().map(|run| run.end.since(run.start).millis()).fold(0.0, f64::max);
        if runs.len() >= 2 && sum - longest > SAVING_MIN * total {
            self.parallelization_opportunities.push(Saving {
                node_id: node.id.clone(),
                depth: node.depth,
                count: runs.len(),
                nodes: runs.iter().take(LISTED_MAX).map(|run| run.id.clone()).collect(),
                potential_savings_ms: Millis(sum - longest),
            });
        }
    }

    /// Calls of one kind, by service and operation, of which all but the first might be spared.
    fn note_repetition(&mut self, tree: &Tree, node: &Node, total: f64) {
        let mut named: Vec<(Option<&str>, &str, usize)> = node
            .children
            .iter()
            .filter_map(|at| {
                let child = &tree.nodes[*at];
                Some((child.service.as_deref(), child.name.as_deref()?, *at))
            })
            .collect();
        named.sort_unstable();
        for same in named.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let times: Vec<f64> = same.iter().map(|(_, _, at)| tree.nodes[*at].duration_ms).collect();
            let saved = times.iter().sum::<f64>() - times.iter().copied().fold(0.0, f64::max);
            if same.len() >= REPEATED_MIN && saved > SAVING_MIN * total {
                self.caching_opportunities.push(Saving {
                    node_id: node.id.clone(),
                    depth: node.depth + 1,
                    count: same.len(),
                    nodes: same
                        .iter()
                        .take(LISTED_MAX)
                        .map(|(_, _, at)| tree.nodes[*at].id.clone())
                        .collect(),
                    potential_savings_ms: Millis(saved),
                });
            }
        }
    }

    fn put_into_words(&mut self, tree: &Tree, total: f64) {
        let name = |id: &str| {
            let node = tree.nodes.iter().find(|node| node.id == id);
            node.map_or_else(|| id.to_owned(), node::label)
        };
        let mut said = Vec::new();
        if let Some(primary) = &self.primary_bottleneck
            && primary.percentage > 30.0
        {
            said.push(Suggestion {
                kind: "bottleneck",
                node_id: primary.node_id.clone(),
                text: format!(
                    "look into `{}` first: {}% of the request is its own time",
                    name(&primary.node_id),
                    primary.percentage
                ),
            });
        }
        for saving in &self.parallelization_opportunities {
            let time = duration(saving.potential_savings_ms.0);
            said.push(Suggestion {
                kind: "parallel",
                node_id: saving.node_id.clone(),
                text: format!(
                    "`{}` calls {} one after the other: at the same time, they would take up to {time} less",
                    name(&saving.node_id),
                    saving.count
                ),
            });
        }
        for saving in &self.caching_opportunities {
            let time = duration(saving.potential_savings_ms.0);
            let what = saving.nodes.first().map(|id| name(id)).unwrap_or_default();
            said.push(Suggestion {
                kind: "repeated",
                node_id: saving.node_id.clone(),
                text: format!(
                    "`{}` calls `{what}` {} times: once, or in a batch, it would take up to {time} less",
                    name(&saving.node_id),
                    saving.count
                ),
            });
        }
        let failed = tree.nodes.iter().filter(|node| node.errors > 0 && node.self_ms > SAVING_MIN * total);
        for node in failed.take(LISTED_MAX) {
            said.push(Suggestion {
                kind: "failed",
                node_id: node.id.clone(),
                text: format!(
                    "`{}` took {} of its own and failed: a shorter timeout would tell sooner",
                    node::label(node),
                    duration(node.self_ms)
                ),
            });
        }
        self.optimization_suggestions = said;
    }
}
