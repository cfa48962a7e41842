//! `context`: a line of an input and its neighbours there.

#[cfg(test)]
mod tests;

use clap::Args;
use logbraid_core::Position;
use logbraid_index::{EntryRef, Neighbours, Place, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::is_zero;
use crate::search::neighbours;
use crate::text::Style;
use crate::{Canvas, Entry, Question, QuestionError, Reply, Window};

/// Neighbours on each side, unless something else is asked for.
const AROUND: usize = 10;

/// Which line.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Context {
    /// The input, or `FILE:LINE`.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The line, counted from 1; the offset for Kafka.
    #[arg(value_name = "LINE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Neighbours before and after; 10 each by default.
    #[arg(long, short = 'C', value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// Neighbours before.
    #[arg(long, short = 'B', value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_context: Option<usize>,
    /// Neighbours after.
    #[arg(long, short = 'A', value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_context: Option<usize>,
}

/// How many neighbours were asked for.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Around {
    /// Before the line.
    pub before: usize,
    /// After it.
    pub after: usize,
}

/// The line and its neighbours.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// The input.
    pub file: String,
    /// The line that was asked for.
    pub line_number: u64,
    /// How many neighbours were asked for.
    pub context_lines: Around,
    /// The entry at that line; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Entry>,
    /// Those before it, in the order of the input.
    pub context_before: Vec<Entry>,
    /// Those after it.
    pub context_after: Vec<Entry>,
    /// Entries that could not be shown, because their text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

impl Question for Context {
    const NAME: &'static str = "context";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn inputs(&self) -> Vec<String> {
        // What is wrong with the place is told when it is asked for.
        let file = self.place().map_or_else(|_| self.file.clone(), |(file, _)| file.to_owned());
        vec![file]
    }

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        let (file, line) = self.place()?;
        let around = self.context.unwrap_or(AROUND);
        let context_lines = Around {
            before: self.before_context.unwrap_or(around),
            after: self.after_context.unwrap_or(around),
        };
        let Around { before, after } = context_lines;
        let mut texts = Texts::new();
        let mut unreadable = 0;
        let mut found = Found {
            file: file.to_owned(),
            line_number: line,
            context_lines,
            target: None,
            context_before: Vec::new(),
            context_after: Vec::new(),
            unreadable: 0,
        };
        let Some(input) = input(window, file)? else { return Ok(Reply::when(false, found)) };
        input.clone_into(&mut found.file);
        let mut read = |entries: Vec<EntryRef<'_>>| -> Vec<Entry> {
            let all = entries.len();
            // Each list has texts of its own: neighbours are few.
            let mut texts = Texts::new();
            let list: Vec<Entry> =
                entries.into_iter().filter_map(|entry| Entry::read(&mut texts, entry, true).ok()).collect();
            unreadable += (all - list.len()) as u64;
            list
        };
        let (earlier, later) = if let Some(target) = at(window, &mut texts, input, line) {
            found.target = read(vec![target]).pop();
            neighbours(&mut Neighbours::new(window.view()), target, before, after)
        } else {
            let all = window.view().around(input, Place::Line(line), before, after);
            all.into_iter().partition(|entry| entry.line() < line)
        };
        found.context_before = read(earlier);
        found.context_after = read(later);
        found.unreadable = unreadable;
        Ok(Reply::when(found.target.is_some(), found))
    }

    fn draw(&self, answer: &Found, canvas: &mut Canvas) -> bool {
        let mut shown = |entry: &Entry, mark: &str| {
            let line = entry.source.as_ref().map_or(0, |source| source.line);
            let raw = entry.raw.as_deref().unwrap_or(&entry.message);
            for (at, text) in raw.lines().enumerate() {
                let text = format!("{mark}{:>7}  {text}", line + at as u64);
                canvas.line(&text, |style, text| {
                    if mark == ">" { style.bold(text) } else { style.level(entry.level, text) }
                });
            }
        };
        answer.context_before.iter().for_each(|entry| shown(entry, " "));
        if let Some(target) = &answer.target {
            shown(target, ">");
        }
        answer.context_after.iter().for_each(|entry| shown(entry, " "));
        if answer.target.is_none() {
            let text = format!("{} has no entry at line {}", answer.file, answer.line_number);
            canvas.line(&text, Style::warn);
        }
        true
    }
}

impl Context {
    /// The input and the line.
    fn place(&self) -> Result<(&str, u64), QuestionError> {
        if self.file.is_empty() {
            return Err(
                QuestionError::new("usage", "`context` needs a file").help("try `context app.log 42`")
            );
        }
        let behind = self.file.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line) = match (self.line, behind) {
            (Some(line), _) => (self.file.as_str(), line),
            (None, Some((file, line))) => (file, line),
            (None, None) => {
                return Err(QuestionError::new(
                    "usage",
                    format!("`context` needs a line of `{}`", self.file),
                )
                .help(format!("try `context {} 42`", self.file)));
            }
        };
        Ok((file, line))
    }
}

/// The name of the input that `file` means: its own, or the end of one path only.
fn input<'v>(window: &'v Window, file: &str) -> Result<Option<&'v str>, QuestionError> {
    let inputs = window.view().inputs();
    let label = file.split_once('=').map_or(file, |(_, path)| path);
    if let Some(exact) = inputs.iter().find(|name| **name == file || **name == label) {
        return Ok(Some(exact));
    }
    let end = format!("/{}", file.trim_start_matches("./"));
    let near: Vec<&str> = inputs
        .iter()
        .copied()
        .filter(|name| name.ends_with(&end) || file.ends_with(&format!("/{name}")))
        .collect();
    match near.as_slice() {
        [one] => Ok(Some(one)),
        [] if inputs.is_empty() => Ok(None),
        [] => {
            let shown: Vec<&str> = inputs.iter().copied().take(10).collect();
            Err(QuestionError::new("usage", format!("there is no input `{file}`"))
                .help(format!("there are {}", shown.join(", "))))
        }
        many => Err(QuestionError::new("usage", format!("`{file}` is the end of several inputs"))
            .help(format!("write one of {}", many.join(", ")))),
    }
}

/// The entry at a line (or an offset) of an input, or the one that has this line among its own.
fn at<'v>(window: &'v Window, texts: &mut Texts<'v>, input: &str, line: u64) -> Option<EntryRef<'v>> {
    let view = window.view();
    let near = view.around(input, Place::Line(line), 1, 0);
    if let Some(entry) = near.iter().find(|entry| entry.line() == line && line > 0) {
        return Some(*entry);
    }
    if let Some(entry) = near.iter().find(|entry| entry.line() > 0 && entry.line() < line) {
        let lines = texts.raw(*entry).ok()?.lines().count() as u64;
        return (line < entry.line() + lines).then_some(*entry);
    }
    let offset = view.around(input, Place::Offset(line), 0, 0).into_iter().next()?;
    let counted = matches!(offset.source()?.position, Position::Kafka { .. } | Position::Log);
    (counted && offset.offset() == line).then_some(offset)
}
