//! `summarize`: what a range of logs is about, on one page.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use logbraid_core::{EventTime, Level, SourceRef};
use logbraid_index::{Column, EntryRef, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, Counted, KindSummary, Kinds, Tally, shortened};
use crate::{Question, QuestionError, Reply, Select, Window};

/// Longest message that is shown or told apart from others, in characters.
const MESSAGE_CHARS: usize = 300;
/// Different messages that are counted one by one.
const MESSAGES_MAX: usize = 1 << 14;

/// What to sum up.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Summarize {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Show errors, warnings or both.
    #[arg(long, value_enum, default_value_t = Focus::All)]
    pub focus: Focus,
    /// Most errors and most warnings that are shown in full; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// Most different messages and kinds of messages that are shown; 0 for all that were counted.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Focus {
    /// Errors only.
    Errors,
    /// Warnings only.
    Warnings,
    /// Both.
    #[default]
    All,
}

impl Default for Summarize {
    fn default() -> Self {
        Self { select: Select::default(), focus: Focus::All, limit: 10, top: 20 }
    }
}

/// The page.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Summary {
    /// In a few sentences.
    pub summary: String,
    /// Counts.
    pub stats: Stats,
    /// The first errors.
    pub errors: Vec<Line>,
    /// The first warnings.
    pub warnings: Vec<Line>,
    /// The most frequent error messages, word for word.
    pub unique_error_messages: Counted,
    /// The most frequent kinds of errors.
    pub error_kinds: Vec<KindSummary>,
    /// True when there are more errors, warnings, messages or kinds than are shown.
    pub truncated: bool,
    /// Entries that could not be judged or shown, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// Counts over the whole range.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Stats {
    /// All entries.
    pub total_entries: u64,
    /// Entries by level.
    pub by_level: ByLevel,
    /// Entries at ERROR or FATAL.
    pub error_count: u64,
    /// Entries at WARN.
    pub warning_count: u64,
    /// Kinds of errors.
    pub error_kinds: u64,
    /// Different correlation ids.
    pub unique_correlation_ids: u64,
    /// Different trace ids.
    pub unique_trace_ids: u64,
    /// Different threads.
    pub unique_threads: u64,
    /// Entries by service, the most talkative first; at most 20.
    pub by_service: Counted,
    /// From when to when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// How long that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct TimeRange {
    /// The first entry.
    pub start: EventTime,
    /// The last entry.
    pub end: EventTime,
}

/// An error or a warning.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Line {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// How bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The first line of its message.
    pub message: String,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
}

impl Line {
    fn read<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Option<Self> {
        Some(Self {
            timestamp: Some(entry.time()).filter(|time| time.is_known()),
            level: entry.level(),
            message: shortened(texts.message(entry).ok()?, MESSAGE_CHARS),
            service: entry.service().map(str::to_owned),
            correlation_id: entry.correlation().map(str::to_owned),
            source: entry.source_ref(),
        })
    }
}

impl Question for Summarize {
    const NAME: &'static str = "summarize";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Summary;

    fn ask(&self, window: &Window) -> Result<Reply<Summary>, QuestionError> {
        let (mut levels, mut kinds) = (ByLevel::default(), Kinds::new());
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let mut messages = Tally::new(MESSAGES_MAX);
        let (mut first, mut last) = (None, None);
        let mut unread = 0;
        let unreadable = count::each(window, &self.select, window.filter(), |entry, texts| {
            let level = entry.level();
            levels.add(level);
            if entry.time().is_known() {
                first = first.or_else(|| Some(entry.time()));
                last = Some(entry.time());
            }
            let shown = if level.is_some_and(Level::is_error) {
                kinds.add(entry);
                match texts.message(entry) {
                    Ok(message) => messages.add(&shortened(message, MESSAGE_CHARS)),
                    Err(_) => unread += 1,
                }
                &mut errors
            } else if level == Some(Level::Warn) {
                &mut warnings
            } else {
                return;
            };
            if shown.len() < self.limit {
                shown.extend(Line::read(texts, entry));
            }
        })?;
        if self.focus == Focus::Warnings {
            errors.clear();
        }
        if self.focus == Focus::Errors {
            warnings.clear();
        }
        let distinct = |column| self.distinct(window, column);
        let mut services = Tally::default();
        let stats = Stats {
            total_entries: levels.total(),
            by_level: levels,
            error_count: levels.errors(),
            warning_count: levels.of(Level::Warn),
            error_kinds: kinds.len() as u64,
            unique_correlation_ids: distinct(Column::Correlation)?,
            unique_trace_ids: distinct(Column::Trace)?,
            unique_threads: distinct(Column::Thread)?,
            by_service: self.names(window, Column::Service, &mut services)?.counted(20),
            time_range: first.zip(last).map(|(start, end)| TimeRange { start, end }),
            duration_ms: first
                .zip(last)
                .map(|(start, end): (EventTime, EventTime)| end.since(start).millis()),
        };
        let mut texts = Texts::new();
        let about_errors = self.focus != Focus::Warnings;
        let shown = if self.top == 0 { kinds.len() } else { self.top };
        let error_kinds: Vec<KindSummary> =
            kinds.sorted().into_iter().take(shown).map(|kind| kind.summary(&mut texts)).collect();
        let unique_error_messages =
            if about_errors { messages.counted(self.top) } else { Counted::default() };
        let answer = Summary {
            summary: sentences(&stats, error_kinds.first()),
            truncated: about_errors && (errors.len() as u64) < stats.error_count
                || self.focus != Focus::Errors && (warnings.len() as u64) < stats.warning_count
                || unique_error_messages.not_shown > 0
                || error_kinds.len() < kinds.len(),
            stats,
            errors,
            warnings,
            unique_error_messages,
            error_kinds: if about_errors { error_kinds } else { Vec::new() },
            unreadable: unreadable + unread,
        };
        Ok(Reply::when(answer.stats.total_entries > 0, answer))
    }
}

impl Summarize {
    /// The values of a column and their counts.
    fn names<'t>(
        &self,
        window: &Window,
        column: Column,
        names: &'t mut Tally,
    ) -> Result<&'t Tally, QuestionError> {
        if self.select.query.is_none() {
            for stat in window.view().ids(column, &self.select.columns(window.filter())) {
                names.add_many(stat.value, stat.count);
            }
            return Ok(names);
        }
        count::each(window, &self.select, window.filter(), |entry, _| {
            if let Some(value) = entry.get(column) {
                names.add(value);
            }
        })?;
        Ok(names)
    }

    fn distinct(&self, window: &Window, column: Column) -> Result<u64, QuestionError> {
        if self.select.query.is_none() {
            return Ok(window.view().ids(column, &self.select.columns(window.filter())).len() as u64);
        }
        Ok(self.names(window, column, &mut Tally::default())?.len() as u64)
    }
}

fn sentences(stats: &Stats, worst: Option<&KindSummary>) -> String {
    if stats.total_entries == 0 {
        return "there are no entries".to_owned();
    }
    let mut text = format!("{} entries", stats.total_entries);
    if let Some(range) = stats.time_range {
        let _written = write!(text, " from {} to {}", range.start, range.end);
    }
    let services = stats.by_service.unique_count;
    if services > 0 {
        let _written = write!(text, ", of {services} service{}", if services == 1 { "" } else { "s" });
    }
    let _written = write!(
        text,
        ": {} errors of {} kinds, {} warnings",
        stats.error_count, stats.error_kinds, stats.warning_count
    );
    if let Some(worst) = worst {
        let _written = write!(text, "; most often `{}` ({} times)", worst.pattern, worst.count);
    }
    text
}

#[cfg(test)]
mod tests;
