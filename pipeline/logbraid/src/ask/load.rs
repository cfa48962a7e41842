//! From inputs to a window: the daemon's chain, run until the input ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use logbraid_core::component::{ConfigError, Context};
use logbraid_core::{ByteSize, Chain, Fields, Operator};
use logbraid_index::View;
use logbraid_operators::index::Index;
use logbraid_query::{Formats, Window};
use logbraid_runtime::clock::{Clock, HostClock};
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::{MakeChain, Notice, RunPlan, SinkPlan};
use logbraid_runtime::source::inputs::Input;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, BoardSink};
use crate::cli::args::Colour;
use crate::cli::run::{self, Found, NOTHING_TO_READ, Progress};
use crate::cli::{Fault, Terminal, tell};
use crate::config::{self, Config};
use crate::library::Configured;
use crate::plan::Braids;
use crate::problem::Problem;
use crate::registry::Registry;
use crate::render::text::escaped;

/// What to read, and how.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Inputs as the user wrote them; none for those of the configuration, or stdin.
    pub(crate) inputs: Vec<String>,
    /// False when nothing need be read.
    pub(crate) needs_entries: bool,
    /// The configuration whose `parse` and `time` count.
    pub(crate) config: Configured,
    /// The format of all inputs.
    pub(crate) format: Option<String>,
    /// Most memory for the index.
    pub(crate) memory: ByteSize,
    /// No notices, no progress.
    pub(crate) quiet: bool,
    /// Colours of notices.
    pub(crate) colour: Colour,
    /// The command, for messages.
    pub(crate) usage: &'static str,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The window.
    pub(crate) window: Window,
    /// False when an input was lost on the way.
    pub(crate) complete: bool,
}

/// Reads everything.
pub(crate) fn read(read: &Read, terminal: &Terminal) -> Result<Loaded, Fault> {
    let config = configuration(&read.config, read.format.as_deref())?;
    let file = match &read.config {
        Configured::File(path) => Some(path.display().to_string()),
        Configured::BuiltIn | Configured::Text(_) => None,
    };
    let formats = Arc::new(Formats { file, custom: config.parse.custom.clone() });
    let clock = HostClock::default();
    if !read.needs_entries {
        let window = Window::new(Arc::new(View::of_nothing()), clock.now(), false);
        return Ok(Loaded { window: window.with_formats(formats), complete: true });
    }
    let found = run::find_inputs(&read.inputs, false, None, &config, terminal)?;
    let Some(Found { inputs, notices, .. }) = found else {
        let help = format!("usage: `logbraid {0} [OPTIONS] INPUT...`; see `logbraid {0} --help`", read.usage);
        return Err(Problem::new("usage", NOTHING_TO_READ).help(help).into());
    };
    let style = terminal.style(read.colour, terminal.stderr);
    let (quiet, complete) = (read.quiet, Arc::new(AtomicBool::new(true)));
    let told = Arc::clone(&complete);
    let notice: Notice = Arc::new(move |lost: bool, text: &str| {
        if lost {
            told.store(false, Ordering::Relaxed);
            tell(&format!("{} {}\n", style.error("error:"), escaped(text, true)));
        } else if !quiet {
            tell(&format!("{} {}\n", style.note("note:"), escaped(text, true)));
        }
    });
    for text in &notices {
        notice(false, text);
    }
    let metrics = Arc::new(Metrics::default());
    let progress = (terminal.stderr && !read.quiet)
        .then(|| Progress { metrics: Arc::clone(&metrics), bytes_total: run::total_bytes(&inputs) });
    let view = view(inputs, &config, read.memory.as_usize(), metrics, Arc::clone(&notice), progress)?;
    let now = if view.newest().is_known() { view.newest() } else { clock.now() };
    let window = Window::new(view, now, false).with_formats(formats);
    if let Some(from) = window.complete_from() {
        notice(
            false,
            &format!(
                "entries before {from} did not fit into --memory {} and are not in the answer",
                read.memory
            ),
        );
    }
    Ok(Loaded { window, complete: complete.load(Ordering::Relaxed) })
}

/// Runs the chain of questions over `inputs` until they end.
fn view(
    inputs: Vec<Input>,
    config: &Config,
    memory_bytes: usize,
    metrics: Arc<Metrics>,
    notice: Notice,
    progress: Option<Progress>,
) -> Result<Arc<View>, Fault> {
    let wrong = |error: ConfigError| Fault::Failure(error.to_string());
    let mut fields = Fields::default();
    let index = Index::batch(memory_bytes);
    let reader = index.reader();
    let stages = vec![thread(config, &mut fields).map_err(wrong)?, Box::new(index) as Box<dyn Operator>];
    let braid = Braids {
        parse: Arc::new(config.parse.compile().map_err(wrong)?),
        fields,
        chain: once(Chain::new(stages, false, config.merge)),
    };
    let plan = RunPlan { metrics, notice, ..plan(inputs, config, braid, Vec::new()) };
    to_the_end(plan, progress)?;
    Ok(reader.view())
}

