//! The strategies: one pass each, in memory that the sample's size bounds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use hashbrown::hash_map::Entry as Slot;
use hashbrown::{HashMap, HashSet};
use logbraid_core::{EventTime, Id, Level, Span};
use logbraid_index::EntryRef;

use super::{Strategy, is_error};

/// Templates whose entries are kept apart. Entries of more are one kind.
const KINDS_MAX: usize = 1 << 14;
/// Entries that are kept of each template.
const PER_KIND: usize = 4;
/// Threads and sources that are watched for where they begin, change and end.
const LANES_MAX: usize = 1 << 14;

/// A chosen entry, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'v> {
    pub entry: EntryRef<'v>,
    pub reason: &'static str,
}

/// Sees all entries in the order of time, and chooses some of them.
pub(super) struct Population<'v> {
    size: usize,
    dice: Dice,
    kind: Kind<'v>,
}

enum Kind<'v> {
    Random(Least<'v>),
    Representative(BTreeMap<Option<Level>, (u64, Least<'v>)>),
    Diverse(Diverse<'v>),
    Chronological(Slices<'v>),
    Errors(Errors<'v>),
    Head(Vec<EntryRef<'v>>),
    Tail(VecDeque<EntryRef<'v>>),
    Edges(Edges<'v>),
}

impl<'v> Population<'v> {
    /// `span` is from the first to the last entry, as far as it is known beforehand.
    pub(super) fn new(
        strategy: Strategy,
        size: usize,
        seed: u64,
        span: Option<(EventTime, EventTime)>,
    ) -> Self {
        let kind = match strategy {
            Strategy::Random => Kind::Random(Least::new(size)),
            Strategy::Representative => Kind::Representative(BTreeMap::new()),
            Strategy::Diverse => Kind::Diverse(Diverse::default()),
            Strategy::Chronological => Kind::Chronological(Slices::new(size, span)),
            Strategy::ErrorsFocused => Kind::Errors(Errors::new(size)),
            Strategy::Head => Kind::Head(Vec::new()),
            Strategy::Tail => Kind::Tail(VecDeque::new()),
            Strategy::Edges => Kind::Edges(Edges::new(size)),
        };
        Self { size, dice: Dice { seed, inputs: Vec::new() }, kind }
    }

    /// Sees one entry.
    pub(super) fn add(&mut self, entry: EntryRef<'v>) {
        let size = self.size;
        match &mut self.kind {
            Kind::Random(least) => least.add(self.dice.roll(entry), entry),
            Kind::Representative(levels) => {
                let (count, least) = levels.entry(entry.level()).or_insert_with(|| (0, Least::new(size)));
                *count += 1;
                least.add(self.dice.roll(entry), entry);
            }
            Kind::Diverse(diverse) => diverse.add(self.dice.roll(entry), entry),
            Kind::Chronological(slices) => slices.add(self.dice.roll(entry), entry),
            Kind::Errors(errors) => errors.add(self.dice.roll(entry), entry),
            Kind::Head(head) => {
                if head.len() < size {
                    head.push(entry);
                }
            }
            Kind::Tail(tail) => {
                if tail.len() == size {
                    tail.pop_front();
                }
                if size > 0 {
                    tail.push_back(entry);
                }
            }
            Kind::Edges(edges) => edges.add(entry),
        }
    }

    /// What was chosen; no entry twice.
    pub(super) fn choose(self) -> Vec<Chosen<'v>> {
        let because = |reason| move |entry| Chosen { entry, reason };
        match self.kind {
            Kind::Random(least) => least.entries().into_iter().map(because("by chance")).collect(),
            Kind::Representative(levels) => representative(levels, self.size),
            Kind::Diverse(diverse) => diverse.choose(self.size),
            Kind::Chronological(slices) => slices.choose(self.size),
            Kind::Errors(errors) => errors.choose(self.size),
            Kind::Head(head) => head.into_iter().map(because("among the first")).collect(),
            Kind::Tail(tail) => tail.into_iter().map(because("among the last")).collect(),
            Kind::Edges(edges) => edges.choose(),
        }
    }
}

/// Rolls the same number for the same entry, whatever the order.
struct Dice {
    seed: u64,
    inputs: Vec<(usize, u64)>,
}

impl Dice {
    fn roll(&mut self, entry: EntryRef<'_>) -> u64 {
        let input = entry.input();
        let at = input.as_ptr() as usize;
        let known = self.inputs.iter().find(|(known, _)| *known == at).map(|(_, hash)| *hash);
        let hash = known.unwrap_or_else(|| {
            let hash = Id::of(&[input]).0;
            if self.inputs.len() < 64 {
                self.inputs.push((at, hash));
            }
            hash
        });
        mix(hash ^ mix(entry.offset() ^ mix(self.seed)))
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The entries with the least numbers: a uniform sample, whatever the order in which they come.
struct Least<'v> {
    most: usize,
    kept: BinaryHeap<(u64, EntryRef<'v>)>,
}

impl<'v> Least<'v> {
    const fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::new() }
    }
    fn add(&mut self, number: u64, entry: EntryRef<'v>) {
        if self.kept.len() < self.most {
            self.kept.push((number, entry));
        } else if let Some(mut greatest) = self.kept.peek_mut()
            && number < greatest.0
        {
            *greatest = (number, entry);
        }
    }
    /// By number: any beginning of them is a uniform sample as well.
    fn entries(self) -> Vec<EntryRef<'v>> {
        self.kept.into_sorted_vec().into_iter().map(|(_, entry)| entry).collect()
    }
}

/// Shares of `size` in proportion to `counts`, at least one each where there is room: largest remainders.
fn shares(counts: &[u64], size: usize) -> Vec<usize> {
    let total: u64 = counts.iter().sum();
    if total <= size as u64 {
        return counts.iter().map(|count| usize::try_from(*count).unwrap_or(size)).collect();
    }
    let exact = |count: u64| size as f64 * count as f64 / total as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a share is at most the size")]
    let mut shares: Vec<usize> =
        counts.iter().map(|count| (exact(*count).floor() as usize).max(usize::from(*count > 0))).collect();
    // Those that gained by the minimum are paid for by the largest.
    while shares.iter().sum::<usize>() > size {
        let largest = (0..shares.len()).max_by_key(|at| (shares.get(*at), Reverse(*at)));
        let Some(share) = largest.and_then(|at| shares.get_mut(at)) else { break };
        *share -= 1;
    }
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    let remainder = |at: usize| {
        let count = counts.get(at).copied().unwrap_or(0);
        exact(count) - exact(count).floor()
    };
    by_remainder.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b)));
    let mut at = 0;
    let mut idle = 0;
    while shares.iter().sum::<usize>() < size && idle < counts.len() {
        let which = by_remainder.get(at % counts.len()).copied().unwrap_or(0);
        at += 1;
        let count = counts.get(which).copied().unwrap_or(0);
        match shares.get_mut(which) {
            Some(share) if (*share as u64) < count => {
                *share += 1;
                idle = 0;
            }
            _ => idle += 1,
        }
    }
    shares
}

fn representative(levels: BTreeMap<Option<Level>, (u64, Least<'_>)>, size: usize) -> Vec<Chosen<'_>> {
    let counts: Vec<u64> = levels.values().map(|(count, _)| *count).collect();
    let shares = shares(&counts, size);
    let of_level = levels.into_values().zip(shares).flat_map(|((_, least), share)| {
        least.entries().into_iter().take(share).map(|entry| Chosen { entry, reason: "share of its level" })
    });
    of_level.collect()
}

/// Entries with their numbers.
type Rolled<'v> = Vec<(u64, EntryRef<'v>)>;

/// Some entries of each template.
#[derive(Default)]
struct Diverse<'v> {
    by_template: HashMap<Id, (u64, Rolled<'v>)>,
}

impl<'v> Diverse<'v> {
    fn add(&mut self, number: u64, entry: EntryRef<'v>) {
        let template = entry.template();
        let template = if self.by_template.len() < KINDS_MAX || self.by_template.contains_key(&template) {
            template
        } else {
            Id(0)
        };
        let (count, kept) = self.by_template.entry(template).or_default();
        *count += 1;
        // The first of a kind stays; of the others, those with the least numbers, of different threads first.
        let same = kept.iter().skip(1).position(|(_, known)| known.thread() == entry.thread());
        let place = match same {
            Some(at) => kept.get_mut(at + 1),
            None if kept.len() < PER_KIND => {
                kept.push((number, entry));
                return;
            }
            None => kept.iter_mut().skip(1).max_by_key(|(number, _)| *number),
        };
        if let Some(place) = place.filter(|place| place.0 > number) {
            *place = (number, entry);
        }
    }
    /// Round by round one entry of each template: higher levels first, then rarer templates; of a template, threads that
    /// the sample has not seen first.
    fn choose(self, size: usize) -> Vec<Chosen<'v>> {
        let mut kinds: Vec<(Id, u64, Rolled<'v>)> =
            self.by_template.into_iter().map(|(id, (count, kept))| (id, count, kept)).collect();
        let level = |kept: &[(u64, EntryRef<'v>)]| kept.iter().filter_map(|(_, entry)| entry.level()).max();
        kinds.sort_by(|a, b| level(&b.2).cmp(&level(&a.2)).then(a.1.cmp(&b.1)).then(a.0.cmp(&b.0)));
        let mut chosen: Vec<Chosen<'v>> = Vec::new();
        let mut threads: HashSet<Option<&str>> = HashSet::new();
        for round in 0..PER_KIND {
            for (_, _, kept) in &mut kinds {
                if chosen.len() >= size || kept.is_empty() {
                    continue;
                }
                let unseen = kept.iter().position(|(_, entry)| !threads.contains(&entry.thread()));
                let (_, entry) = kept.swap_remove(unseen.unwrap_or(0));
                let new = threads.insert(entry.thread()) && entry.thread().is_some();
                let reason = match (round, new) {
                    (0, _) => "another template",
                    (_, true) => "another thread",
                    _ => "more of its template",
                };
                chosen.push(Chosen { entry, reason });
            }
        }
        chosen
    }
}

/// The first entry of each of as many slices of time as entries are wanted, and some at random for empty slices.
struct Slices<'v> {
    start: EventTime,
    slice: Span,
    most: usize,
    /// The last slice that has an entry.
    last: Option<i64>,
    kept: Vec<EntryRef<'v>>,
    rest: Least<'v>,
    end: Option<(u64, EntryRef<'v>)>,
}

impl<'v> Slices<'v> {
    fn new(size: usize, span: Option<(EventTime, EventTime)>) -> Self {
        let (start, end) = span.unwrap_or((EventTime::MIN, EventTime::MIN));
        // One slice less: the very last entry has the last place.
        let slices = size.saturating_sub(1).max(1);
        let nanos = end.since(start).nanos() / i64::try_from(slices).unwrap_or(i64::MAX);
        Self {
            start,
            slice: Span::from_nanos(nanos.saturating_add(1)),
            most: slices,
            last: None,
            kept: Vec::new(),
            rest: Least::new(size),
            end: None,
        }
    }
    fn add(&mut self, number: u64, entry: EntryRef<'v>) {
        let slice = entry.time().since(self.start).nanos() / self.slice.nanos().max(1);
        // What was the last is one among others, unless its slice has it.
        if let Some((number, before)) = self.end.replace((number, entry))
            && self.kept.last() != Some(&before)
        {
            self.rest.add(number, before);
        }
        if self.kept.len() < self.most && self.last != Some(slice) {
            self.last = Some(slice);
            self.kept.push(entry);
        }
    }
    fn choose(self, size: usize) -> Vec<Chosen<'v>> {
        let mut chosen: Vec<Chosen<'v>> = self
            .kept
            .iter()
            .map(|entry| Chosen { entry: *entry, reason: "first of its slice of time" })
            .collect();
        if let Some((_, end)) = self.end.filter(|(_, end)| self.kept.last() != Some(end)) {
            chosen.push(Chosen { entry: end, reason: "the last of all" });
        }
        let rest = self.rest.entries().into_iter();
        let room = size.saturating_sub(chosen.len());
        chosen.extend(rest.take(room).map(|entry| Chosen { entry, reason: "more where most was logged" }));
        chosen.truncate(size);
        chosen
    }
}

/// Errors of every kind, what came before them, and some others.
struct Errors<'v> {
    size: usize,
    all: Least<'v>,
    by_template: HashMap<Id, Least<'v>>,
    others: Least<'v>,
    /// The last entry of each source and thread.
    before: HashMap<(&'v str, &'v str), EntryRef<'v>>,
    /// What came before errors, by the error.
    led: HashMap<(usize, u64), EntryRef<'v>>,
}

impl<'v> Errors<'v> {
    fn new(size: usize) -> Self {
        Self {
            size,
            all: Least::new(size),
            by_template: HashMap::new(),
            others: Least::new(size),
            before: HashMap::new(),
            led: HashMap::new(),
        }
    }
    fn key(entry: EntryRef<'_>) -> (usize, u64) {
        (entry.input().as_ptr() as usize, entry.offset())
    }
    fn add(&mut self, number: u64, entry: EntryRef<'v>) {
        let lane = (entry.input(), entry.thread().unwrap_or_default());
        if is_error(entry) {
            self.all.add(number, entry);
            let template = entry.template();
            if self.by_template.len() < KINDS_MAX || self.by_template.contains_key(&template) {
                self.by_template.entry(template).or_insert_with(|| Least::new(PER_KIND)).add(number, entry);
            }
            if let Some(before) = self.before.get(&lane) {
                self.led.insert(Self::key(entry), *before);
                if self.led.len() > 2 * (self.size + PER_KIND * self.by_template.len()) + 64 {
                    self.forget();
                }
            }
        } else {
            self.others.add(number, entry);
        }
        if let Some(before) = self.before.get_mut(&lane) {
            *before = entry;
        } else if self.before.len() < LANES_MAX {
            self.before.insert(lane, entry);
        }
    }
    /// Forgets what came before errors that are kept no longer.
    fn forget(&mut self) {
        let mut kept: HashMap<(usize, u64), EntryRef<'v>> = HashMap::new();
        let errors =
            self.by_template.values().flat_map(|least| least.kept.iter()).chain(self.all.kept.iter());
        for (_, error) in errors {
            let key = Self::key(*error);
            if let Some(before) = self.led.get(&key) {
                kept.insert(key, *before);
            }
        }
        self.led = kept;
    }
    fn choose(self, size: usize) -> Vec<Chosen<'v>> {
        let wanted = (size * 7).div_ceil(10);
        let mut kinds: Vec<(Id, VecDeque<EntryRef<'v>>)> =
            self.by_template.into_iter().map(|(id, least)| (id, least.entries().into())).collect();
        kinds.sort_by_key(|(id, entries)| (entries.len(), *id));
        let mut taken: HashSet<(usize, u64)> = HashSet::new();
        // One of each kind, then a second one, …, then any.
        let mut errors: Vec<EntryRef<'v>> = Vec::new();
        for _ in 0..PER_KIND {
            errors.extend(kinds.iter_mut().filter_map(|(_, entries)| entries.pop_front()));
        }
        errors.extend(self.all.entries());
        errors.retain(|entry| taken.insert(Self::key(*entry)));
        let led = |entry: EntryRef<'v>| self.led.get(&Self::key(entry)).copied();
        let mut chosen: Vec<Chosen<'v>> = Vec::new();
        let mut taken: HashSet<(usize, u64)> = HashSet::new();
        let mut put = |chosen: &mut Vec<Chosen<'v>>, entry: EntryRef<'v>, reason| {
            if taken.insert(Self::key(entry)) {
                chosen.push(Chosen { entry, reason });
            }
        };
        for entry in &errors {
            if chosen.len() >= wanted {
                break;
            }
            put(&mut chosen, *entry, "an error");
            if chosen.len() < wanted
                && let Some(before) = led(*entry)
            {
                let reason = if is_error(before) { "an error" } else { "before an error" };
                put(&mut chosen, before, reason);
            }
        }
        for entry in self.others.entries() {
            if chosen.len() >= size {
                break;
            }
            put(&mut chosen, entry, "for comparison");
        }
        // Few others: errors take their place.
        for entry in errors {
            if chosen.len() >= size {
                break;
            }
            put(&mut chosen, entry, "an error");
        }
        chosen
    }
}

/// Where something begins, ends or changes.
struct Edges<'v> {
    size: usize,
    first: Option<EntryRef<'v>>,
    last: Option<EntryRef<'v>>,
    /// By service and thread: the last entry.
    lanes: HashMap<(&'v str, &'v str), EntryRef<'v>>,
    /// The most important so far: the greatest weight, then the earliest.
    found: BinaryHeap<Reverse<(u64, Reverse<EntryRef<'v>>, &'static str)>>,
}

impl<'v> Edges<'v> {
    fn new(size: usize) -> Self {
        Self { size, first: None, last: None, lanes: HashMap::new(), found: BinaryHeap::new() }
    }
    fn note(&mut self, weight: u64, entry: EntryRef<'v>, reason: &'static str) {
        // An entry may be noted for several reasons; three times the size leaves enough.
        let full = self.found.len() > 3 * self.size + 8;
        if full && self.found.peek().is_some_and(|Reverse((least, ..))| *least >= weight) {
            return;
        }
        self.found.push(Reverse((weight, Reverse(entry), reason)));
        if full {
            self.found.pop();
        }
    }
    fn add(&mut self, entry: EntryRef<'v>) {
        if self.first.is_none() {
            self.first = Some(entry);
        }
        if let Some(before) = self.last.replace(entry) {
            // Silences, longer ones first: up to the weight of what is below.
            let gap = entry.time().since(before.time()).nanos();
            if gap > 0 && before.time().is_known() && entry.time().is_known() {
                let weight = gap.unsigned_abs() / 1_000_000;
                self.note(1000 + weight.min(1_000_000_000), before, "before a silence");
                self.note(1000 + weight.min(1_000_000_000), entry, "after a silence");
            }
        }
        let lane = (entry.service().unwrap_or_default(), entry.thread().unwrap_or_default());
        let full = self.lanes.len() >= LANES_MAX;
        match self.lanes.entry(lane) {
            Slot::Vacant(slot) => {
                if !full {
                    slot.insert(entry);
                }
                self.note(2_000_000_000, entry, "the first of its service and thread");
            }
            Slot::Occupied(mut slot) => {
                let before = slot.insert(entry);
                if is_error(entry) && !is_error(before) {
                    self.note(3_000_000_000, entry, "the level rises to an error");
                } else if is_error(before) && !is_error(entry) {
                    self.note(1_500_000_000, entry, "the level falls from an error");
                } else if entry.level() != before.level() {
                    self.note(10, entry, "another level");
                }
            }
        }
    }
    fn choose(mut self) -> Vec<Chosen<'v>> {
        let lanes: Vec<EntryRef<'v>> = self.lanes.values().copied().collect();
        for entry in lanes {
            self.note(1_900_000_000, entry, "the last of its service and thread");
        }
        let ends = [(self.first, "the first of all"), (self.last, "the last of all")];
        let mut found: Vec<Chosen<'v>> = ends
            .into_iter()
            .filter_map(|(entry, reason)| entry.map(|entry| Chosen { entry, reason }))
            .collect();
        let sorted = self.found.into_sorted_vec();
        found.extend(sorted.into_iter().map(|Reverse((_, Reverse(entry), reason))| Chosen { entry, reason }));
        let mut taken = HashSet::new();
        found.retain(|chosen| taken.insert(Errors::key(chosen.entry)));
        found.truncate(self.size);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::shares;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_fill_the_sample_and_leave_nobody_out(
            counts in proptest::collection::vec(0_u64..1000, 1..8),
            size in 8_usize..200,
        ) {
            let found = shares(&counts, size);
            let total: u64 = counts.iter().sum();
            prop_assert_eq!(found.iter().sum::<usize>() as u64, total.min(size as u64));
            for (share, count) in found.iter().zip(&counts) {
                prop_assert!(*share as u64 <= *count);
                prop_assert_eq!(*share > 0, *count > 0);
            }
        }
    }
}
