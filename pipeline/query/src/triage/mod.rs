//! `triage`: how bad it is, what goes wrong most, and what to look at next.

use clap::Args;
use logbraid_core::{EventTime, Level, Span};
use logbraid_index::{Column, EntryRef, LevelSet, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, KindSummary, Kinds, rate};
use crate::{Question, QuestionError, Reply, Select, Window};

/// The range is judged as a whole; these are the last parts of it.
const RECENT: [Span; 3] = [Span::from_seconds(60), Span::from_seconds(300), Span::from_seconds(900)];
/// Services that are listed, worst first.
const SERVICES_MAX: usize = 10;

/// What to judge.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Triage {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Most kinds of errors that are listed; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
}

impl Default for Triage {
    fn default() -> Self {
        Self { select: Select::default(), top: 5 }
    }
}

/// How severe a rate of errors is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// There is nothing to judge.
    Unknown,
    /// At most 1 % of the entries are errors.
    Healthy,
    /// More than 1 %.
    Low,
    /// More than 5 %.
    Medium,
    /// More than 10 %.
    High,
    /// More than 20 %.
    Critical,
}

/// The verdict, and what it rests on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verdict {
    /// How bad it is.
    pub assessment: Assessment,
    /// The counts that say so.
    pub metrics: Metrics,
    /// The last 1, 5 and 15 minutes of the range, where it is longer than that.
    pub recent: Vec<Recent>,
    /// The most frequent kinds of errors.
    pub top_issues: Vec<KindSummary>,
    /// How many kinds of errors there are.
    pub total_issues: u64,
    /// Services with errors, most errors first; at most 10.
    pub services: Vec<ServiceErrors>,
    /// What to do.
    pub suggested_actions: Vec<Action>,
    /// Questions to ask next.
    pub next_steps: Vec<String>,
    /// Entries that could not be judged, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// How bad it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Assessment {
    /// By the share of errors.
    pub severity: Severity,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// In a sentence.
    pub summary: String,
}

/// Counts over the whole range.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Metrics {
    /// The share of entries at ERROR or FATAL, to 4 places.
    pub error_rate: f64,
    /// Entries at ERROR or FATAL.
    pub error_count: u64,
    /// All entries.
    pub total_entries: u64,
    /// Entries by level.
    pub log_levels: ByLevel,
}

/// The last part of the range.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Recent {
    /// How long it is.
    pub last: Span,
    /// Where it begins.
    pub since: EventTime,
    /// Its entries.
    pub entries: u64,
    /// Of these, at ERROR or FATAL.
    pub errors: u64,
    /// The share of errors.
    pub error_rate: f64,
}

/// The errors of a service.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ServiceErrors {
    /// The service.
    pub service: String,
    /// Its entries.
    pub entries: u64,
    /// Of these, at ERROR or FATAL.
    pub errors: u64,
    /// The share of errors.
    pub error_rate: f64,
}

/// Something to do, and why.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Action {
    /// `investigate` or `search_errors`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
}

impl Question for Triage {
    const NAME: &'static str = "triage";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Verdict;

    fn ask(&self, window: &Window) -> Result<Reply<Verdict>, QuestionError> {
        let (levels, mut unreadable) = count::levels(window, &self.select, window.filter())?;
        let mut kinds = Kinds::new();
        let errors = window.filter().levels(LevelSet::at_least(Level::Error));
        let first = window.view().scan(&self.select.columns(window.filter())).next().map(EntryRef::time);
        unreadable = unreadable.max(count::each(window, &self.select, errors, |entry, _| {
            if entry.level().is_some_and(Level::is_error) {
                kinds.add(entry);
            }
        })?);
        let (total, error_count) = (levels.total(), levels.errors());
        let error_rate = rate(error_count, total);
        let (severity, confidence) = severity(error_count, total);
        let mut texts = Texts::new();
        let all = kinds.sorted();
        let shown = if self.top == 0 { all.len() } else { self.top };
        let top_issues: Vec<KindSummary> =
            all.iter().take(shown).map(|kind| kind.summary(&mut texts)).collect();
        let recent = self.recent(window, first)?;
        let answer = Verdict {
            assessment: Assessment {
                severity,
                confidence,
                summary: summary(severity, &levels, top_issues.first()),
            },
            metrics: Metrics { error_rate, error_count, total_entries: total, log_levels: levels },
            total_issues: kinds.len() as u64,
            services: self.services(window),
            suggested_actions: actions(error_rate, error_count, &recent),
            next_steps: next_steps(error_count, total, top_issues.first()),
            recent,
            top_issues,
            unreadable,
        };
        Ok(Reply::when(total > 0, answer))
    }
}

