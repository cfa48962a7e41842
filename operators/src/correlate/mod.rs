//! Braids entries into requests: all entries that share an id, or are linked by entries with several, are one group.
//!
//! ```text
//!  req=7 ●──●─────●            one entry with both ids        told when: quiet for `gap`; an end marker or the root
//!  trace=a    ●─●─┴─● ──► one group {req=7, trace=a}          span's end and `settle` of quiet; a whole multiple of
//!                                                             event time past `max_span`; memory; end of input
//! ```
//!
//! Sessions are event-time sessions (Akidau et al., VLDB 2015): an entry within `gap` of a session of one of its keys
//! joins it, and an entry that joins several makes them one. What was told stays for `allowed_lateness`, for late
//! entries to revise.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashMap};
use logbraid_core::component::{Component, ConfigError, Context};
use logbraid_core::record::Reason;
use logbraid_core::{ClosedBy, Emit, Event, EventTime, Group, Key, KeyKind, Operator, Phase, Row, Span};
use smallvec::SmallVec;

mod rules;
mod session;
#[cfg(test)]
mod tests;

pub use rules::Config;
use rules::Rules;
use session::{Session, Step};

/// The operator.
pub struct Correlate {
    rules: Rules,
    slots: Vec<Option<Session>>,
    free: Vec<u32>,
    /// Sessions by the hash of their keys.
    by_key: HashMap<u64, SmallVec<[u32; 2]>>,
    /// When to look at which session; stale timers are passed over.
    timers: BinaryHeap<Reverse<(EventTime, u32)>>,
    hasher: DefaultHashBuilder,
    watermark: EventTime,
    why: ClosedBy,
    ending: bool,
    bytes: usize,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    open: u64,
    told: u64,
    late: u64,
    ungrouped: u64,
    revised: u64,
    closed_by_memory: u64,
    closed_by_max_span: u64,
    full: u64,
}

/// What a session costs beside its group, in bytes: its own fields and key, its place among the slots, its key in the
/// table (which is half empty at worst), its timer.
const SESSION_BYTES: usize = size_of::<Option<Session>>() - size_of::<Group>() + 256;

/// The keys of one event.
type Keys = SmallVec<[u64; 3]>;
/// The sessions that one event joins.
type Found = SmallVec<[u32; 3]>;

impl Correlate {
    #[inline]
    fn hash(&self, kind: KeyKind, event: &Event, value: &str) -> u64 {
        match kind {
            // A thread's name says little without its host and service; without those, its input tells them apart.
            KeyKind::Thread => match (event.host(), event.service()) {
                (None, None) => self.hasher.hash_one((kind, event.source().name.as_str(), value)),
                place => self.hasher.hash_one((kind, place, value)),
            },
            // As one text with one number: nearly every entry has such keys.
            KeyKind::Correlation => self.hash_text(0, value),
            KeyKind::Trace => self.hash_text(1, value),
            KeyKind::Field(id) => self.hash_text(2 + u64::from(id.0), value),
        }
    }

    #[inline]
    fn hash_text(&self, kind: u64, value: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(kind);
        hasher.write(value.as_bytes());
        hasher.finish()
    }

    /// The keys under which an event belongs; the first one names its request.
    fn keys(&self, event: &Event) -> Keys {
        let mut keys = Keys::new();
        for known in &self.rules.keys {
            if known.kind == KeyKind::Thread {
                continue;
            }
            if let Some(value) = event.key(known.kind).filter(|value| !value.is_empty()) {
                keys.push(self.hash(known.kind, event, value));
            }
        }
        if !keys.is_empty() {
            return keys;
        }
        if let Some(attribution) = event.attribution() {
            keys.push(self.hash(attribution.kind, event, &attribution.value));
        } else if let Some(thread) = event.key(KeyKind::Thread).filter(|thread| !thread.is_empty())
            && self.rules.keys.iter().any(|known| known.kind == KeyKind::Thread)
        {
            keys.push(self.hash(KeyKind::Thread, event, thread));
        }
        keys
    }

    /// The name of an event's first key, for a session that begins with it.
    fn first_key(&self, event: &Event) -> (Key, String) {
        for known in &self.rules.keys {
            if known.kind != KeyKind::Thread
                && let Some(value) = event.key(known.kind).filter(|value| !value.is_empty())
            {
                return (Key { kind: known.name.clone(), value: value.to_owned() }, String::new());
            }
        }
        if let Some(attribution) = event.attribution() {
            let key = Key { kind: attribution.kind.name().to_owned(), value: attribution.value.clone() };
            return (key, String::new());
        }
        let scope = match (event.host(), event.service()) {
            (None, None) => event.source().name.clone(),
            (host, service) => format!("{}/{}", host.unwrap_or_default(), service.unwrap_or_default()),
        };
        let value = event.key(KeyKind::Thread).unwrap_or_default().to_owned();
        (Key { kind: KeyKind::Thread.name().to_owned(), value }, scope)
    }

