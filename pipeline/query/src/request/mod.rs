//! From an id to its request: all entries that belong together, as the operators take them.
//!
//! ```text
//!  id ─► entries that carry it ─► ids that these carry ─► their entries ─► …  until nothing new comes
//!                                                                          └─► Group ─► tree, error flow
//! ```
//!
//! The rules are those of `correlate`: a correlation id and a trace id that one entry carries are one request; a thread
//! is its own entries only, because it serves many requests. A span belongs to the request of its entries; where those
//! name none, spans are followed to their parents and children.

mod gather;
mod rebuild;
#[cfg(test)]
mod tests;

use clap::Args;
use logbraid_core::{Group, Id};
use logbraid_index::{EntryRef, Texts};
use logbraid_operators::hierarchy::{Linking, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::gather::is_attributed;
use crate::{IdKind, Window};

/// Most entries of a request that are looked at; the first ones. What is beyond is counted.
pub(crate) const ENTRIES_MAX: usize = 200_000;
/// Most ids that are followed to find a request's entries.
pub(crate) const IDS_MAX: usize = 4096;

/// Which request.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct Of {
    /// A correlation, trace, span or thread id; what kind it is is found out.
    #[arg(value_name = "ID")]
    pub id: String,
    /// What kind of id it is, where it could be several.
    #[arg(long = "type", value_name = "KIND")]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<IdKind>,
}

/// A request of a window, rebuilt.
pub(crate) struct Request<'v> {
    /// What the id was.
    pub(crate) kind: IdKind,
    /// Its entries and their texts, sorted; no tree yet.
    pub(crate) group: Group,
    /// The same entries in the same order.
    pub(crate) entries: Vec<EntryRef<'v>>,
    /// All its entries, looked at or not.
    pub(crate) total: u64,
    /// Entries whose text cannot be read any more; they are in the group without their message.
    pub(crate) unreadable: u64,
    /// True when its ids were too many to follow.
    pub(crate) ids_cut: bool,
}

impl<'v> Request<'v> {
    /// The request of an id; `None` when no entry of the window carries it.
    pub(crate) fn find(window: &'v Window, of: &Of) -> Option<Self> {
        let kind = gather::kind(window, &of.id, of.kind)?;
        let gathered = gather::gather(window, &of.id, kind, ENTRIES_MAX);
        (!gathered.entries.is_empty()).then(|| Self::rebuilt(kind, &of.id, gathered))
    }

    fn rebuilt(kind: IdKind, id: &str, gathered: gather::Gathered<'v>) -> Self {
        let mut texts = Texts::new();
        let gather::Gathered { entries, total, ids_cut } = gathered;
        let (mut group, unreadable) = rebuild::group(&mut texts, &entries);
        rebuild::name(&mut group, kind, id);
        group.omitted = total.saturating_sub(entries.len() as u64);
        Self { kind, group, entries, total, unreadable, ids_cut }
    }

    /// Builds its tree. For a span, what lies above and beside it is left out: the tree begins there.
    pub(crate) fn with_tree(mut self, id: &str, linking: &Linking) -> Self {
        let tree = build(&self.group, linking);
        let root = (self.kind == IdKind::Span)
            .then(|| tree.nodes.iter().position(|node| node.id == id))
            .flatten()
            .filter(|root| tree.nodes[*root].parent.is_some() || tree.roots.len() > 1);
        let Some(root) = root else {
            self.group.hierarchy = Some(tree);
            return self;
        };
        let mut below = vec![false; tree.nodes.len()];
        let mut todo = vec![root];
        while let Some(at) = todo.pop() {
            below[at] = true;
            todo.extend_from_slice(&tree.nodes[at].children);
        }
        let kept: Vec<usize> = (0..self.entries.len())
            .filter(|row| {
                tree.node_of_row
                    .get(*row)
                    .is_some_and(|node| below.get(*node as usize).is_some_and(|below| *below))
            })
            .collect();
        self.entries = kept.iter().filter_map(|at| self.entries.get(*at).copied()).collect();
        self.total = self.entries.len() as u64;
        let mut texts = Texts::new();
        let (mut group, unreadable) = rebuild::group(&mut texts, &self.entries);
        rebuild::name(&mut group, self.kind, id);
        // Above it there is nothing in this tree, which is no mistake of the log.
        rebuild::forget_parent(&mut group, id);
        let tree = build(&group, linking);
        self.unreadable = unreadable;
        self.group = Group { hierarchy: Some(tree), ..group };
        self
    }

    /// True when not all of it was looked at.
    pub(crate) fn is_cut(&self) -> bool {
        self.ids_cut || self.total > self.entries.len() as u64
    }
}

/// Every request of a window, in the order of their first entries; entries without any id are of none.
pub(crate) struct All<'v> {
    /// The requests.
    pub(crate) requests: Vec<Request<'v>>,
    /// How many there are, in `requests` or not.
    pub(crate) total: u64,
}

/// The first `most` requests of the window.
pub(crate) fn all(window: &Window, most: usize) -> All<'_> {
    let (sets, total) = gather::all(window, most);
    let requests = sets
        .into_iter()
        .map(|gathered| {
            let (kind, id) = gather::strongest(&gathered.entries);
            Request::rebuilt(kind, &id, gathered)
        })
        .collect();
    All { requests, total }
}

/// Every id that a request has, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ids {
    /// Correlation and request ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub correlation_ids: Vec<String>,
    /// Traces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace_ids: Vec<String>,
    /// Threads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thread_ids: Vec<String>,
}

impl Ids {
    pub(crate) fn of(group: &Group) -> Self {
        let of = |kind: &str| {
            let found = group.ids.iter().find(|(known, _)| known == kind);
            found.map(|(_, values)| values.clone()).unwrap_or_default()
        };
        Self { correlation_ids: of("correlation_id"), trace_ids: of("trace_id"), thread_ids: of("thread_id") }
    }
}

/// The request's own id, made from its key and first moment as `correlate` makes it.
pub(crate) fn timeline_id(group: &Group) -> Id {
    group.id
}
