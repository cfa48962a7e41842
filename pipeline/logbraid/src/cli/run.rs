//! `logbraid run`: from options and a configuration to a plan, the run itself, and its status.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_core::component::ConfigError;
use logbraid_core::{EventTime, RecordKind, Span};
use logbraid_query::Formats;
use logbraid_runtime::clock::{Clock, HostClock};
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::{Report, RunError, RunPlan, SinkPlan};
use logbraid_runtime::source::inputs::{self, Input, InputError, InputKind};
use logbraid_runtime::source::kafka;
use logbraid_runtime::source::receive::Plan;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::{Colour, ReadArgs, RunArgs, When, WriteArgs};
use super::{Fault, Status, Terminal, tell, times};
use crate::board::{Board, BoardSink};
use crate::config::{self, Config, SourceConfig, TAKE};
use crate::plan;
use crate::problem::Problem;
use crate::render::View;
use crate::render::progress::{Bar, INTERVAL, Standing};
use crate::render::sink::{Output, Tally, Writer};
use crate::render::text::escaped;
use crate::web::Web;

pub(super) fn run(args: RunArgs, terminal: &Terminal) -> Result<Status, Fault> {
    let registry = crate::registry();
    let mut config = match &args.config {
        Some(path) => config::load(path, &registry)?,
        None => config::built_in(&registry)?,
    };
    loop {
        match run_once(&args, config, terminal, Own::default())? {
            Outcome::Done(status) => return Ok(status),
            Outcome::Reload(next) => config = *next,
        }
    }
}

/// What a command that runs brings along.
#[derive(Default)]
pub(super) struct Own {
    /// Where records go, instead of where options and configuration say; then no summary is told, either.
    pub(super) sinks: Option<Vec<SinkPlan>>,
    /// What the run knows of itself.
    pub(super) metrics: Arc<Metrics>,
}

/// How a run with one configuration ended.
pub(super) enum Outcome {
    Done(Status),
    /// It stopped to go on with another configuration; what was open is read again.
    Reload(Box<Config>),
}

