//! Questions about what runs: over HTTP, of the running chain's index, without slowing the stream.
//!
//! Two threads answer that run when the stream leaves a core idle; a few questions may wait for them, and the rest are
//! told to come again. A new view is asked for at most ten times a second, whoever asks.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use logbraid_core::Span;
use logbraid_index::{IndexReader, View};
use logbraid_query::{Answered, Asked as Question, Formats, QUESTIONS, QuestionSpec, Window};
use logbraid_runtime::admin::{Asked, Questions, Reply};
use logbraid_runtime::clock::Clock;
use logbraid_runtime::run::MakeChain;
use serde_json::{Map, Value};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

use super::args::{self, AskArgs, Output};
use super::door::Door;
use super::write::{Form, Shape};
use crate::problem::{Problem, Problems, choices};
use crate::render::View as Drawing;

/// Threads that answer.
const THREADS: usize = 2;
/// They run while the stream leaves a core idle, and leave it at once when it wakes: a thread that is merely nice keeps
/// its slice, which a hundred clients made the stream feel as 14 % (5 % like this).
const POLICY: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
/// Questions that may wait; more are told to come again.
const WAITING_MAX: usize = 16;
/// A new view is asked for no more often than this.
const REFRESH_EVERY: Span = Span::from_millis(100);
/// How long a question waits for a view that was asked for.
const REFRESH_WAIT: Duration = Duration::from_millis(60);
const REFRESH_LOOK: Duration = Duration::from_millis(2);
/// Longest answer.
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Says whether anything was found.
pub(super) const FOUND: &str = "x-logbraid-found";
/// Says which logbraid answers.
pub(super) const VERSION: &str = "x-logbraid-version";

type Job = Box<dyn FnOnce() + Send>;

/// Answers questions about a running chain.
pub(crate) struct Live {
    window: Source,
    jobs: SyncSender<Job>,
}

/// What windows are made of.
#[derive(Clone)]
struct Source {
    readers: Readers,
    clock: Arc<dyn Clock>,
    formats: Arc<Formats>,
    refreshed: Arc<Mutex<Span>>,
}

/// The indexes of all chains of a run: one for files and pipes, and one for each partition of Kafka. A chain that has
/// ended takes its index with it.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<Vec<Weak<IndexReader>>>>);

impl Readers {
    /// Takes note of the index of each chain that `make` makes.
    pub(crate) fn of(&self, make: MakeChain) -> MakeChain {
        let readers = self.clone();
        Box::new(move || {
            let chain = make()?;
            let found =
                chain.shared().into_iter().find_map(|(_, shared)| shared.downcast::<IndexReader>().ok());
            if let Some(reader) = found {
                let mut known = readers.0.lock().unwrap_or_else(PoisonError::into_inner);
                known.retain(|reader| reader.strong_count() > 0);
                known.push(Arc::downgrade(&reader));
            }
            Ok(chain)
        })
    }

    fn all(&self) -> Vec<Arc<IndexReader>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    }

    /// Asks for new views.
    fn ask(&self) {
        self.all().iter().for_each(|reader| reader.ask());
    }

    /// True while nobody has looked at what was asked for last.
    fn are_waiting(&self) -> bool {
        self.all().iter().all(|reader| reader.is_waiting())
    }

    /// How many views were published by all.
    fn number(&self) -> u64 {
        self.all().iter().map(|reader| reader.view().number()).sum()
    }

    /// One view of all; none without an index.
    fn view(&self) -> Option<Arc<View>> {
        let views: Vec<Arc<View>> = self.all().iter().map(|reader| reader.view()).collect();
        match views.as_slice() {
            [] => None,
            [one] => Some(Arc::clone(one)),
            _ => Some(Arc::new(View::union(&views))),
        }
    }
}

