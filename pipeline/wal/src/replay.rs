//! Reading again what no sink had flushed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::frame::Records;
use crate::log::{Error, Segment};
use crate::storage::Storage;

/// A record that was appended by an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// The records that an earlier run left, in order, each once. Holds one segment in memory at a time.
pub struct Replay<S: Storage> {
    storage: Arc<S>,
    segments: VecDeque<Segment>,
    records: Option<Records>,
    /// The next number that is due.
    due: u64,
    /// Where this run's own records begin.
    end: u64,
    lost: u64,
}

impl<S: Storage> Replay<S> {
    pub(crate) const fn new(storage: Arc<S>, segments: VecDeque<Segment>, resume: u64, end: u64) -> Self {
        Self { storage, segments, records: None, due: resume, end, lost: 0 }
    }

    /// Records that were in the log and could not be read: counted from the gaps in their numbers, so exact once
    /// [`Self::read`] has said that there are no more. After a power cut some may be records that were never durable, and
    /// so never acknowledged: a disk may keep a later write without an earlier one.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// When the system cannot read a segment; a further call goes on after it, and its records count as lost.
    pub fn read(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(records) = &mut self.records {
                for (sequence, payload) in records.by_ref() {
                    if sequence < self.due {
                        continue;
                    }
                    self.lost += sequence - self.due;
                    self.due = sequence + 1;
                    return Ok(Some(Entry { sequence, payload }));
                }
                self.records = None;
            }
            let Some(Segment { base, .. }) = self.segments.pop_front() else {
                self.lost += self.end.saturating_sub(self.due);
                self.due = self.due.max(self.end);
                return Ok(None);
            };
            let name = Segment::name(base);
            match self.storage.read(&name) {
                Ok(bytes) => self.records = Some(Records::new(base, bytes)),
                // Removed by hand: the gap in the numbers counts it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Io { action: "read", name, source }),
            }
        }
    }
}
