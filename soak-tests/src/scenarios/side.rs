//! One scenario of ours, made ready: what it takes as given is built, what is timed is left.

use std::fs;
use std::io;
use std::path::PathBuf;

use logbraid_core::Group;
use logbraid_operators::{error_flow, hierarchy};
use logbraid_query::hierarchy::Hierarchy;
use logbraid_query::{Answered, Asked, Canvas, Window};
use serde_json::{Map, Value, json};

use super::case::{Call, Case};
use super::truth::Truth;
use super::{forest, ours};
use crate::stopwatch::Stopwatch;

/// Columns of a drawing.
const WIDTH: usize = 120;

/// A scenario, ready to be timed.
pub struct Side<'a> {
    window: Option<&'a Window>,
    files: &'a [(String, PathBuf)],
    scratch: PathBuf,
    what: What,
}

enum What {
    /// Questions to a held window.
    Questions(Vec<Box<dyn Asked>>),
    /// Gather the entries of a thread's spans, build their tree.
    Forest(String),
    /// Errors of a tree that is there.
    Errors(Box<Group>),
    /// Draw an answer that is there; in a few words, or whole.
    Draw(Box<Hierarchy>, Box<logbraid_query::hierarchy::Answer>, bool),
    /// Read a database; then ask, or write its rows to a file.
    Database(Box<dyn Asked>),
}

impl<'a> Side<'a> {
    /// Makes `case` ready; `None` when it is a process.
    ///
    /// # Errors
    /// When a question does not understand its request, or what is given cannot be built.
    pub fn new(
        case: &Case,
        window: Option<&'a Window>,
        files: &'a [(String, PathBuf)],
        truth: &Truth,
        scratch: PathBuf,
    ) -> io::Result<Option<Self>> {
        let mut asked = case
            .ours(truth)
            .iter()
            .map(|(name, request)| ours::asked(name, request))
            .collect::<io::Result<Vec<_>>>()?;
        let root = truth.first_thread();
        let held = || window.ok_or_else(|| io::Error::other("nothing was read"));
        let what = match case.call {
            Call::MaxBytes(_) => return Ok(None),
            Call::Hierarchy => What::Forest(root),
            Call::ErrorFlow => {
                let mut group = forest::group(held()?.view(), &root)?;
                group.hierarchy = Some(hierarchy::build(&group, &hierarchy::Linking::default()));
                What::Errors(Box::new(group))
            }
            Call::TreeSummary | Call::Tree => {
                let question: Hierarchy = serde_json::from_value(json!({"id": root, "max_depth": 1000}))?;
                let reply = logbraid_query::Question::ask(&question, held()?)
                    .map_err(|error| io::Error::other(format!("{error:?}")))?;
                What::Draw(Box::new(question), Box::new(reply.answer), case.call == Call::Tree)
            }
            Call::Convert | Call::SearchDb => match asked.pop() {
                Some(asked) => What::Database(asked),
                None => return Ok(None),
            },
            _ => What::Questions(asked),
        };
        Ok(Some(Self { window, files, scratch, what }))
    }

    /// Does it once: the milliseconds it took, and what the answer says.
    ///
    /// # Errors
    /// When it cannot be answered.
    pub fn run(&self) -> io::Result<(f64, Map<String, Value>)> {
        let watch = Stopwatch::start();
        match &self.what {
            What::Questions(asked) => {
                let window = self.window.ok_or_else(|| io::Error::other("nothing was read"))?;
                let mut out = Vec::new();
                let answers = asked
                    .iter()
                    .map(|asked| ours::ask(asked.as_ref(), window, &mut out))
                    .collect::<io::Result<Vec<Answered>>>()?;
                let ms = watch.seconds() * 1000.0;
                let mut said = Map::new();
                for (asked, answered) in asked.iter().zip(&answers) {
                    let document =
                        answered.to_value().map_err(|error| io::Error::other(format!("{error:?}")))?;
                    collect(asked.name(), &document, &mut said);
                }
                said.insert("bytes".to_owned(), json!(out.len()));
                Ok((ms, said))
            }
            What::Forest(root) => {
                let window = self.window.ok_or_else(|| io::Error::other("nothing was read"))?;
                let group = forest::group(window.view(), root)?;
                let tree = hierarchy::build(&group, &hierarchy::Linking::default());
                let ms = watch.seconds() * 1000.0;
                Ok((ms, map([("nodes", json!(tree.nodes.len()))])))
            }
            What::Errors(group) => {
                let flow = error_flow::trace(group);
                let ms = watch.seconds() * 1000.0;
                let nodes = group.hierarchy.iter().flat_map(|tree| &tree.nodes);
                let errors = nodes.filter(|node| node.errors > 0).count();
                let causes = flow.map_or(0, |flow| flow.root_causes.len());
                Ok((ms, map([("error_nodes", json!(errors)), ("root_causes_told", json!(causes))])))
            }
            What::Draw(question, answer, whole) => {
                let mut canvas = Canvas::new(WIDTH, false);
                if *whole {
                    logbraid_query::Question::draw(question.as_ref(), answer, &mut canvas);
                } else {
                    let logbraid_query::hierarchy::Answer {
                        total_nodes, max_depth, total_duration_ms, ..
                    } = answer.as_ref();
                    let errors = answer.error_nodes.len();
                    canvas.text = format!(
                        "{total_nodes} nodes, {max_depth} deep, {total_duration_ms:?}, {errors} with errors, {:?}",
                        answer.bottleneck
                    );
                }
                let ms = watch.seconds() * 1000.0;
                Ok((
                    ms,
                    map([
                        ("characters", json!(canvas.text.len())),
                        ("lines", json!(canvas.text.lines().count())),
                    ]),
                ))
            }
            What::Database(asked) => {
                let window = ours::window(self.files)?;
                let mut out = Vec::new();
                let answered = ours::ask(asked.as_ref(), &window, &mut out)?;
                if asked.name() == "emit" {
                    fs::write(&self.scratch, &out)?;
                }
                let ms = watch.seconds() * 1000.0;
                if asked.name() == "emit" {
                    let rows = memchr::memchr_iter(b'\n', &out).count();
                    return Ok((ms, map([("rows", json!(rows))])));
                }
                let document = answered.to_value().map_err(|error| io::Error::other(format!("{error:?}")))?;
                let mut said = Map::new();
                collect(asked.name(), &document, &mut said);
                Ok((ms, said))
            }
        }
    }
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the answer to `question` says, in the words of the comparison.
fn collect(question: &str, document: &Value, said: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Value| {
        said.insert(name.to_owned(), value);
    };
    match question {
        "search" => {
            set("matches", document["summary"]["total_matches"].clone());
            let entries = document["results"].as_array().or_else(|| document["matches"].as_array());
            if let Some(entries) = entries {
                set("returned", json!(entries.len()));
                let lines: Vec<&Value> = entries.iter().map(|entry| &entry["source"]["line"]).collect();
                set("lines", json!(lines));
                let sum = said.get("entries").and_then(Value::as_u64).unwrap_or(0);
                said.insert("entries".to_owned(), json!(sum + entries.len() as u64));
            }
        }
        "hierarchy" => set("nodes", document["total_nodes"].clone()),
        "correlate" => {
            set("entries", json!(document["timeline"].as_array().map_or(0, Vec::len)));
        }
        "timeline" => set("entries", json!(document["timeline"].as_array().map_or(0, Vec::len))),
        "sample" => {
            set("population", document["population"]["total_entries"].clone());
            set("returned", json!(document["entries"].as_array().map_or(0, Vec::len)));
        }
        _ => {}
    }
}
