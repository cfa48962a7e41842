//! `view -f` and `watch`: entries as they come, selected and drawn as a window's are.
//!
//! Files are read from their beginning, so that an entry is understood as in any other run; entries that stood there
//! before are told from new ones by their place. Waiting is shorter than a pipeline's: half a second for what is out of
//! order, one second for inputs that are silent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, FromArgMatches};
use futures::FutureExt;
use futures::future::BoxFuture;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::template::template_id;
use logbraid_core::{Chain, Event, Fields, KeyKind, Record, RecordKind, SourceRef, Span};
use logbraid_query::view::drawing::Drawing;
use logbraid_query::view::{Selected, View};
use logbraid_query::{Canvas, Entry, Select};
use logbraid_runtime::clock::{Clock, HostClock};
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::{Notice, RunPlan, SinkPlan};
use logbraid_runtime::source::inputs::{Input, InputKind};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::AskArgs;
use super::load;
use super::write::{Form, Shape};
use crate::cli::run::{self, NOTHING_TO_READ};
use crate::cli::{Fault, Status, Terminal, tell};
use crate::config;
use crate::problem::Problem;
use crate::render::text::escaped;

/// Everything has come when nothing came for so long: longer than entries wait for each other.
const SILENCE: Span = Span::from_millis(2000);
/// Old entries that are kept back until the new ones begin.
const KEPT_MAX: usize = 100_000;

/// Waits for entries that match, and shows them as they come.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub(crate) select: Select,
    /// Ends after N entries that match, with status 0.
    #[arg(long, value_name = "N", help_heading = "Rule")]
    pub(crate) times: Option<u64>,
    /// Looks at entries, too, that are there already.
    #[arg(long, help_heading = "Rule")]
    pub(crate) all: bool,
    /// Rings the terminal's bell with each entry that matches.
    #[arg(long, help_heading = "Writing")]
    pub(crate) bell: bool,
    /// Leaves out ids and fields, which stand below the message.
    #[arg(long, help_heading = "Writing")]
    pub(crate) plain: bool,
}

const EXAMPLES: &str = "\
Examples:
  logbraid watch /var/log/shop --level error+            print errors as they come
  logbraid watch app.log -q 'timed? out' --times 1       wait for it: status 0 as soon as it is there
  kubectl logs -f deploy/shop | logbraid watch - --level fatal --bell

Status: 0 something matched, or it was interrupted; 1 the input ended and nothing matched; 2 a mistake.";

/// The command `watch`.
pub(super) fn command() -> clap::Command {
    let command = clap::Command::new("watch").max_term_width(100);
    super::args::augment(WatchArgs::augment_args(command))
}

/// How entries that come are shown, and which.
struct Following {
    select: Select,
    /// How many of the entries that are there already are shown; all when absent.
    lines: Option<usize>,
    times: Option<u64>,
    plain: bool,
    bell: bool,
    usage: &'static str,
}

/// `logbraid view -f`.
pub(super) fn view(matches: &clap::ArgMatches, args: &AskArgs, terminal: &Terminal) -> Result<Status, Fault> {
    let view = View::from_arg_matches(matches).map_err(|error| Fault::Failure(error.to_string()))?;
    if view.context > 0 || view.before_context.is_some() || view.after_context.is_some() {
        return Err(Problem::new("usage", "'--follow' shows no neighbours")
            .help("leave `--context` out, or leave `--follow` out")
            .into());
    }
    let following = Following {
        select: view.selection(),
        lines: view.lines,
        times: None,
        plain: view.plain,
        bell: false,
        usage: "view -f",
    };
    follow(following, args, terminal)
}

/// `logbraid watch`.
pub(crate) fn watch(matches: &clap::ArgMatches, terminal: &Terminal) -> Result<Status, Fault> {
    let watch = WatchArgs::from_arg_matches(matches).map_err(|error| Fault::Failure(error.to_string()))?;
    let following = Following {
        select: watch.select,
        lines: (!watch.all).then_some(0),
        times: watch.times,
        plain: watch.plain,
        bell: watch.bell,
        usage: "watch",
    };
    follow(following, &AskArgs::read(matches), terminal)
}

