//! Sources that are sent to: what arrives is written to a write-ahead log before its sender is told that all is well.
//!
//! ```text
//!  listener ─► Lines ─► Door::keep ─► keeper thread ─► append, one sync for all that wait ─► acknowledge
//!    tasks              room or not        │
//!                                          └─► feed thread ─► Partition::send ─► the pipeline
//!               replay after a crash ─────────────┘                                  │
//!               release ◄── checkpoint stored ◄── every sink has flushed ◄───────────┘
//! ```
//!
//! Each listener has a log and a partition of its own; they share event time with files and pipes, so that one request
//! is braided whichever way its entries come in. Positions are kept in the run's checkpoint.

mod config;
mod connections;
mod door;
mod feed;
pub mod forward;
pub mod http;
mod keeper;
mod lines;
pub mod lumberjack;
mod part;
mod status;
pub mod syslog;
pub mod tls;
mod wire;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use logbraid_core::Position;
use logbraid_core::progress::Mark;
use logbraid_wal::{Folder, Log, Options};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Listen, Secret};
pub use status::Status;

use self::door::Door;
use self::lines::Place;
use self::tls::Tls;
use super::StartError;
use super::intake::{Intake, Opening};
use crate::checkpoint::Checkpoint;

/// A segment of a log ends at this many bytes; replay holds one in memory.
const SEGMENT_BYTES: u64 = 8 << 20;

/// The listeners of a run, and where their logs are.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is listened to.
    pub listeners: Vec<Config>,
    /// The folder of the write-ahead logs; each listener has a folder in it.
    pub folder: PathBuf,
    /// Most bytes of each log on disk.
    pub disk_bytes_max: u64,
}

/// A listener's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// HTTP.
    Http(Box<http::Config>),
    /// Syslog.
    Syslog(Box<syslog::Config>),
    /// Fluent Forward.
    Forward(Box<forward::Config>),
    /// Lumberjack, as Beats send it.
    Lumberjack(Box<lumberjack::Config>),
}

impl Config {
    /// The name by which users and the checkpoint know it; no two listeners of a run have the same.
    pub fn name(&self) -> String {
        match self {
            Self::Http(http) => format!("http {}", http.listen),
            Self::Syslog(syslog) => format!("syslog {}", syslog.address()),
            Self::Forward(forward) => format!("forward {}", forward.listen),
            Self::Lumberjack(lumberjack) => format!("lumberjack {}", lumberjack.listen),
        }
    }
    /// The address that it listens on, as it was set.
    pub fn address(&self) -> String {
        match self {
            Self::Http(http) => http.listen.to_string(),
            Self::Syslog(syslog) => syslog.address(),
            Self::Forward(forward) => forward.listen.to_string(),
            Self::Lumberjack(lumberjack) => lumberjack.listen.to_string(),
        }
    }
    /// The folder of its log.
    fn folder(&self) -> String {
        self.name().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
    }
    /// The longest record that it makes.
    fn record_bytes_max(&self) -> u64 {
        match self {
            Self::Http(http) => http.body.bytes(),
            Self::Syslog(syslog) => syslog.message.bytes().max(lines::RECORD_BYTES as u64),
            Self::Forward(forward) => forward.message.bytes().max(lines::RECORD_BYTES as u64),
            Self::Lumberjack(lumberjack) => lumberjack.message.bytes().max(lines::RECORD_BYTES as u64),
        }
    }
    fn tls(&self) -> Option<&tls::Config> {
        match self {
            Self::Http(http) => http.tls.as_ref(),
            Self::Syslog(syslog) => syslog.tls.as_ref(),
            Self::Forward(forward) => forward.tls.as_ref(),
            Self::Lumberjack(lumberjack) => lumberjack.tls.as_ref(),
        }
    }
    /// Its name in configurations, and the protocols that it may agree upon within TLS.
    fn kind(&self) -> (&'static str, &'static [u8]) {
        match self {
            Self::Http(_) => ("http", b"\x02h2\x08http/1.1"),
            Self::Syslog(_) => ("syslog", b""),
            Self::Forward(_) => ("forward", b""),
            Self::Lumberjack(_) => ("lumberjack", b""),
        }
    }
    fn service(&self) -> Option<&String> {
        match self {
            Self::Http(http) => http.service.as_ref(),
            Self::Syslog(syslog) => syslog.service.as_ref(),
            Self::Forward(forward) => forward.service.as_ref(),
            Self::Lumberjack(lumberjack) => lumberjack.service.as_ref(),
        }
    }
}

