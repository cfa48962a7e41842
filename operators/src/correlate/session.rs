//! One request's entries while they gather: when it is due, and what is told of it then.
//!
//! Events come in the order of event time, but for late ones, and timers run between them: whatever is due at a moment
//! sees exactly the entries up to that moment, in every run.

use logbraid_core::{ClosedBy, EventTime, FieldId, Group, Key, KeyKind, Level, Phase, Row, Span, Text};
use smallvec::SmallVec;

use super::rules::{KeyName, Rules};

/// What is due next for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Its first error: tell what is known.
    Early,
    /// Its end marker or root span, and `settle` of quiet after it.
    Marker,
    /// It was quiet for `gap`.
    Idle,
    /// It was told, and late entries are no longer awaited.
    Forget,
}

/// A request whose entries gather.
#[derive(Debug)]
pub(super) struct Session {
    /// Its entries, in order of arrival.
    pub group: Group,
    pub first: EventTime,
    pub last: EventTime,
    /// Only entries before it belong here: where a long session was cut.
    pub ceiling: EventTime,
    /// Hashes of the keys under which it is found.
    pub keys: SmallVec<[u64; 4]>,
    /// The scope of its thread, part of its id: threads of one name in two services are two.
    pub scope: String,
    /// Its first key, for requests whose entries were all attributed.
    pub first_key: Key,
    /// The first error that was not told of.
    pub error: Option<EventTime>,
    /// True when an entry came that may end it.
    pub marker: bool,
    /// Nothing before this can be told any more; set when a late entry comes to a session that was closed.
    pub not_before: EventTime,
    /// True once a view of it was told; the id stays from then on.
    pub told: bool,
    /// Something came after the last view that was told.
    pub dirty: bool,
    /// It was quiet for `gap` or cut, and only waits for late entries.
    pub done: bool,
    pub next_revision: u32,
    /// The moment for which the timer is set.
    pub scheduled: EventTime,
    /// Where a restart must begin to rebuild it.
    pub hold: EventTime,
    /// True while every entry came later than those before it: there is nothing to sort.
    pub sorted: bool,
    /// Where the session was cut that it goes on from, if it does.
    goes_on: Option<EventTime>,
    /// How many rows make it worth looking for entries to omit.
    pub prune_at: usize,
}

impl Session {
    /// A session that begins with nothing. `continues` is where the session that it goes on from was cut.
    pub(super) fn new(first_key: Key, scope: String, continues: Option<EventTime>, rules: &Rules) -> Self {
        // To be cut there again after a restart, the whole must be seen from further back.
        let hold = continues.map_or(EventTime::MAX, |cut| cut - rules.half_span - rules.context);
        Self {
            group: Group { keeps_raw: rules.keeps_raw, ..Group::default() },
            first: EventTime::MAX,
            last: EventTime::MIN,
            ceiling: EventTime::MAX,
            keys: SmallVec::new(),
            scope,
            first_key,
            error: None,
            marker: false,
            not_before: EventTime::MIN,
            told: false,
            dirty: false,
            done: false,
            next_revision: 0,
            scheduled: EventTime::MAX,
            hold,
            sorted: true,
            goes_on: continues,
            prune_at: rules.entries_max * 2,
        }
    }

    /// True when an entry at `time` is part of it.
    pub(super) fn joins(&self, time: EventTime, gap: Span) -> bool {
        time < self.last + gap && self.first < time + gap && time < self.ceiling
    }

    /// Takes note of an entry that was stored. `ends` when it may be the last one.
    pub(super) fn note(&mut self, row: &Row, watermark: EventTime, rules: &Rules, ends: bool) {
        let time = row.time;
        self.sorted &= time > self.last;
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.hold = self.hold.min(time - rules.context);
        self.dirty = true;
        self.marker |= ends;
        if row.level.is_some_and(Level::is_error) && !self.told {
            self.error = Some(self.error.map_or(time, |known| known.min(time)));
        }
        if time < watermark {
            // Late, but welcome: nothing can be told of it before the next tick.
            self.not_before = watermark + rules.tick;
            self.done = false;
        }
    }

