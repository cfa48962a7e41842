//! Inputs of its own: a run with a window, whose findings go to a board.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_core::Span;
use logbraid_query::Formats;
use logbraid_runtime::clock::{Clock, HostClock};
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::{MakeChain, Notice, RunPlan, SinkPlan};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::TopArgs;
use super::feed::{Asked, Feed, Told};
use crate::ask::{Live, Readers};
use crate::board::{Board, BoardSink};
use crate::cli::run::{self, Found, NOTHING_TO_READ};
use crate::cli::{Fault, Terminal};
use crate::config::{self, Config, OperatorStep};
use crate::plan::{self, Braids};
use crate::problem::{Place, Problem};
use crate::registry::Registry;
use crate::web::Web;

/// Parts of chains that are kept beyond their end.
type Parts = Arc<Mutex<Vec<Arc<dyn Any + Send + Sync>>>>;

/// Starts reading, and telling what is found. What it gives back says how the run ended.
pub(super) fn start(
    args: &TopArgs,
    terminal: &Terminal,
    runtime: &Runtime,
    told: mpsc::Sender<Told>,
    asked: mpsc::Receiver<Asked>,
    stop: &CancellationToken,
) -> Result<oneshot::Receiver<Result<(), Fault>>, Fault> {
    let config = configuration(args)?;
    let found = run::find_inputs(&args.inputs, true, None, &config, terminal)?;
    let Some(Found { inputs, groups, .. }) = found else {
        return Err(Problem::new("usage", NOTHING_TO_READ).help("usage: `logbraid top INPUT...`").into());
    };
    if !groups.is_empty() {
        return Err(Problem::new(
            "usage",
            "'top' joins no consumer group: it would take partitions from the others",
        )
        .help("look at an instance that runs, `logbraid top http://127.0.0.1:9600`")
        .into());
    }
    let failure = |error: std::io::Error| Fault::Failure(format!("the system refused to start: {error}"));
    let clock: Arc<dyn Clock> = Arc::new(HostClock::default());
    let metrics = Arc::new(Metrics::default());
    let board = Arc::new(Board::default());
    let readers = Readers::default();
    let Braids { parse, fields, chain } =
        plan::braids(&config, None, false).map_err(|error| Fault::Failure(error.to_string()))?;
    let parts = Parts::default();
    let sink = SinkPlan { sink: Box::new(BoardSink(Arc::clone(&board))), take: BoardSink::TAKE.to_vec() };
    let said = told.clone();
    let notice: Notice = Arc::new(move |_, text: &str| {
        // A screen that is busy shows the next one.
        let _ = said.try_send(Told::Notice(text.to_owned()));
    });
    let plan = RunPlan {
        inputs,
        groups: Vec::new(),
        listeners: logbraid_runtime::source::receive::Plan::default(),
        follow: true,
        parse,
        fields,
        time: config.time,
        chain: kept(readers.of(chain), Arc::clone(&parts)),
        sinks: vec![sink],
        checkpoint: None,
        workers: 0,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        notice,
    };
    let formats = Formats { file: None, custom: config.parse.custom.clone() };
    let live = Live::new(readers, Arc::clone(&clock), formats).map_err(failure)?;
    let feed = Feed::Local { live: Arc::new(live), web: Web { board, metrics, clock } };
    let (end, ended) = oneshot::channel();
    let stopped = stop.clone();
    runtime.spawn(async move {
        let report = logbraid_runtime::run::run(plan, stopped).await;
        // Nobody waits for it any more when the process ends.
        let _ = end.send(report.map(drop).map_err(run::run_error));
    });
    let stopped = stop.clone();
    runtime.spawn(async move {
        feed.serve(told, asked, stopped).await;
        // The window can be asked until the screen goes, also when a pipe has ended.
        drop(parts);
    });
    Ok(ended)
}

/// Keeps the indexes of the chains that `make` makes.
fn kept(make: MakeChain, parts: Parts) -> MakeChain {
    Box::new(move || {
        let chain = make()?;
        let shared = chain.shared().into_iter().map(|(_, shared)| shared);
        parts.lock().unwrap_or_else(PoisonError::into_inner).extend(shared);
        Ok(chain)
    })
}

/// The configuration, with a window.
fn configuration(args: &TopArgs) -> Result<Config, Fault> {
    let registry = crate::registry();
    let mut config = if let Some(path) = &args.config {
        config::load(path, &registry)?
    } else {
        let mut config = config::built_in(&registry)?;
        config.time.max_delay = Span::from_millis(500);
        config.time.idle_after = Span::from_seconds(1);
        config
    };
    if let Some(format) = &args.format {
        config.parse.formats.clone_from(format);
        config.parse.compile().map_err(|error| run::option_error("--format", &error))?;
    }
    let index = Registry::ALL.operators.iter().find(|spec| spec.name == "index");
    if let Some(spec) = index
        && !config.operators.iter().any(|step| step.spec.name == spec.name)
    {
        // Entries get their attributed ids from `thread`; groups begin after it.
        let place =
            config.operators.iter().position(|step| step.spec.name == "thread").map_or(0, |at| at + 1);
        let settings = json!({ "span": "1h", "memory": args.memory });
        config.operators.insert(place, OperatorStep { spec, settings, place: Place::default() });
    }
    Ok(config)
}
