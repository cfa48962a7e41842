//! `search`: entries by time, level, service, ids and text.

mod group;
#[cfg(test)]
mod tests;

use clap::{Args, ValueEnum};
use logbraid_core::{EventTime, Level};
use logbraid_index::{EntryRef, Neighbours, Place, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::count::{ByLevel, InOrder, KindSummary, is_zero};
use crate::exclude::Matching;
use crate::text::Style;
use crate::{Canvas, Entry, Narrow, Question, QuestionError, Reply, Select, Window};

/// What to search for.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Search {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub narrow: Narrow,
    /// Most entries that are shown; 0 for all. What is left out is counted.
    #[arg(long, visible_alias = "head", value_name = "N", default_value_t = 100, help_heading = "Results")]
    pub limit: usize,
    /// Entries that are passed over before the first that is shown.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Results")]
    pub offset: usize,
    /// Shows the last N, in the order of time.
    #[arg(long, value_name = "N", conflicts_with_all = ["offset", "limit"], help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<usize>,
    /// The order of results.
    #[arg(long, value_name = "ORDER", default_value = "time", help_heading = "Results")]
    pub sort: Order,
    /// Shows N neighbours of each entry in its input, before and after it.
    #[arg(long, short = 'C', value_name = "N", default_value_t = 0, help_heading = "Results")]
    pub context: usize,
    /// Shows N neighbours before each entry.
    #[arg(long, short = 'B', value_name = "N", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_context: Option<usize>,
    /// Shows N neighbours after each entry.
    #[arg(long, short = 'A', value_name = "N", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_context: Option<usize>,
    /// Shows the whole line of each entry, too.
    #[arg(long, help_heading = "Results")]
    pub show_raw: bool,
    /// How much is said: all entries, a summary, counts, or a short form of each entry.
    #[arg(long, value_name = "FORM", default_value = "full", help_heading = "Results")]
    pub output_format: OutputFormat,
    /// Counts alone; the same as `--output-format count`.
    #[arg(long, help_heading = "Results")]
    pub count_only: bool,
    /// Counts by level, thread, service and input, without entries.
    #[arg(long, help_heading = "Results")]
    pub metadata_only: bool,
    /// Leaves out the counts by level, thread, service and input.
    #[arg(long, help_heading = "Results")]
    pub no_aggregate: bool,
    /// Counts by the values of these, too: `level`, `service`, `host`, `thread_id`, `correlation_id`, `trace_id`,
    /// `template`, `input`, or a field such as `fields.status`.
    #[arg(long, value_name = "FIELD", value_delimiter = ',', help_heading = "Results")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// Most values in each count; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Results")]
    pub top: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            select: Select::default(),
            narrow: Narrow::default(),
            limit: 100,
            offset: 0,
            tail: None,
            sort: Order::Time,
            context: 0,
            before_context: None,
            after_context: None,
            show_raw: false,
            output_format: OutputFormat::Full,
            count_only: false,
            metadata_only: false,
            no_aggregate: false,
            group_by: Vec::new(),
            top: 20,
        }
    }
}

/// The order of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Oldest first.
    Time,
    /// Newest first.
    Newest,
    /// Highest level first, oldest first within it.
    Level,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// Every entry with all that it has.
    Full,
    /// What there is: counts, kinds of messages, a few entries.
    Summary,
    /// Counts alone.
    Count,
    /// Of every entry its time, level, message, thread and place.
    Compact,
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// The question, as it was understood.
    pub query: Map<String, Value>,
    /// How much there is.
    pub summary: Summary,
    /// True when not all entries that match are shown.
    pub truncated: bool,
    /// The entries that are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<Hit>>,
    /// With `--output-format compact`, the entries in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<Vec<Short>>,
    /// Counts of all entries that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregations: Option<Aggregations>,
    /// With `--output-format summary`, the kinds of messages, most frequent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_messages: Option<Vec<KindSummary>>,
    /// With `--output-format summary`, a few entries: the first, the last, the first error, and some between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_entries: Option<Vec<Entry>>,
}

/// How much there is.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Summary {
    /// Entries that match, shown or not.
    pub total_matches: u64,
    /// Entries that are shown.
    pub returned: u64,
    /// Entries that were passed over.
    pub offset: u64,
    /// True when there are more after the last that is shown.
    pub has_more: bool,
    /// Inputs that were searched.
    pub inputs_searched: u64,
    /// The first and the last match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// With `--output-format summary`, how many kinds of messages there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_messages: Option<u64>,
    /// Entries that could not be judged or shown, because their text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TimeRange {
    /// The first.
    pub start: EventTime,
    /// The last.
    pub end: EventTime,
}

