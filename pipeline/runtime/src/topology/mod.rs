//! From a plan to threads, tasks and bounded channels: the fixed shape that is drawn in the crate's documentation.

use std::path::PathBuf;
use std::sync::Arc;

use logbraid_core::Span;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::run::{Report, RunError, RunPlan};
use crate::source::intake::{Intake, Message};

mod braid;
mod deliver;
mod workers;

use braid::Braid;
use deliver::{Delivery, Flushed, SinkTask};

/// Messages from sources that wait for a worker.
const MESSAGES_MAX: usize = 16;
/// Batches from workers that wait for the braid thread, beyond those that each partition may have under way.
const PARSED_MAX: usize = 16;
/// Deliveries that wait for a sink.
const DELIVERIES_MAX: usize = 4;
/// How often positions are committed.
const COMMIT_EVERY: Span = Span::from_seconds(1);

pub(crate) async fn run(plan: RunPlan, stop: CancellationToken) -> Result<Report, RunError> {
    let RunPlan {
        inputs,
        follow,
        parse,
        fields,
        time,
        chain,
        sinks,
        checkpoint,
        workers,
        clock,
        metrics,
        notice,
    } = plan;
    let start = match &checkpoint {
        Some(path) => Checkpoint::load(path)?,
        None => Checkpoint::default(),
    };
    let positions = start.partitions.iter().map(|(identity, place)| (identity.clone(), place.mark)).collect();
    let (messages, from_sources) = mpsc::channel::<Message>(MESSAGES_MAX);
    let intake = Intake::new(messages, positions, parse.reader(), Arc::clone(&clock));
    let control = intake.control();

    // Sinks first: what is read must have somewhere to go.
    let end = stop.child_token();
    let (flushed, mut acks) = mpsc::channel::<Flushed>(64);
    let mut senders = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for (number, plan) in sinks.into_iter().enumerate() {
        let (sender, receiver) = mpsc::channel::<Arc<Delivery>>(DELIVERIES_MAX);
        senders.push(sender);
        let task = SinkTask {
            number,
            plan,
            flushed: flushed.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            notice: Arc::clone(&notice),
            end: end.clone(),
        };
        tasks.spawn(task.run(receiver));
    }
    drop(flushed);
    let sinks = senders.len();

    let (parsed, from_workers) = std::sync::mpsc::sync_channel(PARSED_MAX);
    let system = |what| move |source| RunError::System { what, source };
    workers::spawn(workers, &parse, &fields, from_sources, parsed).map_err(system("a parser thread"))?;
    let options = crate::source::Options {
        follow,
        max_line: parse.max_line(),
        // With a checkpoint, an unfinished last line is read whole by the next run.
        partial_at_stop: checkpoint.is_none(),
        ..crate::source::Options::default()
    };
    let threads = crate::source::spawn(inputs, options, intake).map_err(system("a reader thread"))?;

    // With `repartition`, what is read first may lie anywhere.
    let has = |wanted: &str| chain.names().any(|name| name == wanted);
    let braids = has("correlate") && !has("repartition");
    let split_keys: Option<Arc<crate::split_keys::SplitKeys>> = braids.then(Arc::default);
    let (expect, mut expected) = mpsc::channel::<(u64, Checkpoint)>(64);
    let braid = Braid::new(braid::Setup {
        engine: crate::engine::Engine::new(parse, fields, chain, time, start.delivered_through())
            .with_split_keys(split_keys.clone()),
        time,
        sources: threads.len(),
        control: control.clone(),
        senders,
        expect: checkpoint.is_some().then_some(expect),
        start,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        notice,
        split_keys,
        commit_every: COMMIT_EVERY,
    });
    let braiding = std::thread::Builder::new()
        .name("braid".to_owned())
        .spawn(move || braid.run(from_workers))
        .map_err(system("the braid thread"))?;

    // The ledger lives here: it hears of flushes and writes checkpoints until the sinks are done.
    let mut ledger = Ledger::new(sinks);
    let mut failure = None;
    let mut output_closed = false;
    let mut asked = false;
    loop {
        tokio::select! {
            Some((number, checkpoint)) = expected.recv() => ledger.expect(number, checkpoint),
            ack = acks.recv() => match ack {
                Some(Flushed { sink, number }) => ledger.flushed(sink, number),
                None => break,
            },
            () = end.cancelled(), if !asked => {
                asked = true;
                control.stop();
            }
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(deliver::Ended::Closed)) => {
                    output_closed = true;
                    end.cancel();
                }
                Ok(Err(deliver::Ended::Failed { sink, why })) => {
                    failure = Some(RunError::Sink { sink, why });
                    end.cancel();
                }
                Err(error) => {
                    failure = Some(RunError::Sink { sink: "?".to_owned(), why: error.to_string() });
                    end.cancel();
                }
            },
        }
        store_due(&mut ledger, checkpoint.as_ref()).await?;
    }
    while let Ok((number, checkpoint)) = expected.try_recv() {
        ledger.expect(number, checkpoint);
    }
    store_due(&mut ledger, checkpoint.as_ref()).await?;
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err(deliver::Ended::Failed { sink, why })) = ended {
            failure = failure.or(Some(RunError::Sink { sink, why }));
        } else if let Ok(Err(deliver::Ended::Closed)) = ended {
            output_closed = true;
        }
    }
    control.stop();
    let joined = tokio::task::spawn_blocking(move || braiding.join()).await;
    let mut report = joined.ok().and_then(Result::ok).unwrap_or_default();
    report.output_closed = output_closed;
    // Reader threads end by themselves; one that waits in a read of a terminal or pipe is left to the process's end.
    drop(threads);
    match failure {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

async fn store_due(ledger: &mut Ledger, path: Option<&PathBuf>) -> Result<(), RunError> {
    let (Some(path), Some(mut due)) = (path, ledger.due()) else { return Ok(()) };
    let path = path.clone();
    match tokio::task::spawn_blocking(move || due.store(&path)).await {
        Ok(stored) => Ok(stored?),
        Err(_) => Ok(()),
    }
}

/// The time that has passed since `then`.
fn since(clock: &Arc<dyn Clock>, then: Span) -> Span {
    Span::from_nanos(clock.uptime().nanos() - then.nanos())
}