impl Live {
    /// Answers from the indexes of `readers`; without any, says how to get one.
    pub(crate) fn new(readers: Readers, clock: Arc<dyn Clock>, formats: Formats) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..THREADS {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name(format!("query-{number}")).spawn(move || work(&waiting))?;
        }
        let refreshed = Arc::new(Mutex::new(Span::from_nanos(i64::MIN / 2)));
        let formats = Arc::new(formats);
        let window = Source { readers, clock, formats, refreshed };
        Ok(Self { window, jobs })
    }
}

#[cfg(test)]
impl Live {
    /// Keeps every thread busy and every place taken until the guard is dropped.
    pub(super) fn hold(&self) -> Arc<Mutex<()>> {
        let gate = Arc::new(Mutex::new(()));
        for _ in 0..THREADS + WAITING_MAX {
            let gate = Arc::downgrade(&gate);
            let job = move || {
                while gate.strong_count() > 0 {
                    std::thread::yield_now();
                }
            };
            let mut job: Job = Box::new(job);
            // The threads take theirs when they come to it.
            while let Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) =
                self.jobs.try_send(job)
            {
                job = back;
                std::thread::yield_now();
            }
        }
        gate
    }
}

/// Answers until nobody can ask any more.
fn work(waiting: &Mutex<Receiver<Job>>) {
    // Where the system refuses, questions are as dear as the stream.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, POLICY);
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

impl Source {
    /// Asks for a new view and waits for it a little; soon after another question did, the view of that one will do.
    async fn refresh(&self) {
        // A stream that has not moved since the last question has nothing new, and would be waited for in vain.
        if self.readers.are_waiting() {
            return;
        }
        let due = {
            let mut last = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.clock.uptime();
            let due = now.nanos().saturating_sub(last.nanos()) >= REFRESH_EVERY.nanos();
            if due {
                *last = now;
            }
            due
        };
        if !due {
            return;
        }
        let before = self.readers.number();
        self.readers.ask();
        let looks = REFRESH_WAIT.as_millis() / REFRESH_LOOK.as_millis().max(1);
        for _ in 0..looks {
            if self.readers.number() > before {
                return;
            }
            tokio::time::sleep(REFRESH_LOOK).await;
        }
    }

    fn window(&self) -> Option<Window> {
        let view = self.readers.view()?;
        Some(Window::new(view, self.clock.now(), true).with_formats(Arc::clone(&self.formats)))
    }
}

impl Questions for Live {
    fn answer(&self, asked: Asked) -> BoxFuture<'static, Reply> {
        if asked.question.is_empty() {
            let body = super::list(true);
            return Box::pin(async { reply(200, "application/json", body) });
        }
        let (source, jobs) = (self.window.clone(), self.jobs.clone());
        Box::pin(async move {
            let request = match Request::read(&asked) {
                Ok(request) => request,
                Err(problem) if problem.code == "unknown_question" => return refused(404, problem),
                Err(problem) => return refused(400, problem),
            };
            source.refresh().await;
            let Some(window) = source.window() else {
                let problem = Problem::new("no_window", "this logbraid keeps no window that could be asked")
                    .help("add `- index: {}` to the operators of its configuration");
                return refused(404, problem);
            };
            let (send, answer) = tokio::sync::oneshot::channel();
            let job = move || {
                // Whoever has hung up is not answered.
                if !send.is_closed() {
                    let _ = send.send(request.answer(window));
                }
            };
            match jobs.try_send(Box::new(job)) {
                Ok(()) => answer.await.unwrap_or_else(|_| {
                    refused(500, Problem::new("failure", "the question was given up: this is a defect"))
                }),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    let mut busy = refused(
                        503,
                        Problem::new("busy", "too many questions at once").help("ask again in a second"),
                    );
                    busy.headers.push(("retry-after", "1".to_owned()));
                    busy
                }
            }
        })
    }
}

/// A question of another process, understood.
pub(crate) struct Request {
    asked: Box<dyn Question>,
    door: Door,
    shape: Shape,
}

/// How the answer is to look, beside what every question takes.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Looks {
    /// `json`, `ndjson` or `pretty`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
    /// Indented JSON.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) pretty: bool,
    /// Columns of a drawing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<usize>,
    /// Colours in a drawing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) colour: bool,
}

