//! A lane: an engine, and the partitions that it braids together, each brought back into order. All partitions of files
//! and pipes share one lane; a partition of Kafka has a lane of its own, because another instance may hold its
//! neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use logbraid_core::progress::Mark;
use logbraid_core::{Batch, EventTime, PartitionId, Span};

use crate::engine::Engine;
use crate::source::intake::{Committer, Drained};

/// A partition on its way into the engine.
#[derive(Debug)]
pub(super) struct Incoming {
    pub name: String,
    pub identity: String,
    pub bounded: bool,
    pub next: u64,
    pub batches: BTreeMap<u64, Batch>,
    /// How many batches it has, once that is known.
    pub total: Option<u64>,
    pub done: bool,
    /// When it last showed something, in time during which the braid thread was attentive.
    pub heard: Span,
}

impl Incoming {
    /// True when its next batch, or its end, is here.
    pub(super) fn ready(&self) -> bool {
        !self.done && (self.batches.contains_key(&self.next) || self.total == Some(self.next))
    }
}

/// What a lane of one partition knows of it.
pub(super) struct Own {
    pub committer: Arc<dyn Committer>,
    pub partition: PartitionId,
    pub topic: String,
    pub number: i32,
    /// The position that was committed last.
    pub committed: Mark,
    /// True when records have left since.
    pub told: bool,
    /// Set when it is wanted elsewhere: after how many batches, and who waits.
    pub release: Option<(u64, SyncSender<Drained>)>,
}

/// An engine and what it reads.
pub(super) struct Lane {
    pub engine: Engine,
    pub incoming: BTreeMap<PartitionId, Incoming>,
    pub started: bool,
    /// True when something happened since the last commit.
    pub dirty: bool,
    /// Where it has a state of its own.
    pub own: Option<Own>,
}

/// What a step has done.
pub(super) struct Step {
    /// Whose batch was taken in.
    pub partition: PartitionId,
    /// Its bytes and records; nothing where the partition ended.
    pub taken: Option<(u64, usize)>,
}

impl Lane {
    pub(super) fn new(engine: Engine, own: Option<Own>) -> Self {
        Self { engine, incoming: BTreeMap::new(), started: false, dirty: false, own }
    }

    /// Begins: event time may move.
    pub(super) fn begin(&mut self) {
        self.started = true;
        self.engine.resume();
    }

    /// True when a batch, or the end of a partition, can be taken in.
    pub(super) fn is_ready(&self) -> bool {
        self.started && self.incoming.values().any(Incoming::ready)
    }

    /// Takes in one batch of the partition that is furthest behind. Nothing when there is nothing to take, or the one
    /// that is furthest behind will show more soon and the others wait for it.
    pub(super) fn step(&mut self) -> Option<Step> {
        if !self.started {
            return None;
        }
        let engine = &self.engine;
        let (id, _) = self
            .incoming
            .iter()
            .filter(|(_, partition)| partition.ready() || (partition.bounded && !partition.done))
            .min_by_key(|(id, partition)| (engine.newest(**id), !partition.ready(), **id))?;
        let id = *id;
        let partition = self.incoming.get_mut(&id).filter(|partition| partition.ready())?;
        self.dirty = true;
        let taken = if let Some(batch) = partition.batches.remove(&partition.next) {
            partition.next += 1;
            let taken = (batch.bytes, batch.rows.len());
            self.engine.push(batch);
            Some(taken)
        } else {
            partition.done = true;
            self.engine.finish(id);
            None
        };
        Some(Step { partition: id, taken })
    }

    /// A partition that has been silent for longer than `idle_after` no longer holds the others back. `now` counts only
    /// time in which the braid thread was attentive: while a sink is slow, nobody is silent.
    pub(super) fn look_at_silence(&mut self, now: Span, idle_after: Span) {
        if !self.started {
            return;
        }
        for (id, partition) in &self.incoming {
            if partition.done || partition.bounded || partition.ready() {
                continue;
            }
            let quiet = Span::from_nanos(now.nanos() - partition.heard.nanos());
            if quiet >= idle_after {
                let before = self.engine.watermark();
                self.engine.idle(*id, quiet);
                self.dirty |= self.engine.watermark() > before;
            }
        }
    }

    /// Takes it that every partition was heard of at `now`.
    pub(super) fn heard_all(&mut self, now: Span) {
        for partition in self.incoming.values_mut() {
            partition.heard = now;
        }
    }

    /// True when it is wanted elsewhere and everything before that is taken in.
    pub(super) fn is_drained(&self) -> bool {
        let Some(Own { release: Some((sequence, _)), partition, .. }) = &self.own else { return false };
        self.incoming.get(partition).is_none_or(|incoming| incoming.next >= *sequence)
    }

    /// Where a lane of one partition may be resumed, and through which watermark it was told; nothing when that is not
    /// new, and nobody waits for it.
    pub(super) fn own_commit(&mut self) -> Option<(Mark, EventTime)> {
        let commit = self.engine.commit();
        let own = self.own.as_mut()?;
        let mark = *commit.marks.get(&own.partition)?;
        if mark == own.committed && !own.told && own.release.is_none() {
            return None;
        }
        own.committed = mark;
        own.told = false;
        Some((mark, commit.emitted_through))
    }
}
