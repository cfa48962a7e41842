//! `correlate`: follows a request through every service, thread and file.

#[cfg(test)]
mod tests;

use clap::Args;
use hashbrown::HashSet;
use logbraid_core::record::Millis;
use logbraid_core::{EventTime, Id, Level};
use logbraid_index::Texts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

use crate::count::{ByLevel, is_zero};
use crate::hierarchy::Chains;
use crate::hierarchy::node::known;
use crate::request::{self, Of, Request};
use crate::text::{Style, clock, counted, duration, pad};
use crate::{Canvas, IdKind, Question, QuestionError, Reply, Window};

/// Which request.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct Correlate {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub of: Of,
    /// Most entries that are shown; 0 for all. Errors and the last entry are counted all the same.
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    #[serde(default = "limit")]
    pub limit: usize,
    /// With the whole line of each entry.
    #[arg(long)]
    #[serde(default, skip_serializing_if = "is_false")]
    pub show_raw: bool,
}

const LIMIT: usize = 1000;
const fn limit() -> usize {
    LIMIT
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A request from its first entry to its last.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// The id that was asked for.
    pub identifier: String,
    /// What it is; none when no entry carries it.
    pub identifier_type: Option<IdKind>,
    /// The request as a whole.
    pub trace: Trace,
    /// Its entries in the order of time.
    pub timeline: Vec<Item>,
    /// The first entry at ERROR or FATAL, shown above or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_point: Option<Item>,
    /// Requests that started this one, and that it started.
    #[serde(flatten)]
    pub chains: Chains,
    /// Entries whose text cannot be read any more: they have no message.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// True when not all entries are shown.
    pub truncated: bool,
}

/// A request as a whole.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Trace {
    /// The id of its timeline in a stream, unless that told of an error before it knew all of its ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Id>,
    /// All its entries, shown or not.
    pub total_entries: u64,
    /// Services in the order in which they came in.
    pub services: Vec<String>,
    /// Its other ids.
    #[serde(flatten)]
    pub ids: request::Ids,
    /// Different spans.
    pub unique_spans: usize,
    /// The first entry's time.
    pub start: Option<EventTime>,
    /// The last entry's time.
    pub end: Option<EventTime>,
    /// From the first to the last; none without entries that have a time.
    #[schemars(with = "Option<f64>")]
    pub duration_ms: Option<Millis>,
    /// `error`, `success`, or `not_found`.
    pub outcome: &'static str,
    /// Entries by level.
    pub levels: ByLevel,
    /// Entries that carry no id of the request, but were written by a thread that worked on it.
    pub attributed: u64,
}

/// An entry of the timeline.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Item {
    /// Its place, from 1 on.
    pub sequence: usize,
    /// When it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// Milliseconds since the first entry.
    #[schemars(with = "Option<f64>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_time_ms: Option<Millis>,
    /// Its input.
    pub file: String,
    /// Its line, where lines are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub line_number: u64,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Its message; empty when it cannot be read any more.
    pub message: String,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Its span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// How sure it belongs here, where its thread says so and not an id, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The whole line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

impl Item {
    /// The entry at `at` of a request.
    pub(crate) fn of(request: &Request<'_>, at: usize) -> Option<Self> {
        let group = &request.group;
        let row = group.rows.get(at)?;
        let own = |text: Option<&str>| text.map(str::to_owned);
        let start = group.start();
        Some(Self {
            sequence: at + 1,
            timestamp: known(row.time),
            relative_time_ms: (row.time.is_known() && start.is_known())
                .then(|| Millis(row.time.since(start).millis())),
            file: group.source(row).map(|source| source.name.clone()).unwrap_or_default(),
            line_number: row.line,
            level: row.level,
            message: group.message(row).to_owned(),
            service: own(group.service(row)),
            thread_id: own(group.get(row.thread)),
            span_id: own(group.get(row.span)),
            confidence: logbraid_core::Group::is_attributed(row).then(|| f64::from(row.confidence) / 100.0),
            raw: None,
        })
    }
}

