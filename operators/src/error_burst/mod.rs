//! Notices when a service fails more often than it did.
//!
//! ```text
//!  errors   ▁ ▁ ▂ ▁ ▁ ▂ ▁ █     ◄ this window against the mean of those before it
//!  windows  │ │ │ │ │ │ │ │ ──► event time, 10 s each
//!           └── history ──┘ └ told when the watermark has passed its end
//! ```
//!
//! Only windows in which a service logged anything are compared, and a service needs three of them behind it: what
//! was never seen to work cannot be seen to break.

use std::collections::VecDeque;

use hashbrown::HashMap;
use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::{
    Emit, Event, EventTime, Evidence, Finding, FindingKind, Id, Level, Operator, Severity, Span,
};
use serde_json::json;

#[cfg(test)]
mod tests;
pub(crate) mod tumbling;

use tumbling::{Earliest, Tumbling};

/// Settings of `error_burst`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The length of a window.
    pub window: Span,
    /// Fewer errors in a window are no burst.
    pub min: u64,
    /// A burst has at least this many times the mean of the windows before it.
    pub factor: f64,
    /// How many windows back the mean goes.
    pub history: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { window: Span::from_seconds(10), min: 10, factor: 4.0, history: 30 }
    }
}

/// Most services that are watched at once.
const SERVICES_MAX: usize = 4096;
/// Most counters in open windows.
const OPEN_MAX: usize = 65_536;
/// Windows with traffic that must lie behind a service before it can be judged.
const PAST_MIN: usize = 3;
/// From this share of errors, or this many times the factor, a burst is severe.
const SEVERE_RATE: f64 = 0.5;
const SEVERE_FACTOR: f64 = 5.0;

#[derive(Debug, Default)]
struct Count {
    total: u64,
    errors: u64,
    first: Earliest<Evidence>,
}

#[derive(Debug)]
struct Service {
    name: Option<String>,
    /// False once forgotten: its number may be given again.
    live: bool,
    /// Windows with traffic: their start and errors, oldest first.
    past: VecDeque<(EventTime, u64)>,
}

/// The operator.
#[derive(Debug)]
pub struct ErrorBurst {
    config: Config,
    windows: Tumbling<u32, Count>,
    services: Vec<Service>,
    by_name: HashMap<String, u32>,
    /// The number of the service without a name.
    nameless: Option<u32>,
    /// Numbers that may be given again.
    free: Vec<u32>,
    unwatched: u64,
    bursts: u64,
}

impl ErrorBurst {
    fn number(&mut self, name: Option<&str>) -> Option<u32> {
        let known = match name {
            Some(name) => self.by_name.get(name).copied(),
            None => self.nameless,
        };
        if known.is_some() {
            return known;
        }
        let service = Service { name: name.map(str::to_owned), live: true, past: VecDeque::new() };
        let number = match self.free.pop() {
            Some(number) => {
                self.services[number as usize] = service;
                number
            }
            None if self.services.len() < SERVICES_MAX => {
                self.services.push(service);
                u32::try_from(self.services.len() - 1).ok()?
            }
            None => {
                self.unwatched += 1;
                return None;
            }
        };
        match name {
            Some(name) => {
                self.by_name.insert(name.to_owned(), number);
            }
            None => self.nameless = Some(number),
        }
        Some(number)
    }

    /// How far back the mean goes.
    fn reach(&self) -> Span {
        Span::from_nanos(self.config.window.nanos().saturating_mul(i64::from(self.config.history)))
    }

    /// Compares a window with those before it; then it is one of them.
    fn judge(&mut self, start: EventTime, number: u32, count: Count, out: &mut Emit) {
        let since = start - self.reach();
        let service = &mut self.services[number as usize];
        while service.past.front().is_some_and(|(past, _)| *past < since) {
            service.past.pop_front();
        }
        let windows = service.past.len();
        let before: u64 = service.past.iter().map(|(_, errors)| errors).sum();
        let mean = before as f64 / windows.max(1) as f64;
        let errors = count.errors;
        service.past.push_back((start, errors));
        if windows < PAST_MIN || errors < self.config.min || (errors as f64) < self.config.factor * mean {
            return;
        }
        self.bursts += 1;
        let end = start + self.config.window;
        let finding = burst(service.name.as_deref(), &self.config, count, (start, mean));
        out.finding(end, since, finding);
    }

