//! Decides which requests are worth keeping, whole, and says what each kept entry stands for.
//!
//! ```text
//!  request ─► errors? ─► slower_than? ─► … ─► rest: 1 %      the first rule that is for it decides, once
//!               │ kept: all its entries, weight 1                │ kept with probability p: weight 1/p
//!               └─ at its first error already, the rest follows  └─ else dropped, and remembered as such
//! ```
//!
//! Whether a request is kept with probability p follows from a hash of its id, so that instances and restarts agree; a
//! trace is decided by its trace id, as OpenTelemetry's consistent probability sampling does (`ot=th`).

use logbraid_core::component::{Component, ConfigError, Context};
use logbraid_core::{
    ClosedBy, Emit, Event, EventTime, Flags, Group, Level, Operator, Phase, Record, Sample, Span,
};

mod memory;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::{RuleConfig, share};

use memory::{Decision, Memory};
use rules::{Rule, Test};

/// Settings of `sample`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to keep. The first rule that is for a request decides; a request that no rule is for is dropped.
    pub rules: Vec<RuleConfig>,
    /// Drops nothing: what would be dropped leaves with `kept: false`.
    pub dry_run: bool,
}

impl Default for Config {
    fn default() -> Self {
        let rule = |keep: &str| RuleConfig { keep: Some(keep.to_owned()), ..RuleConfig::default() };
        let rest = RuleConfig { rest: Some(serde_json::json!("1%")), ..RuleConfig::default() };
        Self { rules: vec![rule("errors"), rest], dry_run: false }
    }
}

/// The operator.
#[derive(Debug)]
pub struct SampleRequests {
    rules: Vec<Rule>,
    names: Vec<&'static str>,
    dry_run: bool,
    memory: Memory,
    /// How long a request may change after it was told.
    remember: Span,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    requests_kept: u64,
    entries_kept: u64,
    entries_dropped: u64,
    early: u64,
    pressed: u64,
    omitted: u64,
}

/// Bits of the numbers that decide, as in OpenTelemetry's trace state.
const RANGE: f64 = 72_057_594_037_927_936.0;

/// True when a random number of 56 bits is kept at `probability`.
fn hit(random: u64, probability: f64) -> bool {
    // Source: OpenTelemetry specification, "TraceState: Probability Sampling": kept when R ≥ T = (1 − p) · 2^56.
    (random as f64) >= (1.0 - probability) * RANGE
}

const LOW_56: u64 = (1 << 56) - 1;

/// The random number of a request: the last 56 bits of its trace id, else of a hash of its key.
fn random_of(group: &Group) -> u64 {
    let trace = group
        .ids
        .iter()
        .find(|(kind, _)| kind == "trace_id")
        .and_then(|(_, values)| values.first())
        .map(String::as_str)
        .or_else(|| (group.key.kind == "trace_id").then_some(group.key.value.as_str()));
    if let Some(trace) = trace.filter(|trace| trace.len() == 32)
        && let Some(low) = trace.get(16..).and_then(|low| u64::from_str_radix(low, 16).ok())
    {
        return low & LOW_56;
    }
    key_hash(group) & LOW_56
}

/// A hash of the request's key; requests of a thread are told apart by their beginning, too.
fn key_hash(group: &Group) -> u64 {
    if group.key.kind == "thread_id" {
        return group.id.0;
    }
    logbraid_core::Id::of(&[&group.key.kind, &group.key.value]).0
}

impl SampleRequests {
    /// Decides on a request. `None` for one that is still open and that waiting may tell more of.
    fn decide(&mut self, group: &Group) -> Option<Decision> {
        let random = random_of(group);
        let before = self.memory.before_cut(key_hash(group));
        for rule in &mut self.rules {
            // Of an open request only its errors are certain.
            if !group.is_closed() && !matches!(rule.test, Test::Errors) {
                return None;
            }
            if let Some(probability) = rule.applies(group, group.due) {
                let kept = hit(random, probability);
                if !kept && let Some(before) = before {
                    return Some(before);
                }
                let probability = if kept { probability } else { 1.0 };
                return Some(Decision { rule: rule.name, probability, kept });
            }
        }
        Some(before.unwrap_or(Decision { rule: "none", probability: 1.0, kept: false }))
    }

