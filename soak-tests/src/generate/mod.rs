//! The workload: deterministic log files of any length, written as they are drawn.
//!
//! ```text
//!  Workload ─► Entries (draws) ─► Layout (JSON, logfmt, log4j, syslog, CRI) ─► 256 KiB at a time ─► file, pipe
//!  demo: a shop with a failing database, five files of two minutes
//! ```
//!
//! Equal workloads give equal bytes on every machine: numbers come from [`random::Random`], times are integers.

pub mod demo;
pub mod entry;
pub mod layout;
pub mod message;
pub mod random;
pub mod stamp;

use std::io::{self, Write};

use entry::Entries;
use layout::Layout;
use stamp::Stamps;

/// How times follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Order {
    /// Entry i lies anywhere in i × (0.5 to 5 ms): neighbours may be minutes apart.
    Article,
    /// Evenly spaced, out of order by less than the jitter.
    Stream,
}

/// What to draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workload {
    /// How many entries.
    pub entries: u64,
    /// How their times follow each other.
    pub order: Order,
    /// Errors among a thousand entries.
    pub error_permille: u64,
    /// With span ids and parents: a random forest, four of ten entries are roots.
    pub spans: bool,
    /// Requests that are open at once; entries go round them.
    pub open: u64,
    /// Entries of a request, after which a new one takes its place; 0: requests last as long as the file.
    pub request_entries: u64,
    /// Microseconds between entries of [`Order::Stream`]; 0: as far apart as in the article, 2.75 ms.
    pub step_us: u64,
    /// How far out of order times may be in [`Order::Stream`], in microseconds.
    pub jitter_us: u64,
    /// Decides every draw.
    pub seed: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            order: Order::Stream,
            error_permille: 100,
            spans: false,
            open: 20,
            request_entries: 0,
            step_us: 0,
            jitter_us: 1_000_000,
            seed: 42,
        }
    }
}

impl Workload {
    /// The number of the request of entry `i`.
    pub const fn request(&self, i: u64) -> u64 {
        let open = if self.open == 0 { 1 } else { self.open };
        let slot = i % open;
        if self.request_entries == 0 {
            return slot;
        }
        // Slots change requests at different times, as they would in life.
        let turn = i / open + slot * self.request_entries / open;
        turn / self.request_entries * open + slot
    }

    /// Writes the workload's lines to `to` as `layout`, with no more memory than one buffer.
    /// Returns the number of bytes. Fails when `to` does.
    pub fn write(&self, layout: Layout, to: &mut dyn Write) -> io::Result<u64> {
        write(Entries::new(*self, None), layout, to)
    }

    /// Writes the lines of service number `service` (0 to 4) of a multi-service workload.
    /// Returns the number of bytes. Fails when `to` does.
    pub fn write_service(&self, service: usize, layout: Layout, to: &mut dyn Write) -> io::Result<u64> {
        write(Entries::new(*self, Some(service)), layout, to)
    }

    /// The workload's lines in memory.
    pub fn bytes(&self, layout: Layout) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = self.write(layout, &mut bytes);
        bytes
    }
}

fn write(mut entries: Entries, layout: Layout, to: &mut dyn Write) -> io::Result<u64> {
    const FULL: usize = 256 * 1024;
    let mut stamps = Stamps::default();
    let mut buffer = Vec::with_capacity(FULL + 4096);
    let mut written = 0;
    while let Some(entry) = entries.draw() {
        layout.write(&mut buffer, &mut stamps, entry);
        if buffer.len() >= FULL {
            to.write_all(&buffer)?;
            written += buffer.len() as u64;
            buffer.clear();
        }
    }
    to.write_all(&buffer)?;
    to.flush()?;
    Ok(written + buffer.len() as u64)
}

#[cfg(test)]
mod tests;
