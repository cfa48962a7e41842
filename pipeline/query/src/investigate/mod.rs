//! `investigate`: a guided report over a window, or over one id.

mod drawing;
mod requests;
#[cfg(test)]
mod tests;

use clap::Args;
use logbraid_core::{EventTime, Level};
use logbraid_index::{EntryRef, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::requests::{Failing, Requests};
use crate::count::{ByLevel, KindSummary, is_zero};
use crate::triage::{Assessment, Severity, Triage};
use crate::{Canvas, Entry, Question, QuestionError, Reply, Select, Window, count};

/// What to look into.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Investigate {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Most failures, slow requests and kinds of errors that are listed.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
    /// Most entries that are listed for an id; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

impl Default for Investigate {
    fn default() -> Self {
        Self { select: Select::default(), top: 5, limit: 50 }
    }
}

/// The report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    /// What there is.
    pub overview: Overview,
    /// How bad it is.
    pub assessment: Assessment,
    /// The most frequent kinds of errors.
    pub errors: Vec<KindSummary>,
    /// How many kinds there are.
    pub total_errors: u64,
    /// Where requests began to fail, most requests first.
    pub failures: Vec<Failure>,
    /// How many such beginnings there are.
    pub total_failures: u64,
    /// The requests that took longest.
    pub slow_requests: Vec<Slow>,
    /// The entries of the id that was asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Entry>,
    /// True when the id has more entries than are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What to ask next.
    pub suggestions: Vec<Suggestion>,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

/// What there is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Overview {
    /// How many entries.
    pub total_entries: u64,
    /// The inputs that they came from.
    pub inputs: Vec<String>,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<EventTime>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EventTime>,
    /// Entries by level.
    pub levels: ByLevel,
    /// Services, those with most entries first; at most 20.
    pub services: Vec<Service>,
    /// How many services there are.
    pub total_services: u64,
    /// How many requests.
    pub requests: u64,
    /// How many of them have an error.
    pub failed_requests: u64,
    /// Half of the requests took at most this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_ms_p50: Option<f64>,
    /// 95 of 100 requests took at most this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_ms_p95: Option<f64>,
}

/// A service.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// Its entries.
    pub entries: u64,
    /// Of these, at ERROR or FATAL.
    pub errors: u64,
}

/// Requests that began to fail in the same way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Failure {
    /// The service of the first error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_in: Option<String>,
    /// The first error's message, of the first such request.
    pub message: String,
    /// How many requests.
    pub requests: u64,
    /// When the first of them began to fail.
    pub first_at: EventTime,
    /// When the last of them did.
    pub last_at: EventTime,
    /// Services with errors after that, in the order in which they mostly came.
    pub spreads_to: Vec<String>,
    /// A request to look at.
    pub example: String,
    /// Where its first error was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<logbraid_core::SourceRef>,
}

/// A request that took long.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Slow {
    /// Its id.
    pub request: String,
    /// When it began.
    pub start: EventTime,
    /// How long it took.
    pub duration_ms: f64,
    /// How many entries it has.
    pub entries: u64,
    /// Of these, at ERROR or FATAL.
    pub errors: u64,
    /// The longest silence within it.
    pub silence_ms: f64,
    /// The message before that silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_after: Option<String>,
    /// The service that was silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_service: Option<String>,
}

/// A command that is worth asking.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Suggestion {
    /// The command, without its inputs.
    pub command: String,
    /// Why.
    pub reason: String,
}

/// Services that an overview lists.
const SERVICES_MAX: usize = 20;
/// Characters of a message.
const MESSAGE_CHARS_MAX: usize = 300;

impl Investigate {
    fn has_id(&self) -> bool {
        self.select.correlation.is_some() || self.select.trace.is_some() || self.select.thread.is_some()
    }
}

impl Question for Investigate {
    const NAME: &'static str = "investigate";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Report;

    fn ask(&self, window: &Window) -> Result<Reply<Report>, QuestionError> {
        let triage = Triage { select: self.select.clone(), top: self.top };
        let verdict = triage.ask(window)?.answer;
        let mut requests = Requests::default();
        let mut texts = Texts::new();
        let mut unreadable = count::each(window, &self.select, window.filter(), |entry, _| {
            requests.add(entry);
        })?;
        let mut message = |entry| {
            texts_of(&mut texts, entry).unwrap_or_else(|| {
                unreadable += 1;
                String::new()
            })
        };
        let failing = requests.failing();
        let failures = failing.iter().take(self.top).map(|failing| failure(failing, &mut message)).collect();
        let slow_requests: Vec<Slow> = requests
            .slowest(self.top)
            .into_iter()
            .map(|request| Slow {
                request: request.id.to_owned(),
                start: request.start,
                duration_ms: request.duration_ms(),
                entries: request.entries,
                errors: request.errors,
                silence_ms: request.silence.millis(),
                silent_after: request.before_silence.map(&mut message),
                silent_service: request
                    .before_silence
                    .and_then(logbraid_index::EntryRef::service)
                    .map(str::to_owned),
            })
            .collect();
        let overview = overview(window, &requests, verdict.metrics.log_levels);
        let (timeline, truncated, lost) =
            if self.has_id() && self.limit > 0 { self.timeline(window)? } else { (Vec::new(), false, 0) };
        let suggestions = suggestions(self, &requests, &failing, &slow_requests, &overview);
        let report = Report {
            assessment: verdict.assessment,
            errors: verdict.top_issues,
            total_errors: verdict.total_issues,
            failures,
            total_failures: failing.len() as u64,
            slow_requests,
            timeline,
            truncated,
            suggestions,
            unreadable: unreadable + lost,
            overview,
        };
        Ok(Reply::when(report.overview.total_entries > 0, report))
    }

