//! `diff`: what changed between two periods.

use clap::Args;
use logbraid_core::{EventTime, Level, Span};
use logbraid_index::{Column, Filter, LevelSet, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{self, ByLevel, KindSummary, Kinds, percent, rate};
use crate::{Question, QuestionError, Reply, Select, Window, moment};

/// Fewer errors than this are no reason to speak of a change.
const ERRORS_MIN: u64 = 3;

/// Which periods. A period has its first moment and not its last, so that two that touch count nothing twice.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Diff {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Where the first period begins.
    #[arg(long, value_name = "TIME", requires = "before_end", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_start: Option<String>,
    /// Where the first period ends.
    #[arg(long, value_name = "TIME", requires = "before_start", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_end: Option<String>,
    /// Where the second period begins; by default, where the first ends.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_start: Option<String>,
    /// Where the second period ends; by default, at the end of the range.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_end: Option<String>,
    /// The last stretch of this length is compared with the one before it.
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["before_start", "after_start", "after_end"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Span>,
    /// Most kinds of errors that are listed of each sort; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
}

impl Default for Diff {
    fn default() -> Self {
        Self {
            select: Select::default(),
            before_start: None,
            before_end: None,
            after_start: None,
            after_end: None,
            baseline: None,
            top: 10,
        }
    }
}

/// Both periods, and what changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Difference {
    /// In a sentence.
    pub summary: String,
    /// The two periods.
    pub comparison: Comparison,
    /// From the first to the second.
    pub changes: Changes,
    /// Entries that could not be judged, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// The two periods.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Comparison {
    /// The first.
    pub before: Period,
    /// The second.
    pub after: Period,
}

/// A period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Period {
    /// Where it begins.
    pub start: EventTime,
    /// Where it ends, itself not in it.
    pub end: EventTime,
    /// How long it is.
    pub duration_ms: f64,
    /// Its entries.
    pub total: u64,
    /// Entries in a minute.
    pub per_minute: f64,
    /// Of these, at ERROR or FATAL.
    pub error_count: u64,
    /// The share of errors, to 4 places.
    pub error_rate: f64,
    /// Entries by level.
    pub by_level: ByLevel,
    /// Different threads.
    pub unique_threads: u64,
    /// Different services.
    pub unique_services: u64,
    /// Its most frequent kinds of errors.
    pub top_errors: Vec<KindSummary>,
}

/// What changed. What cannot be said, such as a change from nothing, is left out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Changes {
    /// Entries in a minute, in percent of what they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_change_percent: Option<f64>,
    /// The share of errors before.
    pub error_rate_before: f64,
    /// The share of errors after.
    pub error_rate_after: f64,
    /// The change of that share, such as `+50%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate_change: Option<String>,
    /// How many times as large the share of errors is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate_multiplier: Option<f64>,
    /// How many errors there are more, or fewer.
    pub error_count_change: i64,
    /// How many threads there are more, or fewer.
    pub thread_count_change: i64,
    /// Kinds of errors that were not there before.
    pub new_errors: Vec<KindSummary>,
    /// How many of them there are.
    pub total_new_errors: u64,
    /// Kinds of errors that are no longer there.
    pub resolved_errors: Vec<KindSummary>,
    /// How many of them there are.
    pub total_resolved_errors: u64,
    /// Kinds of errors that are in both, at least twice as many or half as many a minute.
    pub changed_errors: Vec<ChangedKind>,
}

/// A kind of errors in both periods.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangedKind {
    /// The message with what varies replaced by `<*>`.
    pub pattern: String,
    /// How many before.
    pub before: u64,
    /// How many after.
    pub after: u64,
    /// How many times as many a minute.
    pub multiplier: f64,
}

/// From when on, until when.
type Stretch = (EventTime, EventTime);

impl Question for Diff {
    const NAME: &'static str = "diff";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Difference;

