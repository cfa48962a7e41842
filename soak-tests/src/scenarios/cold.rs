//! Whole processes, from their start to their end.

use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stopwatch::Stopwatch;

/// Runs a process with its output thrown away, at most for `patience`. Its time in milliseconds; `None` when it failed
/// or had to be killed. (Exit status 1 is "nothing found".)
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command, patience: Duration) -> io::Result<Option<f64>> {
    let watch = Stopwatch::start();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pid = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
    let (done, waits) = channel::<()>();
    let watchdog = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        if waits.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            // It has not been waited for yet, so that its number is still its own.
            let _ = kill(pid, Signal::SIGKILL);
        }
    })?;
    let status = child.wait()?;
    let ms = watch.seconds() * 1000.0;
    drop(done);
    watchdog.join().map_err(|_| io::Error::other("the watchdog failed"))?;
    Ok(status.code().is_some_and(|code| code <= 1).then_some(ms))
}