/// What a run over `read` finds: its findings and requests, by the operators of its configuration.
pub(crate) fn board(read: &Read, terminal: &Terminal) -> Result<Arc<Board>, Fault> {
    let config = configuration(&read.config, read.format.as_deref())?;
    let found = run::find_inputs(&read.inputs, false, None, &config, terminal)?.unwrap_or_default();
    let board = Arc::new(Board::default());
    let sink = SinkPlan { sink: Box::new(BoardSink(Arc::clone(&board))), take: BoardSink::TAKE.to_vec() };
    let wrong = |error: ConfigError| Fault::Failure(error.to_string());
    let braid = crate::plan::braids(&config, None, false).map_err(wrong)?;
    // The window's reading has told of what is lost already.
    let quiet: Notice = Arc::new(|_, _| ());
    let plan = RunPlan { notice: quiet, ..plan(found.inputs, &config, braid, vec![sink]) };
    to_the_end(plan, None)?;
    Ok(board)
}

/// The configuration that counts, with `format` instead of its own where there is one.
pub(crate) fn configuration(configured: &Configured, format: Option<&str>) -> Result<Config, Fault> {
    let registry = crate::registry();
    let mut config = match configured {
        Configured::File(path) => config::load(path, &registry)?,
        Configured::BuiltIn => config::built_in(&registry)?,
        Configured::Text(text) => {
            config::parse("settings", text, &registry, &|name| std::env::var(name).ok())?
        }
    };
    if let Some(format) = format {
        format.clone_into(&mut config.parse.formats);
        config.parse.compile().map_err(|error| run::option_error("--format", &error))?;
    }
    Ok(config)
}

/// A run over `inputs` that keeps no positions and tells nothing.
pub(crate) fn plan(inputs: Vec<Input>, config: &Config, braid: Braids, sinks: Vec<SinkPlan>) -> RunPlan {
    let Braids { parse, fields, chain } = braid;
    RunPlan {
        inputs,
        groups: Vec::new(),
        listeners: logbraid_runtime::source::receive::Plan::default(),
        follow: false,
        parse,
        fields,
        time: config.time,
        chain,
        sinks,
        checkpoint: None,
        workers: 0,
        clock: Arc::new(HostClock::default()),
        metrics: Arc::default(),
        notice: Arc::new(|_, _| ()),
    }
}

/// Runs `plan` until its inputs end.
fn to_the_end(plan: RunPlan, progress: Option<Progress>) -> Result<(), Fault> {
    let failure = |error: std::io::Error| Fault::Failure(format!("the system refused to start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failure)?;
    let ran = runtime.block_on(async {
        let run = logbraid_runtime::run::run(plan, CancellationToken::new());
        tokio::pin!(run);
        tokio::select! {
            report = &mut run => report,
            () = shown(progress) => run.await,
        }
    });
    runtime.shutdown_background();
    ran.map_err(run::run_error).map(drop)
}

/// A chain for inputs that share one, as all do but the topics of a group.
pub(super) fn once(chain: Chain) -> MakeChain {
    let chain = std::sync::Mutex::new(Some(chain));
    Box::new(move || {
        let made = chain.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        made.ok_or_else(|| ConfigError::new("", "one chain serves all inputs of a question"))
    })
}

/// Shows progress for as long as it is polled; without any, never ends.
async fn shown(progress: Option<Progress>) {
    match progress {
        Some(progress) => run::show(Some(progress)).await,
        None => std::future::pending().await,
    }
}

/// The `thread` of the configuration, or of the built-in one.
pub(super) fn thread(config: &Config, fields: &mut Fields) -> Result<Box<dyn Operator>, ConfigError> {
    let name = "thread";
    let spec = Registry::ALL.operators.iter().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| ConfigError::new("", "there is no operator `thread`"))?;
    let step = config.operators.iter().find(|step| step.spec.name == name);
    let settings = step.map_or(Value::Null, |step| step.settings.clone());
    (spec.build)(
        &settings,
        &mut Context {
            fields,
            time: config.time,
            carry: config.carry(),
            originals: false,
            read: crate::registry::read_file,
        },
    )
}
