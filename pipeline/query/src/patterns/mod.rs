//! `patterns`: what goes wrong again and again.

use clap::Args;
use logbraid_core::{EventTime, Id, Level};
use logbraid_index::{LevelSet, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, Kinds};
use crate::{Question, QuestionError, Reply, Select, Window};

/// Which repetitions.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Patterns {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Only messages that occur at least so often.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub min_occurrences: u64,
    /// Most patterns that are shown; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { select: Select::default(), min_occurrences: 3, limit: 50 }
    }
}

/// The repetitions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// Most frequent first.
    pub patterns: Vec<Pattern>,
    /// How many there are, shown or not.
    pub total_patterns: u64,
    /// Entries that were looked at.
    pub total_entries: u64,
    /// True when not all are shown.
    pub truncated: bool,
    /// Entries of kinds that were too many to be counted one by one.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub others: u64,
    /// Entries that could not be judged, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// A message that comes again and again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Pattern {
    /// `RepeatedError`, or `RepeatedMessage` when `--level` asked for others.
    pub pattern_type: &'static str,
    /// The message with what varies replaced by `<*>`.
    pub pattern: String,
    /// Its template's id, as entries carry it.
    pub template: Id,
    /// How often.
    pub occurrences: u64,
    /// Its entries by level.
    pub levels: ByLevel,
    /// When first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<EventTime>,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<EventTime>,
    /// How often in an hour, between the first and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<f64>,
    /// The threads it comes from, most often first; at most 16.
    pub affected_threads: Vec<String>,
    /// The services it comes from, most often first; at most 16.
    pub affected_services: Vec<String>,
    /// True when there are more threads or services than are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_affected: bool,
    /// Up to three different messages.
    pub examples: Vec<String>,
}

impl Question for Patterns {
    const NAME: &'static str = "patterns";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        // `--level` takes the place of "errors".
        let filter = window.filter().levels(LevelSet::at_least(Level::Error));
        let mut kinds = Kinds::new();
        let unreadable = count::each(window, &self.select, filter, |entry, _| kinds.add(entry))?;
        let mut all = kinds.sorted();
        all.retain(|kind| kind.count >= self.min_occurrences.max(1));
        let total = all.len();
        all.truncate(if self.limit == 0 { total } else { self.limit });
        let mut texts = Texts::new();
        let patterns: Vec<Pattern> = all
            .into_iter()
            .map(|kind| {
                let summary = kind.summary(&mut texts);
                let only_errors = kind.levels.errors() == kind.count;
                let hours = summary
                    .first_seen
                    .zip(summary.last_seen)
                    .map(|(first, last)| last.since(first).millis() / 3.6e6);
                Pattern {
                    pattern_type: if only_errors { "RepeatedError" } else { "RepeatedMessage" },
                    pattern: summary.pattern,
                    template: kind.template,
                    occurrences: kind.count,
                    levels: kind.levels,
                    first_seen: summary.first_seen,
                    last_seen: summary.last_seen,
                    per_hour: hours
                        .filter(|hours| *hours > 0.0)
                        .map(|hours| (kind.count.saturating_sub(1) as f64 / hours * 100.0).round() / 100.0),
                    affected_threads: kind.threads.sorted(),
                    affected_services: summary.services,
                    more_affected: kind.threads.others() > 0 || kind.services.others() > 0,
                    examples: kind.examples(&mut texts),
                }
            })
            .collect();
        let found = Found {
            truncated: patterns.len() < total,
            total_patterns: total as u64,
            total_entries: kinds.entries(),
            others: kinds.others(),
            patterns,
            unreadable,
        };
        Ok(Reply::when(total > 0, found))
    }
}

#[cfg(test)]
mod tests;