    fn emit(&mut self, group: &Group, decision: Decision, told: Option<&memory::Kept>, out: &mut Emit) {
        if !decision.kept && !self.dry_run {
            self.counts.entries_dropped += group.rows.len() as u64;
            return;
        }
        let missing = told.map_or_else(|| (0..group.rows.len()).collect(), |told| told.missing(group));
        for at in missing {
            if let Some(sample) = Sample::of_row(group, at, decision.parts()) {
                if decision.kept {
                    self.counts.entries_kept += 1;
                } else {
                    self.counts.entries_dropped += 1;
                }
                out.record(group.due, Record::Sample(Box::new(sample)));
            }
        }
    }
}

impl Operator for SampleRequests {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// An entry without a request is decided on by itself.
    fn on_event(&mut self, event: Event, out: &mut Emit) {
        if !event.flags().has(Flags::GROUPED) {
            let error = event.row().level.is_some_and(Level::is_error);
            let rule = self.rules.iter().find(|rule| match rule.test {
                Test::Errors => error,
                Test::All => true,
                _ => false,
            });
            let decision = rule.map_or(("none", 1.0, false), |rule| {
                let kept = hit(event.id().0 & LOW_56, rule.rate);
                (rule.name, if kept { rule.rate } else { 1.0 }, kept)
            });
            if decision.2 {
                self.counts.entries_kept += 1;
            } else {
                self.counts.entries_dropped += 1;
            }
            if decision.2 || self.dry_run {
                let due = event.time() + Span::from_nanos(1);
                out.record(due, Record::Sample(Box::new(Sample::of_event(&event, decision))));
            }
        }
        out.event(event);
    }

    fn on_group(&mut self, mut group: Box<Group>, out: &mut Emit) {
        let known = self.memory.of(group.id, &self.names);
        let (decision, told) = match known {
            Some((decision, told)) if decision.kept || group.levels.errors() == 0 => (Some(decision), told),
            // What was dropped and has an error now is decided on again.
            Some(_) => (self.decide(&group), None),
            None => {
                let decision = self.decide(&group);
                if let Some(decision) = decision {
                    self.counts.requests += 1;
                    self.counts.requests_kept += u64::from(decision.kept);
                }
                (decision, None)
            }
        };
        if let Some(decision) = decision
            && (decision.kept || group.is_closed())
        {
            self.counts.early += u64::from(!group.is_closed());
            self.counts.omitted += if decision.kept && group.is_closed() { group.omitted } else { 0 };
            self.emit(&group, decision, told.as_ref(), out);
            self.memory.remember(&group, decision, &self.names);
            if let Phase::Closed(why @ (ClosedBy::MaxSpan | ClosedBy::Memory)) = group.phase {
                self.counts.pressed += u64::from(why == ClosedBy::Memory);
                if decision.kept {
                    self.memory.cut(key_hash(&group), decision);
                }
            }
            group.sampled = Some(decision.parts().into());
        }
        out.group(group);
    }

    fn on_watermark(&mut self, watermark: EventTime, _: &mut Emit) {
        if watermark == EventTime::MAX {
            return;
        }
        self.memory.turn(watermark, self.remember);
        self.memory.turn_cut(watermark);
        for rule in &mut self.rules {
            if let Test::PerKey(keys) = &mut rule.test {
                keys.forget(watermark);
            }
        }
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let (kept, dropped) = self.memory.len();
        report("requests_total", self.counts.requests);
        report("requests_kept_total", self.counts.requests_kept);
        report("entries_kept_total", self.counts.entries_kept);
        report("entries_dropped_total", self.counts.entries_dropped);
        report("decided_early_total", self.counts.early);
        report("decided_by_memory_total", self.counts.pressed);
        report("omitted_total", self.counts.omitted);
        report("remembered_kept", kept as u64);
        report("remembered_dropped", dropped as u64);
    }
}

impl Component for SampleRequests {
    type Config = Config;
    const NAME: &'static str = "sample";
    const DOCS: &'static str = include_str!("README.md");
    const ORIGINALS: bool = true;

    fn build(config: Config, context: &mut Context<'_>) -> Result<Self, ConfigError> {
        let rules = rules::rules(&config.rules)?;
        let names = rules.iter().map(|rule| rule.name).collect();
        // A request may be revised until `allowed_lateness` after its last entry.
        let remember = context.time.allowed_lateness + Span::from_seconds(60);
        Ok(Self {
            rules,
            names,
            dry_run: config.dry_run,
            memory: Memory::default(),
            remember,
            counts: Counts::default(),
        })
    }
}
