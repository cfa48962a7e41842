//! What was decided, for entries that come later.

use hashbrown::{HashMap, HashSet};
use logbraid_core::{EventTime, Group, Id, Row, Span};
use smallvec::SmallVec;

/// A decision.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Decision {
    pub rule: &'static str,
    pub probability: f64,
    pub kept: bool,
}

impl Decision {
    pub(super) const fn parts(self) -> (&'static str, f64, bool) {
        (self.rule, self.probability, self.kept)
    }
}

/// A kept request, and how much of it has left.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    rule: u8,
    probability: f32,
    /// The last entry that has left, in the order of entries: those before it have left, too, if they had come.
    last: EventTime,
    last_input: u32,
    last_offset: u64,
    /// How far the last entry's input had been read by then.
    read: u64,
    /// The same of other inputs.
    others: Option<Box<[(u32, u64)]>>,
}

/// Decisions of requests that may still change: two generations, so that forgetting costs nothing.
#[derive(Debug, Default)]
pub(super) struct Memory {
    kept: [HashMap<Id, Kept>; 2],
    /// Kept requests that are still open: they are remembered until they close, however long that takes.
    open: HashMap<Id, Kept>,
    /// Eight bytes each, as far as a hash set can.
    dropped: [HashSet<Id>; 2],
    /// Kept requests that were cut, by key: what goes on is of the same request.
    cut: [HashMap<u64, Decision>; 2],
    turned: EventTime,
    turned_cut: EventTime,
}

/// How long a request that was cut is known by its first part: the second may take as long as `max_span`.
const CUT: Span = Span::from_seconds(3600);

fn input(group: &Group, row: &Row) -> u32 {
    let name = group.source(row).map_or("", |source| source.name.as_str());
    #[expect(clippy::cast_possible_truncation, reason = "a hash may be cut")]
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) as u32;
    hash
}

impl Memory {
    /// Forgets what is older than `span`, at least, and twice as old, at most.
    pub(super) fn turn(&mut self, now: EventTime, span: Span) {
        if self.turned.is_known() && now < self.turned + span {
            return;
        }
        self.turned = now;
        self.kept.swap(0, 1);
        self.kept[0] = HashMap::new();
        self.dropped.swap(0, 1);
        self.dropped[0] = HashSet::new();
    }

    /// Forgets decisions on what was cut.
    pub(super) fn turn_cut(&mut self, now: EventTime) {
        if self.turned_cut.is_known() && now < self.turned_cut + CUT {
            return;
        }
        self.turned_cut = now;
        self.cut.swap(0, 1);
        self.cut[0] = HashMap::new();
    }

    /// What was decided on a request, and what of it has left.
    pub(super) fn of(&mut self, id: Id, rules: &[&'static str]) -> Option<(Decision, Option<Kept>)> {
        if let Some(kept) = self.kept.iter().chain([&self.open]).find_map(|kept| kept.get(&id)) {
            let rule = rules.get(usize::from(kept.rule)).copied().unwrap_or("errors");
            let decision = Decision { rule, probability: f64::from(kept.probability), kept: true };
            return Some((decision, Some(kept.clone())));
        }
        let dropped = self.dropped.iter().any(|dropped| dropped.contains(&id));
        dropped.then_some((Decision { rule: "rest", probability: 1.0, kept: false }, None))
    }

    /// Remembers what was decided on a request, and that its entries so far have left.
    pub(super) fn remember(&mut self, group: &Group, decision: Decision, rules: &[&'static str]) {
        if !decision.kept {
            self.dropped[0].insert(group.id);
            return;
        }
        let mut reads: SmallVec<[(u32, u64); 4]> = SmallVec::new();
        for row in group.rows.iter() {
            let input = input(group, row);
            match reads.iter_mut().find(|(known, _)| *known == input) {
                Some((_, offset)) => *offset = row.offset.max(*offset),
                None => reads.push((input, row.offset)),
            }
        }
        let last_input = group.rows.last().map_or(0, |row| input(group, row));
        let read = reads.iter().find(|(known, _)| *known == last_input).map_or(0, |(_, offset)| *offset);
        reads.retain(|(known, _)| *known != last_input);
        let rule = rules.iter().position(|name| *name == decision.rule).unwrap_or(usize::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "a probability needs no more digits")]
        let kept = Kept {
            rule: u8::try_from(rule).unwrap_or(u8::MAX),
            probability: decision.probability as f32,
            last: group.end(),
            last_input,
            last_offset: group.rows.last().map_or(0, |row| row.offset),
            read,
            others: (!reads.is_empty()).then(|| reads.into_vec().into_boxed_slice()),
        };
        self.kept[1].remove(&group.id);
        if group.is_closed() {
            self.open.remove(&group.id);
            self.kept[0].insert(group.id, kept);
        } else {
            self.open.insert(group.id, kept);
        }
    }

    /// Remembers a decision for what goes on after a cut.
    pub(super) fn cut(&mut self, key: u64, decision: Decision) {
        self.cut[0].insert(key, decision);
    }

    /// What was decided on the part before a cut.
    pub(super) fn before_cut(&self, key: u64) -> Option<Decision> {
        self.cut.iter().find_map(|cut| cut.get(&key)).copied()
    }

    /// How many decisions are remembered: of kept requests, and of others.
    pub(super) fn len(&self) -> (usize, usize) {
        (
            self.kept.iter().map(HashMap::len).sum::<usize>() + self.open.len(),
            self.dropped.iter().map(HashSet::len).sum(),
        )
    }
}

impl Kept {
    /// The entries that have not left yet, by number: those after the last that has, and those that came late, after all
    /// that had left were read.
    pub(super) fn missing(&self, group: &Group) -> Vec<usize> {
        let is_last = |row: &Row| {
            row.time == self.last && row.offset == self.last_offset && input(group, row) == self.last_input
        };
        let known = group.rows.iter().rposition(is_last);
        let missing = |(at, row): (usize, &Row)| {
            let after = known.map_or_else(|| row.time > self.last, |known| at > known);
            let late = || {
                let input = input(group, row);
                if input == self.last_input {
                    return row.offset > self.read;
                }
                let mut others = self.others.iter().flatten();
                others.find(|(known, _)| *known == input).is_none_or(|(_, offset)| row.offset > *offset)
            };
            (after || late()).then_some(at)
        };
        group.rows.iter().enumerate().filter_map(missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_small() {
        assert!(size_of::<(Id, Kept)>() <= 64, "{}", size_of::<(Id, Kept)>());
        assert_eq!(size_of::<Id>(), 8);
    }
}
