//! What was found lately: the newest findings and closed requests, for those who look at a run from outside.
//!
//! ```text
//!  records ─► BoardSink ─► Board ─► /board, /events (live page, top), resources (mcp)
//! ```
//!
//! A reader keeps nothing but a number: every change has one, and `since` gives what changed after it. A reader that is
//! too slow loses nothing but old changes, and is told how many.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use logbraid_core::group::Phase;
use logbraid_core::record::Millis;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{Group, Id, Record, RecordKind};
use serde_json::{Value, json};

use crate::web::Clients;

/// Findings that are kept.
const FINDINGS_MAX: usize = 1000;
/// Requests that are kept.
const REQUESTS_MAX: usize = 10_000;
/// Bytes that each of both may take.
const BYTES_MAX: usize = 8 << 20;

/// The newest findings and closed requests. Each is kept in its last revision.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    clients: Clients,
}

#[derive(Debug)]
struct State {
    /// The number of the last change.
    last: u64,
    findings: Kept,
    requests: Kept,
}

impl Default for State {
    fn default() -> Self {
        Self { last: 0, findings: Kept::new(FINDINGS_MAX), requests: Kept::new(REQUESTS_MAX) }
    }
}

/// Documents by the number of their last change.
#[derive(Debug)]
struct Kept {
    documents: BTreeMap<u64, (Id, Arc<str>)>,
    numbers: HashMap<Id, u64>,
    bytes: usize,
    max: usize,
    /// The number of the last document that had to leave.
    left: u64,
    left_total: u64,
}

impl Kept {
    fn new(max: usize) -> Self {
        Self { documents: BTreeMap::new(), numbers: HashMap::new(), bytes: 0, max, left: 0, left_total: 0 }
    }

    fn put(&mut self, number: u64, id: Id, document: String) {
        if let Some((_, old)) =
            self.numbers.insert(id, number).and_then(|before| self.documents.remove(&before))
        {
            self.bytes -= old.len();
        }
        self.bytes += document.len();
        self.documents.insert(number, (id, document.into()));
        while self.documents.len() > self.max || self.bytes > BYTES_MAX {
            let Some((number, (id, document))) = self.documents.pop_first() else { return };
            self.bytes -= document.len();
            self.numbers.remove(&id);
            self.left = number;
            self.left_total += 1;
        }
    }

    fn since(&self, number: u64, most: usize) -> Vec<(u64, Arc<str>)> {
        let after = self.documents.range(number.saturating_add(1)..);
        after.take(most).map(|(number, (_, document))| (*number, Arc::clone(document))).collect()
    }
}

/// What changed after some number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Where to go on.
    pub(crate) next: u64,
    /// Findings as JSON, those that changed last at the end.
    pub(crate) findings: Vec<Arc<str>>,
    /// Requests as JSON, in the same order.
    pub(crate) requests: Vec<Arc<str>>,
    /// True when there is more after `next`.
    pub(crate) more: bool,
    /// True when changes after the number have left already.
    pub(crate) gap: bool,
}

impl Changes {
    /// One document.
    pub(crate) fn to_json(&self) -> String {
        let Self { next, more, gap, .. } = self;
        let findings = self.findings.join(",");
        let requests = self.requests.join(",");
        format!(
            "{{\"next\":{next},\"more\":{more},\"gap\":{gap},\"findings\":[{findings}],\"requests\":[{requests}]}}"
        )
    }
    /// True when nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.requests.is_empty()
    }
}

impl Board {
    /// At most about `most` changes after change `number`, the oldest first.
    pub(crate) fn since(&self, number: u64, most: usize) -> Changes {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut findings = state.findings.since(number, most);
        let mut requests = state.requests.since(number, most);
        // Both go as far as the one that was cut first, so that one number says where to go on.
        let cut = |list: &[(u64, Arc<str>)]| (list.len() == most).then(|| list.last().map(|(at, _)| *at));
        let end = [cut(&findings), cut(&requests)].into_iter().flatten().flatten().min();
        if let Some(end) = end {
            findings.retain(|(at, _)| *at <= end);
            requests.retain(|(at, _)| *at <= end);
        }
        let next = end.unwrap_or(state.last).max(number.min(state.last));
        let texts = |list: Vec<(u64, Arc<str>)>| list.into_iter().map(|(_, text)| text).collect();
        Changes {
            next,
            more: next < state.last,
            gap: number > 0 && number < state.findings.left.max(state.requests.left),
            findings: texts(findings),
            requests: texts(requests),
        }
    }

