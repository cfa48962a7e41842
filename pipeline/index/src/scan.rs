//! Walks a view in the order of time: blocks overlap where sources were out of order, so that they are merged.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use logbraid_core::EventTime;

use crate::block::Block;
use crate::entry::EntryRef;
use crate::filter::Filter;
use crate::select::Rows;

/// Entries of a view in the order of time, or its reverse. A block is looked at only when its time has come, so that the
/// first entries cost next to nothing.
pub struct Scan<'v> {
    filter: Filter,
    /// Blocks that wait, the next one last.
    waiting: Vec<&'v Block>,
    active: BinaryHeap<Cursor<'v>>,
    back: bool,
}

struct Cursor<'v> {
    time: EventTime,
    entry: EntryRef<'v>,
    rows: Rows,
    back: bool,
}

impl Cursor<'_> {
    fn advance(&mut self) -> bool {
        let row = usize::from(self.entry.row);
        let next = if self.back { self.rows.previous(row) } else { self.rows.next(row + 1) };
        let Some(next) = next else { return false };
        self.entry.row = next;
        self.time = self.entry.time();
        true
    }
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Cursor<'_> {}
impl PartialOrd for Cursor<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Cursor<'_> {
    /// The greatest cursor is the next one.
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.time.cmp(&other.time).then_with(|| self.entry.cmp(&other.entry));
        if self.back { order } else { order.reverse() }
    }
}

impl<'v> Scan<'v> {
    pub(crate) fn new(blocks: impl Iterator<Item = &'v Block>, filter: &Filter, back: bool) -> Self {
        let mut waiting: Vec<&Block> = blocks.filter(|block| filter.in_time(block)).collect();
        if back {
            waiting.sort_by_key(|block| block.last());
        } else {
            waiting.sort_by_key(|block| std::cmp::Reverse(block.first()));
        }
        Self { filter: filter.clone(), waiting, active: BinaryHeap::new(), back }
    }

    /// Looks at the blocks that may hold the next entry.
    fn wake(&mut self) {
        while let Some(block) = self.waiting.last() {
            let due = self.active.peek().is_none_or(|next| {
                if self.back { block.last() >= next.time } else { block.first() <= next.time }
            });
            if !due {
                return;
            }
            let Some(block) = self.waiting.pop() else { return };
            let Some(rows) = block.select(&self.filter) else { continue };
            let row = if self.back { rows.previous(crate::block::ROWS_MAX) } else { rows.next(0) };
            let Some(row) = row else { continue };
            let entry = EntryRef { block, row };
            self.active.push(Cursor { time: entry.time(), entry, rows, back: self.back });
        }
    }
}

impl<'v> Iterator for Scan<'v> {
    type Item = EntryRef<'v>;

    fn next(&mut self) -> Option<EntryRef<'v>> {
        self.wake();
        let mut next = self.active.peek_mut()?;
        let entry = next.entry;
        if !next.advance() {
            std::collections::binary_heap::PeekMut::pop(next);
        }
        Some(entry)
    }
}
