//! A chain of operators, run in order and synchronously; replay, tests, the simulator and the runtime all use it.

use std::any::Any;
use std::sync::Arc;

use crate::event::Event;
use crate::group::{ClosedBy, Phase};
use crate::merge::Merger;
use crate::operator::{Due, Element, Emit, Operator};
use crate::record::Record;
use crate::time::{EventTime, Span};

/// What holds the commit back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Reading must begin again at or before this event time; [`EventTime::MAX`] when nothing is held.
    pub since: EventTime,
    /// The operator that holds.
    pub by: &'static str,
}

/// Operators in order, each with the watermark that has reached it.
pub struct Chain {
    stages: Vec<Box<dyn Operator>>,
    watermarks: Vec<EventTime>,
    watermark: EventTime,
    entries: bool,
    merger: Merger,
    due: Vec<Due>,
    /// Findings of what began at or before this are of things that may have been seen in part only.
    whole_after: EventTime,
    found: Vec<crate::operator::Found>,
    spare: Vec<Element>,
    part: Vec<Element>,
}

/// How many elements go through all stages before the next ones do: their rows and texts stay in the nearest cache.
const PART: usize = 96;

impl Chain {
    /// A chain of `stages`. With `entries`, events that reach its end leave as records.
    /// Findings of one fingerprint are merged within whole multiples of `merge`.
    pub fn new(stages: Vec<Box<dyn Operator>>, entries: bool, merge: Span) -> Self {
        let watermarks = vec![EventTime::MIN; stages.len()];
        Self {
            stages,
            watermarks,
            watermark: EventTime::MIN,
            entries,
            merger: Merger::new(merge),
            due: Vec::new(),
            whole_after: EventTime::MIN,
            found: Vec::new(),
            spare: Vec::new(),
            part: Vec::new(),
        }
    }

    /// Says that events at or before `time` may be missing, as after a restart: what would have to be rebuilt from them
    /// was told before, and must not be counted again from what is left of it.
    pub fn whole_after(&mut self, time: EventTime) {
        self.whole_after = time;
    }

    /// Counts findings within `place` only; another place finds and counts the same for itself, under other ids.
    pub fn within(&mut self, place: &str) {
        self.merger.within(place);
    }

    /// Runs `elements` through the chain and appends what leaves it to `out`. Records that a watermark makes due leave
    /// in order of their due time, then type, then id, however the elements were cut into calls.
    pub fn push(&mut self, elements: &mut Vec<Element>, out: &mut Vec<Due>) {
        let mut all = std::mem::take(elements);
        let mut rest = all.drain(..);
        while !rest.as_slice().is_empty() {
            let mut part = std::mem::take(&mut self.part);
            part.extend(rest.by_ref().take(PART));
            self.run(part, out);
        }
        drop(rest);
        // The caller's buffer comes back empty, with its capacity.
        *elements = all;
    }

    fn run(&mut self, elements: Vec<Element>, out: &mut Vec<Due>) {
        let mut emit = Emit { elements, ..Emit::default() };
        for (stage, seen) in self.stages.iter_mut().zip(&mut self.watermarks) {
            if stage.takes_events() {
                let mut input = std::mem::replace(&mut emit.elements, std::mem::take(&mut self.spare));
                for element in input.drain(..) {
                    match element {
                        Element::Event(event) => stage.on_event(event, &mut emit),
                        Element::Group(group) => stage.on_group(group, &mut emit),
                        Element::Watermark(watermark) => {
                            *seen = watermark;
                            stage.on_watermark(watermark, &mut emit);
                            emit.elements.push(Element::Watermark(watermark));
                        }
                    }
                }
                self.spare = input;
            } else {
                pass_by(stage.as_mut(), seen, &mut emit, &mut self.spare);
            }
            let whole_after = self.whole_after;
            self.found.extend(emit.found.drain(..).filter(|found| found.hold > whole_after));
        }
        out.append(&mut emit.arrivals);
        self.due.append(&mut emit.timed);
        for element in emit.elements.drain(..) {
            match element {
                Element::Event(event) => self.leave(event, out),
                Element::Group(group) => {
                    if group.is_closed() {
                        // What memory closes depends on what else was held, which is another thing after a restart:
                        // nobody knows then whether it was delivered.
                        let by_memory = group.phase == Phase::Closed(ClosedBy::Memory);
                        let due = if by_memory { EventTime::MIN } else { group.due };
                        self.due.push(Due { due, record: Record::Timeline(group) });
                    }
                }
                Element::Watermark(watermark) => self.tell(watermark, out),
            }
        }
        self.part = emit.elements;
    }

    fn leave(&self, event: Event, out: &mut Vec<Due>) {
        if self.entries {
            // By its own time, which every run shares: a restart may move the watermark in other steps. Events leave in
            // the order of time, so all before a watermark were delivered when it was; but nobody knows it of late ones.
            let late = event.time() < self.watermark;
            if late && event.is_told() {
                return;
            }
            let due = if late { EventTime::MIN } else { event.time() + Span::from_nanos(1) };
            out.push(Due { due, record: Record::Entry(event) });
        }
    }

