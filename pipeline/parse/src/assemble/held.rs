//! Records that are not released yet, and whose lines they are.

use std::sync::Arc;

use logbraid_core::{Batch, EventTime, Flags, Format, Row, Text};

use crate::shape;

/// A record that is not released yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) batch: Arc<Batch>,
    pub(super) row: u32,
    /// The time carried before it.
    pub(super) before: EventTime,
    pub(super) join: Option<Box<Join>>,
    pub(super) trace: Trace,
    /// A later record of the same thread has begun: nothing more can come.
    pub(super) done: bool,
    /// The newest time among its lines.
    pub(super) newest: EventTime,
}

/// The lines of a record that came apart.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) raw: String,
    /// The bytes of `raw` as they came, where they are not UTF-8.
    pub(super) bytes: Option<Vec<u8>>,
    /// The message, or where it begins in `raw` when it runs on to its end.
    pub(super) message: Result<usize, String>,
    pub(super) lines: usize,
    /// Contents of the parts that a container runtime cut, when it did.
    pub(super) parts: Option<String>,
    pub(super) flags: Flags,
}

impl Join {
    /// Adds the raw line of a row.
    pub(super) fn add(&mut self, batch: &Batch, row: &Row, raw: &str) {
        let original = original(batch, row);
        if original.is_some() && self.bytes.is_none() {
            self.bytes = Some(self.raw.as_bytes().to_vec());
            self.flags.set(Flags::INVALID_UTF8);
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.push(b'\n');
            bytes.extend_from_slice(original.unwrap_or(raw.as_bytes()));
        }
        self.raw.push('\n');
        self.raw.push_str(raw);
    }
}

/// The bytes of a row as they came, where they are not UTF-8.
pub(super) fn original<'a>(batch: &'a Batch, row: &Row) -> Option<&'a [u8]> {
    if !row.flags.has(Flags::INVALID_UTF8) {
        return None;
    }
    let here = |at: &u32| batch.rows.get(*at as usize).is_some_and(|known| known.offset == row.offset);
    batch.originals.iter().find(|(at, _)| here(at)).map(|(_, bytes)| bytes.as_slice())
}

/// What kind of trace a record's last line belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trace {
    None,
    /// Some trace: frames may follow.
    Some,
    Python,
    Go,
    /// A Rust panic whose message is on the next line.
    Rust,
    /// A line that a runtime cut; the rest follows.
    Parts,
}

impl Trace {
    pub(super) fn of(line: &str) -> Self {
        if line.contains(shape::TRACEBACK) {
            Self::Python
        } else if line.starts_with("panic: ")
            || shape::is_goroutine(line)
            || line.starts_with("fatal error: ")
        {
            Self::Go
        } else if line.contains(" panicked at ") && line.ends_with(':') {
            Self::Rust
        } else {
            Self::Some
        }
    }
}

impl Held {
    pub(super) fn row(&self) -> &Row {
        &self.batch.rows[self.row as usize]
    }
    pub(super) fn text(&self, text: Text) -> Option<&str> {
        text.get(&self.batch.text)
    }
    pub(super) fn waits(&self) -> bool {
        self.trace != Trace::None && !self.done
    }
}

/// True when a row was written by the same container stream as a held record, and by the same thread if that counts.
pub(super) fn same_lane(held: &Held, batch: &Batch, row: &Row, thread: bool) -> bool {
    let other = held.row();
    let same = |mine: Text, theirs: Text| match (mine.get(&batch.text), held.text(theirs)) {
        (Some(mine), Some(theirs)) => mine == theirs,
        _ => true,
    };
    row.flags.has(Flags::STDERR) == other.flags.has(Flags::STDERR)
        && same(row.service, other.service)
        && same(row.host, other.host)
        && (!thread || row.thread.get(&batch.text) == held.text(other.thread))
}

/// What a row adds to the message of the record that it continues.
pub(super) fn message_of<'a>(row: &Row, batch: &'a Batch, raw: &'a str, headed: bool) -> &'a str {
    if !headed {
        return raw;
    }
    // The indent stands before the message, which was trimmed.
    let message = row.message.get(&batch.text).unwrap_or(raw);
    let start = row.message.start.wrapping_sub(row.raw.start) as usize;
    let lead = raw.get(..start).unwrap_or_default();
    let indent = lead.len() - lead.trim_end_matches('\t').len();
    match start.checked_sub(indent).and_then(|start| raw.get(start..)) {
        Some(rest) if row.raw.contains(row.message) && row.format != Format::Json => rest.trim_end(),
        _ => message,
    }
}
