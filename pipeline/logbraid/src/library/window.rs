//! A window that is held.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_query::emit::Emit;
use logbraid_query::hierarchy::Chains;
use logbraid_query::{Question, QuestionSpec};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::{NO_TERMINAL, Reading};
use crate::ask::{
    Address, Form, Loaded, Read, Request, State, address, extras, load_board, load_window, spliced, write,
};
use crate::board::Board;
use crate::cli::Fault;
use crate::cli::args::Colour;
use crate::problem::{Problem, choices};

/// Inputs that were read, or the window of a running logbraid. It can be asked from several threads at the same time.
pub struct Window {
    inputs: Vec<String>,
    from: From,
}

enum From {
    Read(Box<Held>),
    Running(Address, Runtime),
}

struct Held {
    read: Read,
    /// The files as they were; none for what cannot be read twice.
    state: Option<State>,
    window: logbraid_query::Window,
    complete: bool,
    /// What a run finds in them, once somebody has asked.
    board: Mutex<Option<Arc<Board>>>,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

/// What a question is answered with.
pub enum Answer {
    /// A document, and what is said of every answer: how far it is complete.
    Document(Box<dyn erased_serde::Serialize + Send + Sync>, Map<String, Value>),
    /// A text of its own: a drawing, lines of JSON, an exported document.
    Text(String),
}

impl Window {
    /// Reads `inputs` to their end; they are named as on the command line. A single `http://HOST:PORT` is the window of
    /// a running logbraid, of which nothing is read before it is asked.
    pub fn open(inputs: Vec<String>, reading: &Reading) -> Result<Self, Fault> {
        if let Some(address) = address(&inputs)? {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime =
                runtime.map_err(|error| Fault::Failure(format!("the system refused to start: {error}")))?;
            return Ok(Self { inputs, from: From::Running(address, runtime) });
        }
        if inputs.is_empty() {
            return Err(Problem::new("usage", "there is nothing to read").help("name files").into());
        }
        let read = Read {
            inputs: inputs.clone(),
            needs_entries: true,
            config: reading.config.clone(),
            format: reading.format.clone(),
            memory: reading.memory,
            quiet: true,
            colour: Colour::Never,
            usage: "search",
        };
        let state = State::of(&inputs).ok();
        let Loaded { window, complete } = load_window(&read, &NO_TERMINAL)?;
        let held = Held { read, state, window, complete, board: Mutex::default() };
        Ok(Self { inputs, from: From::Read(Box::new(held)) })
    }

    /// The inputs as they were named.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// True when it is that of a running logbraid.
    pub const fn is_running(&self) -> bool {
        matches!(self.from, From::Running(..))
    }

    /// Entries in the window; none for that of a running logbraid.
    pub fn entries(&self) -> Option<u64> {
        match &self.from {
            From::Read(held) => Some(held.window.view().entries()),
            From::Running(..) => None,
        }
    }

    /// False when an input was lost on the way.
    pub fn is_complete(&self) -> bool {
        match &self.from {
            From::Read(held) => held.complete,
            From::Running(..) => true,
        }
    }

    /// True when files have changed since they were read.
    pub fn is_stale(&self) -> bool {
        match &self.from {
            From::Read(held) => {
                held.state.as_ref().is_some_and(|state| State::of(&self.inputs).as_ref() != Ok(state))
            }
            From::Running(..) => false,
        }
    }

    /// Asks `question`, such as `search` or `correlation run`. A request's keys are the question's options, and those of
    /// every question: `after`, `before`, `last`, `max_bytes`, `compact`, `fields`.
    pub fn ask(&self, question: &str, request: Map<String, Value>) -> Result<Answer, Fault> {
        let spec = find(question)?;
        match &self.from {
            From::Read(held) => held.answer(&Request::of_program(spec, request)?),
            From::Running(address, runtime) => {
                // A mistake is found here as well as there; what this one cannot say, that one need not be asked.
                Request::of_program(spec, request.clone())?;
                let response = runtime.block_on(address.question(spec.name, &Value::Object(request)))?;
                Ok(match serde_json::from_str::<Value>(&response.body) {
                    Ok(document @ Value::Object(_)) => Answer::Document(Box::new(document), Map::new()),
                    _ => Answer::Text(response.body),
                })
            }
        }
    }

