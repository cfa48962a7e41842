//! What readers see: a snapshot that never changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::{EventTime, Id, LevelCounts};

use crate::block::Block;
use crate::entry::EntryRef;
use crate::filter::Filter;
use crate::neighbours::Neighbours;
use crate::scan::Scan;

/// The blocks of one slice of event time: the unit of expiry.
#[derive(Debug, Default)]
pub struct Segment {
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl Segment {
    /// Its blocks, as they were written.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().map(|block| &**block)
    }
}

/// Bytes of a view by what they are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// Columns of numbers, and what blocks need to be found.
    pub columns: usize,
    /// Dictionaries and the numbers that point into them, which serve as posting lists.
    pub dictionaries: usize,
    /// Packed text.
    pub text: usize,
}

impl Sizes {
    /// All of them.
    pub const fn total(self) -> usize {
        self.columns + self.dictionaries + self.text
    }
    pub(crate) fn add(&mut self, block: &Block) {
        let (columns, dictionaries, text) = block.parts();
        self.columns += columns;
        self.dictionaries += dictionaries;
        self.text += text;
    }
    pub(crate) fn remove(&mut self, block: &Block) {
        let (columns, dictionaries, text) = block.parts();
        self.columns = self.columns.saturating_sub(columns);
        self.dictionaries = self.dictionaries.saturating_sub(dictionaries);
        self.text = self.text.saturating_sub(text);
    }
}

/// Where an entry stands in its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A 1-based line.
    Line(u64),
    /// A byte, or an offset of Kafka.
    Offset(u64),
}

/// A snapshot of the index. What was published is in it, and stays in it as long as somebody holds it.
#[derive(Debug, Default)]
pub struct View {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) from: EventTime,
    pub(crate) through: EventTime,
    pub(crate) newest: EventTime,
    pub(crate) entries: u64,
    pub(crate) number: u64,
}

impl View {
    /// Of no input: there is nothing in it, and nothing is missing.
    pub fn of_nothing() -> Self {
        Self { from: EventTime::MIN, through: EventTime::MAX, newest: EventTime::MIN, ..Self::default() }
    }
    /// One view of several indexes, as of the partitions of one run. It knows what all of them know: `covers` is what
    /// their spans have in common.
    pub fn union(views: &[Arc<Self>]) -> Self {
        let known = |time: &EventTime| time.is_known();
        let mut segments: Vec<(EventTime, EventTime, Vec<Arc<Block>>)> = Vec::new();
        for segment in views.iter().flat_map(|view| &view.segments) {
            let first = segment.blocks().map(Block::first).min();
            let last = segment.blocks().map(Block::last).max();
            if let (Some(first), Some(last)) = (first, last) {
                segments.push((first, last, segment.blocks.clone()));
            }
        }
        segments.sort_by_key(|(first, ..)| *first);
        // Segments of two indexes that overlap in time are one: within a segment, a scan puts blocks in order.
        let mut joined: Vec<(EventTime, EventTime, Vec<Arc<Block>>)> = Vec::new();
        for (first, last, mut blocks) in segments {
            match joined.last_mut() {
                Some((_, end, all)) if first <= *end => {
                    *end = last.max(*end);
                    all.append(&mut blocks);
                }
                _ => joined.push((first, last, blocks)),
            }
        }
        Self {
            segments: joined.into_iter().map(|(_, _, blocks)| Arc::new(Segment { blocks })).collect(),
            from: views.iter().map(|view| view.from).max().unwrap_or(EventTime::MIN),
            through: views.iter().map(|view| view.through).min().unwrap_or(EventTime::MIN),
            newest: views.iter().map(|view| view.newest).filter(known).max().unwrap_or(EventTime::MIN),
            entries: views.iter().map(|view| view.entries).sum(),
            number: views.iter().map(|view| view.number).sum(),
        }
    }

