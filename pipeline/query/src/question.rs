//! What a question is, and how every door asks one without knowing which.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_core::reading::Misread;
use logbraid_core::schema_of;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::text::{Style, escaped, fit};
use crate::{Entry, QuestionError, Window};

/// A question: its options are the request, from whichever door it comes.
///
/// Options carry the batch tool's names. What every question takes (inputs, time range, output, budget) belongs to the
/// doors and is not repeated here: a [`Window`] is already cut to the range of time.
pub trait Question: clap::Args + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name; two words for a sub-command, as in `correlation run`.
    const NAME: &'static str;
    /// Its manual: first line what it answers, then examples.
    const DOCS: &'static str;
    /// What it answers with: the top-level keys of the document.
    type Answer: Serialize + JsonSchema + Send + Sync + 'static;

    /// Inputs that the request itself names, as `context FILE LINE` does: they are read when the caller names no other.
    fn inputs(&self) -> Vec<String> {
        Vec::new()
    }
    /// Puts documents that the request names into it, such as a file of rules. Called by doors that may read files;
    /// requests that come over HTTP carry their documents.
    fn attach(&mut self, _documents: &mut dyn Documents) -> Result<(), QuestionError> {
        Ok(())
    }
    /// False when it is answered without any entry, so that nothing is read.
    fn needs_entries(&self) -> bool {
        true
    }

    /// True when the request asks for a drawing, as `--view tree` does: then it is drawn even where nobody reads along.
    fn is_drawing(&self) -> bool {
        false
    }

    /// Answers. The same window gives the same answer.
    fn ask(&self, window: &Window) -> Result<Reply<Self::Answer>, QuestionError>;

    /// Draws the answer for people. False when it has no drawing of its own; then tables are made of the document.
    fn draw(&self, _answer: &Self::Answer, _canvas: &mut Canvas) -> bool {
        false
    }

    /// A file that the answer is written to instead, by doors that may write files; the others refuse.
    fn out(&self) -> Option<&str> {
        None
    }

    /// The answer in a form of its own instead of a JSON document: lines of NDJSON, an exported page.
    fn written(&self, _answer: &Self::Answer) -> Option<Written> {
        None
    }
}

/// Documents (YAML or JSON) beside the logs, as a door can reach them.
pub trait Documents {
    /// Reads one. Fails when it cannot be read, or is neither YAML nor JSON.
    fn read(&mut self, path: &str) -> Result<Value, QuestionError>;
    /// The path of the first of `names` that exists in `folder` (by default the working folder) or one above it.
    fn find(&mut self, folder: Option<&str>, names: &[&str]) -> Option<String>;
}

/// An answer, and whether anything was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<A> {
    /// The answer.
    pub answer: A,
    /// False makes the exit status 1.
    pub found: bool,
}

impl<A> Reply<A> {
    /// Something was found.
    pub const fn found(answer: A) -> Self {
        Self { answer, found: true }
    }
    /// Found if `found`.
    pub const fn when(found: bool, answer: A) -> Self {
        Self { answer, found }
    }
}

/// An answer that is a document of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its media type, such as `application/x-ndjson` or `text/html`.
    pub media_type: &'static str,
    /// Its text.
    pub text: String,
}

/// Where drawings go: so many columns, with colours or without.
#[derive(Debug, Clone, Default)]
pub struct Canvas {
    /// Columns that a line may take.
    pub width: usize,
    /// True when escape sequences of colour are welcome.
    pub colour: bool,
    /// What was drawn: lines that end in `\n`, in which nothing of a log is left unescaped.
    pub text: String,
}

impl Canvas {
    /// Nothing drawn yet.
    pub const fn new(width: usize, colour: bool) -> Self {
        Self { width, colour, text: String::new() }
    }
    /// Colours, or none.
    pub const fn style(&self) -> Style {
        if self.colour { Style::COLOUR } else { Style::PLAIN }
    }
    /// Draws a line: `text` is made harmless and cut to the width, then painted.
    pub fn line(&mut self, text: &str, paint: impl Fn(Style, &str) -> String) {
        let line = escaped(text, true);
        let line = fit(&line, self.width);
        let line = paint(self.style(), line.trim_end());
        self.text.push_str(&line);
        self.text.push('\n');
    }
    /// Draws an empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }
    /// Draws an entry as a line: time, level, service, message.
    pub fn entry(&mut self, entry: &Entry) {
        let mut line = String::new();
        match entry.timestamp {
            Some(time) => {
                let _ = write!(line, "{time:<24} ");
            }
            None => line.push_str("-                        "),
        }
        let level = entry.level.map_or("", logbraid_core::Level::name);
        let service = entry.service.as_deref().unwrap_or("-");
        let first = entry.message.lines().next().unwrap_or_default();
        let _ = write!(line, "{level:<5} {service} {first}");
        self.line(&line, |style, text| style.level(entry.level, text));
    }
}

/// An answered question, of whatever kind.
pub struct Answered {
    /// The document, ready to be written by serde.
    pub document: Box<dyn erased_serde::Serialize + Send + Sync>,
    /// False makes the exit status 1.
    pub found: bool,
    /// The answer in a form of its own, where it has one.
    pub written: Option<Written>,
    /// What people see, where a drawing was asked for and the answer has one.
    pub drawn: Option<String>,
}

