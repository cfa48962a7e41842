//! Draws trees of work: as a tree, as a waterfall, as a flame graph.
//!
//! ```text
//!  tree                            waterfall                       flamegraph
//!  gateway          61ms           gateway   ████████████  61ms    [gateway 61ms          ]
//!  └─ checkout      56ms           └─ check…  ██████████   56ms     [checkout 56ms       ]
//!     └─ payments   37ms              └─ pa…     ██████    37ms         [payments 37ms]
//! ```
//!
//! In the last two, columns are time: what stands under a node ran within its time. Names are cut with `…`, durations
//! never are, and what a log contains is made harmless.

mod flame;
mod lanes;
mod line;
#[cfg(test)]
mod tests;
mod tree;
mod waterfall;

use clap::ValueEnum;
use hashbrown::HashSet;
use logbraid_core::EventTime;
use logbraid_core::tree::Hierarchy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

use crate::Canvas;
use crate::hierarchy::node::label;
use crate::text::{self, Style, escaped};

pub(crate) use lanes::{Lane, Moment, lanes};

/// How a tree is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// Who called whom, a node a line.
    #[default]
    Tree,
    /// The same, with bars on an axis of time.
    Waterfall,
    /// Boxes on an axis of time, children under their parents.
    Flamegraph,
}

/// Most nodes that are drawn.
const NODES_MAX: usize = 1000;
/// Fewest columns that a drawing takes.
pub(crate) const WIDTH_MIN: usize = 40;

/// A node as it is drawn.
pub(crate) struct Item {
    /// What it is called, harmless.
    pub(crate) label: String,
    /// Its first and last moment in milliseconds from the beginning.
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) duration_ms: f64,
    pub(crate) self_ms: f64,
    pub(crate) entries: u64,
    pub(crate) errors: u64,
    pub(crate) depth: usize,
    /// For each layer above it, and for its own, whether it is the last of its siblings.
    pub(crate) last: Vec<bool>,
    /// On the chain that determines the length.
    pub(crate) critical: bool,
    /// The one with the most time of its own.
    pub(crate) bottleneck: bool,
    /// How sure its place is, 0 to 1.
    pub(crate) confidence: f64,
}

/// A tree as it is drawn: parents before their children, siblings by start.
pub(crate) struct Picture {
    pub(crate) items: Vec<Item>,
    /// From the first moment to the last, in milliseconds.
    pub(crate) total_ms: f64,
    /// Nodes that are not drawn.
    pub(crate) hidden: usize,
}

impl Picture {
    /// The nodes of `tree` that `keep` wants, down to `depth_max`. Ancestors of what is kept must be kept, too.
    pub(crate) fn new(tree: &Hierarchy, depth_max: usize, keep: impl Fn(usize) -> bool) -> Self {
        let critical: HashSet<usize> = tree.critical_path.iter().copied().collect();
        let bottleneck = tree.bottleneck.as_ref().map(|bottleneck| bottleneck.node.as_str());
        let start = tree.nodes.iter().map(|node| node.start).min().unwrap_or(EventTime::MIN);
        let end = tree.nodes.iter().map(|node| node.end).max().unwrap_or(EventTime::MIN);
        let wanted = |at: usize| keep(at) && tree.nodes.get(at).is_some_and(|node| node.depth <= depth_max);
        let kept = |children: &[usize]| -> Vec<usize> {
            children.iter().copied().filter(|at| wanted(*at)).collect()
        };
        let mut items: Vec<Item> = Vec::new();
        let mut todo: Vec<(usize, Option<usize>, bool)> = Vec::new();
        let queue = |todo: &mut Vec<(usize, Option<usize>, bool)>, nodes: &[usize], parent| {
            for (at, node) in kept(nodes).into_iter().rev().enumerate() {
                todo.push((node, parent, at == 0));
            }
        };
        queue(&mut todo, &tree.roots, None);
        while let Some((at, parent, is_last)) = todo.pop() {
            if items.len() >= NODES_MAX {
                break;
            }
            let node = &tree.nodes[at];
            let mut last = parent.and_then(|parent: usize| items.get(parent)).map_or(Vec::new(), |item| {
                // Lines of very deep trees would grow without end; far layers are not drawn anyway.
                item.last.iter().rev().take(64).rev().copied().collect()
            });
            last.push(is_last);
            items.push(Item {
                label: escaped(&label(node), true).into_owned(),
                start: node.start.since(start).millis(),
                end: node.end.since(start).millis(),
                duration_ms: node.duration_ms,
                self_ms: node.self_ms,
                entries: node.entries,
                errors: node.errors,
                depth: node.depth,
                last,
                critical: critical.contains(&at),
                bottleneck: bottleneck == Some(node.id.as_str()) && node.self_ms > 0.0,
                confidence: node.confidence,
            });
            let here = items.len() - 1;
            queue(&mut todo, &node.children, Some(here));
        }
        let all = (0..tree.nodes.len()).filter(|at| keep(*at)).count();
        let hidden = all - items.len();
        Self { items, total_ms: end.since(start).millis(), hidden }
    }

