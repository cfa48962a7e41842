//! `logbraid keep`: a filter that prints the original lines of the requests worth keeping.
//!
//! ```text
//!  lines ─► thread ─► correlate ─► sample ─► lines of kept requests, unchanged, in order within each
//!                                    └─────► decisions (--explain), totals by rule
//!  lines ─► reservoir ─► at the end: some of all lines (--reservoir)
//! ```

mod reservoir;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use futures::future::BoxFuture;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{ByteSize, Flags, Id, Record, RecordKind, Span, write_original};
use logbraid_query::sample::Strategy;
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::SinkPlan;
use regex::Regex;
use serde_json::{Value, json};

use self::reservoir::Reservoir;
use super::args::{Colour, ReadArgs, RunArgs, When, WriteArgs};
use super::run::{Outcome, Own, run_once};
use super::{Fault, Status, Terminal, tell};
use crate::config;
use crate::render::sink::Output;

/// Options of `keep`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct KeepArgs {
    /// What to read, as for `run`; without it, stdin.
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Keeps requests with an entry at ERROR or FATAL. This is what is kept when nothing is asked for.
    #[arg(long, help_heading = "Policy")]
    pub errors: bool,
    /// Keeps requests that lasted at least SPAN, such as `1s`, or state such a duration.
    #[arg(long, value_name = "SPAN", help_heading = "Policy")]
    pub slower: Option<Span>,
    /// Keeps requests with a message that matches; may be given several times.
    #[arg(long = "match", value_name = "REGEX", value_parser = regex, help_heading = "Policy")]
    pub matching: Vec<String>,
    /// Keeps requests with a message of this template, or with this text in it; may be given several times.
    #[arg(long, value_name = "ID|TEXT", value_parser = text, help_heading = "Policy")]
    pub template: Vec<String>,
    /// Keeps requests with a message that its service never wrote before.
    #[arg(long, help_heading = "Policy")]
    pub new: bool,
    /// How long a service must be seen before a message of it counts as new.
    #[arg(long, value_name = "SPAN", requires = "new", help_heading = "Policy")]
    pub warm_up: Option<Span>,
    /// Keeps about N requests a second of each service, or of each key that `--by` names.
    #[arg(long, value_name = "N", value_parser = rate, help_heading = "Policy")]
    pub per_key: Option<f64>,
    /// What `--per-key` counts by: `service`, or the name of an id.
    #[arg(long, value_name = "KEY", requires = "per_key", help_heading = "Policy")]
    pub by: Option<String>,
    /// Keeps this share of all other requests, such as `1%` or `0.01`.
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Policy")]
    pub rest: Option<f64>,
    /// Instead of requests, N lines of the whole input, chosen in one pass and printed at its end.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        conflicts_with_all = [
            "errors", "slower", "matching", "template", "new", "per_key", "rest", "gap", "max_span", "end_marker", "memory",
            "dry_run",
        ],
        help_heading = "Reservoir"
    )]
    pub reservoir: Option<u32>,
    /// How the lines are chosen.
    #[arg(
        long,
        value_name = "STRATEGY",
        value_enum,
        default_value = "diverse",
        requires = "reservoir",
        help_heading = "Reservoir"
    )]
    pub strategy: Strategy,
    /// Another seed is another choice; the same seed is the same choice.
    #[arg(long, value_name = "N", default_value_t = 42, requires = "reservoir", help_heading = "Reservoir")]
    pub seed: u64,
    /// A request ends after this long without a line.
    #[arg(long, value_name = "SPAN", default_value = "30s", help_heading = "Requests")]
    pub gap: Span,
    /// No request is longer than this; longer ones are decided on in parts.
    #[arg(long, value_name = "SPAN", default_value = "10m", help_heading = "Requests")]
    pub max_span: Span,
    /// A text in a message that ends its request; may be given several times.
    #[arg(long, value_name = "TEXT", help_heading = "Requests")]
    pub end_marker: Vec<String>,
    /// Memory for requests that are not decided yet; beyond it the oldest are decided early.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", help_heading = "Requests")]
    pub memory: ByteSize,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    /// Tells each decision on stderr, when the request has ended.
    #[arg(long, help_heading = "Writing")]
    pub explain: bool,
    /// Prints every line, marked `keep` or `drop`, instead of leaving any out.
    #[arg(long, help_heading = "Writing")]
    pub dry_run: bool,
    /// Tells no totals and no notices on stderr; errors are still told.
    #[arg(short, long, help_heading = "Writing")]
    pub quiet: bool,
    /// Shows a progress bar on stderr when it is a terminal and the work is long, or never.
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Writing")]
    pub progress: When,
    /// Colours on terminals, unless NO_COLOR is set; or never, or always.
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Writing")]
    pub color: Colour,
}

const EXAMPLES: &str = "\
The first rule that is for a request decides, in the order of the options above.

