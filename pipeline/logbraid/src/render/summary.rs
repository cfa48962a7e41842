//! What a run came to, in one or two lines.

use logbraid_core::Span;

use super::text::{Style, counted, duration, grouped};

/// Counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines that were read.
    pub lines: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Requests that were closed.
    pub requests: u64,
    /// Requests with errors.
    pub failed: u64,
    /// Findings that were written.
    pub findings: u64,
    /// Entries that belong to no request.
    pub ungrouped: u64,
    /// Entries that came after their request's record could still be changed.
    pub late: u64,
    /// Records that could not be used.
    pub rejects: u64,
}

impl Totals {
    /// The summary: what is zero and unremarkable is left out.
    pub fn summary(&self, took: Span, style: Style) -> String {
        let mut parts =
            vec![counted(self.lines, "line", "lines"), counted(self.requests, "request", "requests")];
        if self.failed > 0 {
            parts.push(style.error(&format!("{} failed", grouped(self.failed))));
        }
        parts.push(counted(self.findings, "finding", "findings"));
        let more = [(self.ungrouped, "without a request"), (self.late, "late"), (self.rejects, "rejected")];
        for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
            parts.push(style.warn(&format!("{} {what}", grouped(count))));
        }
        let seconds = took.millis() / 1000.0;
        let mut text = format!("{} in {}", parts.join(", "), duration(took.millis()));
        if self.lines >= 10_000 && seconds > 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
            let rate = (self.lines as f64 / seconds) as u64;
            text.push_str(&style.dim(&format!(" ({} lines/s)", grouped(rate))));
        }
        text.push('\n');
        text
    }
}
