//! `bottleneck`: where a request's time went, and what could be done about it.

mod advice;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use clap::Args;
use logbraid_core::record::Millis;
use logbraid_core::tree::Hierarchy as Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::advice::{Advice, Saving, Suggestion};
use crate::count::is_zero;
use crate::draw::{Picture, View, paragraph};
use crate::hierarchy::{self, How, node};
use crate::request::{Of, Request};
use crate::text::{Style, duration, pad};
use crate::{Canvas, IdKind, Question, QuestionError, Reply, Window};

/// Which request, and which of its nodes.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub of: Of,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub how: How,
    /// Only nodes with at least this much time of their own, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = THRESHOLD_MS)]
    #[serde(default = "threshold")]
    pub threshold_ms: f64,
    /// Most nodes that are listed; 0 for all.
    #[arg(long, value_name = "N", default_value_t = TOP)]
    #[serde(default = "top")]
    pub top_n: usize,
    /// How the request is drawn for people, beside the list.
    #[arg(long, value_name = "VIEW")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

const THRESHOLD_MS: f64 = 100.0;
const TOP: usize = 10;
const fn threshold() -> f64 {
    THRESHOLD_MS
}
const fn top() -> usize {
    TOP
}

/// Where the time went.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// The id that was asked for.
    pub identifier: String,
    /// What it is; none when no entry carries it.
    pub identifier_type: Option<IdKind>,
    /// From the first moment of the request to its last.
    #[schemars(with = "f64")]
    pub total_duration_ms: Millis,
    /// Nodes of its tree.
    pub total_nodes: usize,
    /// What was looked for.
    pub analysis: Analysis,
    /// Nodes by the time of their own, most first.
    pub bottlenecks: Vec<Slow>,
    /// The node with the most time of its own, however little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hierarchy_bottleneck: Option<hierarchy::Bottleneck>,
    /// What could make it shorter.
    pub advice: Advice,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// True when not all entries were looked at or not all nodes are listed.
    pub truncated: bool,
    /// The tree, for drawings.
    #[serde(skip)]
    tree: Tree,
    #[serde(skip)]
    entries: u64,
}

/// What was looked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Analysis {
    /// Least time of its own.
    #[schemars(with = "f64")]
    pub threshold_ms: Millis,
    /// Nodes that have it, listed or not.
    pub nodes_above_threshold: usize,
}

/// A node that took time of its own.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Slow {
    /// The node.
    pub node_id: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The part of it that no child covers.
    #[schemars(with = "f64")]
    pub self_ms: Millis,
    /// That part's share of the request, in percent.
    pub percentage: f64,
    /// All of it.
    #[schemars(with = "f64")]
    pub duration_ms: Millis,
    /// Its depth.
    pub depth: usize,
    /// Its own entries.
    pub entry_count: u64,
    /// Its own entries at ERROR or FATAL.
    pub error_count: u64,
    /// Nodes directly under it.
    pub children_count: usize,
    /// From the root to it.
    pub path: Vec<String>,
    /// True when it is on the chain that determines the length: only there does less time make the request shorter.
    pub critical: bool,
}