pub(super) fn run_once(
    args: &RunArgs,
    mut config: Config,
    terminal: &Terminal,
    own: Own,
) -> Result<Outcome, Fault> {
    let clock: Arc<dyn Clock> = Arc::new(HostClock::default());
    if let Some(format) = &args.read.format {
        config.parse.formats.clone_from(format);
        config.parse.compile().map_err(|error| option_error("--format", &error))?;
    }
    let service = args.read.service.as_deref();
    let found = find_inputs(&args.inputs, args.read.follow, service, &config, terminal)?;
    let Some(Found { inputs, groups, listeners, follow, notices }) = found else {
        let help = "usage: `logbraid [run] [OPTIONS] [INPUT]...`; `logbraid --help` has examples";
        return Err(Problem::new("usage", NOTHING_TO_READ).help(help).into());
    };
    let follows = follow || !groups.is_empty() || listeners;
    let filter = filter(&args.read, &inputs, follows, &config, clock.as_ref())?;

    let notify = !args.write.quiet;
    let style = terminal.style(args.write.color, terminal.stderr);
    let notice: logbraid_runtime::run::Notice = Arc::new(move |lost: bool, text: &str| {
        if lost {
            tell(&format!("{} {}\n", style.error("error:"), escaped(text, true)));
        } else if notify {
            tell(&format!("{} {}\n", style.note("note:"), escaped(text, true)));
        }
    });
    for text in &notices {
        notice(false, text);
    }

    let Own { sinks, metrics } = own;
    let tally = Tally::default();
    let totals = tally.totals();
    let summary = terminal.stderr && notify && sinks.is_none();
    let progressive = terminal.stderr && notify;
    let mut sinks = match sinks {
        Some(sinks) => sinks,
        None => build_sinks(&config, &args.write, terminal, &clock)?,
    };
    if groups.is_empty() && sinks.iter().any(|plan| plan.sink.commits_offsets()) {
        let message = "a sink with 'delivery: exactly_once' cannot write what comes from these inputs";
        let help = "it needs the source 'kafka' of the configuration: leave out the INPUTs, or write 'at_least_once'";
        return Err(Problem::new("usage", message).help(help).into());
    }
    if summary {
        sinks.push(SinkPlan { sink: Box::new(tally), take: Tally::TAKE.to_vec() });
    }
    let board = config.admin.is_some().then(|| {
        let board = Arc::new(Board::default());
        let sink = BoardSink(Arc::clone(&board));
        sinks.push(SinkPlan { sink: Box::new(sink), take: BoardSink::TAKE.to_vec() });
        board
    });
    let braid = plan::braids(&config, filter.as_ref(), plan::wants_entries(&sinks))
        .map_err(|error| Fault::Failure(error.to_string()))?;
    let window = crate::ask::Readers::default();
    let bytes_total = if follows { None } else { total_bytes(&inputs) };
    let checkpoint = checkpoint(args, &config, follow, listeners)?;
    let listeners =
        if listeners { config.listeners(&|name| std::env::var(name).ok()) } else { Plan::default() };
    let reload = args.config.as_ref().map(|path| Reload {
        path: path.clone(),
        // Without positions to resume from, a new chain would begin in the middle of requests.
        resumes: checkpoint.is_some() || (inputs.is_empty() && !groups.is_empty()),
        notice: Arc::clone(&notice),
        next: Mutex::new(None),
    });
    let plan = RunPlan {
        inputs,
        groups,
        listeners,
        follow,
        parse: braid.parse,
        fields: braid.fields,
        time: config.time,
        chain: window.of(braid.chain),
        sinks,
        checkpoint,
        workers: 0,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        notice,
    };
    let began = clock.uptime();
    let progress = (progressive && args.write.progress == When::Auto && !terminal.stdout)
        .then(|| Progress { metrics: Arc::clone(&metrics), bytes_total });
    let report = execute(plan, &config, &metrics, Shown { window, board }, progress, reload.as_ref())?;
    if let Some(next) =
        reload.and_then(|reload| reload.next.into_inner().unwrap_or_else(PoisonError::into_inner))
    {
        return Ok(Outcome::Reload(next));
    }

    if summary && !report.output_closed {
        let mut totals = *totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.lines = metrics.live.events.load(Ordering::Relaxed);
        totals.bytes = metrics.live.bytes.load(Ordering::Relaxed);
        totals.ungrouped = report
            .counters
            .iter()
            .filter(|(name, _)| name.contains("ungrouped"))
            .map(|(_, count)| count)
            .sum();
        let took = Span::from_nanos(clock.uptime().nanos() - began.nanos());
        tell(&totals.summary(took, style));
    }
    if !report.lost_inputs.is_empty() {
        return Ok(Outcome::Done(Status::Failure));
    }
    let hit = args.write.fail_on.is_some_and(|limit| report.worst.is_some_and(|worst| worst >= limit));
    Ok(Outcome::Done(if hit { Status::Found } else { Status::Done }))
}

/// Where positions are kept: for sources that are sent to, and for the files of a configuration where it says so or where
/// they are followed. A command
/// over files begins at the beginning.
fn checkpoint(
    args: &RunArgs,
    config: &Config,
    follow: bool,
    listeners: bool,
) -> Result<Option<PathBuf>, Fault> {
    let files = config.sources.iter().any(|source| matches!(source, SourceConfig::Files(_)));
    let kept = listeners || (files && (follow || config.checkpoint.is_some()));
    if !args.inputs.is_empty() || !kept {
        return Ok(None);
    }
    let path = config.checkpoint_path(&|name| std::env::var(name).ok());
    if let Some(folder) = path.as_deref().and_then(std::path::Path::parent) {
        std::fs::create_dir_all(folder).map_err(|error| {
            Fault::Failure(format!("cannot make the folder '{}': {error}", folder.display()))
        })?;
    }
    Ok(path)
}

/// What the admin endpoint shows of a run.
struct Shown {
    window: crate::ask::Readers,
    /// None without an endpoint.
    board: Option<Arc<Board>>,
}

