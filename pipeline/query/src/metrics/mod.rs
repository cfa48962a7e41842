//! `metrics`: the numbers in fields and messages, as series.

mod fields;
mod past;
mod series;
mod values;

use clap::Args;
use hashbrown::HashMap;
use logbraid_core::quantity::{self, Unit};
use logbraid_core::{EventTime, Flags, Id, SourceRef, Span};
use logbraid_index::{EntryRef, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::fields::FieldNumbers;
use self::series::{AllSeries, Series, Settings};
use self::values::Values;
use crate::count::{self, InOrder, pattern};
use crate::{Question, QuestionError, Reply, Select, Window};

/// Buckets of one series.
const BUCKETS_MAX: i64 = 10_000;
/// Templates whose messages are known to have no numbers.
const TEMPLATES_MAX: usize = 1 << 16;

/// Which numbers.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Metrics {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Only these series: their whole name, or its last part (`duration_ms` for `http.duration_ms`).
    #[arg(long, visible_alias = "metric", value_name = "NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Values by stretches of time of this length, aligned to the clock.
    #[arg(long, value_name = "SPAN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Span>,
    /// How many robust standard deviations from the values before it make a value an anomaly.
    #[arg(long, value_name = "SCORE", default_value_t = 3.5)]
    pub anomaly_threshold: f64,
    /// Most anomalies that are shown of each series, largest first. All are counted.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub anomalies: usize,
    /// Most series that are shown, longest first; 0 for all. All are counted.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            select: Select::default(),
            fields: Vec::new(),
            bucket: None,
            anomaly_threshold: 3.5,
            anomalies: 10,
            limit: 100,
        }
    }
}

/// The series.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Measured {
    /// By name, the longest series first. A name whose values have several units has a series for each, such as
    /// `took (ms)` and `took (no unit)`.
    pub fields: InOrder<Metric>,
    /// How many series there are, shown or not.
    pub total_fields: u64,
    /// Entries that were looked at.
    pub entries_scanned: u64,
    /// Inputs that they came from.
    pub files_searched: u64,
    /// True when not all series are shown.
    pub truncated: bool,
    /// Numbers whose series were too many to be kept.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub others: u64,
    /// Values that are in no bucket, because there were too many buckets.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unbucketed: u64,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// One series.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Metric {
    /// How many values.
    pub count: u64,
    /// What they are measured in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// All values taken together.
    pub stats: Stats,
    /// When first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_timestamp: Option<EventTime>,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_timestamp: Option<EventTime>,
    /// The values farthest from what was usual before them, in the order of time.
    pub anomalies: Vec<Unusual>,
    /// How many there are, shown or not.
    pub total_anomalies: u64,
    /// Values by stretch of time; empty stretches are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<BucketStats>>,
}

/// Values taken together.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Stats {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean, to 6 places.
    pub mean: f64,
    /// The middle.
    pub median: f64,
    /// The standard deviation of all values, to 6 places.
    pub stddev: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 95 % are at most this.
    pub p95: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// How far off median and percentiles may be, as a share of their value; 0 when they are exact.
    #[serde(skip_serializing_if = "is_exact")]
    pub percentile_error: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_exact(error: &f64) -> bool {
    *error == 0.0
}

/// A value far from what was usual before it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Unusual {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// The value.
    pub value: f64,
    /// Robust standard deviations from the median of up to 1024 values before it; at most 1000.
    pub z_score: f64,
    /// Where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
}

/// The values of a stretch of time.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct BucketStats {
    /// Where it begins: a whole multiple of its length.
    pub start: EventTime,
    /// Where it ends, itself not in it.
    pub end: EventTime,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean, to 6 places.
    pub avg: f64,
    /// How many.
    pub count: u64,
}

impl Question for Metrics {
    const NAME: &'static str = "metrics";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Measured;

