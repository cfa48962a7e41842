//! `detect`: the format of each input, and how sure that is.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use clap::Args;
use logbraid_core::{Format, TimeFrom};
use logbraid_index::{Column, EntryRef, Texts};
use logbraid_parse::{Alternative, detect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{InOrder, is_zero, shortened};
use crate::{Question, QuestionError, Reply, Window};

/// Lines that are shown.
const LINES: usize = 5;
/// Longest line that is shown, in characters.
const LINE_CHARS: usize = 500;

/// How much to look at.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Detect {
    /// Lines of each input that are looked at.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub sample: usize,
}

impl Default for Detect {
    fn default() -> Self {
        Self { sample: 50 }
    }
}

/// The formats.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// By input.
    pub files: InOrder<Detected>,
}

/// The format of an input.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Detected {
    /// `json`, `logfmt`, `syslog`, `clf`, `klog`, `text`, or `custom:NAME` for a format of the configuration.
    pub format: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Lines that were looked at.
    pub sample_size: u64,
    /// The share of them in the format.
    pub match_rate: f64,
    /// Other formats that some lines are in, best first.
    pub alternatives: Vec<Other>,
    /// What was found in them, sorted.
    pub detected_fields: Vec<String>,
    /// Some of the lines.
    pub sample_lines: Vec<String>,
    /// True when no format has 80 % of the lines and a second one has more than 30 %.
    pub mixed: bool,
    /// Lines that cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

/// Another format.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Other {
    /// Its name.
    pub format: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// The share of lines in it.
    pub match_rate: f64,
}

impl From<Alternative> for Other {
    fn from(other: Alternative) -> Self {
        Self { format: other.format, confidence: other.confidence, match_rate: other.match_rate }
    }
}

impl Question for Detect {
    const NAME: &'static str = "detect";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        if self.sample == 0 {
            return Err(
                QuestionError::new("usage", "`--sample` must be at least 1").help("try `--sample 50`")
            );
        }
        let view = window.view();
        let files = view.inputs().into_iter().map(|name| {
            let filter = window.filter().inputs([name.to_owned()]);
            let sample: Vec<EntryRef<'_>> = view.scan(&filter).take(self.sample).collect();
            (name.to_owned(), detected(window, &sample))
        });
        let files: Vec<(String, Detected)> = files.filter(|(_, found)| found.sample_size > 0).collect();
        Ok(Reply::when(!files.is_empty(), Found { files: InOrder(files) }))
    }
}

fn detected(window: &Window, sample: &[EntryRef<'_>]) -> Detected {
    let mut texts = Texts::new();
    let mut fields = BTreeSet::new();
    let mut lines: Vec<String> = Vec::new();
    let mut unreadable = 0;
    for entry in sample {
        let (Ok(extra), Ok(raw)) = (texts.fields(*entry), entry.raw()) else {
            unreadable += 1;
            continue;
        };
        let columns = Column::ALL.into_iter().filter(|column| entry.get(*column).is_some());
        fields.extend(columns.map(|column| column.name().to_owned()));
        fields.extend(extra.into_iter().map(|(name, _)| name));
        if entry.time_from() == TimeFrom::Event {
            fields.insert("timestamp".to_owned());
        }
        if entry.level().is_some() {
            fields.insert("level".to_owned());
        }
        fields.insert("message".to_owned());
        lines.push(raw.lines().next().unwrap_or_default().to_owned());
    }
    let found = detect(lines.join("\n").as_bytes());
    let mut detected = Detected {
        format: found.format,
        confidence: found.confidence,
        sample_size: sample.len() as u64,
        match_rate: found.match_rate,
        alternatives: found.alternatives.into_iter().map(Other::from).collect(),
        detected_fields: fields.into_iter().collect(),
        sample_lines: lines.iter().take(LINES).map(|line| shortened(line, LINE_CHARS)).collect(),
        mixed: found.mixed,
        unreadable,
    };
    let custom = sample.iter().filter(|entry| entry.format() == Format::Custom).count();
    if custom * 2 > sample.len() {
        detected.own(window, &lines, custom as f64 / sample.len() as f64);
    }
    detected
}

impl Detected {
    /// A format of the configuration has most of the lines.
    fn own(&mut self, window: &Window, lines: &[String], rate: f64) {
        let matches = |regex: &str| {
            let regex = regex::Regex::new(regex).ok();
            regex.map_or(0, |regex| lines.iter().filter(|line| regex.is_match(line)).count())
        };
        let customs = &window.formats().custom.0;
        let best = customs.iter().rev().max_by_key(|(_, custom)| matches(&custom.regex));
        let built_in = Other {
            format: std::mem::take(&mut self.format),
            confidence: self.confidence,
            match_rate: self.match_rate,
        };
        self.format = best.map_or_else(|| "custom".to_owned(), |(name, _)| format!("custom:{name}"));
        let round = |value: f64| (value * 1e4).round() / 1e4;
        (self.match_rate, self.confidence) = (round(rate), round(rate * 0.92));
        self.alternatives.insert(0, built_in);
        self.mixed = false;
    }
}
