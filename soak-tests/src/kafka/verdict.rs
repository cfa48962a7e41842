//! Judges what a stormy fleet wrote against what one calm instance wrote of the same topic.
//!
//! Records are compared as bytes, and remembered as hashes: a million lines make hundreds of megabytes of timelines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use logbraid_core::Id;
use serde::Deserialize;

use super::traffic;

/// What makes a record the same record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    kind: String,
    id: String,
    revision: u32,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    revision: u32,
    key: Option<Key>,
}

#[derive(Deserialize)]
struct Key {
    value: Option<String>,
}

/// One record, in both runs.
#[derive(Debug, Default)]
struct Known {
    calm: Option<Id>,
    storm: Option<Id>,
    /// How often the storm wrote it.
    times: u32,
    changed: bool,
    contradicts: bool,
}

/// Hears both runs.
#[derive(Debug, Default)]
pub struct Judge {
    known: BTreeMap<Name, Known>,
    torn: u64,
    sentinels: BTreeSet<String>,
    wanted: usize,
    examples: Vec<String>,
}

/// How the storm was survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Records of the calm run.
    pub records: usize,
    /// Timelines and findings among them.
    pub kinds: [usize; 2],
    /// Records of the calm run that never came.
    pub lost: u64,
    /// Records that came with other bytes than in the calm run, or twice with different ones.
    pub changed: u64,
    /// Records that the calm run does not have.
    pub invented: u64,
    /// Times that a record came again, byte for byte.
    pub repeated: u64,
    /// Messages that are no record.
    pub torn: u64,
    /// Records of the calm run alone that share a name and differ.
    pub contradictions: u64,
}

impl Judge {
    /// Waits for the sentinels of as many partitions.
    pub fn new(partitions: i32) -> Self {
        Self { wanted: usize::try_from(partitions).unwrap_or(0), ..Self::default() }
    }

    /// Hears a message of the storm.
    pub fn storm(&mut self, value: &[u8]) {
        let Some((name, text)) = self.name(value) else {
            self.torn += 1;
            return;
        };
        let known = self.known.entry(name).or_default();
        known.times += 1;
        match known.storm {
            None => known.storm = Some(text),
            Some(before) => known.changed |= before != text,
        }
    }

    /// Hears a message of the calm run.
    pub fn calm(&mut self, value: &[u8]) {
        let Some((name, text)) = self.name(value) else {
            self.torn += 1;
            return;
        };
        let known = self.known.entry(name).or_default();
        match known.calm {
            None => known.calm = Some(text),
            Some(before) => known.contradicts |= before != text,
        }
    }

    /// True when the sentinel of every partition was heard; begins anew with the next run.
    pub fn is_complete(&self) -> bool {
        self.sentinels.len() >= self.wanted
    }

    /// Forgets which sentinels were heard: another run begins.
    pub fn next_run(&mut self) {
        self.sentinels.clear();
    }

    /// The sentinels that were not heard.
    pub fn missing(&self) -> Vec<String> {
        let all = (0..i32::try_from(self.wanted).unwrap_or(0)).map(traffic::sentinel);
        all.filter(|name| !self.sentinels.contains(name)).collect()
    }

    fn name(&mut self, value: &[u8]) -> Option<(Name, Id)> {
        let text = std::str::from_utf8(value).ok()?;
        let Head { kind, id, revision, key } = serde_json::from_str(text).ok()?;
        if kind == "timeline"
            && let Some(value) = key.and_then(|key| key.value)
            && value.starts_with("sentinel-")
        {
            self.sentinels.insert(value);
        }
        Some((Name { kind, id, revision }, Id::of(&[text])))
    }

