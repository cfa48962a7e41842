//! A configuration's own tests: lines in, records expected, on a clock that only the test moves.
//!
//! ```yaml
//! tests:
//!   - name: a failed request names its cause
//!     input:
//!       - 2024-01-15T10:00:00Z ERROR [worker-1] request_id=r1 connection refused
//!       - { source: db.log, line: '{"time":"2024-01-15T10:00:01Z","request_id":"r1","msg":"bye"}' }
//!       - { pass: 1m }            # the clock goes on, and nothing comes
//!       - { restart: true }       # as after a crash: from the last commit
//!     expect: [ { type: timeline, outcome: error } ]
//!     expect_none: [ { type: reject } ]
//!     counts: { timelines: 1 }
//! ```

use std::collections::BTreeMap;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{RecordKind, Span};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

pub mod bench;
pub mod matching;
#[cfg(test)]
mod tests;

/// One test of a configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What the test claims.
    pub name: String,
    /// What comes in, in order.
    #[serde(deserialize_with = "steps")]
    #[schemars(with = "Vec<Value>")]
    pub input: Vec<Step>,
    /// Parts of records that must be written, each by a record of its own, in any order. Keys that are not named are not
    /// looked at; of a list, the items named must be there, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Map<String, Value>>,
    /// Parts of records that no record may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_none: Vec<Map<String, Value>>,
    /// How many records of a type must be written, exactly; latest revisions of the same record count once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<RecordKind, usize>,
}

/// The source of lines that name none.
pub const SOURCE: &str = "test.log";

/// One step of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A line comes.
    Line {
        /// The source that it comes from. All sources of a test begin together; one that has not said anything holds
        /// the others back until it counts as idle.
        source: String,
        /// The line, without its end.
        line: String,
    },
    /// The clock goes on, and nothing comes.
    Pass(Span),
    /// logbraid is started again from its last commit.
    Restart,
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Line { source, line } if source == SOURCE => line.serialize(serializer),
            Self::Line { source, line } => json!({ "source": source, "line": line }).serialize(serializer),
            Self::Pass(span) => json!({ "pass": span }).serialize(serializer),
            Self::Restart => json!({ "restart": true }).serialize(serializer),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepMap {
    source: Option<String>,
    line: Option<String>,
    lines: Option<String>,
    pass: Option<Span>,
    restart: Option<bool>,
}

fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    use serde::de::Error as _;
    let mut steps = Vec::new();
    let lines = |source: &str, text: &str, steps: &mut Vec<Step>| {
        steps
            .extend(text.lines().map(|line| Step::Line { source: source.to_owned(), line: line.to_owned() }));
    };
    match Value::deserialize(deserializer)? {
        Value::String(text) => lines(SOURCE, &text, &mut steps),
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(line) => lines(SOURCE, &line, &mut steps),
                    Value::Object(_) => {
                        let map: StepMap = serde_json::from_value(item).map_err(D::Error::custom)?;
                        let source = map.source.as_deref().unwrap_or(SOURCE);
                        match (map.line.or(map.lines), map.pass, map.restart) {
                            (Some(text), None, None) => lines(source, &text, &mut steps),
                            (None, Some(span), None) => steps.push(Step::Pass(span)),
                            (None, None, Some(true)) => steps.push(Step::Restart),
                            _ => return Err(D::Error::custom(STEP)),
                        }
                    }
                    _ => return Err(D::Error::custom(STEP)),
                }
            }
        }
        _ => {
            return Err(D::Error::custom(
                "a test's input is a list of steps, or a text of lines; try `input: [...]`",
            ));
        }
    }
    Ok(steps)
}

const STEP: &str = "a step is a line, `{source: NAME, line: TEXT}`, `{pass: 10s}` or `{restart: true}`; put lines with `: ` or `{` in quotes";

impl TestCase {
    pub(crate) fn check(self) -> Result<Self, ConfigError> {
        ensure(!self.name.is_empty(), "name", "must not be empty; say what the test claims")?;
        let nothing = self.expect.is_empty() && self.expect_none.is_empty() && self.counts.is_empty();
        ensure(!nothing, "expect", "must say something; try `expect: [{type: timeline}]`")?;
        Ok(self)
    }
}

/// What was wrong with one test; empty when all is well.
pub fn run(config: &crate::config::Config, case: &TestCase) -> Result<Vec<String>, ConfigError> {
    Ok(matching::check(case, &bench::records(config, case)?))
}
