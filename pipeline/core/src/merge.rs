//! Merges findings of one fingerprint within a window of event time: one outage is one finding, not ten thousand.
//!
//! The first finding leaves at once. What repeats it is counted, and the count leaves as a later revision when the
//! window ends. A request's error flow is told twice: early, as soon as the watermark has passed its first error, and
//! when the request closes; both go by one id. Early findings are told apart by their origin (the cause) only, because
//! the way an error spreads is not known yet.

use std::collections::{BTreeMap, HashMap};

use crate::id::{Id, IdBuilder};
use crate::operator::{Due, Found};
use crate::record::{Finding, FindingKind, Record};
use crate::time::{EventTime, Span};

/// Where merging stands.
#[derive(Debug)]
pub struct Merger {
    window: Span,
    /// What the findings are counted in, where several count for themselves.
    within: Option<String>,
    /// What was found in each window, by window start and origin or fingerprint.
    live: BTreeMap<(EventTime, Id), Entry>,
    /// Of each window in `live`, what decides when it is told: asked at every watermark, for as long as it waits.
    windows: BTreeMap<EventTime, Window>,
    /// Requests that were told early and have not closed, with the entry that told of them.
    early: HashMap<(FindingKind, Id), (EventTime, Id)>,
    merged: u64,
}

#[derive(Debug)]
struct Window {
    /// Requests that were told early in it and have not closed yet.
    open: u64,
    /// When the last of its findings became due.
    last_due: EventTime,
    /// Where reading must begin again to count the same.
    hold: EventTime,
}

#[derive(Debug)]
struct Entry {
    finding: Box<Finding>,
    /// True while only early findings were seen: the closing of one of them says the rest.
    early: bool,
    /// Occurrences that no record has told yet.
    untold: bool,
}

impl Merger {
    /// Merges within whole multiples of `window`.
    pub fn new(window: Span) -> Self {
        Self {
            window,
            within: None,
            live: BTreeMap::new(),
            windows: BTreeMap::new(),
            early: HashMap::new(),
            merged: 0,
        }
    }

    /// Counts within `place` only, such as a partition of which only one instance at a time has the state: another place
    /// finds and counts the same for itself, under other ids.
    pub fn within(&mut self, place: &str) {
        self.within = Some(place.to_owned());
    }

    /// Takes what was found up to a watermark, in any order; what is to be told leaves through `out`.
    pub fn take(&mut self, mut found: Vec<Found>, out: &mut Vec<Due>) {
        found.sort_by_key(|f| (f.due, f.finding.kind, f.finding.timeline, f.finding.fingerprint, !f.early));
        for found in found {
            self.take_one(found, out);
        }
    }

    fn take_one(&mut self, found: Found, out: &mut Vec<Due>) {
        let Found { due, origin, early, hold, mut finding } = found;
        let timeline = finding.timeline;
        let started =
            if early { None } else { timeline.and_then(|id| self.early.remove(&(finding.kind, id))) };
        let start = started.map_or_else(|| due.floor_to(self.window), |(start, _)| start);
        if let Some(entry) = started.and_then(|key| self.live.get_mut(&key)) {
            if let Some(window) = self.windows.get_mut(&start) {
                window.open = window.open.saturating_sub(1);
                window.last_due = window.last_due.max(due);
            }
            if entry.early {
                // The first of its origin to close: what it says is the finding's next revision.
                entry.early = false;
                entry.untold = false;
                finding.id = entry.finding.id;
                finding.revision = entry.finding.revision + 1;
                entry.finding.clone_from(&finding);
                out.push(Due { due, record: Record::Finding(finding) });
                return;
            }
            if entry.finding.fingerprint == finding.fingerprint {
                entry.finding.occurrences += finding.occurrences;
                entry.untold = true;
                self.merged += 1;
                return;
            }
        }
        let discriminator = if early { origin } else { finding.fingerprint };
        let key = (start, discriminator);
        let window = self.windows.entry(start).or_insert(Window { open: 0, last_due: due, hold });
        window.open += u64::from(early);
        window.last_due = window.last_due.max(due);
        window.hold = window.hold.min(hold);
        if let Some(entry) = self.live.get_mut(&key) {
            self.merged += 1;
            if early {
                if let Some(timeline) = timeline {
                    self.early.insert((finding.kind, timeline), key);
                }
            } else {
                entry.finding.occurrences += finding.occurrences;
                entry.untold = true;
            }
            return;
        }
        let mut id = IdBuilder::default();
        id.text(finding.kind.name()).number(start.nanos()).text(&discriminator.to_string());
        if let Some(place) = &self.within {
            id.text(place);
        }
        finding.id = id.finish();
        if let (true, Some(timeline)) = (early, timeline) {
            self.early.insert((finding.kind, timeline), key);
        }
        self.live.insert(key, Entry { finding: finding.clone(), early, untold: false });
        out.push(Due { due, record: Record::Finding(finding) });
    }

    /// Tells the counts of every window that has ended by `watermark`. A window stays as long as a request that was
    /// told early in it is open: its closing may repeat what another one said.
    pub fn close(&mut self, watermark: EventTime, out: &mut Vec<Due>) {
        while let Some((&start, window)) = self.windows.first_key_value() {
            let end = start + self.window;
            if end > watermark {
                break;
            }
            if window.open > 0 && watermark != EventTime::MAX {
                // Later windows wait, too, so that what leaves is in order.
                break;
            }
            let last_due = window.last_due.max(end);
            self.windows.pop_first();
            let next = (start + Span::from_nanos(1), Id(0));
            let later = self.live.split_off(&next);
            for (_, mut entry) in std::mem::replace(&mut self.live, later) {
                if entry.untold {
                    entry.finding.revision += 1;
                    out.push(Due { due: last_due, record: Record::Finding(entry.finding) });
                }
            }
        }
    }

    /// The event time from which reading must begin again to count the same.
    pub fn hold(&self) -> EventTime {
        self.windows.values().map(|window| window.hold).min().unwrap_or(EventTime::MAX)
    }
    /// Findings that were counted in others so far.
    pub const fn merged(&self) -> u64 {
        self.merged
    }
    /// Findings whose window is open.
    pub fn open(&self) -> usize {
        self.live.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Severity;

    fn told(place: Option<&str>) -> Id {
        let mut merger = Merger::new(Span::from_seconds(60));
        if let Some(place) = place {
            merger.within(place);
        }
        let (at, print) = (EventTime::from_millis(1), Id::of(&["fingerprint"]));
        let finding = Finding::new(FindingKind::ErrorBurst, Severity::Low, String::new(), at, print);
        let found = Found { due: at, origin: print, early: false, hold: at, finding: Box::new(finding) };
        let mut out = Vec::new();
        merger.take(vec![found], &mut out);
        out[0].record.id()
    }

    #[test]
    fn what_two_places_count_for_themselves_has_two_ids() {
        assert_eq!(told(Some("topic/0")), told(Some("topic/0")));
        assert_ne!(told(Some("topic/0")), told(Some("topic/1")));
        assert_ne!(told(Some("topic/0")), told(None));
    }
}
