//! What a run knows of itself: counters for progress bars, samples for `/metrics`, and its health.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use logbraid_core::Span;

/// Counters that move while a run goes on; read them at any time.
#[derive(Debug, Default)]
pub struct Live {
    /// Bytes of records taken in.
    pub bytes: AtomicU64,
    /// Records taken in.
    pub events: AtomicU64,
    /// Records written, of all types.
    pub records: AtomicU64,
    /// Timelines written.
    pub timelines: AtomicU64,
    /// Findings written.
    pub findings: AtomicU64,
}

/// One figure, as Prometheus reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    /// The name, without the `logbraid_` before it.
    pub name: String,
    /// Its labels; mostly none.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: i64,
}

impl Sample {
    /// A figure without a label.
    pub fn new(name: impl Into<String>, value: impl TryInto<i64>) -> Self {
        Self { name: name.into(), labels: Vec::new(), value: value.try_into().unwrap_or(i64::MAX) }
    }
    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}

/// How a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// True once every source has begun.
    pub started: bool,
    /// What keeps it from working, by place; empty when all is well.
    pub troubles: BTreeMap<String, String>,
}

/// Everything a run knows of itself.
#[derive(Debug)]
pub struct Metrics {
    /// Counters that move.
    pub live: Live,
    samples: Mutex<Vec<Sample>>,
    /// By the sink's number.
    sinks: Mutex<BTreeMap<usize, Vec<Sample>>>,
    latency: Mutex<Histogram<u64>>,
    health: Mutex<Health>,
}

/// Flush latencies are counted from a microsecond to an hour, to three digits.
const LATENCY_US_MAX: u64 = 3_600_000_000;

impl Default for Metrics {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("these bounds are valid");
        Self {
            live: Live::default(),
            samples: Mutex::default(),
            sinks: Mutex::default(),
            latency: Mutex::new(latency),
            health: Mutex::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A poisoned lock holds figures that are still good to read.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Replaces the figures that the braid thread reports.
    pub fn publish(&self, samples: Vec<Sample>) {
        *locked(&self.samples) = samples;
    }
    /// Replaces the figures that sink `number` reports.
    pub fn publish_sink(&self, number: usize, samples: Vec<Sample>) {
        locked(&self.sinks).insert(number, samples);
    }
    /// The figures that were published last.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = locked(&self.samples).clone();
        samples.extend(locked(&self.sinks).values().flatten().cloned());
        samples
    }
    /// Takes note of the time from a record becoming due to its being flushed.
    pub fn flushed_after(&self, span: Span) {
        let micros = u64::try_from(span.nanos() / 1000).unwrap_or(0);
        locked(&self.latency).saturating_record(micros);
    }
    /// Changes the health.
    pub fn health(&self, change: impl FnOnce(&mut Health)) {
        change(&mut locked(&self.health));
    }
    /// How the run is.
    pub fn read_health(&self) -> Health {
        locked(&self.health).clone()
    }

    /// Everything in Prometheus' text format (version 0.0.4).
    pub fn prometheus(&self) -> String {
        let mut out = String::with_capacity(4096);
        let mut samples = self.samples();
        let live = &self.live;
        for (name, counter) in [
            ("in_bytes_total", &live.bytes),
            ("in_events_total", &live.events),
            ("out_records_total", &live.records),
            ("out_timelines_total", &live.timelines),
            ("out_findings_total", &live.findings),
        ] {
            samples.push(Sample::new(name, counter.load(Ordering::Relaxed)));
        }
        samples.sort();
        let mut last = "";
        for sample in &samples {
            if sample.name != last {
                let kind = if sample.name.ends_with("_total") { "counter" } else { "gauge" };
                // Writing to a string cannot fail.
                let _infallible = writeln!(out, "# TYPE logbraid_{} {kind}", sample.name);
                last = &sample.name;
            }
            let _infallible = write!(out, "logbraid_{}", sample.name);
            for (at, (name, value)) in sample.labels.iter().enumerate() {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let open = if at == 0 { '{' } else { ',' };
                let _infallible = write!(out, "{open}{name}=\"{value}\"");
            }
            let close = if sample.labels.is_empty() { "" } else { "}" };
            let _infallible = writeln!(out, "{close} {}", sample.value);
        }
        let latency = locked(&self.latency);
        let _infallible = writeln!(out, "# TYPE logbraid_flush_latency_seconds summary");
        for quantile in [0.5, 0.9, 0.99, 0.999] {
            let seconds = latency.value_at_quantile(quantile) as f64 / 1e6;
            let _infallible =
                writeln!(out, "logbraid_flush_latency_seconds{{quantile=\"{quantile}\"}} {seconds}");
        }
        let _infallible = writeln!(out, "logbraid_flush_latency_seconds_count {}", latency.len());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_sees_types_labels_and_escapes() {
        let metrics = Metrics::default();
        metrics
            .publish(vec![Sample::new("lag_ms", 5).label("input", "a\"b"), Sample::new("late_total", 2_u64)]);
        let text = metrics.prometheus();
        assert!(
            text.contains("# TYPE logbraid_lag_ms gauge\nlogbraid_lag_ms{input=\"a\\\"b\"} 5\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE logbraid_late_total counter\nlogbraid_late_total 2\n"), "{text}");
    }
}
