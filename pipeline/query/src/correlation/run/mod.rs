//! `correlation run`: clusters of entries that rules put together.

mod field_match;
mod temporal;

use clap::Args;
use logbraid_core::{EventTime, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Group, Rule, Rules};
use crate::correlate_events::ClusterEntry;
use crate::{Documents, Question, QuestionError, Reply, Window};

/// Which rules.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Run {
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
    /// Only this group.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Most clusters that are shown of each rule, earliest first; 0 for all. All are counted.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// Most entries that are shown of a cluster; 0 for all. All are counted.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub entries: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            file: None,
            config_dir: None,
            rules: None,
            config_path: None,
            rule: None,
            limit: 10,
            entries: 20,
        }
    }
}

/// Clusters.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Clusters {
    /// Where the rules came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// Inputs that were looked at.
    pub files_searched: u64,
    /// Entries that were looked at.
    pub entries_loaded: u64,
    /// Names of the groups that were applied.
    pub groups_applied: Vec<String>,
    /// Clusters, shown or not.
    pub total_clusters: u64,
    /// Entries in clusters: of each rule, those that are in several count once.
    pub total_entries_correlated: u64,
    /// By group, rule, then time.
    pub clusters: Vec<RuleCluster>,
    /// True when not all clusters, or not all of their entries, are shown.
    pub truncated: bool,
    /// Entries with values that were too many to be compared.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub others: u64,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "crate::count::is_zero")]
    pub unreadable: u64,
}

/// Entries that a rule puts together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RuleCluster {
    /// The same for the same rule and key in every run.
    pub virtual_trace_id: String,
    /// The group of the rule.
    pub group: String,
    /// Which rule of it, counted from 0.
    pub rule: usize,
    /// `field_match` or `temporal`.
    pub rule_type: &'static str,
    /// Its entries.
    pub entry_count: u64,
    /// What they share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_value: Option<String>,
    /// The field of the source entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_field: Option<String>,
    /// The field of the target entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_field: Option<String>,
    /// Source entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_count: Option<u64>,
    /// Target entries. An entry may be both, and then counts once in `entry_count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_count: Option<u64>,
    /// When the anchor was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_timestamp: Option<EventTime>,
    /// The anchor's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_message: Option<String>,
    /// How far around the anchor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// In the order of time: the first, or those nearest to the anchor.
    pub entries: Vec<ClusterEntry>,
}

/// Where a rule stands.
#[derive(Clone, Copy)]
struct At<'q> {
    group: &'q str,
    rule: usize,
}

impl Question for Run {
    const NAME: &'static str = "correlation run";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Clusters;

    fn attach(&mut self, documents: &mut dyn Documents) -> Result<(), QuestionError> {
        let found = Rules::attach(documents, self.file.as_deref(), self.config_dir.as_deref())?;
        if let Some((path, rules)) = found {
            (self.config_path, self.rules) = (Some(path), Some(rules));
        }
        Ok(())
    }

    fn ask(&self, window: &Window) -> Result<Reply<Clusters>, QuestionError> {
        let rules = self.rules.as_ref().ok_or_else(|| Rules::missing(self.config_dir.as_deref()))?;
        rules.check()?;
        let groups = self.groups(rules)?;
        let mut answer = Clusters {
            config_path: self.config_path.clone(),
            files_searched: window.view().inputs().len() as u64,
            entries_loaded: window.view().count(&window.filter()),
            groups_applied: groups.iter().map(|(name, _)| (*name).clone()).collect(),
            total_clusters: 0,
            total_entries_correlated: 0,
            clusters: Vec::new(),
            truncated: false,
            others: 0,
            unreadable: 0,
        };
        for (group, Group { rules, .. }) in groups {
            for (rule, what) in rules.iter().enumerate() {
                let at = At { group, rule };
                match what {
                    Rule::FieldMatch { source, target } => {
                        field_match::run(self, window, at, [source, target], &mut answer)?;
                    }
                    Rule::Temporal { anchor, window: span } => {
                        temporal::run(self, window, at, anchor, *span, &mut answer)?;
                    }
                }
            }
        }
        answer.truncated = (answer.clusters.len() as u64) < answer.total_clusters
            || answer.others > 0
            || answer.clusters.iter().any(|cluster| (cluster.entries.len() as u64) < cluster.entry_count);
        Ok(Reply::when(answer.total_clusters > 0, answer))
    }
}

impl Run {
    fn groups<'q>(&self, rules: &'q Rules) -> Result<Vec<(&'q String, &'q Group)>, QuestionError> {
        let Some(wanted) = &self.rule else { return Ok(rules.correlations.iter().collect()) };
        let found = rules.correlations.get_key_value(wanted).ok_or_else(|| {
            let known: Vec<&str> = rules.correlations.keys().map(String::as_str).collect();
            QuestionError::new("usage", format!("there is no rule `{wanted}`"))
                .help(format!("there are {}", known.join(", ")))
        })?;
        Ok(vec![found])
    }
    const fn shown(limit: usize) -> usize {
        if limit == 0 { usize::MAX } else { limit }
    }
}
