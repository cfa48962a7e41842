//! The command line, as clap reads it; manual pages, completions and the reference are made from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use logbraid_core::{ByteSize, RecordKind, Severity, Span};

use crate::config::Picture;
use crate::render::sink::Output;

/// Braids interleaved logs back into requests.
///
/// Logs arrive as interleaved lines of many services, threads and requests. logbraid follows each request through
/// services and threads, rebuilds who called whom, finds where an error began and how it spread, and says so while it
/// happens. Without a command it runs: `logbraid app.log` is `logbraid run app.log`.
#[derive(Debug, Parser)]
#[command(
    name = "logbraid",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    override_usage = "logbraid [run] [OPTIONS] [INPUT]...\n       logbraid <COMMAND>",
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kubectl logs -f deploy/shop | logbraid        braid a live stream
  logbraid app.log 'logs/**/*.log.gz'           braid files, compressed ones too
  logbraid api=api.log db=db.log                name the service of each input
  logbraid -f /var/log/shop --fail-on high      follow a folder; status 1 after a grave finding
  logbraid app.log --emit findings | jq .title  findings alone, one JSON object a line
  logbraid run -c sidecar.yaml                  run a configuration
  logbraid check -c sidecar.yaml --graph mermaid
  logbraid keep --errors --slower 1s app.log    the lines of the requests that failed or were slow
  logbraid search --level error+ 'logs/*.log'   ask a question; `logbraid questions` lists them

Status: 0 done or found; 1 nothing found, a finding that `--fail-on` names was written, or a test failed; 2 a mistake in options, inputs or
configuration; 3 a failure of logbraid itself.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads, braids and writes records; what runs when no command is given.
    Run(Box<RunArgs>),
    /// Prints the original lines of the requests that are worth keeping.
    Keep(Box<super::keep::KeepArgs>),
    /// Checks a configuration; prints it with every default, or draws it.
    Check(CheckArgs),
    /// Runs a configuration's own tests, on a clock that only they move.
    Test(TestArgs),
    /// Lists the questions that can be asked of logs and of a running logbraid.
    Questions {
        /// One JSON document: each question with its schemas and examples, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Keeps an investigation: what was asked, what was found where, notes, a conclusion.
    Session(crate::session::SessionArgs),
    /// Shows what a stream does right now: rates, errors, open and slow requests, findings.
    Top(crate::top::TopArgs),
    /// Serves the questions to agents: a Model Context Protocol server on stdin and stdout, read-only.
    Mcp(crate::ask::McpArgs),
    /// Plays the part of a child process in a shipper's own protocol.
    Plugin(super::plugin::PluginArgs),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page.
    Man,
}

/// Names of the commands, for telling them from inputs.
pub const COMMANDS: [&str; 13] = [
    "run",
    "keep",
    "check",
    "test",
    "questions",
    "session",
    "top",
    "mcp",
    "plugin",
    "watch",
    "completions",
    "man",
    "help",
];

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Reads the configuration from FILE; without it, a built-in one runs.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to read: paths, globs, folders, or `-` for stdin; `NAME=INPUT` labels entries with the service NAME.
    ///
    /// Inputs given here replace the configuration's sources. Files that end in `.gz` or `.zst` are decoded.
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
}

const RUN_EXAMPLES: &str = "\
Examples:
  logbraid run app.log                          what happened, request by request
  logbraid run -f app.log --emit findings       wait for trouble
  logbraid run --last 30m 'logs/*.log'          the last half hour of the logs
  logbraid run --output json --max-bytes 64KiB app.log   one document, never longer";

/// Options of reading.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Reading")]
pub struct ReadArgs {
    /// Waits for more at the end of files, follows rotation, and looks for new files.
    #[arg(short, long)]
    pub follow: bool,
    /// The service of entries that name none.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// The format of all inputs: auto, json, logfmt, syslog, clf, klog, text, or one of the configuration's own.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Leaves out entries before T: `2024-01-15T10:00:00Z`, `2024-01-15 10:00` (UTC), or `-30m`.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub after: Option<String>,
    /// Leaves out entries at T and after.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub before: Option<String>,
    /// Reads the last SPAN only, such as `30m`: before the newest entry of files, before now for live inputs.
    #[arg(long, value_name = "SPAN", conflicts_with = "after")]
    pub last: Option<Span>,
}

/// Options of writing.
#[derive(Debug, Args)]
#[command(next_help_heading = "Writing")]
pub struct WriteArgs {
    /// How records are written; `auto` is `pretty` on a terminal and `ndjson` elsewhere.
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub output: Output,
    /// Types of records, separated by commas: entries, timelines, findings, rejects, late, stats.
    ///
    /// Findings and timelines, unless something else is asked for. With a configuration that names sinks, this replaces
    /// them by stdout.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub emit: Option<Vec<RecordKind>>,
    /// Writes at most N bytes in all, such as `64KiB`; a note at the end tells what was left out.
    #[arg(long, value_name = "N")]
    pub max_bytes: Option<ByteSize>,
    /// Writes no summary, no progress and no notices to stderr; errors are still told.
    #[arg(short, long)]
    pub quiet: bool,
    /// Shows a progress bar on stderr when it is a terminal and the work is long, or never.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub progress: When,
    /// Colours on terminals, unless NO_COLOR is set; or never, or always.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
    /// Ends with status 1 when a finding of this severity or above was written.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub fail_on: Option<Severity>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Draws the configuration instead of printing it.
    #[arg(long, value_name = "FORM")]
    pub graph: Option<Picture>,
    /// How errors are told: with `json`, as a document on stdout, too.
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub output: Output,
    /// Colours on terminals, unless NO_COLOR is set; or never, or always.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The configurations.
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    pub config: Vec<PathBuf>,
    /// How results are told: with `json` or `ndjson`, one JSON object a test.
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub output: Output,
    /// Colours on terminals, unless NO_COLOR is set; or never, or always.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
}

/// Sometimes or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Where it helps.
    Auto,
    /// Never.
    Never,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On terminals.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn severity(text: &str) -> Result<Severity, String> {
    let all = [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    all.into_iter()
        .find(|severity| severity.name() == text.to_ascii_lowercase())
        .ok_or_else(|| "there are info, low, medium, high and critical".to_owned())
}
