//! `verify-pattern`: does a regular expression match, how often, and what do its groups hold?

use clap::Args;
use logbraid_core::{EventTime, Level, SourceRef};
use logbraid_index::Column;
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, Counted, InOrder, Tally, shortened};
use crate::{Question, QuestionError, Reply, Select, Window};

/// A compiled pattern may take at most this much memory. Matching takes time in proportion to the text.
const REGEX_BYTES_MAX: usize = 10 << 20;
/// Longest sample and group that is shown, in characters.
const TEXT_CHARS: usize = 200;
/// Different values of a group that are counted one by one.
const VALUES_MAX: usize = 1 << 14;

/// Which pattern.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct VerifyPattern {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// A regular expression, for the message or else the whole line.
    #[arg(long, value_name = "REGEX")]
    pub pattern: String,
    /// Count the values of the groups of the pattern.
    #[arg(long)]
    #[serde(default)]
    pub extract_groups: bool,
    /// What the pattern is meant to show; repeated in the answer.
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<String>,
    /// Most matching entries that are shown.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[serde(default = "samples")]
    pub samples: usize,
    /// Most values that are shown of each group and each distribution; 0 for all that were counted.
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[serde(default = "top")]
    pub top: usize,
}

const fn samples() -> usize {
    20
}

const fn top() -> usize {
    50
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verified {
    /// The pattern.
    pub pattern: String,
    /// What it is meant to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<String>,
    /// True when it matches at all.
    pub verified: bool,
    /// How often.
    pub statistics: Statistics,
    /// The first matches in the order of time.
    pub sample_matches: Vec<Sample>,
    /// By name of the group, else `group_N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extracted_groups: Option<InOrder<Group>>,
    /// Where matches come from.
    pub distribution: Distribution,
    /// True when there are more matches or values than are shown.
    pub truncated: bool,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// How often.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Statistics {
    /// Entries that match.
    pub total_matches: u64,
    /// Entries that were looked at.
    pub total_entries: u64,
    /// The share of entries that match, to 6 places.
    pub match_rate: f64,
    /// Of the matches, those in the line only, not in the message.
    pub matches_in_line_only: u64,
    /// When first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_match: Option<EventTime>,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_match: Option<EventTime>,
}

/// A match.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sample {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The text that was matched, its first line.
    pub raw: String,
    /// What the groups hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<InOrder<String>>,
    /// Where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
}

/// The values of a group, over all matches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Group {
    /// The most frequent values, and how often they occur.
    #[serde(flatten)]
    pub values: Counted,
    /// The least number, where all values are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The mean of all matches, not of the different values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
}

/// Where matches come from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Distribution {
    /// By level.
    pub by_level: ByLevel,
    /// By thread.
    pub by_thread: Counted,
    /// By service.
    pub by_service: Counted,
}

/// One group while its values are counted.
#[derive(Default)]
struct Values {
    names: Tally,
    numbers: u64,
    texts: u64,
    min: f64,
    max: f64,
    mean: f64,
}

impl Values {
    fn add(&mut self, value: &str) {
        self.names.add(&shortened(value, TEXT_CHARS));
        let Some(number) = value.parse::<f64>().ok().filter(|number| number.is_finite()) else {
            self.texts += 1;
            return;
        };
        self.min = if self.numbers == 0 { number } else { self.min.min(number) };
        self.max = if self.numbers == 0 { number } else { self.max.max(number) };
        self.numbers += 1;
        self.mean += (number - self.mean) / self.numbers as f64;
    }
    fn group(&self, top: usize) -> Group {
        let numeric = self.numbers > 0 && self.texts == 0;
        Group {
            values: self.names.counted(top),
            min: numeric.then_some(self.min),
            max: numeric.then_some(self.max),
            mean: numeric.then(|| (self.mean * 1e6).round() / 1e6),
        }
    }
}

impl Question for VerifyPattern {
    const NAME: &'static str = "verify-pattern";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Verified;

