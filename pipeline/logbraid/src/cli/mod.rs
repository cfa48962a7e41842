//! The command line: what was asked for, and the exit status of the answer.
//!
//! ```text
//!  arguments ─► words (bare `logbraid` is `run`) ─► clap ─► one function per command ─► Status
//! ```

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use serde_json::json;

pub mod args;
mod check;
pub mod keep;
mod newest;
pub mod plugin;
pub(crate) mod run;
mod test;
pub(crate) mod times;
mod words;

#[cfg(test)]
mod tests;

use args::{Cli, Colour, Command};

use crate::problem::{Problem, Problems};
use crate::render::View;
use crate::render::sink::Output;
use crate::render::text::Style;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done = 0,
    /// Done, and the status tells: a finding that `--fail-on` names, a test that failed, a question without an answer.
    Found = 1,
    /// The caller's mistake.
    Usage = 2,
    /// Our own failure.
    Failure = 3,
}

impl Status {
    /// A question was answered: nothing was found.
    pub const NOTHING: Self = Self::Found;
}

impl From<Status> for std::process::ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Fault {
    /// The caller can mend it.
    Mistake(Problems),
    /// The caller cannot.
    Failure(String),
}

impl From<Problems> for Fault {
    fn from(problems: Problems) -> Self {
        Self::Mistake(problems)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Mistake(problem.into())
    }
}

/// Where the command line stands: what its streams are.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// True when stdin is a terminal.
    pub stdin: bool,
    /// True when stdout is one.
    pub stdout: bool,
    /// True when stderr is one.
    pub stderr: bool,
    /// Columns of stdout.
    pub width: usize,
    /// True when colours are not wanted (`NO_COLOR`, `TERM=dumb`).
    pub colourless: bool,
}

impl Terminal {
    /// As this process finds it.
    pub fn here() -> Self {
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            stdin: std::io::stdin().is_terminal(),
            stdout: std::io::stdout().is_terminal(),
            stderr: std::io::stderr().is_terminal(),
            width: width.unwrap_or(View::WIDTH_DEFAULT),
            colourless: set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
        }
    }

    /// True when stdout takes colours.
    pub fn is_coloured(&self, colour: Colour) -> bool {
        self.style(colour, self.stdout) == Style::COLOUR
    }

    pub(crate) fn style(&self, colour: Colour, terminal: bool) -> Style {
        match colour {
            Colour::Always => Style::COLOUR,
            Colour::Auto if terminal && !self.colourless => Style::COLOUR,
            Colour::Auto | Colour::Never => Style::PLAIN,
        }
    }
}

/// Does what `arguments` (the program's name first) ask for. Records go to stdout, everything else to stderr.
pub fn main(arguments: Vec<OsString>) -> Status {
    let terminal = Terminal::here();
    let told = Told { output: words::output(&arguments, &terminal), max_bytes: words::max_bytes(&arguments) };
    let asked = words::with_command(arguments, &|path: &str| Path::new(path).exists())
        .map_err(Fault::from)
        .and_then(|words| parsed(words, told.output));
    match asked {
        Ok(Some(matches)) => finish(asked_for(&matches, &terminal), told, &terminal),
        Ok(None) => Status::Done,
        Err(fault) => finish(Err(fault), told, &terminal),
    }
}

/// The whole command line: the commands, and a command for each question.
pub fn program() -> clap::Command {
    crate::ask::augment(Cli::command())
}

/// Does what the words ask for: a question, or a command.
fn asked_for(matches: &ArgMatches, terminal: &Terminal) -> Result<Status, Fault> {
    if let Some((name, inner)) = matches.subcommand()
        && crate::ask::is_question(name, inner)
    {
        return crate::ask::ask(name, inner, terminal);
    }
    if let Some(("watch", inner)) = matches.subcommand() {
        return crate::ask::watch(inner, terminal);
    }
    let cli = Cli::from_arg_matches(matches).map_err(|error| Fault::Failure(error.to_string()))?;
    command(cli.command, terminal)
}

/// Reads the words; help and version are printed here, and nothing is left to do.
fn parsed(words: Vec<OsString>, output: Option<Output>) -> Result<Option<ArgMatches>, Fault> {
    match program().try_get_matches_from(words) {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if !error.use_stderr() => {
            // A closed stdout ends quietly.
            let _ = error.print();
            Ok(None)
        }
        Err(error) => {
            if output.is_none_or(|output| !output.is_json()) {
                let _ = error.print();
                return Err(Fault::Mistake(Problems::default()));
            }
            Err(Problem::of_usage(&error).into())
        }
    }
}

fn command(command: Command, terminal: &Terminal) -> Result<Status, Fault> {
    match command {
        Command::Run(args) => run::run(*args, terminal),
        Command::Keep(args) => keep::keep(*args, terminal),
        Command::Check(args) => check::check(&args),
        Command::Test(args) => test::test(&args, terminal),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut program(), "logbraid", &mut script);
            Ok(print(&script))
        }
        Command::Questions { json } => Ok(print(crate::ask::list(json).as_bytes())),
        Command::Session(args) => crate::session::session(args, terminal),
        Command::Mcp(args) => crate::ask::mcp::mcp(args, terminal),
        Command::Top(args) => crate::top::top(args, terminal),
        Command::Plugin(args) => plugin::plugin(args),
        Command::Man => manual().map(|page| print(&page)),
    }
}

/// The manual page, in roff.
fn manual() -> Result<Vec<u8>, Fault> {
    let mut page = Vec::new();
    let write = |page: &mut Vec<u8>| {
        let mut cli = program();
        cli.build();
        clap_mangen::Man::new(cli.clone()).render(page)?;
        for sub in cli.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let man = clap_mangen::Man::new(sub.clone());
            man.render_name_section(page)?;
            man.render_synopsis_section(page)?;
            man.render_options_section(page)?;
        }
        std::io::Result::Ok(())
    };
    write(&mut page).map_err(|error| Fault::Failure(error.to_string()))?;
    Ok(page)
}

/// Writes to stdout; a closed stdout ends quietly.
pub(crate) fn print(bytes: &[u8]) -> Status {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
    Status::Done
}

/// How errors are told.
#[derive(Debug, Clone, Copy)]
struct Told {
    output: Option<Output>,
    /// Most bytes of an error's document.
    max_bytes: Option<usize>,
}

impl Told {
    fn document(self, document: &serde_json::Value) {
        let text = match self.max_bytes {
            Some(max) => logbraid_query::budget::fit(document, max.saturating_sub(1)),
            None => document.to_string(),
        };
        print(format!("{text}\n").as_bytes());
    }
}

/// Tells what went wrong.
fn finish(result: Result<Status, Fault>, told: Told, terminal: &Terminal) -> Status {
    let json = told.output.is_some_and(Output::is_json);
    let style = terminal.style(Colour::Auto, terminal.stderr);
    match result {
        Ok(status) => status,
        Err(Fault::Mistake(problems)) => {
            if !problems.list.is_empty() {
                tell(&problems.to_text(terminal.stderr, style));
                if json {
                    told.document(&problems.to_json());
                }
            }
            Status::Usage
        }
        Err(Fault::Failure(message)) => {
            tell(&format!("{} {}\n", style.error("error:"), crate::render::text::escaped(&message, true)));
            if json {
                let document = json!({ "type": "error", "code": "failure", "message": message });
                told.document(&document);
            }
            Status::Failure
        }
    }
}

/// Writes to stderr.
pub(crate) fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
