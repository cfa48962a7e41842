//! The way to one sink. It is full when many records wait, however few there are in each delivery: a sink that waits for
//! its brokers takes all that have gathered meanwhile at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

use super::deliver::Delivery;

/// Most deliveries that wait.
const DELIVERIES_MAX: usize = 256;
/// Most records that wait; a single delivery of more waits alone.
const RECORDS_MAX: usize = 16 << 10;

struct Waiting {
    delivery: Arc<Delivery>,
    // Given back when the delivery is taken.
    _room: OwnedSemaphorePermit,
}

/// The braid thread's end.
pub(super) struct Sender {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// The sink's end.
pub(super) struct Receiver {
    queue: mpsc::Receiver<Waiting>,
    room: Arc<Semaphore>,
}

/// The sink takes nothing any more.
#[derive(Debug)]
pub(super) struct Closed;

/// A way to a sink.
pub(super) fn queue() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(DELIVERIES_MAX);
    let room = Arc::new(Semaphore::new(RECORDS_MAX));
    (Sender { queue: sender, room: Arc::clone(&room) }, Receiver { queue: receiver, room })
}

impl Sender {
    /// Waits until there is room.
    ///
    /// # Errors
    /// When the sink takes nothing any more.
    pub(super) fn send(&self, delivery: Arc<Delivery>) -> Result<(), Closed> {
        let records = u32::try_from(delivery.records.len().min(RECORDS_MAX)).map_err(|_| Closed)?;
        let room = match Arc::clone(&self.room).try_acquire_many_owned(records) {
            Ok(room) => room,
            Err(TryAcquireError::NoPermits) => {
                let wait = Arc::clone(&self.room).acquire_many_owned(records);
                futures::executor::block_on(wait).map_err(|_| Closed)?
            }
            Err(TryAcquireError::Closed) => return Err(Closed),
        };
        self.queue.blocking_send(Waiting { delivery, _room: room }).map_err(|_| Closed)
    }
}

impl Receiver {
    /// The next delivery; nothing when there are no more.
    pub(super) async fn recv(&mut self) -> Option<Arc<Delivery>> {
        self.queue.recv().await.map(|waiting| waiting.delivery)
    }
    /// The next delivery if it is there.
    ///
    /// # Errors
    /// When none is there, or there are no more.
    pub(super) fn try_recv(&mut self) -> Result<Arc<Delivery>, mpsc::error::TryRecvError> {
        self.queue.try_recv().map(|waiting| waiting.delivery)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Whoever waits for room learns that there will be none.
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use logbraid_core::{Record, Span, record::Stats};

    use super::*;

    fn delivery(records: usize) -> Arc<Delivery> {
        let record = || Record::Stats(Box::new(Stats::new(std::collections::BTreeMap::new())));
        let records = (0..records).map(|_| record()).collect();
        Arc::new(Delivery { number: 1, records, made: Span::ZERO, commit: None })
    }

    #[test]
    fn many_small_deliveries_wait_and_few_large_ones_fill_it() {
        let (sender, mut receiver) = queue();
        for _ in 0..100 {
            sender.send(delivery(1)).unwrap();
        }
        sender.send(delivery(RECORDS_MAX - 100)).unwrap();
        assert_eq!(sender.room.available_permits(), 0);
        // More than there is room for in all: it waits until it is alone, and no longer.
        let large = std::thread::spawn(move || sender.send(delivery(3 * RECORDS_MAX)).map(|()| sender));
        for _ in 0..101 {
            receiver.try_recv().unwrap();
        }
        let sender = large.join().unwrap().unwrap();
        assert_eq!(receiver.try_recv().unwrap().records.len(), 3 * RECORDS_MAX);
        drop(sender);
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn who_waits_for_room_learns_that_the_sink_is_gone() {
        let (sender, receiver) = queue();
        sender.send(delivery(RECORDS_MAX)).unwrap();
        let waits = std::thread::spawn(move || sender.send(delivery(1)).is_err());
        drop(receiver);
        assert!(waits.join().unwrap());
    }
}
