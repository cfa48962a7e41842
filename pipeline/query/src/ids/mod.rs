//! `ids`: the threads, requests, traces, spans, services and hosts that occur.

#[cfg(test)]
mod tests;

use clap::{Args, ValueEnum};
use logbraid_core::EventTime;
use logbraid_index::{Column, EntryRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::InOrder;
use crate::search::TimeRange;
use crate::{Question, QuestionError, Reply, Select, Window};

/// Which ids.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ids {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Which kinds; all by default.
    #[arg(long = "type", value_name = "KIND", value_delimiter = ',')]
    #[serde(rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<Kind>,
    /// Most ids of each kind; 0 for all. What is left out is counted.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

impl Default for Ids {
    fn default() -> Self {
        Self { select: Select::default(), kind: Vec::new(), limit: 100 }
    }
}

/// A kind of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every kind.
    All,
    /// Threads, processes, goroutines.
    Thread,
    /// Correlation and request ids.
    Correlation,
    /// Traces.
    Trace,
    /// Spans.
    Span,
    /// Services.
    Service,
    /// Hosts.
    Host,
}

/// The ids, by kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// Threads.
    pub thread_ids: Vec<Occurring>,
    /// Correlation and request ids.
    pub correlation_ids: Vec<Occurring>,
    /// Traces.
    pub trace_ids: Vec<Occurring>,
    /// Spans.
    pub span_ids: Vec<Occurring>,
    /// Services.
    pub services: Vec<Occurring>,
    /// Hosts.
    pub hosts: Vec<Occurring>,
    /// How many there are of each kind that was asked for, shown or not.
    pub totals: InOrder<u64>,
    /// True when not all are shown.
    pub truncated: bool,
    /// Entries that were looked at.
    pub total_entries: u64,
    /// From when to when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// Entries that could not be judged, because their text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// An id that occurs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Occurring {
    /// The id.
    pub id: String,
    /// Entries that carry it.
    pub count: u64,
    /// Of these, at ERROR or FATAL.
    pub errors: u64,
    /// The first one's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<EventTime>,
    /// The last one's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<EventTime>,
}

const KINDS: [(Kind, Column, &str); 6] = [
    (Kind::Thread, Column::Thread, "thread_ids"),
    (Kind::Correlation, Column::Correlation, "correlation_ids"),
    (Kind::Trace, Column::Trace, "trace_ids"),
    (Kind::Span, Column::Span, "span_ids"),
    (Kind::Service, Column::Service, "services"),
    (Kind::Host, Column::Host, "hosts"),
];

impl Question for Ids {
    const NAME: &'static str = "ids";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        let by_text = self.select.query.is_some();
        let filter = self.select.columns(window.filter());
        let mut totals = Vec::new();
        let mut lists: [Vec<Occurring>; 6] = Default::default();
        let mut truncated = false;
        let (mut total_entries, mut unreadable) = (0, 0);
        let mut range: Option<TimeRange> = None;
        let mut tallies: Vec<hashbrown::HashMap<&str, Occurring>> =
            vec![hashbrown::HashMap::new(); KINDS.len()];
        if by_text {
            unreadable = crate::count::each(window, &self.select, window.filter(), |entry, _| {
                total_entries += 1;
                let time = entry.time();
                let (start, end) =
                    range.map_or((time, time), |range| (range.start.min(time), range.end.max(time)));
                range = Some(TimeRange { start, end });
                for ((_, column, _), tally) in KINDS.iter().zip(&mut tallies) {
                    let Some(id) = entry.get(*column) else { continue };
                    let found = tally.entry(id).or_insert_with(|| Occurring::new(id, time));
                    found.add(time, entry.level().is_some_and(logbraid_core::Level::is_error));
                }
            })?;
        } else {
            total_entries = window.view().count(&filter);
            let start = window.view().scan(&filter).next().map(EntryRef::time);
            let end = window.view().scan_back(&filter).next().map(EntryRef::time);
            range = start.zip(end).map(|(start, end)| TimeRange { start, end });
        }
        for (((kind, column, name), list), tally) in KINDS.iter().zip(&mut lists).zip(tallies) {
            if !self.kind.is_empty() && !self.kind.contains(kind) && !self.kind.contains(&Kind::All) {
                continue;
            }
            let mut all: Vec<Occurring> = if by_text {
                let mut all: Vec<Occurring> = tally.into_values().collect();
                all.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.id.cmp(&b.id)));
                all
            } else {
                window.view().ids(*column, &filter).into_iter().map(Occurring::from).collect()
            };
            totals.push(((*name).to_owned(), all.len() as u64));
            if self.limit > 0 && all.len() > self.limit {
                all.truncate(self.limit);
                truncated = true;
            }
            *list = all;
        }
        let found = totals.iter().any(|(_, count)| *count > 0);
        let [thread_ids, correlation_ids, trace_ids, span_ids, services, hosts] = lists;
        let answer = Found {
            thread_ids,
            correlation_ids,
            trace_ids,
            span_ids,
            services,
            hosts,
            totals: InOrder(totals),
            truncated,
            total_entries,
            time_range: range.filter(|range| range.start.is_known()),
            unreadable,
        };
        Ok(Reply::when(found, answer))
    }
}

impl Occurring {
    fn new(id: &str, time: EventTime) -> Self {
        let time = Some(time).filter(|time| time.is_known());
        Self { id: id.to_owned(), count: 0, errors: 0, first_seen: time, last_seen: time }
    }
    fn add(&mut self, time: EventTime, error: bool) {
        self.count += 1;
        self.errors += u64::from(error);
        if time.is_known() {
            self.first_seen = Some(self.first_seen.map_or(time, |first| first.min(time)));
            self.last_seen = Some(self.last_seen.map_or(time, |last| last.max(time)));
        }
    }
}

impl From<logbraid_index::IdStat<'_>> for Occurring {
    fn from(stat: logbraid_index::IdStat<'_>) -> Self {
        let known = |time: EventTime| Some(time).filter(|time| time.is_known());
        Self {
            id: stat.value.to_owned(),
            count: stat.count,
            errors: stat.errors,
            first_seen: known(stat.first),
            last_seen: known(stat.last),
        }
    }
}
