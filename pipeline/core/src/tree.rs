//! The tree of a request's work: who called whom, for how long.

use serde::Serialize;

use crate::level::LevelCounts;
use crate::time::EventTime;

/// What a node stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A span.
    Span,
    /// A thread of a service.
    Thread,
    /// The request itself, for entries with neither span nor thread.
    Correlation,
}

/// How a node came under its parent.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The record names its parent span.
    Explicit,
    /// The name extends the parent's: `worker-1` and `worker-1.task`.
    Naming,
    /// It ran within the parent's time.
    Temporal,
}

impl Method {
    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Naming => "naming",
            Self::Temporal => "temporal",
        }
    }
}

/// One node of the tree. Children follow by index, in order of their start.
#[derive(Clone, Debug)]
pub struct Node {
    /// The span or thread id.
    pub id: String,
    /// What it stands for.
    pub kind: NodeKind,
    /// What it does, if a record says so.
    pub name: Option<String>,
    /// The service it ran in.
    pub service: Option<String>,
    /// Its first moment.
    pub start: EventTime,
    /// Its last moment.
    pub end: EventTime,
    /// Its own length in milliseconds: stated, else from first to last moment.
    pub duration_ms: f64,
    /// The part of it that no child covers.
    pub self_ms: f64,
    /// Entries that are its own.
    pub entries: u64,
    /// Own entries at ERROR or FATAL.
    pub errors: u64,
    /// Own entries by level.
    pub levels: LevelCounts,
    /// How sure its place is, 0 to 1; roots are sure.
    pub confidence: f64,
    /// Why it is where it is.
    pub evidence: Vec<&'static str>,
    /// Its parent, by index.
    pub parent: Option<usize>,
    /// Its children, by index.
    pub children: Vec<usize>,
    /// Its depth; roots have 0.
    pub depth: usize,
}

/// Where a request's time went.
#[derive(Clone, PartialEq, Debug, Serialize, schemars::JsonSchema)]
pub struct Bottleneck {
    /// The node with the most time of its own.
    pub node: String,
    /// That time.
    pub self_ms: f64,
    /// Its share of the request, 0 to 1.
    pub share: f64,
}

/// The tree of a request.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// All nodes, in order of their start.
    pub nodes: Vec<Node>,
    /// Nodes without a parent, by index.
    pub roots: Vec<usize>,
    /// For each entry of the group, its node.
    pub node_of_row: Vec<u32>,
    /// Links by method.
    pub methods: Vec<(Method, u64)>,
    /// The chain of nodes that determines the length, from the root down.
    pub critical_path: Vec<usize>,
    /// The node with the most time of its own.
    pub bottleneck: Option<Bottleneck>,
    /// Most nodes that were at work at one moment.
    pub concurrency_max: usize,
    /// Parents that records name and nobody logged.
    pub missing_parents: usize,
    /// Nodes whose link was cut because it closed a cycle.
    pub cycles_cut: Vec<String>,
}

impl Hierarchy {
    /// The number of layers.
    pub fn depth(&self) -> usize {
        self.nodes.iter().map(|node| node.depth + 1).max().unwrap_or(0)
    }
    /// The way from the root to `node`, both included.
    pub fn path(&self, node: usize) -> Vec<usize> {
        let mut path = vec![node];
        let mut at = node;
        while let Some(parent) = self.nodes.get(at).and_then(|node| node.parent) {
            // Links cannot form a cycle: the builder cut those.
            path.push(parent);
            at = parent;
        }
        path.reverse();
        path
    }
}