    /// Lets out what `watermark` has made due.
    fn tell(&mut self, watermark: EventTime, out: &mut Vec<Due>) {
        self.watermark = watermark;
        if !self.found.is_empty() {
            // A batch may hold several watermarks; findings wait for their own.
            let later = self.found.extract_if(.., |found| found.due > watermark).collect();
            let now = std::mem::replace(&mut self.found, later);
            self.merger.take(now, &mut self.due);
        }
        self.merger.close(watermark, &mut self.due);
        if self.due.is_empty() {
            return;
        }
        let later: Vec<Due> = self.due.extract_if(.., |due| due.due > watermark).collect();
        let mut now = std::mem::replace(&mut self.due, later);
        now.sort_by_key(order);
        out.append(&mut now);
    }

    /// Tells every operator why the next watermark is the last.
    pub fn ending(&mut self, why: ClosedBy) {
        for stage in &mut self.stages {
            stage.ending(why);
        }
    }

    /// The event time that a restart must go back to, and who says so.
    pub fn hold(&self) -> Hold {
        let mut hold = Hold { since: self.merger.hold(), by: "findings" };
        for stage in &self.stages {
            let since = stage.hold();
            if since < hold.since {
                hold = Hold { since, by: stage.name() };
            }
        }
        hold
    }

    /// The watermark that has passed through the whole chain.
    pub const fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// The names of its operators, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.stages.iter().map(|stage| stage.name())
    }

    /// What operators have learned since this was last asked, by the operators' names; see [`Operator::learned`].
    /// Events at and after `since` will be seen again.
    pub fn learned(&mut self, since: EventTime) -> Vec<(&'static str, String)> {
        self.stages.iter_mut().filter_map(|stage| Some((stage.name(), stage.learned(since)?))).collect()
    }
    /// Gives operators back what an earlier run had learned; returns the names of those that could not use it.
    pub fn recall(&mut self, learned: &std::collections::BTreeMap<String, String>) -> Vec<&'static str> {
        let mut refused = Vec::new();
        for stage in &mut self.stages {
            if let Some(text) = learned.get(stage.name())
                && !stage.recall(text)
            {
                refused.push(stage.name());
            }
        }
        refused
    }

    /// What operators let others read while they run, with the operators' names.
    pub fn shared(&self) -> Vec<(&'static str, Arc<dyn Any + Send + Sync>)> {
        self.stages.iter().filter_map(|stage| Some((stage.name(), stage.shared()?))).collect()
    }

    /// Reports every operator's counters and gauges as (operator, name, value).
    pub fn metrics(&self, report: &mut dyn FnMut(&'static str, &'static str, u64)) {
        for stage in &self.stages {
            stage.metrics(&mut |name, value| report(stage.name(), name, value));
        }
        report("findings", "merged_total", self.merger.merged());
        report("findings", "open", self.merger.open() as u64);
    }
}

/// Runs the groups and watermarks of `emit` through `stage` where they stand: events, nearly all elements, are not moved.
fn pass_by(stage: &mut dyn Operator, seen: &mut EventTime, emit: &mut Emit, spare: &mut Vec<Element>) {
    let mut elements = std::mem::replace(&mut emit.elements, std::mem::take(spare));
    let mut at = 0;
    while at < elements.len() {
        match &mut elements[at] {
            Element::Event(_) => {
                at += 1;
                continue;
            }
            Element::Watermark(watermark) => {
                let watermark = *watermark;
                *seen = watermark;
                stage.on_watermark(watermark, emit);
                emit.elements.push(Element::Watermark(watermark));
            }
            place @ Element::Group(_) => {
                if let Element::Group(group) = std::mem::replace(place, Element::Watermark(*seen)) {
                    stage.on_group(group, emit);
                }
            }
        }
        let came = emit.elements.len();
        match emit.elements.pop() {
            Some(element) if came == 1 => elements[at] = element,
            Some(element) => {
                emit.elements.push(element);
                elements.splice(at..=at, emit.elements.drain(..));
            }
            None => {
                elements.remove(at);
            }
        }
        at += came;
    }
    *spare = std::mem::replace(&mut emit.elements, elements);
}

fn order(due: &Due) -> (EventTime, crate::record::RecordKind, crate::Id, u32) {
    let revision = match &due.record {
        Record::Timeline(group) => group.revision,
        Record::Finding(finding) => finding.revision,
        _ => 0,
    };
    let id = match &due.record {
        // The entries of a request stay together, and in their order.
        Record::Sample(sample) => sample.timeline.unwrap_or(sample.id),
        record => record.id(),
    };
    (due.due, due.record.kind(), id, revision)
}
