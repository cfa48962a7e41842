//! `sql`: SQLite's SQL over the entries, read-only.

mod columns;
mod engine;
mod faults;
mod moment;
mod plan;
mod table;
#[cfg(test)]
mod tests;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Question, QuestionError, Reply, Window};

/// What to ask in SQL.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct Sql {
    /// One SELECT statement on the table `logs`; `PRAGMA table_info(logs)` lists its columns.
    #[arg(value_name = "SQL")]
    pub query: String,
    /// Most rows that are shown; 0 for all that fit into 16 MiB. What is left out is counted.
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    #[serde(default = "limit_default")]
    pub limit: usize,
    /// Steps of SQLite's machine after which the query is stopped; about 50 million take a second.
    #[arg(long, value_name = "N", default_value_t = STEPS_DEFAULT)]
    #[serde(default = "steps_default")]
    pub max_steps: u64,
}

const LIMIT_DEFAULT: usize = 10_000;
const STEPS_DEFAULT: u64 = 2_000_000_000;

const fn limit_default() -> usize {
    LIMIT_DEFAULT
}

const fn steps_default() -> u64 {
    STEPS_DEFAULT
}

/// The rows.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Rows {
    /// The query.
    pub query: String,
    /// The inputs that were asked.
    pub files: Vec<String>,
    /// How many entries `logs` has.
    pub total_entries: u64,
    /// The names of the columns; those of the same name are told apart by `_2`, `_3`, …
    pub columns: Vec<String>,
    /// How many rows are shown.
    pub row_count: u64,
    /// How many rows there are; absent when the query was stopped before all were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_rows: Option<u64>,
    /// True when not all rows are shown.
    pub truncated: bool,
    /// Entries whose text was asked for and cannot be read any more; it is NULL in their rows.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// The rows, each an object with a key for every column. NULL is null; a blob is the text of its SQL literal.
    pub results: Vec<Map<String, Value>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Question for Sql {
    const NAME: &'static str = "sql";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Rows;

    fn ask(&self, window: &Window) -> Result<Reply<Rows>, QuestionError> {
        let rows = engine::run(self, window)?;
        Ok(Reply::when(rows.row_count > 0, rows))
    }
}
