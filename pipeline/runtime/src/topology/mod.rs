//! From a plan to threads, tasks and bounded channels: the fixed shape that is drawn in the crate's documentation.

use std::path::PathBuf;
use std::sync::Arc;

use logbraid_core::Span;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::ledger::{Commits, Ledger};
use crate::metrics::Metrics;
use crate::run::{Notice, Report, RunError, RunPlan, SinkPlan};
use crate::source::intake::{Control, Intake, Message};
use crate::source::kafka::{CommitBy, Running};
use crate::source::receive;
use crate::split_keys::SplitKeys;

mod braid;
mod deliver;
mod figures;
mod lane;
mod open;
mod queue;
mod workers;

use braid::Braid;
use deliver::{Ended, Flushed, Others, SinkTask};

/// Messages from sources that wait for a worker.
const MESSAGES_MAX: usize = 16;
/// Batches from workers that wait for the braid thread, beyond those that each partition may have under way.
const PARSED_MAX: usize = 16;
/// How often positions are committed.
const COMMIT_EVERY: Span = Span::from_seconds(1);

/// How often the health of sources is looked at.
const HEALTH_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

pub(crate) async fn run(plan: RunPlan, stop: CancellationToken) -> Result<Report, RunError> {
    let RunPlan {
        inputs,
        groups,
        listeners,
        follow,
        parse,
        fields,
        time,
        chain,
        mut sinks,
        checkpoint,
        workers,
        clock,
        metrics,
        notice,
    } = plan;
    let start = checkpoint.as_deref().map(Checkpoint::load).transpose()?;
    // What fails here fails for a reason that trying again would not mend.
    let first = chain()?;
    let exactly_once = sinks.iter().any(|plan| plan.sink.commits_offsets());
    let commit_by = if exactly_once { CommitBy::Sink } else { CommitBy::Source };
    let opened = async {
        open::sinks(&mut sinks).await?;
        open::sources(inputs, groups, listeners, commit_by).await
    };
    let prepared = tokio::select! {
        prepared = opened => prepared?,
        () = stop.cancelled() => return Ok(Report::default()),
    };
    let marks = start.iter().flat_map(|start| &start.partitions);
    let positions = marks.map(|(identity, place)| (identity.clone(), place.mark)).collect();
    let (messages, from_sources) = mpsc::channel::<Message>(MESSAGES_MAX);
    let intake = Intake::new(messages, positions, parse.reader(), Arc::clone(&clock));
    let control = intake.control();

    // Sinks first: what is read must have somewhere to go.
    let end = stop.child_token();
    let has_sinks = !sinks.is_empty();
    let mut output = Output::start(sinks, &metrics, &clock, &notice, &end);
    let senders = std::mem::take(&mut output.senders);

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
    let crate::source::Started { threads, groups, listeners } = prepared.spawn(options, intake, &end)?;
    let split_keys = (!groups.is_empty()).then(Arc::<SplitKeys>::default);

    let (expect, expected) = mpsc::channel::<(u64, Commits)>(64);
    let keys = split_keys.clone();
    let first = std::sync::Mutex::new(Some(first));
    let engine = move |delivered_through| {
        let made = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let chain = made.map_or_else(&chain, Ok)?;
        Ok(Engine::new(Arc::clone(&parse), fields.clone(), chain, time, delivered_through)
            .with_split_keys(keys.clone()))
    };
    let braid = Braid::new(braid::Setup {
        engine: Box::new(engine),
        time,
        sources_shared: threads.len() + listeners.len(),
        sources: threads.len() + listeners.len() + groups.len(),
        control: control.clone(),
        senders,
        expect,
        start,
        exactly_once,
        groups: groups.iter().map(|group| Arc::clone(&group.status)).collect(),
        listeners: listeners.iter().map(|listener| Arc::clone(&listener.status)).collect(),
        split_keys,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        notice,
        commit_every: COMMIT_EVERY,
    })?;
    let braiding = std::thread::Builder::new()
        .name("braid".to_owned())
        .spawn(move || braid.run(from_workers))
        .map_err(system("the braid thread"))?;

    let sources = Sources { groups: &groups, listeners: &listeners };
    let done = output.keep_books(expected, checkpoint.as_ref(), &end, &control, &sources, &metrics).await;
    let mut joining = tokio::task::spawn_blocking(move || braiding.join());
    let joined = if has_sinks {
        control.stop();
        joining.await
    } else {
        // No sink tells when all is done: an index is filled, and the input's end or the caller's word ends it.
        tokio::select! {
            joined = &mut joining => joined,
            () = end.cancelled() => {
                control.stop();
                joining.await
            }
        }
    };
    for listener in listeners {
        listener.close().await;
    }
    // Members of groups store their last commits and leave; it takes `drain_timeout` at most.
    let left = tokio::task::spawn_blocking(move || {
        for group in groups {
            let _ended = group.thread.join();
        }
    });
    let _left = left.await;
    let mut report = joined.ok().and_then(Result::ok).unwrap_or_default();
    report.output_closed = output.closed;
    // Reader threads end by themselves; one that waits in a read of a terminal or pipe is left to the process's end.
    drop(threads);
    if let Some(error) = report.ended.take() {
        return Err(error);
    }
    done?;
    match output.failure {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// The sinks at work, and the ledger: it hears of flushes and lets commits out until the sinks are done.
struct Output {
    ledger: Ledger,
    senders: Vec<queue::Sender>,
    acks: mpsc::Receiver<Flushed>,
    tasks: tokio::task::JoinSet<(usize, Result<(), Ended>)>,
    /// Which sinks store positions with their records.
    with_offsets: Vec<bool>,
    others: watch::Sender<Others>,
    failure: Option<RunError>,
    closed: bool,
}

impl Output {
    fn start(
        sinks: Vec<SinkPlan>,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
        notice: &Notice,
        end: &CancellationToken,
    ) -> Self {
        let (flushed, acks) = mpsc::channel::<Flushed>(64);
        let with_offsets: Vec<bool> = sinks.iter().map(|plan| plan.sink.commits_offsets()).collect();
        let ledger = Ledger::new(sinks.len());
        let through = ledger.through(|sink| !with_offsets.get(sink).is_some_and(|with| *with));
        let (others, heard) = watch::channel(Others { flushed: through, well: true });
        let mut senders = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for (number, plan) in sinks.into_iter().enumerate() {
            let (sender, receiver) = queue::queue();
            senders.push(sender);
            let task = SinkTask {
                number,
                plan,
                flushed: flushed.clone(),
                metrics: Arc::clone(metrics),
                clock: Arc::clone(clock),
                notice: Arc::clone(notice),
                end: end.clone(),
                others: heard.clone(),
            };
            tasks.spawn(async move { (number, task.run(receiver).await) });
        }
        Self { ledger, senders, acks, tasks, with_offsets, others, failure: None, closed: false }
    }

    /// Runs until every sink is done.
    async fn keep_books(
        &mut self,
        mut expected: mpsc::Receiver<(u64, Commits)>,
        checkpoint: Option<&PathBuf>,
        end: &CancellationToken,
        control: &Control,
        sources: &Sources<'_>,
        metrics: &Metrics,
    ) -> Result<(), RunError> {
        let mut asked = false;
        let mut health = tokio::time::interval(HEALTH_EVERY);
        loop {
            tokio::select! {
                Some((number, commits)) = expected.recv() => self.ledger.expect(number, commits),
                ack = self.acks.recv() => match ack {
                    Some(Flushed { sink, number }) => self.flushed(sink, number),
                    None => break,
                },
                () = end.cancelled(), if !asked => {
                    asked = true;
                    control.stop();
                }
                Some(ended) = self.tasks.join_next() => self.ended(ended, end),
                _ = health.tick(), if !sources.is_empty() => sources.look_at(metrics),
            }
            store_due(&mut self.ledger, checkpoint, sources.listeners).await?;
        }
        while let Ok((number, commits)) = expected.try_recv() {
            self.ledger.expect(number, commits);
        }
        store_due(&mut self.ledger, checkpoint, sources.listeners).await?;
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended, end);
        }
        // What no sink has flushed is forgotten, and with it the way back to its source.
        self.ledger = Ledger::new(0);
        Ok(())
    }

    fn flushed(&mut self, sink: usize, number: u64) {
        self.ledger.flushed(sink, number);
        let with_offsets = &self.with_offsets;
        let through = self.ledger.through(|sink| !with_offsets.get(sink).is_some_and(|with| *with));
        self.others.send_if_modified(|others| {
            let moved = others.flushed != through;
            others.flushed = through;
            moved
        });
    }

    fn ended(
        &mut self,
        ended: Result<(usize, Result<(), Ended>), tokio::task::JoinError>,
        end: &CancellationToken,
    ) {
        match ended {
            Ok((_, Ok(()))) => return,
            Ok((_, Err(Ended::Closed))) => self.closed = true,
            Ok((_, Err(Ended::Failed { sink, why }))) => {
                self.failure.get_or_insert(RunError::Sink { sink, why });
            }
            Err(error) => {
                self.failure.get_or_insert(RunError::Sink { sink: "?".to_owned(), why: error.to_string() });
            }
        }
        self.others.send_modify(|others| others.well = false);
        end.cancel();
    }
}

