//! `schema`: which fields entries have, how often, and what their values look like.

mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use clap::Args;
use logbraid_core::TimeFrom;
use logbraid_index::{Column, EntryRef, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::count::{InOrder, is_zero};
use crate::search::TimeRange;
use crate::{Question, QuestionError, Reply, Select, Window};

/// Most custom fields that are told apart; more are counted.
const FIELDS_MAX: usize = 500;
/// Deepest path into a field.
const DEPTH_MAX: usize = 6;

/// What to look at.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Schema {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Entries that are looked at, at even steps through all of them.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub sample_size: usize,
    /// Looks at every entry.
    #[arg(long, conflicts_with = "sample_size")]
    pub full: bool,
}

impl Default for Schema {
    fn default() -> Self {
        Self { select: Select::default(), sample_size: 1000, full: false }
    }
}

/// What entries look like.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// How many inputs there are.
    pub files_analyzed: u64,
    /// Their names.
    pub files: Vec<String>,
    /// All entries.
    pub total_entries: u64,
    /// Entries that were looked at.
    pub sample_size: u64,
    /// What entries carry by name.
    pub schema: InOrder<Field>,
    /// Shares of entries by how they were understood.
    pub detected_formats: InOrder<f64>,
    /// All other fields, by dotted path.
    pub custom_fields: InOrder<Field>,
    /// Fields beyond the first 500, which are not shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub fields_not_shown: u64,
    /// From when to when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// Entries that could not be looked at, because their text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

/// A field.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Field {
    /// The share of entries that have it, to 3 places.
    pub present: f64,
    /// The types of its values: `string`, `number`, `boolean`, `array`.
    pub types: Vec<&'static str>,
    /// Its values, when there are few: most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// What its values look like, when there are many: most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Question for Schema {
    const NAME: &'static str = "schema";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        let view = window.view();
        let mut wanted: Vec<EntryRef<'_>> = Vec::new();
        let mut unreadable =
            crate::count::each(window, &self.select, window.filter(), |entry, _| wanted.push(entry))?;
        let total = wanted.len();
        let size = if self.full { total } else { self.sample_size.clamp(1, total.max(1)).min(total) };
        let times = || wanted.iter().map(|entry| entry.time()).filter(|time| time.is_known());
        let time_range = times().min().zip(times().max()).map(|(start, end)| TimeRange { start, end });
        let mut looks = Looks::default();
        let mut texts = Texts::new();
        // At even steps, the first and the last among them.
        for step in 0..size {
            let at = if size < 2 { 0 } else { step * (total - 1) / (size - 1) };
            let Some(entry) = wanted.get(at) else { continue };
            if looks.look(&mut texts, *entry).is_err() {
                unreadable += 1;
            }
        }
        let files: Vec<String> = view.inputs().into_iter().map(str::to_owned).collect();
        let found = Found {
            files_analyzed: files.len() as u64,
            files,
            total_entries: total as u64,
            sample_size: looks.entries,
            schema: InOrder(looks.named()),
            detected_formats: InOrder(looks.formats()),
            fields_not_shown: looks.left_out,
            custom_fields: InOrder(looks.custom()),
            time_range,
            unreadable,
        };
        Ok(Reply::when(total > 0, found))
    }
}

/// What was seen of a sample.
#[derive(Default)]
struct Looks {
    entries: u64,
    named: [shape::Values; NAMED.len()],
    formats: BTreeMap<&'static str, u64>,
    custom: BTreeMap<String, shape::Values>,
    left_out: u64,
}

const NAMED: [&str; 10] = [
    "timestamp",
    "level",
    "message",
    "service",
    "host",
    "thread_id",
    "correlation_id",
    "trace_id",
    "span_id",
    "parent_span_id",
];

impl Looks {
    fn look<'v>(
        &mut self,
        texts: &mut Texts<'v>,
        entry: EntryRef<'v>,
    ) -> Result<(), logbraid_index::TextError> {
        let fields = texts.fields(entry)?;
        let has_message = !texts.message(entry)?.is_empty();
        self.entries += 1;
        *self.formats.entry(entry.format().name()).or_default() += 1;
        let columns = Column::ALL.map(|column| (column.name(), entry.get(column)));
        for (name, values) in NAMED.iter().zip(&mut self.named) {
            match *name {
                "timestamp" if entry.time_from() == TimeFrom::Event => values.present(),
                "message" if has_message => values.present(),
                "level" => {
                    if let Some(level) = entry.level() {
                        values.text(level.name());
                    }
                }
                name => {
                    let found = columns.iter().find(|(column, _)| *column == name);
                    if let Some(text) = found.and_then(|(_, text)| *text) {
                        values.text(text);
                    }
                }
            }
        }
        self.walk("", &fields, 0);
        Ok(())
    }

    fn walk(&mut self, path: &str, fields: &Map<String, Value>, depth: usize) {
        for (name, value) in fields {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                Value::Object(inner) if depth < DEPTH_MAX => self.walk(&path, inner, depth + 1),
                _ if self.custom.len() >= FIELDS_MAX && !self.custom.contains_key(&path) => {
                    self.left_out += 1;
                }
                value => self.custom.entry(path).or_default().value(value),
            }
        }
    }

    fn named(&self) -> Vec<(String, Field)> {
        let seen = NAMED.iter().zip(&self.named).filter(|(_, values)| values.count() > 0);
        seen.map(|(name, values)| ((*name).to_owned(), values.field(self.entries))).collect()
    }
    fn custom(&self) -> Vec<(String, Field)> {
        let mut fields: Vec<_> =
            self.custom.iter().map(|(name, values)| (name.clone(), values.field(self.entries))).collect();
        fields.sort_by(|a, b| b.1.present.total_cmp(&a.1.present).then_with(|| a.0.cmp(&b.0)));
        fields
    }
    fn formats(&self) -> Vec<(String, f64)> {
        let mut formats: Vec<(&str, u64)> =
            self.formats.iter().map(|(name, count)| (*name, *count)).collect();
        formats.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let share = |count| shape::thousandths(count, self.entries);
        formats.into_iter().map(|(name, count)| (name.to_owned(), share(count))).collect()
    }
}