    /// The same of findings alone: requests that left are no gap.
    pub(crate) fn findings_since(&self, number: u64, most: usize) -> Changes {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let findings = state.findings.since(number, most);
        let cut = (findings.len() == most).then(|| findings.last().map(|(at, _)| *at)).flatten();
        let next = cut.unwrap_or(state.last);
        Changes {
            next,
            findings: findings.into_iter().map(|(_, text)| text).collect(),
            requests: Vec::new(),
            more: next < state.last,
            gap: number > 0 && number < state.findings.left,
        }
    }

    /// All findings as JSON, those that changed last first.
    pub(crate) fn findings(&self) -> Vec<Arc<str>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.findings.documents.values().rev().map(|(_, document)| Arc::clone(document)).collect()
    }

    fn add(&self, record: &Record) -> Result<(), SinkError> {
        let text = |value: serde_json::Result<String>| {
            value.map_err(|error| SinkError::Fatal(format!("a record is not JSON: {error}")))
        };
        let (id, document) = match record {
            Record::Finding(finding) => (finding.id, text(serde_json::to_string(finding))?),
            Record::Timeline(group) => (group.id, summary(group).to_string()),
            _ => return Ok(()),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let number = state.last;
        let kept =
            if matches!(record, Record::Finding(_)) { &mut state.findings } else { &mut state.requests };
        kept.put(number, id, document);
        Ok(())
    }

    /// Who is told of changes as they come.
    pub(crate) const fn clients(&self) -> &Clients {
        &self.clients
    }

    fn left(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.findings.left_total + state.requests.left_total
    }
}

/// A request in a few words; its entries are asked for when somebody wants to see them.
fn summary(group: &Group) -> Value {
    let mut line = json!({
        "id": group.id,
        "revision": group.revision,
        "key": group.key,
        "start": group.start(),
        "end": group.end(),
        "duration_ms": Millis(group.duration().millis()),
        "outcome": group.outcome(),
        "services": group.services(),
        "entries": group.entries(),
        "levels": group.levels,
    });
    if let (Phase::Closed(by), Some(line)) = (group.phase, line.as_object_mut()) {
        line.insert("closed_by".to_owned(), json!(by));
    }
    line
}

/// Puts records on a board.
pub(crate) struct BoardSink(pub(crate) Arc<Board>);

impl BoardSink {
    /// The types of records that it looks at.
    pub(crate) const TAKE: [RecordKind; 2] = [RecordKind::Findings, RecordKind::Timelines];
}

impl Sink for BoardSink {
    fn name(&self) -> &'static str {
        "board"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        let added = records.iter().try_for_each(|record| self.0.add(record));
        Box::pin(std::future::ready(added))
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("left", self.0.left());
        report("clients_dropped", self.0.clients.dropped());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: &str, revision: u32) -> Record {
        let key = logbraid_core::Key { kind: "correlation_id".to_owned(), value: value.to_owned() };
        Record::Timeline(Box::new(Group { id: Id::of(&[value]), key, revision, ..Group::default() }))
    }

    fn values(changes: &Changes) -> Vec<String> {
        let text = |document: &Arc<str>| {
            let document: Value = serde_json::from_str(document).expect("documents are JSON");
            format!("{}/{}", document["key"]["value"].as_str().unwrap_or("?"), document["revision"])
        };
        changes.requests.iter().map(text).collect()
    }

    #[test]
    fn a_reader_gets_each_change_once_and_the_last_revision_alone() {
        let board = Board::default();
        for (value, revision) in [("a", 0), ("b", 0), ("a", 1)] {
            board.add(&request(value, revision)).expect("requests are JSON");
        }
        let first = board.since(0, 100);
        assert_eq!(values(&first), ["b/0", "a/1"]);
        assert!(board.since(first.next, 100).is_empty());
        board.add(&request("c", 0)).expect("requests are JSON");
        assert_eq!(values(&board.since(first.next, 100)), ["c/0"]);
    }

    #[test]
    fn what_is_cut_comes_with_the_next_number() {
        let board = Board::default();
        for number in 0..5 {
            board.add(&request(&number.to_string(), 0)).expect("requests are JSON");
        }
        let (mut at, mut seen) = (0, Vec::new());
        loop {
            let changes = board.since(at, 2);
            seen.extend(values(&changes));
            at = changes.next;
            if !changes.more {
                break;
            }
        }
        assert_eq!(seen, ["0/0", "1/0", "2/0", "3/0", "4/0"]);
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_of_the_gap_and_leaving_is_counted() {
        let board = Board::default();
        board.add(&request("first", 0)).expect("requests are JSON");
        let slow = board.since(0, 10).next;
        for number in 0..=REQUESTS_MAX {
            board.add(&request(&number.to_string(), 0)).expect("requests are JSON");
        }
        assert!(board.since(slow, 10).gap);
        assert!(!board.since(0, 10).gap, "who begins has missed nothing");
        assert!(!board.findings_since(slow, 10).gap, "no finding has left");
        assert_eq!(board.left(), 2);
    }
}
