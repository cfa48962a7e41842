//! Which rows of a block a filter lets through: a bit per row, narrowed column by column.

use std::ops::Range;

use logbraid_core::EventTime;

use crate::bits::Ints;
use crate::block::{Block, ROWS_MAX};
use crate::filter::{Filter, LevelSet};
use crate::open::FLAGS;

const WORDS: usize = ROWS_MAX / 64;

/// A set of rows.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Box<[u64; WORDS]>);

impl Rows {
    fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }
    fn range(range: Range<usize>) -> Self {
        let mut rows = Self::none();
        for (word, first) in rows.0.iter_mut().zip((0..).step_by(64)) {
            let low = range.start.saturating_sub(first).min(64);
            let high = range.end.saturating_sub(first).min(64);
            if low < high {
                *word = (u64::MAX >> (64 - (high - low))) << low;
            }
        }
        rows
    }
    fn set(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }
    fn and(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0.iter()) {
            *word &= other;
        }
    }
    /// How many rows there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
    /// The first row at or after `row`.
    pub(crate) fn next(&self, row: usize) -> Option<u16> {
        let at = row / 64;
        let head = self.0.get(at)? & (u64::MAX << (row % 64));
        let found = if head != 0 {
            at * 64 + head.trailing_zeros() as usize
        } else {
            let more = self.0.get(at + 1..)?.iter().position(|word| *word != 0)? + at + 1;
            more * 64 + self.0.get(more)?.trailing_zeros() as usize
        };
        u16::try_from(found).ok()
    }
    /// The last row before `row`.
    pub(crate) fn previous(&self, row: usize) -> Option<u16> {
        let last = row.checked_sub(1)?;
        let at = last / 64;
        let head = self.0.get(at)? & (u64::MAX >> (63 - last % 64));
        let found = if head != 0 {
            at * 64 + 63 - head.leading_zeros() as usize
        } else {
            let less = self.0.get(..at)?.iter().rposition(|word| *word != 0)?;
            less * 64 + 63 - self.0.get(less)?.leading_zeros() as usize
        };
        u16::try_from(found).ok()
    }
    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let row = self.next(at)?;
            at = usize::from(row) + 1;
            Some(row)
        })
    }
}

/// A set of codes.
struct Codes(Vec<u64>);

impl Codes {
    fn of(codes: impl IntoIterator<Item = u64>) -> Self {
        let mut words = Vec::new();
        for code in codes {
            let Ok(at) = usize::try_from(code / 64) else { continue };
            if words.len() <= at {
                words.resize(at + 1, 0_u64);
            }
            if let Some(word) = words.get_mut(at) {
                *word |= 1 << (code % 64);
            }
        }
        Self(words)
    }
    fn has(&self, code: u64) -> bool {
        usize::try_from(code / 64)
            .ok()
            .and_then(|at| self.0.get(at))
            .is_some_and(|word| word >> (code % 64) & 1 != 0)
    }
}

impl Block {
    /// The rows that `filter` lets through; `None` when there are none.
    pub(crate) fn select(&self, filter: &Filter) -> Option<Rows> {
        let to = filter.to;
        let range = if to == EventTime::MAX && filter.from == EventTime::MIN {
            0..usize::from(self.rows())
        } else {
            // The last entry may stand at the end of time itself, where "no bound" must include it.
            let mut range = self.rows_between(filter.from, to);
            if to == EventTime::MAX {
                range.end = usize::from(self.rows());
            }
            range
        };
        if range.is_empty() {
            return None;
        }
        // Dictionaries first: they rule out most blocks, and cost least.
        let mut clauses = Vec::with_capacity(filter.clauses.len());
        for clause in &filter.clauses {
            let mut found: Vec<(Ints, u64)> = Vec::new();
            for term in clause {
                for names in self.names(term.column) {
                    if let Some(code) = names.dict.find(&self.bytes, &term.value, term.hash) {
                        found.push((names.codes, u64::from(code)));
                    }
                }
            }
            if found.is_empty() {
                return None;
            }
            clauses.push(found);
        }
        let mut rows = Rows::range(range.clone());
        if filter.levels != LevelSet::ALL {
            let levels = Codes::of((0..7).filter(|code| filter.levels.has_code(*code)));
            self.keep(&mut rows, &range, self.at.level, &levels)?;
        }
        for clause in clauses {
            let mut hit = Rows::none();
            let mut left = clause.as_slice();
            while let Some((column, _)) = left.first() {
                let run = left.iter().take_while(|(other, _)| other == column).count();
                let (same, rest) = left.split_at(run);
                let codes = Codes::of(same.iter().map(|(_, code)| *code));
                self.mark(&mut hit, &range, *column, &codes);
                left = rest;
            }
            rows.and(&hit);
        }
        if let Some(ids) = &filter.templates {
            let codes = Codes::of(ids.iter().filter_map(|id| self.template_code(*id)));
            self.keep(&mut rows, &range, self.at.template, &codes)?;
        }
        if let Some(names) = &filter.inputs {
            let origins =
                (0..).zip(&self.origins).filter(|(_, origin)| names.contains(&origin.source().name));
            let codes = Codes::of(origins.map(|(code, _)| code));
            self.keep(&mut rows, &range, self.at.origin, &codes)?;
        }
        let wanted = (0..)
            .zip(FLAGS)
            .filter(|(_, flag)| filter.flags.has(*flag))
            .fold(0_u64, |bits, (bit, _)| bits | 1 << bit);
        if wanted != 0 {
            let codes = Codes::of((0..256).filter(|bits| bits & wanted == wanted));
            self.keep(&mut rows, &range, self.at.flags, &codes)?;
        }
        rows.next(0).is_some().then_some(rows)
    }

    fn keep(&self, rows: &mut Rows, range: &Range<usize>, column: Ints, codes: &Codes) -> Option<()> {
        match column.constant(&self.bytes) {
            Some(code) if codes.has(code) => {}
            Some(_) => return None,
            None => {
                let mut hit = Rows::none();
                self.mark(&mut hit, range, column, codes);
                rows.and(&hit);
            }
        }
        Some(())
    }

    fn mark(&self, hit: &mut Rows, range: &Range<usize>, column: Ints, codes: &Codes) {
        column.each(&self.bytes, range.clone(), |row, code| {
            if codes.has(code) {
                hit.set(row);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
            #[test]
            fn rows_are_found_from_both_sides(set in proptest::collection::btree_set(0_usize..ROWS_MAX, 0..40)) {
                let mut rows = Rows::none();
                for row in &set {
     rows.set(*row);
    }
                let forward: Vec<usize> = rows.iter().map(usize::from).collect();
                prop_assert_eq!(&forward, &set.iter().copied().collect::<Vec<_>>());
                let mut back = Vec::new();
                let mut at = ROWS_MAX;
                while let Some(row) = rows.previous(at) {
                    at = usize::from(row);
                    back.push(at);
                }
                back.reverse();
                prop_assert_eq!(forward, back);
                prop_assert_eq!(rows.count(), set.len() as u64);
            }
            #[test]
            fn a_range_has_its_rows(start in 0_usize..ROWS_MAX, len in 0_usize..ROWS_MAX) {
                let end = (start + len).min(ROWS_MAX);
                let rows = Rows::range(start..end);
                prop_assert_eq!(rows.count(), (end - start) as u64);
                prop_assert!(end == start || rows.next(0) == u16::try_from(start).ok());
            }
        }
}