    /// How many entries it has.
    pub const fn entries(&self) -> u64 {
        self.entries
    }
    /// Which publication it is, from 1 on; 0 before the first.
    pub const fn number(&self) -> u64 {
        self.number
    }
    /// From when to when it knows everything that came: `from` is [`EventTime::MIN`] while nothing has expired, `through`
    /// is [`EventTime::MIN`] before the first watermark and [`EventTime::MAX`] after the end of the input.
    pub const fn covers(&self) -> (EventTime, EventTime) {
        (self.from, self.through)
    }
    /// No entry before this time is missing, but those that expired or come late.
    pub const fn complete_through(&self) -> EventTime {
        self.through
    }
    /// The newest entry's time; [`EventTime::MIN`] without entries.
    pub const fn newest(&self) -> EventTime {
        self.newest
    }
    /// The oldest entry's time; [`EventTime::MIN`] without entries.
    pub fn oldest(&self) -> EventTime {
        self.blocks().map(Block::first).min().unwrap_or(EventTime::MIN)
    }
    /// Its segments, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().map(|segment| &**segment)
    }
    /// All blocks: segments in the order of time, blocks within as they were written.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.segments().flat_map(Segment::blocks)
    }
    /// Bytes by what they are for.
    pub fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        self.blocks().for_each(|block| sizes.add(block));
        sizes
    }

    /// All entries in the order of time, then source, then position.
    pub fn iter(&self) -> Scan<'_> {
        self.scan(&Filter::default())
    }
    /// The entries that `filter` lets through, in the order of time, then source, then position.
    pub fn scan(&self, filter: &Filter) -> Scan<'_> {
        Scan::new(self.blocks(), filter, false)
    }
    /// The same, last entry first.
    pub fn scan_back(&self, filter: &Filter) -> Scan<'_> {
        Scan::new(self.blocks(), filter, true)
    }
    /// The same entries as they are stored, in the order of time only within each block: the fastest way to see the
    /// texts of many. Sort what is left, entries are ordered.
    pub fn scan_stored<'v, 'f>(
        &'v self,
        filter: &'f Filter,
    ) -> impl Iterator<Item = EntryRef<'v>> + use<'v, 'f> {
        let blocks = self.blocks().filter(|block| filter.in_time(block));
        blocks.filter_map(move |block| block.select(filter).map(|rows| (block, rows))).flat_map(
            |(block, rows)| {
                let mut at = 0;
                std::iter::from_fn(move || {
                    let row = rows.next(at)?;
                    at = usize::from(row) + 1;
                    Some(EntryRef { block, row })
                })
            },
        )
    }
    /// How many entries `filter` lets through.
    pub fn count(&self, filter: &Filter) -> u64 {
        if *filter == Filter::default() {
            return self.entries;
        }
        let blocks = self.blocks().filter(|block| filter.in_time(block));
        blocks.filter_map(|block| block.select(filter)).map(|rows| rows.count()).sum()
    }
    /// How many entries each level has, and how many have none.
    pub fn levels(&self) -> (LevelCounts, u64) {
        let mut counts = LevelCounts::default();
        let mut unknown = 0;
        for block in self.blocks() {
            counts.merge(block.levels());
            unknown += u64::from(block.unknown_levels());
        }
        (counts, unknown)
    }
    /// How many entries each template has among those that `filter` lets through, with one entry of each.
    pub fn templates(&self, filter: &Filter) -> Vec<(Id, u64, EntryRef<'_>)> {
        let mut all: BTreeMap<Id, (u64, EntryRef<'_>)> = BTreeMap::new();
        let mut counts: Vec<(u64, u16)> = Vec::new();
        for block in self.blocks().filter(|block| filter.in_time(block)) {
            let Some(rows) = block.select(filter) else { continue };
            counts.clear();
            counts.resize(usize::from(block.at.template_count), (0, 0));
            for row in rows.iter() {
                let code = usize::try_from(block.number(block.at.template, row)).unwrap_or(usize::MAX);
                if let Some((count, example)) = counts.get_mut(code) {
                    if *count == 0 {
                        *example = row;
                    }
                    *count += 1;
                }
            }
            for (code, (count, row)) in (0..).zip(&counts).filter(|(_, (count, _))| *count > 0) {
                let here = EntryRef { block, row: *row };
                let (total, example) = all.entry(block.template_of(code)).or_insert((0, here));
                *total += count;
                *example = (*example).min(here);
            }
        }
        let mut templates: Vec<_> =
            all.into_iter().map(|(id, (count, example))| (id, count, example)).collect();
        templates.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        templates
    }
    /// The names of the inputs that its entries came from.
    pub fn inputs(&self) -> Vec<&str> {
        let names =
            self.blocks().flat_map(|block| block.origins.iter().map(|origin| origin.source().name.as_str()));
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    }
    /// The entry at a place of an input, and its neighbours there: up to `before` entries before it and `after` after
    /// it, in the order of the input. Without an entry at the place, its neighbours alone. For more than one place,
    /// [`Neighbours`] is many times faster.
    pub fn around(&self, input: &str, place: Place, before: usize, after: usize) -> Vec<EntryRef<'_>> {
        Neighbours::new(self).around(input, place, before, after)
    }
}

impl<'v> IntoIterator for &'v View {
    type Item = EntryRef<'v>;
    type IntoIter = Scan<'v>;
    fn into_iter(self) -> Scan<'v> {
        self.iter()
    }
}
