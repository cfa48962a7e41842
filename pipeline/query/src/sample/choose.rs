//! The strategies: one pass each, in memory that the sample's size bounds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::hash::BuildHasher as _;

use hashbrown::hash_map::Entry as Slot;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use logbraid_core::{EventTime, Id, Level, Span};
use logbraid_index::EntryRef;

use super::Strategy;

/// Templates whose entries are kept apart. Entries of more are one kind.
const KINDS_MAX: usize = 1 << 14;
/// Entries that are kept of each template.
const PER_KIND: usize = 4;
/// Threads and sources that are watched for where they begin, change and end.
const LANES_MAX: usize = 1 << 14;

/// An entry that may be chosen. Entries are ordered by time, then input, then place.
pub trait Candidate: Clone + Ord {
    /// When it was logged.
    fn time(&self) -> EventTime;
    /// Its level.
    fn level(&self) -> Option<Level>;
    /// Its message's template.
    fn template(&self) -> Id;
    /// Its thread.
    fn thread(&self) -> Option<&str>;
    /// Its service.
    fn service(&self) -> Option<&str>;
    /// The name of its input.
    fn input(&self) -> &str;
    /// Its place in the input.
    fn offset(&self) -> u64;
    /// A hash of the input's name, the same in every run; `known` is for those who have to look it up.
    fn input_hash(&self, known: &mut Vec<(usize, u64)>) -> u64;
    /// True for ERROR and FATAL.
    fn is_error(&self) -> bool {
        self.level().is_some_and(Level::is_error)
    }
}

impl Candidate for EntryRef<'_> {
    fn time(&self) -> EventTime {
        EntryRef::time(*self)
    }
    fn level(&self) -> Option<Level> {
        EntryRef::level(*self)
    }
    fn template(&self) -> Id {
        EntryRef::template(*self)
    }
    fn thread(&self) -> Option<&str> {
        EntryRef::thread(*self)
    }
    fn service(&self) -> Option<&str> {
        EntryRef::service(*self)
    }
    fn input(&self) -> &str {
        EntryRef::input(*self)
    }
    fn offset(&self) -> u64 {
        EntryRef::offset(*self)
    }
    fn input_hash(&self, known: &mut Vec<(usize, u64)>) -> u64 {
        let input = EntryRef::input(*self);
        let at = input.as_ptr() as usize;
        if let Some((_, hash)) = known.iter().find(|(known, _)| *known == at) {
            return *hash;
        }
        let hash = Id::of(&[input]).0;
        if known.len() < 64 {
            known.push((at, hash));
        }
        hash
    }
}

/// A chosen entry, and why.
#[derive(Debug, Clone)]
pub struct Chosen<E> {
    /// The entry.
    pub entry: E,
    /// Why it was chosen.
    pub reason: &'static str,
}

/// Sees all entries in the order of time, and chooses some of them. What it holds is bounded by the size, and by 16 384
/// templates and as many threads.
pub struct Population<E> {
    size: usize,
    dice: Dice,
    kind: Kind<E>,
}

enum Kind<E> {
    Random(Least<E>),
    Representative(BTreeMap<Option<Level>, (u64, Least<E>)>),
    Diverse(Diverse<E>),
    Chronological(Slices<E>),
    Errors(Errors<E>),
    Head(Vec<E>),
    Tail(VecDeque<E>),
    Edges(Edges<E>),
}

impl<E: Candidate> Population<E> {
    /// One that chooses `size` entries; another `seed` is another sample. `span` is from the first to the last entry, as
    /// far as it is known beforehand.
    pub fn new(strategy: Strategy, size: usize, seed: u64, span: Option<(EventTime, EventTime)>) -> Self {
        let kind = match strategy {
            Strategy::Random => Kind::Random(Least::new(size)),
            Strategy::Representative => Kind::Representative(BTreeMap::new()),
            Strategy::Diverse => Kind::Diverse(Diverse::new()),
            Strategy::Chronological => Kind::Chronological(Slices::new(size, span)),
            Strategy::ErrorsFocused => Kind::Errors(Errors::new(size)),
            Strategy::Head => Kind::Head(Vec::new()),
            Strategy::Tail => Kind::Tail(VecDeque::new()),
            Strategy::Edges => Kind::Edges(Edges::new(size)),
        };
        Self { size, dice: Dice { seed, inputs: Vec::new() }, kind }
    }

