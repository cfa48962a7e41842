//! Rules of correlation, as their file states them.

use std::collections::BTreeMap;

use globset::{Glob, GlobMatcher};
use logbraid_core::Span;
use logbraid_core::reading::Misread;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FILES;
use crate::correlate_events::Condition;
use crate::{Documents, LevelSelect, QuestionError, TextMatch};

/// A file of rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Groups of rules by name.
    pub correlations: BTreeMap<String, Group>,
}

/// Rules that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What they are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// At least one.
    pub rules: Vec<Rule>,
}

/// How entries belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// A field of some entries has the value of a field of others.
    FieldMatch {
        /// Entries of the one side.
        source: Side,
        /// Entries of the other.
        target: Side,
    },
    /// Entries stand within a stretch of time around certain entries.
    Temporal {
        /// Those entries.
        anchor: Anchor,
        /// How far before and after, both ends included.
        window: Span,
    },
}

/// Entries of some files that have a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// A pattern for the name of the file, such as `api*.log`; any file without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_pattern: Option<String>,
    /// The field, such as `correlation_id` or `http.request.id`.
    pub field: String,
}

/// Entries for which all that is given holds; at least one of level, pattern and field is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Anchor {
    /// A pattern for the name of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_pattern: Option<String>,
    /// The level, such as `ERROR` or `warn+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LevelSelect>,
    /// A regular expression for the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A field that the entry has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the field's number must be, such as `>500`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

impl Rules {
    /// The rules of the file at `path`, else of the nearest one above `folder`; and where they came from.
    pub(super) fn attach(
        documents: &mut dyn Documents,
        path: Option<&str>,
        folder: Option<&str>,
    ) -> Result<Option<(String, Self)>, QuestionError> {
        let Some(path) = path.map(str::to_owned).or_else(|| documents.find(folder, &FILES)) else {
            return Ok(None);
        };
        let document = documents.read(&path)?;
        let rules: Self =
            logbraid_core::reading::read(&document).map_err(|Misread { path: place, message }| {
                QuestionError::new("config", format!("`{path}`: `{place}`: {message}"))
                    .help("a rule looks like `{type: temporal, anchor: {level: ERROR}, window: 5s}`")
            })?;
        Ok(Some((path, rules)))
    }

    /// Finds mistakes: groups without rules, anchors without conditions, patterns that are none.
    pub(super) fn check(&self) -> Result<(), QuestionError> {
        for (name, group) in &self.correlations {
            let wrong =
                |what: String| Err(QuestionError::new("config", format!("correlation `{name}`: {what}")));
            if group.rules.is_empty() {
                return wrong("it has no rules".to_owned());
            }
            for rule in &group.rules {
                match rule {
                    Rule::FieldMatch { source, target } => {
                        matcher(source.file_pattern.as_deref())?;
                        matcher(target.file_pattern.as_deref())?;
                    }
                    Rule::Temporal { anchor, window } => {
                        matcher(anchor.file_pattern.as_deref())?;
                        anchor.text()?;
                        if anchor.level.is_none() && anchor.pattern.is_none() && anchor.field.is_none() {
                            return wrong("an anchor needs a level, a pattern or a field".to_owned());
                        }
                        if anchor.condition.is_some() && anchor.field.is_none() {
                            return wrong("a condition needs a field".to_owned());
                        }
                        if *window < Span::ZERO {
                            return wrong(format!("the window must not be negative, found {window}"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn missing(folder: Option<&str>) -> QuestionError {
        let place = folder.map_or_else(|| "the working folder".to_owned(), |folder| format!("`{folder}`"));
        QuestionError::new("usage", format!("there are no rules: no `{}` in {place} or above it", FILES[0]))
            .help("name a file with `--rules FILE`; over HTTP, send the rules as `rules`")
    }
}

impl Anchor {
    pub(super) fn text(&self) -> Result<Option<TextMatch>, QuestionError> {
        self.pattern.as_ref().map(|pattern| TextMatch::new(pattern, false, false, false)).transpose()
    }
}

/// Names of files that a pattern lets through; the folder does not count.
#[derive(Debug)]
pub(super) struct FileMatch {
    glob: Option<GlobMatcher>,
    known: Vec<(usize, bool)>,
}

impl FileMatch {
    /// True when `input` may be.
    pub(super) fn takes(&mut self, input: &str) -> bool {
        let Some(glob) = &self.glob else { return true };
        // One name per source, at one place in memory.
        let at = input.as_ptr() as usize;
        if let Some((_, takes)) = self.known.iter().find(|(known, _)| *known == at) {
            return *takes;
        }
        let name = input.rsplit(['/', '\\']).next().unwrap_or(input);
        let takes = glob.is_match(name);
        if self.known.len() < 64 {
            self.known.push((at, takes));
        }
        takes
    }
}

pub(super) fn matcher(pattern: Option<&str>) -> Result<FileMatch, QuestionError> {
    let glob = pattern
        .map(|pattern| {
            Glob::new(pattern).map_err(|error| {
                QuestionError::new("config", format!("`{pattern}` is no pattern for files: {}", error.kind()))
                    .help("`*` stands for any characters, `?` for one, `{a,b}` for either")
            })
        })
        .transpose()?;
    Ok(FileMatch { glob: glob.map(|glob| glob.compile_matcher()), known: Vec::new() })
}
