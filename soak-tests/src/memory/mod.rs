//! Memory, as two instruments see it: the allocator's counter and the kernel's VmRSS, each operation in a process of its
//! own, so that none hides in the room that another left behind.

pub mod operation;
mod table;

use std::fs;
use std::io::{self, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::operation::{Operation, Taken};
use crate::process;
use crate::report::machine::Machine;
use crate::scenarios::data::{Data, Kind};
use crate::scenarios::theirs::Tool;
use crate::scenarios::tool_folder;
use crate::stopwatch::Stopwatch;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  logbraid-soak memory                 10 K, 50 K, 100 K and 1 M entries, with the batch tool, about 5 minutes
  logbraid-soak memory --most 100000   without the largest
  logbraid-soak report                 writes what was measured to docs/benchmarks.md")]
pub struct Options {
    /// The largest scale, in entries.
    #[arg(long, default_value_t = 1_000_000)]
    pub most: u64,
    /// Leave the batch tool out.
    #[arg(long)]
    pub alone: bool,
    /// Where the batch tool is installed [default: `batch-tool` beside this program's folder].
    #[arg(long, value_name = "FOLDER")]
    pub tool: Option<PathBuf>,
    /// Where the figures go.
    #[arg(long, default_value = "target/prove/memory.json", value_name = "FILE")]
    pub json: PathBuf,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Do this in the process itself, and print what it took.
    #[arg(long, hide = true, requires = "file")]
    pub operation: Option<Operation>,
    /// What it is done with.
    #[arg(long, hide = true)]
    pub file: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Where and when.
    pub machine: Machine,
    /// Why the batch tool was left out.
    pub skipped: Option<String>,
    /// A row for each operation at each scale.
    pub rows: Vec<Row>,
    /// The binary that follows a file and waits.
    pub idle: Option<Idle>,
}

/// An operation at a scale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// What was done.
    pub operation: Operation,
    /// Entries in the file.
    pub entries: u64,
    /// Its size.
    pub file_bytes: u64,
    /// What it took of ours.
    pub ours: Taken,
    /// What the same took of theirs, where they have the same.
    pub theirs: Option<Theirs>,
}

/// What a call took of the batch tool, in bytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Theirs {
    /// The most that Python's own tracer saw.
    pub traced_max: u64,
    /// Resident before and after.
    pub rss: (u64, u64),
    /// The most that was resident.
    pub rss_max: u64,
}

/// A sidecar that has nothing to do, and one whose index has taken in lines.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Idle {
    /// Size of the binary.
    pub binary_bytes: u64,
    /// Resident with nothing read.
    pub rss: u64,
    /// What `/metrics` says that the index of so many entries takes: entries, columns, dictionaries, text.
    pub gauges: Option<(u64, u64, u64, u64)>,
    /// What the same lines took when they were counted in a process of their own.
    pub counted: Option<(u64, u64, u64)>,
}

/// Measures, prints and keeps the figures.
///
/// # Errors
/// When the binary is missing, or an operation fails.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    if let (Some(operation), Some(file)) = (options.operation, &options.file) {
        return operation::run(operation, file, out);
    }
    let binary = process::binary(options.binary.as_deref())?;
    let (tool, skipped) = match (options.alone, tool_folder(options.tool.as_deref())?) {
        (true, _) => (None, Some("by `--alone`".to_owned())),
        (false, folder) => match Tool::ready(&folder) {
            Ok(tool) => (Some(tool), None),
            Err(why) => (None, Some(why)),
        },
    };
    let mut memory = Memory { machine: Machine::here(), skipped, rows: Vec::new(), idle: None };
    let data = Data::new()?;
    for operation in Operation::ALL {
        for entries in [10_000, 50_000, 100_000, 1_000_000] {
            let (kind, most) = match operation {
                Operation::DbToJsonl => (Kind::Jobs, 100_000),
                Operation::Hierarchy => (Kind::Spans, 100_000),
                _ => (Kind::Plain, 1_000_000),
            };
            if entries > most.min(options.most) {
                continue;
            }
            let files = data.files(kind, entries)?;
            let Some((_, file)) = files.first() else { continue };
            let ours = measured(operation, file)?;
            let theirs = match (&tool, theirs(operation, file)) {
                (Some(tool), Some(request)) => theirs_taken(tool, &request)?,
                _ => None,
            };
            let row = Row { operation, entries, file_bytes: fs::metadata(file)?.len(), ours, theirs };
            writeln!(out, "{}", row.line())?;
            memory.rows.push(row);
        }
    }
    memory.idle = Some(idle(&binary, &data)?);
    memory.machine = memory.machine.ended();
    if let Some(folder) = options.json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&options.json, serde_json::to_vec_pretty(&memory)?)?;
    writeln!(out, "\n{}\nfigures: {}", memory.markdown(), options.json.display())?;
    Ok(true)
}

