//! Watches numbers and rates, and tells when they leave what was usual for them.
//!
//! ```text
//!  fields, `took=12ms` ─► series: service, name, unit ─► p50, p95 by bucket ┐ against the same series'
//!  entries ─────────────► series: service, level ──────► how many by bucket ┘ buckets before ─► metric_anomaly
//! ```
//!
//! Buckets are clock-aligned stretches of event time. A bucket is judged when the watermark has passed its end, by those
//! before it: the median, and the median absolute deviation, so that one outlier does not hide the next.

use hashbrown::HashMap;
use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::quantity::{Unit, each_number, is_id, numbers, quantity};
use logbraid_core::{
    ByteSize, Emit, Event, EventTime, Evidence, FieldId, Finding, FindingKind, Format, Id, Operator,
    Severity, Span,
};
use serde_json::json;

mod past;
mod rates;
#[cfg(test)]
mod tests;
mod values;

use crate::error_burst::tumbling::Tumbling;
use past::{Past, Usual, usual};
use rates::Rates;
use values::Values;

/// Settings of `metrics`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The length of a bucket.
    pub bucket: Span,
    /// How many buckets back the past goes.
    pub history: u32,
    /// Buckets with fewer values are not judged, nor rates that were lower on both sides.
    pub min: u64,
    /// How many robust standard deviations from the past make an anomaly.
    pub score: f64,
    /// The fields to watch, by their dotted paths; without any, all numeric ones.
    pub fields: Vec<String>,
    /// Watches numbers with names in messages, too, such as `took=12ms`.
    pub messages: bool,
    /// Watches how many entries each service writes of each level.
    pub rates: bool,
    /// Most memory for the values of buckets that have not ended.
    pub memory: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bucket: Span::from_seconds(30),
            history: 30,
            min: 10,
            score: 6.0,
            fields: Vec::new(),
            messages: true,
            rates: true,
            memory: ByteSize::from_bytes(64 << 20),
        }
    }
}

impl Config {
    /// How far back the past goes.
    fn past(&self) -> Span {
        Span::from_nanos(self.bucket.nanos().saturating_mul(i64::from(self.history)))
    }
    /// How far back a judgement looks: the past, and the bucket before that was judged by its own.
    fn reach(&self) -> Span {
        self.past() + self.bucket
    }
}

/// Most series of numbers.
const SERIES_MAX: usize = 4096;
/// Most buckets that have not ended, of all series.
const OPEN_MAX: usize = 16_384;
/// What a bucket costs beside its values, in bytes.
const BUCKET_BYTES: usize = 1024;
/// Differences below this share of the middle are usual.
const FLOOR: f64 = 0.05;
/// From this many times the score an anomaly is severe.
const SEVERE: f64 = 3.0;

/// What happened in one bucket of a series.
#[derive(Debug, Default)]
struct Bucket {
    values: Values,
    /// The greatest value's entry; of equal ones, the first.
    greatest: Option<(f64, Box<Evidence>)>,
}

/// Quantiles of a bucket that was judged.
#[derive(Clone, Copy, Debug)]
struct Judged {
    p50: f64,
    p95: f64,
}

#[derive(Debug)]
struct Series {
    service: Option<String>,
    name: String,
    unit: Unit,
    past: Past<Judged>,
}

type Key = (Option<String>, String, Unit);

/// Looks a series up without owning its names.
#[derive(Hash)]
struct KeyRef<'a>(Option<&'a str>, &'a str, Unit);

impl hashbrown::Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0.as_deref() && self.1 == key.1 && self.2 == key.2
    }
}

/// The operator.
#[derive(Debug)]
pub struct Metrics {
    config: Config,
    wanted: Vec<(FieldId, String)>,
    buckets: Tumbling<u32, Bucket>,
    series: Vec<Option<Series>>,
    by_key: HashMap<Key, u32>,
    free: Vec<u32>,
    rates: Rates,
    /// Bytes of values in open buckets.
    bytes: usize,
    values: u64,
    /// Values of series that were too many, or for which there was no memory.
    refused: u64,
    told: u64,
    found: Vec<(String, f64, Unit)>,
}

impl Metrics {
    /// The numbers of an event, each name once.
    fn read(&mut self, event: &Event) {
        self.found.clear();
        let found = &mut self.found;
        let mut add = |name: &str, value: f64, unit: Unit| {
            if value.is_finite() && !found.iter().any(|(known, ..)| known == name) {
                found.push((name.to_owned(), value, unit));
            }
        };
        if !self.wanted.is_empty() {
            for (id, name) in &self.wanted {
                if let Some((value, unit)) = event.field(*id).and_then(quantity) {
                    add(name, value, unit);
                }
            }
        } else if matches!(event.row().format, Format::Json | Format::Logfmt) {
            each_number(&event.fields(), &mut |name, value, unit| {
                if !is_id(name) {
                    add(name, value, unit);
                }
            });
        }
        if self.config.messages {
            numbers(event.message(), &mut add);
        }
        let stated = event.row().duration_ms;
        // The duration that the parser understood, unless it is one of the numbers already, in whatever unit.
        let same = |(_, value, _): &(String, f64, Unit)| {
            [1.0, 1e3, 1e-3, 1e-6].iter().any(|factor| (value * factor - stated).abs() <= stated.abs() * 1e-9)
        };
        if self.wanted.is_empty() && stated.is_finite() && !found.iter().any(same) {
            found.push(("duration".to_owned(), stated, Unit::Millis));
        }
    }