    /// Draws it.
    pub(crate) fn draw(&self, view: View, canvas: &mut Canvas) {
        if self.items.is_empty() {
            return;
        }
        let width = canvas.width.max(WIDTH_MIN);
        match view {
            View::Tree => tree::draw(self, width, canvas),
            View::Waterfall => waterfall::draw(self, width, canvas),
            View::Flamegraph => flame::draw(self, width, canvas),
        }
        if self.hidden > 0 {
            let text = format!("{} not drawn", text::counted(self.hidden as u64, "node", "nodes"));
            canvas.line(&text, Style::dim);
        }
    }
}

/// Draws a sentence on as many lines as it needs, broken at blanks; those after the first are indented.
pub(crate) fn paragraph(text: &str, canvas: &mut Canvas, paint: impl Fn(Style, &str) -> String) {
    let text = escaped(text, true);
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.trim().is_empty() && line.width() + 1 + word.width() > canvas.width {
            canvas.line(&line, &paint);
            line.clear();
            line.push_str("  ");
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    canvas.line(&line, &paint);
}

/// The line under a drawing that says what its marks mean, of those that occur.
fn legend(picture: &Picture, critical: &str, canvas: &mut Canvas) {
    let mut parts: Vec<String> = Vec::new();
    let any = |wanted: fn(&Item) -> bool| picture.items.iter().any(wanted);
    if picture.items.len() > 1 && any(|item| item.critical) {
        parts.push(critical.to_owned());
    }
    if any(|item| item.bottleneck) {
        parts.push(format!("{BOTTLENECK} most time of its own"));
    }
    if any(|item| item.errors > 0) {
        parts.push(format!("{ERROR} errors"));
    }
    if any(|item| item.confidence < 1.0) {
        parts.push("? inferred".to_owned());
    }
    if !parts.is_empty() {
        canvas.line(&parts.join("   "), Style::dim);
    }
}

const ERROR: char = '✗';
const BOTTLENECK: char = '◆';

/// What stands after a name: errors, the bottleneck, an inferred place.
fn marks(item: &Item) -> String {
    let mut marks = String::new();
    if item.errors > 0 {
        marks.push(' ');
        marks.push(ERROR);
        if item.errors > 1 {
            marks.push_str(&text::grouped(item.errors));
        }
    }
    if item.bottleneck {
        marks.push(' ');
        marks.push(BOTTLENECK);
    }
    if item.confidence < 1.0 {
        marks.push_str(" ?");
    }
    marks
}

/// The lines that lead to an item, in at most `room` columns: `│  ├─ `, or the layer's number where it is too deep.
fn lead(item: &Item, room: usize) -> String {
    let layers = item.last.len() - 1;
    if layers == 0 {
        return String::new();
    }
    if 3 * item.depth > room || item.depth > layers {
        return format!("⋯{} ", item.depth);
    }
    let mut lead = String::with_capacity(layers * 5);
    for last in item.last.get(1..layers).unwrap_or_default() {
        lead.push_str(if *last { "   " } else { "│  " });
    }
    lead.push_str(if item.last[layers] { "└─ " } else { "├─ " });
    lead
}
