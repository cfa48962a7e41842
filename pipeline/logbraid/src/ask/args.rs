//! What every question takes on the command line, beside its own options.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, ValueEnum};
use logbraid_core::{ByteSize, Span};
use logbraid_query::Asked;

use super::door::Door;
use super::write::{Form, Shape};
use crate::cli::Terminal;
use crate::cli::args::{Colour, When};

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// `pretty` on a terminal, else `json`.
    Auto,
    /// One JSON document, on one line.
    Json,
    /// One JSON object a line: the items of the answer's lists, then the rest of it.
    Ndjson,
    /// For people.
    Pretty,
}

/// Options of every question. Ids begin with `door_`, so that a question's own option of the same name wins.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// What to ask: paths, globs, folders, `-` for stdin, or `http://HOST:PORT` for the window of a running logbraid;
    /// `NAME=INPUT` labels entries with the service NAME. Files that end in `.gz` or `.zst` are decoded.
    #[arg(id = "door_inputs", value_name = "INPUT")]
    pub(super) inputs: Vec<String>,
    /// The same as INPUT; may be given several times.
    #[arg(id = "door_files", long = "files", value_name = "INPUT", help_heading = "Reading")]
    pub(super) files: Vec<String>,
    /// Reads lines as the configuration FILE says (`parse`, `time`), and its sources when no INPUT is given.
    #[arg(id = "door_config", long = "config", short = 'c', value_name = "FILE", help_heading = "Reading")]
    pub(super) config: Option<PathBuf>,
    /// The format of all inputs: auto, json, logfmt, syslog, clf, klog, text, or one of the configuration's own.
    #[arg(id = "door_format", long = "format", value_name = "FORMAT", help_heading = "Reading")]
    pub(super) format: Option<String>,
    /// Most memory for the entries that are read; beyond it the oldest leave, and the answer says so.
    #[arg(
        id = "door_memory",
        long = "memory",
        value_name = "SIZE",
        default_value = "2GiB",
        help_heading = "Reading"
    )]
    pub(super) memory: ByteSize,
    /// Only entries at T or later: `2024-01-15T10:00:00Z`, `2024-01-15 10:00` (UTC), or `-30m`.
    #[arg(
        id = "door_after",
        long = "after",
        value_name = "T",
        allow_hyphen_values = true,
        help_heading = "Range"
    )]
    pub(super) after: Option<String>,
    /// Only entries before T.
    #[arg(
        id = "door_before",
        long = "before",
        value_name = "T",
        allow_hyphen_values = true,
        help_heading = "Range"
    )]
    pub(super) before: Option<String>,
    /// Only the last SPAN, such as `30m`: before the newest entry of files, before now of a running logbraid.
    #[arg(id = "door_last", long = "last", value_name = "SPAN", help_heading = "Range")]
    pub(super) last: Option<Span>,
    /// How the answer is written; `auto` is `pretty` on a terminal and `json` elsewhere.
    #[arg(
        id = "door_output",
        long = "output",
        value_name = "FORM",
        default_value = "auto",
        help_heading = "Writing"
    )]
    pub(super) output: Output,
    /// Writes JSON on several lines, indented.
    #[arg(id = "door_pretty", long = "pretty", help_heading = "Writing")]
    pub(super) pretty: bool,
    /// Writes at most N bytes, such as `4KiB`: always valid JSON, which says what was left out.
    #[arg(id = "door_max_bytes", long = "max-bytes", value_name = "N", help_heading = "Writing")]
    pub(super) max_bytes: Option<ByteSize>,
    /// Leaves out what is rarely needed: ids of entries and templates, byte positions, empty lists.
    #[arg(id = "door_compact", long = "compact", help_heading = "Writing")]
    pub(super) compact: bool,
    /// Of the items of lists, only these fields, such as `timestamp,message,source.line`.
    #[arg(
        id = "door_fields",
        long = "fields",
        value_name = "LIST",
        value_delimiter = ',',
        help_heading = "Writing"
    )]
    pub(super) fields: Vec<String>,
    /// Writes no progress and no notices to stderr; errors are still told.
    #[arg(id = "door_quiet", long = "quiet", help_heading = "Writing")]
    pub(super) quiet: bool,
    /// Shows a progress bar on stderr when it is a terminal and the work is long, or never.
    #[arg(
        id = "door_progress",
        long = "progress",
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Writing"
    )]
    pub(super) progress: When,
    /// Colours on terminals, unless NO_COLOR is set; or never, or always.
    #[arg(
        id = "door_color",
        long = "color",
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Writing"
    )]
    pub(super) color: Colour,
}

