//! One partition's messages, read from a queue of their own.
//!
//! A partition whose pipeline has no room is simply not read: the library fetches ahead up to `queue` bytes, stops, and
//! goes on when that is used up. Its own `pause` would throw away what it has fetched and fetch it anew.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;

use super::consumer::{Context, Reader};
use super::gather::BATCH_BYTES;
use crate::source::intake::Control;

/// A partition is not read while more than this waits to be handed over, in bytes.
const WAITING_MAX: usize = 4 * BATCH_BYTES;
/// It is read again when less than this waits.
const WAITING_MIN: usize = BATCH_BYTES;
/// Most messages that are read before the next partition has its turn.
pub(super) const TURN_MAX: usize = 1000;

/// The messages of one partition.
pub(super) struct Feed {
    queue: PartitionQueue<Context>,
    paused: bool,
}

impl Feed {
    /// Takes a partition's messages out of the consumer's common queue; call it before the partition is assigned.
    /// `control` hears when there is something to read. `None` for a topic whose name is not text for the library.
    pub(super) fn split(reader: &Arc<Reader>, topic: &str, number: i32, control: &Control) -> Option<Self> {
        let mut queue = reader.split_partition_queue(topic, number)?;
        let control = control.clone();
        queue.set_nonempty_callback(move || control.nudge());
        Some(Self { queue, paused: false })
    }

    /// Decides by the bytes that wait to be handed over whether the partition is read; true when that has just stopped.
    pub(super) const fn pace(&mut self, waiting: usize) -> bool {
        let paused = waiting > if self.paused { WAITING_MIN } else { WAITING_MAX };
        let stopped = paused && !self.paused;
        self.paused = paused;
        stopped
    }

    /// True while it should not be read.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The next message, if it is there.
    pub(super) fn next(&self) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.queue.poll(Duration::ZERO)
    }
}
