//! The demo logs: two minutes of a small shop whose payments database runs out of connections.
//!
//! ```text
//!  gateway ─► checkout ─► inventory
//!     │           └─────► payments ─► payments-db   ✗ 60 s to 85 s: no connection slots left
//!     └─────► inventory
//! ```
//!
//! Each service writes in a style of its own, and each line names its service, so that the files mean the same when
//! they are read one by one, merged, or through a pipe.

mod layout;
mod shop;

use std::io;
use std::path::Path;

/// One service's log.
#[derive(Debug)]
pub struct File {
    /// Its name, such as `gateway.log`.
    pub name: &'static str,
    /// Its lines.
    pub text: String,
}

/// All files of the demo; equal seeds give equal files.
pub fn files(seed: u64) -> Vec<File> {
    let lines = shop::two_minutes(seed);
    shop::Service::ALL
        .map(|service| {
            let mut own: Vec<&shop::Line> = lines.iter().filter(|line| line.service == service).collect();
            // Stable: lines of one millisecond stay in the order in which they were written.
            own.sort_by_key(|line| line.time_ms);
            File { name: service.file(), text: own.into_iter().map(layout::line).collect() }
        })
        .into()
}

/// Writes the demo's files into the folder `to`. Fails when the folder cannot be written.
pub fn write(seed: u64, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in files(seed) {
        std::fs::write(to.join(file.name), file.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