    fn ask(&self, window: &Window) -> Result<Reply<Measured>, QuestionError> {
        self.check(window)?;
        let settings = Settings {
            bucket: self.bucket,
            threshold: self.anomaly_threshold,
            anomalies_max: self.anomalies,
        };
        let mut reader = Reader::new(self, settings);
        let mut entries = 0;
        let judged = count::each(window, &self.select, window.filter(), |entry, texts| {
            entries += 1;
            reader.read(texts, entry);
        })?;
        let unreadable = judged + reader.unreadable;
        let Reader { all: AllSeries { mut series, others, unbucketed, .. }, .. } = reader;
        series.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)).then_with(|| a.unit.cmp(&b.unit))
        });
        let total = series.len();
        let mut names: HashMap<Box<str>, usize> = HashMap::new();
        for one in &series {
            *names.entry(one.name.clone()).or_default() += 1;
        }
        series.truncate(if self.limit == 0 { total } else { self.limit });
        let fields = series
            .into_iter()
            .map(|series| {
                let several = names.get(&series.name).is_some_and(|count| *count > 1);
                (shown_name(&series, several), self.metric_of(series))
            })
            .collect::<Vec<_>>();
        let answer = Measured {
            truncated: fields.len() < total || others > 0,
            fields: InOrder(fields),
            total_fields: total as u64,
            entries_scanned: entries,
            files_searched: window.view().inputs().len() as u64,
            others,
            unbucketed,
            unreadable,
        };
        Ok(Reply::when(total > 0, answer))
    }
}

impl Metrics {
    fn check(&self, window: &Window) -> Result<(), QuestionError> {
        if self.anomaly_threshold.is_nan() || self.anomaly_threshold <= 0.0 {
            let what = format!("`--anomaly-threshold` must be above zero, found {}", self.anomaly_threshold);
            return Err(QuestionError::new("usage", what).help("3.5 is usual; lower finds more"));
        }
        let Some(bucket) = self.bucket else { return Ok(()) };
        if bucket <= Span::ZERO {
            return Err(QuestionError::new(
                "usage",
                format!("`--bucket` must be longer than zero, found {bucket}"),
            )
            .help("try `--bucket 1m`"));
        }
        let view = window.view();
        let known = |time: EventTime, bound: EventTime| if bound.is_known() { bound } else { time };
        let (first, last) = (known(view.oldest(), window.from()), known(view.newest(), window.to()));
        let buckets = last.since(first).nanos() / bucket.nanos();
        if first.is_known() && buckets > BUCKETS_MAX {
            let what = format!("`--bucket {bucket}` makes {buckets} buckets, more than {BUCKETS_MAX}");
            let enough =
                Span::from_seconds((last.since(first).nanos() / BUCKETS_MAX / 1_000_000_000 + 1).max(1));
            return Err(QuestionError::new("usage", what)
                .help(format!("try `--bucket {enough}` or a shorter range with `--after` and `--before`")));
        }
        Ok(())
    }

