//! Other programs, above all the real binary: found, run, measured, ended.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use crate::stopwatch::Stopwatch;

/// What a program cost.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// How it ended.
    pub status: ExitStatus,
    /// Seconds from start to end.
    pub wall_s: f64,
    /// Seconds of processor time in the program and in the kernel for it.
    pub cpu_s: f64,
    /// The most memory that was resident at once, in bytes.
    pub rss_peak_bytes: u64,
}

/// The `logbraid` binary: as given, else beside this program. Fails with a proposal when there is none.
pub fn binary(given: Option<&Path>) -> io::Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("logbraid"),
    };
    if path.is_file() {
        return Ok(path);
    }
    let message =
        format!("'{}' is missing; build it with `cargo build --release -p logbraid`", path.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// True when a program called `name` can be run from here.
pub fn installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join(name).is_file()))
}

/// Runs `command` to its end with its output thrown away. Only one program may be measured at a time.
/// Fails when it cannot be started.
pub fn measure(command: &mut Command) -> io::Result<Measured> {
    measure_into(command, Stdio::null())
}

/// As [`measure`], with the output going to `to`.
pub fn measure_into(command: &mut Command, to: Stdio) -> io::Result<Measured> {
    let before = children_cpu_s()?;
    let watch = Stopwatch::start();
    let mut child = command.stdin(Stdio::null()).stdout(to).spawn()?;
    let mut rss_peak_bytes = 0;
    let status = loop {
        // The high-water mark only rises: what is missed is what was added in the last moment.
        rss_peak_bytes = rss_peak_bytes.max(rss_peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let wall_s = watch.seconds();
    Ok(Measured { status, wall_s, cpu_s: children_cpu_s()? - before, rss_peak_bytes })
}

fn children_cpu_s() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

/// The most memory that process `pid` has had resident, in bytes (`VmHWM`).
pub fn rss_peak(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

/// The memory that process `pid` has resident now, in bytes (`VmRSS`).
pub fn rss(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Asks a program to end, waits at most `patience`, then ends it.
pub fn terminate(mut child: Child, patience: Duration) -> io::Result<ExitStatus> {
    if let Ok(pid) = i32::try_from(child.id()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    }
    let watch = Stopwatch::start();
    while watch.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()
}

/// Waits at most `patience` for a program to end by itself; `None` when it has not.
pub fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let watch = Stopwatch::start();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if watch.elapsed() >= patience {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
