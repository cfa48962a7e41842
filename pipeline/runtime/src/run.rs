//! Runs a plan: sources, parsing, the engine, sinks and commits, until the input ends or somebody says stop.

use std::path::PathBuf;
use std::sync::Arc;

use logbraid_core::component::ConfigError;
use logbraid_core::progress::TimeSettings;
use logbraid_core::sink::Sink;
use logbraid_core::{Chain, Fields, RecordKind, Severity};
use logbraid_parse::Compiled;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::source::inputs::Input;
use crate::source::kafka;
use crate::source::receive;

/// Everything a run needs.
pub struct RunPlan {
    /// What to read.
    pub inputs: Vec<Input>,
    /// Kafka topics to read as a member of a group.
    pub groups: Vec<kafka::Config>,
    /// What is listened to; needs a `checkpoint`.
    pub listeners: receive::Plan,
    /// True to wait for more at the end of files.
    pub follow: bool,
    /// How to parse.
    pub parse: Arc<Compiled>,
    /// The fields that operators asked for.
    pub fields: Fields,
    /// How event time moves.
    pub time: TimeSettings,
    /// Makes the operators: one chain for files and pipes, and one for each partition of Kafka.
    pub chain: MakeChain,
    /// Where records go.
    pub sinks: Vec<SinkPlan>,
    /// Where file positions are kept between runs; without it, a run begins at the beginning.
    pub checkpoint: Option<PathBuf>,
    /// Threads that parse; 0 for as many as the machine has cores.
    pub workers: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the run knows of itself.
    pub metrics: Arc<Metrics>,
    /// Told about inputs that are lost or strange, one sentence each.
    pub notice: Notice,
}

/// Makes a chain of operators; the same each time.
pub type MakeChain = Box<dyn Fn() -> Result<Chain, ConfigError> + Send>;

/// Takes what users should know about their inputs; true when the input is lost.
pub type Notice = Arc<dyn Fn(bool, &str) + Send + Sync>;

/// A sink and what it takes.
pub struct SinkPlan {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// The types of records it takes.
    pub take: Vec<RecordKind>,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Report {
    /// Counters by name.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// The most severe finding that was written.
    pub worst: Option<Severity>,
    /// Inputs that were lost.
    pub lost_inputs: Vec<String>,
    /// True when the output was closed by whoever read it.
    pub output_closed: bool,
    /// Why the braid thread could not go on.
    pub(crate) ended: Option<RunError>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An input or an output cannot be used, and nothing was read.
    #[error("{message}")]
    Start {
        /// What is wrong, and where.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// A partition was given to another instance while its records waited to be committed.
    #[error(
        "{partition} was given to another instance before its records were committed; restart this one, it goes on \
             at its last commit"
    )]
    LostPartition {
        /// The topic and the number.
        partition: String,
    },
    /// The operators cannot be made.
    #[error("the operators cannot be made: {0}")]
    Chain(#[from] ConfigError),
    /// A sink cannot work.
    #[error("sink `{sink}`: {why}")]
    Sink {
        /// The sink.
        sink: String,
        /// What it said.
        why: String,
    },
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// The system refused a thread or a descriptor.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
}

impl From<kafka::StartError> for RunError {
    fn from(kafka::StartError { message, help }: kafka::StartError) -> Self {
        Self::Start { message, help }
    }
}

/// Runs `plan` to its end: the end of all inputs, `stop`, a closed output, or an error.
pub async fn run(plan: RunPlan, stop: CancellationToken) -> Result<Report, RunError> {
    crate::topology::run(plan, stop).await
}
