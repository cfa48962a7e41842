//! Error flow: where an error began and how it spread.

use serde::Serialize;

use crate::id::Id;
use crate::time::EventTime;

/// An error that no earlier error below it explains.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct RootCause {
    /// The node where it happened.
    pub node: String,
    /// The service of that node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The thread of the first error entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// When its first error entry was written.
    #[schemars(with = "String")]
    pub timestamp: EventTime,
    /// The message of that entry.
    pub message: String,
    /// The id of the message's template.
    pub template: Id,
    /// Error entries of the node.
    pub errors: u64,
    /// The names of the nodes from the root to it.
    pub path: Vec<String>,
    /// True when nothing below it was called.
    pub leaf: bool,
    /// How sure it is the cause, 0 to 1.
    pub confidence: f64,
}

/// Why a step is taken to follow from an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// It is where the error began.
    Cause,
    /// Its node or service called that of an earlier step, directly or through others.
    Called,
    /// Its message names a service that failed before it.
    Named,
    /// It came later in the same request; nothing else is known.
    Time,
}

/// One step of an error's way.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Step {
    /// The node.
    pub node: String,
    /// The service of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// When the error reached it.
    #[schemars(with = "String")]
    pub timestamp: EventTime,
    /// What it said.
    pub message: String,
    /// The id of the message's template.
    pub template: Id,
    /// Why it is taken to follow from an earlier step.
    pub link: Link,
    /// Nodes between the step that it follows from and this one that logged no error.
    #[serde(skip_serializing_if = "is_zero")]
    pub silent: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The way of an error from its cause to whoever noticed last.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct FlowChain {
    /// The node where it began.
    pub root_cause: String,
    /// The steps in order of time, the cause first.
    pub steps: Vec<Step>,
    /// The services along it, the cause's first.
    pub services: Vec<String>,
}

/// The errors of one request.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct ErrorFlow {
    /// Errors that nothing else explains, the surest first.
    pub root_causes: Vec<RootCause>,
    /// How they spread.
    pub chains: Vec<FlowChain>,
    /// Nodes with errors.
    pub affected_nodes: usize,
    /// The same for requests that failed in the same way.
    pub fingerprint: Id,
}