/// Sources whose health is looked at.
struct Sources<'a> {
    groups: &'a [Running],
    listeners: &'a [receive::Running],
}

impl Sources<'_> {
    const fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.listeners.is_empty()
    }

    /// Says in the health what keeps sources from working.
    fn look_at(&self, metrics: &Metrics) {
        let groups = self.groups.iter().enumerate().map(|(number, group)| {
            let one = self.groups.len() == 1;
            let name = if one { "source kafka".to_owned() } else { format!("source kafka {number}") };
            (name, group.status.trouble())
        });
        let listeners = self
            .listeners
            .iter()
            .map(|listener| (format!("source {}", listener.status.name()), listener.status.trouble()));
        for (name, trouble) in groups.chain(listeners) {
            metrics.health(|health| match trouble {
                Some(why) => {
                    health.troubles.insert(name, why);
                }
                None => {
                    health.troubles.remove(&name);
                }
            });
        }
    }
}

/// Stores what is due, and tells the logs of listeners what is needed no more.
async fn store_due(
    ledger: &mut Ledger,
    path: Option<&PathBuf>,
    listeners: &[receive::Running],
) -> Result<(), RunError> {
    let Some(mut checkpoint) = ledger.due().and_then(Commits::keep) else { return Ok(()) };
    let Some(path) = path.cloned() else { return Ok(()) };
    let store = move || checkpoint.store(&path).map(|()| checkpoint);
    if let Ok(stored) = tokio::task::spawn_blocking(store).await {
        let stored = stored?;
        for listener in listeners {
            listener.stored(&stored);
        }
    }
    Ok(())
}

/// The time that has passed since `then`.
fn since(clock: &Arc<dyn Clock>, then: Span) -> Span {
    Span::from_nanos(clock.uptime().nanos() - then.nanos())
}
