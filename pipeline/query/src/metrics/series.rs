//! Series of numbers: one per name and unit.

use hashbrown::HashMap;
use logbraid_core::{EventTime, Span};
use logbraid_index::EntryRef;

use super::past::Past;
use super::values::Values;
use logbraid_core::quantity::Unit;

/// Series that are kept; numbers of others are counted.
pub(super) const SERIES_MAX: usize = 1000;
/// Values that all series together keep one by one, 8 bytes each.
const VALUES_MAX: usize = 4 << 20;
/// Buckets of all series together.
const BUCKETS_MAX: usize = 1 << 20;

/// What to make of the numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub bucket: Option<Span>,
    pub threshold: f64,
    /// Anomalies that are kept of each series, the largest.
    pub anomalies_max: usize,
}

/// All series.
#[derive(Debug)]
pub(super) struct AllSeries<'v> {
    settings: Settings,
    names: HashMap<Box<str>, usize>,
    /// By the number of the name: its series, one per unit.
    units: Vec<Vec<(Unit, usize)>>,
    pub series: Vec<Series<'v>>,
    kept: usize,
    buckets: usize,
    /// Numbers of series beyond the limit.
    pub others: u64,
    /// Values beyond the limit of buckets.
    pub unbucketed: u64,
}

/// The numbers of one name and unit.
#[derive(Debug)]
pub(super) struct Series<'v> {
    pub name: Box<str>,
    pub unit: Unit,
    pub count: u64,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// The sum of squared distances from the mean (Welford, 1962).
    squares: f64,
    pub first: EventTime,
    pub last: EventTime,
    pub values: Values,
    past: Past,
    pub anomalies: Vec<Anomaly<'v>>,
    pub total_anomalies: u64,
    pub buckets: Vec<Bucket>,
}

/// A value far from what was usual before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anomaly<'v> {
    pub entry: EntryRef<'v>,
    pub value: f64,
    pub score: f64,
}

/// The values of a stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    pub start: EventTime,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
}

impl<'v> AllSeries<'v> {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            names: HashMap::new(),
            units: Vec::new(),
            series: Vec::new(),
            kept: 0,
            buckets: 0,
            others: 0,
            unbucketed: 0,
        }
    }
    /// The number of a name; none beyond the limit.
    pub(super) fn name(&mut self, name: &str) -> Option<usize> {
        if let Some(number) = self.names.get(name) {
            return Some(*number);
        }
        if self.units.len() >= SERIES_MAX {
            self.others += 1;
            return None;
        }
        self.names.insert(name.into(), self.units.len());
        self.units.push(Vec::new());
        Some(self.units.len() - 1)
    }
    /// Adds a value to the series of a name. Entries come in the order of time.
    pub(super) fn push(&mut self, name: usize, unit: Unit, value: f64, entry: EntryRef<'v>) {
        let Some(units) = self.units.get_mut(name) else { return };
        let known = units.iter().find(|(known, _)| *known == unit).map(|(_, at)| *at);
        let at = match known {
            Some(at) => at,
            None if self.series.len() >= 2 * SERIES_MAX => {
                self.others += 1;
                return;
            }
            None => {
                let name =
                    self.names.iter().find(|(_, number)| **number == name).map(|(name, _)| name.clone());
                units.push((unit, self.series.len()));
                self.series.push(Series::new(name.unwrap_or_default(), unit, entry.time()));
                self.series.len() - 1
            }
        };
        let Some(series) = self.series.get_mut(at) else { return };
        let kept = series.values.kept();
        series.push(value, entry, self.settings);
        self.kept += series.values.kept() - kept;
        if let Some(span) = self.settings.bucket {
            let start = entry.time().floor_to(span);
            match series.buckets.last_mut() {
                Some(bucket) if bucket.start == start => bucket.add(value),
                _ if self.buckets >= BUCKETS_MAX => self.unbucketed += 1,
                _ => {
                    self.buckets += 1;
                    series.buckets.push(Bucket { start, min: value, max: value, sum: value, count: 1 });
                }
            }
        }
        if self.kept > VALUES_MAX {
            self.spread();
        }
    }
    /// Makes room: the longest series gives up its single values.
    fn spread(&mut self) {
        let longest = self.series.iter_mut().max_by_key(|series| series.values.kept());
        if let Some(series) = longest {
            let kept = series.values.kept();
            if series.values.spread() {
                self.kept -= kept;
            }
        }
    }
}

impl<'v> Series<'v> {
    fn new(name: Box<str>, unit: Unit, first: EventTime) -> Self {
        Self {
            name,
            unit,
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
            first,
            last: first,
            values: Values::default(),
            past: Past::default(),
            anomalies: Vec::new(),
            total_anomalies: 0,
            buckets: Vec::new(),
        }
    }
    fn push(&mut self, value: f64, entry: EntryRef<'v>, settings: Settings) {
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
        self.last = entry.time();
        self.values.push(value);
        if let Some(score) = self.past.score(value).filter(|score| score.abs() > settings.threshold) {
            self.total_anomalies += 1;
            self.anomalies.push(Anomaly { entry, value, score });
            if self.anomalies.len() >= 2 * settings.anomalies_max.max(8) {
                self.keep_largest(settings.anomalies_max);
            }
        }
    }
    /// Keeps the `most` largest anomalies; of equal ones the earliest.
    pub(super) fn keep_largest(&mut self, most: usize) {
        self.anomalies
            .sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()).then_with(|| a.entry.cmp(&b.entry)));
        self.anomalies.truncate(most);
    }
    /// The standard deviation of all values.
    pub(super) fn stddev(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).max(0.0).sqrt()
    }
}

impl Bucket {
    fn add(&mut self, value: f64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.count += 1;
    }
}
