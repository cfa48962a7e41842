//! Which values a column has, how often, and from when to when.

use hashbrown::HashMap;
use logbraid_core::EventTime;

use crate::block::{Block, Names, level_of};
use crate::column::Column;
use crate::filter::Filter;
use crate::select::Rows;
use crate::view::View;

/// A value of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdStat<'v> {
    /// The value.
    pub value: &'v str,
    /// Entries that carry it.
    pub count: u64,
    /// Of these, at ERROR or FATAL.
    pub errors: u64,
    /// The first entry's time.
    pub first: EventTime,
    /// The last entry's time.
    pub last: EventTime,
}

#[derive(Clone, Copy)]
struct Tally {
    count: u32,
    errors: u32,
    first: u16,
    last: u16,
}

impl View {
    /// The values of `column` among the entries that `filter` lets through, most frequent first, then by value.
    pub fn ids(&self, column: Column, filter: &Filter) -> Vec<IdStat<'_>> {
        let everything = *filter == Filter::default();
        let mut all: HashMap<&str, IdStat<'_>> = HashMap::new();
        let mut tallies = Vec::new();
        for block in self.blocks().filter(|block| filter.in_time(block)) {
            let rows = if everything { None } else { block.select(filter) };
            if rows.is_none() && !everything {
                continue;
            }
            for names in block.names(column) {
                tally(block, names, rows.as_ref(), &mut tallies);
                for (code, tally) in (0_u16..).zip(&tallies).filter(|(_, tally)| tally.count > 0) {
                    let Some(value) = names.dict.get(&block.bytes, code) else { continue };
                    let (first, last) = (block.time(tally.first), block.time(tally.last));
                    let stat = all.entry(value).or_insert(IdStat { value, count: 0, errors: 0, first, last });
                    stat.count += u64::from(tally.count);
                    stat.errors += u64::from(tally.errors);
                    stat.first = stat.first.min(first);
                    stat.last = stat.last.max(last);
                }
            }
        }
        let mut stats: Vec<IdStat<'_>> = all.into_values().collect();
        stats.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(b.value)));
        stats
    }
}

/// Counts the codes of a block's column, by code. Rows stand in the order of time.
fn tally(block: &Block, names: &Names, rows: Option<&Rows>, tallies: &mut Vec<Tally>) {
    tallies.clear();
    if names.dict.count() == 0 {
        return;
    }
    let none = Tally { count: 0, errors: 0, first: u16::MAX, last: 0 };
    tallies.resize(usize::from(names.dict.count()) + 1, none);
    let mut add = |row: u16, code: u64| {
        let tally = usize::try_from(code).ok().and_then(|code| tallies.get_mut(code));
        let Some(tally) = tally.filter(|_| code != 0) else { return };
        let level = level_of(block.number(block.at.level, row));
        tally.count += 1;
        tally.errors += u32::from(level.is_some_and(logbraid_core::Level::is_error));
        tally.first = tally.first.min(row);
        tally.last = tally.last.max(row);
    };
    match rows {
        Some(rows) => rows.iter().for_each(|row| add(row, block.number(names.codes, row))),
        None => names.codes.each(&block.bytes, 0..usize::from(block.rows()), |row, code| {
            add(u16::try_from(row).unwrap_or(u16::MAX), code);
        }),
    }
}
