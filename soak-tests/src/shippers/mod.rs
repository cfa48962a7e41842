//! Lines through a real shipper into the real binary, which is killed at random points and started again: what was
//! acknowledged is written; of a way without acknowledgements it is counted what was lost.

mod daemon;
mod forward;

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use self::daemon::Daemon;
use crate::generate::random::Random;
use crate::process;
use crate::stopwatch::Stopwatch;
use crate::wal::World;

/// A way from a shipper to logbraid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// `logger` to rsyslogd, and from its queue on disk over TCP with octet counting: no acknowledgements.
    RsyslogTcp,
    /// `logger` to rsyslogd, and from its queue through omprog and `logbraid plugin rsyslog`: confirmed by transactions.
    RsyslogOmprog,
    /// `logger` to syslog-ng, and the same over TCP: no acknowledgements.
    SyslogNgTcp,
    /// A client of the Forward protocol that sends each chunk until it is acknowledged.
    Forward,
}

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The way to take.
    #[arg(long, value_enum)]
    pub path: Way,
    /// Lines to send.
    #[arg(long, default_value_t = 100_000)]
    pub lines: u64,
    /// How often to kill.
    #[arg(long, default_value_t = 5)]
    pub kills: u32,
    /// The longest run between two kills, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub longest_ms: u64,
    /// Decides when to kill.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Seconds to wait for lines after the last kill.
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

/// Written nothing for so long, a way without acknowledgements has brought what it brings.
const SILENCE: Duration = Duration::from_secs(6);

/// What the sending threads share.
struct Sending {
    address: SocketAddr,
    /// The binary that is tested, for shippers that start it.
    binary: PathBuf,
    lines: u64,
    /// Lines that were handed to the shipper.
    sent: AtomicU64,
    /// Sends that had to be tried again.
    again: AtomicU64,
    stop: AtomicBool,
    /// How long all lines should take, so that the kills fall among them.
    spread: Duration,
}

impl Sending {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }
}

impl Way {
    const fn acknowledges(self) -> bool {
        matches!(self, Self::Forward | Self::RsyslogOmprog)
    }
    fn source(self, address: SocketAddr) -> String {
        match self {
            Self::RsyslogTcp | Self::SyslogNgTcp => format!("syslog: {{ tcp: '{address}' }}"),
            Self::RsyslogOmprog => format!("http: {{ listen: '{address}' }}"),
            Self::Forward => format!("forward: {{ listen: '{address}' }}"),
        }
    }
    fn send(self, sending: &Sending, folder: &Path) -> io::Result<()> {
        match self {
            Self::RsyslogTcp => Daemon::Rsyslog.send(sending, folder),
            Self::RsyslogOmprog => Daemon::RsyslogOmprog.send(sending, folder),
            Self::SyslogNgTcp => Daemon::SyslogNg.send(sending, folder),
            Self::Forward => {
                forward::send(sending);
                Ok(())
            }
        }
    }
    const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::RsyslogTcp | Self::RsyslogOmprog => &["rsyslogd", "logger"],
            Self::SyslogNgTcp => &["syslog-ng", "logger"],
            Self::Forward => &[],
        }
    }
}

/// Runs the test; true when what the way promises holds, or when its programs are missing, which is told.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    if let Some(missing) = options.path.needs().iter().find(|name| !process::installed(name)) {
        writeln!(out, "shippers: skipped: there is no `{missing}`")?;
        return Ok(true);
    }
    let folder = tempfile::tempdir()?;
    // Free a moment ago: the binary is started again and again at the same address.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let name = folder.path().display();
    fs::write(
        folder.path().join("run.yaml"),
        format!(
            "checkpoint: '{name}/state'\nwal: {{ disk: 64MiB }}\nsources:\n  - {}\n\
             time: {{ max_delay: 1s, idle_after: 1s }}\nsinks:\n  - file: {{ path: '{name}/out.ndjson', take: [entries, late, rejects] }}\n",
            options.path.source(address)
        ),
    )?;
    let world = World { binary: &binary, folder: folder.path() };
    let sending = Sending {
        address,
        binary: binary.clone(),
        lines: options.lines,
        sent: AtomicU64::new(0),
        again: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        spread: Duration::from_millis(u64::from(options.kills) * options.longest_ms * 6 / 10),
    };
    let mut random = Random::new(options.seed);
    let watch = Stopwatch::start();
    let ended = thread::scope(|scope| -> io::Result<(Child, io::Result<()>)> {
        let sender = scope.spawn(|| options.path.send(&sending, folder.path()));
        let storm = storm(&world, options, &mut random);
        let settled = storm.and_then(|child| settle(&world, options, &sending).map(|()| child));
        sending.stop.store(true, Ordering::Release);
        let sent = sender.join().unwrap_or_else(|_| Err(io::Error::other("the sender panicked")));
        Ok((settled?, sent))
    });
    let (last, sent) = ended?;
    sent?;
    let seconds = watch.seconds();
    let status = process::terminate(last, Duration::from_secs(20))?;
    let written = world.written()?;
    // Sent again after a broken connection: a chunk without its answer, or the message that was under way.
    let torn = written.values().filter(|ids| ids.len() > 1).count();
    let invented = written.keys().filter(|number| **number >= options.lines).count() as u64;
    let lost = options.lines + invented - written.len() as u64;
    writeln!(
        out,
        "shippers: path={:?} lines={} kills={} seconds={seconds:.1} sent={} sent_again={} written={} lost={lost} \
         under_two_ids={torn} invented={invented} end={status}",
        options.path,
        options.lines,
        options.kills,
        sending.sent.into_inner(),
        sending.again.into_inner(),
        written.len(),
    )?;
    let may_lose = !options.path.acknowledges() && options.kills > 0;
    let holds = status.success() && invented == 0 && !written.is_empty() && (lost == 0 || may_lose);
    writeln!(out, "shippers: {}", if holds { "held" } else { "FAILED" })?;
    Ok(holds)
}

fn storm(world: &World<'_>, options: &Options, random: &mut Random) -> io::Result<Child> {
    for _ in 0..options.kills {
        let mut child = world.start()?;
        let patience = Duration::from_millis(random.between(options.longest_ms / 10, options.longest_ms));
        if let Some(status) = process::wait(&mut child, patience)? {
            let errors = fs::read_to_string(world.folder.join("stderr")).unwrap_or_default();
            return Err(io::Error::other(format!("logbraid ended with {status}: {errors}")));
        }
        child.kill()?;
        child.wait()?;
    }
    world.start()
}

/// Waits until all lines are written, or, once all were sent, nothing more is.
fn settle(world: &World<'_>, options: &Options, sending: &Sending) -> io::Result<()> {
    let watch = Stopwatch::start();
    let (mut most, mut since) = (0, Stopwatch::start());
    loop {
        let written = world.written()?.len();
        if written > most || sending.sent.load(Ordering::Acquire) < options.lines {
            most = most.max(written);
            since = Stopwatch::start();
        }
        let silent = !options.path.acknowledges() && since.elapsed() > SILENCE;
        if written as u64 >= options.lines
            || silent
            || watch.elapsed() > Duration::from_secs(options.patience)
        {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(500));
    }
}