fn follow(following: Following, args: &AskArgs, terminal: &Terminal) -> Result<Status, Fault> {
    if args.door.max_bytes.is_some() || args.door.after.is_some() || args.door.last.is_some() {
        let what = format!("'{}' has no end that could be cut", following.usage);
        return Err(Problem::new("usage", what)
            .help("leave `--max-bytes`, `--after` and `--last` out")
            .into());
    }
    if args.inputs.iter().any(|input| input.starts_with("http")) {
        let message = "the window of a running logbraid is not followed";
        return Err(Problem::new("input", message).help("follow its inputs, or ask it again").into());
    }
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
    let found = run::find_inputs(&args.inputs, true, None, &config, terminal)?;
    let Some(run::Found { inputs, notices, .. }) = found else {
        let help = format!("usage: `logbraid {} INPUT...`", following.usage);
        return Err(Problem::new("usage", NOTHING_TO_READ).help(help).into());
    };
    let style = terminal.style(args.color, terminal.stderr);
    let quiet = args.quiet;
    let notice: Notice = Arc::new(move |lost: bool, text: &str| {
        if lost {
            tell(&format!("{} {}\n", style.error("error:"), escaped(text, true)));
        } else if !quiet {
            tell(&format!("{} {}\n", style.note("note:"), escaped(text, true)));
        }
    });
    for text in &notices {
        notice(false, text);
    }
    let metrics = Arc::new(Metrics::default());
    let stop = CancellationToken::new();
    let found = Arc::new(AtomicU64::new(0));
    let sizes = sizes(&inputs);
    let clock: Arc<dyn Clock> = Arc::new(HostClock::default());
    let sink = Follow {
        selected: Selected::new(following.select.clone())?,
        raw: following.select.raw,
        drawing: Drawing::new(following.plain),
        shape: args.shape(terminal),
        bell: following.bell && terminal.stdout,
        kept: VecDeque::new(),
        lines: following.lines,
        times: following.times,
        bytes_total: sizes.values().sum(),
        ahead: sizes
            .iter()
            .filter(|(_, size)| **size > 0)
            .map(|(name, size)| (name.clone(), *size))
            .collect(),
        sizes,
        caught_up: false,
        last_at: clock.uptime(),
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        found: Arc::clone(&found),
        stop: stop.clone(),
        out: Vec::new(),
    };
    let wrong = |error: logbraid_core::component::ConfigError| Fault::Failure(error.to_string());
    let mut fields = Fields::default();
    let plan = RunPlan {
        inputs,
        groups: Vec::new(),
        listeners: logbraid_runtime::source::receive::Plan::default(),
        follow: true,
        parse: Arc::new(config.parse.compile().map_err(wrong)?),
        chain: load::once(Chain::new(
            vec![load::thread(&config, &mut fields).map_err(wrong)?],
            true,
            config.merge,
        )),
        fields,
        time: config.time,
        sinks: vec![SinkPlan { sink: Box::new(sink), take: vec![RecordKind::Entries] }],
        checkpoint: None,
        workers: 1,
        clock,
        metrics,
        notice,
    };
    let failure = |error: io::Error| Fault::Failure(format!("the system refused to start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failure)?;
    let report = runtime.block_on(async {
        let signals = run::signals(stop.clone()).map_err(failure)?;
        let run = logbraid_runtime::run::run(plan, stop.clone());
        tokio::pin!(run);
        tokio::select! {
            report = &mut run => report.map_err(run::run_error),
            () = signals => run.await.map_err(run::run_error),
        }
    });
    let interrupted = stop.is_cancelled();
    runtime.shutdown_background();
    let report = report?;
    Ok(if !report.lost_inputs.is_empty() {
        Status::Failure
    } else if found.load(Ordering::Relaxed) > 0 || interrupted || report.output_closed {
        Status::Done
    } else {
        Status::NOTHING
    })
}

/// How long files are now: what stands before that is old.
fn sizes(inputs: &[Input]) -> BTreeMap<String, u64> {
    let length = |input: &Input| match &input.kind {
        InputKind::File { path } => std::fs::metadata(path).ok().map(|file| (input.name.clone(), file.len())),
        _ => None,
    };
    inputs.iter().filter_map(length).collect()
}

/// Shows entries that match.
struct Follow {
    selected: Selected,
    raw: bool,
    drawing: Drawing,
    shape: Shape,
    bell: bool,
    /// The last old entries that match, until the new ones begin.
    kept: VecDeque<Entry>,
    lines: Option<usize>,
    times: Option<u64>,
    /// Lengths of files when it began.
    sizes: BTreeMap<String, u64>,
    /// Of these, the files whose last old entry is still to come.
    ahead: BTreeMap<String, u64>,
    bytes_total: u64,
    caught_up: bool,
    /// When the last entry came.
    last_at: Span,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    found: Arc<AtomicU64>,
    stop: CancellationToken,
    /// What is written next.
    out: Vec<u8>,
}

impl Follow {
    fn take(&mut self, event: &Event) {
        let entry = entry_of(event, self.raw);
        self.last_at = self.clock.uptime();
        if let Some(source) = &entry.source
            && let Some(byte) = source.byte
            // A line's end takes up to two bytes.
            && self.ahead.get(&source.input).is_some_and(|size| byte + event.raw().len() as u64 + 2 >= *size)
        {
            self.ahead.remove(&source.input);
        }
        if !self.selected.has(&entry) {
            return;
        }
        let is_old = entry.source.as_ref().is_some_and(|source| {
            let size = self.sizes.get(&source.input).copied().unwrap_or(0);
            source.byte.is_some_and(|byte| byte < size)
        });
        match self.lines {
            Some(0) if is_old => {}
            Some(lines) if is_old && !self.caught_up => {
                if self.kept.len() >= lines.min(KEPT_MAX) {
                    self.kept.pop_front();
                }
                self.kept.push_back(entry);
            }
            _ => {
                self.catch_up();
                self.show(&entry);
            }
        }
    }

    /// Shows the old entries that were kept back.
    fn catch_up(&mut self) {
        self.caught_up = true;
        for entry in std::mem::take(&mut self.kept) {
            self.show(&entry);
        }
    }

    fn show(&mut self, entry: &Entry) {
        let found = self.found.load(Ordering::Relaxed);
        if self.times.is_some_and(|times| found >= times) {
            return;
        }
        self.found.store(found + 1, Ordering::Relaxed);
        if self.shape.form == Form::Pretty {
            let mut canvas = Canvas::new(self.shape.width, self.shape.colour);
            self.drawing.entry(entry, false, &mut canvas);
            self.out.extend_from_slice(canvas.text.as_bytes());
            if self.bell {
                self.out.push(0x07);
            }
        } else {
            let mut record = json!({ "type": "entry" });
            let more = serde_json::to_value(entry).ok();
            if let (Some(record), Some(serde_json::Value::Object(more))) = (record.as_object_mut(), more) {
                record.extend(more);
            }
            self.out.extend_from_slice(record.to_string().as_bytes());
            self.out.push(b'\n');
        }
        if self.times == Some(found + 1) {
            self.stop.cancel();
        }
    }

    fn write_out(&mut self) -> Result<(), SinkError> {
        let mut out = io::stdout().lock();
        let written = out.write_all(&self.out).and_then(|()| out.flush());
        self.out.clear();
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => SinkError::Closed,
            _ => SinkError::Fatal(error.to_string()),
        })
    }
}