impl Answered {
    /// The document as a value. Answers are plain data, so that this cannot fail but for numbers that JSON has not.
    pub fn to_value(&self) -> Result<Value, QuestionError> {
        serde_json::to_value(&self.document)
            .map_err(|error| QuestionError::new("answer", format!("the answer is not JSON: {error}")))
    }
}

/// A request, of whatever kind.
pub trait Asked: Send + Sync {
    /// The question's name.
    fn name(&self) -> &'static str;
    /// Answers; with a canvas, draws too.
    fn ask(&self, window: &Window, canvas: Option<Canvas>) -> Result<Answered, QuestionError>;
    /// Inputs that the request itself names.
    fn inputs(&self) -> Vec<String>;
    /// Puts documents that the request names into it.
    fn attach(&mut self, documents: &mut dyn Documents) -> Result<(), QuestionError>;
    /// False when nothing need be read for it.
    fn needs_entries(&self) -> bool;
    /// True when it asks for a drawing.
    fn is_drawing(&self) -> bool;
    /// A file that the answer is written to.
    fn out(&self) -> Option<&str>;
    /// The request as JSON, for another process.
    fn to_json(&self) -> Result<Value, QuestionError>;
}

impl<Q: Question> Asked for Q {
    fn name(&self) -> &'static str {
        Q::NAME
    }
    fn ask(&self, window: &Window, canvas: Option<Canvas>) -> Result<Answered, QuestionError> {
        let Reply { answer, found } = Question::ask(self, window)?;
        let written = self.written(&answer);
        let drawn =
            canvas.and_then(|mut canvas| Question::draw(self, &answer, &mut canvas).then_some(canvas.text));
        Ok(Answered { document: Box::new(answer), found, written, drawn })
    }
    fn inputs(&self) -> Vec<String> {
        Question::inputs(self)
    }
    fn attach(&mut self, documents: &mut dyn Documents) -> Result<(), QuestionError> {
        Question::attach(self, documents)
    }
    fn needs_entries(&self) -> bool {
        Question::needs_entries(self)
    }
    fn is_drawing(&self) -> bool {
        Question::is_drawing(self)
    }
    fn out(&self) -> Option<&str> {
        Question::out(self)
    }
    fn to_json(&self) -> Result<Value, QuestionError> {
        serde_json::to_value(self)
            .map_err(|error| QuestionError::new("usage", format!("the request is not JSON: {error}")))
    }
}

/// A question as the doors know it.
pub struct QuestionSpec {
    /// Its name; two words for a sub-command.
    pub name: &'static str,
    /// Its manual.
    pub docs: &'static str,
    /// Adds its options to a command.
    pub augment: fn(clap::Command) -> clap::Command,
    /// Reads a request from the command line.
    pub from_matches: fn(&clap::ArgMatches) -> Result<Box<dyn Asked>, clap::Error>,
    /// Reads a request from JSON; unknown keys are mistakes.
    pub from_json: fn(&Value) -> Result<Box<dyn Asked>, QuestionError>,
    /// The schema of its request.
    pub request_schema: fn() -> Schema,
    /// The schema of its answer.
    #[cfg(feature = "answers")]
    pub answer_schema: fn() -> Schema,
}

impl QuestionSpec {
    /// The question `Q`.
    pub const fn of<Q: Question>() -> Self {
        Self {
            name: Q::NAME,
            docs: Q::DOCS,
            augment: Q::augment_args,
            from_matches: |matches| Ok(Box::new(Q::from_arg_matches(matches)?)),
            from_json: from_json::<Q>,
            request_schema: schema_of::<Q>,
            #[cfg(feature = "answers")]
            answer_schema: schema_of::<Q::Answer>,
        }
    }
}

/// The options of each question that was asked so far: making a schema costs more than many an answer.
static OPTIONS: Mutex<BTreeMap<&'static str, Arc<[String]>>> = Mutex::new(BTreeMap::new());

/// The options of the question `name`, whose request has `schema`.
fn options(name: &'static str, schema: fn() -> Schema) -> Arc<[String]> {
    let mut known = OPTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let options = known.entry(name).or_insert_with(|| {
        let schema = schema();
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(serde_json::Map::keys).cloned().collect()
    });
    Arc::clone(options)
}

/// `flatten` and `deny_unknown_fields` do not go together in serde, hence this check.
fn refuse_unknown(name: &str, known: &[String], value: &Value) -> Result<(), QuestionError> {
    let mut keys = value.as_object().into_iter().flat_map(serde_json::Map::keys);
    let Some(key) = keys.find(|key| !known.contains(key)) else { return Ok(()) };
    let error = QuestionError::new("usage", format!("`{name}` has no option `{key}`"));
    let near = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
    Err(match near.filter(|near| strsim::damerau_levenshtein(near, key) <= 3) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("it has {}", known.join(", "))),
    })
}

fn from_json<Q: Question>(value: &Value) -> Result<Box<dyn Asked>, QuestionError> {
    refuse_unknown(Q::NAME, &options(Q::NAME, schema_of::<Q>), value)?;
    match logbraid_core::reading::read::<Q>(value) {
        Ok(request) => Ok(Box::new(request)),
        Err(Misread { path, message }) => {
            Err(QuestionError::new("usage", format!("`{}`: `{path}`: {message}", Q::NAME)))
        }
    }
}