impl Triage {
    fn recent(&self, window: &Window, first: Option<EventTime>) -> Result<Vec<Recent>, QuestionError> {
        let end = if window.to() == EventTime::MAX { window.now() } else { window.to() };
        let mut recent = Vec::new();
        for last in RECENT {
            let since = end - last;
            if first.is_none_or(|first| first >= since) {
                break;
            }
            let (levels, _) =
                count::levels(window, &self.select, window.filter().from(since.max(window.from())))?;
            let (entries, errors) = (levels.total(), levels.errors());
            recent.push(Recent { last, since, entries, errors, error_rate: rate(errors, entries) });
        }
        Ok(recent)
    }

    /// By columns alone; with `--query`, services would need a second look at every text and are left out.
    fn services(&self, window: &Window) -> Vec<ServiceErrors> {
        if self.select.query.is_some() {
            return Vec::new();
        }
        let stats = window.view().ids(Column::Service, &self.select.columns(window.filter()));
        let mut services: Vec<ServiceErrors> = stats
            .into_iter()
            .filter(|stat| stat.errors > 0)
            .map(|stat| ServiceErrors {
                service: stat.value.to_owned(),
                entries: stat.count,
                errors: stat.errors,
                error_rate: rate(stat.errors, stat.count),
            })
            .collect();
        services.sort_by(|a, b| b.errors.cmp(&a.errors).then_with(|| a.service.cmp(&b.service)));
        services.truncate(SERVICES_MAX);
        services
    }
}

fn severity(errors: u64, total: u64) -> (Severity, f64) {
    if total == 0 {
        return (Severity::Unknown, 0.0);
    }
    // Compared as whole numbers: exactly 5 % is not more than 5 %.
    let above = |percent: u64| errors.saturating_mul(100) > total.saturating_mul(percent);
    match () {
        () if above(20) => (Severity::Critical, 0.95),
        () if above(10) => (Severity::High, 0.9),
        () if above(5) => (Severity::Medium, 0.85),
        () if above(1) => (Severity::Low, 0.8),
        () => (Severity::Healthy, 0.9),
    }
}

fn summary(severity: Severity, levels: &ByLevel, worst: Option<&KindSummary>) -> String {
    let (errors, total) = (levels.errors(), levels.total());
    let share = rate(errors, total) * 100.0;
    match (severity, worst) {
        (Severity::Unknown, _) => "there are no entries to judge".to_owned(),
        (_, None) => format!("no errors among {total} entries"),
        (_, Some(worst)) => format!(
            "{errors} errors among {total} entries ({share:.2} %), most often `{}` ({} times)",
            worst.pattern, worst.count
        ),
    }
}

fn actions(error_rate: f64, errors: u64, recent: &[Recent]) -> Vec<Action> {
    let mut actions = Vec::new();
    if error_rate > 0.05 {
        let reason = format!("{:.2} % of the entries are errors", error_rate * 100.0);
        actions.push(Action { action: "investigate", reason });
    } else if let Some(worse) = recent.iter().find(|part| part.error_rate > 0.05 && part.errors > 1) {
        let reason = format!("{:.2} % of the last {} are errors", worse.error_rate * 100.0, worse.last);
        actions.push(Action { action: "investigate", reason });
    }
    if errors > 0 {
        actions.push(Action { action: "search_errors", reason: format!("there are {errors} errors") });
    }
    actions
}

fn next_steps(errors: u64, total: u64, worst: Option<&KindSummary>) -> Vec<String> {
    if total == 0 {
        return vec!["logbraid schema INPUT".to_owned()];
    }
    if errors == 0 {
        return vec!["logbraid search INPUT --level WARN".to_owned(), "logbraid metrics INPUT".to_owned()];
    }
    let mut steps = vec!["logbraid search INPUT --level ERROR+ --limit 20".to_owned()];
    if worst.is_some() {
        steps.push("logbraid patterns INPUT".to_owned());
    }
    steps.push("logbraid correlate-events INPUT --trigger-level ERROR+ --window 5s".to_owned());
    steps
}

#[cfg(test)]
mod tests;