/// A socket that is bound and not listened to yet.
enum Bound {
    Http(std::net::TcpListener),
    Syslog(syslog::Sockets),
    Forward(std::net::TcpListener),
    Lumberjack(std::net::TcpListener),
}

/// A listener whose address is its own and whose log can be opened.
pub struct Opened {
    config: Config,
    bound: Bound,
    tls: Option<Arc<Tls>>,
    folder: PathBuf,
    options: Options,
    lock: File,
    /// What users should know before it listens.
    notices: Vec<String>,
}

/// Takes addresses and logs.
///
/// # Errors
/// When an address is in use, or a folder cannot be used.
pub fn open(plan: Plan) -> Result<Vec<Opened>, StartError> {
    let Plan { listeners, folder, disk_bytes_max } = plan;
    let known: Vec<String> = listeners.iter().map(Config::folder).collect();
    let mut notices = left_behind(&folder, &known);
    let open = |config: Config| {
        let (kind, protocols) = config.kind();
        let tls = config.tls().map(|tls| Tls::read(tls, kind, protocols)).transpose()?;
        notices.extend(tls.as_ref().and_then(|tls| tls.notice()));
        let bound = match &config {
            Config::Http(http) => Bound::Http(http::bind(http)?),
            Config::Syslog(syslog) => Bound::Syslog(syslog::bind(syslog)?),
            Config::Forward(forward) => Bound::Forward(forward::bind(forward)?),
            Config::Lumberjack(lumberjack) => Bound::Lumberjack(lumberjack::bind(lumberjack)?),
        };
        let folder = folder.join(config.folder());
        let record_bytes_max =
            usize::try_from(config.record_bytes_max()).unwrap_or(usize::MAX) + lines::OVERHEAD;
        let options = Options { segment_bytes: SEGMENT_BYTES, disk_bytes_max, record_bytes_max };
        let lock = lock(&folder)?;
        Ok(Opened { config, bound, tls, folder, options, lock, notices: std::mem::take(&mut notices) })
    };
    listeners.into_iter().map(open).collect()
}

/// A notice for each log of a listener that is not configured any more: its lines were acknowledged, and nobody reads
/// them now.
fn left_behind(folder: &Path, known: &[String]) -> Vec<String> {
    let holds = |path: &Path| {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| file.file_name() != "lock" && file.metadata().is_ok_and(|it| it.len() > 0))
    };
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut left: Vec<PathBuf> = folders
        .filter(|entry| {
            entry.file_name().to_str().is_none_or(|name| !known.iter().any(|known| known == name))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && holds(path))
        .collect();
    left.sort();
    let tell = |path: PathBuf| {
        format!(
            "`{}` is the write-ahead log of a source that is not configured any more; what it may still hold is not read: \
             start once with the source as it was, or remove the folder",
            path.display()
        )
    };
    left.into_iter().map(tell).collect()
}

fn unusable(folder: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError::new(format!("the write-ahead log in `{}` cannot be used: {error}", folder.display()))
}

/// Makes the folder and takes it for this process.
fn lock(folder: &Path) -> Result<File, StartError> {
    let opened = std::fs::create_dir_all(folder).and_then(|()| File::create(folder.join("lock")));
    let file = opened
        .map_err(|error| unusable(folder, &error).help("name a folder that may be written in `wal.path`"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let error = "another logbraid uses it";
            Err(unusable(folder, &error)
                .help("stop that one, or give each a folder of its own in `wal.path`"))
        }
        Err(error) => {
            Err(unusable(folder, &io::Error::from(error)).help("name another folder in `wal.path`"))
        }
    }
}

/// A listener at work.
#[derive(Debug)]
pub struct Running {
    identity: String,
    needed: Arc<AtomicU64>,
    /// What it has done, for metrics and health.
    pub status: Arc<Status>,
    threads: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    _lock: File,
}