/// Adds the common options to a question's command. What the question calls its own stays its own.
pub(super) fn augment(command: Command) -> Command {
    augment_with(command, &|_| true)
}

/// The common options that a running logbraid takes over HTTP.
const REMOTE: [&str; 8] = [
    "door_after",
    "door_before",
    "door_last",
    "door_max_bytes",
    "door_compact",
    "door_fields",
    "door_output",
    "door_pretty",
];

/// Adds the common options that mean something to a running logbraid.
pub(super) fn augment_remote(command: Command) -> Command {
    augment_with(command, &|id| REMOTE.contains(&id))
}

fn augment_with(mut command: Command, wanted: &dyn Fn(&str) -> bool) -> Command {
    let common = Common::augment_args(Command::new("common"));
    for arg in common.get_arguments().filter(|arg| wanted(arg.get_id().as_str())) {
        let mut arg = arg.clone();
        let taken = |name: &str| {
            command.get_arguments().any(|own| {
                own.get_long() == Some(name) || own.get_all_aliases().is_some_and(|all| all.contains(&name))
            })
        };
        if arg.get_long().is_some_and(taken) {
            continue;
        }
        if let Some(short) = arg.get_short()
            && command.get_arguments().any(|own| own.get_short() == Some(short))
        {
            arg = arg.short(None);
        }
        command = command.arg(arg);
    }
    command
}

/// The common options, as they were given.
#[derive(Debug)]
pub(super) struct AskArgs {
    pub(super) inputs: Vec<String>,
    pub(super) config: Option<PathBuf>,
    pub(super) format: Option<String>,
    pub(super) memory: ByteSize,
    pub(super) door: Door,
    pub(super) output: Output,
    pub(super) pretty: bool,
    pub(super) quiet: bool,
    pub(super) color: Colour,
}

impl AskArgs {
    /// Reads them; an option that the question has taken is absent here.
    pub(super) fn read(matches: &ArgMatches) -> Self {
        fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
            matches.try_get_one::<T>(id).ok().flatten().cloned()
        }
        let many = |id: &str| -> Vec<String> {
            let values = matches.try_get_many::<String>(id).ok().flatten();
            values.into_iter().flatten().cloned().collect()
        };
        let flag = |id: &str| one::<bool>(matches, id).unwrap_or(false);
        let mut inputs = many("door_inputs");
        inputs.extend(many("door_files"));
        Self {
            inputs,
            config: one(matches, "door_config"),
            format: one(matches, "door_format"),
            memory: one(matches, "door_memory").unwrap_or(ByteSize::from_bytes(2 << 30)),
            door: Door {
                after: one(matches, "door_after"),
                before: one(matches, "door_before"),
                last: one(matches, "door_last"),
                max_bytes: one(matches, "door_max_bytes"),
                compact: flag("door_compact"),
                fields: many("door_fields"),
            },
            output: one(matches, "door_output").unwrap_or(Output::Auto),
            pretty: flag("door_pretty"),
            quiet: flag("door_quiet")
                || one::<When>(matches, "door_progress").is_some_and(|when| when == When::Never),
            color: one(matches, "door_color").unwrap_or(Colour::Auto),
        }
    }

    /// How the answer to `asked` is to look on `terminal`: what is asked for as a drawing is drawn wherever it goes.
    pub(super) fn shape_of(&self, asked: &dyn Asked, terminal: &Terminal) -> Shape {
        let shape = self.shape(terminal);
        let drawn = asked.is_drawing() && matches!(self.output, Output::Auto) && !self.pretty;
        Shape { form: if drawn { Form::Pretty } else { shape.form }, ..shape }
    }

    /// How the answer is to look on `terminal`.
    pub(super) fn shape(&self, terminal: &Terminal) -> Shape {
        let form = match self.output {
            Output::Auto if terminal.stdout && self.door.max_bytes.is_none() && !self.pretty => Form::Pretty,
            Output::Auto | Output::Json => Form::Json,
            Output::Ndjson => Form::Ndjson,
            Output::Pretty => Form::Pretty,
        };
        Shape {
            form,
            indent: self.pretty,
            compact: self.door.compact,
            fields: self.door.fields.clone(),
            max_bytes: self.door.max_bytes.map(ByteSize::as_usize),
            width: terminal.width,
            colour: terminal.is_coloured(self.color),
            terminal: terminal.stdout,
        }
    }
}
