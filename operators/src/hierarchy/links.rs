//! Finds each node's parent: stated, by name, by time; then cuts cycles.

use std::cmp::Reverse;

use hashbrown::HashMap;
use logbraid_core::tree::{Method, NodeKind};
use logbraid_core::{EventTime, Span};

use super::nodes::{Draft, NONE, number};

/// A node as linking sees it, at its final place.
pub(super) struct Place<'a> {
    pub(super) draft: &'a Draft<'a>,
    pub(super) start: EventTime,
    pub(super) end: EventTime,
}

/// Where a node came to stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// Nothing says who called it.
    Root,
    /// It names a parent that nobody logged.
    Orphan,
    /// Its stated link closed a cycle and was cut.
    Cut,
    /// It has a parent.
    To(u32, Method),
}

impl Link {
    pub(super) const fn parent(self) -> Option<u32> {
        match self {
            Self::To(parent, _) => Some(parent),
            _ => None,
        }
    }
}

/// How sure a method's links are, 0 to 1.
pub(super) const fn confidence(method: Method) -> f64 {
    match method {
        Method::Explicit => 1.0,
        Method::Naming => 0.8,
        Method::Temporal => 0.6,
    }
}

/// Links nodes to the parent spans that they name. Returns how many named parents nobody logged.
pub(super) fn explicit(places: &[Place<'_>], spans: &HashMap<&str, u32>, links: &mut [Link]) -> usize {
    let mut missing: HashMap<&str, ()> = HashMap::new();
    for (at, (place, link)) in places.iter().zip(links).enumerate() {
        let Some(parent) = place.draft.parent else { continue };
        *link = match spans.get(parent) {
            Some(parent) if *parent as usize == at => Link::Cut,
            Some(parent) => Link::To(*parent, Method::Explicit),
            None => {
                missing.insert(parent, ());
                Link::Orphan
            }
        };
    }
    missing.len()
}

/// Links threads (and spans) to the one whose name theirs extends furthest.
pub(super) fn naming(places: &[Place<'_>], links: &mut [Link]) {
    for kind in [NodeKind::Span, NodeKind::Thread] {
        let wants = |place: &Place<'_>, link: Link| {
            link == Link::Root && place.draft.kind == kind && place.draft.id.bytes().any(is_separator)
        };
        if !places.iter().zip(&*links).any(|(place, link)| wants(place, *link)) {
            continue;
        }
        let mut names: Vec<(&str, Option<&str>, u32)> = (0_u32..)
            .zip(places)
            .filter(|(_, place)| place.draft.kind == kind)
            .map(|(at, place)| (place.draft.id, place.draft.service, at))
            .collect();
        names.sort_unstable();
        // Several services may have a thread of one name; the first to start stands for those elsewhere.
        let mut earliest: HashMap<&str, u32> = HashMap::new();
        for (name, _, at) in &names {
            earliest.entry(name).and_modify(|known| *known = (*known).min(*at)).or_insert(*at);
        }
        for (at, (place, link)) in places.iter().zip(links.iter_mut()).enumerate() {
            if !wants(place, *link) {
                continue;
            }
            let Some(name) = longest_prefix(&names, place.draft.id) else { continue };
            let same = names.binary_search_by(|known| (known.0, known.1).cmp(&(name, place.draft.service)));
            let parent = same.ok().map(|found| names[found].2).or_else(|| earliest.get(name).copied());
            if let Some(parent) = parent
                && parent as usize != at
            {
                *link = Link::To(parent, Method::Naming);
            }
        }
    }
}

/// The longest of the sorted `names` that `name` extends by a separator. Each probe is a binary search for a part of
/// `name` that ends before a separator; a failure shortens it to what it has in common with its neighbour.
fn longest_prefix<'a>(names: &[(&'a str, Option<&str>, u32)], name: &str) -> Option<&'a str> {
    let mut end = name.bytes().rposition(is_separator)?;
    loop {
        let probe = name.get(..end)?;
        let found = names.partition_point(|(known, ..)| *known <= probe);
        let known = names.get(found.checked_sub(1)?)?.0;
        if known == probe {
            return (!known.is_empty()).then_some(known);
        }
        let common = common_prefix(known, probe);
        end = name.bytes().take(common + 1).rposition(is_separator)?;
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b':' | b'-' | b'/')
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// A node that may enclose others: the shorter first, then the earlier.
type Candidate = (Span, u32);