    /// Takes over all of `other`.
    pub(super) fn absorb(&mut self, other: Self) {
        self.group.absorb(&other.group);
        self.sorted = false;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.hold = self.hold.min(other.hold);
        self.not_before = self.not_before.max(other.not_before);
        self.error = [self.error, other.error].into_iter().flatten().min();
        self.marker |= other.marker;
        self.goes_on = self.goes_on.max(other.goes_on);
        self.dirty = true;
        if other.told && !self.told {
            self.told = true;
            self.group.id = other.group.id;
            self.next_revision = other.next_revision;
        }
        if self.told {
            self.error = None;
        }
    }

    /// The moment at and after which an entry begins a new session: the first whole multiple of half of `max_span` that
    /// this one reaches older than that half; what goes on from a cut is cut at every one. So a run that begins
    /// `half + gap` before a cut cuts there, too, wherever it begins.
    pub(super) fn cut(&self, rules: &Rules) -> EventTime {
        let half = rules.half_span;
        // A late entry of before the cut does not make it older.
        let whole = self.goes_on.map_or(self.first + half, |cut| self.first.max(cut));
        whole.floor_to(half) + half
    }

    /// What is due next, and when.
    pub(super) fn next(&self, rules: &Rules) -> (EventTime, Step) {
        let idle = (self.last + rules.gap).max(self.not_before);
        if self.done {
            return (idle + rules.lateness, Step::Forget);
        }
        let mut next = (idle, Step::Idle);
        let mut or = |at: EventTime, step| {
            if at < next.0 {
                next = (at, step);
            }
        };
        // A watermark at the very time of an entry has not passed it: what an entry says is due after it. Due at it, it
        // would count as delivered by a commit at that watermark, and a restart would stay silent about it.
        let after = |entry: EventTime| entry + Span::from_nanos(1);
        if self.marker {
            or((self.last + rules.settle).max(after(self.last)).max(self.not_before), Step::Marker);
        }
        if let Some(error) = self.error {
            or(after(error).ceil_to(rules.tick).max(self.not_before), Step::Early);
        }
        next
    }

    /// True when the quiet after a marker ends the request: an explicit end marker, or the one root span is done.
    pub(super) fn is_done(&self, rules: &Rules) -> Option<ClosedBy> {
        let group = &self.group;
        let rows = group.rows.as_slice();
        if !rules.end_markers.is_empty() && rows.iter().any(|row| rules.is_end(group.message(row))) {
            return Some(ClosedBy::EndMarker);
        }
        let mut roots: SmallVec<[&str; 2]> = SmallVec::new();
        for row in rows {
            let Some(span) = group.get(row.span) else { continue };
            if row.parent_span.is_none() && !roots.contains(&span) {
                // A second candidate may turn out to be a child; many mean that there is no single root.
                if roots.len() >= 16 {
                    return None;
                }
                roots.push(span);
            }
        }
        roots.retain(|root| {
            !rows.iter().any(|row| row.parent_span.is_some() && group.get(row.span) == Some(*root))
        });
        let [root] = roots[..] else { return None };
        let done = rows.iter().any(|row| {
            row.parent_span.is_none() && !row.duration_ms.is_nan() && group.get(row.span) == Some(root)
        });
        done.then_some(ClosedBy::RootDone)
    }

