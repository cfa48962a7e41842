//! Sink tasks: write what they take, flush, and say through which delivery everything is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use logbraid_core::sink::SinkError;
use logbraid_core::{Record, Span};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::run::{Notice, SinkPlan};

/// Records that became due together.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Numbered from 1.
    pub number: u64,
    /// The records, in order.
    pub records: Vec<Record>,
    /// When they became due, on the clock that only goes forward.
    pub made: Span,
    /// True when a commit waits for it.
    pub commit: bool,
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

/// One sink and where it reports.
pub(super) struct SinkTask {
    pub number: usize,
    pub plan: SinkPlan,
    pub flushed: mpsc::Sender<Flushed>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub notice: Notice,
    pub end: CancellationToken,
}

/// The first wait after a failed write; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(10);

impl SinkTask {
    /// Writes deliveries until there are no more.
    pub(super) async fn run(mut self, mut deliveries: mpsc::Receiver<Arc<Delivery>>) -> Result<(), Ended> {
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
            if delivery.commit {
                self.flush(&delivery).await?;
                written = None;
            } else {
                written = Some(delivery);
            }
        }
        if let Some(last) = written {
            self.flush(&last).await?;
        }
        Ok(())
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
            match self.plan.sink.flush().await {
                Ok(()) => break,
                Err(error) => self.after(error, &mut wait).await?,
            }
        }
        self.well();
        if !delivery.records.is_empty() {
            self.metrics.flushed_after(super::since(&self.clock, delivery.made));
        }
        // Nobody hears it when the run has ended already.
        let _ended = self.flushed.send(Flushed { sink: self.number, number: delivery.number }).await;
        Ok(())
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
                    () = tokio::time::sleep(*wait) => {}
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