    /// Forgets services that were silent for as long as the history reaches.
    fn forget(&mut self) {
        let since = self.windows.watermark() - self.reach();
        let open: hashbrown::HashSet<u32> = self.windows.keys().collect();
        for (number, service) in (0_u32..).zip(&mut self.services) {
            let quiet = service.past.back().is_none_or(|(last, _)| *last < since);
            if service.live && quiet && !open.contains(&number) {
                service.live = false;
                service.past = VecDeque::new();
                match service.name.take() {
                    Some(name) => {
                        self.by_name.remove(&name);
                    }
                    None => self.nameless = None,
                }
                self.free.push(number);
            }
        }
    }
}

fn burst(service: Option<&str>, config: &Config, count: Count, (start, mean): (EventTime, f64)) -> Finding {
    let Count { total, errors, first } = count;
    let rate = errors as f64 / total.max(1) as f64;
    let severe = rate >= SEVERE_RATE || errors as f64 >= SEVERE_FACTOR * config.factor * mean.max(1.0);
    let severity = if severe { Severity::High } else { Severity::Medium };
    let mean = (mean * 100.0).round() / 100.0;
    let title = format!(
        "{}: {errors} errors in {}, usually {}",
        service.unwrap_or("entries without a service"),
        config.window,
        if mean > 0.0 { mean.to_string() } else { "none".to_owned() },
    );
    let fingerprint = Id::of(&[FindingKind::ErrorBurst.name(), service.unwrap_or_default()]);
    let mut finding =
        Finding::new(FindingKind::ErrorBurst, severity, title, first.time().unwrap_or(start), fingerprint);
    finding.service = service.map(str::to_owned);
    finding.evidence = first.into_kept();
    finding.data.extend([
        ("errors".to_owned(), json!(errors)),
        ("total".to_owned(), json!(total)),
        ("rate".to_owned(), json!((rate * 1e4).round() / 1e4)),
        ("baseline".to_owned(), json!(mean)),
        ("window_start".to_owned(), json!(start)),
        ("window_ms".to_owned(), json!(config.window.nanos() / 1_000_000)),
    ]);
    finding
}

impl Operator for ErrorBurst {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, event: Event, out: &mut Emit) {
        if let Some(number) = self.number(event.service())
            && let Some(count) = self.windows.counter(event.time(), number)
        {
            count.total += 1;
            if event.row().level.is_some_and(Level::is_error) {
                count.errors += 1;
                count.first.offer(&event, || Evidence::of_event(&event));
            }
        }
        out.event(event);
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut Emit) {
        let closed = self.windows.close(watermark);
        if closed.is_empty() {
            return;
        }
        for (start, number, count) in closed {
            self.judge(start, number, count, out);
        }
        self.forget();
    }

    /// The oldest open window, or the one that the watermark is in, less the history that it is compared with.
    fn hold(&self) -> EventTime {
        if self.services.len() == self.free.len() {
            return EventTime::MAX;
        }
        let current = self.windows.watermark().floor_to(self.config.window);
        // Before the first watermark nothing but open windows is known.
        let current = if current == EventTime::MIN { EventTime::MAX } else { current };
        self.windows.oldest().map_or(current, |oldest| oldest.min(current)) - self.reach()
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("bursts_total", self.bursts);
        report("late_total", self.windows.late);
        report("windows_refused_total", self.windows.refused);
        report("unwatched_total", self.unwatched);
        report("services", (self.services.len() - self.free.len()) as u64);
        report("windows_open", self.windows.len() as u64);
    }
}

impl Component for ErrorBurst {
    type Config = Config;
    const NAME: &'static str = "error_burst";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.window > Span::ZERO, "window", "must be longer than zero; try `10s`")?;
        ensure(config.min > 0, "min", "must be at least 1; try `10`")?;
        ensure(
            config.factor.is_finite() && config.factor >= 1.0,
            "factor",
            "must be a number of at least 1; try `4`",
        )?;
        ensure(
            (3..=10_000).contains(&config.history),
            "history",
            "must be from 3 to 10000 windows; try `30`",
        )?;
        Ok(Self {
            windows: Tumbling::new(config.window, OPEN_MAX),
            config,
            services: Vec::new(),
            by_name: HashMap::new(),
            nameless: None,
            free: Vec::new(),
            unwatched: 0,
            bursts: 0,
        })
    }
}
