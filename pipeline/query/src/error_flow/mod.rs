//! `error-flow`: where a request's errors began, and how they spread.

#[cfg(test)]
mod tests;

use clap::Args;
use hashbrown::{HashMap, HashSet};
use logbraid_core::flow::{ErrorFlow, FlowChain, Link, RootCause};
use logbraid_core::tree::Hierarchy as Tree;
use logbraid_core::{EventTime, Id};
use logbraid_operators::error_flow::trace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::is_zero;
use crate::draw::{Picture, View, paragraph};
use crate::hierarchy::{self, How, node};
use crate::request::{Of, Request};
use crate::text::{Style, clock, counted};
use crate::{Canvas, IdKind, Question, QuestionError, Reply, Window};

/// Which request.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub of: Of,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub how: How,
    /// How it is drawn for people: the nodes that failed and those above them.
    #[arg(long, value_name = "VIEW")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

/// The errors of a request.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Answer {
    /// The id that was asked for.
    pub identifier: String,
    /// What it is; none when no entry carries it.
    pub identifier_type: Option<IdKind>,
    /// True when an entry is at ERROR or FATAL.
    pub has_errors: bool,
    /// Nodes with errors of their own.
    pub total_error_nodes: usize,
    /// Errors that no earlier error below them explains, the surest first.
    pub root_causes: Vec<Cause>,
    /// How they spread, in the order of time.
    pub propagation_chains: Vec<Propagation>,
    /// How far.
    pub impact_summary: Impact,
    /// What to look at, in words.
    pub recommendations: Vec<String>,
    /// The same for requests that failed in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Id>,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// True when not all entries were looked at.
    pub truncated: bool,
    /// The tree, for drawings.
    #[serde(skip)]
    tree: Tree,
    #[serde(skip)]
    entries: u64,
}

/// An error that no earlier error below it explains.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Cause {
    /// The node where it happened.
    pub node_id: String,
    /// Its depth; none for a node that is not in the tree.
    pub depth: Option<usize>,
    /// Error entries of the node.
    pub error_count: u64,
    /// True when nothing below it was called.
    pub is_leaf: bool,
    /// What streams tell of it: service, thread, time, message, template, path, confidence.
    #[serde(flatten)]
    pub cause: RootCause,
}

/// The way of an error from its cause to whoever noticed last.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Propagation {
    /// Nodes that it reached, the cause included.
    pub total_affected: usize,
    /// `upward` when every step is a call that the tree shows, else `in_time`.
    pub propagation_type: &'static str,
    /// What streams tell of it: the cause's node, the steps, the services.
    #[serde(flatten)]
    pub chain: FlowChain,
}

/// How far errors went.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Impact {
    /// Nodes with errors of their own.
    pub total_affected_nodes: usize,
    /// Their share of all nodes, in percent.
    pub affected_percentage: f64,
    /// The depth of the deepest cause.
    pub max_propagation_depth: usize,
    /// Causes that fail side by side: most of one depth; 0 when there is one.
    pub concurrent_failures: usize,
    /// Services with errors, in the order of their first.
    pub services: Vec<String>,
    /// From the first error to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<EventTime>,
}

impl Question for Flow {
    const NAME: &'static str = "error-flow";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn is_drawing(&self) -> bool {
        self.view.is_some()
    }

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let linking = self.how.linking()?;
        let mut answer = Answer { identifier: self.of.id.clone(), ..Answer::default() };
        let Some(found) = Request::find(window, &self.of) else {
            return Ok(Reply::when(false, answer));
        };
        let mut found = found.with_tree(&self.of.id, &linking);
        answer.identifier_type = Some(found.kind);
        answer.unreadable = found.unreadable;
        answer.truncated = found.is_cut();
        answer.entries = found.total;
        let flow = trace(&found.group);
        let services = failing_services(&found);
        answer.tree = found.group.hierarchy.take().unwrap_or_default();
        if let Some(flow) = flow {
            answer.tell(flow, services);
        }
        Ok(Reply::found(answer))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        answer.draw(self.view, canvas);
        true
    }
}

/// Services with errors in the order of their first, and that first moment.
fn failing_services(found: &Request<'_>) -> (Vec<String>, Option<EventTime>) {
    let mut services: Vec<String> = Vec::new();
    let mut first = None;
    for entry in
        found.entries.iter().filter(|entry| entry.level().is_some_and(logbraid_core::Level::is_error))
    {
        first = first.or(node::known(entry.time()));
        if let Some(service) = entry.service()
            && !services.iter().any(|known| known == service)
        {
            services.push(service.to_owned());
        }
    }
    (services, first)
}

