//! Finds root causes and the ways of errors through a request's tree.

use hashbrown::{HashMap, HashSet};
use logbraid_core::flow::{ErrorFlow, FlowChain, Link, RootCause, Step};
use logbraid_core::template::template_id;
use logbraid_core::tree::Hierarchy;
use logbraid_core::{EventTime, Group, Id, IdBuilder, Level};

/// Most root causes that are listed.
pub(super) const CAUSES_MAX: usize = 16;
/// Most steps of one chain that are listed; the last one always is.
const STEPS_MAX: usize = 64;
/// Most names on the path to a root cause; those nearest to it.
const PATH_MAX: usize = 64;
/// Most bytes of a message that are listed.
const MESSAGE_BYTES_MAX: usize = 1024;

/// How sure a cause is whose node called others that logged no earlier error.
const NOT_A_LEAF: f64 = 0.85;
/// How sure a step is that is explained by a message's words, or by a call seen elsewhere in the request.
const TOLD: f64 = 0.8;
/// How sure a step is that only came later.
const LATER: f64 = 0.6;
/// What is left of a step's certainty when nodes in between logged no error.
const OVER_SILENCE: f64 = 0.8;

/// An error flow, and what a finding needs beyond it.
pub(super) struct Traced {
    pub(super) flow: ErrorFlow,
    /// For each root cause the entries along its chain, by index, its own first.
    pub(super) rows: Vec<Vec<usize>>,
    /// All root causes, listed or not.
    pub(super) causes: usize,
    /// The least sure step of the first root cause's chain.
    pub(super) confidence: f64,
    /// True when an entry on the way was FATAL.
    pub(super) fatal: bool,
    /// True when the first chain ends at a root of the tree.
    pub(super) reached_front: bool,
}

/// A node's error that no earlier error below it explains.
struct Candidate<'a> {
    node: usize,
    row: usize,
    time: EventTime,
    service: Option<&'a str>,
    /// Its message names a service of another candidate.
    names_other: bool,
}

/// A step by index, before it is written out.
struct Stride {
    node: usize,
    row: usize,
    time: EventTime,
    link: Link,
    silent: usize,
    confidence: f64,
    /// True when the tree says that this step's node called the one before.
    by_tree: bool,
}

struct Tracer<'a> {
    group: &'a Group,
    tree: &'a Hierarchy,
    /// Error entries as (node, time, row), sorted.
    errors: Vec<(u32, EventTime, usize)>,
    /// The time of each node's first error; [`EventTime::MAX`] for none.
    first: Vec<EventTime>,
    /// Each node's place in a walk that visits parents before children, and the size of its subtree.
    place: Vec<usize>,
    size: Vec<usize>,
    /// The root above each node.
    root: Vec<usize>,
}

/// Traces the errors of a group whose tree is known. `None` when it has none.
pub(super) fn trace(group: &Group, tree: &Hierarchy) -> Option<Traced> {
    let mut errors: Vec<(u32, EventTime, usize)> = group
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.level.is_some_and(Level::is_error))
        .filter_map(|(at, row)| {
            let node = *tree.node_of_row.get(at)?;
            ((node as usize) < tree.nodes.len()).then_some((node, row.time, at))
        })
        .collect();
    if errors.is_empty() {
        return None;
    }
    errors.sort_unstable();
    let count = tree.nodes.len();
    let mut first = vec![EventTime::MAX; count];
    for (node, time, _) in &errors {
        let known = &mut first[*node as usize];
        *known = (*known).min(*time);
    }
    let mut tracer = Tracer {
        group,
        tree,
        errors,
        first,
        place: vec![0; count],
        size: vec![1; count],
        root: vec![0; count],
    };
    let below = tracer.walk();
    let mut candidates = tracer.candidates(&below);
    tracer.order(&mut candidates);
    let explained = tracer.explain(&candidates);
    Some(tracer.tell(&candidates, &explained))
}

