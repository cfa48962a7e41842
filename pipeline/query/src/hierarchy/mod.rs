//! `hierarchy`: who called whom in a request, and where its time went.

mod chains;
pub(crate) mod node;
#[cfg(test)]
mod tests;

use clap::{Args, ValueEnum};
use logbraid_core::record::Millis;
use logbraid_core::tree::{Hierarchy as Tree, Method};
use logbraid_core::{EventTime, Id};
use logbraid_operators::hierarchy::Linking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::chains::{Chain, Chains};
pub use self::node::TreeNode;
use crate::count::is_zero;
use crate::draw::{Picture, View};
use crate::request::{self, Of, Request};
use crate::text::Style;
use crate::{Canvas, IdKind, Question, QuestionError, Reply, Window};

/// Which request, and how its tree is found and drawn.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct Hierarchy {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub of: Of,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub how: How,
    /// Layers below the roots that are shown; what is deeper is counted.
    #[arg(long, value_name = "N", default_value_t = DEPTH)]
    #[serde(default = "depth")]
    pub max_depth: usize,
    /// How it is drawn for people.
    #[arg(long, value_name = "VIEW")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

/// Layers that are shown by default.
const DEPTH: usize = 50;
const fn depth() -> usize {
    DEPTH
}

/// How parents are found.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct How {
    /// Leaves out links less sure than this: stated ones have 1, by name 0.8, by time 0.6.
    #[arg(long, value_name = "0-1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// Ways to find a parent; all by default.
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub method: Vec<By>,
}

/// A way to find a node's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A stated parent span.
    Explicit,
    /// `worker-1.task` belongs under `worker-1`.
    Naming,
    /// A thread's time lies within another's.
    Temporal,
}

impl How {
    pub(crate) fn linking(&self) -> Result<Linking, QuestionError> {
        let default = Linking::default();
        let min_confidence = self.min_confidence.unwrap_or(default.min_confidence);
        if !(0.0..=1.0).contains(&min_confidence) {
            return Err(QuestionError::new(
                "usage",
                format!("`--min-confidence`: `{min_confidence}` is not from 0 to 1"),
            )
            .help("stated parents have 1, by name 0.8, by time 0.6; try `--min-confidence 0.7`"));
        }
        let methods = if self.method.is_empty() {
            default.methods
        } else {
            self.method
                .iter()
                .map(|by| match by {
                    By::Explicit => Method::Explicit,
                    By::Naming => Method::Naming,
                    By::Temporal => Method::Temporal,
                })
                .collect()
        };
        Ok(Linking { methods, min_confidence })
    }
}

/// The tree of a request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// The id that was asked for.
    pub identifier: String,
    /// What it is; none when no entry carries it.
    pub identifier_type: Option<IdKind>,
    /// The id of the request's timeline in a stream, unless that told of an error before it knew all of its ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Id>,
    /// The ids that its entries carry.
    pub ids: request::Ids,
    /// Nodes without a parent, and under them the others.
    pub roots: Vec<TreeNode>,
    /// All nodes.
    pub total_nodes: usize,
    /// The deepest layer; roots have 0.
    pub max_depth: usize,
    /// Entries of the request, each in one node.
    pub total_entries: u64,
    /// When it began.
    pub start_time: Option<EventTime>,
    /// From the first moment of any node to the last.
    #[schemars(with = "f64")]
    pub total_duration_ms: Millis,
    /// Most nodes that were at work at one moment.
    pub concurrent_count: usize,
    /// The node with the most time of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<Bottleneck>,
    /// The chain of nodes that determines the length.
    pub critical_path: Vec<String>,
    /// Nodes with errors of their own.
    pub error_nodes: Vec<String>,
    /// How links were found: one way, `Mixed`, `None` or, without entries, `Unknown`.
    pub detection_method: String,
    /// The ways that found links.
    pub detection_methods: Vec<String>,
    /// Parents that entries name and nobody logged.
    #[serde(skip_serializing_if = "is_nothing")]
    pub missing_parents: usize,
    /// Nodes whose link was cut because it closed a cycle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cycles_cut: Vec<String>,
    /// Requests that started this one, and that it started.
    #[serde(flatten)]
    pub chains: Chains,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// Nodes that are too deep to be shown.
    #[serde(skip_serializing_if = "is_nothing")]
    pub hidden_nodes: usize,
    /// True when not all entries were looked at or not all nodes are shown.
    pub truncated: bool,
    /// The whole tree, for drawings.
    #[serde(skip)]
    pub(crate) tree: Tree,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_nothing(count: &usize) -> bool {
    *count == 0
}

/// Where a request's time went.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Bottleneck {
    /// The node.
    pub node_id: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its length.
    #[schemars(with = "f64")]
    pub duration_ms: Millis,
    /// The part of it that no child covers.
    #[schemars(with = "f64")]
    pub self_ms: Millis,
    /// That part's share of the request, in percent.
    pub percentage: f64,
    /// Its depth.
    pub depth: usize,
}

