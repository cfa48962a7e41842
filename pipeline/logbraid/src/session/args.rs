//! The `session` commands, as clap reads them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use logbraid_core::ByteSize;

use crate::ask::{Form, Shape};
use crate::cli::Terminal;
use crate::cli::args::Colour;

/// Options of `session`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SessionArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(super) command: Command,
    /// Where sessions are kept; `$XDG_STATE_HOME/logbraid/sessions` unless something else is said.
    #[arg(long, value_name = "FOLDER", global = true)]
    pub(super) state_dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  logbraid session create configs/demo --name checkout
  logbraid session query checkout --level error+
  logbraid session query checkout hierarchy req-7f3a
  logbraid session note checkout --text 'the pool is full'
  logbraid session conclude checkout --summary 'the pool was too small' --confidence 0.9
  logbraid session report checkout > report.md
  logbraid session rerun checkout                 the same questions again: is it still so?

A session is named by its id, the beginning of it, or its name. Status: 0 done; 1 nothing found, or another answer than
before; 2 a mistake; 3 a failure.";

/// How results are written.
#[derive(Debug, Args)]
pub(super) struct Out {
    /// How the result is written; `auto` is `pretty` on a terminal and `json` elsewhere.
    #[arg(long, value_name = "FORM", default_value = "auto")]
    output: Written,
    /// Writes at most N bytes, such as `4KiB`: always valid JSON, which says what was left out.
    #[arg(long, value_name = "N")]
    max_bytes: Option<ByteSize>,
}

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Begins a session over inputs, which are kept as absolute paths.
    Create {
        /// What to look at: paths, globs, folders, `sqlite:PATH#TABLE`; `NAME=INPUT` labels entries.
        #[arg(value_name = "INPUT")]
        inputs: Vec<String>,
        /// The same as INPUT; may be given several times.
        #[arg(long, short = 'f', value_name = "INPUT", num_args = 1..)]
        files: Vec<String>,
        /// A SQLite database; the same as `sqlite:FILE`.
        #[arg(long, value_name = "FILE")]
        db: Option<PathBuf>,
        /// A name, by which it can be called, too.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Lists sessions, newest first.
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Shows a session with every step.
    Show {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Asks any question of the session's inputs and keeps it as a step; without a question's name it is a search.
    #[command(disable_help_flag = true)]
    Query {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        /// The question and its options, as on the command line: `--level error+`, `hierarchy req-1 --view tree`.
        #[arg(value_name = "QUESTION", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Writes something down.
    Note {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        /// What to write down.
        #[arg(long, value_name = "TEXT")]
        text: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Ends a session with what came out.
    Conclude {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        /// What came out.
        #[arg(long, value_name = "TEXT")]
        summary: String,
        /// Why it happened.
        #[arg(long, value_name = "TEXT")]
        root_cause: Option<String>,
        /// How sure that is, 0 to 1.
        #[arg(long, value_name = "SHARE", default_value = "0.8", value_parser = share)]
        confidence: f64,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Takes the last step back, a conclusion included.
    Undo {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Does again what was undone last.
    Redo {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Asks the session's questions again and tells whether the answers are the same.
    Rerun {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        /// Only this step.
        #[arg(long, value_name = "N")]
        step: Option<usize>,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Writes the session as a text to hand on.
    Report {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        /// As what.
        #[arg(long, value_name = "FORMAT", default_value = "markdown")]
        format: Format,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
    /// Deletes a session.
    Delete {
        /// The session.
        #[arg(value_name = "SESSION")]
        id: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        out: Out,
    },
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Markdown.
    Markdown,
    /// Plain text.
    Text,
    /// Markdown in a JSON document.
    Json,
}

/// Forms of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Written {
    /// `pretty` on a terminal, else `json`.
    Auto,
    /// One JSON document.
    Json,
    /// For people.
    Pretty,
}

impl Out {
    /// How results are to look on `terminal`.
    pub(super) fn shape(&self, terminal: &Terminal) -> Shape {
        let pretty = match self.output {
            Written::Auto => terminal.stdout && self.max_bytes.is_none(),
            Written::Json => false,
            Written::Pretty => true,
        };
        Shape {
            form: if pretty { Form::Pretty } else { Form::Json },
            indent: false,
            compact: false,
            fields: Vec::new(),
            max_bytes: self.max_bytes.map(ByteSize::as_usize),
            width: terminal.width,
            colour: terminal.is_coloured(Colour::Auto),
            terminal: terminal.stdout,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a share between 0 and 1")),
    }
}