/// Runs the plan until it ends or somebody asks it to; a second signal ends the process at once.
fn execute(
    plan: RunPlan,
    config: &Config,
    metrics: &Arc<Metrics>,
    shown: Shown,
    progress: Option<Progress>,
    reload: Option<&Reload>,
) -> Result<Report, Fault> {
    let runtime = runtime(2)?;
    let stop = CancellationToken::new();
    let stays = plan.follow || !plan.groups.is_empty() || !plan.listeners.listeners.is_empty();
    let report = runtime.block_on(async {
        let signals = signals(stop.clone()).map_err(refused)?;
        let hangups = hangups(stop.clone(), reload).map_err(refused)?;
        let admin = serve_admin(config, metrics, shown, &plan, &stop).await?;
        let run = logbraid_runtime::run::run(plan, stop.clone());
        tokio::pin!(run);
        let mut helpers = std::pin::pin!(async {
            tokio::join!(signals, hangups, admin, show(progress), settle(stays));
        });
        tokio::select! {
            report = &mut run => report.map_err(run_error),
            () = &mut helpers => run.await.map_err(run_error),
        }
    });
    stop.cancel();
    // A reader that waits for a terminal or a pipe is left to the process's end.
    runtime.shutdown_background();
    report
}

/// How long a run takes to have started, generously.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(1);

/// What only starting needed is handed back, if the run is here to stay.
async fn settle(stays: bool) {
    if stays {
        tokio::time::sleep(SETTLED).await;
        logbraid_runtime::resident::release_startup_code();
    }
}

/// How often the configuration file is looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// A configuration that can be read again while it runs.
struct Reload {
    path: PathBuf,
    /// True when the run can go on from where it was.
    resumes: bool,
    notice: logbraid_runtime::run::Notice,
    /// The configuration to go on with.
    next: Mutex<Option<Box<Config>>>,
}

impl Reload {
    /// Reads the file again. True when it is valid and the run should go on with it; else says why not.
    fn accept(&self) -> bool {
        let path = self.path.display();
        match config::load(&self.path, &crate::registry()) {
            Ok(_) if !self.resumes => {
                let why = "its inputs have no positions to resume from; restart logbraid to use it";
                (self.notice)(false, &format!("{path} has changed and stays unused: {why}"));
                false
            }
            Ok(config) => {
                (self.notice)(false, &format!("{path} is used from now on"));
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(config));
                true
            }
            Err(problems) => {
                let text = problems.to_string();
                let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                (self.notice)(false, &format!("the old configuration stays in use: {first}"));
                false
            }
        }
    }

    fn changed(&self) -> Option<std::time::SystemTime> {
        std::fs::metadata(&self.path).and_then(|file| file.modified()).ok()
    }
}

/// Reads the configuration again at SIGHUP, and when its file has changed.
fn hangups(stop: CancellationToken, reload: Option<&Reload>) -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let Some(reload) = reload else {
            // Without a configuration there is nothing to read again; a closed terminal ends the run as ever.
            hangup.recv().await;
            return stop.cancel();
        };
        let mut seen = reload.changed();
        loop {
            tokio::select! {
                _ = hangup.recv() => seen = reload.changed(),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = reload.changed();
                    if now.is_none() || now == seen {
                        continue;
                    }
                    seen = now;
                }
            }
            if reload.accept() {
                return stop.cancel();
            }
        }
    })
}

/// Threads for tasks, and what keeps their time.
pub(crate) fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(refused)
}

/// What is told when the system refuses threads, signals and the like.
pub(crate) fn refused(error: std::io::Error) -> Fault {
    Fault::Failure(format!("the system refused to start: {error}"))
}

pub(crate) fn run_error(error: RunError) -> Fault {
    match error {
        // A checkpoint that cannot be understood is the caller's to remove.
        RunError::Checkpoint(error @ logbraid_runtime::checkpoint::CheckpointError::Corrupt { .. }) => {
            Problem::new("checkpoint", error.to_string().replace('`', "'")).into()
        }
        RunError::Start { message, help } => {
            Problem::new("start", message.replace('`', "'")).maybe_help(help).into()
        }
        error => Fault::Failure(error.to_string().replace('`', "'")),
    }
}

pub(crate) fn signals(stop: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        for asked in 1.. {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            stop.cancel();
            if asked > 1 {
                // What was asked for twice is not waited for.
                std::process::exit(130);
            }
        }
    })
}

