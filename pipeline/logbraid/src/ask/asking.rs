//! A question for those who ask in somebody's stead: sessions keep the request and its answer.

use clap::ArgMatches;
use logbraid_query::{Answered, Asked, QuestionSpec, Window};
use serde_json::Value;

use super::args::AskArgs;
use super::door::Door;
use super::load::{self, Loaded};
use super::write::{self, Shape};
use super::{answer, commands, documents};
use crate::cli::{Fault, Status, Terminal};
use crate::problem::Problem;

/// A question and the options of every question, ready to be asked of any inputs.
pub(crate) struct Asking {
    spec: &'static QuestionSpec,
    asked: Box<dyn Asked>,
    args: AskArgs,
}

/// What came back.
pub(crate) struct Reply {
    answered: Answered,
    window: Window,
    complete: bool,
}

impl Asking {
    /// True when `words` begin with a question's name.
    pub(crate) fn is_question(words: &[String]) -> bool {
        split(words).is_some()
    }

    /// The question that `words` ask, as they stand on the command line.
    pub(crate) fn new(words: &[String]) -> Result<Self, Fault> {
        let Some((spec, rest)) = split(words) else {
            let first = words.first().map_or("", String::as_str);
            return Err(Problem::new("usage", format!("'{first}' is no question"))
                .help("`logbraid questions` lists them")
                .into());
        };
        let command = commands::page(spec).no_binary_name(true);
        Self::read(spec, &command.try_get_matches_from(rest).map_err(|error| Problem::of_usage(&error))?)
    }

    /// A question that was asked before: its own options, and those of every question.
    pub(crate) fn again(name: &str, request: &Value, options: &Value) -> Result<Self, Fault> {
        let spec = logbraid_query::question(name)
            .ok_or_else(|| Problem::new("session", format!("there is no question '{name}' any more")))?;
        let nothing: [&str; 0] = [];
        // Required options are in the request.
        let command = commands::page(spec).no_binary_name(true).ignore_errors(true);
        let matches = command.try_get_matches_from(nothing).map_err(|error| Problem::of_usage(&error))?;
        let mut args = AskArgs::read(&matches);
        args.door = serde_json::from_value::<Door>(options.clone())
            .map_err(|error| Problem::new("session", format!("the options of '{name}': {error}")))?;
        Ok(Self { spec, asked: (spec.from_json)(request)?, args })
    }

    fn read(spec: &'static QuestionSpec, matches: &ArgMatches) -> Result<Self, Fault> {
        let mut asked = (spec.from_matches)(matches).map_err(|error| Problem::of_usage(&error))?;
        asked.attach(&mut documents::Files)?;
        let args = AskArgs::read(matches);
        args.door.check()?;
        Ok(Self { spec, asked, args })
    }

    /// The question's name.
    pub(crate) const fn name(&self) -> &'static str {
        self.spec.name
    }
    /// Its own options as JSON.
    pub(crate) fn request(&self) -> Result<Value, Fault> {
        Ok(self.asked.to_json()?)
    }
    /// The options of every question as JSON.
    pub(crate) fn options(&self) -> Result<Value, Fault> {
        serde_json::to_value(&self.args.door).map_err(|error| Fault::Failure(error.to_string()))
    }
    /// The inputs among its words.
    pub(crate) fn inputs(&self) -> &[String] {
        &self.args.inputs
    }
    /// How its answer is to look on `terminal`.
    pub(crate) fn shape(&self, terminal: &Terminal) -> Shape {
        self.args.shape(terminal)
    }

    /// Asks it of `inputs`.
    pub(crate) fn answer(&self, inputs: Vec<String>, terminal: &Terminal) -> Result<Reply, Fault> {
        let read = load::Read {
            inputs,
            needs_entries: self.asked.needs_entries(),
            config: self.args.config.clone().into(),
            format: self.args.format.clone(),
            memory: self.args.memory,
            quiet: self.args.quiet,
            colour: self.args.color,
            usage: self.spec.name,
        };
        let Loaded { window, complete } = load::read(&read, terminal)?;
        let window = self.args.door.cut(window)?;
        let answered = answer(self.asked.as_ref(), &window, &self.shape(terminal))?;
        Ok(Reply { answered, window, complete })
    }
}

impl Reply {
    /// The whole answer.
    pub(crate) fn document(&self) -> Result<Value, Fault> {
        Ok(self.answered.to_value()?)
    }
    /// True when something was found.
    pub(crate) const fn is_found(&self) -> bool {
        self.answered.found
    }
    /// The answer as it is shown.
    pub(crate) fn written(&self, shape: &Shape) -> Result<String, Fault> {
        Ok(write::write(&self.answered, &self.window, shape)?.text)
    }
    /// The exit status that it stands for.
    pub(crate) const fn status(&self) -> Status {
        if !self.complete {
            Status::Failure
        } else if self.answered.found {
            Status::Done
        } else {
            Status::NOTHING
        }
    }
}

/// The question at the beginning of `words`, and the words after its name.
fn split(words: &[String]) -> Option<(&'static QuestionSpec, &[String])> {
    let (first, rest) = words.split_first()?;
    if let Some(spec) = logbraid_query::question(first) {
        return Some((spec, rest));
    }
    let (second, rest) = rest.split_first()?;
    Some((logbraid_query::question(&format!("{first} {second}"))?, rest))
}