    fn ask(&self, window: &Window) -> Result<Reply<Difference>, QuestionError> {
        let (before, after) = self.periods(window)?;
        let mut texts = Texts::new();
        let (first, first_kinds, unread) = self.period(window, before, &mut texts)?;
        let (second, second_kinds, unread_too) = self.period(window, after, &mut texts)?;
        let changes = self.changes([&first, &second], [&first_kinds, &second_kinds], &mut texts);
        let found = first.total + second.total > 0;
        let answer = Difference {
            summary: summary(&first, &second, &changes),
            comparison: Comparison { before: first, after: second },
            changes,
            unreadable: unread + unread_too,
        };
        Ok(Reply::when(found, answer))
    }
}

impl Diff {
    fn periods(&self, window: &Window) -> Result<(Stretch, Stretch), QuestionError> {
        let now = window.now();
        // The newest entry belongs to the range.
        let end = if window.to() == EventTime::MAX && now.is_known() {
            EventTime::from_nanos(now.nanos().saturating_add(1))
        } else {
            window.to()
        };
        if let Some(span) = self.baseline {
            if span <= Span::ZERO {
                return Err(QuestionError::new(
                    "usage",
                    format!("`--baseline` must be longer than zero, found {span}"),
                )
                .help("try `--baseline 1h`"));
            }
            return Ok(((end - span - span, end - span), (end - span, end)));
        }
        let time = |option: &str, text: &Option<String>| {
            text.as_deref().map(|text| moment(option, text, now)).transpose()
        };
        let begin = time("--before-start", &self.before_start)?;
        let middle = time("--before-end", &self.before_end)?;
        let (Some(begin), Some(middle)) = (begin, middle) else {
            return Err(QuestionError::new("usage", "`diff` needs two periods").help(
                "try `--baseline 1h`, or `--before-start T --before-end T [--after-start T] [--after-end T]`",
            ));
        };
        let after_start = time("--after-start", &self.after_start)?.unwrap_or(middle);
        let after_end = time("--after-end", &self.after_end)?.unwrap_or(end);
        for (name, start, end) in [("before", begin, middle), ("after", after_start, after_end)] {
            if start >= end {
                return Err(QuestionError::new(
                    "usage",
                    format!("the period `{name}` ends at {end}, not after its start {start}"),
                )
                .help("a period ends later than it begins"));
            }
        }
        Ok(((begin, middle), (after_start, after_end)))
    }

