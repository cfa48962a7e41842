//! `correlate-events`: what happened around certain events.

mod condition;
mod field;
mod sweep;

use clap::Args;
use logbraid_core::{EventTime, Id, Level, SourceRef, Span};
use logbraid_index::{EntryRef, Filter, LevelSet, Place, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::condition::Condition;
pub(crate) use self::field::FieldOf;
pub(crate) use self::sweep::{Around, Sweep};
use crate::count::{self, shortened};
use crate::{LevelSelect, Question, QuestionError, Reply, Select, TextMatch, Window, moment};

/// Longest message of an anchor that is shown, in characters.
const ANCHOR_CHARS: usize = 120;
/// Longest message of an entry that is shown, in characters.
const MESSAGE_CHARS: usize = 200;

/// Which events, and how far around them.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CorrelateEvents {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// The input that `--anchor-line` is a line of; not needed with one input.
    #[arg(long, value_name = "INPUT", requires = "anchor_line")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_file: Option<String>,
    /// The event is the one at this line.
    #[arg(long, value_name = "LINE", conflicts_with_all = ["anchor_timestamp", "trigger_level", "trigger_pattern", "trigger_field"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_line: Option<u64>,
    /// The event is a moment.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["trigger_level", "trigger_pattern", "trigger_field"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_timestamp: Option<String>,
    /// Events are entries of these levels, such as `ERROR+`.
    #[arg(long, value_name = "LEVEL", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trigger_level: Vec<LevelSelect>,
    /// Events are entries whose message this regular expression matches.
    #[arg(long, value_name = "REGEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_pattern: Option<String>,
    /// Events are entries that have this field; with `--trigger-condition`, a certain value of it.
    #[arg(long, value_name = "FIELD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_field: Option<String>,
    /// What the field must be: `>500`, `<=1.5`, `==0`, `!=200`.
    #[arg(long, value_name = "CONDITION", requires = "trigger_field", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_condition: Option<Condition>,
    /// How far before and after the event; both ends included.
    #[arg(long, value_name = "SPAN", default_value = "5s")]
    pub window: Span,
    /// A cluster for every event, also where events stand closer than the window.
    #[arg(long)]
    pub every_event: bool,
    /// Most clusters that are shown, earliest first; 0 for all. All are counted.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// Most entries that are shown of a cluster, those nearest to the event; 0 for all. All are counted.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub entries: usize,
}

impl Default for CorrelateEvents {
    fn default() -> Self {
        Self {
            select: Select::default(),
            anchor_file: None,
            anchor_line: None,
            anchor_timestamp: None,
            trigger_level: Vec::new(),
            trigger_pattern: None,
            trigger_field: None,
            trigger_condition: None,
            window: Span::from_seconds(5),
            every_event: false,
            limit: 10,
            entries: 20,
        }
    }
}

/// Clusters of entries around events.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Correlated {
    /// Inputs that were looked at.
    pub files_searched: u64,
    /// How far around events.
    pub window: Span,
    /// Events that were found.
    pub total_events: u64,
    /// Clusters, shown or not. An event that nothing else is near makes none.
    pub total_clusters: u64,
    /// Entries in clusters; one that is in several counts once.
    pub total_entries_correlated: u64,
    /// Earliest first.
    pub clusters: Vec<EventCluster>,
    /// True when not all clusters, or not all of their entries, are shown.
    pub truncated: bool,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// The entries around an event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventCluster {
    /// The same for the same event in every run.
    pub virtual_trace_id: String,
    /// `event_window` around a given anchor, or `event_trigger`.
    pub rule_type: &'static str,
    /// When the event was.
    pub anchor_timestamp: EventTime,
    /// Its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_message: Option<String>,
    /// Its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_file: Option<String>,
    /// Events that are in the cluster, the first of them its anchor.
    pub events: u64,
    /// Its entries.
    pub entry_count: u64,
    /// Those nearest to the event, in the order of time.
    pub entries: Vec<ClusterEntry>,
}

/// An entry of a cluster.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClusterEntry {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// How long after the event; negative before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_ms: Option<f64>,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The first line of its message; absent when it cannot be read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
}

