//! Kafka as a source: consumer groups whose partitions begin again at their commits, and ranges of topics.
//!
//! ```text
//!  brokers ─► librdkafka ─► poll thread ─┬─ gather per partition ─► Partition::try_send ─► the pipeline
//!                 ▲            │ never   ├─ too much waits: its queue is left alone; little waits: read again
//!                 │            │ waits   ├─ revoked: Message::Release ─► drained ─► commit ─► unassign
//!                 └─ commit ◄──┘ for it  └─ Commits: the newest mark per partition ◄─ the ledger
//! ```
//!
//! One thread polls, whatever the pipeline does: a consumer that does not poll is thrown out of its group. Rebalances are
//! noted when the library reports them and worked off between polls.

mod commits;
pub mod config;
mod consumer;
mod feed;
mod gather;
mod member;
pub mod place;
mod poll;
pub mod range;
mod start;

use std::sync::Arc;
use std::thread::JoinHandle;

use rdkafka::consumer::Consumer as _;

pub use config::{Config, GroupProtocol, Membership, Start};
pub use consumer::Status;

use super::intake::Intake;
use consumer::{Context, Reader};

/// Why a Kafka input cannot begin; says what, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// What is wrong, with the brokers' addresses.
    pub message: String,
    /// A proposal.
    pub help: Option<String>,
}

impl StartError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Who stores offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommitBy {
    /// The source, after the sinks have flushed: at least once.
    #[default]
    Source,
    /// A sink, together with its records: exactly once. The source then commits nothing.
    Sink,
}

/// A source that has reached its brokers, and found its topics and the right to read them.
pub struct Connected {
    config: Config,
    reader: Arc<Reader>,
    commit_by: CommitBy,
    // Held while the process lives: nobody else on this machine takes the same name.
    slot: Option<member::Slot>,
}

/// A running source.
#[derive(Debug)]
pub struct Running {
    /// Ends after the intake was stopped and nobody holds a [`super::intake::Committer`] of it any more, so that the
    /// last commits are stored; at the latest `drain_timeout` after the stop.
    pub thread: JoinHandle<()>,
    /// What it is doing, for metrics and health.
    pub status: Arc<Status>,
}

/// Reaches the brokers, and checks topics and rights; returns within about ten seconds, mostly at once.
///
/// # Errors
/// When no broker answers, a password is wrong, a topic is missing, the group may not be used, or a setting is refused.
pub fn connect(config: Config, commit_by: CommitBy) -> Result<Connected, StartError> {
    let (instance, slot) = member::instance(&config)?;
    let client = config.client(instance.as_deref())?;
    let context = Context::new(config.brokers.join(","));
    let reader: Reader = client.create_with_context(context).map_err(|error| {
        StartError::new(format!("kafka: {error}")).help("see `properties` for names and values")
    })?;
    start::check(&reader, &config)?;
    Ok(Connected { config, reader: Arc::new(reader), commit_by, slot })
}

impl Connected {
    /// Joins the group and reads, in a thread of its own, until `intake` is stopped.
    ///
    /// # Errors
    /// When the subscription is refused, or the system starts no more threads.
    pub fn spawn(self, intake: Intake) -> Result<Running, StartError> {
        let Self { config, reader, commit_by, slot } = self;
        let status = Arc::clone(reader.context().status());
        let poll = poll::Poll::new(config, reader, commit_by, intake)?;
        let thread = std::thread::Builder::new()
            .name("source-kafka".to_owned())
            .spawn(move || {
                let _slot = slot;
                poll.run();
            })
            .map_err(|error| StartError::new(format!("kafka: the system refused a thread: {error}")))?;
        Ok(Running { thread, status })
    }
}

#[cfg(test)]
mod tests;
