//! Tells lines that repeat as one, with a count and an interval.
//!
//! ```text
//!  entries   ● ● ● ● ● ● ● ● ●     of one service, level and template
//!  windows   │     │     │     │   event time, clock-aligned
//!  go on     ●     ●     ●         the first of each window, at once
//!  samples        ×2    ×2    ×2   the rest of it, when the watermark has passed its end
//! ```
//!
//! A fault that goes on shows in every window: whatever is left out has a line of its kind before it, less than
//! `interval` away.

use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::template::template_id;
use logbraid_core::{
    ByteSize, Emit, Event, EventTime, Flags, Id, Level, Operator, Record, Repeats, Sample, Span,
};

#[cfg(test)]
mod tests;

use crate::error_burst::tumbling::Tumbling;

/// Settings of `dedup`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Within so long, lines of one kind are one.
    pub interval: Span,
    /// Only lines with the same message are of one kind, not all of one template.
    pub exact: bool,
    /// Lines of requests, too; `false` leaves those to `sample`.
    pub requests: bool,
    /// Most memory for lines that wait for their interval to end; beyond it, lines go on as they are.
    pub memory: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Span::from_seconds(30),
            exact: false,
            requests: true,
            memory: ByteSize::from_bytes(64 << 20),
        }
    }
}

/// Most kinds of lines in open windows.
const OPEN_MAX: usize = 65_536;
/// What a kind of line costs beside its texts, in bytes.
const KIND_BYTES: usize = 512;

#[derive(Debug, Default)]
struct Kind {
    /// True once the first of the window went on.
    seen: bool,
    /// What came after it.
    repeats: Option<Box<Folded>>,
}

#[derive(Debug)]
struct Folded {
    /// The first line that was left out.
    sample: Sample,
    count: u64,
    first: EventTime,
    last: EventTime,
}

impl Folded {
    fn bytes(&self) -> usize {
        KIND_BYTES + self.sample.raw.len() + self.sample.message.len()
    }
}

/// The operator.
#[derive(Debug)]
pub struct Dedup {
    config: Config,
    windows: Tumbling<Id, Kind>,
    /// Bytes of lines that wait.
    bytes: usize,
    folded: u64,
    passed: u64,
    /// Repeats that went on because there was no memory for them.
    pressed: u64,
}

/// The name of the rule that samples carry.
const RULE: &str = "dedup";

impl Dedup {
    fn kind_of(&self, event: &Event) -> Id {
        let what = if self.config.exact {
            Id::of(&[event.message()])
        } else if event.template() == Id::default() {
            template_id(event.message())
        } else {
            event.template()
        };
        let level = event.row().level.map_or("", Level::name);
        Id::of(&[event.service().unwrap_or_default(), level, &what.to_string()])
    }

    /// True when the event was counted as a repeat and must not go on.
    fn fold(&mut self, event: &Event) -> bool {
        if !self.config.requests && event.flags().has(Flags::GROUPED) {
            return false;
        }
        let kind = self.kind_of(event);
        let Some(known) = self.windows.counter(event.time(), kind) else { return false };
        if !std::mem::replace(&mut known.seen, true) {
            return false;
        }
        if let Some(repeats) = &mut known.repeats {
            repeats.count += 1;
            repeats.first = repeats.first.min(event.time());
            repeats.last = repeats.last.max(event.time());
            return true;
        }
        if self.bytes >= self.config.memory.as_usize() {
            self.pressed += 1;
            return false;
        }
        let time = event.time();
        let sample = Sample::of_event(event, (RULE, 1.0, true));
        let folded = Folded { sample, count: 1, first: time, last: time };
        self.bytes += folded.bytes();
        known.repeats = Some(Box::new(folded));
        true
    }
}

impl Operator for Dedup {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, event: Event, out: &mut Emit) {
        if self.fold(&event) {
            self.folded += 1;
        } else {
            self.passed += 1;
            out.event(event);
        }
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut Emit) {
        for (start, kind, Kind { repeats, .. }) in self.windows.close(watermark) {
            let Some(repeats) = repeats else { continue };
            self.bytes = self.bytes.saturating_sub(repeats.bytes());
            let Folded { mut sample, count, first, last } = *repeats;
            sample.id = Id::of(&[RULE, &kind.to_string(), &start.nanos().to_string()]);
            sample.probability = 1.0 / count as f64;
            let interval_ms = u64::try_from(self.config.interval.nanos() / 1_000_000).unwrap_or(0);
            sample.repeats = Some(Repeats { count, first, last, interval_ms });
            out.record(start + self.config.interval, Record::Sample(Box::new(sample)));
        }
    }

    /// The start of the oldest open window: its first line must be found again to know what repeats it.
    fn hold(&self) -> EventTime {
        self.windows.oldest().unwrap_or(EventTime::MAX)
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("passed_total", self.passed);
        report("folded_total", self.folded);
        report("late_total", self.windows.late);
        report("windows_refused_total", self.windows.refused);
        report("memory_refused_total", self.pressed);
        report("windows_open", self.windows.len() as u64);
        report("bytes", self.bytes as u64);
    }
}

impl Component for Dedup {
    type Config = Config;
    const NAME: &'static str = "dedup";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.interval > Span::ZERO, "interval", "must be longer than zero; try `30s`")?;
        ensure(config.memory.as_usize() >= 1 << 20, "memory", "must be at least `1MiB`; try `64MiB`")?;
        let windows = Tumbling::new(config.interval, OPEN_MAX);
        Ok(Self { config, windows, bytes: 0, folded: 0, passed: 0, pressed: 0 })
    }
}