/// Counts of all entries that match; the most frequent values, then by name.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Aggregations {
    /// By level.
    pub by_level: ByLevel,
    /// By thread.
    pub by_thread: InOrder<u64>,
    /// By service.
    pub by_service: InOrder<u64>,
    /// By input.
    pub by_input: InOrder<u64>,
    /// By what `--group-by` names.
    #[serde(skip_serializing_if = "group::is_empty")]
    pub groups: InOrder<InOrder<u64>>,
    /// Entries with values that are not listed, by the count's name.
    #[serde(skip_serializing_if = "group::is_empty")]
    pub not_listed: InOrder<u64>,
}

/// An entry that was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Hit {
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// Its neighbours before it, in the order of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_before: Option<Vec<Entry>>,
    /// Its neighbours after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_after: Option<Vec<Entry>>,
}

/// An entry in short.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Short {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<EventTime>,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The first 150 characters of its message.
    pub msg: String,
    /// Its thread, else its correlation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Its input.
    pub file: String,
    /// Its line, where lines are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u64,
}

impl Question for Search {
    const NAME: &'static str = "search";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        let matching = Matching::new(&self.select, &self.narrow, window.filter())?;
        let groups = group::by(&self.group_by)?;
        let view = window.view();
        let wants_entries = !self.count_only
            && !self.metadata_only
            && matches!(self.output_format, OutputFormat::Full | OutputFormat::Compact);
        let summing_up =
            !self.count_only && !self.metadata_only && self.output_format == OutputFormat::Summary;
        let by_text = !matching.is_columns();
        let (found, mut unreadable) = if by_text || summing_up || !groups.is_empty() {
            matching.entries(view)
        } else {
            (Vec::new(), 0)
        };
        let everything = by_text || summing_up || !groups.is_empty();
        let total = if everything { found.len() as u64 } else { view.count(&matching.filter) };

        let mut summary = Summary {
            total_matches: total,
            inputs_searched: view.inputs().len() as u64,
            time_range: if everything { range(&found) } else { Self::range_of(window, &matching) },
            unreadable,
            ..Summary::default()
        };
        let mut answer = Found {
            query: self.echo(),
            summary: Summary::default(),
            truncated: false,
            results: None,
            matches: None,
            aggregations: None,
            top_messages: None,
            sample_entries: None,
        };
        if wants_entries {
            let offset = self.offset_of(total);
            let shown = if everything {
                self.page(found.clone(), offset)
            } else {
                self.page_of(window, &matching, offset)
            };
            let (mut texts, mut known) = (Texts::new(), Neighbours::new(window.view()));
            if self.output_format == OutputFormat::Compact {
                let short: Vec<Short> =
                    shown.iter().filter_map(|entry| Self::short(&mut texts, *entry)).collect();
                summary.returned = short.len() as u64;
                answer.matches = Some(short);
            } else {
                let hits: Vec<Hit> =
                    shown.iter().filter_map(|entry| self.hit(&mut known, &mut texts, *entry)).collect();
                summary.returned = hits.len() as u64;
                answer.results = Some(hits);
            }
            // Those that columns found, and whose text could not be read.
            unreadable += shown.len() as u64 - summary.returned;
            summary.unreadable = unreadable;
            summary.offset = offset;
            summary.has_more = offset + (shown.len() as u64) < total;
            answer.truncated = summary.returned < total;
        }
        if summing_up {
            let (kinds, top, sample) = group::summed_up(&found, self.top);
            summary.unique_messages = Some(kinds);
            answer.truncated = (sample.len() as u64) < total;
            answer.top_messages = Some(top);
            answer.sample_entries = Some(sample);
        }
        if !self.no_aggregate {
            let entries = everything.then_some(found.as_slice());
            answer.aggregations = Some(group::aggregate(window, &matching, entries, &groups, self.top));
        }
        answer.summary = summary;
        Ok(Reply::when(total > 0, answer))
    }

    fn draw(&self, answer: &Found, canvas: &mut Canvas) -> bool {
        let Some(hits) = &answer.results else { return false };
        for (at, hit) in hits.iter().enumerate() {
            let around = hit.context_before.is_some();
            if around && at > 0 {
                canvas.line("--", Style::dim);
            }
            for entry in hit.context_before.iter().flatten() {
                canvas.entry(entry);
            }
            canvas.entry(&hit.entry);
            for entry in hit.context_after.iter().flatten() {
                canvas.entry(entry);
            }
        }
        let Summary { total_matches, returned, .. } = answer.summary;
        if returned < total_matches || total_matches == 0 {
            canvas.line(&format!("{returned} of {total_matches} entries"), Style::dim);
        }
        if answer.summary.unreadable > 0 {
            let text = format!("{} entries could not be read any more", answer.summary.unreadable);
            canvas.line(&text, Style::warn);
        }
        true
    }
}

