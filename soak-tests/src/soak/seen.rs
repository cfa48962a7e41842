//! What came out of an instance, and whether it is what went in.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use hdrhistogram::Histogram;
use serde::Deserialize;

/// Lines of a request.
pub const REQUEST: u64 = 20;
/// Requests that are open at once.
pub const OPEN: u64 = 50;

/// The request of a line.
pub const fn request(line: u64) -> u64 {
    line / (OPEN * REQUEST) * OPEN + line % OPEN
}

/// The parts of a record that are judged.
#[derive(Debug, Deserialize)]
struct Record<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    id: Option<&'a str>,
    #[serde(default)]
    revision: u32,
    #[serde(default, borrow)]
    message: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    entries: u64,
    #[serde(default)]
    key: Option<Key<'a>>,
}

#[derive(Debug, Deserialize)]
struct Key<'a> {
    value: &'a str,
}

/// Everything that an instance has said.
#[derive(Debug)]
pub struct Seen {
    /// How often each line came out as an entry.
    lines: Vec<u16>,
    /// A hash of each record by its type, id and revision.
    records: BTreeMap<(String, String, u32), u64>,
    /// Entries of each timeline by its request and id: of the newest revision.
    timelines: BTreeMap<u64, BTreeMap<String, (u32, u64)>>,
    /// Records that came again with other bytes.
    changed: u64,
    /// Records that came again, byte for byte.
    repeated: u64,
    /// Lines that a kill cut off.
    torn: u64,
    /// The first records that came again with other bytes.
    pub examples: Vec<String>,
    /// Microseconds from a line's moment to its record, by third of the run.
    pub latency: [Histogram<u64>; 3],
}

/// What is wrong with it, if anything.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// Lines that went in.
    pub lines: u64,
    /// Of those, lines that never came out.
    pub lost: u64,
    /// Lines that came out and never went in.
    pub invented: u64,
    /// Requests whose timelines do not have all their lines, or have more.
    pub requests_wrong: u64,
    /// Requests that went in.
    pub requests: u64,
    /// Records that came again with other bytes.
    pub changed: u64,
    /// Records that came again, byte for byte.
    pub repeated: u64,
    /// Lines that a kill cut off.
    pub torn: u64,
}

impl Verdict {
    /// True when nothing is lost, invented or changed.
    pub const fn holds(&self) -> bool {
        self.lost == 0 && self.invented == 0 && self.requests_wrong == 0 && self.changed == 0
    }
}

/// `text` with a rotated log under the name that it was written under. Whoever starts again after a rotation finds the
/// file under its new name, and says so; the record is the same.
fn as_written(text: &str) -> std::borrow::Cow<'_, str> {
    const LOG: &str = "/app.log";
    if !text.contains("/app.log.") {
        return text.into();
    }
    let mut parts = text.split(LOG);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(LOG);
        let number = part.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        out.push_str(number.unwrap_or(part));
    }
    out.into()
}