    /// A view of it as it stands, due at `due`.
    pub(super) fn view(&mut self, due: EventTime, phase: Phase, rules: &Rules) -> Box<Group> {
        self.sort();
        if self.group.rows.len() > rules.entries_max {
            omit(&mut self.group, rules.entries_max);
        }
        let mut view = self.group.view();
        note_ids(&mut view, rules);
        view.key = self.key_of(&view, rules);
        if !self.told {
            self.told = true;
            self.group.id = Group::id_of(&view.key, &self.scope, view.start());
        }
        view.id = self.group.id;
        view.phase = phase;
        view.due = due;
        view.hold = self.hold;
        if matches!(phase, Phase::Closed(_)) {
            view.revision = self.next_revision;
            self.next_revision += 1;
            self.dirty = false;
        }
        Box::new(view)
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.group.sort();
            self.sorted = true;
        }
    }

    /// The key that names it: of the first kind that any entry has, the value of the earliest entry.
    fn key_of(&self, view: &Group, rules: &Rules) -> Key {
        rules
            .keys
            .iter()
            .find_map(|KeyName { kind, name }| {
                let value = view.rows.iter().find_map(|row| view.key_of(row, *kind))?;
                Some(Key { kind: name.clone(), value: value.to_owned() })
            })
            .filter(|key| key.kind != KeyKind::Thread.name() || self.first_key.kind == key.kind)
            .unwrap_or_else(|| self.first_key.clone())
    }

    /// Omits entries from a session that holds many more than it may tell.
    pub(super) fn prune(&mut self, rules: &Rules) {
        if self.group.rows.len() < self.prune_at {
            return;
        }
        self.sort();
        omit(&mut self.group, rules.entries_max);
        self.prune_at = (self.group.rows.len() * 2).max(rules.entries_max * 2);
    }
}

/// Keeps the first half, the last quarter and the first errors; counts the others. Omitting from what was omitted from
/// before gives the same as doing it once, because entries come in order.
fn omit(group: &mut Group, entries_max: usize) {
    let (head, tail) = (entries_max / 2, entries_max / 4);
    let errors_max = entries_max - head - tail;
    let mut errors = 0;
    let mut kept = Group {
        id: group.id,
        sources: group.sources.clone(),
        omitted: group.omitted,
        keeps_raw: group.keeps_raw,
        ..Group::default()
    };
    for (at, row) in group.rows.iter().enumerate() {
        let is_error = row.level.is_some_and(Level::is_error);
        errors += usize::from(is_error);
        if at < head || at + tail >= group.rows.len() || (is_error && errors <= errors_max) {
            kept.push_from(group, row);
        } else {
            kept.omitted += 1;
        }
    }
    kept.levels = group.levels;
    *group = kept;
}

/// Lists the ids and related requests that a group's entries carry.
fn note_ids(group: &mut Group, rules: &Rules) {
    let mut noted = std::mem::take(&mut group.ids);
    noted.clear();
    let mut list = Group { ids: noted, ..Group::default() };
    // One pass over the rows, which may not be in any cache. What a row shares with the one before it is one text.
    let mut seen: SmallVec<[(Text, Vec<&str>); 4]> = SmallVec::new();
    seen.resize(rules.keys.len(), (Text::NONE, Vec::new()));
    for row in group.rows.iter() {
        for (KeyName { kind, .. }, (last, values)) in rules.keys.iter().zip(&mut seen) {
            let Some(text) = group.key_text(row, *kind) else { continue };
            if text == *last || values.len() >= Group::IDS_MAX {
                continue;
            }
            *last = text;
            if let Some(value) = group.get(text)
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
    }
    for (KeyName { name, .. }, (_, values)) in rules.keys.iter().zip(&seen) {
        for value in values {
            list.note_id(name, value);
        }
    }
    drop(seen);
    let (mut parents, mut children) = (Vec::new(), Vec::new());
    if !group.extras.is_empty() {
        for row in group.rows.iter() {
            for (field, text) in group.extras_of(row) {
                let related = match *field {
                    FieldId::PARENT_REQUEST => &mut parents,
                    FieldId::CHILD_REQUEST => &mut children,
                    _ => continue,
                };
                let Some(value) = group.get(*text) else { continue };
                let key = Key { kind: KeyKind::Correlation.name().to_owned(), value: value.to_owned() };
                if related.len() < Group::IDS_MAX && !related.contains(&key) {
                    related.push(key);
                }
            }
        }
    }
    group.ids = list.ids;
    group.parents = parents;
    group.children = children;
}