impl Search {
    /// The request without what has its default.
    fn echo(&self) -> Map<String, Value> {
        let (Ok(Value::Object(mut asked)), Ok(default)) =
            (serde_json::to_value(self), serde_json::to_value(Self::default()))
        else {
            return Map::new();
        };
        asked.retain(|name, value| default.get(name) != Some(value));
        asked
    }

    fn around(&self) -> Option<(usize, usize)> {
        let before = self.before_context.unwrap_or(self.context);
        let after = self.after_context.unwrap_or(self.context);
        (before > 0 || after > 0).then_some((before, after))
    }

    fn offset_of(&self, total: u64) -> u64 {
        match self.tail {
            Some(tail) => total.saturating_sub(tail as u64),
            None => (self.offset as u64).min(total),
        }
    }

    fn most(&self) -> usize {
        match (self.tail, self.limit) {
            (Some(tail), _) => tail,
            (None, 0) => usize::MAX,
            (None, limit) => limit,
        }
    }

    /// The entries that are shown, of all that match.
    fn page<'v>(&self, mut found: Vec<EntryRef<'v>>, offset: u64) -> Vec<EntryRef<'v>> {
        match self.sort {
            Order::Time => found.sort_unstable(),
            Order::Newest => found.sort_unstable_by(|a, b| b.cmp(a)),
            Order::Level => found.sort_unstable_by(|a, b| b.level().cmp(&a.level()).then_with(|| a.cmp(b))),
        }
        found.into_iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(self.most()).collect()
    }

    /// The entries that are shown, of all that columns let through: no more is looked at than is needed.
    fn page_of<'v>(&self, window: &'v Window, matching: &Matching, offset: u64) -> Vec<EntryRef<'v>> {
        let (view, filter) = (window.view(), &matching.filter);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        match (self.sort, self.tail) {
            (Order::Time, Some(tail)) => {
                let mut last: Vec<EntryRef<'v>> = view.scan_back(filter).take(tail).collect();
                last.reverse();
                last
            }
            (Order::Time, None) => view.scan(filter).skip(offset).take(self.most()).collect(),
            (Order::Newest, None) => view.scan_back(filter).skip(offset).take(self.most()).collect(),
            _ => self.page(view.scan_stored(filter).collect(), offset as u64),
        }
    }

    fn range_of(window: &Window, matching: &Matching) -> Option<TimeRange> {
        let (view, filter) = (window.view(), &matching.filter);
        let start = view.scan(filter).next()?.time();
        let end = view.scan_back(filter).next()?.time();
        (start.is_known() && end.is_known()).then_some(TimeRange { start, end })
    }

    fn hit<'v>(&self, known: &mut Neighbours<'v>, texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Option<Hit> {
        let raw = self.show_raw || self.select.raw;
        let read = Entry::read(texts, entry, raw).ok()?;
        let mut hit = Hit { entry: read, context_before: None, context_after: None };
        if let Some((before, after)) = self.around() {
            let (earlier, later) = neighbours(known, entry, before, after);
            let mut read = |entries: Vec<EntryRef<'v>>| {
                entries.into_iter().filter_map(|entry| Entry::read(texts, entry, raw).ok()).collect()
            };
            hit.context_before = Some(read(earlier));
            hit.context_after = Some(read(later));
        }
        Some(hit)
    }

    fn short<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Option<Short> {
        let msg = crate::count::shortened(texts.message(entry).ok()?, 150);
        let time = Some(entry.time()).filter(|time| time.is_known());
        let thread = entry.thread().or(entry.correlation()).map(str::to_owned);
        Some(Short {
            time,
            level: entry.level(),
            msg,
            thread,
            file: entry.input().to_owned(),
            line: entry.line(),
        })
    }
}

/// An entry's neighbours in its input.
pub(crate) fn neighbours<'v>(
    known: &mut Neighbours<'v>,
    entry: EntryRef<'v>,
    before: usize,
    after: usize,
) -> (Vec<EntryRef<'v>>, Vec<EntryRef<'v>>) {
    let place = if entry.line() > 0 { Place::Line(entry.line()) } else { Place::Offset(entry.offset()) };
    let around = known.around(entry.input(), place, before, after);
    let own = entry.offset();
    let (earlier, later): (Vec<_>, Vec<_>) =
        around.into_iter().filter(|other| other.offset() != own).partition(|other| other.offset() < own);
    (earlier, later)
}

/// For `skip_serializing_if`.
pub(crate) fn no_values(values: &InOrder<String>) -> bool {
    values.0.is_empty()
}

fn range(found: &[EntryRef<'_>]) -> Option<TimeRange> {
    let times = || found.iter().map(|entry| entry.time()).filter(|time| time.is_known());
    Some(TimeRange { start: times().min()?, end: times().max()? })
}
