//! Before anything is read: everything outside is reached once, so that what cannot work is told at once.

use std::time::Duration;

use logbraid_core::sink::SinkError;

use crate::run::{RunError, SinkPlan};
use crate::source::inputs::Input;
use crate::source::kafka::{self, CommitBy};
use crate::source::receive;
use crate::source::{self, Prepared};

/// How often a sink is tried, and the waits between.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_millis(500);

/// Opens every sink.
pub(super) async fn sinks(sinks: &mut [SinkPlan]) -> Result<(), RunError> {
    for plan in sinks {
        let mut tried = 1;
        while let Err(error) = plan.sink.open().await {
            match error {
                // Nobody reads it: the first write will say so, quietly.
                SinkError::Closed => break,
                SinkError::Retry(_) if tried < TRIES => {
                    tried += 1;
                    tokio::time::sleep(WAIT).await;
                }
                SinkError::Retry(why) | SinkError::Fatal(why) => {
                    let (what, help) = match why.split_once("; ") {
                        Some((what, help)) => (what, help),
                        None => (why.as_str(), "see that what it writes to can be reached"),
                    };
                    let message = format!("sink `{}`: {what}", plan.sink.name());
                    return Err(RunError::Start { message, help: Some(help.to_owned()) });
                }
            }
        }
    }
    Ok(())
}

/// Reaches every source, on a thread that may wait.
pub(super) async fn sources(
    inputs: Vec<Input>,
    groups: Vec<kafka::Config>,
    listeners: receive::Plan,
    commit_by: CommitBy,
) -> Result<Prepared, RunError> {
    let prepared =
        tokio::task::spawn_blocking(move || source::prepare(inputs, groups, listeners, commit_by)).await;
    let lost = |error: tokio::task::JoinError| RunError::Start { message: error.to_string(), help: None };
    Ok(prepared.map_err(lost)??)
}
