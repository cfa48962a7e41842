//! `emit`: entries as lines of JSON.

#[cfg(test)]
mod tests;

use clap::Args;
use logbraid_index::{EntryRef, TextError, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::is_zero;
use crate::exclude::Matching;
use crate::{Entry, Narrow, Question, QuestionError, Reply, Select, Window, Written};

/// Which entries.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Emit {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub narrow: Narrow,
    /// Most entries; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub limit: usize,
    /// The last N, in the order of time.
    #[arg(long, value_name = "N", conflicts_with = "limit")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<usize>,
    /// With the whole line of each entry.
    #[arg(long)]
    pub show_raw: bool,
}

/// What was written.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Emitted {
    /// Entries that match.
    pub total_matches: u64,
    /// Those that were written.
    pub emitted: u64,
    /// Entries that could not be written, because their text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// Their lines.
    #[serde(skip)]
    lines: String,
}

#[derive(Serialize)]
struct Line {
    r#type: &'static str,
    #[serde(flatten)]
    entry: Entry,
}

impl Question for Emit {
    const NAME: &'static str = "emit";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Emitted;

    fn ask(&self, window: &Window) -> Result<Reply<Emitted>, QuestionError> {
        let mut lines = String::new();
        let mut wrong = None;
        let mut emitted =
            self.scan(window, &mut |entry| match serde_json::to_string(&Line { r#type: "entry", entry }) {
                Ok(line) => {
                    lines.push_str(&line);
                    lines.push('\n');
                }
                Err(error) => wrong = Some(format!("an entry is not JSON: {error}")),
            })?;
        emitted.lines = lines;
        match wrong {
            Some(wrong) => Err(QuestionError::new("answer", wrong)),
            None => Ok(Reply::when(emitted.total_matches > 0, emitted)),
        }
    }

    fn written(&self, answer: &Emitted) -> Option<Written> {
        Some(Written { media_type: "application/x-ndjson", text: answer.lines.clone() })
    }
}

impl Emit {
    /// Takes each entry in the order of time, without lines of JSON.
    pub fn each(&self, window: &Window, take: &mut dyn FnMut(Entry)) -> Result<(), QuestionError> {
        self.scan(window, take).map(drop)
    }

    fn scan(&self, window: &Window, take: &mut dyn FnMut(Entry)) -> Result<Emitted, QuestionError> {
        let matching = Matching::new(&self.select, &self.narrow, window.filter())?;
        let view = window.view();
        let mut emitted = Emitted { total_matches: 0, emitted: 0, unreadable: 0, lines: String::new() };
        let mut texts = Texts::new();
        let raw = self.show_raw || self.select.raw;
        if let Some(tail) = self.tail {
            let mut last: Vec<EntryRef<'_>> = Vec::new();
            for entry in view.scan_back(&matching.filter) {
                if emitted.counts(matching.is_match(&mut texts, entry)) && last.len() < tail {
                    last.push(entry);
                }
            }
            for entry in last.into_iter().rev() {
                emitted.give(Entry::read(&mut texts, entry, raw), take);
            }
        } else {
            for entry in view.scan(&matching.filter) {
                if emitted.counts(matching.is_match(&mut texts, entry))
                    && (self.limit == 0 || emitted.emitted < self.limit as u64)
                {
                    emitted.give(Entry::read(&mut texts, entry, raw), take);
                }
            }
        }
        Ok(emitted)
    }
}

impl Emitted {
    /// Counts an entry; true when it is wanted.
    fn counts(&mut self, matched: Result<bool, TextError>) -> bool {
        self.unreadable += u64::from(matched.is_err());
        self.total_matches += u64::from(matched == Ok(true));
        matched == Ok(true)
    }

    fn give(&mut self, entry: Result<Entry, TextError>, take: &mut dyn FnMut(Entry)) {
        match entry {
            Ok(entry) => {
                take(entry);
                self.emitted += 1;
            }
            Err(_) => self.unreadable += 1,
        }
    }
}