    fn period<'v>(
        &self,
        window: &'v Window,
        (start, end): Stretch,
        texts: &mut Texts<'v>,
    ) -> Result<(Period, Kinds<'v>, u64), QuestionError> {
        let filter = || window.filter().from(start.max(window.from())).before(end.min(window.to()));
        let (levels, mut unreadable) = count::levels(window, &self.select, filter())?;
        let mut kinds = Kinds::new();
        let errors = filter().levels(LevelSet::at_least(Level::Error));
        let missed = count::each(window, &self.select, errors, |entry, _| {
            if entry.level().is_some_and(Level::is_error) {
                kinds.add(entry);
            }
        })?;
        unreadable = unreadable.max(missed);
        let duration_ms = end.since(start).millis();
        let (total, error_count) = (levels.total(), levels.errors());
        let period = Period {
            start,
            end,
            duration_ms,
            total,
            per_minute: (total as f64 / duration_ms * 60e3 * 100.0).round() / 100.0,
            error_count,
            error_rate: rate(error_count, total),
            by_level: levels,
            unique_threads: self.distinct(window, filter(), Column::Thread)?,
            unique_services: self.distinct(window, filter(), Column::Service)?,
            top_errors: self.shown(kinds.sorted().iter().map(|kind| kind.summary(texts))),
        };
        Ok((period, kinds, unreadable))
    }

    fn distinct(&self, window: &Window, filter: Filter, column: Column) -> Result<u64, QuestionError> {
        if self.select.query.is_none() {
            return Ok(window.view().ids(column, &self.select.columns(filter)).len() as u64);
        }
        let mut names = count::Tally::default();
        count::each(window, &self.select, filter, |entry, _| {
            if let Some(name) = entry.get(column) {
                names.add(name);
            }
        })?;
        Ok(names.len() as u64)
    }

    fn shown<T>(&self, all: impl Iterator<Item = T>) -> Vec<T> {
        all.take(if self.top == 0 { usize::MAX } else { self.top }).collect()
    }

    fn changes<'v>(
        &self,
        [before, after]: [&Period; 2],
        [first, second]: [&Kinds<'v>; 2],
        texts: &mut Texts<'v>,
    ) -> Changes {
        let missing = |from: &Kinds<'v>, to: &Kinds<'v>, texts: &mut Texts<'v>| {
            let only: Vec<_> =
                from.sorted().into_iter().filter(|kind| to.get(kind.template).is_none()).collect();
            (only.len() as u64, self.shown(only.iter().map(|kind| kind.summary(texts))))
        };
        let (total_new_errors, new_errors) = missing(second, first, texts);
        let (total_resolved_errors, resolved_errors) = missing(first, second, texts);
        let longer = before.duration_ms / after.duration_ms;
        let changed = second.sorted().into_iter().filter_map(|kind| {
            let was = first.get(kind.template)?;
            let multiplier = kind.count as f64 / was.count as f64 * longer;
            let much = !(0.5..2.0).contains(&multiplier) && kind.count.max(was.count) >= ERRORS_MIN;
            much.then(|| ChangedKind {
                pattern: kind.pattern(texts),
                before: was.count,
                after: kind.count,
                multiplier: (multiplier * 100.0).round() / 100.0,
            })
        });
        let changed_errors = self.shown(changed);
        let exact = |period: &Period| period.error_count as f64 / period.total.max(1) as f64;
        let multiplier = (before.error_count > 0).then(|| exact(after) / exact(before));
        Changes {
            volume_change_percent: if before.total == 0 {
                None
            } else if before.duration_ms.to_bits() == after.duration_ms.to_bits() {
                percent(before.total, after.total)
            } else {
                Some(((after.total as f64 / before.total as f64 * longer - 1.0) * 1e4).round() / 1e2)
            },
            error_rate_before: before.error_rate,
            error_rate_after: after.error_rate,
            error_rate_change: multiplier.map(|times| format!("{:+.0}%", (times - 1.0) * 100.0)),
            error_rate_multiplier: multiplier.map(|times| (times * 100.0).round() / 100.0),
            error_count_change: change(before.error_count, after.error_count),
            thread_count_change: change(before.unique_threads, after.unique_threads),
            new_errors,
            total_new_errors,
            resolved_errors,
            total_resolved_errors,
            changed_errors,
        }
    }
}

fn change(before: u64, after: u64) -> i64 {
    after.cast_signed().saturating_sub(before.cast_signed())
}

fn summary(before: &Period, after: &Period, changes: &Changes) -> String {
    let mut parts = Vec::new();
    if before.total == 0 && after.total == 0 {
        return "there are no entries in either period".to_owned();
    }
    match changes.volume_change_percent {
        Some(volume) if volume.abs() > 20.0 => parts.push(format!("volume {volume:+.0} %")),
        None => parts.push("nothing was logged before".to_owned()),
        Some(_) => {}
    }
    match changes.error_rate_multiplier {
        Some(times) if times > 1.5 => parts.push(format!("the share of errors is {times:.1} times as large")),
        Some(times) if times < 0.7 => {
            parts.push(format!("the share of errors is {times:.1} times what it was"));
        }
        None if after.error_count > 0 => parts.push(format!("{} errors, and none before", after.error_count)),
        _ => {}
    }
    if changes.total_new_errors > 0 {
        parts.push(format!("{} new kinds of errors", changes.total_new_errors));
    }
    if changes.total_resolved_errors > 0 {
        parts.push(format!("{} kinds of errors are gone", changes.total_resolved_errors));
    }
    if parts.is_empty() { "no great change".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests;
