//! Sends lines over HTTP to the real binary, kills it at random points and starts it again: whatever was acknowledged
//! is written in the end, under one id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::generate::random::Random;
use crate::generate::stamp::{Stamps, T0_US};
use crate::process;
use crate::stopwatch::Stopwatch;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often to kill.
    #[arg(long, default_value_t = 12)]
    pub kills: u32,
    /// Senders at a time.
    #[arg(long, default_value_t = 4)]
    pub senders: u64,
    /// The longest run between two kills, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub longest_ms: u64,
    /// Decides when to kill, and how lines are cut into requests.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Seconds to wait for what was acknowledged.
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

/// Most lines of a request.
const LINES_MAX: u64 = 60;
/// How long a sender waits after a failure.
const AGAIN: Duration = Duration::from_millis(20);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What the senders know.
#[derive(Default)]
struct Sent {
    next: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
    requests: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

/// A connection that is opened again when it breaks.
struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Sends a body; the status and the body of the answer.
    fn post(&mut self, path: &str, body: &str) -> io::Result<(u16, String)> {
        let result = self.try_post(path, body);
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn try_post(&mut self, path: &str, body: &str) -> io::Result<(u16, String)> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_timeout(&self.address, ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.set_nodelay(true)?;
            self.stream = Some(BufReader::new(stream));
        }
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let head = format!("POST {path} HTTP/1.1\r\nHost: wal\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}

fn send(sent: &Sent, address: SocketAddr, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let mut client = Client { address, stream: None };
    let mut stamps = Stamps::default();
    while !sent.stop.load(Ordering::Acquire) {
        let count = random.between(1, LINES_MAX);
        let bulk = random.between(0, 1) == 1;
        let first = sent.next.fetch_add(count, Ordering::AcqRel);
        let mut body = String::new();
        for number in first..first + count {
            if bulk {
                body.push_str("{\"create\":{}}\n");
            }
            let mut stamp = Vec::new();
            stamps.iso(&mut stamp, T0_US + number * 1000);
            let stamp = String::from_utf8_lossy(&stamp);
            let _infallible = writeln!(
                body,
                "{{\"timestamp\":\"{stamp}\",\"correlation_id\":\"r{}\",\"message\":\"line {number}\"}}",
                number / 10
            );
        }
        sent.requests.fetch_add(1, Ordering::Relaxed);
        match client.post(if bulk { "/_bulk" } else { "/" }, &body) {
            Ok((200, answer)) => {
                if bulk && !answer.contains("\"errors\":false") {
                    return Err(format!("items were refused: {answer}"));
                }
                let mut acknowledged = sent.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                acknowledged.extend(first..first + count);
            }
            // Nobody listens, or too much waits: what was sent may be there or not.
            Ok((429 | 503, _)) | Err(_) => {
                sent.failed.fetch_add(1, Ordering::Relaxed);
                thread::sleep(AGAIN);
            }
            Ok((status, answer)) => return Err(format!("answered {status}: {answer}")),
        }
    }
    Ok(())
}

/// The real binary with a configuration `run.yaml` in a folder, which writes to `out.ndjson` there.
pub(crate) struct World<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) folder: &'a Path,
}

impl World<'_> {
    pub(crate) fn start(&self) -> io::Result<Child> {
        let errors = File::options().create(true).append(true).open(self.folder.join("stderr"))?;
        let mut command = Command::new(self.binary);
        command.arg("run").arg("-c").arg(self.folder.join("run.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn()
    }

    /// The ids under which each line was written.
    pub(crate) fn written(&self) -> io::Result<BTreeMap<u64, BTreeSet<String>>> {
        let mut ids: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let text = match fs::read(self.folder.join("out.ndjson")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(record) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
            let number = record["message"].as_str().and_then(|text| text.strip_prefix("line ")?.parse().ok());
            if let (Some(number), Some(id)) = (number, record["id"].as_str()) {
                ids.entry(number).or_default().insert(id.to_owned());
            }
        }
        Ok(ids)
    }
}

/// Runs the test; true when every line that was acknowledged is written, under one id.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let folder = tempfile::tempdir()?;
    // Free a moment ago: the binary is started again and again at the same address.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let name = folder.path().display();
    fs::write(
        folder.path().join("run.yaml"),
        format!(
            "checkpoint: '{name}/state'\nwal: {{ disk: 64MiB }}\nsources:\n  - http: {{ listen: '{address}' }}\n\
             time: {{ max_delay: 1s, idle_after: 1s }}\nsinks:\n  - file: {{ path: '{name}/out.ndjson', take: [entries, late, rejects] }}\n"
        ),
    )?;
    let world = World { binary: &binary, folder: folder.path() };
    let sent = Sent::default();
    let mut random = Random::new(options.seed);
    let watch = Stopwatch::start();
    let last = thread::scope(|scope| -> io::Result<Child> {
        let senders: Vec<_> = (0..options.senders)
            .map(|sender| {
                let sent = &sent;
                let seed = options.seed.wrapping_mul(1000) + sender;
                scope.spawn(move || send(sent, address, seed))
            })
            .collect();
        let mut storm = || -> io::Result<Child> {
            for _ in 0..options.kills {
                let mut child = world.start()?;
                let patience = Duration::from_millis(random.between(20, options.longest_ms));
                if let Some(status) = process::wait(&mut child, patience)? {
                    let errors = fs::read_to_string(folder.path().join("stderr")).unwrap_or_default();
                    return Err(io::Error::other(format!("logbraid ended with {status}: {errors}")));
                }
                child.kill()?;
                child.wait()?;
            }
            world.start()
        };
        let last = storm();
        sent.stop.store(true, Ordering::Release);
        for sender in senders {
            if let Ok(Err(why)) = sender.join() {
                return Err(io::Error::other(why));
            }
        }
        last
    })?;
    let storm_s = watch.seconds();
    let acknowledged = sent.acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner);
    let watch = Stopwatch::start();
    let written = loop {
        let written = world.written()?;
        let complete = acknowledged.iter().all(|number| written.contains_key(number));
        if complete || watch.elapsed() > Duration::from_secs(options.patience) {
            break written;
        }
        thread::sleep(Duration::from_millis(200));
    };
    let status = process::terminate(last, Duration::from_secs(20))?;
    let missing: Vec<u64> =
        acknowledged.iter().copied().filter(|number| !written.contains_key(number)).collect();
    let torn = written.values().filter(|ids| ids.len() > 1).count();
    let next = sent.next.load(Ordering::Acquire);
    let invented = written.keys().filter(|number| **number >= next).count();
    let unsure = written.keys().filter(|number| !acknowledged.contains(number)).count();
    writeln!(
        out,
        "wal: kills={} seconds={storm_s:.1} requests={} unanswered={} acknowledged={} missing={} under_two_ids={torn} \
         invented={invented} written_unacknowledged={unsure} end={status}",
        options.kills,
        sent.requests.into_inner(),
        sent.failed.into_inner(),
        acknowledged.len(),
        missing.len(),
    )?;
    if let Some(first) = missing.first() {
        writeln!(out, "  first missing: line {first}")?;
    }
    let holds =
        !acknowledged.is_empty() && missing.is_empty() && torn == 0 && invented == 0 && status.success();
    writeln!(out, "wal: {}", if holds { "held" } else { "FAILED" })?;
    Ok(holds)
}
