//! The thread that hands a log's lines to the pipeline: first what an earlier run left, then what arrives.

use std::collections::VecDeque;
use std::sync::Arc;

use logbraid_core::EventTime;
use logbraid_core::progress::Mark;
use logbraid_parse::{Framing, RawRecord};
use logbraid_wal::{Folder, Replay};
use tokio::sync::mpsc;

use super::door::Held;
use super::lines::{Place, Record, Sender};
use super::status::{Status, add};
use super::with_source;
use crate::source::intake::{Intake, Opening, Partition, Stopped};

/// Records that wait here; their bytes are bounded by the door's room.
const FED_MAX: usize = 8192;
/// A batch is handed over when it has this many bytes.
const BATCH_BYTES: usize = 64 << 10;

/// A record of the log that is durable.
pub(super) struct Fed {
    pub(super) sequence: u64,
    pub(super) payload: Vec<u8>,
    /// Its memory, given back when the pipeline has it.
    pub(super) held: Option<Held>,
}

/// Where durable records go.
pub(super) type Feed = mpsc::Sender<Fed>;

pub(super) fn channel() -> (Feed, mpsc::Receiver<Fed>) {
    mpsc::channel(FED_MAX)
}

/// The thread's state.
pub(super) struct Feeder {
    pub(super) opening: Opening,
    pub(super) start: Mark,
    pub(super) replay: Replay<Folder>,
    pub(super) fed: mpsc::Receiver<Fed>,
    pub(super) intake: Intake,
    pub(super) status: Arc<Status>,
    /// What users should know before it listens; told here, for telling may wait for the pipeline.
    pub(super) notices: Vec<String>,
}

/// Lines on their way into a batch.
#[derive(Default)]
struct Batch {
    /// Who sent the last record, of any batch.
    before: Option<Sender>,
    bytes: Vec<u8>,
    records: Vec<RawRecord>,
    held: VecDeque<Option<Held>>,
}

impl Feeder {
    /// Runs until nothing more can come, or the pipeline stops.
    pub(super) fn run(self) {
        let Self { opening, start, replay, fed, intake, status, notices } = self;
        for notice in notices {
            intake.notice(false, notice);
        }
        let name = opening.name.clone();
        // `Stopped` means that nobody listens any more; what was not taken stays in the log.
        let Ok(mut partition) = intake.open(opening, start) else { return };
        if intake.ready().is_err() {
            return;
        }
        intake.notice(false, format!("`{name}`: ready on {}", status.address()));
        let skip = Place::of(start.offset);
        if again(replay, skip, &mut partition, &name, &intake, &status).is_ok() {
            let _stopped = follow(fed, &mut partition, &intake, &status);
        }
        let _stopped = partition.finish();
    }
}

fn again(
    mut replay: Replay<Folder>,
    skip: Place,
    partition: &mut Partition,
    name: &str,
    intake: &Intake,
    status: &Status,
) -> Result<(), Stopped> {
    let mut batch = Batch::default();
    let (mut replayed, mut unreadable) = (0, 0);
    loop {
        match replay.read() {
            Ok(Some(entry)) => {
                replayed += 1;
                let line = if entry.sequence == skip.sequence { skip.line } else { 0 };
                if !batch.add(entry.sequence, line, &entry.payload, None) {
                    unreadable += 1;
                }
                if batch.bytes.len() >= BATCH_BYTES {
                    batch.send(partition, intake)?;
                }
            }
            Ok(None) => break,
            Err(error) => intake.notice(false, format!("`{name}`: {}", with_source(&error))),
        }
    }
    batch.send(partition, intake)?;
    add(&status.replayed, replayed);
    let damaged = replay.lost() + unreadable;
    add(&status.damaged, damaged);
    if damaged > 0 {
        intake.notice(
            false,
            format!("`{name}`: {damaged} records of the write-ahead log are damaged and were lost"),
        );
    }
    Ok(())
}

fn follow(
    mut fed: mpsc::Receiver<Fed>,
    partition: &mut Partition,
    intake: &Intake,
    status: &Status,
) -> Result<(), Stopped> {
    let mut batch = Batch::default();
    while let Some(first) = fed.blocking_recv() {
        let mut next = Some(first);
        while let Some(Fed { sequence, payload, held }) = next {
            if !batch.add(sequence, 0, &payload, held) {
                add(&status.damaged, 1);
            }
            if batch.bytes.len() >= BATCH_BYTES {
                break;
            }
            next = fed.try_recv().ok();
        }
        batch.send(partition, intake)?;
    }
    Ok(())
}

impl Batch {
    /// Adds the lines of a record from number `from` on; false when it cannot be read.
    fn add(&mut self, sequence: u64, from: u64, payload: &[u8], held: Option<Held>) -> bool {
        let Some(record) = Record::of(payload) else { return false };
        let ingest = Some(EventTime::from_nanos(record.received));
        let (sender, before) = (record.sender, self.before.replace(record.sender));
        for (line, bytes) in (0..).zip(record) {
            if line < from {
                continue;
            }
            // Batches stay far below 4 GiB: one record more than `BATCH_BYTES` at most.
            let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.bytes.extend_from_slice(bytes);
            let fresh = !sender.goes_on(line, before);
            let offset = Place { sequence, line }.offset();
            self.records.push(RawRecord { start, len, offset, ingest, fresh });
        }
        self.held.push_back(held);
        true
    }

    fn send(&mut self, partition: &mut Partition, intake: &Intake) -> Result<(), Stopped> {
        let next = Self { before: self.before, ..Self::default() };
        let Self { bytes, records, held, .. } = std::mem::replace(self, next);
        if intake.is_stopped() {
            return Err(Stopped);
        }
        if !records.is_empty() {
            partition.send(bytes, Framing::Records(records))?;
        }
        drop(held);
        Ok(())
    }
}