    fn session(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The sessions that an event joins: open ones, or else one that only waits for late entries.
    fn find(&self, keys: &Keys, time: EventTime) -> Found {
        let mut open = Found::new();
        let mut waiting = None;
        for key in keys {
            for &slot in self.by_key.get(key).into_iter().flatten() {
                let Some(session) = self.slots.get(slot as usize).and_then(Option::as_ref) else { continue };
                if session.joins(time, self.rules.gap) && !open.contains(&slot) {
                    if session.done {
                        waiting = waiting.or(Some(slot));
                    } else {
                        open.push(slot);
                    }
                }
            }
        }
        if open.is_empty() {
            open.extend(waiting);
        }
        open
    }

    /// Where the session that a new one of `keys` at `time` goes on from was cut, if it was.
    fn continues(&self, keys: &Keys, time: EventTime) -> Option<EventTime> {
        keys.iter()
            .flat_map(|key| self.by_key.get(key).into_iter().flatten())
            .filter_map(|slot| self.slots.get(*slot as usize)?.as_ref())
            .filter(|piece| piece.ceiling <= time && time < piece.last + self.rules.gap)
            .map(|piece| piece.ceiling)
            .max()
    }

    fn insert(&mut self, session: Session) -> u32 {
        self.counts.open += 1;
        self.bytes += SESSION_BYTES + session.group.bytes();
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(session);
            return slot;
        }
        self.slots.push(Some(session));
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    fn remove(&mut self, slot: u32) -> Option<Session> {
        let session = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        self.counts.open -= 1;
        self.bytes = self.bytes.saturating_sub(SESSION_BYTES + session.group.bytes());
        for key in &session.keys {
            if let Some(slots) = self.by_key.get_mut(key) {
                slots.retain(|known| *known != slot);
                if slots.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
        Some(session)
    }

    fn register(&mut self, slot: u32, keys: &[u64]) {
        for &key in keys {
            let Some(session) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
            if session.keys.contains(&key) {
                continue;
            }
            session.keys.push(key);
            self.by_key.entry(key).or_default().push(slot);
        }
    }

    /// Makes the sessions in `others` part of the one in `slot`.
    fn merge(&mut self, slot: u32, others: &[u32]) {
        for &other in others {
            let Some(absorbed) = self.remove(other) else { continue };
            let keys = absorbed.keys.clone();
            let Some(session) = self.session(slot) else { return };
            let before = session.group.bytes();
            session.absorb(absorbed);
            let after = session.group.bytes();
            self.bytes = (self.bytes + after).saturating_sub(before);
            self.register(slot, &keys);
        }
    }

    /// Sets the timer of a session, if it is due earlier than the timer says.
    fn schedule(&mut self, slot: u32, at: EventTime) {
        let Some(session) = self.session(slot) else { return };
        if at < session.scheduled {
            session.scheduled = at;
            self.timers.push(Reverse((at, slot)));
        }
    }

    /// Does everything that is due for a session at `now`, in order.
    fn run(&mut self, slot: u32, now: EventTime, out: &mut Emit) {
        loop {
            let Some(session) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
            let (at, step) = session.next(&self.rules);
            if at > now {
                self.schedule(slot, at);
                return;
            }
            match step {
                Step::Early => {
                    session.error = None;
                    out.group(session.view(at, Phase::Early, &self.rules));
                }
                Step::Marker => {
                    session.marker = false;
                    if let Some(why) = session.is_done(&self.rules) {
                        self.tell(slot, at, why, out);
                    }
                }
                Step::Idle => {
                    session.done = true;
                    let why = if self.ending { self.why } else { ClosedBy::Idle };
                    self.tell(slot, at, why, out);
                }
                Step::Forget => {
                    self.remove(slot);
                    return;
                }
            }
        }
    }

    /// Ends a session that an entry at `time` would make too long: true when it did.
    fn cut(&mut self, slot: u32, time: EventTime, out: &mut Emit) -> bool {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return false };
        let boundary = session.cut(&self.rules);
        if time < boundary {
            return false;
        }
        session.ceiling = boundary;
        session.done = true;
        self.counts.closed_by_max_span += 1;
        // After the entry that cuts it: a watermark at the entry's own time has not passed it. A late entry's cut is told
        // at the next tick, because a commit may have counted what was due before as delivered.
        let late = if time < self.watermark { self.watermark + self.rules.tick } else { EventTime::MIN };
        self.tell(slot, (time + Span::from_nanos(1)).max(late), ClosedBy::MaxSpan, out);
        self.schedule(slot, time);
        true
    }

    /// Tells a session as it stands, unless that was told already.
    fn tell(&mut self, slot: u32, due: EventTime, why: ClosedBy, out: &mut Emit) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if session.next_revision > 0 && !session.dirty {
            return;
        }
        session.error = None;
        let view = session.view(due, Phase::Closed(why), &self.rules);
        self.counts.revised += u64::from(view.revision > 0);
        self.counts.told += 1;
        out.group(view);
    }

    /// Runs every timer up to `watermark`.
    fn run_due(&mut self, watermark: EventTime, out: &mut Emit) {
        while let Some(Reverse((at, slot))) = self.timers.peek().copied() {
            if at > watermark {
                break;
            }
            self.timers.pop();
            let Some(session) = self.session(slot) else { continue };
            if session.scheduled != at {
                continue;
            }
            session.scheduled = EventTime::MAX;
            self.run(slot, watermark, out);
        }
    }

    /// Brings the memory back into its budget: first what only waits for late entries goes, then the oldest requests
    /// are told early. On whole ticks of the watermark, which a replay passes, too.
    fn shed(&mut self, out: &mut Emit) {
        if self.bytes <= self.rules.memory_bytes {
            return;
        }
        let mut oldest: Vec<(bool, EventTime, u32)> = (0_u32..)
            .zip(&self.slots)
            .filter_map(|(slot, session)| session.as_ref().map(|s| (!s.done, s.first, slot)))
            .collect();
        oldest.sort_unstable();
        // A little more than needed, so that the next entry does not ask again.
        let goal = self.rules.memory_bytes - self.rules.memory_bytes / 8;
        for (open, _, slot) in oldest {
            if self.bytes <= goal {
                break;
            }
            if open {
                self.counts.closed_by_memory += 1;
                let due = self.watermark.max(EventTime::from_nanos(i64::MIN + 1));
                self.tell(slot, due, ClosedBy::Memory, out);
            }
            self.remove(slot);
        }
    }
}

/// True when an entry may be the last of its request: a root span's stated duration, or an end marker.
fn may_end(group: &Group, row: &Row, rules: &Rules) -> bool {
    (row.span.is_some() && row.parent_span.is_none() && !row.duration_ms.is_nan())
        || (!rules.end_markers.is_empty() && rules.is_end(group.message(row)))
}

impl Operator for Correlate {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, mut event: Event, out: &mut Emit) {
        let keys = self.keys(&event);
        if keys.is_empty() {
            self.counts.ungrouped += 1;
            return out.event(event);
        }
        let time = event.time();
        self.run_due(time, out);
        let mut found = self.find(&keys, time);
        found.retain(|slot| !self.cut(*slot, time, out));
        let slot = match found.first() {
            Some(slot) => *slot,
            None if time + self.rules.gap <= self.watermark => {
                self.counts.late += 1;
                return out.late(event);
            }
            None => {
                let (key, scope) = self.first_key(&event);
                let continues = self.continues(&keys, time);
                let session = Session::new(key, scope, continues, &self.rules);
                self.insert(session)
            }
        };
        if found.len() > 1 {
            self.merge(slot, &found[1..]);
        }
        let Self { rules, slots, watermark, bytes, .. } = self;
        let Some(session) = slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let before = session.group.bytes();
        if !session.group.push(&event) {
            self.counts.full += 1;
            return out.reject(&event, Reason::GroupFull);
        }
        if let Some(row) = session.group.rows.last().copied() {
            let ends = may_end(&session.group, &row, rules);
            session.note(&row, *watermark, rules, ends);
        }
        session.prune(rules);
        *bytes = (*bytes + session.group.bytes()).saturating_sub(before);
        self.register(slot, &keys);
        if let Some(session) = self.slots.get(slot as usize).and_then(Option::as_ref) {
            let (due, _) = session.next(&self.rules);
            self.schedule(slot, due);
        }
        if self.bytes > self.rules.memory_bytes + self.rules.memory_bytes / 4 {
            self.shed(out);
        }
        event.mark_grouped();
        out.event(event);
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut Emit) {
        if watermark == EventTime::MAX {
            // Whatever would become due by silence does so now, in order; what silence would end, the input's end does.
            self.ending = true;
            self.run_due(EventTime::from_nanos(i64::MAX - 1), out);
            self.timers.clear();
            return;
        }
        self.watermark = watermark;
        self.run_due(watermark, out);
        self.shed(out);
    }

    fn ending(&mut self, why: ClosedBy) {
        self.why = why;
    }

    fn hold(&self) -> EventTime {
        self.slots.iter().flatten().map(|session| session.hold).min().unwrap_or(EventTime::MAX)
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let counts = &self.counts;
        report("open_groups", counts.open);
        report("memory_bytes", self.bytes as u64);
        report("told_total", counts.told);
        report("late_total", counts.late);
        report("ungrouped_total", counts.ungrouped);
        report("revised_total", counts.revised);
        report("closed_by_memory_total", counts.closed_by_memory);
        report("closed_by_max_span_total", counts.closed_by_max_span);
        report("full_total", counts.full);
    }
}

impl Component for Correlate {
    type Config = Config;
    const NAME: &'static str = "correlate";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, context: &mut Context<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            rules: Rules::new(config, context)?,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            timers: BinaryHeap::new(),
            hasher: DefaultHashBuilder::default(),
            watermark: EventTime::MIN,
            why: ClosedBy::EndOfInput,
            ending: false,
            bytes: 0,
            counts: Counts::default(),
        })
    }
}
