//! What is asked about: files, which are read when they are first asked about and again when they have changed, or a
//! running logbraid.

use std::sync::{Arc, Mutex, PoisonError};

use logbraid_query::Window;
use logbraid_runtime::admin::Reply;
use serde_json::{Map, Value};

use super::McpArgs;
use super::tools::Spec;
use crate::ask::client::{self, Address};
use crate::ask::live::{Live, Request};
use crate::ask::load::{self, Loaded, Read};
use crate::ask::state::State;
use crate::board::Board;
use crate::cli::args::Colour;
use crate::cli::{Fault, Terminal};
use crate::problem::Problem;

/// Sets of inputs that are kept in memory.
const KEPT_MAX: usize = 2;

/// What is asked about.
pub(super) enum Source {
    /// The window of a running logbraid.
    Live(Address),
    /// What runs in this process.
    Here {
        /// Its window.
        live: Arc<Live>,
        /// Its findings.
        board: Arc<Board>,
    },
    /// Files.
    Files(Arc<Files>),
}

/// Files, and what was read of them.
pub(super) struct Files {
    read: Read,
    terminal: Terminal,
    /// Newest last. A std mutex: held while files are read, so that two calls do not read the same ones; only threads
    /// that may wait take it.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    inputs: Vec<String>,
    state: State,
    window: Window,
    board: Option<Arc<Board>>,
}

impl Source {
    /// What the command line names. Files that do not exist are told at once.
    pub(super) fn new(args: &McpArgs, terminal: Terminal) -> Result<Self, Fault> {
        if let Some(address) = client::address(&args.inputs)? {
            return Ok(Self::Live(address));
        }
        if !args.inputs.is_empty() {
            State::of(&args.inputs)?;
        }
        let read = Read {
            inputs: args.inputs.clone(),
            needs_entries: true,
            config: args.config.clone().into(),
            format: args.format.clone(),
            memory: args.memory,
            quiet: true,
            colour: Colour::Never,
            usage: "mcp",
        };
        Ok(Self::Files(Arc::new(Files { read, terminal, kept: Mutex::default() })))
    }

    /// True when each call says what to read.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Files(files) if files.read.inputs.is_empty())
    }
}

/// The answer in `reply`, or why there is none.
pub(super) fn answered(reply: Reply) -> Result<String, Fault> {
    if reply.status == 200 {
        return Ok(reply.body);
    }
    // Its body is the document of a problem already.
    let document: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    Err(Problem::new("query", text("message").unwrap_or(reply.body)).maybe_help(text("help")).into())
}

impl Files {
    /// Answers a question; may take as long as reading does.
    pub(super) fn answer(
        &self,
        spec: &Spec,
        arguments: Map<String, Value>,
        inputs: Option<Vec<String>>,
    ) -> Result<String, Fault> {
        let request = Request::of_json(spec.question, arguments)?;
        let window = self.look(inputs, |kept| kept.window.clone())?;
        answered(request.answer(window))
    }

    /// The board of the inputs that the command line names.
    pub(super) fn board(&self) -> Result<Arc<Board>, Fault> {
        let read = &self.read;
        self.look(None, |kept| {
            if let Some(board) = &kept.board {
                return Ok(Arc::clone(board));
            }
            let board = load::board(read, &self.terminal)?;
            kept.board = Some(Arc::clone(&board));
            Ok(board)
        })?
    }

    /// Looks at what was read of `inputs`, or of those that the command line names.
    fn look<T>(&self, inputs: Option<Vec<String>>, take: impl FnOnce(&mut Kept) -> T) -> Result<T, Fault> {
        let inputs = inputs.unwrap_or_else(|| self.read.inputs.clone());
        if inputs.is_empty() {
            return Err(Problem::new("input", "this server was started without inputs")
                .help("name files in `inputs`, such as [\"/var/log/app/*.log\"]")
                .into());
        }
        let state = State::of(&inputs)?;
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|kept| kept.inputs == inputs && kept.state == state);
        let kept = if let Some(place) = known {
            all.remove(place)
        } else {
            // What was read of older versions goes first: two windows need not fit into memory.
            all.retain(|kept| kept.inputs != inputs);
            let read = Read { inputs: inputs.clone(), ..self.read.clone() };
            let Loaded { window, .. } = load::read(&read, &self.terminal)?;
            Kept { inputs, state, window, board: None }
        };
        if all.len() >= KEPT_MAX {
            all.remove(0);
        }
        all.push(kept);
        match all.last_mut() {
            Some(kept) => Ok(take(kept)),
            None => Err(Fault::Failure("nothing was read".to_owned())),
        }
    }
}