impl Sink for Follow {
    fn name(&self) -> &'static str {
        "stdout"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        for record in records {
            if let Record::Entry(event) = record {
                self.take(event);
            }
        }
        self.flush()
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        // A file may end in what is no entry, and a compressed one has places of its own: then silence tells.
        let read = self.metrics.live.bytes.load(Ordering::Relaxed) >= self.bytes_total;
        let silent = self.clock.uptime().nanos() - self.last_at.nanos() > SILENCE.nanos();
        if !self.caught_up && (self.ahead.is_empty() || read && silent) {
            self.catch_up();
        }
        let written = if self.out.is_empty() { Ok(()) } else { self.write_out() };
        std::future::ready(written).boxed()
    }
}

/// An event as answers show it.
fn entry_of(event: &Event, raw: bool) -> Entry {
    let row = event.row();
    let own = |text: Option<&str>| text.map(str::to_owned);
    let attributed = |kind: KeyKind| {
        event.attribution().filter(|attribution| attribution.kind == kind).map(|found| found.value.clone())
    };
    Entry {
        id: event.id(),
        timestamp: row.time.is_known().then_some(row.time),
        level: row.level,
        message: event.message().to_owned(),
        service: own(event.service()),
        host: own(event.host()),
        thread_id: own(event.text(row.thread)),
        correlation_id: own(event.text(row.correlation)).or_else(|| attributed(KeyKind::Correlation)),
        trace_id: own(event.text(row.trace)).or_else(|| attributed(KeyKind::Trace)),
        span_id: own(event.text(row.span)),
        parent_span_id: own(event.text(row.parent_span)),
        fields: event.source().reader.fields(row.format, event.raw()),
        template: template_id(event.message()),
        source: Some(SourceRef::new(event.source(), row)),
        raw: raw.then(|| event.raw().to_owned()),
        flags: event.flags().names().collect(),
    }
}