Examples:
  kubectl logs deploy/shop | logbraid keep --errors --slower 1s --rest 1% > kept.log
  logbraid keep --explain --dry-run app.log     what would be kept, and why
  logbraid keep -f --errors --match 'card .* declined' /var/log/shop
  logbraid keep --errors --new --rest 0.1% 'logs/*.log' | gzip > kept.log.gz
  zcat huge.log.gz | logbraid keep --reservoir 200 --strategy errors_focused     200 lines of the whole, in bounded memory";

/// The longest line that is printed whole.
const LINE_MAX: ByteSize = ByteSize::from_bytes(16 << 20);

/// Runs the filter.
pub(super) fn keep(args: KeepArgs, terminal: &Terminal) -> Result<Status, Fault> {
    let registry = crate::registry();
    let reservoir = args.reservoir.map(|size| Reservoir::new(size as usize, args.strategy, args.seed));
    let text = match &reservoir {
        Some(reservoir) => {
            let parse = json!({ "max_line": LINE_MAX.to_string() });
            json!({ "parse": parse, "operators": reservoir.operators(), "sinks": [] })
        }
        None => configuration(&args),
    };
    let text = text.to_string();
    let config = config::parse("the options of `keep`", &text, &registry, &|_| None)?;
    let metrics = Arc::new(Metrics::default());
    let totals: Arc<Mutex<Totals>> = Arc::default();
    // What came after its request was forgotten, or is not in the format that was asked for, is kept: nothing is lost
    // in silence.
    let mut take = vec![RecordKind::Samples, RecordKind::Late, RecordKind::Rejects];
    if args.explain {
        take.push(RecordKind::Timelines);
    }
    let lines = Lines {
        out: Box::new(std::io::stdout()),
        buffer: Vec::new(),
        mark: args.dry_run,
        totals: Arc::clone(&totals),
    };
    let sinks = vec![match &reservoir {
        Some(reservoir) => SinkPlan { sink: Box::new(reservoir.clone()), take: reservoir::TAKE.to_vec() },
        None => SinkPlan { sink: Box::new(lines), take },
    }];
    let (quiet, explain) = (args.quiet, args.explain);
    let memory = args.memory;
    let run = RunArgs {
        config: None,
        inputs: args.inputs,
        read: args.read,
        write: WriteArgs {
            output: Output::Raw,
            emit: None,
            max_bytes: None,
            quiet,
            progress: args.progress,
            color: args.color,
            fail_on: None,
        },
    };
    let own = Own { sinks: Some(sinks), metrics: Arc::clone(&metrics) };
    let status = match run_once(&run, config, terminal, own)? {
        Outcome::Done(status) => status,
        // There is no configuration file that could change.
        Outcome::Reload(_) => Status::Done,
    };
    if let Some(reservoir) = reservoir {
        let said = reservoir.print(&mut std::io::stdout().lock(), explain)?;
        if !quiet {
            tell(&said);
        }
    } else if !quiet {
        let totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&totals.summary(&metrics, memory));
    }
    Ok(status)
}

fn share(text: &str) -> Result<f64, String> {
    logbraid_operators::sample::share(text)
        .ok_or_else(|| "a share is from 0 to 1; write it like `1%` or `0.01`".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or_else(|| "it must be requests a second, more than zero; try `10`".to_owned())
}

fn regex(text: &str) -> Result<String, String> {
    match Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(format!("it is not a regular expression: {why}"))
        }
    }
}

fn text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

/// The options as a configuration.
fn configuration(args: &KeepArgs) -> Value {
    let mut rules = Vec::new();
    let asked = args.slower.is_some()
        || !args.matching.is_empty()
        || !args.template.is_empty()
        || args.new
        || args.per_key.is_some()
        || args.rest.is_some();
    if args.errors || !asked {
        rules.push(json!({ "keep": "errors" }));
    }
    if let Some(span) = args.slower {
        rules.push(json!({ "keep": "slower_than", "value": span.to_string() }));
    }
    rules.extend(args.matching.iter().map(|regex| json!({ "keep": "match", "value": regex })));
    rules.extend(args.template.iter().map(|text| json!({ "keep": "template", "value": text })));
    if args.new {
        rules.push(json!({ "keep": "new_template" }));
    }
    if let Some(target) = args.per_key {
        let by = args.by.as_deref().unwrap_or("service");
        rules.push(json!({ "keep": "per_key", "value": target, "by": by }));
    }
    if let Some(rest) = &args.rest {
        rules.push(json!({ "rest": rest }));
    }
    let mut operators = Vec::new();
    if args.new {
        let warm_up = args.warm_up.unwrap_or(Span::from_seconds(600));
        operators.push(json!({ "templates": { "warm_up": warm_up.to_string() } }));
    }
    operators.push(json!({ "thread": {} }));
    operators.push(json!({ "correlate": {
        "gap": args.gap.to_string(),
        "max_span": args.max_span.to_string(),
        "memory": args.memory.to_string(),
        "end_markers": args.end_marker,
        // Nothing of a kept request is left out; `memory` is the bound.
        "max_entries": u32::MAX,
    } }));
    operators.push(json!({ "sample": { "rules": rules, "dry_run": args.dry_run } }));
    json!({ "parse": { "max_line": LINE_MAX.to_string() }, "operators": operators, "sinks": [] })
}

