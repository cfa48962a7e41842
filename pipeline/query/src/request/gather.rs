//! Which entries belong to an id.

use hashbrown::{HashMap, HashSet};
use logbraid_core::Flags;
use logbraid_index::{Column, EntryRef, Term};

use super::IDS_MAX;
use crate::{IdKind, Window};

/// Entries that belong together.
pub(crate) struct Gathered<'v> {
    /// In the order of time; the first ones, if there are too many.
    pub(crate) entries: Vec<EntryRef<'v>>,
    /// How many there are.
    pub(crate) total: u64,
    /// True when there were more ids than are followed.
    pub(crate) ids_cut: bool,
}

/// What `id` is, unless the asker says so.
pub(crate) fn kind(window: &Window, id: &str, stated: Option<IdKind>) -> Option<IdKind> {
    stated.or_else(|| window.kind_of(id))
}

/// Columns whose values make entries one request.
const LINKS: [Column; 2] = [Column::Correlation, Column::Trace];
/// Columns that lead from a span to its neighbours.
const SPANS: [Column; 2] = [Column::Span, Column::ParentSpan];

/// The entries that belong to an id, at most `most` of them.
pub(crate) fn gather<'v>(window: &'v Window, id: &str, kind: IdKind, most: usize) -> Gathered<'v> {
    let mut found = Found { window, entries: HashSet::new(), ids: HashSet::new(), cut: false };
    let seeds = found.scan(&[(kind.column(), id)]);
    if kind != IdKind::Thread {
        let named = seeds.iter().any(|entry| links(*entry, LINKS).next().is_some());
        let columns = if named || kind != IdKind::Span { LINKS } else { SPANS };
        found.follow(seeds, columns);
    }
    let mut entries: Vec<EntryRef<'v>> = found.entries.into_iter().map(|known| known.0).collect();
    entries.sort_unstable();
    let total = entries.len() as u64;
    entries.truncate(most);
    Gathered { entries, total, ids_cut: found.cut }
}

/// An entry by its place, for sets.
struct Placed<'v>(EntryRef<'v>);

impl PartialEq for Placed<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.offset() == other.0.offset() && self.0.input() == other.0.input()
    }
}
impl Eq for Placed<'_> {}
impl std::hash::Hash for Placed<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.offset().hash(state);
        self.0.input().hash(state);
    }
}

/// The ids of an entry in some columns.
fn links(entry: EntryRef<'_>, columns: [Column; 2]) -> impl Iterator<Item = &str> {
    columns.into_iter().filter_map(move |column| entry.get(column)).filter(|id| !id.is_empty())
}

struct Found<'v> {
    window: &'v Window,
    entries: HashSet<Placed<'v>>,
    ids: HashSet<(Column, &'v str)>,
    cut: bool,
}

impl<'v> Found<'v> {
    /// The entries under any of `ids` that are new.
    fn scan(&mut self, ids: &[(Column, &str)]) -> Vec<EntryRef<'v>> {
        let terms = ids.iter().map(|(column, id)| Term::new(*column, *id));
        let filter = self.window.filter().any_of(terms);
        let mut new = Vec::new();
        for entry in self.window.view().scan_stored(&filter) {
            if self.entries.insert(Placed(entry)) {
                new.push(entry);
            }
        }
        new
    }

    /// Follows ids until nothing new comes.
    fn follow(&mut self, seeds: Vec<EntryRef<'v>>, columns: [Column; 2]) {
        let mut new = seeds;
        while !new.is_empty() {
            let mut next: Vec<(Column, &str)> = Vec::new();
            for entry in &new {
                for column in columns {
                    let Some(id) = entry.get(column).filter(|id| !id.is_empty()) else { continue };
                    if self.ids.contains(&(column, id)) {
                        continue;
                    }
                    if self.ids.len() >= IDS_MAX {
                        self.cut = true;
                        continue;
                    }
                    self.ids.insert((column, id));
                    next.push((column, id));
                    // A span is met as the parent of others, and a parent as a span.
                    match column {
                        Column::Span => next.push((Column::ParentSpan, id)),
                        Column::ParentSpan => next.push((Column::Span, id)),
                        _ => {}
                    }
                }
            }
            if next.is_empty() {
                return;
            }
            new = self.scan(&next);
        }
    }
}

