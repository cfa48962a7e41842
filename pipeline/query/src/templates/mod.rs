//! `templates`: the kinds of messages there are, and how often each occurs.

use clap::Args;
use logbraid_core::{EventTime, Id};
use logbraid_index::Texts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, Kind, Kinds};
use crate::{Question, QuestionError, Reply, Select, Window};

/// Which messages.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Templates {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Most templates that are shown, most frequent first; 0 for all. All are counted.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub max_clusters: usize,
    /// Only templates with at least this many entries.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_count: u64,
    /// Rarest first.
    #[arg(long)]
    pub rare: bool,
}

impl Default for Templates {
    fn default() -> Self {
        Self { select: Select::default(), max_clusters: 200, min_count: 1, rare: false }
    }
}

/// The templates.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// Most frequent first.
    pub templates: Vec<Template>,
    /// Entries that were looked at.
    pub total_lines: u64,
    /// How many templates there are; at least so many where `others` is more than 0.
    pub unique_templates: u64,
    /// The share of entries in the templates that are shown.
    pub coverage: f64,
    /// True when not all templates are shown.
    pub truncated: bool,
    /// Entries whose templates were too many to be counted one by one.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub others: u64,
    /// Entries that could not be judged, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// One template.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Template {
    /// The message with what varies replaced by `<*>`.
    pub template: String,
    /// Its id, as entries carry it.
    pub id: Id,
    /// How many entries.
    pub count: u64,
    /// The share of all entries, in percent.
    pub percentage: f64,
    /// Its entries by level.
    pub levels: ByLevel,
    /// The services that write it, most often first; at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// When first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<EventTime>,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<EventTime>,
    /// Up to three different messages.
    pub examples: Vec<String>,
    /// Which words vary, counted from 0.
    pub variable_positions: Vec<usize>,
}

impl Question for Templates {
    const NAME: &'static str = "templates";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        let mut kinds = Kinds::new();
        let unreadable = count::each(window, &self.select, window.filter(), |entry, _| kinds.add(entry))?;
        let mut all = kinds.sorted();
        all.retain(|kind| kind.count >= self.min_count);
        if self.rare {
            all.sort_by_key(|kind| kind.count);
        }
        let shown = if self.max_clusters == 0 { all.len() } else { self.max_clusters.min(all.len()) };
        let truncated = shown < kinds.len() || kinds.others() > 0;
        all.truncate(shown);
        let mut texts = Texts::new();
        let total = kinds.entries();
        let covered: u64 = all.iter().map(|kind| kind.count).sum();
        let templates: Vec<Template> = all.iter().map(|kind| template(kind, total, &mut texts)).collect();
        let found = Found {
            templates,
            total_lines: total,
            unique_templates: kinds.len() as u64,
            coverage: count::rate(covered, total),
            truncated,
            others: kinds.others(),
            unreadable,
        };
        Ok(Reply::when(!found.templates.is_empty(), found))
    }
}

fn template<'v>(kind: &Kind<'v>, total: u64, texts: &mut Texts<'v>) -> Template {
    let pattern = kind.pattern(texts);
    let summary = kind.summary(texts);
    Template {
        id: kind.template,
        count: kind.count,
        percentage: (kind.count as f64 / total.max(1) as f64 * 1e4).round() / 1e2,
        levels: kind.levels,
        services: summary.services,
        first_seen: summary.first_seen,
        last_seen: summary.last_seen,
        examples: kind.examples(texts),
        variable_positions: pattern
            .split_whitespace()
            .enumerate()
            .filter(|(_, word)| word.contains("<*>"))
            .map(|(at, _)| at)
            .collect(),
        template: pattern,
    }
}

#[cfg(test)]
mod tests;
