//! Records for people: a view of each record fitted to the terminal, and a summary at the end.

pub mod finding;
pub mod progress;
pub mod sink;
pub mod summary;
pub use logbraid_query::text;
pub mod timeline;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use logbraid_core::{Event, Record};

use text::{Style, escaped, fit};

/// How records are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Columns of the terminal; at least [`View::WIDTH_MIN`] are used.
    pub width: usize,
    /// Colours.
    pub style: Style,
}

impl View {
    /// Fewest columns that are drawn on.
    pub const WIDTH_MIN: usize = 40;
    /// Columns where nobody says how many there are.
    pub const WIDTH_DEFAULT: usize = 100;

    /// A view of `width` columns.
    pub fn new(width: usize, style: Style) -> Self {
        Self { width: width.max(Self::WIDTH_MIN), style }
    }

    /// The record as lines of text, each ended by a line feed and at most `width` columns wide.
    pub fn record(&self, record: &Record) -> String {
        match record {
            Record::Timeline(group) => timeline::draw(self, group),
            Record::Finding(finding) => finding::draw(self, finding),
            Record::Entry(event) => self.entry(event),
            Record::Sample(sample) => {
                let kept = if sample.kept { "" } else { "not kept " };
                let line = format!(
                    "{kept}{} {:<5} {} {} [{} ×{:.0}]",
                    sample.time,
                    sample.level.map_or("", logbraid_core::Level::name),
                    escaped(sample.service.as_deref().unwrap_or("-"), true),
                    escaped(&sample.message, true),
                    sample.rule,
                    sample.weight()
                );
                format!("{}\n", self.style.level(sample.level, &fit(&line, self.width)))
            }
            Record::Template(template) => {
                let line = format!(
                    "template {} {:>8} {} {}",
                    template.start,
                    template.count,
                    escaped(template.service.as_deref().unwrap_or("-"), true),
                    escaped(&template.pattern, true)
                );
                format!("{}\n", self.style.dim(&fit(&line, self.width)))
            }
            Record::Reject(reject) => {
                let raw = reject.raw.as_deref().or(reject.raw_base64.as_deref()).unwrap_or_default();
                let place = place(&reject.source);
                let line = format!(
                    "reject {} {}: {}",
                    reject.reason.name(),
                    escaped(&place, true),
                    escaped(raw, true)
                );
                format!("{}\n", self.style.warn(&fit(&line, self.width)))
            }
            Record::Stats(stats) => {
                let mut out = String::from("stats");
                for (name, count) in &stats.counters {
                    let _ = write!(out, " {}={count}", escaped(name, true));
                }
                out.push('\n');
                self.style.dim(&out)
            }
        }
    }

    fn entry(&self, event: &Event) -> String {
        let row = event.row();
        let late = if event.flags().has(logbraid_core::Flags::LATE) { "late " } else { "" };
        let line = format!(
            "{late}{} {:<5} {} {}",
            row.time,
            row.level.map_or("", logbraid_core::Level::name),
            escaped(event.service().unwrap_or("-"), true),
            escaped(event.message(), true)
        );
        format!("{}\n", self.style.level(row.level, &fit(&line, self.width)))
    }
}

/// `input:line`, or `topic/partition@offset`.
pub(crate) fn place(source: &logbraid_core::SourceRef) -> String {
    match (&source.topic, source.partition, source.offset) {
        (Some(topic), Some(partition), Some(offset)) => format!("{topic}/{partition}@{offset}"),
        _ if source.line > 0 => format!("{}:{}", source.input, source.line),
        _ => source.input.clone(),
    }
}
