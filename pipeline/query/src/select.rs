//! Which entries: the options that many questions share.

use clap::Args;
use logbraid_core::Level;
use logbraid_index::{Column, EntryRef, Filter, LevelSet, Term, TextError, Texts};
use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::QuestionError;

/// Options that select entries. Several must all hold; a list holds when one of its values does.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(next_help_heading = "Selection")]
pub struct Select {
    /// Levels, such as `ERROR` or `WARN,ERROR`; `warn+` is WARN and above; `UNKNOWN` is none.
    #[arg(long, value_name = "LEVEL", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub level: Vec<LevelSelect>,
    /// The services that wrote it.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<String>,
    /// The thread, or several, separated by commas.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The correlation or request id, or several.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The trace id, or several.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// A regular expression for the message.
    #[arg(long, short = 'q', value_name = "REGEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Takes `--query` as plain text.
    #[arg(long, requires = "query")]
    #[serde(skip_serializing_if = "is_false")]
    pub fixed: bool,
    /// Lets upper and lower case match each other.
    #[arg(long, short, requires = "query")]
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_case: bool,
    /// Matches `--query` against the whole line instead of the message.
    #[arg(long, requires = "query")]
    #[serde(skip_serializing_if = "is_false")]
    pub raw: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// One level, a level and all above it, or "without a level".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelSelect(pub LevelSet);

/// What `--query` asks of a text.
#[derive(Debug, Clone)]
pub struct TextMatch {
    how: How,
    raw: bool,
}

#[derive(Debug, Clone)]
enum How {
    Plain(Box<Finder<'static>>),
    Regex(Regex),
}

/// A compiled pattern may take at most this much memory.
const REGEX_BYTES_MAX: usize = 10 << 20;

impl TextMatch {
    /// Compiles `pattern`. Fails with the place and a proposal when it is no regular expression.
    pub fn new(pattern: &str, fixed: bool, ignore_case: bool, raw: bool) -> Result<Self, QuestionError> {
        if fixed && !ignore_case {
            return Ok(Self { how: How::Plain(Box::new(Finder::new(pattern.as_bytes()).into_owned())), raw });
        }
        let escaped = if fixed { regex::escape(pattern) } else { pattern.to_owned() };
        let regex =
            RegexBuilder::new(&escaped).case_insensitive(ignore_case).size_limit(REGEX_BYTES_MAX).build();
        let regex = regex.map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            QuestionError::new("query", format!("`{pattern}` is not a regular expression: {why}"))
                .help("escape special characters with `\\`, or use `--fixed` for plain text")
        })?;
        Ok(Self { how: How::Regex(regex), raw })
    }
    /// True when `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.how {
            How::Plain(finder) => finder.find(text.as_bytes()).is_some(),
            How::Regex(regex) => regex.is_match(text),
        }
    }
    /// True when the entry's message (or line) matches.
    pub fn matches<'v>(&self, texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Result<bool, TextError> {
        Ok(self.is_match(if self.raw { texts.raw(entry)? } else { texts.message(entry)? }))
    }
}

impl Select {
    /// The part that columns decide, added to `filter`.
    pub fn columns(&self, mut filter: Filter) -> Filter {
        if !self.level.is_empty() {
            filter = filter.levels(self.level.iter().fold(LevelSet::EMPTY, |set, level| set.or(level.0)));
        }
        if !self.service.is_empty() {
            filter = filter.any_of(self.service.iter().map(|name| Term::new(Column::Service, name)));
        }
        let ids = [
            (Column::Thread, &self.thread),
            (Column::Correlation, &self.correlation),
            (Column::Trace, &self.trace),
        ];
        for (column, id) in ids {
            if let Some(id) = id {
                // A list, or an id that holds commas itself.
                let one_of = id.split(',').chain(id.contains(',').then_some(id.as_str()));
                filter = filter.any_of(one_of.map(|id| Term::new(column, id)));
            }
        }
        filter
    }
    /// The levels that are asked for.
    pub fn levels(&self) -> LevelSet {
        if self.level.is_empty() {
            return LevelSet::ALL;
        }
        self.level.iter().fold(LevelSet::EMPTY, |set, level| set.or(level.0))
    }
    /// True when nothing is left out: no option was given.
    pub fn is_everything(&self) -> bool {
        self.columns(Filter::default()) == Filter::default() && self.query.is_none()
    }
    /// The part that texts decide; none when every text will do.
    pub fn text(&self) -> Result<Option<TextMatch>, QuestionError> {
        let compile = |pattern: &String| TextMatch::new(pattern, self.fixed, self.ignore_case, self.raw);
        self.query.as_ref().map(compile).transpose()
    }
}

impl std::str::FromStr for LevelSelect {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, above) = match text.trim().strip_suffix('+') {
            Some(name) => (name, true),
            None => (text.trim(), false),
        };
        if name.eq_ignore_ascii_case("unknown") {
            return Ok(Self(LevelSet::UNKNOWN));
        }
        let level = logbraid_parse::level_of(name).ok_or_else(|| {
            format!("`{name}` is not a level; there are TRACE, DEBUG, INFO, WARN, ERROR, FATAL and UNKNOWN")
        })?;
        Ok(Self(if above { LevelSet::at_least(level) } else { LevelSet::of(level) }))
    }
}

impl std::fmt::Display for LevelSelect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> =
            Level::ALL.iter().filter(|level| self.0.has(Some(**level))).map(|level| level.name()).collect();
        match names.as_slice() {
            [] => f.write_str("UNKNOWN"),
            [one] => f.write_str(one),
            [first, ..] => write!(f, "{first}+"),
        }
    }
}

impl Serialize for LevelSelect {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LevelSelect {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for LevelSelect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LevelSelect".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "a level, a level and all above it as in `warn+`, or `UNKNOWN`"
        })
    }
}