impl Answer {
    fn tell(&mut self, flow: ErrorFlow, (services, first_error): (Vec<String>, Option<EventTime>)) {
        let tree = &self.tree;
        let places: HashMap<&str, usize> =
            tree.nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
        let depth = |id: &str| places.get(id).map(|at| tree.nodes[*at].depth);
        let ErrorFlow { root_causes, chains, affected_nodes, fingerprint } = flow;
        let causes: Vec<Cause> = root_causes
            .into_iter()
            .map(|cause| Cause {
                node_id: cause.node.clone(),
                depth: depth(&cause.node),
                error_count: cause.errors,
                is_leaf: cause.leaf,
                cause,
            })
            .collect();
        let mut at_depth: HashMap<usize, usize> = HashMap::new();
        for depth in causes.iter().filter_map(|cause| cause.depth) {
            *at_depth.entry(depth).or_default() += 1;
        }
        // The largest of a map's values does not depend on its order.
        let side_by_side = at_depth.into_values().max().unwrap_or(0);
        let propagations: Vec<Propagation> = chains
            .into_iter()
            .map(|chain| {
                let steps = chain.steps.iter();
                let total_affected = steps.map(|step| step.node.as_str()).collect::<HashSet<&str>>().len();
                let called = chain.steps.iter().all(|step| matches!(step.link, Link::Cause | Link::Called));
                Propagation {
                    total_affected,
                    propagation_type: if called { "upward" } else { "in_time" },
                    chain,
                }
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "counts of nodes are far below 2^52")]
        let share = affected_nodes as f64 / tree.nodes.len().max(1) as f64;
        self.impact_summary = Impact {
            total_affected_nodes: affected_nodes,
            affected_percentage: (share * 1000.0).round() / 10.0,
            max_propagation_depth: causes.iter().filter_map(|cause| cause.depth).max().unwrap_or(0),
            concurrent_failures: if side_by_side > 1 { side_by_side } else { 0 },
            services,
            first_error,
        };
        self.has_errors = true;
        self.total_error_nodes = affected_nodes;
        self.root_causes = causes;
        self.propagation_chains = propagations;
        self.fingerprint = Some(fingerprint);
        self.recommendations = self.recommend();
    }

    fn recommend(&self) -> Vec<String> {
        let mut said = Vec::new();
        let Some(first) = self.root_causes.first() else { return said };
        let place = first.cause.service.as_deref().unwrap_or(&first.node_id);
        said.push(format!("begin with `{}` of `{place}`: no earlier error explains it", first.cause.message));
        if first.is_leaf {
            said.push(format!("`{place}` called nothing that logged: look at what it depends on outside"));
        }
        let longest = self.propagation_chains.iter().map(|chain| chain.total_affected).max().unwrap_or(0);
        if longest > 1 {
            said.push(format!(
                "it reached {longest} nodes: a caller that gives up sooner would keep it smaller"
            ));
        }
        if self.root_causes.len() > 1 {
            let causes = self.root_causes.len();
            said.push(format!(
                "there are {causes} causes that do not explain each other: look for what they share"
            ));
        }
        if self.impact_summary.affected_percentage > 50.0 {
            let share = self.impact_summary.affected_percentage;
            said.push(format!("{share}% of the request's nodes failed"));
        }
        said
    }

    fn draw(&self, view: Option<View>, canvas: &mut Canvas) {
        if self.identifier_type.is_none() {
            let text = format!("no entry carries `{}`", self.identifier);
            return canvas.line(&text, |_, text| text.to_owned());
        }
        hierarchy::head(&self.identifier, &self.tree, self.entries, canvas);
        if !self.has_errors {
            return canvas.line("no errors", Style::good);
        }
        if let Some(view) = view {
            let mut keep = vec![false; self.tree.nodes.len()];
            for at in (0..self.tree.nodes.len()).filter(|at| self.tree.nodes[*at].errors > 0) {
                for above in self.tree.path(at) {
                    keep[above] = true;
                }
            }
            Picture::new(&self.tree, usize::MAX, |at| keep.get(at).is_some_and(|keep| *keep))
                .draw(view, canvas);
            canvas.gap();
        }
        for cause in &self.root_causes {
            let RootCause { service, message, timestamp, confidence, path, .. } = &cause.cause;
            let place = service.as_deref().unwrap_or(&cause.node_id);
            let first = message.lines().next().unwrap_or_default();
            let text = format!("✗ {} {place}: {first}", clock(*timestamp));
            paragraph(&text, canvas, Style::error);
            let sure = (confidence * 100.0).round();
            let times = counted(cause.error_count, "error", "errors");
            let text = format!("  root cause ({sure}% sure, {times}); path: {}", path.join(" › "));
            paragraph(&text, canvas, Style::dim);
            let chains = self.propagation_chains.iter();
            for chain in chains.filter(|chain| chain.chain.root_cause == cause.node_id) {
                for step in chain.chain.steps.iter().filter(|step| step.link != Link::Cause) {
                    let place = step.service.as_deref().unwrap_or(&step.node);
                    let why = match step.link {
                        Link::Called | Link::Cause => "called it",
                        Link::Named => "names it",
                        Link::Time => "came later",
                    };
                    let first = step.message.lines().next().unwrap_or_default();
                    let text = format!("  ↳ {} {place}: {first}   ({why})", clock(step.timestamp));
                    paragraph(&text, canvas, Style::warn);
                }
            }
        }
        for said in &self.recommendations {
            paragraph(said, canvas, Style::note);
        }
    }
}