impl ClusterEntry {
    pub(crate) fn read<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>, anchor: Option<EventTime>) -> Self {
        let time = Some(entry.time()).filter(|time| time.is_known());
        Self {
            timestamp: time,
            relative_ms: time.zip(anchor).map(|(time, anchor)| time.since(anchor).millis()),
            level: entry.level(),
            message: texts.message(entry).ok().map(|message| shortened(message, MESSAGE_CHARS)),
            service: entry.service().map(str::to_owned),
            thread_id: entry.thread().map(str::to_owned),
            correlation_id: entry.correlation().map(str::to_owned),
            source: entry.source_ref(),
        }
    }
}

/// What an anchor's message looks like in an answer.
pub(crate) fn anchor_message<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Option<String> {
    texts.message(entry).ok().map(|message| shortened(message, ANCHOR_CHARS))
}

/// The id of a cluster: it depends on the rule and its key alone.
pub(crate) fn virtual_id(group: &str, rule: usize, key: &str) -> String {
    let id = Id::of(&[group, &rule.to_string(), key]).to_string();
    format!("vt-{}", id.get(..12).unwrap_or(&id))
}

impl Question for CorrelateEvents {
    const NAME: &'static str = "correlate-events";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Correlated;

    fn ask(&self, window: &Window) -> Result<Reply<Correlated>, QuestionError> {
        if self.window < Span::ZERO {
            return Err(QuestionError::new(
                "usage",
                format!("`--window` must not be negative, found {}", self.window),
            )
            .help("try `--window 5s`"));
        }
        let matching = self.select.text()?;
        let filter = self.select.columns(window.filter());
        let mut answer = Correlated {
            files_searched: window.view().inputs().len() as u64,
            window: self.window,
            total_events: 0,
            total_clusters: 0,
            total_entries_correlated: 0,
            clusters: Vec::new(),
            truncated: false,
            unreadable: 0,
        };
        let (anchors, rule_type) = self.anchors(window, &mut answer)?;
        let mut sweep = Sweep::new(window.view(), &filter, matching.as_ref(), self.window);
        let mut texts = Texts::new();
        for anchor in anchors {
            let around = sweep.around(anchor.time);
            if around.count < if anchor.entry.is_some() { 2 } else { 1 } {
                continue;
            }
            answer.total_clusters += 1;
            answer.total_entries_correlated += around.new;
            if self.limit == 0 || answer.clusters.len() < self.limit {
                answer.clusters.push(self.cluster(&mut texts, &mut sweep, &anchor, &around, rule_type));
            }
        }
        answer.unreadable += sweep.unreadable();
        answer.truncated = (answer.clusters.len() as u64) < answer.total_clusters
            || answer.clusters.iter().any(|cluster| (cluster.entries.len() as u64) < cluster.entry_count);
        Ok(Reply::when(answer.total_clusters > 0, answer))
    }
}

/// A moment to look around at.
struct Anchor<'v> {
    time: EventTime,
    entry: Option<EntryRef<'v>>,
    events: u64,
}

