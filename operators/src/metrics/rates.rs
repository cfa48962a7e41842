//! How many entries each service writes of each level, against what it wrote before.
//!
//! Errors are counted by `error_burst`; here are the levels below them. A bucket without entries counts as well, if
//! others wrote any and the past has some: silence is told, too.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use logbraid_core::{Emit, Event, EventTime, Evidence, Finding, FindingKind, Id, Level, Severity, Span};
use serde_json::json;

use super::past::{Past, Usual, usual};
use super::{Config, rounded, severity, shown};
use crate::error_burst::tumbling::{Earliest, Tumbling};

/// Most rates that are watched.
const RATES_MAX: usize = 4096;
/// Most buckets that have not ended, of all rates.
const OPEN_MAX: usize = 65_536;
/// Stands for entries that are not counted here.
const OTHERS: u32 = u32::MAX;
/// Differences of roots below this share of the middle are usual: a tenth of the count.
const FLOOR: f64 = 0.05;
/// How much the root of a count of what comes at random varies, whatever the count (Anscombe, Biometrika 1948).
const RANDOM: f64 = 0.5;

#[derive(Debug, Default)]
struct Bucket {
    count: u64,
    first: Earliest<Evidence>,
}

#[derive(Debug)]
struct Rate {
    service: Option<String>,
    level: Option<Level>,
    past: Past<u64>,
    /// True when the bucket before it was an anomaly.
    unusual: bool,
}

type Key = (Option<String>, Option<Level>);

/// Looks a rate up without owning the service's name.
#[derive(Hash)]
struct KeyRef<'a>(Option<&'a str>, Option<Level>);

impl hashbrown::Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0.as_deref() && self.1 == key.1
    }
}

/// Rates by service and level.
#[derive(Debug)]
pub(super) struct Rates {
    open: Tumbling<u32, Bucket>,
    all: BTreeMap<u32, Rate>,
    by_key: HashMap<Key, u32>,
    next: u32,
    refused: u64,
    told: u64,
}

impl Rates {
    pub(super) fn new(bucket: Span) -> Self {
        Self {
            open: Tumbling::new(bucket, OPEN_MAX),
            all: BTreeMap::new(),
            by_key: HashMap::new(),
            next: 0,
            refused: 0,
            told: 0,
        }
    }

    pub(super) fn count(&mut self, event: &Event) {
        let level = event.row().level;
        if level.is_some_and(Level::is_error) {
            // While anything is written, others that are not are silent.
            self.open.counter(event.time(), OTHERS);
            return;
        }
        let number = match self.by_key.get(&KeyRef(event.service(), level)) {
            Some(known) => *known,
            None if self.by_key.len() >= RATES_MAX => {
                self.refused += 1;
                return;
            }
            None => self.next,
        };
        let Some(bucket) = self.open.counter(event.time(), number) else { return };
        bucket.count += 1;
        bucket.first.offer(event, || Evidence::of_event(event));
        if number == self.next {
            let service = event.service().map(str::to_owned);
            self.by_key.insert((service.clone(), level), number);
            self.all.insert(number, Rate { service, level, past: Past::default(), unusual: false });
            // Numbers come round after four thousand million rates; those of then are gone.
            self.next = (self.next + 1) % OTHERS;
        }
    }

    /// Judges the buckets that the watermark has passed. One in which nothing at all was written is no bucket: then the
    /// input was silent, not a service.
    pub(super) fn close(&mut self, watermark: EventTime, config: &Config, out: &mut Emit) {
        let mut closed: BTreeMap<EventTime, BTreeMap<u32, Bucket>> = BTreeMap::new();
        for (start, number, bucket) in self.open.close(watermark) {
            closed.entry(start).or_default().insert(number, bucket);
        }
        if closed.is_empty() {
            return;
        }
        for (start, mut buckets) in closed {
            for (number, rate) in &mut self.all {
                let bucket = buckets.remove(number).unwrap_or_default();
                if let Some(finding) = rate.judge(start, bucket, config) {
                    self.told += 1;
                    out.finding(start + config.bucket, start - config.reach(), finding);
                }
            }
        }
        // Nothing was written for as long as the past reaches.
        let open: hashbrown::HashSet<u32> = self.open.keys().collect();
        let gone =
            self.all.extract_if(.., |number, rate| rate.past.newest().is_none() && !open.contains(number));
        for (_, rate) in gone {
            self.by_key.remove(&(rate.service, rate.level));
        }
    }

