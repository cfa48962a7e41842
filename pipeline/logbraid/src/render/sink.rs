//! The output of the command line: records as people or programs want them, within a budget of bytes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{Record, RecordKind};
use serde_json::json;

use super::View;
use super::summary::Totals;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// `pretty` on a terminal, else `ndjson`.
    Auto,
    /// One JSON object a line.
    Ndjson,
    /// One JSON document.
    Json,
    /// For people.
    Pretty,
    /// The original lines of entries; other records are left out.
    Raw,
}

impl Output {
    /// What `auto` means for a stdout that is a terminal, or is none.
    #[must_use]
    pub const fn resolved(self, terminal: bool) -> Self {
        match (self, terminal) {
            (Self::Auto, true) => Self::Pretty,
            (Self::Auto, false) => Self::Ndjson,
            (other, _) => other,
        }
    }
    /// True when errors are told as a JSON document on stdout, too.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

/// Writes records to a stream. Dropping it writes what closes the output.
pub struct Writer {
    output: Output,
    view: View,
    out: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    /// Most bytes to write in all.
    budget: Option<u64>,
    written: u64,
    left_out: BTreeMap<RecordKind, u64>,
    first: bool,
    broken: bool,
}

/// Buffered bytes that make a write worthwhile.
const WRITE_AT: usize = 64 << 10;

impl Writer {
    /// Writes to `out` as `output` says; at most `budget` bytes, a note on what was left out included.
    pub fn new(output: Output, view: View, out: Box<dyn Write + Send>, budget: Option<u64>) -> Self {
        let mut writer = Self {
            output: output.resolved(false),
            view,
            out,
            buffer: Vec::new(),
            budget,
            written: 0,
            left_out: BTreeMap::new(),
            first: true,
            broken: false,
        };
        if writer.output == Output::Json {
            writer.put(b"{\"records\":[");
        }
        writer
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
    }

    /// The note on what was left out, as it stands.
    fn note(&self) -> Vec<u8> {
        let left_out: BTreeMap<&str, u64> =
            self.left_out.iter().map(|(kind, count)| (kind.name(), *count)).collect();
        match self.output {
            Output::Json if left_out.is_empty() => b"]}\n".to_vec(),
            Output::Json => format!("],\"truncated\":true,\"left_out\":{}}}\n", json!(left_out)).into_bytes(),
            _ if left_out.is_empty() => Vec::new(),
            Output::Ndjson => {
                let note = json!({ "type": "truncated", "max_bytes": self.budget, "left_out": left_out });
                format!("{note}\n").into_bytes()
            }
            Output::Pretty => {
                let parts: Vec<String> =
                    left_out.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                format!("… left out: {}\n", parts.join(", ")).into_bytes()
            }
            Output::Raw | Output::Auto => Vec::new(),
        }
    }

    /// The longest that the closing note can become.
    const NOTE_MAX: u64 = 256;

    fn add(&mut self, record: &Record) -> Result<(), SinkError> {
        let mut bytes: Vec<u8> = Vec::new();
        match (self.output, record) {
            (Output::Pretty, _) => bytes.extend_from_slice(self.view.record(record).as_bytes()),
            (Output::Raw, Record::Entry(event)) => {
                bytes.extend_from_slice(event.raw().as_bytes());
                bytes.push(b'\n');
            }
            (Output::Raw, _) => return Ok(()),
            (Output::Json, _) => {
                bytes.extend_from_slice(if self.first { b"\n" } else { b",\n" });
                to_json(record, &mut bytes)?;
            }
            (Output::Ndjson | Output::Auto, _) => {
                to_json(record, &mut bytes)?;
                bytes.push(b'\n');
            }
        }
        let reserved = if self.output == Output::Raw { 0 } else { Self::NOTE_MAX };
        if self.budget.is_some_and(|budget| self.written + bytes.len() as u64 + reserved > budget) {
            *self.left_out.entry(record.kind()).or_default() += 1;
            return Ok(());
        }
        self.first = false;
        self.put(&bytes);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), SinkError> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        written.map_err(|error| {
            self.broken = true;
            match error.kind() {
                ErrorKind::BrokenPipe => SinkError::Closed,
                _ => SinkError::Fatal(format!("cannot write to stdout: {error}")),
            }
        })
    }
}

fn to_json(record: &Record, bytes: &mut Vec<u8>) -> Result<(), SinkError> {
    serde_json::to_writer(bytes, record).map_err(|error| SinkError::Fatal(error.to_string()))
}

/// Counts what is written for the summary; each request and finding once, however often it was revised.
#[derive(Debug, Default)]
pub struct Tally {
    totals: Arc<Mutex<Totals>>,
}

impl Tally {
    /// Where the counts can be read, also after the sink is gone.
    pub fn totals(&self) -> Arc<Mutex<Totals>> {
        Arc::clone(&self.totals)
    }
    /// The types of records that it looks at.
    pub const TAKE: [RecordKind; 4] =
        [RecordKind::Timelines, RecordKind::Findings, RecordKind::Late, RecordKind::Rejects];
}

impl Sink for Tally {
    fn name(&self) -> &'static str {
        "summary"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        // A std mutex: held for one call, never across an await.
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            match record {
                Record::Timeline(group) if group.revision == 0 => {
                    totals.requests += 1;
                    totals.failed += u64::from(group.outcome() == logbraid_core::Outcome::Error);
                }
                Record::Finding(finding) if finding.revision == 0 => totals.findings += 1,
                Record::Entry(_) if record.kind() == RecordKind::Late => totals.late += 1,
                Record::Reject(_) => totals.rejects += 1,
                _ => {}
            }
        }
        drop(totals);
        Box::pin(std::future::ready(Ok(())))
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        "stdout"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            for record in records {
                self.add(record)?;
                if self.buffer.len() >= WRITE_AT {
                    self.drain()?;
                }
            }
            Ok(())
        })
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move { if self.buffer.is_empty() { Ok(()) } else { self.drain() } })
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("written_bytes_total", self.written);
        report("left_out_total", self.left_out.values().sum());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let note = self.note();
        let fits = self.budget.is_none_or(|budget| self.written + note.len() as u64 <= budget);
        if !self.broken && (fits || self.output == Output::Json) {
            self.put(&note);
            // Nobody is left to tell; whoever closed the output knows.
            let _ = self.drain();
        }
    }
}