    /// Takes each entry that `request`, of the question `emit`, asks for, in the order of time.
    pub fn each(
        &self,
        request: &Map<String, Value>,
        take: &mut dyn FnMut(logbraid_query::Entry),
    ) -> Result<(), Fault> {
        let From::Read(held) = &self.from else {
            let message = "entries of a running logbraid are not had as a table";
            return Err(Problem::new("usage", message).help("ask `search` or `sql`").into());
        };
        let question = Request::of_program(find(Emit::NAME)?, request.clone())?;
        let window = question.cut(held.window.clone())?;
        let emit: Emit = logbraid_core::reading::read(&question.own()?)
            .map_err(|misread| Problem::new("usage", misread.to_string()))?;
        Ok(emit.each(&window, take)?)
    }

    /// Requests that started others, as entries say it; of `root`, only those that began with it.
    pub fn chains(&self, root: Option<&str>) -> Result<Chains, Fault> {
        let From::Read(held) = &self.from else {
            let message = "chains of a running logbraid are told of one request at a time";
            return Err(Problem::new("usage", message).help("ask `hierarchy` about a request").into());
        };
        let all = Chains::all(&held.window);
        Ok(match root {
            Some(root) => all.below(root),
            None => all,
        })
    }

    /// What a run finds in the inputs, those that changed last first.
    pub fn findings(&self) -> Result<Vec<Value>, Fault> {
        let texts = match &self.from {
            From::Running(address, runtime) => {
                let board = runtime.block_on(address.get("/board?most=1000"))?;
                let board: Value = serde_json::from_str(&board).unwrap_or_default();
                let mut findings = board["findings"].as_array().cloned().unwrap_or_default();
                findings.reverse();
                return Ok(findings);
            }
            From::Read(held) => {
                let mut board = held.board.lock().unwrap_or_else(PoisonError::into_inner);
                let known = match &*board {
                    Some(known) => Arc::clone(known),
                    None => load_board(&held.read, &NO_TERMINAL)?,
                };
                *board = Some(Arc::clone(&known));
                known.findings()
            }
        };
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}

impl Held {
    fn answer(&self, request: &Request) -> Result<Answer, Fault> {
        let window = request.cut(self.window.clone())?;
        let answered = request.ask(&window)?;
        let shape = request.shape();
        let whole = !shape.compact && shape.fields.is_empty() && shape.max_bytes.is_none();
        let is_text = answered.written.is_some() || shape.form != Form::Json;
        if whole && !is_text {
            return Ok(Answer::Document(answered.document, extras(&window)));
        }
        let text = write(&answered, &window, shape)?.text;
        match serde_json::from_str::<Value>(&text) {
            Ok(document @ Value::Object(_)) if !is_text => {
                Ok(Answer::Document(Box::new(document), Map::new()))
            }
            _ => Ok(Answer::Text(text)),
        }
    }
}

impl Answer {
    /// The answer as text: a document as JSON on one line.
    pub fn into_text(self) -> Result<String, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Document(document, extras) => serde_json::to_string(&document)
                .map(|text| spliced(text, &extras))
                .map_err(|error| Fault::Failure(format!("the answer is not JSON: {error}"))),
        }
    }
}

fn find(name: &str) -> Result<&'static QuestionSpec, Problem> {
    logbraid_query::question(name).ok_or_else(|| {
        let all = logbraid_query::QUESTIONS.iter().map(|spec| spec.name);
        let problem = Problem::new("unknown_question", format!("there is no question '{name}'"));
        problem.help(choices(name, "there are", all))
    })
}
