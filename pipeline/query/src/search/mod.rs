//! `search`: entries by time, level, service, ids and text.

use clap::Args;
use logbraid_index::Texts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Entry, Question, QuestionError, Reply, Select, Window};

/// What to search for.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Search {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Most entries that are shown; 0 for all. What is left out is counted.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// The entries, in the order of time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// How many there are, shown or not.
    pub total_matches: u64,
    /// True when not all of them are shown.
    pub truncated: bool,
    /// Those that are shown.
    pub results: Vec<Entry>,
}

impl Question for Search {
    const NAME: &'static str = "search";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Found;

    fn ask(&self, window: &Window) -> Result<Reply<Found>, QuestionError> {
        let matching = self.select.text()?;
        let filter = self.select.columns(window.filter());
        let mut texts = Texts::new();
        let mut found = Found { total_matches: 0, truncated: false, results: Vec::new() };
        for entry in window.view().scan(&filter) {
            if let Some(matching) = &matching
                && !matching.matches(&mut texts, entry).unwrap_or(false)
            {
                continue;
            }
            found.total_matches += 1;
            if self.limit == 0 || found.results.len() < self.limit {
                if let Ok(entry) = Entry::read(&mut texts, entry, self.select.raw) {
                    found.results.push(entry);
                }
            }
        }
        found.truncated = found.total_matches > found.results.len() as u64;
        Ok(Reply::when(found.total_matches > 0, found))
    }
}
