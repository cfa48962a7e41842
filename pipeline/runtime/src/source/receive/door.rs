//! The way in: memory is asked for before bytes are taken, and lines are kept before their sender is told so.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::lines::Lines;
use super::status::{Status, add};
use crate::clock::Clock;

/// What a listener holds in memory, at least: what is being received, and what waits for the pipeline.
const ROOM_BYTES_MIN: u64 = 32 << 20;
/// A body may be there as it came, decoded, as lines, and as an answer.
const BODIES: u64 = 4;
/// What each job costs beyond its bytes.
const JOB_BYTES: usize = 4 << 10;
/// Jobs that wait for the keeper.
const JOBS_MAX: usize = 1024;

/// The bytes that a listener may hold whose bodies have `body` bytes at most.
pub(super) fn room(body: u64) -> usize {
    let bytes = ROOM_BYTES_MIN.max(body.saturating_mul(BODIES));
    usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// Why lines were not kept. Nothing of them was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The sender should try again later.
    #[error("{0}")]
    Busy(&'static str),
    /// The log cannot be written.
    #[error("{0}")]
    Failed(String),
    /// The listener is ending.
    #[error("logbraid is stopping; send again")]
    Stopping,
}

const NO_ROOM: Refused = Refused::Busy("too much waits for the pipeline; send again");

/// Lines that wait to be kept.
pub(super) struct Job {
    pub(super) records: Vec<Vec<u8>>,
    pub(super) bytes: usize,
    pub(super) held: Held,
    pub(super) answer: oneshot::Sender<Result<(), Refused>>,
}

/// Memory that was asked for; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    permit: Option<OwnedSemaphorePermit>,
    room: Arc<Semaphore>,
}

impl Held {
    /// Asks for `bytes` more.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refused> {
        let count = u32::try_from(bytes).map_err(|_| NO_ROOM)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(count).map_err(|_| NO_ROOM)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
    /// Takes a part of it away, to be given back by itself.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let permit = self.permit.as_mut().and_then(|permit| permit.split(bytes.min(permit.num_permits())));
        Self { permit, room: Arc::clone(&self.room) }
    }
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Door {
    room: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
    pub(super) status: Arc<Status>,
    clock: Arc<dyn Clock>,
}

impl Door {
    pub(super) fn new(
        room: usize,
        status: Arc<Status>,
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        (Self { room: Arc::new(Semaphore::new(room)), jobs, status, clock }, queue)
    }
    /// The time of day, in nanoseconds.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().nanos()
    }
    /// No memory yet.
    pub(super) fn hold(&self) -> Held {
        Held { permit: None, room: Arc::clone(&self.room) }
    }
    /// Returns once all of `lines` is durable: it may be acknowledged.
    pub(super) async fn keep(&self, lines: Lines) -> Result<(), Refused> {
        let (count, bytes) = (lines.count(), lines.bytes());
        if count == 0 {
            return Ok(());
        }
        let mut held = self.hold();
        held.grow(bytes.max(JOB_BYTES)).inspect_err(|_| add(&self.status.busy, 1))?;
        let (answer, answered) = oneshot::channel();
        let job = Job { records: lines.into_records(), bytes, held, answer };
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                add(&self.status.busy, 1);
                return Err(Refused::Busy("too many wait for the disk; send again"));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Refused::Stopping),
        }
        let kept = answered.await.unwrap_or(Err(Refused::Stopping));
        match &kept {
            Ok(()) => {
                add(&self.status.lines, count as u64);
                add(&self.status.bytes, bytes as u64);
            }
            Err(Refused::Busy(_)) => add(&self.status.busy, 1),
            Err(_) => {}
        }
        kept
    }
}
