//! Which entries not: what questions that list entries take beside what they select.

use clap::Args;
use logbraid_core::{Id, Level};
use logbraid_index::{Column, EntryRef, Filter, LevelSet, Term, TextError, Texts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LevelSelect, QuestionError, Select, TextMatch};

/// Options that narrow a selection further.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(next_help_heading = "Selection")]
pub struct Narrow {
    /// Levels to leave out, such as `DEBUG,TRACE`.
    #[arg(long, value_name = "LEVEL", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_level: Vec<LevelSelect>,
    /// A regular expression for messages to leave out; `--fixed`, `--ignore-case` and `--raw` hold for it, too.
    #[arg(long, value_name = "REGEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_query: Option<String>,
    /// The span.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
    /// Any id: a thread, a request, a trace, a span or its parent.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id: Vec<String>,
    /// Templates, as answers name them: 16 hexadecimal digits.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub template: Vec<String>,
    /// Inputs by name, such as a file's path.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<String>,
}

/// A selection, ready to be asked of entries.
#[derive(Debug)]
pub(crate) struct Matching {
    /// What columns decide.
    pub(crate) filter: Filter,
    want: Option<TextMatch>,
    refuse: Option<TextMatch>,
}

impl Matching {
    /// `select`, narrowed.
    pub(crate) fn new(select: &Select, narrow: &Narrow, filter: Filter) -> Result<Self, QuestionError> {
        let mut filter = select.columns(filter);
        if !narrow.exclude_level.is_empty() {
            let out = |level| narrow.exclude_level.iter().any(|exclude| exclude.0.has(level));
            let wanted = select.levels();
            let known = Level::ALL.into_iter().filter(|level| wanted.has(Some(*level)) && !out(Some(*level)));
            let mut levels: LevelSet = known.collect();
            if wanted.has(None) && !out(None) {
                levels = levels.or(LevelSet::UNKNOWN);
            }
            filter = filter.levels(levels);
        }
        if let Some(span) = &narrow.span {
            filter = filter.is(Column::Span, span);
        }
        if !narrow.id.is_empty() {
            filter = filter.any_of(narrow.id.iter().flat_map(|id| Term::any_id(id)));
        }
        if !narrow.template.is_empty() {
            let ids: Result<Vec<Id>, QuestionError> =
                narrow.template.iter().map(|text| template(text)).collect();
            filter = filter.templates(ids?);
        }
        if !narrow.input.is_empty() {
            filter = filter.inputs(narrow.input.iter().cloned());
        }
        let compile =
            |pattern: &String| TextMatch::new(pattern, select.fixed, select.ignore_case, select.raw);
        let refuse = narrow.exclude_query.as_ref().map(compile).transpose()?;
        Ok(Self { filter, want: select.text()?, refuse })
    }
    /// True when columns decide alone.
    pub(crate) const fn is_columns(&self) -> bool {
        self.want.is_none() && self.refuse.is_none()
    }
    /// True when the entry's text is wanted; columns are not looked at.
    pub(crate) fn is_match<'v>(&self, texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Result<bool, TextError> {
        if let Some(want) = &self.want
            && !want.matches(texts, entry)?
        {
            return Ok(false);
        }
        match &self.refuse {
            Some(refuse) => Ok(!refuse.matches(texts, entry)?),
            None => Ok(true),
        }
    }
    /// The entries of `view` that match, in no particular order, and how many could not be judged, because their text
    /// cannot be read any more.
    pub(crate) fn entries<'v>(&self, view: &'v logbraid_index::View) -> (Vec<EntryRef<'v>>, u64) {
        if self.is_columns() {
            return (view.scan_stored(&self.filter).collect(), 0);
        }
        let mut texts = Texts::new();
        let mut unreadable = 0;
        let mut found = Vec::new();
        for entry in view.scan_stored(&self.filter) {
            match self.is_match(&mut texts, entry) {
                Ok(true) => found.push(entry),
                Ok(false) => {}
                Err(_) => unreadable += 1,
            }
        }
        (found, unreadable)
    }
}

fn template(text: &str) -> Result<Id, QuestionError> {
    u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16).map(Id).ok_or_else(|| {
        QuestionError::new("usage", format!("`--template`: `{text}` is not the id of a template"))
            .help("it has 16 hexadecimal digits; `logbraid templates` lists them")
    })
}