    /// True when series called `name` are asked for.
    fn wants(&self, name: &str) -> bool {
        if self.fields.is_empty() {
            return !quantity::is_id(name);
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        self.fields.iter().any(|wanted| wanted == name || wanted == last)
    }

    fn metric_of(&self, mut series: Series<'_>) -> Metric {
        let exact = matches!(series.values, Values::All(_));
        let quantiles = series.values.quantiles([0.5, 0.9, 0.95, 0.99]);
        let [median, p90, p95, p99] =
            quantiles.unwrap_or_default().map(|value| rounded(value.clamp(series.min, series.max)));
        series.keep_largest(self.anomalies);
        series.anomalies.sort_by(|a, b| a.entry.cmp(&b.entry));
        let known = |time: EventTime| Some(time).filter(|time| time.is_known());
        let stats = Stats {
            min: series.min,
            max: series.max,
            mean: rounded(series.mean),
            median,
            stddev: rounded(series.stddev()),
            p90,
            p95,
            p99,
            percentile_error: if exact { 0.0 } else { 0.01 },
        };
        Metric {
            count: series.count,
            unit: series.unit.name().or_else(|| Unit::of_name(&series.name)),
            stats,
            first_timestamp: known(series.first),
            last_timestamp: known(series.last),
            total_anomalies: series.total_anomalies,
            anomalies: series
                .anomalies
                .iter()
                .map(|anomaly| Unusual {
                    timestamp: known(anomaly.entry.time()),
                    value: anomaly.value,
                    z_score: (anomaly.score * 1e4).round() / 1e4,
                    source: anomaly.entry.source_ref(),
                })
                .collect(),
            buckets: self.bucket.map(|span| {
                let stats = |bucket: &series::Bucket| BucketStats {
                    start: bucket.start,
                    end: bucket.start + span,
                    min: bucket.min,
                    max: bucket.max,
                    avg: rounded(bucket.sum / bucket.count as f64),
                    count: bucket.count,
                };
                series.buckets.iter().map(stats).collect()
            }),
        }
    }
}

/// Six places are enough.
fn rounded(value: f64) -> f64 {
    // Larger values have no such places.
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}

fn shown_name(series: &Series<'_>, several: bool) -> String {
    match (several, series.unit.name()) {
        (false, _) => series.name.to_string(),
        (true, Some(unit)) => format!("{} ({unit})", series.name),
        (true, None) => format!("{} (no unit)", series.name),
    }
}

/// Reads the numbers of one entry after another.
struct Reader<'v, 'q> {
    question: &'q Metrics,
    all: AllSeries<'v>,
    fields: FieldNumbers,
    /// True for templates whose messages have no numbers.
    wordy: HashMap<Id, bool>,
    /// The numbers of one entry.
    found: Vec<(usize, f64, Unit)>,
    duration: Option<usize>,
    unreadable: u64,
}

impl<'v, 'q> Reader<'v, 'q> {
    fn new(question: &'q Metrics, settings: Settings) -> Self {
        let mut all = AllSeries::new(settings);
        let duration = question.wants("duration").then(|| all.name("duration")).flatten();
        Self {
            question,
            all,
            fields: FieldNumbers::default(),
            wordy: HashMap::new(),
            found: Vec::new(),
            duration,
            unreadable: 0,
        }
    }

    fn read(&mut self, texts: &mut Texts<'v>, entry: EntryRef<'v>) {
        self.found.clear();
        let (all, found, question) = (&mut self.all, &mut self.found, self.question);
        let name = |name: &str| question.wants(name).then(|| all.name(name)).flatten();
        let read = self.fields.read(texts, entry, name, |name, value, unit| {
            // A key that occurs twice counts once.
            if !found.iter().any(|(known, ..)| *known == name) {
                found.push((name, value, unit));
            }
        });
        if read.is_err() {
            self.unreadable += 1;
            return;
        }
        if self.has_numbers(texts, entry)
            && let Ok(message) = texts.message(entry)
        {
            let (all, found) = (&mut self.all, &mut self.found);
            quantity::numbers(message, |name, value, unit| {
                if !question.wants(name) {
                    return;
                }
                // What is a field as well as in the message is one number.
                let Some(name) = all.name(name) else { return };
                if !found.iter().any(|(known, ..)| *known == name) {
                    found.push((name, value, unit));
                }
            });
        }
        // The duration that the parser understood, unless it is one of the numbers already, in whatever unit.
        if let (Some(duration), Some(millis)) = (self.duration, entry.duration_ms()) {
            let same = |(name, value, _): &(usize, f64, Unit)| {
                *name == duration
                    || [1.0, 1e3, 1e-3, 1e-6]
                        .iter()
                        .any(|factor| (value * factor - millis).abs() <= millis.abs() * 1e-9)
            };
            if millis.is_finite() && !self.found.iter().any(same) {
                self.found.push((duration, millis, Unit::Millis));
            }
        }
        for (name, value, unit) in &self.found {
            self.all.push(*name, *unit, *value, entry);
        }
    }

    /// False when no message of the entry's template has a number in it.
    fn has_numbers(&mut self, texts: &mut Texts<'v>, entry: EntryRef<'v>) -> bool {
        if entry.flags().has(Flags::TRUNCATED) {
            return true;
        }
        let template = entry.template();
        if let Some(wordy) = self.wordy.get(&template) {
            return !wordy;
        }
        // Words with digits are masked or stand in the pattern.
        let wordy = pattern(texts, entry)
            .is_some_and(|pattern| !pattern.contains("<*>") && !pattern.bytes().any(|b| b.is_ascii_digit()));
        if self.wordy.len() < TEMPLATES_MAX {
            self.wordy.insert(template, wordy);
        }
        !wordy
    }
}

#[cfg(test)]
mod tests;