impl Question for Bottleneck {
    const NAME: &'static str = "bottleneck";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn is_drawing(&self) -> bool {
        self.view.is_some()
    }

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let linking = self.how.linking()?;
        if self.threshold_ms.is_nan() || self.threshold_ms < 0.0 {
            return Err(QuestionError::new(
                "usage",
                format!("`--threshold-ms`: `{}` is not a number of milliseconds", self.threshold_ms),
            )
            .help("try `--threshold-ms 100`, or 0 for every node"));
        }
        let analysis = Analysis { threshold_ms: Millis(self.threshold_ms), nodes_above_threshold: 0 };
        let mut answer = Answer {
            identifier: self.of.id.clone(),
            identifier_type: None,
            total_duration_ms: Millis(0.0),
            total_nodes: 0,
            analysis,
            bottlenecks: Vec::new(),
            hierarchy_bottleneck: None,
            advice: Advice::default(),
            unreadable: 0,
            truncated: false,
            tree: Tree::default(),
            entries: 0,
        };
        let Some(found) = Request::find(window, &self.of) else {
            return Ok(Reply::when(false, answer));
        };
        let mut found = found.with_tree(&self.of.id, &linking);
        let tree = found.group.hierarchy.take().unwrap_or_default();
        let (_, total) = hierarchy::extent(&tree);
        let mut slow: Vec<usize> =
            (0..tree.nodes.len()).filter(|at| tree.nodes[*at].self_ms >= self.threshold_ms).collect();
        slow.sort_by(|a, b| {
            let own = |at: &usize| tree.nodes[*at].self_ms;
            own(b).total_cmp(&own(a)).then_with(|| tree.nodes[*a].id.cmp(&tree.nodes[*b].id))
        });
        answer.identifier_type = Some(found.kind);
        answer.total_duration_ms = Millis(total);
        answer.total_nodes = tree.nodes.len();
        answer.analysis.nodes_above_threshold = slow.len();
        answer.unreadable = found.unreadable;
        let listed = if self.top_n == 0 { slow.len() } else { self.top_n };
        answer.truncated = found.is_cut() || slow.len() > listed;
        answer.bottlenecks = slow.iter().take(listed).map(|at| Slow::of(&tree, *at, total)).collect();
        answer.hierarchy_bottleneck = hierarchy::Bottleneck::of(&tree);
        answer.advice = Advice::of(&tree, total);
        answer.entries = found.total;
        answer.tree = tree;
        Ok(Reply::found(answer))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        if answer.total_nodes == 0 {
            canvas.line(&format!("no entry carries `{}`", answer.identifier), |_, text| text.to_owned());
            return true;
        }
        hierarchy::head(&answer.identifier, &answer.tree, answer.entries, canvas);
        if let Some(view) = self.view {
            Picture::new(&answer.tree, usize::MAX, |_| true).draw(view, canvas);
            canvas.gap();
        }
        for slow in &answer.bottlenecks {
            let time = pad(&duration(slow.self_ms.0), 8);
            let share = format!("{:>5.1}%", slow.percentage);
            let mark = if slow.critical { "▸" } else { " " };
            let (name, above) = slow.path.split_last().map_or(("", &[][..]), |(name, above)| (name, above));
            let within =
                if above.is_empty() { String::new() } else { format!("   in {}", above.join(" › ")) };
            let text = format!("{time} {share} {mark} {name}{within}");
            let failed = slow.error_count > 0;
            paragraph(&text, canvas, |style, text| if failed { style.error(text) } else { text.to_owned() });
        }
        if answer.bottlenecks.is_empty() {
            let text = format!("no node took {} of its own", duration(self.threshold_ms));
            canvas.line(&text, |_, text| text.to_owned());
        }
        for suggestion in &answer.advice.optimization_suggestions {
            paragraph(&suggestion.text, canvas, Style::note);
        }
        true
    }
}

impl Slow {
    fn of(tree: &Tree, at: usize, total: f64) -> Self {
        let node = &tree.nodes[at];
        let path = tree.path(at);
        let path = path.iter().filter_map(|at| tree.nodes.get(*at)).map(node::label).collect();
        Self {
            node_id: node.id.clone(),
            name: node.name.clone(),
            service: node.service.clone(),
            self_ms: Millis(node.self_ms),
            percentage: percent(node.self_ms, total),
            duration_ms: Millis(node.duration_ms),
            depth: node.depth,
            entry_count: node.entries,
            error_count: node.errors,
            children_count: node.children.len(),
            path,
            critical: tree.critical_path.contains(&at),
        }
    }
}

/// A share in percent, with one decimal, at most 100.
fn percent(part: f64, whole: f64) -> f64 {
    if whole <= 0.0 {
        return 0.0;
    }
    ((part / whole * 1000.0).round() / 10.0).min(100.0)
}

/// Nodes by time of their own, most first, ties by place.
fn by_own_time(tree: &Tree) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tree.nodes.len()).collect();
    order.sort_by_key(|at| (Reverse(OrderedMs(tree.nodes[*at].self_ms)), *at));
    order
}

/// Milliseconds that are sorted as numbers.
#[derive(PartialEq)]
struct OrderedMs(f64);

impl Eq for OrderedMs {}
impl PartialOrd for OrderedMs {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for OrderedMs {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
