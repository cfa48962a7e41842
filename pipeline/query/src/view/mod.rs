//! `view`: entries for people.

pub mod drawing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use clap::Args;
use logbraid_index::{EntryRef, Neighbours, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::drawing::Drawing;
use crate::search::neighbours;
use crate::{Canvas, Entry, Question, QuestionError, Reply, Select, TextMatch, Window, count};

/// What to show.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct View {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Plain text that the message has, in upper or lower case.
    #[arg(long, short = 'g', value_name = "TEXT", conflicts_with = "query")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
    /// Shows the last N entries; all, unless this is said.
    #[arg(long, short = 'n', value_name = "N", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<usize>,
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
    /// Leaves out trace and span ids and other fields, which stand below the message.
    #[arg(long, help_heading = "Results")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
    /// Waits for more and shows it as it comes; on the command line only.
    #[arg(long, short = 'f', help_heading = "Reading")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

/// The entries.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Shown {
    /// How many entries match.
    pub total_matches: u64,
    /// How many of them are shown.
    pub shown: u64,
    /// True when not all of them are shown.
    pub truncated: bool,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "count::is_zero")]
    pub unreadable: u64,
    /// The entries, in the order of time.
    pub entries: Vec<Line>,
}

/// An entry, or a neighbour of one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Line {
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// True for neighbours, which do not match themselves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_context: bool,
}

impl View {
    /// The selection, `--grep` included.
    pub fn selection(&self) -> Select {
        let mut select = self.select.clone();
        if let Some(text) = &self.grep {
            select.query = Some(text.clone());
            select.fixed = true;
            select.ignore_case = true;
        }
        select
    }

    fn around(&self) -> Option<(usize, usize)> {
        let around =
            (self.before_context.unwrap_or(self.context), self.after_context.unwrap_or(self.context));
        (around != (0, 0)).then_some(around)
    }
}

/// Selects entries that come one by one, as from a stream.
#[derive(Debug)]
pub struct Selected {
    select: Select,
    text: Option<TextMatch>,
}

impl Selected {
    /// Fails with the place when a pattern is no regular expression.
    pub fn new(select: Select) -> Result<Self, QuestionError> {
        Ok(Self { text: select.text()?, select })
    }
    /// True when `entry` is selected. Its raw text is needed where `--raw` is asked for.
    pub fn has(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, id: &Option<String>| wanted.is_none() || wanted == id;
        let Select { service, thread, correlation, trace, raw, .. } = &self.select;
        self.select.levels().has(entry.level)
            && (service.is_empty() || entry.service.as_ref().is_some_and(|name| service.contains(name)))
            && is(thread, &entry.thread_id)
            && is(correlation, &entry.correlation_id)
            && is(trace, &entry.trace_id)
            && self.text.as_ref().is_none_or(|text| {
                text.is_match(if *raw { entry.raw.as_deref().unwrap_or_default() } else { &entry.message })
            })
    }
}

impl Question for View {
    const NAME: &'static str = "view";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Shown;

    fn ask(&self, window: &Window) -> Result<Reply<Shown>, QuestionError> {
        if self.follow {
            return Err(QuestionError::new("usage", "`follow` is an option of the command line")
                .help("ask again for what has come since, with `after`"));
        }
        let mut matches: VecDeque<EntryRef<'_>> = VecDeque::new();
        let mut total = 0;
        let most = self.lines.unwrap_or(usize::MAX);
        let mut unreadable = count::each(window, &self.selection(), window.filter(), |entry, _| {
            total += 1;
            if matches.len() == most {
                matches.pop_front();
            }
            if most > 0 {
                matches.push_back(entry);
            }
        })?;
        // What is a neighbour of one and matches itself is no neighbour.
        let mut known = Neighbours::new(window.view());
        let mut lines: BTreeMap<EntryRef<'_>, bool> = BTreeMap::new();
        for entry in &matches {
            if let Some((before, after)) = self.around() {
                let (earlier, later) = neighbours(&mut known, *entry, before, after);
                for other in earlier.into_iter().chain(later) {
                    lines.entry(other).or_insert(true);
                }
            }
        }
        lines.extend(matches.iter().map(|entry| (*entry, false)));
        let mut texts = Texts::new();
        let mut entries = Vec::new();
        for (entry, is_context) in lines {
            match Entry::read(&mut texts, entry, self.select.raw) {
                Ok(entry) => entries.push(Line { entry, is_context }),
                Err(_) => unreadable += 1,
            }
        }
        let shown = entries.iter().filter(|line| !line.is_context).count() as u64;
        let answer = Shown { total_matches: total, shown, truncated: total > shown, unreadable, entries };
        Ok(Reply::when(total > 0, answer))
    }

    fn draw(&self, answer: &Shown, canvas: &mut Canvas) -> bool {
        let mut drawing = Drawing::new(self.plain);
        for line in &answer.entries {
            drawing.fit(&line.entry);
        }
        let mut before: Option<&Line> = None;
        for line in &answer.entries {
            if self.around().is_some() && before.is_some_and(|before| !follows(&before.entry, &line.entry)) {
                canvas.line("--", super::text::Style::dim);
            }
            drawing.entry(&line.entry, line.is_context, canvas);
            before = Some(line);
        }
        if answer.truncated {
            let rest = answer.total_matches - answer.shown;
            let rest = crate::text::counted(rest, "entry before these", "entries before these");
            canvas.line(&format!("… {rest}"), super::text::Style::dim);
        }
        true
    }
}

/// True when `later` is the next line of the same input.
fn follows(earlier: &Entry, later: &Entry) -> bool {
    match (&earlier.source, &later.source) {
        (Some(earlier), Some(later)) => earlier.input == later.input && later.line == earlier.line + 1,
        _ => false,
    }
}
