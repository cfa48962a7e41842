//! A clock that can be set for one process: the library `libfaketime` between it and the system, with an offset that it
//! reads from a file at every look. The monotonic clock goes on as it is, as it does when a host's clock is set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clock of a process.
#[derive(Debug, Clone)]
pub struct HostClock {
    library: PathBuf,
    offset: PathBuf,
}

impl HostClock {
    /// One whose offset is in a file in `folder`; `None` where the library is not installed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn find(folder: &Path) -> io::Result<Option<Self>> {
        // As Debian has it: a folder for each architecture.
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
        let Some(library) = libraries.into_iter().find(|library| library.exists()) else { return Ok(None) };
        fs::create_dir_all(folder)?;
        let clock = Self { library, offset: folder.join("clock") };
        clock.set(0)?;
        Ok(Some(clock))
    }

    /// Sets it to so many seconds after the true time; before it when negative.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) -> io::Result<()> {
        // A half-written number must not be read.
        let next = self.offset.with_extension("next");
        fs::write(&next, format!("{seconds:+}s\n"))?;
        fs::rename(next, &self.offset)
    }

    /// Lets the process that `command` starts look at this clock.
    pub(super) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.offset);
        for switch in ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"] {
            command.env(switch, "1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_the_clock_that_it_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(clock) = HostClock::find(folder.path()).expect("the offset is written") else {
            eprintln!("skipped: libfaketime is not installed");
            return;
        };
        let year = |seconds: i64| {
            clock.set(seconds).expect("the offset is written");
            let mut date = Command::new("date");
            date.args(["-u", "+%Y"]);
            clock.give_to(&mut date);
            let said = date.output().expect("date runs").stdout;
            String::from_utf8_lossy(&said).trim().parse::<i64>().expect("a year")
        };
        assert_eq!(year(10 * 366 * 86_400) - year(0), 10);
        assert_eq!(year(0) - year(-10 * 366 * 86_400), 10);
    }
}