    fn number(&mut self, service: Option<&str>, name: &str, unit: Unit) -> Option<u32> {
        if let Some(known) = self.by_key.get(&KeyRef(service, name, unit)) {
            return Some(*known);
        }
        let (service, name) = (service.map(str::to_owned), name.to_owned());
        let key = (service.clone(), name.clone(), unit);
        let series = Series { service, name, unit, past: Past::default() };
        let number = match self.free.pop() {
            Some(number) => {
                self.series[number as usize] = Some(series);
                number
            }
            None if self.series.len() < SERIES_MAX => {
                self.series.push(Some(series));
                u32::try_from(self.series.len() - 1).ok()?
            }
            None => return None,
        };
        self.by_key.insert(key, number);
        Some(number)
    }

    fn take(&mut self, event: &Event) {
        self.read(event);
        let found = std::mem::take(&mut self.found);
        for (name, value, unit) in &found {
            let (value, unit) = (*value, *unit);
            self.values += 1;
            let full = self.bytes >= self.config.memory.as_usize();
            let number = if full { None } else { self.number(event.service(), name, unit) };
            let Some(number) = number else {
                self.refused += 1;
                continue;
            };
            let Some(bucket) = self.buckets.counter(event.time(), number) else { continue };
            if bucket.values.count() == 0 {
                self.bytes += BUCKET_BYTES;
            }
            let before = bucket.values.bytes();
            bucket.values.push(value);
            self.bytes = (self.bytes + bucket.values.bytes()).saturating_sub(before);
            let first = |evidence: &Evidence| {
                let place = (evidence.timestamp, evidence.source.input.as_str());
                (event.time(), event.source().name.as_str()) < place
            };
            let greater = bucket
                .greatest
                .as_ref()
                .is_none_or(|(known, evidence)| value > *known || (value >= *known && first(evidence)));
            if greater {
                bucket.greatest = Some((value, Box::new(Evidence::of_event(event))));
            }
        }
        // Its room is used again.
        self.found = found;
    }

    /// Compares a bucket with those before it; then it is one of them.
    fn judge(&mut self, start: EventTime, number: u32, mut bucket: Bucket, out: &mut Emit) {
        self.bytes = self.bytes.saturating_sub(BUCKET_BYTES + bucket.values.bytes());
        let since = start - self.config.reach();
        let count = bucket.values.count();
        let now = Judged { p50: bucket.values.quantile(0.5), p95: bucket.values.quantile(0.95) };
        let Some(Some(series)) = self.series.get_mut(number as usize) else { return };
        series.past.forget(start - self.config.past());
        if count < self.config.min {
            return;
        }
        let p50 = usual(series.past.values().map(|judged| judged.p50), FLOOR, 0.0);
        let p95 = usual(series.past.values().map(|judged| judged.p95), FLOOR, 0.0);
        series.past.push(start, now);
        let (Some(p50), Some(p95)) = (p50, p95) else { return };
        let middle = ("p50", now.p50, p50, p50.score(now.p50));
        let tail = ("p95", now.p95, p95, p95.score(now.p95));
        let worst = if tail.3.abs() > middle.3.abs() { tail } else { middle };
        if worst.3.abs() < self.config.score {
            return;
        }
        self.told += 1;
        let finding = anomaly(series, &self.config, start, worst, &mut bucket);
        out.finding(start + self.config.bucket, since, finding);
    }

    /// Forgets series without a value for as long as the past reaches.
    fn forget(&mut self) {
        let since = self.buckets.watermark() - self.config.reach();
        let open: hashbrown::HashSet<u32> = self.buckets.keys().collect();
        for (number, slot) in (0_u32..).zip(&mut self.series) {
            let Some(series) = slot else { continue };
            if series.past.newest().is_none_or(|newest| newest < since) && !open.contains(&number) {
                self.by_key.remove(&(series.service.clone(), series.name.clone(), series.unit));
                *slot = None;
                self.free.push(number);
            }
        }
    }
}

