//! `format validate`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Own, advice, compiled, groups};
use crate::count::InOrder;
use crate::{Question, QuestionError, Reply, Window};

/// What to check.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Validate {
    /// A regular expression; without it, the formats of the configuration are checked.
    #[arg(long, short, value_name = "REGEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// That all is well, and what could be better. What is not well is an error.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Valid {
    /// True.
    pub valid: bool,
    /// The regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The names of its groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_groups: Option<Vec<String>>,
    /// The configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// How many formats it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_count: Option<u64>,
    /// The formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formats: Option<InOrder<Own>>,
    /// What could be better.
    pub issues: Vec<String>,
}

impl Question for Validate {
    const NAME: &'static str = "format validate";
    const DOCS: &'static str = include_str!("docs/validate.md");
    type Answer = Valid;

    fn needs_entries(&self) -> bool {
        false
    }

    fn ask(&self, window: &Window) -> Result<Reply<Valid>, QuestionError> {
        let mut answer = Valid {
            valid: true,
            regex: None,
            named_groups: None,
            config_path: None,
            format_count: None,
            formats: None,
            issues: Vec::new(),
        };
        if let Some(regex) = &self.regex {
            let groups = groups(&compiled(regex)?);
            answer.issues = advice(&groups);
            answer.regex = Some(regex.clone());
            answer.named_groups = Some(groups);
            return Ok(Reply::found(answer));
        }
        // Whoever read the configuration has compiled its formats, and told what was wrong.
        let formats = window.formats();
        for (_, custom) in &formats.custom.0 {
            compiled(&custom.regex)?;
        }
        let own: Vec<(String, Own)> =
            formats.custom.0.iter().map(|(name, custom)| (name.clone(), Own::new(custom))).collect();
        if own.is_empty() {
            let what = if formats.file.is_some() {
                "the configuration has no formats"
            } else {
                "there is nothing to check"
            };
            answer.issues.push(format!("{what}: give `--regex`, or a configuration with `parse.custom`"));
        }
        answer.config_path.clone_from(&formats.file);
        answer.format_count = Some(own.len() as u64);
        let found = !own.is_empty();
        answer.formats = Some(InOrder(own));
        Ok(Reply::when(found, answer))
    }
}
