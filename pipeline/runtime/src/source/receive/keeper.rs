//! The thread that writes a log: what waits is appended together, synced once, and acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use logbraid_core::Span;
use logbraid_wal::{Error, Folder, Log, Options};
use tokio::sync::mpsc;

use super::door::{Held, Job, Refused};
use super::feed::{Fed, Feed};
use super::status::{Status, add};
use super::with_source;
use crate::clock::Clock;

/// Jobs that share a sync.
const JOBS_MAX: usize = 512;
/// Their bytes.
const BYTES_MAX: usize = 8 << 20;
/// How long after a failure the log is opened again.
const AGAIN: Span = Span::from_seconds(1);

/// The thread's state.
pub(super) struct Keeper {
    pub(super) log: Log<Folder>,
    pub(super) storage: Arc<Folder>,
    pub(super) options: Options,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) feed: Feed,
    /// The first record that a restart needs.
    pub(super) needed: Arc<AtomicU64>,
    pub(super) status: Arc<Status>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A job whose records are written and not yet durable.
struct Written {
    first: u64,
    job: Job,
}

impl Keeper {
    /// Runs until nobody can send jobs any more.
    pub(super) fn run(mut self) {
        let mut fed = self.log.next();
        let mut failed = None;
        let mut batch = Vec::new();
        while let Some(job) = self.jobs.blocking_recv() {
            let mut bytes = job.lines.bytes();
            batch.push(job);
            while batch.len() < JOBS_MAX && bytes < BYTES_MAX {
                let Ok(job) = self.jobs.try_recv() else { break };
                bytes += job.lines.bytes();
                batch.push(job);
            }
            if let Some(since) = failed
                && self.clock.uptime().nanos() >= since
            {
                failed = self.reopen(&mut fed).err();
            }
            self.release();
            let written = self.write(batch.drain(..));
            if !written.is_empty() {
                match self.log.sync() {
                    Ok(()) => self.acknowledge(written, &mut fed),
                    Err(error) => self.refuse(written, &error),
                }
                add(&self.status.syncs, 1);
            }
            if self.log.has_failed() && failed.is_none() {
                failed = Some(self.clock.uptime().nanos() + AGAIN.nanos());
            }
            self.status.wal_bytes.store(self.log.held(), Ordering::Relaxed);
        }
    }

    fn write(&mut self, batch: impl Iterator<Item = Job>) -> Vec<Written> {
        let mut written = Vec::new();
        for job in batch {
            if !self.log.fits(job.lines.records().len(), job.lines.bytes()) {
                let full = "the write-ahead log is full of what no sink has flushed yet; send again";
                job.refuse(Refused::Busy(full));
                continue;
            }
            let first = self.log.next();
            let mut appended = Ok(());
            for record in job.lines.records() {
                if let Err(error) = self.log.append(record) {
                    appended = Err(self.failed(&error));
                    break;
                }
            }
            match appended {
                Ok(()) => written.push(Written { first, job }),
                Err(refused) => job.refuse(refused),
            }
        }
        written
    }

    fn acknowledge(&mut self, written: Vec<Written>, fed: &mut u64) {
        self.status.set_trouble(None);
        for Written { first, job } in written {
            let Job { lines, mut held, answer } = job;
            let records = lines.into_records();
            let last = records.len().saturating_sub(1);
            for (at, payload) in records.into_iter().enumerate() {
                let part = if at == last { usize::MAX } else { payload.len() };
                let sequence = first + at as u64;
                // When the pipeline has ended, the next run reads it from the log.
                let _ended = self.feed.blocking_send(Fed { sequence, payload, held: Some(held.split(part)) });
                *fed = sequence + 1;
            }
            // Who does not wait any more sends again.
            let _gone = answer.send(Ok(()));
        }
    }

    fn refuse(&self, written: Vec<Written>, error: &Error) {
        let refused = self.failed(error);
        for Written { job, .. } in written {
            job.refuse(refused.clone());
        }
    }

    fn failed(&self, error: &Error) -> Refused {
        if !matches!(error, Error::Failed) {
            let text = with_source(error);
            tracing::warn!("{text}");
            add(&self.status.failures, 1);
            self.status.set_trouble(Some(text));
        }
        Refused::Failed("the write-ahead log cannot be written; see the health of logbraid".to_owned())
    }

    fn release(&mut self) {
        if let Err(error) = self.log.release(self.needed.load(Ordering::Acquire)) {
            tracing::warn!("{}", with_source(&error));
        }
    }

    /// After a failure: what is in the log and was not handed on is handed on now, whether it was acknowledged or not.
    fn reopen(&mut self, fed: &mut u64) -> Result<(), i64> {
        let needed = self.needed.load(Ordering::Acquire);
        let opened = Log::open(Arc::clone(&self.storage), self.options, needed);
        let (log, mut replay) = opened.map_err(|error| {
            self.failed(&error);
            self.clock.uptime().nanos() + AGAIN.nanos()
        })?;
        self.log = log;
        loop {
            match replay.read() {
                Ok(Some(entry)) if entry.sequence < *fed => {}
                Ok(Some(entry)) => {
                    *fed = entry.sequence + 1;
                    let unheld: Option<Held> = None;
                    let fed = Fed { sequence: entry.sequence, payload: entry.payload, held: unheld };
                    let _ended = self.feed.blocking_send(fed);
                }
                Ok(None) => break,
                Err(error) => tracing::warn!("{}", with_source(&error)),
            }
        }
        self.status.set_trouble(None);
        Ok(())
    }
}