impl Seen {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never, with these bounds.
    pub fn new() -> std::io::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, 3_600_000_000, 2).map_err(std::io::Error::other);
        Ok(Self {
            lines: Vec::new(),
            records: BTreeMap::new(),
            timelines: BTreeMap::new(),
            changed: 0,
            repeated: 0,
            torn: 0,
            examples: Vec::new(),
            latency: [histogram()?, histogram()?, histogram()?],
        })
    }

    /// Takes a line of output; the number of the line that it is the entry of.
    pub fn take(&mut self, text: &str) -> Option<u64> {
        let Ok(record) = serde_json::from_str::<Record<'_>>(text) else {
            self.torn += 1;
            return None;
        };
        let mut hasher = DefaultHasher::new();
        as_written(text).hash(&mut hasher);
        let id = record.id?;
        let key = (record.kind.to_owned(), id.to_owned(), record.revision);
        match self.records.insert(key, hasher.finish()) {
            Some(before) if before == hasher.finish() => self.repeated += 1,
            Some(_) => {
                self.changed += 1;
                if self.examples.len() < 3 {
                    self.examples.push(text.chars().take(600).collect());
                }
            }
            None => {}
        }
        match record.kind {
            "entry" => {
                let number: u64 = record.message?.strip_prefix("line ")?.parse().ok()?;
                let at = usize::try_from(number).ok()?;
                if at >= self.lines.len() {
                    self.lines.resize(at + 1, 0);
                }
                self.lines[at] = self.lines[at].saturating_add(1);
                Some(number)
            }
            "timeline" => {
                let request = record.key?.value.strip_prefix("req-")?.parse().ok()?;
                let newest = self.timelines.entry(request).or_default().entry(id.to_owned()).or_default();
                *newest = (*newest).max((record.revision, record.entries));
                None
            }
            _ => None,
        }
    }

    /// How many of the first `lines` lines have not come out yet.
    pub fn missing(&self, lines: u64) -> u64 {
        let there = self.lines.iter().zip(0..lines).filter(|(count, _)| **count > 0).count();
        lines - there as u64
    }

    /// Judges, when `lines` lines went in.
    pub fn judge(&self, lines: u64) -> Verdict {
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        for line in 0..lines {
            *expected.entry(request(line)).or_default() += 1;
        }
        let wrong = expected.iter().filter(|(request, entries)| {
            let told = self.timelines.get(request).into_iter().flatten();
            told.map(|(_, (_, entries))| entries).sum::<u64>() != **entries
        });
        Verdict {
            lines,
            lost: self.missing(lines),
            invented: self
                .lines
                .iter()
                .skip(usize::try_from(lines).unwrap_or(usize::MAX))
                .filter(|n| **n > 0)
                .count() as u64,
            requests_wrong: wrong.count() as u64,
            requests: expected.len() as u64,
            changed: self.changed,
            repeated: self.repeated,
            torn: self.torn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> String {
        format!(r#"{{"type":"entry","id":"e{number}","message":"line {number}"}}"#)
    }

    fn whole() -> std::io::Result<Seen> {
        let mut seen = Seen::new()?;
        for number in 0..OPEN * REQUEST {
            seen.take(&entry(number));
        }
        for request in 0..OPEN {
            seen.take(&format!(
                r#"{{"type":"timeline","id":"t{request}","revision":0,"key":{{"value":"req-{request:06}"}},"entries":20}}"#
            ));
        }
        Ok(seen)
    }

    #[test]
    fn what_is_whole_holds_and_repeats_do_no_harm() {
        let mut seen = whole().expect("these bounds are valid");
        seen.take(&entry(7));
        let verdict = seen.judge(OPEN * REQUEST);
        assert!(verdict.holds(), "{verdict:?}");
        assert_eq!(verdict.repeated, 1);
    }

    #[test]
    fn a_rotated_log_has_the_name_that_it_was_written_under() {
        assert_eq!(as_written(r#"{"input":"/x/app.log.12","line":3}"#), r#"{"input":"/x/app.log","line":3}"#);
        assert_eq!(as_written("nothing"), "nothing");
    }

    #[test]
    fn a_lost_line_a_changed_record_and_a_short_request_do_not_hold() {
        let seen = whole().expect("these bounds are valid");
        assert_eq!(seen.judge(OPEN * REQUEST + 1).lost, 1);
        let mut changed = whole().expect("these bounds are valid");
        changed.take(r#"{"type":"entry","id":"e7","message":"line 7","level":"INFO"}"#);
        assert_eq!(changed.judge(OPEN * REQUEST).changed, 1);
        let mut short = whole().expect("these bounds are valid");
        short.take(r#"{"type":"timeline","id":"t3","revision":1,"key":{"value":"req-000003"},"entries":19}"#);
        assert_eq!(short.judge(OPEN * REQUEST).requests_wrong, 1);
    }
}
