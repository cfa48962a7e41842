//! Notices when the same call is tried again and again.
//!
//! ```text
//!  payments  "retrying inventory:8080, attempt 2"  ┐
//!  payments  "retrying inventory:8080, attempt 3"  ├─ one service, one template, one window ─► retry_storm
//!  payments  "retrying inventory:8080, attempt 2"  ┘    23 retries of 9 requests in 10 s
//! ```

use hashbrown::HashSet;
use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::template::{mask, template_id};
use logbraid_core::{
    Emit, Event, EventTime, Evidence, Finding, FindingKind, Id, KeyKind, Operator, Severity, Span,
};
use serde_json::json;

#[cfg(test)]
mod tests;
mod words;

use crate::error_burst::tumbling::{Earliest, Tumbling};
use crate::error_flow::target::target;

/// Settings of `retry_storm`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The length of a window.
    pub window: Span,
    /// Fewer retries of one kind in a window are no storm.
    pub min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { window: Span::from_seconds(10), min: 20 }
    }
}

/// Most counters in open windows.
const OPEN_MAX: usize = 16_384;
/// Most requests that are told apart in one counter.
const REQUESTS_MAX: usize = 1024;
/// Of a message longer than this only the head is looked at.
const LOOKED_AT_MAX: usize = 4096;
/// From this many times `min`, a storm is severe.
const SEVERE: u64 = 10;

#[derive(Debug, Default)]
struct Count {
    service: Option<String>,
    template: Id,
    retries: u64,
    requests: HashSet<u64>,
    first: Earliest<Evidence>,
}

/// The operator.
#[derive(Debug)]
pub struct RetryStorm {
    config: Config,
    windows: Tumbling<Id, Count>,
    retries: u64,
    storms: u64,
}

impl RetryStorm {
    fn count(&mut self, event: &Event, message: &str) {
        self.retries += 1;
        let template = template_id(message);
        let service = event.service();
        let key = Id::of(&[service.unwrap_or_default(), &template.to_string()]);
        let Some(count) = self.windows.counter(event.time(), key) else { return };
        if count.retries == 0 {
            count.service = service.map(str::to_owned);
            count.template = template;
        }
        count.retries += 1;
        let attributed = event.attribution().map(|attribution| attribution.value.as_str());
        let request = event.key(KeyKind::Correlation).or_else(|| event.key(KeyKind::Trace)).or(attributed);
        if let Some(request) = request
            && count.requests.len() < REQUESTS_MAX
        {
            count.requests.insert(Id::of(&[request]).0);
        }
        count.first.offer(event, || Evidence::of_event(event));
    }

    fn storm(&self, start: EventTime, count: Count) -> Finding {
        let Count { service, template, retries, requests, first } = count;
        let at = first.time().unwrap_or(start);
        let evidence = first.into_kept();
        let message = evidence.first().map(|evidence| evidence.message.as_str()).unwrap_or_default();
        let target = target(message, |_| false).map(str::to_owned);
        let name = service.as_deref().unwrap_or("entries without a service");
        let of = target.as_ref().map(|target| format!(" of {target}")).unwrap_or_default();
        let by = match requests.len() {
            0 => String::new(),
            1 => " by one request".to_owned(),
            REQUESTS_MAX => format!(" by {REQUESTS_MAX} requests or more"),
            many => format!(" by {many} requests"),
        };
        let title = format!("{name}: {retries} retries{of} in {}{by}", self.config.window);
        let severe = retries >= self.config.min.saturating_mul(SEVERE);
        let severity = if severe { Severity::High } else { Severity::Medium };
        let fingerprint = Id::of(&[
            FindingKind::RetryStorm.name(),
            service.as_deref().unwrap_or_default(),
            &template.to_string(),
        ]);
        let mut finding = Finding::new(FindingKind::RetryStorm, severity, title, at, fingerprint);
        finding.data.extend([
            ("retries".to_owned(), json!(retries)),
            ("requests".to_owned(), json!(requests.len())),
            ("template".to_owned(), json!(mask(message))),
            ("window_start".to_owned(), json!(start)),
            ("window_ms".to_owned(), json!(self.config.window.nanos() / 1_000_000)),
        ]);
        if requests.len() == REQUESTS_MAX {
            finding.data.insert("requests_at_least".to_owned(), json!(true));
        }
        if let Some(target) = target {
            finding.data.insert("target".to_owned(), json!(target));
        }
        finding.service = service;
        finding.evidence = evidence;
        finding
    }
}

impl Operator for RetryStorm {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, event: Event, out: &mut Emit) {
        let message = event.message();
        let message = &message[..message.floor_char_boundary(LOOKED_AT_MAX)];
        if words::speaks_of_a_retry(message) {
            self.count(&event, message);
        }
        out.event(event);
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut Emit) {
        for (start, _, count) in self.windows.close(watermark) {
            if count.retries >= self.config.min {
                self.storms += 1;
                out.finding(start + self.config.window, start, self.storm(start, count));
            }
        }
    }

    /// The start of the oldest open window: nothing before it is compared with.
    fn hold(&self) -> EventTime {
        self.windows.oldest().unwrap_or(EventTime::MAX)
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("retries_total", self.retries);
        report("storms_total", self.storms);
        report("late_total", self.windows.late);
        report("windows_refused_total", self.windows.refused);
        report("windows_open", self.windows.len() as u64);
    }
}

impl Component for RetryStorm {
    type Config = Config;
    const NAME: &'static str = "retry_storm";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.window > Span::ZERO, "window", "must be longer than zero; try `10s`")?;
        ensure(config.min > 0, "min", "must be at least 1; try `20`")?;
        Ok(Self { windows: Tumbling::new(config.window, OPEN_MAX), config, retries: 0, storms: 0 })
    }
}
