//! One sync for many senders.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::log::{Error, Log};
use crate::storage::{Storage, Writer as _};

struct State<S: Storage> {
    log: Log<S>,
    syncing: bool,
}

/// A log that many threads append to. The first that needs a sync makes it, without holding the others up; whoever
/// appends meanwhile shares the next one.
pub struct Group<S: Storage> {
    state: Mutex<State<S>>,
    synced: Condvar,
}

impl<S: Storage> Group<S> {
    /// Shares `log`.
    pub const fn new(log: Log<S>) -> Self {
        Self { state: Mutex::new(State { log, syncing: false }), synced: Condvar::new() }
    }

    /// Appends a record and returns its sequence number once it is durable: it may be acknowledged. Blocks for one or
    /// two syncs of the disk.
    ///
    /// # Errors
    /// As [`Log::append`]; when a sync fails, every sender whose record it would have covered is told.
    pub fn append(&self, payload: &[u8]) -> Result<u64, Error> {
        let mut state = self.lock();
        let sequence = state.log.append(payload)?;
        loop {
            if state.log.durable() > sequence {
                return Ok(sequence);
            }
            if state.log.has_failed() {
                return Err(Error::Failed);
            }
            if state.syncing {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.syncing = true;
            let (writer, through) = state.log.begin_sync();
            drop(state);
            let result = writer.sync();
            state = self.lock();
            state.syncing = false;
            let ended = state.log.end_sync(through, result);
            self.synced.notify_all();
            ended?;
        }
    }

    /// The log itself, for a moment: to release records and to look at its figures.
    pub fn with<T>(&self, look: impl FnOnce(&mut Log<S>) -> T) -> T {
        look(&mut self.lock().log)
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
