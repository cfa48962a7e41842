//! `format test`.

use clap::Args;
use logbraid_index::Texts;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BUILT_IN, compiled, groups};
use crate::count::{InOrder, is_zero, shortened};
use crate::{Question, QuestionError, Reply, Window};

/// Longest line that is shown, in characters.
const LINE_CHARS: usize = 500;

/// What to test.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Test {
    /// A regular expression with named groups.
    #[arg(long, short, value_name = "REGEX", conflicts_with = "name")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// A format: one that is built in, or one of the configuration.
    #[arg(long, short, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Most lines that are shown; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

impl Default for Test {
    fn default() -> Self {
        Self { regex: None, name: None, limit: 20 }
    }
}

/// How it went.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tested {
    /// The regular expression, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// `inline`, `builtin` or `user_config`.
    pub format_source: &'static str,
    /// The names of its groups.
    pub named_groups: Vec<String>,
    /// Inputs with lines.
    pub files_tested: u64,
    /// Lines that were tested.
    pub total_lines: u64,
    /// Of these, lines that match.
    pub matched_lines: u64,
    /// Their share in percent, to 1 place.
    pub match_rate_percent: f64,
    /// The first lines.
    pub results: Vec<Line>,
    /// True when not all lines are shown.
    pub truncated: bool,
    /// Lines that cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

/// A line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Line {
    /// Its input.
    pub file: String,
    /// Its number, where lines are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub line_number: u64,
    /// Whether it matches.
    pub matched: bool,
    /// What the groups found.
    #[serde(skip_serializing_if = "crate::search::no_values")]
    pub groups: InOrder<String>,
    /// Its first 500 characters.
    pub raw: String,
}

enum How {
    Regex(Regex),
    /// By how the line was understood.
    Understood(String),
}

impl Question for Test {
    const NAME: &'static str = "format test";
    const DOCS: &'static str = include_str!("docs/test.md");
    type Answer = Tested;

    fn ask(&self, window: &Window) -> Result<Reply<Tested>, QuestionError> {
        let (how, regex, format_source) = self.how(window)?;
        let named_groups = match &how {
            How::Regex(regex) => groups(regex),
            How::Understood(_) => Vec::new(),
        };
        let mut tested = Tested {
            regex,
            format_source,
            named_groups,
            files_tested: window.view().inputs().len() as u64,
            total_lines: 0,
            matched_lines: 0,
            match_rate_percent: 0.0,
            results: Vec::new(),
            truncated: false,
            unreadable: 0,
        };
        let mut texts = Texts::new();
        for entry in window.view().scan(&window.filter()) {
            let Ok(raw) = texts.raw(entry) else {
                tested.unreadable += 1;
                continue;
            };
            let line = raw.lines().next().unwrap_or_default();
            let (matched, found) = match &how {
                How::Regex(regex) => found(regex, line),
                How::Understood(name) => (entry.format().name() == name, Vec::new()),
            };
            tested.total_lines += 1;
            tested.matched_lines += u64::from(matched);
            if self.limit == 0 || tested.results.len() < self.limit {
                tested.results.push(Line {
                    file: entry.input().to_owned(),
                    line_number: entry.line(),
                    matched,
                    groups: InOrder(found),
                    raw: shortened(line, LINE_CHARS),
                });
            }
        }
        tested.truncated = tested.total_lines > tested.results.len() as u64;
        let share = tested.matched_lines as f64 / tested.total_lines.max(1) as f64;
        tested.match_rate_percent = (share * 1e3).round() / 10.0;
        Ok(Reply::when(tested.matched_lines > 0, tested))
    }
}

impl Test {
    fn how(&self, window: &Window) -> Result<(How, Option<String>, &'static str), QuestionError> {
        if let Some(regex) = &self.regex {
            return Ok((How::Regex(compiled(regex)?), Some(regex.clone()), "inline"));
        }
        let Some(name) = &self.name else {
            return Err(QuestionError::new("usage", "`format test` needs `--regex` or `--name`")
                .help("try `-r '(?<timestamp>\\S+) (?<message>.*)'`"));
        };
        let custom = &window.formats().custom.0;
        if let Some((_, custom)) = custom.iter().find(|(known, _)| known == name) {
            return Ok((How::Regex(compiled(&custom.regex)?), Some(custom.regex.clone()), "user_config"));
        }
        if BUILT_IN.iter().any(|(known, _)| known == name) {
            return Ok((How::Understood(name.clone()), None, "builtin"));
        }
        let known =
            BUILT_IN.iter().map(|(name, _)| *name).chain(custom.iter().map(|(name, _)| name.as_str()));
        let known: Vec<&str> = known.collect();
        Err(QuestionError::new("usage", format!("there is no format `{name}`"))
            .help(format!("there are {}", known.join(", "))))
    }
}

/// What the groups find, if the expression matches from the line's beginning.
fn found(regex: &Regex, line: &str) -> (bool, Vec<(String, String)>) {
    let Some(captures) =
        regex.captures(line).filter(|found| found.get(0).is_some_and(|all| all.start() == 0))
    else {
        return (false, Vec::new());
    };
    let named = regex.capture_names().flatten();
    let found = named.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())));
    (true, found.collect())
}