impl Bottleneck {
    pub(crate) fn of(tree: &Tree) -> Option<Self> {
        let found = tree.bottleneck.as_ref()?;
        let node = tree.nodes.iter().find(|node| node.id == found.node)?;
        Some(Self {
            node_id: node.id.clone(),
            node_name: node.name.clone(),
            service: node.service.clone(),
            duration_ms: Millis(node.duration_ms),
            self_ms: Millis(found.self_ms),
            percentage: (found.share * 1000.0).round() / 10.0,
            depth: node.depth,
        })
    }
}

/// From the first moment of a tree to its last.
pub(crate) fn extent(tree: &Tree) -> (Option<EventTime>, f64) {
    let start = tree.nodes.iter().map(|node| node.start).min();
    let end = tree.nodes.iter().map(|node| node.end).max();
    match (start, end) {
        (Some(start), Some(end)) => (node::known(start), end.since(start).millis()),
        _ => (None, 0.0),
    }
}

impl Question for Hierarchy {
    const NAME: &'static str = "hierarchy";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn is_drawing(&self) -> bool {
        self.view.is_some()
    }

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let linking = self.how.linking()?;
        let Some(found) = Request::find(window, &self.of) else {
            return Ok(Reply::when(false, Answer::none(&self.of.id)));
        };
        let found = found.with_tree(&self.of.id, &linking);
        let chains = Chains::of(window, &found);
        Ok(Reply::found(self.answer(found, chains)))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        answer.draw(self.view.unwrap_or_default(), self.max_depth, canvas);
        true
    }
}

impl Hierarchy {
    fn answer(&self, mut found: Request<'_>, chains: Chains) -> Answer {
        let tree = found.group.hierarchy.take().unwrap_or_default();
        let (roots, hidden_nodes) = node::roots(&tree, self.max_depth);
        let (detection_method, detection_methods) = node::methods(&tree);
        let (start_time, total) = extent(&tree);
        let id = |at: &usize| tree.nodes.get(*at).map(|node| node.id.clone());
        let mut failed: Vec<usize> = (0..tree.nodes.len()).filter(|at| tree.nodes[*at].errors > 0).collect();
        failed.sort_by_key(|at| (tree.nodes[*at].start, *at));
        Answer {
            identifier: self.of.id.clone(),
            identifier_type: Some(found.kind),
            timeline: Some(request::timeline_id(&found.group)),
            ids: request::Ids::of(&found.group),
            roots,
            total_nodes: tree.nodes.len(),
            max_depth: tree.depth().saturating_sub(1),
            total_entries: found.total,
            start_time,
            total_duration_ms: Millis(total),
            concurrent_count: tree.concurrency_max,
            bottleneck: Bottleneck::of(&tree),
            critical_path: tree.critical_path.iter().filter_map(id).collect(),
            error_nodes: failed.iter().filter_map(id).collect(),
            detection_method,
            detection_methods,
            missing_parents: tree.missing_parents,
            cycles_cut: tree.cycles_cut.clone(),
            chains,
            unreadable: found.unreadable,
            hidden_nodes,
            truncated: found.is_cut() || hidden_nodes > 0,
            tree,
        }
    }
}

impl Answer {
    fn none(id: &str) -> Self {
        Self {
            identifier: id.to_owned(),
            identifier_type: None,
            timeline: None,
            ids: request::Ids::default(),
            roots: Vec::new(),
            total_nodes: 0,
            max_depth: 0,
            total_entries: 0,
            start_time: None,
            total_duration_ms: Millis(0.0),
            concurrent_count: 0,
            bottleneck: None,
            critical_path: Vec::new(),
            error_nodes: Vec::new(),
            detection_method: "Unknown".to_owned(),
            detection_methods: Vec::new(),
            missing_parents: 0,
            cycles_cut: Vec::new(),
            chains: Chains::default(),
            unreadable: 0,
            hidden_nodes: 0,
            truncated: false,
            tree: Tree::default(),
        }
    }

    fn draw(&self, view: View, depth_max: usize, canvas: &mut Canvas) {
        if self.total_nodes == 0 {
            let text = format!("no entry carries `{}`", self.identifier);
            return canvas.line(&text, |_, text| text.to_owned());
        }
        head(&self.identifier, &self.tree, self.total_entries, canvas);
        Picture::new(&self.tree, depth_max, |_| true).draw(view, canvas);
        let slow = self.bottleneck.as_ref().filter(|slow| slow.self_ms.0 > 0.0);
        if let Some(Bottleneck { node_id, self_ms, percentage, .. }) = slow {
            let named = self.tree.nodes.iter().find(|node| node.id == *node_id);
            let name = named.map_or_else(|| node_id.clone(), node::label);
            let time = crate::text::duration(self_ms.0);
            let text = format!("most time of its own: {name} [{node_id}], {time} ({percentage}%)");
            crate::draw::paragraph(&text, canvas, Style::warn);
        }
        self.chains.draw(canvas);
    }
}

/// The line above a drawing: what it is of.
pub(crate) fn head(id: &str, tree: &Tree, entries: u64, canvas: &mut Canvas) {
    use crate::text::{Style, counted, duration};
    let (_, total) = extent(tree);
    let text = format!(
        "{id}   {}   {}   {}   {}",
        duration(total),
        counted(tree.nodes.len() as u64, "node", "nodes"),
        counted(tree.depth() as u64, "layer", "layers"),
        counted(entries, "entry", "entries"),
    );
    canvas.line(&text, Style::bold);
}
