//! Puts events in the order of event time: what several partitions interleave in any way leaves in one way.
//!
//! Events wait until the watermark has passed them, in buckets of one tick each; a bucket is sorted when it leaves. Since
//! nothing is told before the watermark passes it, waiting costs no time. Late events do not wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Event;
use crate::operator::Element;
use crate::time::{EventTime, Span};

/// Events that wait for the watermark.
#[derive(Debug)]
pub struct TimeOrder {
    tick: Span,
    /// With their times at hand: sorting need not look at rows all over the memory.
    buckets: BTreeMap<i64, Vec<(EventTime, Event)>>,
    /// Emptied buckets, for use again.
    spare: Vec<Vec<(EventTime, Event)>>,
    waiting: usize,
}

impl TimeOrder {
    /// Orders events under watermarks that are whole multiples of `tick`, which must be longer than zero.
    pub fn new(tick: Span) -> Self {
        Self { tick, buckets: BTreeMap::new(), spare: Vec::new(), waiting: 0 }
    }

    /// Lets an event wait for the watermark to pass it.
    pub fn push(&mut self, event: Event) {
        let time = event.time();
        let bucket = time.nanos().div_euclid(self.tick.nanos().max(1));
        self.waiting += 1;
        self.buckets
            .entry(bucket)
            .or_insert_with(|| self.spare.pop().unwrap_or_default())
            .push((time, event));
    }

    /// Hands on every event before `watermark`, by time, then source, then position.
    pub fn release(&mut self, watermark: EventTime, out: &mut Vec<Element>) {
        let end = watermark.nanos().div_euclid(self.tick.nanos().max(1));
        while let Some(first) = self.buckets.first_entry() {
            if *first.key() >= end && watermark != EventTime::MAX {
                break;
            }
            let mut bucket = first.remove();
            self.waiting -= bucket.len();
            bucket.sort_by(|(at, a), (bt, b)| {
                at.cmp(bt)
                    .then_with(|| {
                        let (x, y) = (a.source(), b.source());
                        if Arc::ptr_eq(x, y) { std::cmp::Ordering::Equal } else { x.name.cmp(&y.name) }
                    })
                    .then_with(|| a.row().offset.cmp(&b.row().offset))
            });
            out.extend(bucket.drain(..).map(|(_, event)| Element::Event(event)));
            if self.spare.len() < 64 {
                self.spare.push(bucket);
            }
        }
    }

    /// How many events wait.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}