async fn serve_admin(
    config: &Config,
    metrics: &Arc<Metrics>,
    Shown { window, board }: Shown,
    plan: &RunPlan,
    stop: &CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, Fault> {
    let clock = &plan.clock;
    let serve = match &config.admin {
        None => None,
        Some(admin) => {
            let formats = Formats { file: Some(config.file.clone()), custom: config.parse.custom.clone() };
            let questions = crate::ask::Live::new(window, Arc::clone(clock), formats)
                .map_err(|error| Fault::Failure(format!("the system refused to start: {error}")))?;
            let questions = Arc::new(questions);
            let web = Web {
                board: board.unwrap_or_default(),
                metrics: Arc::clone(metrics),
                clock: Arc::clone(clock),
            };
            let endpoint = logbraid_runtime::admin::Admin {
                metrics: Arc::clone(metrics),
                config: config.to_yaml().into(),
                token: admin.token.as_ref().map(|token| token.reveal().into()),
                questions: Some(Arc::clone(&questions) as _),
                doors: crate::ask::mcp::door(questions, Arc::clone(&web.board)).merge(web.doors()),
                pages: Web::pages(),
            };
            let served = endpoint.serve(admin.listen, stop.clone()).await;
            let (address, serve) = served.map_err(|error| {
                Problem::new("admin", error.to_string())
                    .help("is it running already? choose another port in `admin.listen`")
            })?;
            if admin.listen.port() == 0 {
                // The system has chosen the port, and nobody else knows it.
                (plan.notice)(false, &format!("admin: ready on http://{address}"));
            }
            Some(serve)
        }
    };
    Ok(async move {
        if let Some(serve) = serve {
            serve.await;
        }
    })
}

/// What the progress bar looks at.
pub(crate) struct Progress {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) bytes_total: Option<u64>,
}

impl Standing for Progress {
    fn bytes_read(&self) -> u64 {
        self.metrics.live.bytes.load(Ordering::Relaxed)
    }
    fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }
    fn lines(&self) -> u64 {
        self.metrics.live.events.load(Ordering::Relaxed)
    }
    fn findings(&self) -> u64 {
        self.metrics.live.findings.load(Ordering::Relaxed)
    }
}

pub(crate) async fn show(progress: Option<Progress>) {
    let Some(progress) = progress else { return };
    let mut bar = Bar::default();
    loop {
        tokio::time::sleep(INTERVAL.to_std()).await;
        bar.show(&progress);
    }
}

/// The bytes of all inputs, if they are plain files; compressed ones have no length that could be compared.
pub(crate) fn total_bytes(inputs: &[Input]) -> Option<u64> {
    let mut total = 0;
    for input in inputs {
        let InputKind::File { path } = &input.kind else { return None };
        if path.extension().is_some_and(|extension| extension == "gz" || extension == "zst") {
            return None;
        }
        total += std::fs::metadata(path).ok()?.len();
    }
    Some(total)
}

/// What is wrong when there is neither an input nor a stdin to read.
pub(crate) const NOTHING_TO_READ: &str = "nothing to read: there is no INPUT, and stdin is a terminal";

/// What is read.
#[derive(Default)]
pub(crate) struct Found {
    /// Files, pipes, stretches of topics.
    pub(crate) inputs: Vec<Input>,
    /// Topics that are read as a member of a group.
    pub(crate) groups: Vec<kafka::Config>,
    /// True when the configuration's listeners are opened.
    pub(crate) listeners: bool,
    /// True to wait for more at the end of files.
    pub(crate) follow: bool,
    /// What the user should know.
    pub(crate) notices: Vec<String>,
}

/// The inputs, whether they are followed, and notices: those of the command line, else those of the configuration, else
/// stdin. `None` when there are none and stdin is a terminal.
pub(crate) fn find_inputs(
    texts: &[String],
    follow: bool,
    service: Option<&str>,
    config: &Config,
    terminal: &Terminal,
) -> Result<Option<Found>, Fault> {
    let mut found = Found { follow, ..Found::default() };
    if !texts.is_empty() {
        found.add(texts, None)?;
    } else if !config.sources.is_empty() {
        found.follow |=
            config.sources.iter().any(|source| matches!(source, SourceConfig::Files(files) if files.follow));
        for source in &config.sources {
            match source {
                SourceConfig::Files(files) => found.add(&files.paths, files.service.as_deref())?,
                SourceConfig::Stdin(stdin) => found.add(&["-".to_owned()], stdin.service.as_deref())?,
                SourceConfig::Kafka(kafka) => found.groups.push((**kafka).clone()),
                SourceConfig::Listener(_) => found.listeners = true,
            }
        }
    } else if terminal.stdin {
        return Ok(None);
    } else {
        found.add(&["-".to_owned()], None)?;
    }
    if let Some(service) = service {
        for input in &mut found.inputs {
            input.label.get_or_insert_with(|| service.to_owned());
        }
        for group in &mut found.groups {
            group.service.get_or_insert_with(|| service.to_owned());
        }
    }
    Ok(Some(found))
}