    /// Compares both runs.
    pub fn verdict(&mut self) -> Verdict {
        let mut verdict = Verdict { torn: self.torn, ..Verdict::default() };
        self.examples.clear();
        for (name, known) in &self.known {
            let Known { calm, storm, times, changed, contradicts } = known;
            let fault = match (calm, storm) {
                (Some(_), None) => {
                    verdict.lost += 1;
                    "lost"
                }
                (None, _) => {
                    verdict.invented += 1;
                    "invented"
                }
                (Some(calm), Some(storm)) if calm != storm || *changed => {
                    verdict.changed += 1;
                    "changed"
                }
                _ if *contradicts => "contradictory",
                _ => "",
            };
            verdict.contradictions += u64::from(*contradicts);
            if calm.is_some() {
                verdict.records += 1;
                verdict.kinds[0] += usize::from(name.kind == "timeline");
                verdict.kinds[1] += usize::from(name.kind == "finding");
            }
            verdict.repeated += u64::from(times.saturating_sub(1));
            if !fault.is_empty() && self.examples.len() < 8 {
                let Name { kind, id, revision } = name;
                self.examples.push(format!("{fault}: {kind} {id} revision {revision}, came {times} times"));
            }
        }
        verdict
    }

    /// One line for each of the first faults of the last verdict.
    pub fn examples(&self) -> &[String] {
        &self.examples
    }

    /// True for a record that is at fault: its text is worth showing.
    pub fn is_at_fault(&self, value: &[u8]) -> bool {
        let head = std::str::from_utf8(value).ok().and_then(|text| serde_json::from_str::<Head>(text).ok());
        let name = head.map(|Head { kind, id, revision, .. }| Name { kind, id, revision });
        name.and_then(|name| self.known.get(&name))
            .is_some_and(|known| known.calm != known.storm || known.changed || known.contradicts)
    }
}

impl Verdict {
    /// True when the promise of the delivery was kept.
    pub const fn holds(&self, exactly_once: bool) -> bool {
        let Self { records, lost, changed, invented, repeated, torn, contradictions, .. } = *self;
        records > 0
            && lost + changed + invented + torn + contradictions == 0
            && (!exactly_once || repeated == 0)
    }
}

/// The first words of the last line of a test.
#[derive(Debug)]
pub struct Words(pub Verdict, pub bool);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Verdict { lost, changed, repeated, .. }, exactly_once) = self;
        let duplicated = if *exactly_once { *repeated } else { 0 };
        write!(f, "lost={lost} duplicated={duplicated} changed={changed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = br#"{"type":"timeline","id":"a","revision":0,"key":{"value":"sentinel-0"}}"#;
    const B: &[u8] = br#"{"type":"finding","id":"b","revision":1,"key":{"kind":"x"}}"#;
    const OTHER: &[u8] = br#"{"type":"finding","id":"b","revision":1,"key":{"kind":"y"}}"#;

    fn judged(storm: &[&[u8]], calm: &[&[u8]]) -> Verdict {
        let mut judge = Judge::new(1);
        for value in storm {
            judge.storm(value);
        }
        for value in calm {
            judge.calm(value);
        }
        judge.verdict()
    }

    #[test]
    fn a_repeated_record_is_a_fault_only_where_exactly_once_was_promised() {
        let verdict = judged(&[A, B, A], &[A, B]);
        assert!(verdict.holds(false) && !verdict.holds(true), "{verdict:?}");
        assert_eq!(Words(verdict, true).to_string(), "lost=0 duplicated=1 changed=0");
        assert!(judged(&[A, B], &[B, A]).holds(true));
    }

    #[test]
    fn lost_changed_invented_torn_and_contradictory_records_are_faults() {
        assert_eq!(judged(&[A], &[A, B]).lost, 1);
        assert_eq!(judged(&[A, B], &[A]).invented, 1);
        assert_eq!(judged(&[A, OTHER], &[A, B]).changed, 1);
        assert_eq!(judged(&[A, B, OTHER], &[A, B]).changed, 1);
        assert_eq!(judged(&[A, &B[..9]], &[A]).torn, 1);
        assert_eq!(judged(&[A, B], &[A, B, OTHER]).contradictions, 1);
        assert!(!judged(&[], &[]).holds(false), "a run that writes nothing proves nothing");
    }

    #[test]
    fn a_run_is_complete_with_its_last_sentinel() {
        let mut judge = Judge::new(1);
        judge.storm(B);
        assert!(!judge.is_complete());
        judge.storm(A);
        assert!(judge.is_complete());
        judge.next_run();
        assert_eq!(judge.missing(), ["sentinel-0"]);
    }
}