#[derive(Debug, Default)]
struct Rule {
    requests: std::collections::HashSet<Id>,
    lines: u64,
    bytes: u64,
}

/// What was kept, by rule.
#[derive(Debug, Default)]
struct Totals {
    rules: BTreeMap<&'static str, Rule>,
    /// Lines that were longer than what is kept of one.
    cut: u64,
}

/// Requests of one rule that are counted one by one.
const REQUESTS_MAX: usize = 1_000_000;

impl Totals {
    fn summary(&self, metrics: &Metrics, memory: ByteSize) -> String {
        use std::sync::atomic::Ordering::Relaxed;
        let (lines_in, bytes_in) = (metrics.live.events.load(Relaxed), metrics.live.bytes.load(Relaxed));
        let lines: u64 = self.rules.values().map(|rule| rule.lines).sum();
        let bytes: u64 = self.rules.values().map(|rule| rule.bytes).sum();
        let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let mut text = format!(
            "kept {lines} of {lines_in} lines ({:.1} %), {bytes} of {bytes_in} bytes ({:.1} %)\n",
            share(lines, lines_in),
            share(bytes, bytes_in),
        );
        for (name, rule) in &self.rules {
            let requests = match rule.requests.len() {
                0 => String::new(),
                REQUESTS_MAX => format!(", {REQUESTS_MAX} requests or more"),
                1 => ", 1 request".to_owned(),
                count => format!(", {count} requests"),
            };
            let _ = writeln!(text, "  {name:<12} {} lines, {} bytes{requests}", rule.lines, rule.bytes);
        }
        let count = |wanted: &str| {
            let samples = metrics.samples();
            samples.iter().find(|sample| sample.name == wanted).map_or(0, |sample| sample.value)
        };
        if self.cut > 0 {
            let _ = writeln!(text, "note: {} lines were longer than {LINE_MAX} and were cut", self.cut);
        }
        let early = count("sample_decided_by_memory_total");
        if early > 0 {
            let _ = writeln!(
                text,
                "note: {early} requests were decided early because `--memory {memory}` was full; raise it to decide on \
                 whole requests"
            );
        }
        text
    }
}

/// Prints lines as they came.
struct Lines {
    out: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    mark: bool,
    totals: Arc<Mutex<Totals>>,
}

/// Buffered bytes that make a write worthwhile.
const WRITE_AT: usize = 64 << 10;

impl Lines {
    /// Prints a record that `rule` keeps; without a rule, only what a dry run shows of it.
    fn add(&mut self, raw: &[u8], flags: Flags, rule: Option<&'static str>, request: Option<Id>) {
        let before = self.buffer.len();
        write_original(raw, flags, &mut self.buffer);
        if let Some(rule) = rule {
            let added = self.buffer.get(before..).unwrap_or_default();
            // A std mutex: held for one record, never across an await.
            let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            totals.cut += u64::from(flags.has(Flags::TRUNCATED));
            let rule = totals.rules.entry(rule).or_default();
            rule.lines += memchr::memchr_iter(b'\n', added).count() as u64;
            rule.bytes += added.len() as u64;
            if let Some(id) = request
                && rule.requests.len() < REQUESTS_MAX
            {
                rule.requests.insert(id);
            }
        }
        if self.mark {
            let word: &[u8] = if rule.is_some() { b"keep " } else { b"drop " };
            let added = self.buffer.split_off(before);
            for line in added.split_inclusive(|byte| *byte == b'\n') {
                self.buffer.extend_from_slice(word);
                self.buffer.extend_from_slice(line);
            }
        }
    }

    fn drain(&mut self) -> Result<(), SinkError> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => SinkError::Closed,
            _ => SinkError::Fatal(error.to_string()),
        })
    }
}

impl Sink for Lines {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            for record in records {
                match record {
                    Record::Sample(sample) => {
                        let rule = sample.kept.then_some(sample.rule);
                        self.add(&sample.raw, sample.flags, rule, sample.timeline);
                    }
                    Record::Entry(event) => self.add(event.raw_bytes(), event.flags(), Some("late"), None),
                    Record::Reject(reject) => {
                        self.add(&reject.bytes(), Flags::default(), Some("rejected"), None);
                    }
                    Record::Timeline(group) if group.revision == 0 => {
                        let Some(sampled) = group.sampled else { continue };
                        let word = if sampled.kept { "keep" } else { "drop" };
                        let share = if sampled.keep_probability < 1.0 {
                            format!(" at {}%", sampled.keep_probability * 100.0)
                        } else {
                            String::new()
                        };
                        let key = crate::render::text::escaped(&group.key.value, true);
                        tell(&format!(
                            "{word} {:<12} {key}  {} lines, {:.0} ms, {} errors{share}\n",
                            sampled.rule,
                            group.entries(),
                            group.duration().millis(),
                            group.levels.errors(),
                        ));
                    }
                    _ => {}
                }
                if self.buffer.len() >= WRITE_AT {
                    self.drain()?;
                }
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move { if self.buffer.is_empty() { Ok(()) } else { self.drain() } })
    }
}
