//! Sink tasks: write what they take, flush, and say through which delivery everything is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use logbraid_core::progress::Mark;
use logbraid_core::sink::{SinkError, SourceOffset};
use logbraid_core::{EventTime, PartitionId, Record, Span};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::queue;
use crate::clock::Clock;
use crate::metrics::{Metrics, Sample};
use crate::run::{Notice, SinkPlan};
use crate::source::intake::Committer;

/// Records that became due together.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Numbered from 1.
    pub number: u64,
    /// The records, in order.
    pub records: Vec<Record>,
    /// When they became due, on the clock that only goes forward.
    pub made: Span,
    /// Set when a commit waits for it: where partitions with a state of their own may be resumed then.
    pub commit: Option<Vec<Place>>,
}

/// Where a partition may be resumed, for sinks that store it with their records.
#[derive(Debug)]
pub(super) struct Place {
    pub partition: PartitionId,
    pub committer: Arc<dyn Committer>,
    pub mark: Mark,
    pub delivered_through: EventTime,
}

/// How far the other sinks are, for the one that stores positions: it does so last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Others {
    /// The delivery that all of them have flushed.
    pub flushed: u64,
    /// False when one of them has ended early: no position may be stored any more.
    pub well: bool,
}

/// A sink has flushed a delivery and all before it.
#[derive(Debug)]
pub(super) struct Flushed {
    /// The sink's number.
    pub sink: usize,
    /// The delivery's number.
    pub number: u64,
}

/// Why a sink task ended before its input did.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nobody reads its output.
    Closed,
    /// It cannot work.
    Failed {
        /// The sink.
        sink: String,
        /// What it said.
        why: String,
    },
}

/// A wait of half to all of `wait`, by chance: instances that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library's only source of chance; nothing but the wait depends on it.
    let chance = std::hash::RandomState::new().build_hasher().finish() % 1024;
    wait / 2 + (wait / 2048) * u32::try_from(chance).unwrap_or(0)
}

/// One sink and where it reports.
pub(super) struct SinkTask {
    pub number: usize,
    pub plan: SinkPlan,
    pub flushed: mpsc::Sender<Flushed>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub notice: Notice,
    pub end: CancellationToken,
    pub others: watch::Receiver<Others>,
}

/// The first wait after a failed write; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(10);

impl SinkTask {
    /// Writes deliveries until there are no more.
    pub(super) async fn run(mut self, mut deliveries: queue::Receiver) -> Result<(), Ended> {
        if self.plan.sink.commits_offsets() {
            return self.run_with_offsets(deliveries).await;
        }
        let mut written: Option<Arc<Delivery>> = None;
        loop {
            // Flush when there is nothing more to write at once: never later than the next delivery could tell.
            let delivery = match deliveries.try_recv() {
                Ok(delivery) => delivery,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
                Err(mpsc::error::TryRecvError::Empty) => {
                    if let Some(last) = written.take() {
                        self.flush(&last).await?;
                    }
                    match deliveries.recv().await {
                        Some(delivery) => delivery,
                        None => break,
                    }
                }
            };
            self.write(&delivery).await?;
            if delivery.commit.is_some() {
                self.flush(&delivery).await?;
                written = None;
            } else {
                written = Some(delivery);
            }
        }
        if let Some(last) = written {
            self.flush(&last).await?;
        }
        if let Err(error) = self.plan.sink.close().await {
            (self.notice)(false, &format!("sink `{}`: {error}", self.plan.sink.name()));
        }
        Ok(())
    }

    /// The same for a sink that stores positions together with its records: it flushes at commits only, after all other
    /// sinks have, so that what it stores covers them, too. What is left uncommitted at the end is dropped: it is read
    /// and told again.
    async fn run_with_offsets(mut self, mut deliveries: queue::Receiver) -> Result<(), Ended> {
        while let Some(delivery) = deliveries.recv().await {
            self.write(&delivery).await?;
            if delivery.commit.is_none() {
                continue;
            }
            let ready = |others: &Others| !others.well || others.flushed >= delivery.number;
            match self.others.wait_for(ready).await {
                Ok(others) if others.well => {}
                // What the others have not written must be told again.
                _ => return Ok(()),
            }
            self.flush(&delivery).await?;
        }
        Ok(())
    }

