//! One pass over the entries that a question is about.

use logbraid_core::{Level, LevelCounts};
use logbraid_index::{EntryRef, Filter, LevelSet, Texts};

use super::ByLevel;
use crate::{QuestionError, Select, Window};

/// Calls `each` for every entry that `select` and `filter` let through, in the order of time. Gives the number of entries
/// that could not be judged, because their text cannot be read any more.
pub(crate) fn each<'v>(
    window: &'v Window,
    select: &Select,
    filter: Filter,
    mut each: impl FnMut(EntryRef<'v>, &mut Texts<'v>),
) -> Result<u64, QuestionError> {
    let matching = select.text()?;
    let mut texts = Texts::new();
    let mut unreadable = 0;
    for entry in window.view().scan(&select.columns(filter)) {
        match &matching {
            None => each(entry, &mut texts),
            Some(matching) => match matching.matches(&mut texts, entry) {
                Ok(true) => each(entry, &mut texts),
                Ok(false) => {}
                Err(_) => unreadable += 1,
            },
        }
    }
    Ok(unreadable)
}

/// Entries by level, and those that could not be judged. Looks at texts only where `select` asks for it.
pub(crate) fn levels(
    window: &Window,
    select: &Select,
    filter: Filter,
) -> Result<(ByLevel, u64), QuestionError> {
    let mut counts = ByLevel::default();
    if select.query.is_some() {
        let unreadable = each(window, select, filter, |entry, _| counts.add(entry.level()))?;
        return Ok((counts, unreadable));
    }
    if filter == Filter::default() && select.is_everything() {
        let (known, unknown) = window.view().levels();
        return Ok((ByLevel::new(known, unknown), 0));
    }
    let wanted = select.levels();
    let filter = select.columns(filter);
    let mut known = LevelCounts::default();
    for level in Level::ALL.into_iter().filter(|level| wanted.has(Some(*level))) {
        let count = window.view().count(&filter.clone().levels(LevelSet::of(level)));
        known.add_many(level, count);
    }
    let unknown = if wanted.has(None) { window.view().count(&filter.levels(LevelSet::UNKNOWN)) } else { 0 };
    Ok((ByLevel::new(known, unknown), 0))
}
