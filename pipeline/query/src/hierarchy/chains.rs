//! Requests that started others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use logbraid_core::{EventTime, FieldId};
use logbraid_index::{Column, Term};
use schemars::JsonSchema;
use serde::Serialize;

use crate::request::Request;
use crate::text::Style;
use crate::{Canvas, Window};

/// Most links that are followed.
const LINKS_MAX: usize = 1024;
/// Most links of a whole window.
const ALL_MAX: usize = 100_000;

/// When an entry first said who started whom, and in which field.
type Found = BTreeMap<(String, String), (EventTime, &'static str)>;

/// One request that started another.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Chain {
    /// The request that started the other.
    pub parent_correlation_id: String,
    /// The request that was started.
    pub child_correlation_id: String,
    /// How it is known: the field, in the child's or the parent's entry.
    pub evidence: &'static str,
    /// When an entry said so first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// How sure it is; an entry says so: 1.
    pub confidence: f64,
}

/// The requests around a request.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Chains {
    /// Who started whom, by parent, then child.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub correlation_chains: Vec<Chain>,
    /// Of these, the requests that nobody started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain_roots: Vec<String>,
    /// True when there are more than are followed.
    #[serde(skip_serializing_if = "is_false")]
    pub chains_truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

const PARENT: Column = Column::Field(FieldId::PARENT_REQUEST);
const CHILD: Column = Column::Field(FieldId::CHILD_REQUEST);

impl Chains {
    /// The chains that a request is part of, up and down.
    pub(crate) fn of(window: &Window, request: &Request<'_>) -> Self {
        let ids = request.entries.iter().filter_map(|entry| entry.correlation());
        let mut seen: BTreeSet<String> = ids.map(str::to_owned).collect();
        let mut todo: VecDeque<String> = seen.iter().cloned().collect();
        let mut found = Found::new();
        let mut cut = false;
        while let Some(id) = todo.pop_front() {
            let terms = [
                Term::new(PARENT, id.as_str()),
                Term::new(CHILD, id.as_str()),
                Term::new(Column::Correlation, id.as_str()),
            ];
            for entry in window.view().scan(&window.filter().any_of(terms)) {
                let Some(own) = entry.correlation() else { continue };
                let parents = entry.all(PARENT).map(|other| (other, own, "parent_request_id"));
                let children = entry.all(CHILD).map(|other| (own, other, "spawned_request"));
                for (parent, child, evidence) in parents.chain(children) {
                    if parent == child || (parent != id && child != id) {
                        continue;
                    }
                    if found.len() >= LINKS_MAX {
                        cut = true;
                        break;
                    }
                    let link = (parent.to_owned(), child.to_owned());
                    found.entry(link).or_insert((entry.time(), evidence));
                    for other in [parent, child] {
                        if seen.insert(other.to_owned()) {
                            todo.push_back(other.to_owned());
                        }
                    }
                }
            }
            if cut {
                break;
            }
        }
        Self::new(found, cut)
    }

    /// Every chain of the window.
    pub fn all(window: &Window) -> Self {
        let mut found = Found::new();
        let mut cut = false;
        for entry in window.view().scan(&window.filter()) {
            let Some(own) = entry.correlation() else { continue };
            let parents = entry.all(PARENT).map(|other| (other, own, "parent_request_id"));
            let children = entry.all(CHILD).map(|other| (own, other, "spawned_request"));
            for (parent, child, evidence) in
                parents.chain(children).filter(|(parent, child, _)| parent != child)
            {
                cut |= found.len() >= ALL_MAX;
                if !cut {
                    let link = (parent.to_owned(), child.to_owned());
                    found.entry(link).or_insert((entry.time(), evidence));
                }
            }
        }
        Self::new(found, cut)
    }

    /// Of these, the chains that begin with the request `root`.
    #[must_use]
    pub fn below(mut self, root: &str) -> Self {
        let mut below = BTreeSet::from([root.to_owned()]);
        loop {
            let known = below.len();
            let links = self.correlation_chains.iter();
            let more = links.filter(|chain| below.contains(&chain.parent_correlation_id));
            let more: Vec<String> = more.map(|chain| chain.child_correlation_id.clone()).collect();
            below.extend(more);
            if below.len() == known {
                break;
            }
        }
        self.correlation_chains.retain(|chain| below.contains(&chain.parent_correlation_id));
        self.chain_roots.retain(|id| id == root);
        self
    }

    fn new(found: Found, cut: bool) -> Self {
        let children: BTreeSet<&str> = found.keys().map(|(_, child)| child.as_str()).collect();
        let roots: BTreeSet<&str> = found
            .keys()
            .map(|(parent, _)| parent.as_str())
            .filter(|parent| !children.contains(parent))
            .collect();
        let chain_roots = roots.into_iter().map(str::to_owned).collect();
        let correlation_chains = found
            .into_iter()
            .map(|((parent, child), (time, evidence))| Chain {
                parent_correlation_id: parent,
                child_correlation_id: child,
                evidence,
                timestamp: super::node::known(time),
                confidence: 1.0,
            })
            .collect();
        Self { correlation_chains, chain_roots, chains_truncated: cut }
    }

    /// Draws the links as lines.
    pub(crate) fn draw(&self, canvas: &mut Canvas) {
        for chain in &self.correlation_chains {
            let text = format!("{} started {}", chain.parent_correlation_id, chain.child_correlation_id);
            canvas.line(&text, Style::note);
        }
    }
}
