//! Follows a file with the real binary while it is rotated twice by rename and truncated once: no line lost, none
//! twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::generate::random::Random;
use crate::generate::stamp::{Stamps, T0_US};
use crate::process;
use crate::stopwatch::Stopwatch;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Lines to write between two events of the file's life.
    #[arg(long, default_value_t = 500)]
    pub lines: u64,
    /// Seconds to wait for lines that were written.
    #[arg(long, default_value_t = 30)]
    pub patience: u64,
    /// Decides how lines are cut into writes.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

/// How often each line came out.
type Seen = Arc<Mutex<BTreeMap<u64, u64>>>;

fn collect(output: ChildStdout, seen: &Seen) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        let Ok(record) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let number = record["message"].as_str().and_then(|text| text.strip_prefix("line ")?.parse().ok());
        if let (Some("entry"), Some(number)) = (record["type"].as_str(), number) {
            *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(0) += 1;
        }
    }
}

struct Writer {
    file: File,
    next: u64,
    random: Random,
    stamps: Stamps,
}

impl Writer {
    /// Writes `count` lines, now and then only half a line before a pause.
    fn write(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            let mut line = b"{\"timestamp\":\"".to_vec();
            self.stamps.iso(&mut line, T0_US + self.next * 10_000);
            line.extend_from_slice(
                format!(
                    "\",\"level\":\"INFO\",\"request_id\":\"r-{}\",\"message\":\"line {}\"}}\n",
                    self.next / 10,
                    self.next
                )
                .as_bytes(),
            );
            self.next += 1;
            if self.random.chance(3) {
                let cut = usize::try_from(self.random.below(line.len() as u64)).unwrap_or(0);
                self.file.write_all(&line[..cut])?;
                thread::sleep(Duration::from_millis(self.random.between(1, 40)));
                self.file.write_all(&line[cut..])?;
            } else {
                self.file.write_all(&line)?;
            }
        }
        Ok(())
    }
    /// The old file keeps its lines under another name; writing goes on in a new one.
    fn rotate(&mut self, path: &Path, to: &Path) -> io::Result<()> {
        fs::rename(path, to)?;
        // Some lines still go to the renamed file, as they do until a service opens its log anew.
        self.write(7)?;
        self.file = File::create(path)?;
        Ok(())
    }
}

fn missing(seen: &Seen, written: u64) -> u64 {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    written - seen.keys().filter(|number| **number < written).count() as u64
}

fn wait_for(seen: &Seen, written: u64, patience: Duration) -> u64 {
    let watch = Stopwatch::start();
    while missing(seen, written) > 0 && watch.elapsed() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    missing(seen, written)
}

/// Runs the test; true when every line came out exactly once.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let patience = Duration::from_secs(options.patience);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.log");
    let mut writer = Writer {
        file: File::create(&path)?,
        next: 0,
        random: Random::new(options.seed),
        stamps: Stamps::default(),
    };
    writer.write(options.lines)?;

    let mut child = Command::new(&binary)
        .arg("-f")
        .arg(&path)
        .args(["--output", "ndjson", "--emit", "entries"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let seen = Seen::default();
    let Some(output) = child.stdout.take() else { return Err(io::Error::other("no output to read")) };
    let collector = thread::Builder::new().name("collect".to_owned()).spawn({
        let seen = Arc::clone(&seen);
        move || collect(output, &seen)
    })?;

    for name in ["app.log.1", "app.log.2"] {
        writer.write(options.lines)?;
        thread::sleep(Duration::from_millis(writer.random.between(0, 300)));
        writer.rotate(&path, &folder.path().join(name))?;
        writer.write(options.lines)?;
    }
    // Truncation destroys what nobody has read yet: the writer's loss, not the reader's. So wait, then truncate.
    let late = wait_for(&seen, writer.next, patience);
    writeln!(out, "after two rotations: {} lines written, {late} still to come", writer.next)?;
    // A writer that truncates has opened its log for appending, or it would leave a hole of NUL bytes.
    writer.file = File::options().append(true).open(&path)?;
    writer.file.set_len(0)?;
    writer.write(options.lines)?;
    let lost = wait_for(&seen, writer.next, patience);
    // Time for a line to come twice.
    thread::sleep(Duration::from_millis(1500));
    let status = process::terminate(child, Duration::from_secs(20))?;
    collector.join().map_err(|_| io::Error::other("the collector failed"))?;

    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let twice = seen.values().filter(|count| **count > 1).count();
    let odd = seen.keys().filter(|number| **number >= writer.next).count();
    let holds = lost == 0 && twice == 0 && odd == 0 && status.success();
    let gone: Vec<u64> = (0..writer.next).filter(|number| !seen.contains_key(number)).take(5).collect();
    if !holds {
        writeln!(out, "ended with {status}; first lines lost: {gone:?}")?;
    }
    let word = if holds { "held" } else { "FAILED" };
    writeln!(
        out,
        "follow: lines={} lost={lost} twice={twice} rotations=2 truncations=1 {word}",
        writer.next
    )?;
    Ok(holds)
}
