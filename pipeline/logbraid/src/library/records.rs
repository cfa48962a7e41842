//! The records of a run, one after the other; of a running logbraid, its findings.

use std::time::Duration;

use futures::future::BoxFuture;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{Record, RecordKind};
use logbraid_runtime::run::{RunPlan, SinkPlan};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{NO_TERMINAL, Reading, live};
use crate::ask::{address, configuration, run_plan};
use crate::cli::Fault;
use crate::cli::run::{self, Found, NOTHING_TO_READ};
use crate::problem::{Problem, choices};

/// Records on their way; a run waits while nobody takes them.
const WAITING_MAX: usize = 1024;

/// A run, and what it finds.
pub struct Records {
    runtime: Option<Runtime>,
    waiting: mpsc::Receiver<String>,
    ended: oneshot::Receiver<Result<(), Fault>>,
    stop: CancellationToken,
}

/// What came.
#[derive(Debug)]
pub enum Next {
    /// A record as one JSON object.
    Record(String),
    /// Nothing yet.
    Nothing,
    /// Nothing will come any more, and how the run ended.
    End(Result<(), Fault>),
}

impl Records {
    /// Reads `inputs`, named as on the command line, and follows files when `follow`. `take` names the records that are
    /// wanted as `take` of sinks does: `findings`, `timelines`, `entries` and so on; findings and timelines when it
    /// names none.
    ///
    /// A single `http://HOST:PORT` is a running logbraid: its newest findings come, each in its last revision, and with
    /// `follow` those that it finds from now on. One that is started again tells what it finds anew.
    pub fn of(inputs: &[String], reading: &Reading, follow: bool, take: &[String]) -> Result<Self, Fault> {
        let mut kinds = take.iter().map(|name| kind(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(address) = address(inputs)? {
            if kinds.iter().any(|kind| *kind != RecordKind::Findings) {
                let message = "'take': a running logbraid tells its findings alone";
                let help = "take `findings`, and ask its window about requests and entries";
                return Err(Problem::new("usage", message).help(help).into());
            }
            return Self::spawned(|send, stop| live::findings(address, follow, send, stop));
        }
        if kinds.is_empty() {
            kinds = vec![RecordKind::Findings, RecordKind::Timelines];
        }
        let config = configuration(&reading.config, reading.format.as_deref())?;
        let found = run::find_inputs(inputs, follow, None, &config, &NO_TERMINAL)?;
        let Some(Found { inputs, groups, listeners, follow, .. }) = found else {
            return Err(Problem::new("usage", NOTHING_TO_READ).help("name files").into());
        };
        if listeners {
            // Senders are told that their lines are safe: that needs a checkpoint, which a run of this kind has not.
            return Err(Problem::new(
                "usage",
                "a configuration that listens for senders cannot be streamed here",
            )
            .help("run it with `logbraid run -c FILE`, and name other inputs here")
            .into());
        }
        let wrong = |error: logbraid_core::component::ConfigError| Fault::Failure(error.to_string());
        let entries = kinds.contains(&RecordKind::Entries);
        let braid = crate::plan::braids(&config, None, entries).map_err(wrong)?;
        Self::spawned(|send, stop| {
            let sinks = vec![SinkPlan { sink: Box::new(Channel { send }), take: kinds }];
            let plan = RunPlan { groups, follow, ..run_plan(inputs, &config, braid, sinks) };
            async move {
                let report = logbraid_runtime::run::run(plan, stop).await;
                report.map(drop).map_err(run::run_error)
            }
        })
    }

    /// The records that `tell` sends until it ends, or is told to.
    fn spawned<Telling>(
        tell: impl FnOnce(mpsc::Sender<String>, CancellationToken) -> Telling,
    ) -> Result<Self, Fault>
    where
        Telling: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let runtime = run::runtime(2)?;
        let (send, waiting) = mpsc::channel(WAITING_MAX);
        let stop = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let telling = tell(send, stop.clone());
        runtime.spawn(async move {
            // Nobody waits for it any more when the records were given up.
            let _ = end.send(telling.await);
        });
        Ok(Self { runtime: Some(runtime), waiting, ended, stop })
    }

    /// The next record, if one comes within `wait`.
    pub fn next(&mut self, wait: Duration) -> Next {
        let Some(runtime) = &self.runtime else { return Next::End(Ok(())) };
        let (waiting, ended) = (&mut self.waiting, &mut self.ended);
        let next = runtime.block_on(async {
            match tokio::time::timeout(wait, waiting.recv()).await {
                Ok(Some(record)) => Next::Record(record),
                Err(_) => Next::Nothing,
                // The sink went with the run, or the run with its runtime.
                Ok(None) => Next::End(ended.await.unwrap_or(Ok(()))),
            }
        });
        if matches!(next, Next::End(_)) {
            self.close();
        }
        next
    }

    /// Stops the run: what is open is closed, and its records come still.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Gives up what has not come yet.
    pub fn close(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.close();
    }
}

fn kind(name: &str) -> Result<RecordKind, Problem> {
    RecordKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let names = RecordKind::ALL.map(RecordKind::name);
        let problem = Problem::new("usage", format!("'take': there are no records '{name}'"));
        problem.help(choices(name, "there are", names))
    })
}

/// Hands records over, each as JSON.
struct Channel {
    send: mpsc::Sender<String>,
}

impl Sink for Channel {
    fn name(&self) -> &'static str {
        "records"
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            for record in records {
                let text = serde_json::to_string(record)
                    .map_err(|error| SinkError::Fatal(format!("a record is not JSON: {error}")))?;
                self.send.send(text).await.map_err(|_| SinkError::Closed)?;
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
