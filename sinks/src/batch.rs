//! What waits to be sent together, with its bounds and its pace.

use std::collections::VecDeque;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior};

/// How much is sent together.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Most bytes of a batch, before packing; a larger record is sent alone.
    pub bytes: ByteSize,
    /// Most records of a batch.
    pub records: usize,
    /// Batches that are not full follow each other no faster than this.
    pub wait: Span,
}

impl Default for Batch {
    fn default() -> Self {
        Self { bytes: ByteSize::from_bytes(1 << 20), records: 1000, wait: Span::from_millis(100) }
    }
}

impl Batch {
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        let held = (1 << 10..=64 << 20).contains(&self.bytes.bytes());
        ensure(held, "batch.bytes", "must be 1 KiB to 64 MiB; try `1MiB`")?;
        ensure((1..=100_000).contains(&self.records), "batch.records", "must be 1 to 100000; try `1000`")?;
        let held = (Span::ZERO..=Span::from_seconds(10)).contains(&self.wait);
        ensure(held, "batch.wait", "must be at most ten seconds; try `100ms`")
    }
}

/// A record as it is sent.
pub(crate) trait Piece {
    /// Its share of a batch, about.
    fn bytes(&self) -> usize;
}

/// Pieces that were taken and are not delivered yet, in order.
pub(crate) struct Pending<P> {
    pub(crate) batch: Batch,
    pieces: VecDeque<P>,
    bytes: usize,
    pace: Option<Interval>,
}

impl<P: Piece> Pending<P> {
    pub(crate) const fn new(batch: Batch) -> Self {
        Self { batch, pieces: VecDeque::new(), bytes: 0, pace: None }
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.batch.bytes.as_usize() || self.pieces.len() >= self.batch.records
    }
    pub(crate) fn push(&mut self, piece: P) {
        self.bytes += piece.bytes();
        self.pieces.push_back(piece);
    }
    pub(crate) fn front(&self) -> Option<&P> {
        self.pieces.front()
    }
    pub(crate) fn get(&self, at: usize) -> Option<&P> {
        self.pieces.get(at)
    }
    pub(crate) fn first(&self, count: usize) -> impl Iterator<Item = &P> + Clone {
        self.pieces.iter().take(count)
    }
    /// How many of the first `most` pieces go together: those within the bound that are `alike` the first.
    pub(crate) fn next(&self, most: usize, alike: impl Fn(&P, &P) -> bool) -> usize {
        let Some(first) = self.pieces.front() else { return 0 };
        let mut bytes = 0;
        let fits = |piece: &&P| {
            bytes += piece.bytes();
            alike(first, piece) && bytes <= self.batch.bytes.as_usize()
        };
        self.pieces.iter().take(most.min(self.batch.records)).take_while(fits).count().max(1)
    }
    /// Lets go of the first `count`.
    pub(crate) fn drop_first(&mut self, count: usize) {
        for piece in self.pieces.drain(..count.min(self.pieces.len())) {
            self.bytes -= piece.bytes();
        }
    }
    /// Keeps those of the first `count` that `keep` says, in order.
    pub(crate) fn keep(&mut self, count: usize, mut keep: impl FnMut(usize) -> bool) {
        let first: Vec<P> = self.pieces.drain(..count.min(self.pieces.len())).collect();
        for (at, piece) in first.into_iter().enumerate().rev() {
            if keep(at) {
                self.pieces.push_front(piece);
            } else {
                self.bytes -= piece.bytes();
            }
        }
    }
    /// Waits until the next batch that is not full may be sent.
    pub(crate) async fn pace(&mut self) {
        let wait = self.batch.wait.to_std();
        if self.is_empty() || self.is_full() || wait.is_zero() {
            return;
        }
        let pace = self.pace.get_or_insert_with(|| {
            let mut pace = tokio::time::interval(wait);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        pace.tick().await;
    }
}
