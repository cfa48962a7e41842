//! A window that Python holds.

use std::path::PathBuf;

use logbraid::cli::Fault;
use logbraid::library::{self, Answer, Configured, Reading};
use logbraid::problem::Problem;
use logbraid_core::ByteSize;
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::errors::exception;
use crate::table::{Builder, Table};

/// Inputs that were read once, or the window of a running logbraid.
#[pyclass(frozen, module = "logbraid._native")]
pub(crate) struct Window(library::Window);

/// How inputs are read, from arguments that all mean nothing when they are missing.
pub(crate) fn reading(
    config: Option<PathBuf>,
    settings: Option<String>,
    format: Option<String>,
    memory: Option<usize>,
) -> Reading {
    let mut reading = Reading { format, ..Reading::default() };
    reading.config = match (settings, config) {
        (Some(text), _) => Configured::Text(text),
        (None, path) => path.into(),
    };
    if let Some(memory) = memory {
        reading.memory = ByteSize::from_bytes(memory as u64);
    }
    reading
}

#[pymethods]
impl Window {
    #[new]
    #[pyo3(signature = (inputs, config=None, settings=None, format=None, memory=None))]
    fn new(
        py: Python<'_>,
        inputs: Vec<String>,
        config: Option<PathBuf>,
        settings: Option<String>,
        format: Option<String>,
        memory: Option<usize>,
    ) -> PyResult<Self> {
        let reading = reading(config, settings, format, memory);
        let opened = py.detach(|| library::Window::open(inputs, &reading));
        opened.map(Self).map_err(|fault| exception(py, fault))
    }

    /// Asks a question with a request in JSON; the answer as text, and whether it is a JSON document.
    fn ask(&self, py: Python<'_>, question: &str, request: &str) -> PyResult<(bool, String)> {
        py.detach(|| self.answer(question, request)).map_err(|fault| exception(py, fault))
    }

    /// The entries that a request of the question `emit` asks for.
    fn table(&self, py: Python<'_>, request: &str) -> PyResult<Table> {
        let table = py.detach(|| {
            let (request, mut builder) = (parsed(request)?, Builder::default());
            if self.0.is_running() {
                // A request keeps its own form: lines of JSON.
                if let Answer::Text(lines) = self.0.ask("emit", request)? {
                    lines.lines().try_for_each(|line| add(&mut builder, line))?;
                }
            } else {
                self.0.each(&request, &mut |entry| builder.add(entry.into()))?;
            }
            builder.finish().map_err(|error| Fault::Failure(error.to_string()))
        });
        table.map_err(|fault| exception(py, fault))
    }

    /// What a run finds in the inputs, as JSON.
    fn findings(&self, py: Python<'_>) -> PyResult<String> {
        let found = py.detach(|| self.0.findings().map(|findings| Value::Array(findings).to_string()));
        found.map_err(|fault| exception(py, fault))
    }

    /// Requests that started others, as JSON.
    #[pyo3(signature = (root=None))]
    fn chains(&self, py: Python<'_>, root: Option<&str>) -> PyResult<String> {
        let found = py.detach(|| {
            let chains = self.0.chains(root)?;
            serde_json::to_string(&chains).map_err(|error| Fault::Failure(error.to_string()))
        });
        found.map_err(|fault| exception(py, fault))
    }

    #[getter]
    fn inputs(&self) -> Vec<String> {
        self.0.inputs().to_vec()
    }
    #[getter]
    fn entries(&self) -> Option<u64> {
        self.0.entries()
    }
    #[getter]
    fn complete(&self) -> bool {
        self.0.is_complete()
    }
    #[getter]
    fn stale(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.is_stale())
    }
}

impl Window {
    fn answer(&self, question: &str, request: &str) -> Result<(bool, String), Fault> {
        Ok(match self.0.ask(question, parsed(request)?)? {
            answer @ Answer::Document(..) => (true, answer.into_text()?),
            Answer::Text(text) => (false, text),
        })
    }
}

/// Adds the row of a line that a running logbraid wrote.
fn add(builder: &mut Builder, line: &str) -> Result<(), Problem> {
    let wrong = |error: serde_json::Error| Problem::new("failure", format!("an entry is not JSON: {error}"));
    let line: Map<String, Value> = serde_json::from_str(line).map_err(wrong)?;
    if line.get("truncated").is_some() {
        let message = "the running logbraid's answer is longer than it may be";
        return Err(Problem::new("too_large", message).help("ask for less: `limit`, `level`, `after`"));
    }
    builder.add(line.into());
    Ok(())
}

fn parsed(request: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(request)
        .map_err(|error| Problem::new("usage", format!("the request is not a JSON object: {error}")))
}