impl<'a> Tracer<'a> {
    /// Numbers the nodes; returns for each the time of the first error below it.
    fn walk(&mut self) -> Vec<EventTime> {
        let nodes = &self.tree.nodes;
        let mut order = Vec::with_capacity(nodes.len());
        let mut todo: Vec<usize> = self.tree.roots.clone();
        while let Some(at) = todo.pop() {
            self.place[at] = order.len();
            self.root[at] = nodes[at].parent.map_or(at, |parent| self.root[parent]);
            order.push(at);
            todo.extend_from_slice(&nodes[at].children);
        }
        let mut below = vec![EventTime::MAX; nodes.len()];
        for at in order.into_iter().rev() {
            if let Some(parent) = nodes[at].parent {
                self.size[parent] += self.size[at];
                below[parent] = below[parent].min(below[at]).min(self.first[at]);
            }
        }
        below
    }

    fn is_above(&self, node: usize, other: usize) -> bool {
        (self.place[node]..self.place[node] + self.size[node]).contains(&self.place[other])
    }

    /// A node's first error entry at or after `time`.
    fn error_since(&self, node: usize, time: EventTime) -> Option<(EventTime, usize)> {
        let key = u32::try_from(node).ok()?;
        let at = self.errors.partition_point(|error| (error.0, error.1) < (key, time));
        let (found, time, row) = *self.errors.get(at)?;
        (found == key).then_some((time, row))
    }

