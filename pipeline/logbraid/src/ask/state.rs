//! Whether files are as they were when they were read.

use std::path::PathBuf;
use std::time::SystemTime;

use logbraid_runtime::source::inputs::{self, InputKind};

use crate::problem::Problem;

/// How long files are, and when they were last written: what tells that they have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl State {
    /// The state of the files that `inputs` name. Fails for what cannot be read twice.
    pub(crate) fn of(inputs: &[String]) -> Result<Self, Problem> {
        let resolved = inputs::resolve(inputs, false)
            .map_err(|error| Problem::new("input", error.message.replace('`', "'")).maybe_help(error.help))?;
        let mut files = Vec::new();
        for input in resolved.inputs {
            match input.kind {
                InputKind::File { path } | InputKind::Sqlite { path, .. } => {
                    let found = std::fs::metadata(&path).ok();
                    let length = found.as_ref().map_or(0, std::fs::Metadata::len);
                    files.push((path, length, found.and_then(|found| found.modified().ok())));
                }
                InputKind::Stdin | InputKind::Pipe { .. } => {
                    return Err(Problem::new("input", format!("'{}' cannot be read twice", input.name))
                        .help("name files, or run a logbraid on it and name its address"));
                }
                InputKind::Watch { .. } | InputKind::Kafka { .. } => {}
            }
        }
        Ok(Self(files))
    }
}