    /// Sees one entry.
    pub fn add(&mut self, entry: E) {
        let size = self.size;
        match &mut self.kind {
            Kind::Random(least) => least.add(self.dice.roll(&entry), entry),
            Kind::Representative(levels) => {
                let (count, least) = levels.entry(entry.level()).or_insert_with(|| (0, Least::new(size)));
                *count += 1;
                least.add(self.dice.roll(&entry), entry);
            }
            Kind::Diverse(diverse) => diverse.add(self.dice.roll(&entry), entry),
            Kind::Chronological(slices) => slices.add(self.dice.roll(&entry), entry),
            Kind::Errors(errors) => errors.add(self.dice.roll(&entry), entry),
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
    pub fn choose(self) -> Vec<Chosen<E>> {
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
    fn roll(&mut self, entry: &impl Candidate) -> u64 {
        mix(entry.input_hash(&mut self.inputs) ^ mix(entry.offset() ^ mix(self.seed)))
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
struct Least<E> {
    most: usize,
    kept: BinaryHeap<(u64, E)>,
}

impl<E: Candidate> Least<E> {
    const fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::new() }
    }
    fn add(&mut self, number: u64, entry: E) {
        if self.kept.len() < self.most {
            self.kept.push((number, entry));
        } else if let Some(mut greatest) = self.kept.peek_mut()
            && number < greatest.0
        {
            *greatest = (number, entry);
        }
    }
    /// By number: any beginning of them is a uniform sample as well.
    fn entries(self) -> Vec<E> {
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

fn representative<E: Candidate>(
    levels: BTreeMap<Option<Level>, (u64, Least<E>)>,
    size: usize,
) -> Vec<Chosen<E>> {
    let counts: Vec<u64> = levels.values().map(|(count, _)| *count).collect();
    let shares = shares(&counts, size);
    let of_level = levels.into_values().zip(shares).flat_map(|((_, least), share)| {
        least.entries().into_iter().take(share).map(|entry| Chosen { entry, reason: "share of its level" })
    });
    of_level.collect()
}

/// Entries with their numbers.
type Rolled<E> = Vec<(u64, E)>;

/// Some entries of each template.
struct Diverse<E> {
    by_template: HashMap<Id, (u64, Rolled<E>)>,
    hasher: DefaultHashBuilder,
}

impl<E: Candidate> Diverse<E> {
    fn new() -> Self {
        Self { by_template: HashMap::new(), hasher: DefaultHashBuilder::default() }
    }
    fn add(&mut self, number: u64, entry: E) {
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
    fn choose(self, size: usize) -> Vec<Chosen<E>> {
        let mut kinds: Vec<(Id, u64, Rolled<E>)> =
            self.by_template.into_iter().map(|(id, (count, kept))| (id, count, kept)).collect();
        let level = |kept: &[(u64, E)]| kept.iter().filter_map(|(_, entry)| entry.level()).max();
        let hash = |entry: &E| entry.thread().map(|thread| self.hasher.hash_one(thread));
        kinds.sort_by(|a, b| level(&b.2).cmp(&level(&a.2)).then(a.1.cmp(&b.1)).then(a.0.cmp(&b.0)));
        let mut chosen: Vec<Chosen<E>> = Vec::new();
        let mut threads: HashSet<Option<u64>> = HashSet::new();
        for round in 0..PER_KIND {
            for (_, _, kept) in &mut kinds {
                if chosen.len() >= size || kept.is_empty() {
                    continue;
                }
                let unseen = kept.iter().position(|(_, entry)| !threads.contains(&hash(entry)));
                let (_, entry) = kept.swap_remove(unseen.unwrap_or(0));
                let new = threads.insert(hash(&entry)) && entry.thread().is_some();
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

/// The first entry of each of as many slices of time as entries are wanted, and some at random for empty slices. While the
/// end is not known, slices are twice as many at most, and twice as long whenever they become more.
struct Slices<E> {
    start: EventTime,
    slice: Span,
    most: usize,
    ends: bool,
    /// The last slice that has an entry.
    last: Option<i64>,
    kept: Rolled<E>,
    rest: Least<E>,
    end: Option<(u64, E)>,
}

impl<E: Candidate> Slices<E> {
    fn new(size: usize, span: Option<(EventTime, EventTime)>) -> Self {
        // One slice less: the very last entry has the last place.
        let most = size.saturating_sub(1).max(1);
        let slice =
            span.map_or(0, |(start, end)| end.since(start).nanos() / i64::try_from(most).unwrap_or(i64::MAX));
        Self {
            start: span.map_or(EventTime::MIN, |(start, _)| start),
            slice: Span::from_nanos(slice.saturating_add(1)),
            most,
            ends: span.is_some(),
            last: None,
            kept: Vec::new(),
            rest: Least::new(size),
            end: None,
        }
    }
    fn slice_of(&self, entry: &E) -> i64 {
        entry.time().since(self.start).nanos() / self.slice.nanos().max(1)
    }
    fn add(&mut self, number: u64, entry: E) {
        if self.end.as_ref().is_some_and(|(_, end)| entry < *end) {
            // It came late: its slice may have gone by.
            return self.rest.add(number, entry);
        }
        if !self.ends && self.end.is_none() {
            self.start = entry.time();
            self.slice = Span::from_millis(1);
        }
        let slice = self.slice_of(&entry);
        // What was the last is one among others, unless its slice has it.
        if let Some((number, before)) = self.end.replace((number, entry.clone()))
            && self.kept.last().is_none_or(|(_, kept)| *kept != before)
        {
            self.rest.add(number, before);
        }
        let room = if self.ends { self.most } else { self.most * 2 };
        if self.last == Some(slice) || (self.ends && self.kept.len() >= room) {
            return;
        }
        self.last = Some(slice);
        self.kept.push((number, entry));
        while self.kept.len() > room {
            self.slice = Span::from_nanos(self.slice.nanos().saturating_mul(2));
            self.thin();
        }
    }
    /// Keeps the first entry of each slice; the others are some among many.
    fn thin(&mut self) {
        let (mut last, kept) = (None, std::mem::take(&mut self.kept));
        for (number, entry) in kept {
            let slice = self.slice_of(&entry);
            if last == Some(slice) {
                self.let_go(number, entry);
            } else {
                last = Some(slice);
                self.kept.push((number, entry));
            }
        }
        self.last = last;
    }
    fn let_go(&mut self, number: u64, entry: E) {
        // The end has a place of its own.
        if self.end.as_ref().is_none_or(|(_, end)| *end != entry) {
            self.rest.add(number, entry);
        }
    }
    fn choose(mut self, size: usize) -> Vec<Chosen<E>> {
        if !self.ends
            && let Some((_, end)) = &self.end
        {
            // Now the end is known.
            let nanos = end.time().since(self.start).nanos() / i64::try_from(self.most).unwrap_or(i64::MAX);
            self.slice = self.slice.max(Span::from_nanos(nanos.saturating_add(1)));
            self.thin();
            for (number, entry) in self.kept.split_off(self.most.min(self.kept.len())) {
                self.let_go(number, entry);
            }
        }
        let last = self.kept.last().map(|(_, entry)| entry.clone());
        let mut chosen: Vec<Chosen<E>> = self
            .kept
            .into_iter()
            .map(|(_, entry)| Chosen { entry, reason: "first of its slice of time" })
            .collect();
        if let Some((_, end)) = self.end.filter(|(_, end)| last.as_ref() != Some(end)) {
            chosen.push(Chosen { entry: end, reason: "the last of all" });
        }
        let rest = self.rest.entries().into_iter();
        let room = size.saturating_sub(chosen.len());
        chosen.extend(rest.take(room).map(|entry| Chosen { entry, reason: "more where most was logged" }));
        chosen.truncate(size);
        chosen
    }
}

/// An entry's input and its place there: no two entries share both.
type Place = (u64, u64);

fn place(entry: &impl Candidate, inputs: &mut Vec<(usize, u64)>) -> Place {
    (entry.input_hash(inputs), entry.offset())
}

/// Errors of every kind, what came before them, and some others.
struct Errors<E> {
    size: usize,
    all: Least<E>,
    by_template: HashMap<Id, Least<E>>,
    others: Least<E>,
    /// The last entry of each source and thread.
    before: HashMap<u64, E>,
    /// What came before errors, by the error.
    led: HashMap<Place, E>,
    inputs: Vec<(usize, u64)>,
    hasher: DefaultHashBuilder,
}

impl<E: Candidate> Errors<E> {
    fn new(size: usize) -> Self {
        Self {
            size,
            all: Least::new(size),
            by_template: HashMap::new(),
            others: Least::new(size),
            before: HashMap::new(),
            led: HashMap::new(),
            inputs: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
    fn add(&mut self, number: u64, entry: E) {
        let lane = self.hasher.hash_one((entry.input(), entry.thread().unwrap_or_default()));
        if entry.is_error() {
            self.all.add(number, entry.clone());
            let template = entry.template();
            if self.by_template.len() < KINDS_MAX || self.by_template.contains_key(&template) {
                let least = self.by_template.entry(template).or_insert_with(|| Least::new(PER_KIND));
                least.add(number, entry.clone());
            }
            if let Some(before) = self.before.get(&lane) {
                self.led.insert(place(&entry, &mut self.inputs), before.clone());
                if self.led.len() > 2 * (self.size + PER_KIND * self.by_template.len()) + 64 {
                    self.forget();
                }
            }
        } else {
            self.others.add(number, entry.clone());
        }
        if let Some(before) = self.before.get_mut(&lane) {
            *before = entry;
        } else if self.before.len() < LANES_MAX {
            self.before.insert(lane, entry);
        }
    }
    /// Forgets what came before errors that are kept no longer.
    fn forget(&mut self) {
        let mut kept: HashMap<Place, E> = HashMap::new();
        let errors =
            self.by_template.values().flat_map(|least| least.kept.iter()).chain(self.all.kept.iter());
        for (_, error) in errors {
            let key = place(error, &mut self.inputs);
            if let Some(before) = self.led.remove(&key) {
                kept.insert(key, before);
            }
        }
        self.led = kept;
    }
    fn choose(self, size: usize) -> Vec<Chosen<E>> {
        let wanted = (size * 7).div_ceil(10);
        let mut kinds: Vec<(Id, VecDeque<E>)> =
            self.by_template.into_iter().map(|(id, least)| (id, least.entries().into())).collect();
        kinds.sort_by_key(|(id, entries)| (entries.len(), *id));
        let mut inputs = self.inputs;
        let mut taken: HashSet<Place> = HashSet::new();
        // One of each kind, then a second one, …, then any.
        let mut errors: Vec<E> = Vec::new();
        for _ in 0..PER_KIND {
            errors.extend(kinds.iter_mut().filter_map(|(_, entries)| entries.pop_front()));
        }
        errors.extend(self.all.entries());
        errors.retain(|entry| taken.insert(place(entry, &mut inputs)));
        let mut chosen: Vec<Chosen<E>> = Vec::new();
        let mut taken: HashSet<Place> = HashSet::new();
        let mut put = |chosen: &mut Vec<Chosen<E>>, entry: &E, reason| {
            let place = place(entry, &mut inputs);
            if taken.insert(place) {
                chosen.push(Chosen { entry: entry.clone(), reason });
            }
            place
        };
        for entry in &errors {
            if chosen.len() >= wanted {
                break;
            }
            let place = put(&mut chosen, entry, "an error");
            if chosen.len() < wanted
                && let Some(before) = self.led.get(&place)
            {
                let reason = if before.is_error() { "an error" } else { "before an error" };
                put(&mut chosen, before, reason);
            }
        }
        for entry in self.others.entries() {
            if chosen.len() >= size {
                break;
            }
            put(&mut chosen, &entry, "for comparison");
        }
        // Few others: errors take their place.
        for entry in errors {
            if chosen.len() >= size {
                break;
            }
            put(&mut chosen, &entry, "an error");
        }
        chosen
    }
}

/// Where something begins, ends or changes.
struct Edges<E> {
    size: usize,
    first: Option<E>,
    last: Option<E>,
    /// By service and thread: the last entry.
    lanes: HashMap<u64, E>,
    hasher: DefaultHashBuilder,
    /// The most important so far: the greatest weight, then the earliest.
    found: BinaryHeap<Reverse<(u64, Reverse<E>, &'static str)>>,
}

impl<E: Candidate> Edges<E> {
    fn new(size: usize) -> Self {
        Self {
            size,
            first: None,
            last: None,
            lanes: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            found: BinaryHeap::new(),
        }
    }
    fn note(&mut self, weight: u64, entry: E, reason: &'static str) {
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
    fn add(&mut self, entry: E) {
        if self.first.is_none() {
            self.first = Some(entry.clone());
        }
        if let Some(before) = self.last.replace(entry.clone()) {
            // Silences, longer ones first: up to the weight of what is below.
            let gap = entry.time().since(before.time()).nanos();
            if gap > 0 && before.time().is_known() && entry.time().is_known() {
                let weight = gap.unsigned_abs() / 1_000_000;
                self.note(1000 + weight.min(1_000_000_000), before, "before a silence");
                self.note(1000 + weight.min(1_000_000_000), entry.clone(), "after a silence");
            }
        }
        let lane = (entry.service().unwrap_or_default(), entry.thread().unwrap_or_default());
        let lane = self.hasher.hash_one(lane);
        let full = self.lanes.len() >= LANES_MAX;
        match self.lanes.entry(lane) {
            Slot::Vacant(slot) => {
                if !full {
                    slot.insert(entry.clone());
                }
                self.note(2_000_000_000, entry, "the first of its service and thread");
            }
            Slot::Occupied(mut slot) => {
                let before = slot.insert(entry.clone());
                if entry.is_error() && !before.is_error() {
                    self.note(3_000_000_000, entry, "the level rises to an error");
                } else if before.is_error() && !entry.is_error() {
                    self.note(1_500_000_000, entry, "the level falls from an error");
                } else if entry.level() != before.level() {
                    self.note(10, entry, "another level");
                }
            }
        }
    }
    fn choose(mut self) -> Vec<Chosen<E>> {
        let lanes: Vec<E> = self.lanes.drain().map(|(_, entry)| entry).collect();
        for entry in lanes {
            self.note(1_900_000_000, entry, "the last of its service and thread");
        }
        let ends = [(self.first, "the first of all"), (self.last, "the last of all")];
        let mut found: Vec<Chosen<E>> = ends
            .into_iter()
            .filter_map(|(entry, reason)| entry.map(|entry| Chosen { entry, reason }))
            .collect();
        let sorted = self.found.into_sorted_vec();
        found.extend(sorted.into_iter().map(|Reverse((_, Reverse(entry), reason))| Chosen { entry, reason }));
        let mut taken = HashSet::new();
        let mut inputs = Vec::new();
        found.retain(|chosen| taken.insert(place(&chosen.entry, &mut inputs)));
        found.truncate(self.size);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An entry at so many milliseconds.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct At(i64, u64);

    impl Candidate for At {
        fn time(&self) -> EventTime {
            EventTime::from_millis(self.0)
        }
        fn level(&self) -> Option<Level> {
            None
        }
        fn template(&self) -> Id {
            Id(0)
        }
        fn thread(&self) -> Option<&str> {
            None
        }
        fn service(&self) -> Option<&str> {
            None
        }
        fn input(&self) -> &'static str {
            "stream"
        }
        fn offset(&self) -> u64 {
            self.1
        }
        fn input_hash(&self, _: &mut Vec<(usize, u64)>) -> u64 {
            7
        }
    }

    proptest! {
        #[test]
        fn slices_of_a_stream_without_an_end_cover_its_time_in_bounded_memory(
            gaps in proptest::collection::vec(0_i64..100_000, 1..800),
            late in proptest::collection::vec(any::<bool>(), 800),
            size in 2_usize..40,
        ) {
            let mut slices = Slices::new(size, None);
            let (mut now, mut all) = (1_000_000_000_i64, Vec::new());
            for (at, (gap, late)) in gaps.iter().zip(&late).enumerate() {
                now += gap;
                // Some come late.
                let time = if *late && at > 0 { now - gap - 5 } else { now };
                let entry = At(time, at as u64);
                all.push(entry.clone());
                slices.add(mix(at as u64), entry);
                prop_assert!(slices.kept.len() <= 2 * slices.most + 1);
            }
            let end = all.iter().max().cloned();
            let chosen: Vec<At> = slices.choose(size).into_iter().map(|chosen| chosen.entry).collect();
            prop_assert_eq!(chosen.len(), size.min(all.len()));
            let mut once = chosen.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), chosen.len(), "none twice");
            prop_assert!(chosen.contains(&all[0]) && chosen.contains(&end.unwrap()));
        }
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