impl Opened {
    /// Replays what an earlier run left, and listens until `stop`. Call it within a tokio runtime.
    ///
    /// # Errors
    /// When the log cannot be opened, or the system refuses threads or sockets.
    pub fn spawn(self, intake: &Intake, stop: CancellationToken) -> Result<Running, StartError> {
        let Self { config, bound, tls, folder, options, lock, notices } = self;
        let name = config.name();
        let identity = format!("wal:{name}");
        let start = intake.position(&identity).unwrap_or(Mark { line: 0, ..Mark::START });
        let storage = Folder::open(&folder).map_err(|error| unusable(&folder, &error))?;
        let storage = Arc::new(storage);
        let first = Place::of(start.offset).sequence;
        let (log, replay) = Log::open(Arc::clone(&storage), options, first).map_err(|error| match error {
            logbraid_wal::Error::TooSmall { least, .. } => StartError::new(format!("`{name}`: {error}"))
                .help(format!("try `wal: {{ disk: {}MiB }}`", (least >> 20) + 1)),
            error => unusable(&folder, &with_source(&error)),
        })?;
        let status = Arc::new(Status::new(name.clone()));
        let torn = log.recovered().torn_bytes;
        if torn > 0 {
            tracing::info!(
                "`{name}`: {torn} bytes at the end of the log were never acknowledged and are cut off"
            );
        }
        let needed = Arc::new(AtomicU64::new(first));
        let opening = Opening {
            name: name.clone(),
            identity: identity.clone(),
            position: Position::Log,
            service: config.service().cloned(),
            host: None,
            bounded: false,
        };
        let room = door::room(config.record_bytes_max());
        let (door, jobs) = Door::new(room, Arc::clone(&status), intake.clone());
        let (feed, fed) = feed::channel();
        let keeper = keeper::Keeper {
            log,
            storage,
            options,
            jobs,
            feed,
            needed: Arc::clone(&needed),
            status: Arc::clone(&status),
            clock: Arc::clone(intake.clock()),
        };
        let feeder = feed::Feeder {
            opening,
            start,
            replay,
            fed,
            intake: intake.clone(),
            status: Arc::clone(&status),
            notices,
        };
        let refused = |error: io::Error| StartError::new(format!("the system refused a thread: {error}"));
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let mut tasks = JoinSet::new();
        match (bound, config) {
            (Bound::Http(listener), Config::Http(config)) => {
                let address = http::serve(listener, *config, tls, door, stop.clone(), &mut tasks)?;
                tracing::info!("http listens on {address}");
                status.listens(address.to_string());
            }
            (Bound::Syslog(sockets), Config::Syslog(config)) => {
                status.listens(syslog::serve(sockets, *config, tls, door, stop.clone(), &mut tasks)?);
            }
            (Bound::Forward(listener), Config::Forward(config)) => {
                status.listens(forward::serve(listener, *config, tls, door, stop.clone(), &mut tasks)?);
            }
            (Bound::Lumberjack(listener), Config::Lumberjack(config)) => {
                status.listens(lumberjack::serve(listener, *config, tls, door, stop.clone(), &mut tasks)?);
            }
            // A listener is bound for what it is.
            (Bound::Http(_) | Bound::Syslog(_) | Bound::Forward(_) | Bound::Lumberjack(_), _) => {}
        }
        let threads = vec![
            thread("wal-keeper").spawn(move || keeper.run()).map_err(refused)?,
            thread("wal-feed").spawn(move || feeder.run()).map_err(refused)?,
        ];
        Ok(Running { identity, needed, status, threads, tasks, stop, _lock: lock })
    }
}

impl Running {
    /// What `stored` no longer needs is removed with the next write.
    pub fn stored(&self, stored: &Checkpoint) {
        if let Some(place) = stored.partitions.get(&self.identity) {
            self.needed.fetch_max(Place::of(place.mark.offset).sequence, Ordering::AcqRel);
        }
    }

    /// Ends the listener: who is being answered is answered, and what waits stays in the log.
    pub async fn close(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has told so already.
                let _ended = thread.join();
            }
        });
        let _joined = joined.await;
    }
}

/// An error with what caused it, in one line.
fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_sources_that_are_gone_are_told() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("known", "x"), ("gone", "x"), ("empty", "")] {
            let log = folder.path().join(name);
            std::fs::create_dir(&log).unwrap();
            std::fs::write(log.join("lock"), "").unwrap();
            std::fs::write(log.join("0000000000.wal"), bytes).unwrap();
        }
        let told = left_behind(folder.path(), &["known".to_owned(), "new".to_owned()]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("/gone` is the write-ahead log of a source that is not configured"),
            "{told:?}"
        );
        assert_eq!(left_behind(&folder.path().join("missing"), &[]), Vec::<String>::new());
    }
}