    fn ask(&self, window: &Window) -> Result<Reply<Verified>, QuestionError> {
        let regex = self.compile()?;
        let names: Vec<String> = regex
            .capture_names()
            .enumerate()
            .skip(1)
            .map(|(at, name)| name.map_or_else(|| format!("group_{at}"), str::to_owned))
            .collect();
        let mut groups: Vec<Values> =
            names.iter().map(|_| Values { names: Tally::new(VALUES_MAX), ..Values::default() }).collect();
        let (mut threads, mut services, mut levels) =
            (Tally::default(), Tally::default(), ByLevel::default());
        let mut found = Statistics {
            total_matches: 0,
            total_entries: 0,
            match_rate: 0.0,
            matches_in_line_only: 0,
            first_match: None,
            last_match: None,
        };
        let (mut samples, mut unread) = (Vec::new(), 0);
        let mut locations = regex.capture_locations();
        let unreadable = count::each(window, &self.select, window.filter(), |entry, texts| {
            found.total_entries += 1;
            let Ok(message) = texts.message(entry) else {
                unread += 1;
                return;
            };
            let in_message = regex.is_match(message);
            let text = if in_message { texts.message(entry) } else { texts.raw(entry) };
            let Ok(text) = text else { return };
            if !in_message && !regex.is_match(text) {
                return;
            }
            found.total_matches += 1;
            found.matches_in_line_only += u64::from(!in_message);
            if entry.time().is_known() {
                found.first_match = found.first_match.or(Some(entry.time()));
                found.last_match = Some(entry.time());
            }
            levels.add(entry.level());
            if let Some(thread) = entry.get(Column::Thread) {
                threads.add(thread);
            }
            if let Some(service) = entry.get(Column::Service) {
                services.add(service);
            }
            let sampled = samples.len() < self.samples;
            if !sampled && !self.extract_groups {
                return;
            }
            let mut held = Vec::new();
            if self.extract_groups && regex.captures_read(&mut locations, text).is_some() {
                for (at, (values, name)) in (1..).zip(groups.iter_mut().zip(&names)) {
                    let value = locations.get(at).and_then(|(start, end)| text.get(start..end));
                    if let Some(value) = value {
                        values.add(value);
                        if sampled {
                            held.push((name.clone(), shortened(value, TEXT_CHARS)));
                        }
                    }
                }
            }
            if sampled {
                samples.push(Sample {
                    timestamp: Some(entry.time()).filter(|time| time.is_known()),
                    level: entry.level(),
                    raw: shortened(text, TEXT_CHARS),
                    groups: (self.extract_groups && !held.is_empty()).then_some(InOrder(held)),
                    source: entry.source_ref(),
                });
            }
        })?;
        found.match_rate =
            (found.total_matches as f64 / found.total_entries.max(1) as f64 * 1e6).round() / 1e6;
        let extracted: Vec<(String, Group)> =
            names.into_iter().zip(groups.iter().map(|values| values.group(self.top))).collect();
        let distribution = Distribution {
            by_level: levels,
            by_thread: threads.counted(self.top),
            by_service: services.counted(self.top),
        };
        let hidden = |counted: &Counted| counted.not_shown > 0;
        let answer = Verified {
            pattern: self.pattern.clone(),
            hypothesis: self.hypothesis.clone(),
            verified: found.total_matches > 0,
            truncated: (samples.len() as u64) < found.total_matches
                || extracted.iter().any(|(_, group)| hidden(&group.values))
                || hidden(&distribution.by_thread)
                || hidden(&distribution.by_service),
            statistics: found,
            sample_matches: samples,
            extracted_groups: (self.extract_groups && !extracted.is_empty()).then_some(InOrder(extracted)),
            distribution,
            unreadable: unreadable + unread,
        };
        Ok(Reply::when(answer.verified, answer))
    }
}

impl VerifyPattern {
    fn compile(&self) -> Result<Regex, QuestionError> {
        RegexBuilder::new(&self.pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            QuestionError::new("pattern", format!("`{}` is not a regular expression: {why}", self.pattern))
                .help("escape special characters with `\\`; backreferences and look-around are not supported")
        })
    }
}

#[cfg(test)]
mod tests;
