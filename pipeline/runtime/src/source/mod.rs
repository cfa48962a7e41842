//! Sources: where bytes come from.
//!
//! ```text
//!  what the user wrote ─► inputs::resolve ─► Input ─┬─► stdin, pipes: a thread each ─┐
//!                                                   ├─► files: one thread for all ───┴─► LineCutter ─► Partition::send
//!                                                   ├─► kafka: a thread each, whole messages ────────► Partition::send
//!                                                   └─► tables of SQLite: a thread each ─► rows as JSON ──────┤
//!  listeners ─► write-ahead log ─► a thread each ─────────────────────────────────────────► Partition::send ─┘
//! ```

pub mod decode;
mod files;
pub mod identity;
pub mod inputs;
pub mod intake;
pub mod kafka;
pub mod lines;
mod places;
pub mod receive;
pub mod sqlite;
mod stdin;
mod tracked;
pub mod walk;

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use logbraid_core::Span;
use tokio_util::sync::CancellationToken;

use self::inputs::{Input, InputKind};
use self::intake::{Intake, Partition, Stopped};
use self::kafka::StartError;
use self::lines::Lines;

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Go on at the end of a file: wait for what is appended, for rotation, and for new matches of globs and folders.
    pub follow: bool,
    /// The longest line in bytes, up to [`lines::MAX_LINE_LIMIT`]; of a longer one, one byte more is delivered.
    pub max_line: usize,
    /// Deliver the unfinished last line of a followed file when the pipeline stops. Off when positions are kept: the
    /// line is read whole by the next run.
    pub partial_at_stop: bool,
    /// Most bytes read at once, 4 KiB to 16 MiB; with many files less is read at once, so that memory stays bounded.
    pub read_bytes: usize,
    /// Most files kept open. Decoded and rotated files, which could not be opened again, may pass it.
    pub open_files_max: usize,
    /// How often followed files are looked at.
    pub poll: Duration,
    /// How often globs and folders are searched for new files.
    pub scan: Span,
    /// How long a rotated file must be quiet before it counts as complete.
    pub rotate_wait: Span,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            follow: false,
            max_line: 1 << 20,
            partial_at_stop: true,
            read_bytes: 256 << 10,
            open_files_max: 256,
            poll: Duration::from_millis(100),
            scan: Span::from_seconds(1),
            rotate_wait: Span::from_seconds(5),
        }
    }
}

/// Inputs whose brokers have answered.
pub struct Prepared {
    inputs: Vec<Input>,
    ranges: Vec<(kafka::range::Opened, Option<String>)>,
    groups: Vec<kafka::Connected>,
    listeners: Vec<receive::Opened>,
}

/// Inputs that are being read.
pub struct Started {
    /// A thread each for sources whose partitions share their state.
    pub threads: Vec<JoinHandle<()>>,
    /// Members of groups.
    pub groups: Vec<kafka::Running>,
    /// Listeners; each has one partition that shares its state.
    pub listeners: Vec<receive::Running>,
}

/// Reaches what is read over the network; may take some seconds.
///
/// # Errors
/// When something cannot be reached, does not exist, or may not be read.
pub fn prepare(
    inputs: Vec<Input>,
    groups: Vec<kafka::Config>,
    listeners: receive::Plan,
    commit_by: kafka::CommitBy,
) -> Result<Prepared, StartError> {
    let mut prepared = Prepared {
        inputs: Vec::new(),
        ranges: Vec::new(),
        groups: Vec::new(),
        listeners: receive::open(listeners)?,
    };
    for input in inputs {
        match input.kind {
            InputKind::Kafka { range } => {
                let opened = kafka::range::open(range, &logbraid_core::Properties::default())?;
                prepared.ranges.push((opened, input.label));
            }
            _ => prepared.inputs.push(input),
        }
    }
    for config in groups {
        prepared.groups.push(kafka::connect(config, commit_by)?);
    }
    Ok(prepared)
}

impl Prepared {
    /// Begins to read everything, and to listen until `stop`. Call it within a tokio runtime.
    ///
    /// # Errors
    /// When the system starts no more threads, or a subscription is refused.
    pub fn spawn(
        self,
        options: Options,
        intake: Intake,
        stop: &CancellationToken,
    ) -> Result<Started, StartError> {
        let refused = |error: io::Error| StartError::new(format!("the system refused a thread: {error}"));
        let mut threads = Vec::new();
        for (opened, label) in self.ranges {
            threads.push(opened.spawn(label, intake.clone()).map_err(refused)?);
        }
        let mut groups = Vec::new();
        for connected in self.groups {
            groups.push(connected.spawn(intake.clone())?);
        }
        let mut listeners = Vec::new();
        for opened in self.listeners {
            listeners.push(opened.spawn(&intake, stop.child_token())?);
        }
        threads.extend(spawn(self.inputs, options, intake).map_err(refused)?);
        Ok(Started { threads, groups, listeners })
    }
}

/// Starts reading `inputs` in threads of their own. Each thread ends when its inputs have ended, or soon after the intake
/// was stopped. An input that cannot be read is told by a notice and stops no other one. Each thread says
/// [`Intake::ready`] once, when it has opened the partitions that it begins with.
///
/// # Errors
/// When the system starts no more threads; inputs whose threads were started before go on until the intake stops.
pub fn spawn(inputs: Vec<Input>, options: Options, intake: Intake) -> io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    let mut files = Vec::new();
    for input in inputs {
        match input.kind {
            InputKind::Stdin | InputKind::Pipe { .. } => {
                let name = if matches!(input.kind, InputKind::Stdin) {
                    "source-stdin".to_owned()
                } else {
                    format!("source-pipe-{}", threads.len())
                };
                let (options, intake) = (options.clone(), intake.clone());
                let run = move || stdin::run(&input, &options, &intake);
                threads.push(thread::Builder::new().name(name).spawn(run)?);
            }
            InputKind::Sqlite { ref path, ref table } => {
                let (path, table) = (path.clone(), table.clone());
                let (options, intake) = (options.clone(), intake.clone());
                let run = move || sqlite::run(&input, &path, &table, &options, &intake);
                threads.push(thread::Builder::new().name("source-sqlite".to_owned()).spawn(run)?);
            }
            InputKind::File { .. } | InputKind::Watch { .. } => files.push(input),
            // What cannot be reached is told before anything is read: see `prepare`.
            InputKind::Kafka { .. } => {}
        }
    }
    if !files.is_empty() {
        let run = move || {
            // `Stopped` means that nobody listens any more.
            let _stopped = files::Files::new(files, options, intake).run();
        };
        threads.push(thread::Builder::new().name("source-files".to_owned()).spawn(run)?);
    }
    Ok(threads)
}

/// How long the last lines wait for room once the pipeline stops, in steps of [`LAST_WAIT`].
const LAST_WAITS: usize = 1000;
const LAST_WAIT: Duration = Duration::from_millis(5);

/// Hands over lines, even while the pipeline stops: then for at most a few seconds.
fn hand_over(partition: &mut Partition, lines: Lines, intake: &Intake) -> Result<(), Stopped> {
    for _ in 0..LAST_WAITS {
        if !intake.is_stopped() || partition.has_room() || intake.is_closed() {
            break;
        }
        thread::sleep(LAST_WAIT);
    }
    let Lines { bytes, offset, line } = lines;
    partition.send(bytes, logbraid_parse::Framing::Lines { offset, line })
}

#[cfg(test)]
mod tests;