/// The two best candidates of different threads, so that one thread can be left out of an answer.
#[derive(Clone, Copy)]
struct Best {
    first: Option<Candidate>,
    second: Option<Candidate>,
}

impl Best {
    const NONE: Self = Self { first: None, second: None };

    fn offer(&mut self, candidate: Candidate, places: &[Place<'_>]) {
        let home = |(_, at): Candidate| places[at as usize].draft.home;
        match self.first {
            None => self.first = Some(candidate),
            Some(first) if candidate < first => {
                if home(first) != home(candidate) {
                    self.second = Some(first);
                }
                self.first = Some(candidate);
            }
            Some(first) if home(first) == home(candidate) => {}
            Some(_) => {
                if self.second.is_none_or(|second| candidate < second) {
                    self.second = Some(candidate);
                }
            }
        }
    }
}

/// Puts each thread that has no parent under the shortest node of another thread whose interval holds its own and is
/// longer. A sweep over starts with a Fenwick tree over ends: n log n.
pub(super) fn temporal(places: &[Place<'_>], links: &mut [Link]) {
    let mut order: Vec<u32> =
        (0_u32..).zip(places).filter(|(_, place)| place.end > place.start).map(|(at, _)| at).collect();
    let wants = |at: u32, links: &[Link]| {
        links[at as usize] == Link::Root && places[at as usize].draft.kind != NodeKind::Span
    };
    if order.len() < 2 || !order.iter().any(|at| wants(*at, links)) {
        return;
    }
    let interval = |at: u32| (places[at as usize].start, Reverse(places[at as usize].end));
    order.sort_unstable_by_key(|at| (interval(*at), *at));
    let mut ends: Vec<EventTime> = order.iter().map(|at| places[*at as usize].end).collect();
    ends.sort_unstable();
    ends.dedup();
    // Position 1 holds the latest end, so that a prefix of the tree is "ends at or after".
    let position = |end: EventTime| ends.len() - ends.partition_point(|known| *known < end);
    let mut tree = vec![Best::NONE; ends.len() + 1];
    for equal in order.chunk_by(|a, b| interval(*a) == interval(*b)) {
        // Equal intervals are asked before any of them is known: none of them encloses another.
        for &at in equal {
            if !wants(at, links) {
                continue;
            }
            let home = places[at as usize].draft.home;
            let mut best: Option<Candidate> = None;
            let mut slot = position(places[at as usize].end);
            while slot > 0 {
                let Best { first, second } = tree[slot];
                let other = |candidate: &Candidate| places[candidate.1 as usize].draft.home != home;
                if let Some(found) = first.filter(other).or(second)
                    && best.is_none_or(|best| found < best)
                {
                    best = Some(found);
                }
                slot &= slot - 1;
            }
            if let Some((_, parent)) = best {
                links[at as usize] = Link::To(parent, Method::Temporal);
            }
        }
        for &at in equal {
            let place = &places[at as usize];
            let candidate = (place.end.since(place.start), at);
            let mut slot = position(place.end);
            while slot < tree.len() {
                tree[slot].offer(candidate, places);
                slot += slot & slot.wrapping_neg();
            }
        }
    }
}

/// Cuts every cycle at its least sure link, of equally sure ones at the node that comes first. A stated link that was
/// cut is marked; an inferred one was only a guess.
pub(super) fn cut_cycles(links: &mut [Link]) {
    // 0: not seen; else the number of the walk that saw it.
    let mut seen = vec![0_u32; links.len()];
    for start in 0..links.len() {
        let walk = number(start) + 1;
        let mut at = start;
        while seen[at] == 0 {
            seen[at] = walk;
            match links[at].parent() {
                Some(parent) => at = parent as usize,
                None => break,
            }
        }
        if seen[at] == walk && links[at].parent().is_some() {
            cut_one(links, at);
        }
    }
}

/// Cuts the cycle that `at` is on, if it is on one.
fn cut_one(links: &mut [Link], at: usize) {
    let rank = |method: Method| Reverse(method);
    let mut weakest = (Reverse(Method::Explicit), NONE);
    let mut node = at;
    loop {
        let Link::To(parent, method) = links[node] else { return };
        weakest = weakest.min((rank(method), number(node)));
        node = parent as usize;
        if node == at {
            break;
        }
    }
    let (Reverse(method), node) = weakest;
    links[node as usize] = if method == Method::Explicit { Link::Cut } else { Link::Root };
}
