//! `stats`: entries by level, thread, service, input and format.

#[cfg(test)]
mod tests;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, Counted, Tally, is_zero, rate};
use crate::search::TimeRange;
use crate::{Question, QuestionError, Reply, Select, Window};

/// What to count.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stats {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Most names in each count; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
}

impl Default for Stats {
    fn default() -> Self {
        Self { select: Select::default(), top: 20 }
    }
}

/// The counts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Counts {
    /// All entries.
    pub total: u64,
    /// Those at ERROR or FATAL.
    pub errors: u64,
    /// Their share, to 4 places.
    pub error_rate: f64,
    /// From when to when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// Entries for each second of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries_per_second: Option<f64>,
    /// By level.
    pub by_level: ByLevel,
    /// By service.
    pub by_service: Counted,
    /// By thread.
    pub by_thread: Counted,
    /// By input.
    pub by_input: Counted,
    /// By how they were understood.
    pub by_format: Counted,
    /// By their marks, such as `multiline` and `attributed`.
    pub by_flag: Counted,
    /// Bytes of whole records.
    pub bytes: u64,
    /// Entries that could not be judged, because their text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

impl Question for Stats {
    const NAME: &'static str = "stats";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Counts;

    fn ask(&self, window: &Window) -> Result<Reply<Counts>, QuestionError> {
        let mut levels = ByLevel::default();
        let [mut services, mut threads, mut inputs, mut formats, mut flags]: [Tally; 5] = Default::default();
        let mut bytes = 0;
        let mut range: Option<TimeRange> = None;
        let unreadable = count::each(window, &self.select, window.filter(), |entry, _| {
            levels.add(entry.level());
            bytes += entry.raw_len() as u64;
            let time = entry.time();
            if time.is_known() {
                let start = range.map_or(time, |range| range.start.min(time));
                range = Some(TimeRange { start, end: range.map_or(time, |range| range.end.max(time)) });
            }
            if let Some(service) = entry.service() {
                services.add(service);
            }
            if let Some(thread) = entry.thread() {
                threads.add(thread);
            }
            inputs.add(entry.input());
            formats.add(entry.format().name());
            entry.flags().names().for_each(|flag| flags.add(flag));
        })?;
        let total = levels.total();
        let seconds = range.map_or(0.0, |range| range.end.since(range.start).millis() / 1000.0);
        let counts = Counts {
            total,
            errors: levels.errors(),
            error_rate: rate(levels.errors(), total),
            time_range: range,
            entries_per_second: (seconds > 0.0).then(|| (total as f64 / seconds * 100.0).round() / 100.0),
            by_level: levels,
            by_service: services.counted(self.top),
            by_thread: threads.counted(self.top),
            by_input: inputs.counted(self.top),
            by_format: formats.counted(self.top),
            by_flag: flags.counted(self.top),
            bytes,
            unreadable,
        };
        Ok(Reply::when(total > 0, counts))
    }
}
