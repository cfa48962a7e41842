//! Where a tree's time went: own time, critical path, concurrency, bottleneck. No recursion, so depth has no limit.

use logbraid_core::tree::{Bottleneck, Hierarchy, Node};
use logbraid_core::{EventTime, Span};

/// From the first moment of any node to the last. Both unknown when there are no nodes.
pub(super) fn extent(nodes: &[Node]) -> (EventTime, EventTime) {
    let start = nodes.iter().map(|node| node.start).min().unwrap_or(EventTime::MIN);
    let end = nodes.iter().map(|node| node.end).max().unwrap_or(EventTime::MIN);
    (start, end)
}

/// Fills in everything that follows from links and intervals. `durations` are the nodes' own lengths, one each.
pub(super) fn measure(tree: &mut Hierarchy, durations: &[Span]) {
    depths(tree);
    let mut working = Vec::with_capacity(2 * tree.nodes.len());
    let (start, end) = extent(&tree.nodes);
    let total = end.since(start);
    let mut most: Option<(Span, usize)> = None;
    for (at, duration) in durations.iter().enumerate() {
        let covered = note_own_work(tree, at, &mut working);
        let own = Span::from_nanos(duration.nanos().saturating_sub(covered.nanos()).max(0));
        tree.nodes[at].self_ms = own.millis();
        if own > most.map_or(Span::ZERO, |(most, _)| most) {
            most = Some((own, at));
        }
    }
    tree.bottleneck = most.map(|(own, at)| Bottleneck {
        node: tree.nodes[at].id.clone(),
        self_ms: own.millis(),
        share: if total > Span::ZERO { (own.millis() / total.millis()).min(1.0) } else { 1.0 },
    });
    tree.concurrency_max = overlap(&mut working).max(usize::from(!tree.nodes.is_empty()));
    tree.critical_path = critical_path(tree, (start, end));
}

fn depths(tree: &mut Hierarchy) {
    let mut todo = tree.roots.clone();
    while let Some(at) = todo.pop() {
        let depth = tree.nodes[at].parent.map_or(0, |parent| tree.nodes[parent].depth + 1);
        tree.nodes[at].depth = depth;
        todo.extend_from_slice(&tree.nodes[at].children);
    }
}

/// Notes the stretches of a node that no child covers, as +1 and -1 at their ends; returns how much is covered.
fn note_own_work(tree: &Hierarchy, at: usize, working: &mut Vec<(EventTime, i32)>) -> Span {
    let node = &tree.nodes[at];
    let mut free_from = node.start;
    let mut covered = Span::ZERO;
    let mut work = |from: EventTime, to: EventTime| {
        if to > from {
            working.push((from, 1));
            working.push((to, -1));
        }
    };
    // Children come in order of their start.
    for child in &node.children {
        let child = &tree.nodes[*child];
        let from = child.start.max(free_from);
        let to = child.end.min(node.end);
        if to > from {
            work(free_from, from);
            covered = covered + to.since(from);
            free_from = to;
        }
    }
    work(free_from, node.end);
    covered
}

/// Most stretches that overlap at one moment; one that ends where another begins does not.
fn overlap(working: &mut [(EventTime, i32)]) -> usize {
    working.sort_unstable();
    let (mut now, mut most) = (0_i32, 0_i32);
    for (_, change) in working {
        now += *change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or(0)
}

/// Walks back from the end: the child that finished last held its parent up; before it began, the one that finished
/// last before that did, and so on, in each of them again. Parents come before children, earlier siblings before later.
fn critical_path(tree: &Hierarchy, (start, end): (EventTime, EventTime)) -> Vec<usize> {
    let mut path = Vec::new();
    let mut todo = Vec::new();
    let mut finishing = Vec::new();
    walk_back(tree, &tree.roots, (start, end), &mut finishing, &mut todo);
    while let Some((at, from, to)) = todo.pop() {
        path.push(at);
        walk_back(tree, &tree.nodes[at].children, (from, to), &mut finishing, &mut todo);
    }
    if path.is_empty() {
        // Nothing took any time: the first root stands for all.
        path.extend(tree.roots.first());
    }
    path
}

/// Pushes those of `nodes` that determined the end of the stretch `from` to `to`, the last of them first.
fn walk_back(
    tree: &Hierarchy,
    nodes: &[usize],
    (from, to): (EventTime, EventTime),
    finishing: &mut Vec<(EventTime, EventTime, usize)>,
    todo: &mut Vec<(usize, EventTime, EventTime)>,
) {
    finishing.clear();
    finishing.extend(nodes.iter().filter_map(|&at| {
        let node = &tree.nodes[at];
        // Work that outlives its parent counts as far as the parent goes.
        let (start, end) = (node.start.max(from), node.end.min(to));
        (end > start).then_some((end, start, at))
    }));
    // The last to finish first; of those the one that began first, then the one that comes first.
    finishing.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut until = to;
    for &(end, start, at) in finishing.iter() {
        if end <= until {
            todo.push((at, start, end));
            until = start;
        }
    }
}
