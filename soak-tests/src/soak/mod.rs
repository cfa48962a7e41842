//! A long run at a fixed rate, with faults, and a judge at its end.
//!
//! ```text
//!  lines at a fixed rate ─► app.log ─ rotated by rename ─┬─► storm   killed, nobody reads, disk full, started again
//!                                                        └─► steady  left alone: memory, descriptors, latency
//! ```
//!
//! Two instances follow the same log, each with a checkpoint of its own. What one is put through is not done to the
//! other, so that memory and latency are measured on a process that is as old as the run.

mod clock;
pub mod instance;
pub mod seen;
mod table;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::clock::HostClock;
use self::instance::{Instance, Schedule};
use self::seen::{Verdict, request};
use crate::generate::random::Random;
use crate::generate::stamp::{Stamps, T0_US};
use crate::process;
use crate::report::machine::Machine;
use crate::stopwatch::Stopwatch;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  logbraid-soak soak                              ten minutes at 2000 lines/s
  logbraid-soak soak --seconds 60                 as a check before a change lands
  logbraid-soak soak --seconds 14400 --rate 5000  four hours
Faults: kill -9, a reader that stops reading, files rotated by rename, and a full disk, for which a small file system of
its own is mounted (only root may; left out by name otherwise), and a clock that is set forth and back by up to a day,
for which `libfaketime` stands between the instance and the system (left out by name where it is not installed). Kafka
has its own: `logbraid-soak kafka`.")]
pub struct Options {
    /// How long lines are written.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..))]
    pub seconds: u64,
    /// Lines a second.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// Seconds between faults, on average.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub every: u64,
    /// Decides when which fault comes.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/prove/soak.json", value_name = "FILE")]
    pub json: PathBuf,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Soak {
    /// Where and when.
    pub machine: Machine,
    /// Seconds that lines were written, and lines a second.
    pub offered: (u64, u64),
    /// How often the storm was killed.
    pub kills: u32,
    /// How often nobody read what it said, for seconds.
    pub stalls: u32,
    /// How often the log was rotated.
    pub rotations: u32,
    /// How often the disk of its second sink was full; none when there was no such disk.
    pub disks_full: Option<u32>,
    /// How often its clock was set; none when it could not be.
    #[serde(default)]
    pub clock_steps: Option<u32>,
    /// How often it ended by itself and was started again.
    pub revived: u32,
    /// What the storm said.
    pub storm: Option<Verdict>,
    /// What the steady one said.
    pub steady: Option<Verdict>,
    /// Resident bytes of the steady one: seconds since the start, and bytes.
    pub rss: Vec<(f64, u64)>,
    /// Its open descriptors: at a quarter of the run and at its end, and files that it follows.
    pub descriptors: (u64, u64, u64),
    /// Milliseconds from a line's moment to its record, median and p99, by third of the run.
    pub latency_ms: Vec<(f64, f64)>,
    /// Why it failed.
    pub failures: Vec<String>,
}

/// A small disk that can be full.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts one of 64 MB; `None` when that is not allowed.
    fn mount(folder: PathBuf) -> io::Result<Option<Self>> {
        fs::create_dir_all(&folder)?;
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(&folder)
            .stderr(std::process::Stdio::null())
            .status();
        Ok(done.is_ok_and(|status| status.success()).then_some(Self { folder }))
    }
    /// Leaves no room.
    fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.folder.join("filler"))?;
        let zeros = vec![0; 64 * 1024];
        // Until it says that there is no room.
        while file.write_all(&zeros).is_ok() {}
        Ok(())
    }
    /// Makes room again, also of what was written: the judge reads the first sink.
    fn empty(&self) {
        let _was_there = fs::remove_file(self.folder.join("filler"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Detached as soon as its last user has gone.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// Runs; true when nothing was lost, changed or invented, and nothing grew.
///
/// # Errors
/// When the binary is missing, or the log cannot be written.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("in");
    fs::create_dir_all(&input)?;
    let disk = Disk::mount(folder.path().join("small"))?;
    if disk.is_none() {
        writeln!(out, "skipped: a full disk (mounting a small file system needs root)")?;
    }
    let clock = HostClock::find(&folder.path().join("clock"))?;
    if clock.is_none() {
        writeln!(out, "skipped: steps of the clock (libfaketime is not installed)")?;
    }
    let log = input.join("app.log");
    let mut writer =
        Lines { file: File::create(&log)?, stamps: Stamps::default(), next: 0, rate: options.rate };
    let seconds = options.seconds as f64;
    let schedule = Schedule { watch: Stopwatch::start(), rate: options.rate as f64, seconds };
    let state = |name: &str| folder.path().join(name);
    let second = disk.as_ref().map(|disk| disk.folder.as_path());
    let mut storm =
        Instance::new(&binary, &state("storm"), &input, second, schedule)?.with_clock(clock.clone());
    let mut steady = Instance::new(&binary, &state("steady"), &input, None, schedule)?;
    storm.start()?;
    steady.start()?;
    let mut soak = Soak {
        machine: Machine::here(),
        offered: (options.seconds, options.rate),
        disks_full: disk.as_ref().map(|_| 0),
        clock_steps: clock.as_ref().map(|_| 0),
        ..Soak::default()
    };
    let mut faults =
        Faults { random: Random::new(options.seed), at: 2.0, ends: None, every: options.every, disk, clock };
    let (mut sampled, mut early) = (0.0, 0);
    while schedule.watch.seconds() < seconds {
        let now = schedule.watch.seconds();
        writer.write_until((now * options.rate as f64) as u64)?;
        if now - sampled >= 1.0 {
            sampled = now;
            if let Some(bytes) = steady.pid().and_then(process::rss) {
                soak.rss.push((now, bytes));
            }
            if now < seconds / 4.0 {
                early = descriptors(steady.pid());
            }
            soak.revived += u32::from(storm.revive()?);
        }
        faults.strike(now, seconds, &mut storm, &mut writer, &log, &mut soak)?;
        thread::sleep(Duration::from_millis(2));
    }
    writer.write_until(options.seconds * options.rate)?;
    faults.end(&mut storm);
    soak.descriptors = (early, descriptors(steady.pid()), fs::read_dir(&input)?.count() as u64);
    settle(&mut storm, &mut steady, writer.next, &mut soak)?;
    let verdict =
        |instance: &Instance| instance.seen.lock().unwrap_or_else(PoisonError::into_inner).judge(writer.next);
    (soak.storm, soak.steady) = (Some(verdict(&storm)), Some(verdict(&steady)));
    let seen = steady.seen.lock().unwrap_or_else(PoisonError::into_inner);
    soak.latency_ms = seen
        .latency
        .iter()
        .map(|third| {
            (third.value_at_percentile(50.0) as f64 / 1e3, third.value_at_percentile(99.0) as f64 / 1e3)
        })
        .collect();
    drop(seen);
    let examples = storm.seen.lock().unwrap_or_else(PoisonError::into_inner).examples.clone();
    soak.judge();
    soak.failures.extend(examples.into_iter().map(|text| format!("storm changed: {text}")));
    soak.machine = soak.machine.ended();
    if let Some(folder) = options.json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&options.json, serde_json::to_vec_pretty(&soak)?)?;
    writeln!(out, "{}\nfigures: {}", soak.markdown(), options.json.display())?;
    let word = if soak.failures.is_empty() { "held" } else { "FAILED" };
    writeln!(out, "soak: seconds={} rate={} seed={} {word}", options.seconds, options.rate, options.seed)?;
    Ok(soak.failures.is_empty())
}

/// Waits until everything has come out, then ends both.
fn settle(storm: &mut Instance, steady: &mut Instance, lines: u64, soak: &mut Soak) -> io::Result<()> {
    let watch = Stopwatch::start();
    let whole = |instance: &Instance| {
        let seen = instance.seen.lock().unwrap_or_else(PoisonError::into_inner).judge(lines);
        seen.lost == 0 && seen.requests_wrong == 0
    };
    // The last requests close once the log has been silent for as long as a source may be, and the gap.
    while watch.elapsed() < Duration::from_secs(45) && !(whole(storm) && whole(steady)) {
        soak.revived += u32::from(storm.revive()?);
        thread::sleep(Duration::from_millis(500));
    }
    for (name, instance) in [("storm", storm), ("steady", steady)] {
        let status = instance.stop()?;
        if !status.success() {
            soak.failures.push(format!("{name} ended with {status}: {}", instance.last_words()));
        }
    }
    Ok(())
}

fn descriptors(pid: Option<u32>) -> u64 {
    let folder = pid.and_then(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
    folder.map_or(0, |folder| folder.count() as u64)
}

impl Soak {
    /// Bytes a minute by which the steady one grows, in the second half of the run: the slope of the line through its
    /// resident bytes (least squares).
    pub fn slope(&self) -> f64 {
        let half = self.rss.get(self.rss.len() / 2..).unwrap_or_default();
        let n = half.len() as f64;
        if half.len() < 2 {
            return 0.0;
        }
        let (mean_x, mean_y) = (
            half.iter().map(|(x, _)| x).sum::<f64>() / n,
            half.iter().map(|(_, y)| *y as f64).sum::<f64>() / n,
        );
        let above: f64 = half.iter().map(|(x, y)| (x - mean_x) * (*y as f64 - mean_y)).sum();
        let below: f64 = half.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if below > 0.0 { above / below * 60.0 } else { 0.0 }
    }

    fn judge(&mut self) {
        for (name, verdict) in [("storm", &self.storm), ("steady", &self.steady)] {
            if let Some(verdict) = verdict.as_ref().filter(|verdict| !verdict.holds()) {
                self.failures.push(format!("{name}: {verdict:?}"));
            }
        }
        // Windows fill for the first half minute; afterwards a run that is long enough must not grow.
        let newest = self.rss.last().map_or(0, |(_, bytes)| *bytes);
        let grown = self.slope() * self.offered.0 as f64 / 120.0;
        if self.offered.0 >= 180 && grown > 0.1 * newest as f64 + 4e6 {
            self.failures.push(format!("steady grew by {:.1} MB in the second half", grown / 1e6));
        }
        let (early, late, files) = self.descriptors;
        if late > early + files {
            self.failures
                .push(format!("steady has {late} descriptors open, {early} at first, with {files} files"));
        }
        if let [(first, _), .., (last, _)] = self.latency_ms.as_slice()
            && *last > first * 1.5 + 100.0
        {
            self.failures
                .push(format!("latency drifted: median {first:.0} ms at first, {last:.0} ms at the end"));
        }
    }
}

/// Writes numbered lines.
struct Lines {
    file: File,
    stamps: Stamps,
    next: u64,
    rate: u64,
}

impl Lines {
    fn write_until(&mut self, until: u64) -> io::Result<()> {
        let mut out = Vec::new();
        while self.next < until {
            let line = self.next;
            out.extend_from_slice(b"{\"timestamp\":\"");
            self.stamps.iso(&mut out, T0_US + line * 1_000_000 / self.rate);
            let level = if line.is_multiple_of(97) { "ERROR" } else { "INFO" };
            let rest = format!(
                "\",\"level\":\"{level}\",\"service\":\"s{}\",\"thread_id\":\"w-{}\",\"request_id\":\"req-{:06}\",\"message\":\"line \
                 {line}\"}}\n",
                line % 3,
                line % 7,
                request(line)
            );
            out.extend_from_slice(rest.as_bytes());
            self.next += 1;
        }
        self.file.write_all(&out)
    }
    fn rotate(&mut self, log: &Path, number: u32) -> io::Result<()> {
        fs::rename(log, log.with_extension(format!("log.{number}")))?;
        self.file = File::create(log)?;
        Ok(())
    }
}

/// What is done to the storm, and when.
struct Faults {
    random: Random,
    /// The next fault, in seconds since the start.
    at: f64,
    /// When a fault that lasts is over.
    ends: Option<f64>,
    every: u64,
    disk: Option<Disk>,
    clock: Option<HostClock>,
}

impl Faults {
    fn strike(
        &mut self,
        now: f64,
        seconds: f64,
        storm: &mut Instance,
        writer: &mut Lines,
        log: &Path,
        soak: &mut Soak,
    ) -> io::Result<()> {
        if self.ends.is_some_and(|ends| now >= ends) {
            self.end(storm);
        }
        // The last seconds are calm, or the end would be part of a fault.
        if now < self.at || self.ends.is_some() || now > seconds - 5.0 {
            return Ok(());
        }
        self.at = now + self.random.between(500, self.every * 1500) as f64 / 1000.0;
        match self.random.below(6) {
            0 | 1 => {
                storm.kill()?;
                storm.start()?;
                soak.kills += 1;
            }
            2 => {
                soak.rotations += 1;
                writer.rotate(log, soak.rotations)?;
            }
            3 => {
                storm.stalled.store(true, Ordering::Relaxed);
                self.ends = Some(now + 3.0);
                soak.stalls += 1;
            }
            4 => {
                if let (Some(clock), Some(count)) = (&self.clock, soak.clock_steps.as_mut()) {
                    const HOUR: i64 = 3600;
                    let steps = [-24 * HOUR, -HOUR, -2, 0, 2, HOUR, 24 * HOUR];
                    clock.set(steps[self.random.below(steps.len() as u64) as usize])?;
                    *count += 1;
                }
            }
            _ => {
                if let (Some(disk), Some(count)) = (&self.disk, soak.disks_full.as_mut()) {
                    disk.fill()?;
                    self.ends = Some(now + 2.0);
                    *count += 1;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, storm: &mut Instance) {
        storm.stalled.store(false, Ordering::Relaxed);
        if let Some(disk) = &self.disk {
            disk.empty();
        }
        self.ends = None;
    }
}
