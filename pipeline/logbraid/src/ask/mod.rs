//! Questions: asked on the command line of files or of a running logbraid, and over HTTP of a running one.
//!
//! ```text
//!  words ─► clap ─┬─► files ─► load: the daemon's chain, until the input ends ─► Window ─┐
//!                 └─► http://… ─► client ───────────────┐                                ├─► ask ─► write
//!  GET, POST /query/… ─► live: the running chain's view ─┴───────────────────────────────┘
//! ```

mod args;
mod asking;
mod client;
mod commands;
mod documents;
mod door;
mod follow;
mod list;
mod live;
mod load;
pub(crate) mod mcp;
mod project;
mod state;
mod tables;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use asking::Asking;
pub(crate) use client::{Address, address};
pub use commands::{augment, is_question, names, page};
pub use follow::WatchArgs;
pub(crate) use follow::watch;
pub(crate) use list::list;
pub(crate) use live::{Live, Readers, Request};
pub(crate) use load::{
    Loaded, Read, board as load_board, configuration, plan as run_plan, read as load_window,
};
pub use mcp::McpArgs;
pub(crate) use state::State;
pub(crate) use write::{Form, Shape, extras, spliced, write, write_document};
#[cfg(feature = "reference")]
pub(crate) use {commands::summary, door::Door, list::examples};

use clap::ArgMatches;
use logbraid_query::{Answered, Asked, Canvas, QuestionError, Window};

use crate::cli::{Fault, Status, Terminal, print};
use crate::problem::Problem;

impl From<QuestionError> for Problem {
    fn from(error: QuestionError) -> Self {
        let QuestionError { code, message, help } = error;
        Self::new(code, message.replace('`', "'")).maybe_help(help)
    }
}

impl From<QuestionError> for Fault {
    fn from(error: QuestionError) -> Self {
        Problem::from(error).into()
    }
}

/// Answers the question that stands in `matches`, the words after its name.
pub(crate) fn ask(name: &str, matches: &ArgMatches, terminal: &Terminal) -> Result<Status, Fault> {
    let (spec, matches) = commands::find(name, matches)
        .ok_or_else(|| Fault::Failure(format!("there is no question '{name}'")))?;
    let mut asked = (spec.from_matches)(matches).map_err(|error| {
        let text = error.to_string();
        Problem::new(
            "usage",
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        )
    })?;
    let args = args::AskArgs::read(matches);
    if name == "view" && matches.get_flag("follow") {
        return follow::view(matches, &args, terminal);
    }
    asked.attach(&mut documents::Files)?;
    if let Some(url) = client::address(&args.inputs)? {
        return client::ask(&url, asked.as_ref(), &args, terminal);
    }
    let shape = args.shape_of(asked.as_ref(), terminal);
    let inputs = if args.inputs.is_empty() { asked.inputs() } else { args.inputs.clone() };
    let read = load::Read {
        inputs,
        needs_entries: asked.needs_entries(),
        config: args.config.clone().into(),
        format: args.format.clone(),
        memory: args.memory,
        quiet: args.quiet,
        colour: args.color,
        usage: spec.name,
    };
    let door = &args.door;
    door.check()?;
    let loaded = load::read(&read, terminal)?;
    let window = door.cut(loaded.window)?;
    let answered = answer(asked.as_ref(), &window, &shape)?;
    let text = match asked.out().filter(|_| answered.found) {
        Some(path) => write_to(path, &answered, &window, &shape)?,
        None => write::write(&answered, &window, &shape)?.text,
    };
    let status = if !loaded.complete {
        Status::Failure
    } else if answered.found {
        Status::Done
    } else {
        Status::NOTHING
    };
    print(text.as_bytes());
    Ok(status)
}

/// Writes an answer to a file, whole; what is left for stdout, and for its budget, is the document that describes it.
fn write_to(path: &str, answered: &Answered, window: &Window, shape: &Shape) -> Result<String, Fault> {
    let whole = Shape { max_bytes: None, terminal: false, ..shape.clone() };
    let text = write::write(answered, window, &whole)?.text;
    std::fs::write(path, text).map_err(|error| {
        Problem::new("output", format!("cannot write `{path}`: {error}"))
            .help("name a file in a folder that exists and may be written to")
    })?;
    let told = Shape { form: Form::Json, compact: false, fields: Vec::new(), ..shape.clone() };
    Ok(write_document(answered.to_value()?, &told)?.text)
}

/// Asks, and draws where people will read.
pub(crate) fn answer(asked: &dyn Asked, window: &Window, shape: &Shape) -> Result<Answered, QuestionError> {
    let canvas = (shape.form == Form::Pretty).then(|| Canvas::new(shape.width, shape.colour));
    asked.ask(window, canvas)
}