    fn service_of(&self, node: usize, row: usize) -> Option<&'a str> {
        let own = self.group.rows.get(row).and_then(|row| self.group.service(row));
        own.or(self.tree.nodes[node].service.as_deref())
    }

    fn candidates(&self, below: &[EventTime]) -> Vec<Candidate<'a>> {
        let unexplained = |node: &usize| self.first[*node] < below[*node];
        (0..self.tree.nodes.len())
            .filter(unexplained)
            .filter_map(|node| {
                let (time, row) = self.error_since(node, EventTime::MIN)?;
                Some(Candidate { node, row, time, service: self.service_of(node, row), names_other: false })
            })
            .collect()
    }

    fn message(&self, row: usize) -> &'a str {
        self.group.rows.get(row).map_or("", |row| self.group.message(row))
    }

    /// Orders candidates by time. At one moment, who names another's service comes after it.
    fn order(&self, candidates: &mut [Candidate<'a>]) {
        if candidates.len() > 1 {
            let services: HashSet<&str> =
                candidates.iter().filter_map(|candidate| candidate.service).collect();
            for candidate in candidates.iter_mut() {
                candidate.names_other = words(self.message(candidate.row))
                    .any(|word| Some(word) != candidate.service && services.contains(word));
            }
        }
        candidates.sort_by_key(|candidate| (candidate.time, candidate.names_other, candidate.node));
    }

    /// Which services called which, as far as the tree knows.
    fn calls(&self) -> HashSet<(&'a str, &'a str)> {
        let nodes = &self.tree.nodes;
        let pairs = nodes.iter().filter_map(|node| {
            let caller = nodes[node.parent?].service.as_deref()?;
            let callee = node.service.as_deref()?;
            (caller != callee).then_some((caller, callee))
        });
        pairs.collect()
    }

    /// For each candidate the earlier one that explains it: one that its message names; else, where the tree does not
    /// connect them, the latest before it, unless that is known to be a caller of it.
    fn explain(&self, candidates: &[Candidate<'a>]) -> Vec<Option<(usize, Link)>> {
        let mut explained = vec![None; candidates.len()];
        if candidates.len() < 2 {
            return explained;
        }
        let calls = self.calls();
        let mut by_service: HashMap<&str, usize> = HashMap::new();
        // The latest candidate, and the latest of another tree than that one's.
        let mut latest: [Option<usize>; 2] = [None, None];
        for (at, candidate) in candidates.iter().enumerate() {
            let named = words(self.message(candidate.row))
                .filter(|word| Some(*word) != candidate.service)
                .filter_map(|word| by_service.get(word).copied())
                .filter(|earlier| !self.is_above(candidates[*earlier].node, candidate.node))
                .max();
            let root = |other: usize| self.root[candidates[other].node];
            let other_tree = || {
                let earlier = latest.into_iter().flatten().find(|other| root(*other) != root(at))?;
                let (Some(service), Some(before)) = (candidate.service, candidates[earlier].service) else {
                    return Some((earlier, Link::Time));
                };
                match (calls.contains(&(service, before)), calls.contains(&(before, service))) {
                    (true, _) => Some((earlier, Link::Called)),
                    (false, false) => Some((earlier, Link::Time)),
                    (false, true) => None,
                }
            };
            explained[at] = named.map(|earlier| (earlier, Link::Named)).or_else(other_tree);
            if let Some(service) = candidate.service {
                by_service.insert(service, at);
            }
            if latest[0].is_some_and(|other| root(other) != root(at)) {
                latest[1] = latest[0];
            }
            latest[0] = Some(at);
        }
        explained
    }

    /// Writes causes and chains out.
    fn tell(&self, candidates: &[Candidate<'a>], explained: &[Option<(usize, Link)>]) -> Traced {
        let mut cause_of: Vec<usize> = Vec::with_capacity(candidates.len());
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); candidates.len()];
        for (at, by) in explained.iter().enumerate() {
            let cause = by.map_or(at, |(earlier, _)| cause_of[earlier]);
            cause_of.push(cause);
            members[cause].push(at);
        }
        let mut causes: Vec<(RootCause, Vec<Stride>)> = Vec::new();
        let mut all = 0;
        let mut seen = vec![usize::MAX; self.tree.nodes.len()];
        for (at, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
            all += 1;
            if all > CAUSES_MAX {
                // They come in order of time: the first ones are listed.
                continue;
            }
            let way = self.way(at, members, candidates, explained, &mut seen);
            causes.push((self.root_cause(&candidates[at], &way), way));
        }
        causes.sort_by(|(a, _), (b, _)| {
            b.confidence.total_cmp(&a.confidence).then(a.timestamp.cmp(&b.timestamp))
        });
        self.assemble(causes, all)
    }

    fn assemble(&self, causes: Vec<(RootCause, Vec<Stride>)>, all: usize) -> Traced {
        let mut prints: Vec<Id> = causes.iter().map(|(_, way)| self.print(way)).collect();
        prints.sort_unstable();
        prints.dedup();
        let mut fingerprint = IdBuilder::default();
        fingerprint.text("error_flow");
        for print in prints {
            fingerprint.text(&print.to_string());
        }
        let first = causes.first().map(|(_, way)| way.as_slice()).unwrap_or_default();
        let level = |stride: &Stride| self.group.rows.get(stride.row).and_then(|row| row.level);
        let mut traced = Traced {
            rows: causes.iter().map(|(_, way)| way.iter().map(|stride| stride.row).collect()).collect(),
            causes: all,
            confidence: first.iter().map(|stride| stride.confidence).fold(1.0, f64::min),
            fatal: causes.iter().flat_map(|(_, way)| way).any(|stride| level(stride) == Some(Level::Fatal)),
            reached_front: first.last().is_some_and(|last| self.tree.nodes[last.node].parent.is_none()),
            flow: ErrorFlow {
                root_causes: Vec::new(),
                chains: Vec::new(),
                affected_nodes: self.first.iter().filter(|first| **first != EventTime::MAX).count(),
                fingerprint: fingerprint.finish(),
            },
        };
        for (cause, way) in causes {
            traced.confidence = if traced.flow.root_causes.is_empty() {
                traced.confidence.min(cause.confidence)
            } else {
                traced.confidence
            };
            if way.len() > 1 {
                traced.flow.chains.push(self.chain(&cause, &way));
            }
            traced.flow.root_causes.push(cause);
        }
        traced
    }

    /// All steps that follow from a cause, in order of time.
    fn way(
        &self,
        cause: usize,
        members: &[usize],
        candidates: &[Candidate<'a>],
        explained: &[Option<(usize, Link)>],
        seen: &mut [usize],
    ) -> Vec<Stride> {
        let mut way: Vec<Stride> = Vec::new();
        for &member in members {
            let Candidate { node, row, time, .. } = candidates[member];
            if seen[node] == cause {
                continue;
            }
            seen[node] = cause;
            let link = explained[member].map_or(Link::Cause, |(_, link)| link);
            let confidence = match link {
                Link::Cause => 1.0,
                Link::Named | Link::Called => TOLD,
                Link::Time => LATER,
            };
            way.push(Stride { node, row, time, link, silent: 0, confidence, by_tree: false });
            self.climb(cause, (node, time), seen, &mut way);
        }
        // Steps of one moment stay in order of call.
        way.sort_by_key(|stride| stride.time);
        way
    }

    /// Adds the errors above a node that follow in time. An error before it is no effect. A caller may give up before
    /// those between have noticed; its error still follows from the first one.
    fn climb(&self, cause: usize, from: (usize, EventTime), seen: &mut [usize], way: &mut Vec<Stride>) {
        let (mut at, began) = from;
        let mut time = began;
        let (mut silent, mut confidence) = (0, 1.0_f64);
        while let Some(parent) = self.tree.nodes[at].parent {
            confidence = confidence.min(self.tree.nodes[at].confidence);
            at = parent;
            if seen[at] == cause {
                return;
            }
            let next = self.error_since(at, time).or_else(|| self.error_since(at, began));
            let Some((when, row)) = next else {
                silent += 1;
                continue;
            };
            seen[at] = cause;
            if silent > 0 {
                confidence *= OVER_SILENCE;
            }
            way.push(Stride {
                node: at,
                row,
                time: when,
                link: Link::Called,
                silent,
                confidence,
                by_tree: true,
            });
            time = time.max(when);
            (silent, confidence) = (0, 1.0);
        }
    }

    fn root_cause(&self, candidate: &Candidate<'a>, way: &[Stride]) -> RootCause {
        let node = &self.tree.nodes[candidate.node];
        let leaf = node.children.is_empty();
        let certain = if leaf { 1.0 } else { NOT_A_LEAF };
        // Where the tree shows the way, what merely came later says nothing about the cause.
        let by_tree = way.iter().any(|stride| stride.by_tree);
        let weakest = way
            .iter()
            .filter(|stride| stride.by_tree || !by_tree)
            .map(|stride| stride.confidence)
            .fold(certain, f64::min);
        let message = self.message(candidate.row);
        let errors = node.errors;
        RootCause {
            node: node.id.clone(),
            service: candidate.service.map(str::to_owned),
            thread_id: self
                .group
                .rows
                .get(candidate.row)
                .and_then(|row| self.group.get(row.thread))
                .map(str::to_owned),
            timestamp: candidate.time,
            message: clipped(message, MESSAGE_BYTES_MAX),
            template: template_id(message),
            errors,
            path: self.path(candidate.node),
            leaf,
            confidence: (weakest * 1e4).round() / 1e4,
        }
    }

    fn path(&self, node: usize) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at.filter(|_| path.len() < PATH_MAX).map(|at| &self.tree.nodes[at]) {
            path.push(node.name.as_ref().unwrap_or(&node.id).clone());
            at = node.parent;
        }
        path.reverse();
        path
    }

    fn chain(&self, cause: &RootCause, way: &[Stride]) -> FlowChain {
        let mut services: Vec<String> = Vec::new();
        for stride in way {
            if let Some(service) = self.service_of(stride.node, stride.row)
                && services.last().is_none_or(|last| last != service)
            {
                services.push(service.to_owned());
            }
        }
        let cut = way.len().min(STEPS_MAX - 1);
        let last = way.get(cut..).and_then(<[Stride]>::last);
        let steps = way[..cut].iter().chain(last).map(|stride| {
            let message = self.message(stride.row);
            Step {
                node: self.tree.nodes[stride.node].id.clone(),
                service: self.service_of(stride.node, stride.row).map(str::to_owned),
                timestamp: stride.time,
                message: clipped(message, MESSAGE_BYTES_MAX),
                template: template_id(message),
                link: stride.link,
                silent: stride.silent,
            }
        });
        FlowChain { root_cause: cause.node.clone(), steps: steps.collect(), services }
    }

    /// What stays the same of a chain from request to request: services and templates, repetitions left out.
    fn print(&self, way: &[Stride]) -> Id {
        let mut print = IdBuilder::default();
        let mut before = None;
        for stride in way.iter().take(STEPS_MAX) {
            let service = self.service_of(stride.node, stride.row).unwrap_or_default();
            let step = (service, template_id(self.message(stride.row)));
            if before != Some(step) {
                print.text(service).text(&step.1.to_string());
            }
            before = Some(step);
        }
        print.finish()
    }
}

/// The words of a message that could be names of services.
fn words(message: &str) -> impl Iterator<Item = &str> {
    let line = message.lines().next().unwrap_or_default();
    line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .map(|word| word.trim_matches('.'))
        .filter(|word| !word.is_empty())
}

/// The first `bytes` bytes of a text, with an ellipsis where it was cut.
pub(super) fn clipped(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut cut = text[..text.floor_char_boundary(bytes)].to_owned();
    cut.push('…');
    cut
}
