//! `sample`: a few entries that stand for many.

mod choose;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use hashbrown::HashSet;
use logbraid_core::{EventTime, Id};
use logbraid_index::{EntryRef, LevelSet, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::choose::{Candidate, Chosen, Population};
use crate::count::{self, ByLevel, InOrder, rate};
use crate::{Entry, LevelSelect, Question, QuestionError, Reply, Select, Window};

/// Entries of a sample: all that a strategy holds at any time is in proportion to it.
const SIZE_MAX: usize = 10_000;
/// Different threads, templates and services that coverage is measured with.
const NAMES_MAX: usize = 1 << 20;

/// Which entries to choose.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Levels that are left out, such as `DEBUG,TRACE`.
    #[arg(long, value_name = "LEVEL", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_level: Vec<LevelSelect>,
    /// How to choose.
    #[arg(long, value_enum, default_value_t = Strategy::Diverse)]
    pub strategy: Strategy,
    /// How many entries.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub size: usize,
    /// Another seed is another sample; the same seed is the same sample.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            select: Select::default(),
            exclude_level: Vec::new(),
            strategy: Strategy::Diverse,
            size: 100,
            seed: 42,
        }
    }
}

/// How to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Strategy {
    /// Every entry has the same chance.
    Random,
    /// Levels have the shares that they have in all entries, and at least one entry each.
    Representative,
    /// As many different templates and threads as possible, rare ones and errors first.
    #[default]
    Diverse,
    /// Evenly over time, whatever the rate.
    Chronological,
    /// Errors of every kind with what came before them, and some others.
    ErrorsFocused,
    /// The first.
    Head,
    /// The last.
    Tail,
    /// Where something begins, ends or changes: services, threads, levels, silences.
    Edges,
}

/// The sample, and what it stands for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sampled {
    /// What was chosen from.
    pub population: PopulationStats,
    /// What was chosen.
    pub sample: SampleStats,
    /// The entries, in the order of time.
    pub entries: Vec<SampledEntry>,
    /// Entries that could not be judged or shown, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// What was chosen from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PopulationStats {
    /// All entries that the options let through.
    pub total_entries: u64,
    /// Inputs.
    pub files: u64,
    /// Entries by level.
    pub by_level: ByLevel,
    /// From when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<EventTime>,
    /// To when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EventTime>,
}

/// What was chosen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SampleStats {
    /// How many entries.
    pub size: u64,
    /// How many were asked for.
    pub requested: u64,
    /// How.
    pub strategy: Strategy,
    /// The seed.
    pub seed: u64,
    /// Entries by level.
    pub by_level: ByLevel,
    /// Entries by why they were chosen.
    pub selection_reasons: InOrder<u64>,
    /// How much of all entries is in the sample.
    pub coverage: Coverage,
}

/// Shares of what all entries have that the sample has too, 0 to 1 to 4 places. What no entry has is left out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Coverage {
    /// The share of entries.
    pub entries: f64,
    /// The time between the first and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// Different levels.
    pub levels: f64,
    /// Different templates.
    pub templates: f64,
    /// Different threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<f64>,
    /// Different services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<f64>,
}

/// An entry of the sample.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SampledEntry {
    /// Why it was chosen.
    pub selection_reason: &'static str,
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What coverage is measured with.
#[derive(Default)]
struct Seen<'v> {
    templates: HashSet<Id>,
    threads: HashSet<&'v str>,
    services: HashSet<&'v str>,
    levels: ByLevel,
    first: Option<EventTime>,
    last: Option<EventTime>,
}

impl<'v> Seen<'v> {
    fn add(&mut self, entry: EntryRef<'v>) {
        self.levels.add(entry.level());
        if self.templates.len() < NAMES_MAX {
            self.templates.insert(entry.template());
        }
        for (names, name) in [(&mut self.threads, entry.thread()), (&mut self.services, entry.service())] {
            if names.len() < NAMES_MAX {
                names.extend(name);
            }
        }
        let time = entry.time();
        if time.is_known() {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
        }
    }
    fn span_ms(&self) -> Option<f64> {
        self.first.zip(self.last).map(|(first, last)| last.since(first).millis())
    }
}

impl Question for Sample {
    const NAME: &'static str = "sample";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Sampled;

    fn ask(&self, window: &Window) -> Result<Reply<Sampled>, QuestionError> {
        if !(1..=SIZE_MAX).contains(&self.size) {
            let what = format!("`--size` must be from 1 to {SIZE_MAX}, found {}", self.size);
            return Err(QuestionError::new("usage", what).help("`search` shows all entries"));
        }
        let left_out = self.exclude_level.iter().fold(LevelSet::EMPTY, |set, level| set.or(level.0));
        let mut population =
            Population::new(self.strategy, self.size, self.seed, span_of(window, &self.select));
        let mut all = Seen::default();
        let mut unreadable = count::each(window, &self.select, window.filter(), |entry, _| {
            if !left_out.has(entry.level()) {
                all.add(entry);
                population.add(entry);
            }
        })?;
        let mut chosen: Vec<Chosen<EntryRef<'_>>> = population.choose();
        chosen.sort_by(|a, b| a.entry.cmp(&b.entry));
        let mut seen = Seen::default();
        let mut reasons: BTreeMap<&'static str, u64> = BTreeMap::new();
        let (mut texts, mut entries) = (Texts::new(), Vec::with_capacity(chosen.len()));
        for Chosen { entry, reason } in chosen {
            match Entry::read(&mut texts, entry, self.select.raw) {
                Ok(read) => {
                    seen.add(entry);
                    *reasons.entry(reason).or_default() += 1;
                    entries.push(SampledEntry { selection_reason: reason, entry: read });
                }
                Err(_) => unreadable += 1,
            }
        }
        let total = all.levels.total();
        let coverage = coverage(&seen, &all);
        let answer = Sampled {
            population: PopulationStats {
                total_entries: total,
                files: window.view().inputs().len() as u64,
                by_level: all.levels,
                start: all.first,
                end: all.last,
            },
            sample: SampleStats {
                size: entries.len() as u64,
                requested: self.size as u64,
                strategy: self.strategy,
                seed: self.seed,
                by_level: seen.levels,
                selection_reasons: InOrder(
                    reasons.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
                ),
                coverage,
            },
            entries,
            unreadable,
        };
        Ok(Reply::when(!answer.entries.is_empty(), answer))
    }
}

/// The times of the first and the last entry that columns let through.
fn span_of(window: &Window, select: &Select) -> Option<(EventTime, EventTime)> {
    let filter = select.columns(window.filter());
    let known = |entry: &EntryRef<'_>| entry.time().is_known();
    let first = window.view().scan(&filter).find(known)?;
    let last = window.view().scan_back(&filter).find(known)?;
    Some((first.time(), last.time()))
}

fn coverage(sample: &Seen<'_>, all: &Seen<'_>) -> Coverage {
    let share = |some: usize, of: usize| rate(some as u64, of as u64);
    let levels = |seen: &Seen<'_>| seen.levels.present().count();
    let some = |some: usize, of: usize| (of > 0).then(|| share(some, of));
    Coverage {
        entries: rate(sample.levels.total(), all.levels.total()),
        time: all.span_ms().filter(|span| *span > 0.0).map(|span| {
            let covered = sample.span_ms().unwrap_or(0.0) / span;
            (covered * 1e4).round() / 1e4
        }),
        levels: share(levels(sample), levels(all)),
        templates: share(sample.templates.len(), all.templates.len()),
        threads: some(sample.threads.len(), all.threads.len()),
        services: some(sample.services.len(), all.services.len()),
    }
}

#[cfg(test)]
mod tests;