    /// The beginning of the oldest open bucket.
    pub(super) fn oldest(&self) -> Option<EventTime> {
        self.open.oldest()
    }
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
    pub(super) const fn refused(&self) -> u64 {
        self.refused + self.open.refused
    }
    pub(super) const fn late(&self) -> u64 {
        self.open.late
    }
    pub(super) const fn told(&self) -> u64 {
        self.told
    }
}

impl Rate {
    /// Compares a bucket with those before it; then it is one of them. Told is where a rate begins to be unusual.
    fn judge(&mut self, start: EventTime, bucket: Bucket, config: &Config) -> Option<Finding> {
        self.past.forget(start - config.past());
        // What was before the first entry is not known; a restart would not see it.
        self.past.forget_while(|count| *count == 0);
        let count = bucket.count;
        let usual = usual(self.past.values().map(|count| (*count as f64).sqrt()), FLOOR, RANDOM);
        if count > 0 || self.past.newest().is_some() {
            self.past.push(start, count);
        }
        let usual = usual?;
        let score = usual.score((count as f64).sqrt());
        let median = usual.median * usual.median;
        let enough = (count as f64).max(median) >= config.min as f64;
        let unusual = enough && score.abs() >= config.score;
        let begins = unusual && !self.unusual;
        self.unusual = unusual;
        // The root's deviation, as one of counts near the middle.
        let deviation = 2.0 * usual.median.max(RANDOM) * usual.deviation;
        begins.then(|| self.finding(start, bucket, Usual { median, deviation }, score, config))
    }

    fn finding(
        &self,
        start: EventTime,
        bucket: Bucket,
        usual: Usual,
        score: f64,
        config: &Config,
    ) -> Finding {
        let level = self.level.map_or("", Level::name);
        let who = self.service.as_deref().unwrap_or("entries without a service");
        let of = if level.is_empty() { String::new() } else { format!("{level} ") };
        let count = if bucket.count == 0 { "no".to_owned() } else { bucket.count.to_string() };
        let title =
            format!("{who}: {count} {of}entries in {}, usually {}", config.bucket, shown(usual.median, ""));
        let fingerprint = Id::of(&[
            FindingKind::MetricAnomaly.name(),
            "rate",
            self.service.as_deref().unwrap_or_default(),
            level,
            if score > 0.0 { "more" } else { "less" },
        ]);
        let at = bucket.first.time().unwrap_or(start);
        let severity = if bucket.count == 0 { Severity::Medium } else { severity(score, config) };
        let mut finding = Finding::new(FindingKind::MetricAnomaly, severity, title, at, fingerprint);
        finding.service.clone_from(&self.service);
        finding.evidence = bucket.first.into_kept();
        finding.data.insert("metric".to_owned(), json!("rate"));
        if !level.is_empty() {
            finding.data.insert("level".to_owned(), json!(level));
        }
        finding.data.extend([
            ("value".to_owned(), json!(bucket.count)),
            ("median".to_owned(), json!(rounded(usual.median))),
            ("deviation".to_owned(), json!(rounded(usual.deviation))),
            ("score".to_owned(), json!((score * 100.0).round() / 100.0)),
            ("bucket_start".to_owned(), json!(start)),
            ("bucket_ms".to_owned(), json!(config.bucket.nanos() / 1_000_000)),
        ]);
        finding
    }
}