fn measured(operation: Operation, file: &Path) -> io::Result<Taken> {
    let name = clap::ValueEnum::to_possible_value(&operation).map(|value| value.get_name().to_owned());
    let done = Command::new(std::env::current_exe()?)
        .args(["memory", "--operation", &name.unwrap_or_default(), "--file"])
        .arg(file)
        .stdin(Stdio::null())
        .output()?;
    if !done.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn theirs(operation: Operation, file: &Path) -> Option<Value> {
    let file = file.display().to_string();
    match operation {
        Operation::SearchBroad => {
            Some(json!({"call": "search", "file": file, "level": "INFO", "limit": 100}))
        }
        Operation::Hierarchy => Some(json!({"call": "hierarchy", "file": file, "root": "worker-000"})),
        Operation::DbToJsonl => Some(json!({"call": "convert", "file": file})),
        Operation::LoadFiles | Operation::LoadStream => None,
    }
}

fn theirs_taken(tool: &Tool, request: &Value) -> io::Result<Option<Theirs>> {
    let done = tool.once(request, true).stdin(Stdio::null()).output()?;
    let Ok(said) = serde_json::from_slice::<Value>(&done.stdout) else { return Ok(None) };
    let of = |name: &str| said[name].as_u64().unwrap_or(0);
    Ok(Some(Theirs {
        traced_max: of("traced_peak"),
        rss: (of("rss_before"), of("rss_after")),
        rss_max: of("rss_peak"),
    }))
}

/// Starts the binary as a sidecar with an index: first with nothing to read, then with lines.
fn idle(binary: &Path, data: &Data) -> io::Result<Idle> {
    const ENTRIES: u64 = 50_000;
    let files = data.files(Kind::Plain, ENTRIES)?;
    let Some((_, lines)) = files.first() else { return Err(io::Error::other("no file")) };
    let (log, config) = (data.scratch("idle.log"), data.scratch("idle.yaml"));
    fs::write(&log, b"")?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    fs::write(
        &config,
        format!(
            "sources:\n  - files: {{ paths: ['{}'], follow: true }}\noperators:\n  - thread: {{}}\n  - index: {{ span: \
             100000d }}\n  - correlate: {{}}\n  - hierarchy: {{}}\n  - error_flow: {{}}\nsinks:\n  - stdout: {{ take: \
             [findings] }}\nadmin: {{ listen: '127.0.0.1:{port}' }}\n",
            log.display()
        ),
    )?;
    let child = Command::new(binary)
        .args(["run", "-c"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id();
    thread::sleep(Duration::from_secs(3));
    let rss = process::rss(pid).unwrap_or(0);
    fs::File::options().append(true).open(&log)?.write_all(&fs::read(lines)?)?;
    let watch = Stopwatch::start();
    let mut gauges = None;
    while watch.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(500));
        let text = get(port, "/metrics").unwrap_or_default();
        let of = |name: &str| gauge(&text, name);
        gauges = of("index_entries")
            .zip(of("index_columns_bytes"))
            .zip(of("index_dictionaries_bytes"))
            .zip(of("index_text_bytes"));
        if gauges.is_some_and(|(((entries, _), _), _)| entries >= ENTRIES) {
            break;
        }
    }
    process::terminate(child, Duration::from_secs(10))?;
    let counted = measured(Operation::LoadStream, lines)?.index;
    Ok(Idle {
        binary_bytes: fs::metadata(binary)?.len(),
        rss,
        gauges: gauges
            .map(|(((entries, columns), dictionaries), text)| (entries, columns, dictionaries, text)),
        counted: Some(counted),
    })
}

/// The value of the first sample whose name ends in `name`.
fn gauge(text: &str, name: &str) -> Option<u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).find_map(|(key, value)| {
        let key = key.split('{').next().unwrap_or(key);
        key.ends_with(name).then(|| value.parse::<f64>().ok()).flatten().map(|value| value as u64)
    })
}

/// A page of the admin server.
///
/// # Errors
/// When nobody answers.
pub fn get(port: u16, path: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
