//! Compares what came out of a stormy run with what came out of a calm one.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// What makes a record the same record: its type, id and revision.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    revision: u32,
}

/// The records of the calm run.
#[derive(Debug, Default)]
pub struct Calm {
    records: BTreeMap<Key, String>,
}

/// What the stormy run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records of the calm run.
    pub records: usize,
    /// Of those, records that never came.
    pub lost: usize,
    /// Records that came with other bytes than in the calm run.
    pub changed: usize,
    /// Records that the calm run does not have.
    pub invented: usize,
    /// Records that came again, byte for byte.
    pub repeated: usize,
    /// Lines that a kill cut off.
    pub torn: usize,
    /// One example of each fault.
    pub examples: Vec<String>,
}

impl Verdict {
    /// True when nothing is lost, changed or invented.
    pub const fn holds(&self) -> bool {
        self.lost == 0 && self.changed == 0 && self.invented == 0
    }
    fn example(&mut self, what: &str, line: &str) {
        if self.examples.len() < 6 {
            let line: String = line.chars().take(400).collect();
            self.examples.push(format!("{what}: {line}"));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, lost, changed, invented, repeated, torn, .. } = self;
        write!(
            f,
            "lost={lost} changed={changed} invented={invented} records={records} repeated={repeated} torn={torn}"
        )
    }
}

fn key(line: &str) -> Option<Key> {
    serde_json::from_str(line).ok()
}

impl Calm {
    /// Learns the calm run's output. Lines without an id, such as counters, are left out.
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let records = lines.into_iter().filter_map(|line| Some((key(line)?, line.to_owned()))).collect();
        Self { records }
    }
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// Judges the stormy run's output.
    pub fn judge<'a>(&self, lines: impl IntoIterator<Item = &'a str>) -> Verdict {
        let mut verdict = Verdict { records: self.records.len(), ..Verdict::default() };
        let mut seen: BTreeMap<Key, u64> = BTreeMap::new();
        for line in lines {
            let Some(key) = key(line) else {
                // Counters have no id; anything else that is no record was cut off.
                if !line.starts_with("{\"type\":\"stats\"") {
                    verdict.torn += 1;
                }
                continue;
            };
            match self.records.get(&key) {
                None => {
                    verdict.invented += 1;
                    verdict.example("invented", line);
                }
                Some(calm) if calm != line => {
                    verdict.changed += 1;
                    verdict.example("calm", calm);
                    verdict.example("changed", line);
                }
                Some(_) => {
                    let times = seen.entry(key).or_insert(0);
                    verdict.repeated += usize::from(*times > 0);
                    *times += 1;
                }
            }
        }
        for (key, line) in &self.records {
            if !seen.contains_key(key) {
                verdict.lost += 1;
                verdict.example("lost", line);
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = r#"{"type":"timeline","id":"a","revision":0,"entries":2}"#;
    const B: &str = r#"{"type":"finding","id":"b","revision":1}"#;

    #[test]
    fn repeated_and_torn_lines_are_no_fault() {
        let verdict = Calm::new([A, B]).judge([A, &B[..9], A, B, r#"{"type":"stats","in":3}"#]);
        assert!(verdict.holds());
        assert_eq!((verdict.repeated, verdict.torn), (1, 1));
    }

    #[test]
    fn lost_changed_and_invented_records_are() {
        let other = A.replace('2', "3");
        let verdict = Calm::new([A, B]).judge([other.as_str(), r#"{"type":"timeline","id":"c"}"#]);
        assert_eq!((verdict.lost, verdict.changed, verdict.invented), (2, 1, 1));
    }
}