impl Question for Correlate {
    const NAME: &'static str = "correlate";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let mut answer = Answer {
            identifier: self.of.id.clone(),
            identifier_type: None,
            trace: Trace { outcome: "not_found", ..Trace::default() },
            timeline: Vec::new(),
            error_point: None,
            chains: Chains::default(),
            unreadable: 0,
            truncated: false,
        };
        let Some(found) = Request::find(window, &self.of) else {
            return Ok(Reply::when(false, answer));
        };
        answer.identifier_type = Some(found.kind);
        answer.trace = trace(&found);
        let shown = if self.limit == 0 { found.entries.len() } else { self.limit };
        answer.timeline = (0..found.entries.len().min(shown)).filter_map(|at| Item::of(&found, at)).collect();
        if self.show_raw {
            let mut texts = Texts::new();
            for (item, entry) in answer.timeline.iter_mut().zip(&found.entries) {
                item.raw = texts.raw(*entry).ok().map(str::to_owned);
            }
        }
        let failed = found.group.rows.iter().position(|row| row.level.is_some_and(Level::is_error));
        answer.error_point = failed.and_then(|at| Item::of(&found, at));
        answer.chains = Chains::of(window, &found);
        answer.unreadable = found.unreadable;
        answer.truncated = found.is_cut() || (answer.timeline.len() as u64) < found.total;
        Ok(Reply::found(answer))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        let trace = &answer.trace;
        if trace.total_entries == 0 {
            canvas.line(&format!("no entry carries `{}`", answer.identifier), |_, text| text.to_owned());
            return true;
        }
        let time = trace.duration_ms.map_or_else(String::new, |ms| duration(ms.0));
        let entries = counted(trace.total_entries, "entry", "entries");
        let services = trace.services.join(" → ");
        let text = format!("{}   {time}   {entries}   {}   {services}", answer.identifier, trace.outcome);
        let failed = trace.outcome == "error";
        canvas.line(&text, |style, text| if failed { style.error(text) } else { style.bold(text) });
        let room = trace.services.iter().map(|name| name.width()).max().unwrap_or(1).min(24);
        for item in &answer.timeline {
            item.draw(canvas, room);
        }
        let hidden = trace.total_entries.saturating_sub(answer.timeline.len() as u64);
        if hidden > 0 {
            let text = format!("{} not shown", counted(hidden, "entry", "entries"));
            canvas.line(&text, Style::dim);
        }
        answer.chains.draw(canvas);
        true
    }
}

impl Item {
    /// Draws it as a line, its service in `room` columns.
    fn draw(&self, canvas: &mut Canvas, room: usize) {
        let time = self.timestamp.map_or_else(|| clock(EventTime::MIN), clock);
        let after = self.relative_time_ms.map_or_else(String::new, |ms| format!("+{}", duration(ms.0)));
        let level = self.level.map_or("", Level::name);
        let service = pad(self.service.as_deref().unwrap_or("-"), room);
        let sure = if self.confidence.is_some() { "~ " } else { "" };
        let first = self.message.lines().next().unwrap_or_default();
        let text = format!("{time} {after:>8} {level:<5} {service} {sure}{first}");
        canvas.line(&text, |style, text| style.level(self.level, text));
    }
}

fn trace(found: &Request<'_>) -> Trace {
    let group = &found.group;
    let spans: HashSet<&str> = found.entries.iter().filter_map(|entry| entry.span()).collect();
    let (start, end) = (known(group.start()), known(group.end()));
    let mut levels = ByLevel::default();
    for entry in &found.entries {
        levels.add(entry.level());
    }
    Trace {
        timeline: Some(request::timeline_id(group)),
        total_entries: found.total,
        services: group.services().into_iter().map(str::to_owned).collect(),
        ids: request::Ids::of(group),
        unique_spans: spans.len(),
        start,
        end,
        duration_ms: start.zip(end).map(|(start, end)| Millis(end.since(start).millis())),
        outcome: if group.levels.errors() > 0 { "error" } else { "success" },
        levels,
        attributed: group.rows.iter().filter(|row| logbraid_core::Group::is_attributed(row)).count() as u64,
    }
}