/// What names some entries: the first correlation id, else trace, else thread.
pub(crate) fn strongest(entries: &[EntryRef<'_>]) -> (IdKind, String) {
    let kinds = [IdKind::Correlation, IdKind::Trace, IdKind::Thread];
    kinds
        .into_iter()
        .find_map(|kind| {
            let id = entries.iter().find_map(|entry| entry.get(kind.column()))?;
            Some((kind, id.to_owned()))
        })
        .unwrap_or((IdKind::Thread, String::new()))
}

/// Every request of the window as `correlate` would tell them apart, but for silences: the first `most` by time, and how
/// many there are.
pub(crate) fn all(window: &Window, most: usize) -> (Vec<Gathered<'_>>, u64) {
    let mut sets = Sets::default();
    let mut of: Vec<(EntryRef<'_>, u32)> = Vec::new();
    for entry in window.view().scan(&window.filter()) {
        let mut ids = LINKS.into_iter().filter_map(|column| {
            let id = entry.get(column).filter(|id| !id.is_empty())?;
            Some(Name::Id(column, id))
        });
        let first = match ids.next() {
            Some(id) => id,
            None => match entry.thread().filter(|thread| !thread.is_empty()) {
                Some(thread) => match (entry.host(), entry.service()) {
                    (None, None) => Name::OfInput(entry.input(), thread),
                    (host, service) => Name::OfPlace(host, service, thread),
                },
                None => continue,
            },
        };
        let mut set = sets.of(first);
        for id in ids {
            let other = sets.of(id);
            set = sets.join(set, other);
        }
        of.push((entry, set));
    }
    let mut order: HashMap<u32, usize> = HashMap::new();
    let mut found: Vec<Gathered<'_>> = Vec::new();
    for (entry, set) in of {
        let set = sets.root(set);
        let count = order.len();
        let at = *order.entry(set).or_insert(count);
        if at >= most {
            continue;
        }
        if at == found.len() {
            found.push(Gathered { entries: Vec::new(), total: 0, ids_cut: false });
        }
        let gathered = &mut found[at];
        gathered.total += 1;
        if gathered.entries.len() < super::ENTRIES_MAX {
            gathered.entries.push(entry);
        }
    }
    (found, order.len() as u64)
}

/// What entries are joined by.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Name<'v> {
    Id(Column, &'v str),
    OfInput(&'v str, &'v str),
    OfPlace(Option<&'v str>, Option<&'v str>, &'v str),
}

/// Sets that can be joined (Galler and Fischer, CACM 1964).
#[derive(Default)]
struct Sets<'v> {
    names: HashMap<Name<'v>, u32>,
    above: Vec<u32>,
}

impl<'v> Sets<'v> {
    fn of(&mut self, name: Name<'v>) -> u32 {
        let next = u32::try_from(self.above.len()).unwrap_or(u32::MAX);
        let set = *self.names.entry(name).or_insert(next);
        if set == next {
            self.above.push(next);
        }
        self.root(set)
    }
    fn root(&mut self, mut set: u32) -> u32 {
        while let Some(above) = self.above.get(set as usize).copied().filter(|above| *above != set) {
            // Halves the way for whoever comes next.
            let over = self.above.get(above as usize).copied().unwrap_or(above);
            self.above[set as usize] = over;
            set = over;
        }
        set
    }
    fn join(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.root(a), self.root(b));
        let (first, other) = (a.min(b), a.max(b));
        if let Some(above) = self.above.get_mut(other as usize) {
            *above = first;
        }
        first
    }
}

/// True when an entry's request is only inferred from its thread.
pub(crate) fn is_attributed(entry: EntryRef<'_>) -> bool {
    entry.flags().has(Flags::ATTRIBUTED)
}
