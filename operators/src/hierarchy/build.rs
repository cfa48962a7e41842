//! Builds the tree of a group: nodes, links, measures.

use hashbrown::{HashMap, HashSet};
use logbraid_core::tree::{Hierarchy, Method, Node, NodeKind};
use logbraid_core::{EventTime, Group, Span};

use super::links::{self, Link, Place};
use super::measure;
use super::nodes::{self, Draft, NONE, number};

/// Which ways of finding a parent are used, and how sure they must be.
#[derive(Clone, PartialEq, Debug)]
pub struct Linking {
    /// Ways to find a node's parent; their order does not matter, the surest is tried first.
    pub methods: Vec<Method>,
    /// Links less sure than this are not made, 0 to 1.
    pub min_confidence: f64,
}

impl Default for Linking {
    fn default() -> Self {
        Self { methods: vec![Method::Explicit, Method::Naming, Method::Temporal], min_confidence: 0.5 }
    }
}

impl Linking {
    fn uses(&self, method: Method) -> bool {
        self.methods.contains(&method) && links::confidence(method) >= self.min_confidence
    }
}

/// Why a node is a root although it names a parent: that parent was never logged.
pub(crate) const PARENT_NOT_LOGGED: &str = "parent_not_logged";
/// Why a node is a root although it names a parent: its link closed a cycle.
const CYCLE_CUT: &str = "cycle_cut";

/// The tree of a group's work. The same entries give the same tree; each entry is counted in exactly one node.
/// The group need not be sorted by time.
pub fn build(group: &Group, linking: &Linking) -> Hierarchy {
    let drafts = nodes::sort(group);
    let ids = ids(group, &drafts.nodes);
    let intervals: Vec<(EventTime, EventTime)> = drafts.nodes.iter().map(Draft::interval).collect();
    let mut order: Vec<u32> = (0..number(drafts.nodes.len())).collect();
    order.sort_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        intervals[a].0.cmp(&intervals[b].0).then_with(|| ids[a].cmp(&ids[b]))
    });
    let mut place_of = vec![NONE; order.len()];
    for (place, draft) in (0_u32..).zip(&order) {
        place_of[*draft as usize] = place;
    }
    let places: Vec<Place<'_>> = order
        .iter()
        .map(|at| {
            let (start, end) = intervals[*at as usize];
            Place { draft: &drafts.nodes[*at as usize], start, end }
        })
        .collect();

    let mut tree = Hierarchy::default();
    let mut links = vec![Link::Root; places.len()];
    if linking.uses(Method::Explicit) {
        let mut spans: HashMap<&str, u32> = drafts.spans;
        spans.values_mut().for_each(|at| *at = place_of[*at as usize]);
        tree.missing_parents = links::explicit(&places, &spans, &mut links);
    }
    if linking.uses(Method::Naming) {
        links::naming(&places, &mut links);
    }
    if linking.uses(Method::Temporal) {
        links::temporal(&places, &mut links);
    }
    links::cut_cycles(&mut links);

    let mut ids = ids;
    tree.nodes = order
        .iter()
        .zip(&places)
        .zip(&links)
        .map(|((at, place), link)| node(place, *link, std::mem::take(&mut ids[*at as usize])))
        .collect();
    tree.node_of_row = drafts.node_of_row;
    for at in &mut tree.node_of_row {
        *at = place_of.get(*at as usize).copied().unwrap_or(NONE);
    }
    connect(&mut tree, &links);
    let durations: Vec<Span> = places.iter().map(|place| place.draft.duration()).collect();
    measure::measure(&mut tree, &durations);
    tree
}

fn node(place: &Place<'_>, link: Link, id: String) -> Node {
    let draft = place.draft;
    let (confidence, evidence) = match link {
        Link::Root => (1.0, Vec::new()),
        Link::Orphan => (1.0, vec![PARENT_NOT_LOGGED]),
        Link::Cut => (1.0, vec![CYCLE_CUT]),
        Link::To(_, method) => {
            let evidence = match method {
                Method::Explicit => "explicit_parent_span_id",
                Method::Naming => "naming_pattern",
                Method::Temporal => "temporal_containment",
            };
            (links::confidence(method), vec![evidence])
        }
    };
    Node {
        id,
        kind: draft.kind,
        name: draft.name().map(str::to_owned),
        service: draft.service.map(str::to_owned),
        start: place.start,
        end: place.end,
        duration_ms: draft.duration().millis(),
        self_ms: 0.0,
        entries: draft.entries,
        errors: draft.levels.errors(),
        levels: draft.levels,
        confidence,
        evidence,
        parent: link.parent().map(|parent| parent as usize),
        children: Vec::new(),
        depth: 0,
    }
}

/// Fills in roots, children (in order of start, then id, as the nodes are), and counts of links.
fn connect(tree: &mut Hierarchy, links: &[Link]) {
    let mut counts = [(Method::Explicit, 0_u64), (Method::Naming, 0), (Method::Temporal, 0)];
    for (at, link) in links.iter().enumerate() {
        match link {
            Link::To(parent, method) => {
                tree.nodes[*parent as usize].children.push(at);
                counts[*method as usize].1 += 1;
            }
            Link::Cut => {
                tree.cycles_cut.push(tree.nodes[at].id.clone());
                tree.roots.push(at);
            }
            Link::Root | Link::Orphan => tree.roots.push(at),
        }
    }
    tree.methods.extend(counts.into_iter().filter(|(_, count)| *count > 0));
}

/// The nodes' ids: spans and threads go by their own. Where several services have a thread of one name, all of these
/// are written `service/thread`.
fn ids(group: &Group, drafts: &[Draft<'_>]) -> Vec<String> {
    if drafts.iter().all(|draft| draft.kind == NodeKind::Span) {
        return drafts.iter().map(|draft| draft.id.to_owned()).collect();
    }
    let mut uses: HashMap<&str, u32> = HashMap::with_capacity(drafts.len());
    for draft in drafts {
        *uses.entry(draft.id).or_default() += 1;
    }
    let mut taken: HashSet<String> = HashSet::with_capacity(drafts.len());
    // Spans first: they keep their ids whatever else there is.
    let mut ids: Vec<String> = drafts
        .iter()
        .map(|draft| if draft.kind == NodeKind::Span { draft.id.to_owned() } else { String::new() })
        .collect();
    taken.extend(ids.iter().filter(|id| !id.is_empty()).cloned());
    for (id, draft) in ids.iter_mut().zip(drafts).filter(|(_, draft)| draft.kind != NodeKind::Span) {
        let wanted = match (draft.kind, draft.service) {
            (NodeKind::Thread, Some(service)) if uses[draft.id] > 1 => format!("{service}/{}", draft.id),
            _ if draft.id.is_empty() => group.key.value.clone(),
            _ => draft.id.to_owned(),
        };
        let mut unique = wanted.clone();
        let mut copy = 1;
        while taken.contains(&unique) {
            copy += 1;
            unique = format!("{wanted}#{copy}");
        }
        taken.insert(unique.clone());
        *id = unique;
    }
    ids
}
