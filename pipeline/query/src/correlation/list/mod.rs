//! `correlation list`: the rules there are.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Rule, Rules};
use crate::{Documents, InOrder, Question, QuestionError, Reply, Window};

/// Which rules.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct List {
    /// The file of rules; by default `.logbraid/correlations.yaml` here or in a folder above.
    #[arg(long = "rules", value_name = "FILE")]
    #[serde(skip)]
    pub file: Option<String>,
    /// The folder to look from.
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    #[serde(skip)]
    pub config_dir: Option<String>,
    /// The rules themselves.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
    /// Where they came from.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
}

/// The rules.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Listed {
    /// Where they came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// Groups by name.
    pub groups: InOrder<ListedGroup>,
}

/// A group.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedGroup {
    /// What its rules are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many rules it has.
    pub rule_count: usize,
    /// Its rules, whole.
    pub rules: Vec<Rule>,
}

impl Question for List {
    const NAME: &'static str = "correlation list";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Listed;

    fn needs_entries(&self) -> bool {
        false
    }

    fn attach(&mut self, documents: &mut dyn Documents) -> Result<(), QuestionError> {
        let found = Rules::attach(documents, self.file.as_deref(), self.config_dir.as_deref())?;
        if let Some((path, rules)) = found {
            (self.config_path, self.rules) = (Some(path), Some(rules));
        }
        Ok(())
    }

    fn ask(&self, _: &Window) -> Result<Reply<Listed>, QuestionError> {
        let rules = self.rules.as_ref().ok_or_else(|| Rules::missing(self.config_dir.as_deref()))?;
        rules.check()?;
        let group = |group: &super::Group| ListedGroup {
            description: group.description.clone(),
            rule_count: group.rules.len(),
            rules: group.rules.clone(),
        };
        let groups = rules.correlations.iter().map(|(name, rules)| (name.clone(), group(rules))).collect();
        let answer = Listed { config_path: self.config_path.clone(), groups: InOrder(groups) };
        Ok(Reply::when(!rules.correlations.is_empty(), answer))
    }
}