    fn draw(&self, answer: &Report, canvas: &mut Canvas) -> bool {
        drawing::draw(answer, canvas);
        true
    }
}

impl Investigate {
    /// The entries of the id: of many, errors and warnings, the first and the last.
    fn timeline(&self, window: &Window) -> Result<(Vec<Entry>, bool, u64), QuestionError> {
        let mut all: Vec<EntryRef<'_>> = Vec::new();
        let mut lost = count::each(window, &self.select, window.filter(), |entry, _| all.push(entry))?;
        let truncated = all.len() > self.limit;
        if truncated {
            let loud = |entry: &&EntryRef<'_>| entry.level() >= Some(Level::Warn);
            let mut kept: Vec<EntryRef<'_>> = all.iter().filter(loud).take(self.limit / 2).copied().collect();
            let rest = self.limit - kept.len();
            let (head, tail) = (rest.div_ceil(2), rest / 2);
            kept.extend(all.iter().take(head));
            kept.extend(all.iter().skip(all.len().saturating_sub(tail)));
            kept.sort_unstable();
            kept.dedup();
            all = kept;
        }
        let mut texts = Texts::new();
        let mut entries = Vec::new();
        for entry in all {
            match Entry::read(&mut texts, entry, false) {
                Ok(entry) => entries.push(entry),
                Err(_) => lost += 1,
            }
        }
        Ok((entries, truncated, lost))
    }
}

fn texts_of<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Option<String> {
    let text = texts.message(entry).ok()?;
    Some(count::shortened(text.lines().next().unwrap_or_default(), MESSAGE_CHARS_MAX))
}

fn overview(window: &Window, requests: &Requests<'_>, levels: ByLevel) -> Overview {
    let (services, total_services) = requests.services(SERVICES_MAX);
    Overview {
        total_entries: requests.entries(),
        inputs: window.view().inputs().into_iter().map(str::to_owned).collect(),
        start: requests.start(),
        end: requests.end(),
        levels,
        services,
        total_services,
        requests: requests.len(),
        failed_requests: requests.failed(),
        request_ms_p50: requests.quantile(0.50),
        request_ms_p95: requests.quantile(0.95),
    }
}

fn failure<'v>(failing: &Failing<'v, '_>, message: &mut impl FnMut(EntryRef<'v>) -> String) -> Failure {
    Failure {
        began_in: failing.first.service().map(str::to_owned),
        message: message(failing.first),
        requests: failing.requests,
        first_at: failing.first_at,
        last_at: failing.last_at,
        spreads_to: failing.spreads_to().into_iter().map(str::to_owned).collect(),
        example: failing.example.to_owned(),
        source: failing.first.source_ref(),
    }
}

fn suggestions(
    asked: &Investigate,
    requests: &Requests<'_>,
    failing: &[Failing<'_, '_>],
    slow: &[Slow],
    overview: &Overview,
) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    let mut suggest = |command: String, reason: String| suggestions.push(Suggestion { command, reason });
    if let Some(worst) = failing.first() {
        let example = word(worst.example);
        let count = crate::text::counted(worst.requests, "request begins", "requests begin");
        let service = worst.first.service().unwrap_or("an unnamed service");
        suggest(
            format!("error-flow {example}"),
            format!("{count} to fail in {service}; this is one of them"),
        );
        suggest(format!("hierarchy {example} --view waterfall"), "who called whom when it failed".to_owned());
        if let Some(start) = overview.start.filter(|start| *start < worst.first_at && !asked.has_id()) {
            let at = worst.first_at;
            suggest(
                format!("diff --before-start {start} --before-end {at}"),
                format!("what is different since the first failure, at {at}"),
            );
        }
    } else if overview.levels.errors() > 0 {
        suggest(
            "templates --level error+".to_owned(),
            "there are errors, and none of them belongs to a request".to_owned(),
        );
    }
    if let Some(slowest) = slow.first() {
        let usual = requests.quantile(0.50).unwrap_or(0.0);
        if slowest.duration_ms > 2.0 * usual.max(1.0) {
            let took = crate::text::duration(slowest.duration_ms);
            let usual = crate::text::duration(usual);
            suggest(
                format!("bottleneck {}", word(&slowest.request)),
                format!("it took {took}; half of the requests take at most {usual}"),
            );
        }
    }
    if overview.total_entries > 0 && failing.is_empty() && overview.levels.errors() == 0 {
        suggest("patterns".to_owned(), "nothing failed; this shows what repeats".to_owned());
    }
    suggestions
}

/// An id as a shell takes it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A severity in capitals.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Unknown => "UNKNOWN",
        Severity::Healthy => "HEALTHY",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    }
}