    /// The positions as the sink stores them.
    fn offsets(&self, delivery: &Delivery) -> Result<Vec<SourceOffset>, Ended> {
        let places = delivery.commit.iter().flatten();
        if !self.plan.sink.commits_offsets() {
            return Ok(Vec::new());
        }
        places
            .map(|place| {
                let Place { partition, committer, mark, delivered_through } = place;
                committer.offset(*partition, *mark, *delivered_through).ok_or_else(|| Ended::Failed {
                    sink: self.plan.sink.name().to_owned(),
                    why: "a partition whose records wait to be committed was given to another instance; restart \
                          this one, it goes on at its last commit"
                        .to_owned(),
                })
            })
            .collect()
    }

    async fn write(&mut self, delivery: &Delivery) -> Result<(), Ended> {
        let take = &self.plan.take;
        let records: Vec<&Record> =
            delivery.records.iter().filter(|record| take.contains(&record.kind())).collect();
        if records.is_empty() {
            return Ok(());
        }
        let mut wait = RETRY_MIN;
        loop {
            match self.plan.sink.write(&records).await {
                Ok(()) => break,
                Err(error) => self.after(error, &mut wait).await?,
            }
        }
        self.well();
        let live = &self.metrics.live;
        live.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        for record in records {
            match record {
                Record::Timeline(_) => live.timelines.fetch_add(1, Ordering::Relaxed),
                Record::Finding(_) => live.findings.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
        }
        Ok(())
    }

    async fn flush(&mut self, delivery: &Delivery) -> Result<(), Ended> {
        let mut wait = RETRY_MIN;
        loop {
            // Asked for anew each time: a partition may have been given away in between.
            let offsets = self.offsets(delivery)?;
            match self.plan.sink.flush_with(&offsets).await {
                Ok(()) => break,
                Err(error) => self.after(error, &mut wait).await?,
            }
        }
        self.well();
        self.report();
        if !delivery.records.is_empty() {
            self.metrics.flushed_after(super::since(&self.clock, delivery.made));
        }
        // Nobody hears it when the run has ended already.
        let _ended = self.flushed.send(Flushed { sink: self.number, number: delivery.number }).await;
        Ok(())
    }

    /// Publishes the sink's counters, with its place in the configuration, counted from 0.
    fn report(&self) {
        let mut samples = Vec::new();
        let label = format!("{}/{}", self.number, self.plan.sink.name());
        self.plan.sink.metrics(&mut |name, value| {
            samples.push(Sample::new(format!("sink_{name}_total"), value).label("sink", label.clone()));
        });
        self.metrics.publish_sink(self.number, samples);
    }

    /// Waits before another try, or ends.
    async fn after(&mut self, error: SinkError, wait: &mut Duration) -> Result<(), Ended> {
        let sink = self.plan.sink.name().to_owned();
        match error {
            SinkError::Closed => Err(Ended::Closed),
            SinkError::Fatal(why) => Err(Ended::Failed { sink, why }),
            SinkError::Retry(why) => {
                if *wait == RETRY_MIN {
                    (self.notice)(false, &format!("sink `{sink}`: {why}; trying again until it works"));
                }
                self.metrics.health(|health| {
                    health.troubles.insert(format!("sink {sink}"), why.clone());
                });
                tokio::select! {
                    () = tokio::time::sleep(jittered(*wait)) => {}
                    // Told to stop, it tries once more a little later and then gives up.
                    () = self.end.cancelled(), if *wait >= Duration::from_secs(2) => {
                        return Err(Ended::Failed { sink, why });
                    }
                }
                *wait = (*wait * 2).min(RETRY_MAX);
                Ok(())
            }
        }
    }

    fn well(&self) {
        let name = format!("sink {}", self.plan.sink.name());
        self.metrics.health(|health| {
            health.troubles.remove(&name);
        });
    }
}