const LOOKS: [&str; 4] = ["output", "pretty", "width", "colour"];

impl Request {
    fn read(asked: &Asked) -> Result<Self, Problem> {
        let name = asked.question.trim_matches('/').replace('/', " ");
        let spec = logbraid_query::question(&name).ok_or_else(|| {
            let names = QUESTIONS.iter().map(|spec| spec.name);
            Problem::new("unknown_question", format!("there is no question '{name}'")).help(choices(
                &name,
                "there are",
                names,
            ))
        })?;
        match asked.body.as_ref().filter(|body| !body.trim_ascii().is_empty()) {
            Some(body) => Self::of_body(spec, body),
            None => Self::of_parameters(spec, &asked.parameters),
        }
    }

    fn of_body(spec: &QuestionSpec, body: &[u8]) -> Result<Self, Problem> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::new("usage", format!("the body is not JSON: {error}")))?;
        let Value::Object(map) = body else {
            return Err(Problem::new("usage", "the body is not a JSON object").help("try `{}`"));
        };
        Self::of_json(spec, map)
    }

    /// The question's own options, those of every question, and how the answer is to look.
    pub(super) fn of_json(spec: &QuestionSpec, mut map: Map<String, Value>) -> Result<Self, Problem> {
        let schema = (spec.request_schema)();
        let own = |name: &str| schema.get("properties").is_some_and(|all| all.get(name).is_some());
        let door = Door::take(&mut map, &own)?;
        let mut looks = Map::new();
        for name in LOOKS.into_iter().filter(|name| !own(name)) {
            if let Some(value) = map.shift_remove(name) {
                looks.insert(name.to_owned(), value);
            }
        }
        let looks: Looks = serde_json::from_value(Value::Object(looks))
            .map_err(|error| Problem::new("usage", error.to_string().replace('`', "'")))?;
        let asked = (spec.from_json)(&Value::Object(map))?;
        Self::new(asked, door, &looks)
    }

    /// Parameters have the options' names, and are read by the same definition.
    fn of_parameters(spec: &QuestionSpec, parameters: &[(String, String)]) -> Result<Self, Problem> {
        let command = (spec.augment)(clap::Command::new(spec.name).no_binary_name(true));
        let command = args::augment_remote(command).disable_help_flag(true);
        let mut words: Vec<String> = Vec::new();
        let mut places: Vec<(usize, String)> = Vec::new();
        for (name, value) in parameters {
            let long = name.replace('_', "-");
            let named = |arg: &&clap::Arg| {
                arg.get_long() == Some(&long)
                    || arg.get_all_aliases().is_some_and(|all| all.contains(&long.as_str()))
            };
            if let Some(arg) = command.get_arguments().find(named) {
                if arg.get_action().takes_values() {
                    words.push(format!("--{long}={value}"));
                } else if matches!(value.as_str(), "" | "true" | "1" | "yes") {
                    words.push(format!("--{long}"));
                } else if !matches!(value.as_str(), "false" | "0" | "no") {
                    let problem =
                        Problem::new("usage", format!("'{name}': '{value}' is neither true nor false"));
                    return Err(problem.help(format!("try `{name}=true`")));
                }
                continue;
            }
            let place = command.get_positionals().position(|arg| arg.get_id().as_str() == *name);
            let Some(place) = place else {
                let known: Vec<String> = command
                    .get_arguments()
                    .map(|arg| {
                        arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| long.replace('-', "_"))
                    })
                    .collect();
                return Err(Problem::new("usage", format!("'{}' has no option '{name}'", spec.name))
                    .help(choices(name, "there are", known.iter().map(String::as_str))));
            };
            places.push((place, value.clone()));
        }
        places.sort_by_key(|(place, _)| *place);
        if !places.is_empty() {
            words.push("--".to_owned());
            words.extend(places.into_iter().map(|(_, value)| value));
        }
        let usage = |error: clap::Error| {
            Problem::of_usage(&error)
                .help(format!("see `logbraid {} --help`: parameters have the options' names", spec.name))
        };
        let matches = command.try_get_matches_from(words).map_err(usage)?;
        let asked = (spec.from_matches)(&matches).map_err(usage)?;
        let args = AskArgs::read(&matches);
        let output = match args.output {
            Output::Auto => None,
            Output::Json => Some("json".to_owned()),
            Output::Ndjson => Some("ndjson".to_owned()),
            Output::Pretty => Some("pretty".to_owned()),
        };
        Self::new(asked, args.door, &Looks { output, pretty: args.pretty, ..Looks::default() })
    }

    fn new(asked: Box<dyn Question>, door: Door, looks: &Looks) -> Result<Self, Problem> {
        door.check()?;
        if asked.out().is_some() {
            return Err(Problem::new("usage", "`--out` is not for answers over HTTP")
                .help("leave it out, and write the answer where you asked"));
        }
        let form = match looks.output.as_deref() {
            None if asked.is_drawing() => Form::Pretty,
            None | Some("json" | "auto") => Form::Json,
            Some("ndjson") => Form::Ndjson,
            Some("pretty") => Form::Pretty,
            Some(other) => {
                return Err(Problem::new("usage", format!("'output': there is no '{other}'"))
                    .help("there are json, ndjson and pretty"));
            }
        };
        let most = door.max_bytes.map_or(ANSWER_BYTES_MAX, logbraid_core::ByteSize::as_usize);
        let shape = Shape {
            form,
            indent: looks.pretty,
            compact: door.compact,
            fields: door.fields.clone(),
            max_bytes: Some(most.min(ANSWER_BYTES_MAX)),
            width: looks.width.unwrap_or(Drawing::WIDTH_DEFAULT).clamp(Drawing::WIDTH_MIN, 1000),
            colour: looks.colour,
            terminal: false,
        };
        Ok(Self { asked, door, shape })
    }

    /// A request of this very process, whose documents are files, and whose answer has no bound but its own.
    pub(crate) fn of_program(spec: &QuestionSpec, map: Map<String, Value>) -> Result<Self, Problem> {
        let mut request = Self::of_json(spec, map)?;
        request.asked.attach(&mut super::documents::Files)?;
        request.shape.max_bytes = request.door.max_bytes.map(logbraid_core::ByteSize::as_usize);
        Ok(request)
    }

    /// The question's own options.
    pub(crate) fn own(&self) -> Result<Value, Problem> {
        Ok(self.asked.to_json()?)
    }

    /// The window that it is about.
    pub(crate) fn cut(&self, window: Window) -> Result<Window, Problem> {
        self.door.cut(window)
    }

    /// Asks `window`, as [`Self::cut`] made it.
    pub(crate) fn ask(&self, window: &Window) -> Result<Answered, Problem> {
        Ok(super::answer(self.asked.as_ref(), window, &self.shape)?)
    }

    /// How the answer is to look.
    pub(crate) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Answers from `window`; a refusal is an answer, too.
    pub(super) fn answer(&self, window: Window) -> Reply {
        let answered = self.door.cut(window).and_then(|window| {
            let answered = super::answer(self.asked.as_ref(), &window, &self.shape)?;
            let written = super::write(&answered, &window, &self.shape)?;
            Ok((answered.found, written))
        });
        match answered {
            Ok((found, written)) => {
                let mut reply = reply(200, written.media_type, written.text);
                reply.headers.push((FOUND, found.to_string()));
                reply
            }
            Err(problem) => refused(400, problem),
        }
    }
}

fn reply(status: u16, media_type: &'static str, body: String) -> Reply {
    let headers = vec![(VERSION, env!("CARGO_PKG_VERSION").to_owned())];
    Reply { status, media_type, headers, body }
}

fn refused(status: u16, problem: Problem) -> Reply {
    let document = Problems::from(problem).to_json();
    reply(status, "application/json", format!("{document}\n"))
}
