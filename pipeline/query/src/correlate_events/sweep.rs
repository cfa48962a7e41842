//! Two pointers over the entries in the order of time: what lies around one moment after another, each entry passed
//! twice however many moments there are.

use std::collections::VecDeque;

use logbraid_core::{EventTime, Span};
use logbraid_index::{EntryRef, Filter, Scan, Texts, View};

use crate::TextMatch;

/// Entries around moments that come in the order of time.
pub(crate) struct Sweep<'v, 'q> {
    /// Ahead of the moment: entries that enter.
    ahead: Pointer<'v, 'q>,
    /// Behind: entries that leave.
    behind: Pointer<'v, 'q>,
    view: &'v View,
    filter: Filter,
    matching: Option<&'q TextMatch>,
    window: Span,
    /// Up to where entries belong to some moment already.
    covered: u64,
}

/// What lies around a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Around {
    /// From here on.
    pub from: EventTime,
    /// To here, which belongs to it.
    pub to: EventTime,
    /// The moment.
    pub at: EventTime,
    /// How many entries.
    pub count: u64,
    /// Of these, entries that lay around no moment before.
    pub new: u64,
}

struct Pointer<'v, 'q> {
    scan: Scan<'v>,
    texts: Texts<'v>,
    matching: Option<&'q TextMatch>,
    next: Option<EventTime>,
    passed: u64,
    unreadable: u64,
}

impl<'v, 'q> Pointer<'v, 'q> {
    fn new(view: &'v View, filter: &Filter, matching: Option<&'q TextMatch>) -> Self {
        let scan = view.scan(filter);
        let mut pointer = Self { scan, texts: Texts::new(), matching, next: None, passed: 0, unreadable: 0 };
        pointer.step();
        pointer
    }
    fn step(&mut self) {
        self.next = None;
        for entry in self.scan.by_ref() {
            // What has no time lies around nothing.
            if !entry.time().is_known() {
                continue;
            }
            match self.matching.map_or(Ok(true), |matching| matching.matches(&mut self.texts, entry)) {
                Ok(true) => {
                    self.next = Some(entry.time());
                    return;
                }
                Ok(false) => {}
                Err(_) => self.unreadable += 1,
            }
        }
    }
    /// Passes all entries for which `passes` holds; how many were passed since the beginning.
    fn pass(&mut self, passes: impl Fn(EventTime) -> bool) -> u64 {
        while self.next.is_some_and(&passes) {
            self.passed += 1;
            self.step();
        }
        self.passed
    }
}

impl<'v, 'q> Sweep<'v, 'q> {
    /// Entries of `view` that `filter` and `matching` let through, up to `window` before and after each moment.
    pub(crate) fn new(
        view: &'v View,
        filter: &Filter,
        matching: Option<&'q TextMatch>,
        window: Span,
    ) -> Self {
        Self {
            ahead: Pointer::new(view, filter, matching),
            behind: Pointer::new(view, filter, matching),
            view,
            filter: filter.clone(),
            matching,
            window,
            covered: 0,
        }
    }
    /// What lies around `at`, which is not before the moments asked for so far.
    pub(crate) fn around(&mut self, at: EventTime) -> Around {
        let (from, to) = (at - self.window, at + self.window);
        let before = self.behind.pass(|time| time < from);
        let through = self.ahead.pass(|time| time <= to);
        let new = through - before.max(self.covered).min(through);
        self.covered = through;
        Around { from, to, at, count: through - before, new }
    }
    /// The `most` entries nearest to the moment, in the order of time.
    pub(crate) fn nearest(&mut self, around: &Around, most: usize) -> Vec<EntryRef<'v>> {
        let mut texts = Texts::new();
        let mut kept: VecDeque<EntryRef<'v>> = VecDeque::new();
        let distance = |entry: &EntryRef<'v>| entry.time().since(around.at).nanos().unsigned_abs();
        for entry in self.view.scan(&self.filter.clone().from(around.from)) {
            if entry.time() > around.to {
                break;
            }
            let matches = self.matching.map_or(Ok(true), |matching| matching.matches(&mut texts, entry));
            if !matches.unwrap_or(false) {
                continue;
            }
            if kept.len() < most {
                kept.push_back(entry);
            } else if kept.front().is_some_and(|first| distance(first) > distance(&entry)) {
                // Distances fall until the moment and rise after it: the farthest is at one of the ends.
                kept.pop_front();
                kept.push_back(entry);
            } else {
                break;
            }
        }
        kept.into()
    }
    /// Entries that could not be judged, because their text cannot be read any more.
    pub(crate) const fn unreadable(&self) -> u64 {
        self.ahead.unreadable
    }
}
