//! The way in: memory is asked for before bytes are taken, and lines are kept before their sender is told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::lines::{Lines, Sender};
use super::status::{Status, add};
use crate::source::intake::Intake;

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
    pub(super) lines: Lines,
    pub(super) held: Held,
    pub(super) answer: oneshot::Sender<Result<(), Box<Back>>>,
}

impl Job {
    /// Gives the lines back: they were not kept.
    pub(super) fn refuse(self, why: Refused) {
        let Self { lines, held, answer } = self;
        // Who does not wait any more sends again.
        let _gone = answer.send(Err(Box::new(Back { why, lines, held })));
    }
}

/// Lines that were not kept, and their memory.
pub(super) struct Back {
    pub(super) why: Refused,
    pub(super) lines: Lines,
    pub(super) held: Held,
}

/// Memory that was asked for; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    permit: Option<OwnedSemaphorePermit>,
    room: Arc<Semaphore>,
}

impl Held {
    /// No memory yet, of `bytes` that nobody else has.
    pub(super) fn within(bytes: usize) -> Self {
        Self { permit: None, room: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))) }
    }
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
    /// Gives back what is held beyond `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let beyond = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits).saturating_sub(bytes);
        drop(self.split(beyond));
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
    room_max: u32,
    jobs: mpsc::Sender<Job>,
    pub(super) status: Arc<Status>,
    intake: Intake,
    /// The number of the next sender.
    senders: Arc<AtomicU64>,
}

impl Door {
    pub(super) fn new(room: usize, status: Arc<Status>, intake: Intake) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let room_max = u32::try_from(room).unwrap_or(u32::MAX);
        // Those of an earlier run, which may lie in the log, had other numbers.
        let senders = Arc::new(AtomicU64::new(intake.clock().now().nanos().cast_unsigned()));
        (Self { room: Arc::new(Semaphore::new(room)), room_max, jobs, status, intake, senders }, queue)
    }
    /// A sender that has not sent anything yet.
    pub(super) fn sender(&self) -> Sender {
        Sender::numbered(self.senders.fetch_add(1, Ordering::Relaxed))
    }
    /// The time of day, in nanoseconds.
    pub(super) fn now(&self) -> i64 {
        self.intake.clock().now().nanos()
    }
    /// Tells the user something; seldom, please. Call it within a tokio runtime.
    pub(super) fn tell(&self, text: String) {
        let (intake, text) = (self.intake.clone(), format!("`{}`: {text}", self.status.name()));
        // The pipeline may be busy, and tasks do not wait.
        drop(tokio::task::spawn_blocking(move || intake.notice(false, text)));
    }
    /// No memory yet.
    pub(super) fn hold(&self) -> Held {
        Held { permit: None, room: Arc::clone(&self.room) }
    }
    /// Waits for `bytes` of memory. Who waits here holds none: there is no end to waiting for one another else.
    pub(super) async fn room(&self, bytes: usize) -> Held {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.room_max);
        // The room is never closed.
        let permit = Arc::clone(&self.room).acquire_many_owned(count).await.ok();
        Held { permit, room: Arc::clone(&self.room) }
    }
    /// Returns once all of `lines` is durable: it may be acknowledged.
    pub(super) async fn keep(&self, lines: Lines) -> Result<(), Refused> {
        let mut held = self.hold();
        if lines.count() > 0 {
            held.grow(lines.bytes().max(JOB_BYTES)).inspect_err(|_| add(&self.status.busy, 1))?;
        }
        self.keep_within(lines, held).await.map_err(|back| {
            add(&self.status.busy, u64::from(matches!(back.why, Refused::Busy(_))));
            back.why
        })
    }
    /// The same with memory that is held already; what is not kept comes back. Refusals are not counted.
    pub(super) async fn keep_within(&self, lines: Lines, mut held: Held) -> Result<(), Box<Back>> {
        let (count, bytes) = (lines.count(), lines.bytes());
        if count == 0 {
            return Ok(());
        }
        held.shrink(bytes.max(JOB_BYTES));
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(Job { lines, held, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(job)) => {
                let Job { lines, held, .. } = job;
                let why = Refused::Busy("too many wait for the disk; send again");
                return Err(Box::new(Back { why, lines, held }));
            }
            Err(mpsc::error::TrySendError::Closed(job)) => {
                let Job { lines, held, .. } = job;
                return Err(Box::new(Back { why: Refused::Stopping, lines, held }));
            }
        }
        let ended =
            |_| Err(Box::new(Back { why: Refused::Stopping, lines: Lines::default(), held: self.hold() }));
        answered.await.unwrap_or_else(ended)?;
        add(&self.status.lines, count as u64);
        add(&self.status.bytes, bytes as u64);
        Ok(())
    }
}
