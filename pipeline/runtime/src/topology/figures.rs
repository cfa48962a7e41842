//! The figures of all lanes, as `/metrics` shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::{EventTime, Span};

use super::lane::{Incoming, Lane};
use crate::engine::{Counts, Engine};
use crate::metrics::Sample;
use crate::source::kafka::Status;
use crate::source::receive;
use crate::split_keys::SplitKeys;

/// Partitions that have figures of their own, at most; the others are in the sums.
const PARTITIONS_MAX: usize = 500;

/// What engines that are gone had counted: counters never go back.
#[derive(Default)]
pub(super) struct Figures {
    counts: Counts,
    operators: BTreeMap<String, u64>,
}

impl Figures {
    /// Keeps the counters of an engine that goes away.
    pub(super) fn keep(&mut self, engine: &Engine) {
        self.counts = sum(self.counts, engine.counts());
        engine.metrics(&mut |operator, name, value| {
            if name.ends_with("_total") {
                *self.operators.entry(format!("{operator}_{name}")).or_default() += value;
            }
        });
    }

    /// All figures at this moment.
    pub(super) fn samples<'a>(
        &self,
        lanes: impl Iterator<Item = &'a Lane> + Clone,
        groups: &[Arc<Status>],
        listeners: &[Arc<receive::Status>],
        split_keys: Option<&SplitKeys>,
    ) -> Vec<Sample> {
        let counts = lanes.clone().map(|lane| lane.engine.counts()).fold(self.counts, sum);
        let incoming = lanes.clone().flat_map(|lane| lane.incoming.values());
        let open = incoming.filter(|partition: &&Incoming| !partition.done).count();
        let waiting: usize = lanes.clone().map(|lane| lane.engine.waiting()).sum();
        let mut samples = vec![
            Sample::new("events_total", counts.events),
            Sample::new("blank_lines_total", counts.blank),
            Sample::new("joined_lines_total", counts.joined),
            Sample::new("rejected_total", counts.rejected),
            Sample::new("read_bytes_total", counts.bytes),
            Sample::new("replayed_records_total", counts.replayed),
            Sample::new("untimed_events_total", counts.untimed),
            Sample::new("repeated_entries_total", counts.repeated),
            Sample::new("repeats_forgotten_total", counts.repeats_forgotten),
            Sample::new("headers_left_out_total", counts.headers_left_out),
            Sample::new("waiting_events", waiting as u64),
            Sample::new("partitions", open as u64),
        ];
        times(lanes.clone(), &mut samples);
        for lane in lanes.clone().take(PARTITIONS_MAX) {
            partition(lane, &mut samples);
        }
        let mut operators = self.operators.clone();
        for lane in lanes {
            lane.engine.metrics(&mut |operator, name, value| {
                *operators.entry(format!("{operator}_{name}")).or_default() += value;
            });
        }
        samples.extend(operators.into_iter().map(|(name, value)| Sample::new(name, value)));
        for status in groups {
            status.metrics(&mut |name, value| match samples.iter_mut().find(|sample| sample.name == name) {
                Some(sample) => sample.value = sample.value.saturating_add(value),
                None => samples.push(Sample::new(name, value)),
            });
            for (topic, number, lag) in status.lags().into_iter().take(PARTITIONS_MAX) {
                let lag = Sample::new("kafka_partition_lag_records", lag);
                samples.push(lag.label("topic", topic).label("partition", number.to_string()));
            }
        }
        for status in listeners {
            status.metrics(&mut |name, value| {
                samples.push(Sample::new(name, value).label("input", status.name()));
            });
        }
        if let Some(keys) = split_keys {
            samples.push(Sample::new("split_keys_total", keys.split()));
        }
        samples
    }
}

/// The watermark of the lane that is furthest behind, and what holds commits back longest.
fn times<'a>(lanes: impl Iterator<Item = &'a Lane> + Clone, samples: &mut Vec<Sample>) {
    let known = lanes.clone().map(|lane| &lane.engine).filter(|engine| engine.watermark().is_known());
    if let Some(slowest) = known.clone().map(Engine::watermark).min() {
        samples.push(Sample::new("watermark_ms", millis(slowest)));
        let lag = known.map(|engine| engine.newest_of_all().since(engine.watermark())).max();
        samples.push(Sample::new("watermark_lag_ms", age(lag.unwrap_or(Span::ZERO))));
    }
    let holds = lanes.clone().filter_map(|lane| {
        let hold = lane.engine.hold();
        is_held(hold.since).then(|| (lane.engine.newest_of_all().since(hold.since), hold.by))
    });
    if let Some((held, by)) = holds.max() {
        samples.push(Sample::new("held_age_ms", age(held)).label("by", by));
    }
    for (source, lag) in lanes.filter(|lane| lane.own.is_none()).flat_map(|lane| lane.engine.lags()).take(100)
    {
        samples.push(Sample::new("partition_lag_ms", age(lag)).label("input", source.name.clone()));
    }
}

/// The figures of a partition with a lane of its own.
fn partition(lane: &Lane, samples: &mut Vec<Sample>) {
    let Some(own) = &lane.own else { return };
    let mut push = |sample: Sample| {
        samples.push(sample.label("topic", own.topic.clone()).label("partition", own.number.to_string()));
    };
    let engine = &lane.engine;
    if engine.watermark().is_known() {
        push(Sample::new("kafka_watermark_ms", millis(engine.watermark())));
    }
    let hold = engine.hold();
    let by = if is_held(hold.since) { hold.by } else { "" };
    push(Sample::new("kafka_held_offset", own.committed.offset).label("operator", by));
    if is_held(hold.since) {
        let held = engine.newest_of_all().since(hold.since);
        push(Sample::new("kafka_held_age_ms", age(held)).label("operator", hold.by));
    }
}

fn is_held(since: EventTime) -> bool {
    since.is_known() && since < EventTime::MAX
}

const fn millis(time: EventTime) -> i64 {
    time.nanos() / 1_000_000
}

const fn age(span: Span) -> i64 {
    span.nanos() / 1_000_000
}

fn sum(a: Counts, b: Counts) -> Counts {
    Counts {
        events: a.events + b.events,
        blank: a.blank + b.blank,
        joined: a.joined + b.joined,
        rejected: a.rejected + b.rejected,
        bytes: a.bytes + b.bytes,
        replayed: a.replayed + b.replayed,
        untimed: a.untimed + b.untimed,
        repeated: a.repeated + b.repeated,
        repeats_forgotten: a.repeats_forgotten + b.repeats_forgotten,
        headers_left_out: a.headers_left_out + b.headers_left_out,
    }
}