impl CorrelateEvents {
    fn anchors<'v>(
        &self,
        window: &'v Window,
        answer: &mut Correlated,
    ) -> Result<(Vec<Anchor<'v>>, &'static str), QuestionError> {
        let one = |time: EventTime, entry| vec![Anchor { time, entry, events: 1 }];
        if let Some(line) = self.anchor_line {
            answer.total_events = 1;
            let entry = self.at_line(window, line)?;
            return Ok((one(entry.time(), Some(entry)), "event_window"));
        }
        if let Some(text) = &self.anchor_timestamp {
            answer.total_events = 1;
            return Ok((one(moment("--anchor-timestamp", text, window.now())?, None), "event_window"));
        }
        if self.trigger_level.is_empty() && self.trigger_pattern.is_none() && self.trigger_field.is_none() {
            return Err(QuestionError::new("usage", "`correlate-events` needs an event to look around at").help(
                "try `--trigger-level ERROR+`, `--trigger-pattern REGEX`, `--trigger-field NAME`, `--anchor-line N` or \
                 `--anchor-timestamp TIME`",
            ));
        }
        Ok((self.triggers(window, answer)?, "event_trigger"))
    }

    fn at_line<'v>(&self, window: &'v Window, line: u64) -> Result<EntryRef<'v>, QuestionError> {
        let inputs = window.view().inputs();
        let input = match (&self.anchor_file, inputs.as_slice()) {
            (None, [only]) => *only,
            (None, _) => {
                return Err(QuestionError::new(
                    "usage",
                    "`--anchor-line` needs `--anchor-file` when there are several inputs",
                )
                .help(format!("there are {}", inputs.join(", "))));
            }
            (Some(name), _) => {
                let ends = |input: &&&str| **input == name.as_str() || input.ends_with(&format!("/{name}"));
                inputs.iter().find(ends).copied().ok_or_else(|| {
                    QuestionError::new("usage", format!("there is no input `{name}`"))
                        .help(format!("there are {}", inputs.join(", ")))
                })?
            }
        };
        let found = window.view().around(input, Place::Line(line), 1, 1);
        // A line within a record of several belongs to it.
        let entry = found.iter().rev().find(|entry| entry.line() <= line).copied();
        let entry = entry.filter(|entry| entry.line() == line || found.len() > 1).ok_or_else(|| {
            QuestionError::new("usage", format!("`{input}` has no entry at line {line}"))
                .help("lines are counted from 1; a line of a multi-line record belongs to its first")
        })?;
        if entry.time().is_known() {
            return Ok(entry);
        }
        Err(QuestionError::new("usage", format!("the entry at line {line} of `{input}` has no time")))
    }

    /// The events, earliest first: those closer to one before them than the window are part of its cluster.
    fn triggers<'v>(
        &self,
        window: &'v Window,
        answer: &mut Correlated,
    ) -> Result<Vec<Anchor<'v>>, QuestionError> {
        let pattern = self
            .trigger_pattern
            .as_ref()
            .map(|text| TextMatch::new(text, false, false, false))
            .transpose()?;
        let levels = self.trigger_level.iter().fold(LevelSet::EMPTY, |set, level| set.or(level.0));
        let levels = if self.trigger_level.is_empty() { LevelSet::ALL } else { levels };
        let field = self.trigger_field.as_deref().map(|name| (FieldOf::new(name), self.trigger_condition));
        let mut anchors: Vec<Anchor<'v>> = Vec::new();
        let mut unread = 0;
        let filter: Filter = window.filter().levels(levels);
        answer.unreadable += count::each(window, &self.select, filter, |entry, texts| {
            if !levels.has(entry.level()) || !entry.time().is_known() {
                return;
            }
            let matches = match &pattern {
                None => Ok(true),
                Some(pattern) => pattern.matches(texts, entry),
            };
            let matches = matches.and_then(|matches| match &field {
                Some((field, condition)) if matches => {
                    let value = field.value(texts, entry)?;
                    Ok(value.is_some_and(|value| {
                        condition.is_none_or(|condition| {
                            value.trim().parse::<f64>().is_ok_and(|number| condition.holds(number))
                        })
                    }))
                }
                _ => Ok(matches),
            });
            match matches {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    unread += 1;
                    return;
                }
            }
            answer.total_events += 1;
            match anchors.last_mut() {
                Some(last) if !self.every_event && entry.time().since(last.time) <= self.window => {
                    last.events += 1;
                }
                _ => anchors.push(Anchor { time: entry.time(), entry: Some(entry), events: 1 }),
            }
        })?;
        answer.unreadable += unread;
        Ok(anchors)
    }

    fn cluster<'v>(
        &self,
        texts: &mut Texts<'v>,
        sweep: &mut Sweep<'v, '_>,
        anchor: &Anchor<'v>,
        around: &Around,
        rule_type: &'static str,
    ) -> EventCluster {
        let message = anchor.entry.and_then(|entry| anchor_message(texts, entry));
        let group = if rule_type == "event_window" { "event-correlation" } else { "event-trigger" };
        let key = format!("{}:{}", anchor.time, message.as_deref().unwrap_or_default());
        let entries = sweep.nearest(around, if self.entries == 0 { usize::MAX } else { self.entries });
        EventCluster {
            virtual_trace_id: virtual_id(group, 0, &key),
            rule_type,
            anchor_timestamp: anchor.time,
            anchor_message: message,
            anchor_file: anchor.entry.map(|entry| entry.input().to_owned()),
            events: anchor.events,
            entry_count: around.count,
            entries: entries
                .into_iter()
                .map(|entry| ClusterEntry::read(texts, entry, Some(anchor.time)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
