//! Entries beside each other in their input, wherever time has put them in the index.

use crate::block::Block;
use crate::entry::EntryRef;
use crate::view::{Place, View};

/// Most blocks whose positions are kept, 64 KiB each.
const KNOWN_MAX: usize = 128;

/// Looks up neighbours. What it has learned about a block serves the next look-up: asked for many places, it reads
/// each block near them once instead of once for each place.
#[derive(Debug)]
pub struct Neighbours<'v> {
    view: &'v View,
    known: Vec<Known<'v>>,
    /// Which of `known` gives way next.
    next: usize,
}

/// The entries of one input in one block, by position.
#[derive(Debug)]
struct Known<'v> {
    block: &'v Block,
    origin: usize,
    by_line: bool,
    /// Position, offset, row; sorted.
    places: Vec<(u64, u64, u16)>,
}

impl<'v> Neighbours<'v> {
    /// Those of `view`.
    pub const fn new(view: &'v View) -> Self {
        Self { view, known: Vec::new(), next: 0 }
    }

    /// The entry at a place of an input, and its neighbours there: up to `before` entries before it and `after` after
    /// it, in the order of the input. Without an entry at the place, its neighbours alone.
    pub fn around(&mut self, input: &str, place: Place, before: usize, after: usize) -> Vec<EntryRef<'v>> {
        let (target, by_line) = match place {
            Place::Line(line) => (line, true),
            Place::Offset(offset) => (offset, false),
        };
        let which = if by_line { 2 } else { 0 };
        // Nearest blocks first, so that most are never looked into.
        let mut near: Vec<(u64, u64, usize, &'v Block)> = Vec::new();
        for block in self.view.blocks() {
            for (at, origin) in block.origins.iter().enumerate() {
                if origin.source().name == input {
                    let range = block.range(at);
                    let (first, last) = (range[which], range[which + 1]);
                    near.push((first.saturating_sub(target), target.saturating_sub(last), at, block));
                }
            }
        }
        near.sort_by_key(|(ahead, behind, ..)| ahead.max(behind).to_owned());
        // Distances of the farthest that are kept, once there are enough.
        let mut found_before: Vec<(u64, u64, EntryRef<'v>)> = Vec::new();
        let mut found_after: Vec<(u64, u64, EntryRef<'v>)> = Vec::new();
        let keep = |found: &mut Vec<(u64, u64, EntryRef<'v>)>, most: usize| {
            found.sort_by_key(|(distance, offset, _)| (*distance, *offset));
            found.truncate(most);
        };
        for (ahead, behind, at, block) in near {
            let full = |found: &Vec<(u64, u64, EntryRef<'v>)>, most: usize, distance: u64| {
                found.len() >= most && found.last().is_none_or(|(farthest, ..)| *farthest < distance)
            };
            // A block on one side of the place cannot give neighbours on the other.
            if (ahead > 0 && full(&found_after, after + 1, ahead))
                || (behind > 0 && full(&found_before, before, behind))
            {
                continue;
            }
            let places = self.places(block, at, by_line);
            let split = places.partition_point(|(position, ..)| *position < target);
            let entry = |row: u16| EntryRef { block, row };
            for (position, offset, row) in nearest(places[..split].iter().rev(), before) {
                found_before.push((target - position, offset, entry(row)));
            }
            for (position, offset, row) in nearest(places[split..].iter(), after + 1) {
                found_after.push((position - target, offset, entry(row)));
            }
            keep(&mut found_before, before);
            keep(&mut found_after, after + 1);
        }
        let exact = found_after.first().is_some_and(|(distance, ..)| *distance == 0);
        if !exact {
            found_after.truncate(after);
        }
        let mut entries: Vec<EntryRef<'v>> =
            found_before.into_iter().rev().map(|(.., entry)| entry).collect();
        entries.extend(found_after.into_iter().map(|(.., entry)| entry));
        entries
    }

    fn places(&mut self, block: &'v Block, origin: usize, by_line: bool) -> &[(u64, u64, u16)] {
        let is = |known: &Known<'_>| {
            std::ptr::eq(known.block, block) && known.origin == origin && known.by_line == by_line
        };
        let slot = match self.known.iter().position(is) {
            Some(slot) => slot,
            None => self.learn(block, origin, by_line),
        };
        self.known.get(slot).map_or(&[], |known| &known.places)
    }

    fn learn(&mut self, block: &'v Block, origin: usize, by_line: bool) -> usize {
        let mut places = Vec::new();
        block.at.origin.each(&block.bytes, 0..usize::from(block.rows()), |row, of| {
            if of == origin as u64 {
                let row = u16::try_from(row).unwrap_or(u16::MAX);
                let offset = block.offset(row);
                places.push((if by_line { block.line(row) } else { offset }, offset, row));
            }
        });
        places.sort_unstable();
        let known = Known { block, origin, by_line, places };
        if self.known.len() < KNOWN_MAX {
            self.known.push(known);
            return self.known.len() - 1;
        }
        let slot = self.next % KNOWN_MAX;
        self.next = slot + 1;
        self.known[slot] = known;
        slot
    }
}

/// The first `most` of what is sorted by distance, and what is as far as the last of them.
fn nearest<'a>(
    places: impl Iterator<Item = &'a (u64, u64, u16)>,
    most: usize,
) -> impl Iterator<Item = (u64, u64, u16)> {
    let mut last = None;
    places.copied().enumerate().map_while(move |(taken, place)| {
        let take = taken < most || (most > 0 && last == Some(place.0));
        last = Some(place.0);
        take.then_some(place)
    })
}