/// How a value is shown: three digits are enough.
fn shown(value: f64, unit: &str) -> String {
    let number = if value == 0.0 || value.abs() >= 1000.0 {
        format!("{value:.0}")
    } else {
        let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0);
        #[expect(clippy::cast_possible_truncation, reason = "from 0 to 6")]
        let text = format!("{value:.*}", digits as usize);
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// Six places are enough, where there are any.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}

fn severity(score: f64, config: &Config) -> Severity {
    if score.abs() >= SEVERE * config.score { Severity::Medium } else { Severity::Low }
}

fn anomaly(
    series: &Series,
    config: &Config,
    start: EventTime,
    (statistic, value, usual, score): (&str, f64, Usual, f64),
    bucket: &mut Bucket,
) -> Finding {
    let unit = series.unit.name().or_else(|| Unit::of_name(&series.name)).unwrap_or_default();
    let who = series.service.as_deref().unwrap_or("entries without a service");
    let title = format!(
        "{who}: {statistic} of {} is {}, usually {}",
        series.name,
        shown(value, unit),
        shown(usual.median, unit)
    );
    let fingerprint = Id::of(&[
        FindingKind::MetricAnomaly.name(),
        series.service.as_deref().unwrap_or_default(),
        &series.name,
        unit,
        if score > 0.0 { "more" } else { "less" },
    ]);
    let evidence = bucket.greatest.take().map(|(_, evidence)| *evidence);
    // Of what became smaller no entry is the one.
    let evidence = evidence.filter(|_| score > 0.0);
    let at = evidence.as_ref().map_or(start, |evidence| evidence.timestamp);
    let mut finding =
        Finding::new(FindingKind::MetricAnomaly, severity(score, config), title, at, fingerprint);
    finding.service.clone_from(&series.service);
    finding.evidence = evidence.into_iter().collect();
    finding.data.insert("metric".to_owned(), json!(series.name));
    if !unit.is_empty() {
        finding.data.insert("unit".to_owned(), json!(unit));
    }
    let values = &mut bucket.values;
    finding.data.extend([
        ("statistic".to_owned(), json!(statistic)),
        ("value".to_owned(), json!(rounded(value))),
        ("median".to_owned(), json!(rounded(usual.median))),
        ("deviation".to_owned(), json!(rounded(usual.deviation))),
        ("score".to_owned(), json!((score * 100.0).round() / 100.0)),
        ("count".to_owned(), json!(values.count())),
        ("p50".to_owned(), json!(rounded(values.quantile(0.5)))),
        ("p95".to_owned(), json!(rounded(values.quantile(0.95)))),
        ("p99".to_owned(), json!(rounded(values.quantile(0.99)))),
        ("max".to_owned(), json!(rounded(values.max()))),
        ("bucket_start".to_owned(), json!(start)),
        ("bucket_ms".to_owned(), json!(config.bucket.nanos() / 1_000_000)),
    ]);
    finding
}

impl Operator for Metrics {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, event: Event, out: &mut Emit) {
        self.take(&event);
        if self.config.rates {
            self.rates.count(&event);
        }
        out.event(event);
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut Emit) {
        let closed = self.buckets.close(watermark);
        if !closed.is_empty() {
            for (start, number, bucket) in closed {
                self.judge(start, number, bucket, out);
            }
            self.forget();
        }
        self.rates.close(watermark, &self.config, out);
    }

    /// The oldest open bucket, or the one that the watermark is in, less the past that it is compared with.
    fn hold(&self) -> EventTime {
        let known = self.series.len() > self.free.len() || self.rates.len() > 0;
        if !known {
            return EventTime::MAX;
        }
        let current = self.buckets.watermark().floor_to(self.config.bucket);
        // Before the first watermark nothing but open buckets is known.
        let current = if current == EventTime::MIN { EventTime::MAX } else { current };
        let oldest = self.buckets.oldest().into_iter().chain(self.rates.oldest()).min();
        oldest.map_or(current, |oldest| oldest.min(current)) - self.config.reach()
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("series", (self.series.len() - self.free.len()) as u64);
        report("rates", self.rates.len() as u64);
        report("values_total", self.values);
        report("refused_total", self.refused + self.buckets.refused + self.rates.refused());
        report("late_total", self.buckets.late + self.rates.late());
        report("bytes", self.bytes as u64);
        report("told_total", self.told + self.rates.told());
    }
}

impl Component for Metrics {
    type Config = Config;
    const NAME: &'static str = "metrics";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, context: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.bucket > Span::ZERO, "bucket", "must be longer than zero; try `30s`")?;
        let least = past::PAST_MIN;
        ensure(
            (least..=1000).contains(&(config.history as usize)),
            "history",
            "must be from 8 to 1000 buckets; try `30`",
        )?;
        ensure(config.min > 0, "min", "must be at least 1; try `10`")?;
        ensure(
            config.score.is_finite() && config.score >= 1.0,
            "score",
            "must be a number of at least 1; try `6`",
        )?;
        ensure(config.fields.len() <= 64, "fields", "must be at most 64; name those that matter")?;
        ensure(config.memory.as_usize() >= 1 << 20, "memory", "must be at least `1MiB`; try `64MiB`")?;
        let wanted = config.fields.iter().map(|name| (context.fields.intern(name), name.clone())).collect();
        Ok(Self {
            wanted,
            buckets: Tumbling::new(config.bucket, OPEN_MAX),
            series: Vec::new(),
            by_key: HashMap::new(),
            free: Vec::new(),
            rates: Rates::new(config.bucket),
            bytes: 0,
            values: 0,
            refused: 0,
            told: 0,
            found: Vec::new(),
            config,
        })
    }
}
