//! Follows threads: an entry without an id joins the request that its thread worked on last.
//!
//! ```text
//!  worker-1   req-7 ── "cache miss" ── "retrying" ── req-8 ── "done" ──────► time
//!               └── attributed to req-7, within carry ──┘└── to req-8
//! ```
//!
//! Only an entry with an id of its own moves a thread to a request, so that what a thread is doing is known again
//! `carry` after any restart.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap};
use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::{Attribution, Emit, Event, EventTime, KeyKind, Operator, Span};

#[cfg(test)]
mod tests;

/// Settings of `thread`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after its last entry with an id a thread is still taken to work on that request.
    pub carry: Span,
    /// Most threads that are followed at once; beyond it the one that was quiet longest is forgotten and counted.
    pub max_threads: usize,
}

/// How long a thread is taken to work on its last request, by default.
pub const CARRY: Span = Span::from_seconds(2);

impl Default for Config {
    fn default() -> Self {
        Self { carry: CARRY, max_threads: 100_000 }
    }
}

#[derive(Debug)]
struct Work {
    kind: KeyKind,
    request: String,
    since: EventTime,
}

/// The operator.
#[derive(Debug)]
pub struct Thread {
    carry: Span,
    threads_max: usize,
    /// What each thread works on, by a hash of partition, host, service and thread.
    threads: HashMap<u64, Work>,
    hasher: DefaultHashBuilder,
    attributed: u64,
    forgotten: u64,
}

impl Thread {
    fn key(&self, event: &Event, thread: &str) -> u64 {
        self.hasher.hash_one((event.source().partition, event.host(), event.service(), thread))
    }

    /// Makes room by forgetting the thread that was quiet longest.
    fn forget_one(&mut self) {
        let oldest = self.threads.iter().min_by_key(|(key, work)| (work.since, **key)).map(|(key, _)| *key);
        if let Some(key) = oldest {
            self.threads.remove(&key);
            self.forgotten += 1;
        }
    }
}

impl Operator for Thread {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, mut event: Event, out: &mut Emit) {
        if event.is_handed_over() {
            // Only where it was read first did all of its thread's work show; what was known there came with it.
            return out.event(event);
        }
        let row = event.row();
        let Some(thread) = event.text(row.thread) else { return out.event(event) };
        let key = self.key(&event, thread);
        let time = row.time;
        let own = event
            .text(row.correlation)
            .map(|id| (KeyKind::Correlation, id))
            .or_else(|| event.text(row.trace).map(|id| (KeyKind::Trace, id)));
        if let Some((kind, id)) = own {
            if let Some(work) = self.threads.get_mut(&key) {
                work.since = time;
                if work.kind != kind || work.request != id {
                    work.kind = kind;
                    // The buffer is used again: a hand-over costs no allocation.
                    work.request.clear();
                    work.request.push_str(id);
                }
            } else {
                if self.threads.len() >= self.threads_max {
                    self.forget_one();
                }
                self.threads.insert(key, Work { kind, request: id.to_owned(), since: time });
            }
        } else if let Some(work) = self.threads.get(&key) {
            let quiet = Span::from_nanos(time.since(work.since).nanos().saturating_abs());
            if quiet <= self.carry {
                // Surest right after the thread named its request, and a coin's toss at the end of `carry`.
                let share = quiet.nanos() as f64 / self.carry.nanos().max(1) as f64;
                #[expect(clippy::cast_possible_truncation, reason = "between 50 and 90")]
                let confidence = (90.0 - 40.0 * share) as u8;
                let attribution = Attribution { kind: work.kind, value: work.request.clone(), confidence };
                event.attribute(attribution);
                self.attributed += 1;
            }
        }
        out.event(event);
    }

    fn on_watermark(&mut self, watermark: EventTime, _: &mut Emit) {
        let carry = self.carry;
        self.threads.retain(|_, work| work.since + carry >= watermark);
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("threads", self.threads.len() as u64);
        report("attributed_total", self.attributed);
        report("forgotten_total", self.forgotten);
    }
}

impl Component for Thread {
    type Config = Config;
    const NAME: &'static str = "thread";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, context: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.carry > Span::ZERO, "carry", "must be longer than zero; try `carry: 2s`")?;
        ensure(config.max_threads > 0, "max_threads", "must be at least 1; try `max_threads: 100000`")?;
        context.carry = context.carry.max(config.carry);
        Ok(Self {
            carry: config.carry,
            threads_max: config.max_threads,
            threads: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            attributed: 0,
            forgotten: 0,
        })
    }
}