impl Found {
    fn add(&mut self, texts: &[String], service: Option<&str>) -> Result<(), Problem> {
        let resolved = inputs::resolve(texts, self.follow).map_err(|InputError { message, help }| {
            Problem::new("input", message.replace('`', "'")).maybe_help(help)
        })?;
        self.notices.extend(resolved.notices);
        for mut input in resolved.inputs {
            if let Some(service) = service {
                input.label.get_or_insert_with(|| service.to_owned());
            }
            self.inputs.push(input);
        }
        Ok(())
    }
}

pub(crate) fn option_error(option: &str, error: &ConfigError) -> Problem {
    Problem::new("usage", format!("'{option}': {}", error.message.replace('`', "'")))
        .maybe_help(error.help.clone())
}

/// The settings of a `filter` before the chain, when entries are to be left out by their time.
fn filter(
    args: &ReadArgs,
    inputs: &[Input],
    follow: bool,
    config: &Config,
    clock: &dyn Clock,
) -> Result<Option<Value>, Fault> {
    let now = clock.now();
    let mut settings = json!({});
    let mut moments = Vec::new();
    for (option, name, text) in [("--after", "after", &args.after), ("--before", "before", &args.before)] {
        if let Some(text) = text {
            let moment = times::moment(option, text, now)?;
            settings[name] = json!(moment);
            moments.push(moment);
        }
    }
    if let [after, before] = moments[..]
        && after >= before
    {
        let problem = Problem::new("usage", "'--after' is not earlier than '--before'");
        return Err(problem.help("swap them").into());
    }
    if let Some(last) = args.last {
        let ends = |kind: &InputKind| matches!(kind, InputKind::File { .. } | InputKind::Sqlite { .. });
        let live = follow || !inputs.iter().all(|input| ends(&input.kind));
        let newest = if live { Some(now) } else { newest(inputs, config, now)? };
        if let Some(newest) = newest {
            settings["after"] = json!(newest - last);
        }
    }
    Ok(settings.as_object().is_some_and(|map| !map.is_empty()).then_some(settings))
}

/// The newest event time of files.
fn newest(inputs: &[Input], config: &Config, now: EventTime) -> Result<Option<EventTime>, Fault> {
    let parse = config.parse.compile().map_err(|error| Fault::Failure(error.to_string()))?;
    Ok(super::newest::newest(inputs, &Arc::new(parse), now))
}

/// Where records go: stdout as the options say, unless the configuration names sinks and `--emit` does not replace them.
fn build_sinks(
    config: &Config,
    args: &WriteArgs,
    terminal: &Terminal,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<SinkPlan>, Fault> {
    let view = View::new(terminal.width, terminal.style(args.color, terminal.stdout));
    let clock = Arc::clone(clock);
    let context = crate::registry::sink_context(Arc::new(move || clock.now()), view);
    if args.emit.is_none() && !config.sinks.is_empty() {
        return plan::sinks(config, &context).map_err(|error| Fault::Failure(error.to_string()));
    }
    let output = args.output.resolved(terminal.stdout);
    let default: &[RecordKind] = if output == Output::Raw { &[RecordKind::Entries] } else { &TAKE };
    let take = args.emit.clone().unwrap_or_else(|| default.to_vec());
    let budget = args.max_bytes.map(logbraid_core::ByteSize::bytes);
    let view = if args.color == Colour::Auto && !std::io::stdout().is_terminal() {
        View { style: crate::render::text::Style::PLAIN, ..view }
    } else {
        view
    };
    let stdout = crate::registry().sinks.iter().find(|spec| spec.name == "stdout");
    let sink = match (output, budget, stdout) {
        (Output::Ndjson | Output::Pretty, None, Some(spec)) => {
            let format = if output == Output::Pretty { "pretty" } else { "ndjson" };
            let settings = json!({ "format": format, "take": take });
            (spec.build)(&settings, &context).map_err(|error| Fault::Failure(error.to_string()))?
        }
        _ => Box::new(Writer::new(output, view, Box::new(std::io::stdout()), budget)),
    };
    Ok(vec![SinkPlan { sink, take }])
}
