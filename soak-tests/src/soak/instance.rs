//! An instance of the binary that follows the log, and whoever reads what it says.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::HostClock;
use super::seen::Seen;
use crate::process;
use crate::stopwatch::Stopwatch;

/// When lines are due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Since the first line.
    pub watch: Stopwatch,
    /// Lines a second.
    pub rate: f64,
    /// How long lines are written, in seconds.
    pub seconds: f64,
}

/// An instance, started again and again with one configuration.
pub struct Instance {
    binary: PathBuf,
    config: PathBuf,
    errors: PathBuf,
    schedule: Schedule,
    clock: Option<HostClock>,
    /// What it has said so far.
    pub seen: Arc<Mutex<Seen>>,
    /// True while nobody takes what it says.
    pub stalled: Arc<AtomicBool>,
    running: Option<(Child, JoinHandle<()>)>,
}

impl Instance {
    /// One that writes its state and its second sink below `state`, and follows the log in `input`.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub fn new(
        binary: &Path,
        state: &Path,
        input: &Path,
        second: Option<&Path>,
        schedule: Schedule,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(state)?;
        let config = state.join("run.yaml");
        let second = second.map_or_else(String::new, |folder| {
            format!(
                "  - file: {{ path: '{}/timelines.ndjson', take: [timelines, entries], rotate: {{ size: 8MiB, keep: 2 \
                 }} }}\n",
                folder.display()
            )
        });
        let text = format!(
            "checkpoint: '{}/checkpoint'\nsources:\n  - files: {{ paths: ['{}/*.log*'], follow: true }}\ntime: {{ max_delay: \
             1s, idle_after: 2s, allowed_lateness: 30s }}\noperators:\n  - thread: {{}}\n  - correlate: {{ gap: 3s }}\n  - \
             hierarchy: {{}}\n  - error_flow: {{}}\nsinks:\n  - stdout: {{ take: [entries, timelines, findings, rejects, \
             late] }}\n{second}",
            state.display(),
            input.display()
        );
        std::fs::write(&config, text)?;
        Ok(Self {
            binary: binary.to_owned(),
            config,
            errors: state.join("stderr"),
            schedule,
            clock: None,
            seen: Arc::new(Mutex::new(Seen::new()?)),
            stalled: Arc::default(),
            running: None,
        })
    }

    /// The same with a clock that can be set.
    #[must_use]
    pub fn with_clock(mut self, clock: Option<HostClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> io::Result<()> {
        let errors = File::options().create(true).append(true).open(&self.errors)?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "-c"]).arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        let mut child = command.spawn()?;
        let Some(stdout) = child.stdout.take() else {
            return Err(io::Error::other("a process without output"));
        };
        let (seen, stalled, schedule) = (Arc::clone(&self.seen), Arc::clone(&self.stalled), self.schedule);
        let reader = thread::Builder::new()
            .name("read".to_owned())
            .spawn(move || read(stdout, &seen, &stalled, schedule))?;
        self.running = Some((child, reader));
        Ok(())
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|(child, _)| child.id())
    }

    /// Starts it again when it has ended by itself; true when it had.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn revive(&mut self) -> io::Result<bool> {
        let ended = match &mut self.running {
            Some((child, _)) => child.try_wait()?.is_some(),
            None => true,
        };
        if ended {
            self.join()?;
            self.start()?;
        }
        Ok(ended)
    }

    /// Kills it; what it had written is still read.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some((child, _)) = &mut self.running {
            child.kill()?;
        }
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        if let Some((mut child, reader)) = self.running.take() {
            child.wait()?;
            reader.join().map_err(|_| io::Error::other("a reader failed"))?;
        }
        Ok(())
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it is not running.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        let Some((child, reader)) = self.running.take() else {
            return Err(io::Error::other("it is not running"));
        };
        let status = process::terminate(child, Duration::from_secs(30))?;
        reader.join().map_err(|_| io::Error::other("a reader failed"))?;
        Ok(status)
    }

    /// The last words that it wrote to stderr.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        text.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Only reached with a running process when the soak itself has failed.
        let _ = self.kill();
    }
}

fn read(from: ChildStdout, seen: &Mutex<Seen>, stalled: &AtomicBool, schedule: Schedule) {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    let mut bytes = Vec::new();
    loop {
        while stalled.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
        bytes.clear();
        if !from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = seen.take(text.trim_end_matches('\n')) else { continue };
        let due_s = line as f64 / schedule.rate;
        let late_us = ((schedule.watch.seconds() - due_s).max(0.0) * 1e6) as u64;
        let third = if due_s < schedule.seconds / 3.0 {
            0
        } else {
            1 + usize::from(due_s >= schedule.seconds * 2.0 / 3.0)
        };
        seen.latency[third].saturating_record(late_us.max(1));
    }
}
