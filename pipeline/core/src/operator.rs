//! Operators: one step of a pipeline each, plain state and plain calls.

use std::any::Any;
use std::sync::Arc;

use crate::event::Event;
use crate::group::{ClosedBy, Group};
use crate::record::{Finding, Reason, Record, Reject};
use crate::time::{EventTime, Span};

/// What flows between operators. Watermarks stand between the others, at places fixed by the data.
#[derive(Debug)]
pub enum Element {
    /// One log record.
    Event(Event),
    /// All entries of one request, open ([`crate::Phase::Early`]) or closed.
    Group(Box<Group>),
    /// No event earlier than this is expected any more.
    Watermark(EventTime),
}

/// One step of a pipeline. Same elements in, same records out.
pub trait Operator: Send {
    /// Its name, for metrics and messages.
    fn name(&self) -> &'static str;
    /// False for an operator that hands every event on as it came: events then pass by it.
    fn takes_events(&self) -> bool {
        true
    }
    /// Takes one event. What follows from it leaves through `out`: the event, a record, or a rejection.
    fn on_event(&mut self, event: Event, out: &mut Emit) {
        out.event(event);
    }
    /// Takes one group, as `correlate` hands it on.
    fn on_group(&mut self, group: Box<Group>, out: &mut Emit) {
        out.group(group);
    }
    /// No event earlier than `watermark` is expected any more: close what is due.
    fn on_watermark(&mut self, _watermark: EventTime, _out: &mut Emit) {}
    /// The next watermark is the last one, and this is why.
    fn ending(&mut self, _why: ClosedBy) {}
    /// The event time at or before which reading must begin again to rebuild what this operator holds.
    fn hold(&self) -> EventTime {
        EventTime::MAX
    }
    /// What it has learned that must outlast a restart, as text. Events at and after `since` will be seen again: what
    /// would be told of them must not be in it. `None` when there is nothing, or nothing new since it was last taken.
    fn learned(&mut self, _since: EventTime) -> Option<String> {
        None
    }
    /// Takes back what an earlier run had learned. False, with nothing changed, when it cannot be understood.
    fn recall(&mut self, _learned: &str) -> bool {
        false
    }
    /// What others may read while it runs, from any thread, such as the reader of an index.
    fn shared(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }
    /// Reports counters and gauges by name.
    fn metrics(&self, _report: &mut dyn FnMut(&'static str, u64)) {}
}

/// A record and the watermark at which it became due. Records leave in order of `due`, then `rank`, then id.
#[derive(Debug)]
pub struct Due {
    /// The event time at which it became due; a restart stays silent up to the one it had delivered.
    pub due: EventTime,
    /// The record.
    pub record: Record,
}

/// A finding on its way to being merged with others of its fingerprint.
#[derive(Debug)]
pub struct Found {
    /// The watermark at which it became due.
    pub due: EventTime,
    /// Findings of one origin share what is said of them first; see [`crate::merge`].
    pub origin: crate::Id,
    /// True for a finding of a request that is still open: its closing will say more.
    pub early: bool,
    /// Where reading must begin again to find it once more.
    pub hold: EventTime,
    /// The finding.
    pub finding: Box<Finding>,
}

/// What leaves an operator.
#[derive(Debug, Default)]
pub struct Emit {
    pub(crate) elements: Vec<Element>,
    pub(crate) arrivals: Vec<Due>,
    pub(crate) timed: Vec<Due>,
    pub(crate) found: Vec<Found>,
}

impl Emit {
    /// Passes an event on.
    pub fn event(&mut self, event: Event) {
        self.elements.push(Element::Event(event));
    }
    /// Passes a group on.
    pub fn group(&mut self, group: Box<Group>) {
        self.elements.push(Element::Group(group));
    }
    /// Lets a record out at `due`, in order with everything else that is due then.
    pub fn record(&mut self, due: EventTime, record: Record) {
        self.timed.push(Due { due, record });
    }
    /// Reports a finding that stands for itself.
    pub fn finding(&mut self, due: EventTime, hold: EventTime, finding: Finding) {
        let origin = finding.fingerprint;
        self.found.push(Found { due, origin, early: false, hold, finding: Box::new(finding) });
    }
    /// Reports a finding about a request: `origin` joins what early and closed views of it say.
    pub fn finding_of(&mut self, group: &Group, origin: crate::Id, finding: Finding) {
        let early = !group.is_closed();
        self.found.push(Found {
            due: group.due,
            origin,
            early,
            hold: group.hold,
            finding: Box::new(finding),
        });
    }
    /// Rejects an event: it leaves as a record of its own and is counted.
    pub fn reject(&mut self, event: &Event, reason: Reason) {
        if event.is_told() {
            return;
        }
        let record = Record::Reject(Box::new(Reject::new(event, reason)));
        self.arrivals.push(Due { due: EventTime::MIN, record });
    }
    /// Lets an event leave as a record of its own, at an operator that `watermark` has reached.
    pub fn entry(&mut self, event: Event, watermark: EventTime) {
        // By its own time, which every run shares: a restart may move the watermark in other steps. Events leave in the
        // order of time, so all before a watermark were delivered when it was; but nobody knows it of late ones.
        let late = event.time() < watermark;
        if late && event.is_told() {
            return;
        }
        let due = if late { EventTime::MIN } else { event.time() + Span::from_nanos(1) };
        self.arrivals.push(Due { due, record: Record::Entry(event) });
    }
    /// Hands on an event that came after its window had closed, as a `late` record.
    ///
    /// It is due at no time of its own. A restart tells by its position whether it was delivered: it may have joined a
    /// request then that is forgotten now.
    pub fn late(&mut self, mut event: Event) {
        if event.is_told() {
            return;
        }
        event.mark_late();
        self.arrivals.push(Due { due: EventTime::MIN, record: Record::Entry(event) });
    }
}
