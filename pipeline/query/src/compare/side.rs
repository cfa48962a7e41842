//! One side of a comparison.

use logbraid_core::record::Millis;
use logbraid_core::template::template_id;
use logbraid_core::{EventTime, Group, Id, Level, Row};
use schemars::JsonSchema;
use serde::Serialize;

use crate::IdKind;
use crate::count::{ByLevel, is_zero, shortened};
use crate::hierarchy::node::known;
use crate::request::Request;

/// Steps that are listed.
const STEPS_MAX: usize = 200;
/// Characters of a step that are shown.
const STEP_CHARS: usize = 80;
/// Errors that are listed.
const ERRORS_MAX: usize = 20;

/// A request of a comparison.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Side {
    /// The id that was asked for.
    pub id: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<IdKind>,
    /// True when an entry carries it.
    pub found: bool,
    /// Its entries.
    pub entry_count: u64,
    /// Of these, at ERROR or FATAL.
    pub error_count: u64,
    /// From the first entry to the last.
    #[schemars(with = "Option<f64>")]
    pub duration_ms: Option<Millis>,
    /// `success`, `error` or `not_found`.
    pub outcome: &'static str,
    /// Entries by level.
    pub levels: ByLevel,
    /// Services in the order in which they came in.
    pub services: Vec<String>,
    /// Different kinds of messages.
    pub unique_messages: usize,
    /// Its errors; at most 20 are listed, `error_count` has all.
    pub errors: Vec<Failure>,
    /// Its messages in the order of time, the first 80 characters of each; at most 200.
    pub steps: Vec<String>,
    /// Steps beyond those.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_steps: u64,
    /// The kinds of its messages, by which steps are compared: numbers and ids in them do not count.
    #[serde(skip)]
    pub(super) patterns: Vec<Id>,
    #[serde(skip)]
    pub(super) truncated: bool,
}

/// An error.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Failure {
    /// What it says.
    pub message: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// Who says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its input.
    pub file: String,
    /// Its line, where lines are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub line_number: u64,
}

/// An entry's message without its own ids: those are different in every request.
pub(super) fn unnamed(group: &Group, row: &Row) -> String {
    let ids = [row.correlation, row.trace, row.span, row.parent_span, row.thread];
    let mut message = group.message(row).to_owned();
    for id in ids.into_iter().filter_map(|id| group.get(id)) {
        message = without(&message, id);
    }
    message
}

/// `text` with `<*>` wherever `id` stands as a word.
pub(super) fn without(text: &str, id: &str) -> String {
    if id.is_empty() || !text.contains(id) {
        return text.to_owned();
    }
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, found) in text.match_indices(id) {
        let before = text[..at].chars().next_back().is_some_and(part_of_word);
        let after = text[at + found.len()..].chars().next().is_some_and(part_of_word);
        if !before && !after {
            out.push_str(&text[done..at]);
            out.push_str("<*>");
            done = at + found.len();
        }
    }
    out.push_str(&text[done..]);
    out
}

impl Side {
    pub(super) fn of(id: &str, request: Option<&Request<'_>>) -> Self {
        let mut side = Self {
            id: id.to_owned(),
            r#type: None,
            found: false,
            entry_count: 0,
            error_count: 0,
            duration_ms: None,
            outcome: "not_found",
            levels: ByLevel::default(),
            services: Vec::new(),
            unique_messages: 0,
            errors: Vec::new(),
            steps: Vec::new(),
            more_steps: 0,
            patterns: Vec::new(),
            truncated: false,
        };
        let Some(request) = request else { return side };
        let group = &request.group;
        side.found = true;
        side.r#type = Some(request.kind);
        side.entry_count = request.total;
        side.error_count = group.levels.errors();
        side.outcome = if side.error_count > 0 { "error" } else { "success" };
        side.services = group.services().into_iter().map(str::to_owned).collect();
        let span = known(group.start()).zip(known(group.end()));
        side.duration_ms = span.map(|(start, end)| Millis(end.since(start).millis()));
        for row in group.rows.iter() {
            side.levels.add(row.level);
            side.patterns.push(template_id(&unnamed(group, row)));
        }
        let mut kinds = side.patterns.clone();
        kinds.sort_unstable();
        kinds.dedup();
        side.unique_messages = kinds.len();
        side.steps = group
            .rows
            .iter()
            .take(STEPS_MAX)
            .map(|row| shortened(group.message(row).lines().next().unwrap_or_default(), STEP_CHARS))
            .collect();
        side.more_steps = request.total.saturating_sub(side.steps.len() as u64);
        side.errors = group
            .rows
            .iter()
            .filter(|row| row.level.is_some_and(Level::is_error))
            .take(ERRORS_MAX)
            .map(|row| Failure {
                message: group.message(row).to_owned(),
                timestamp: known(row.time),
                service: group.service(row).map(str::to_owned),
                file: group.source(row).map(|source| source.name.clone()).unwrap_or_default(),
                line_number: row.line,
            })
            .collect();
        side.truncated = side.more_steps > 0 || side.error_count > side.errors.len() as u64;
        side
    }
}
