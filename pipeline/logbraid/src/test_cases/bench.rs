//! What a test runs on: the real parser and chain, driven by hand.

use std::sync::Arc;

use logbraid_core::component::ConfigError;
use logbraid_core::{ClosedBy, EventTime, Span};
use logbraid_runtime::replay::{Feed, Replay};
use serde_json::Value;

use super::{Step, TestCase};
use crate::config::Config;
use crate::plan::{Braid, braid};

/// When the clock of a test begins: 2024-01-01T00:00:00Z.
pub const BEGIN: EventTime = EventTime::from_millis(1_704_067_200_000);

/// Runs `case`; the records that were written, in order, as JSON.
pub fn records(config: &Config, case: &TestCase) -> Result<Vec<Value>, ConfigError> {
    let mut names: Vec<&str> = Vec::new();
    for step in &case.input {
        if let Step::Line { source, .. } = step
            && !names.contains(&source.as_str())
        {
            names.push(source);
        }
    }
    let feeds: Vec<Feed> = names.iter().map(|name| feed(name, case)).collect();
    let start = |now, from: Option<&_>| {
        let Braid { parse, fields, chain } = braid(config, None, wants_entries(case))?;
        Ok::<_, ConfigError>(Replay::new(&parse, &fields, chain, config.time, &feeds, from, now))
    };
    let mut now = BEGIN;
    let mut quiet = Span::ZERO;
    let mut replay = start(now, None)?;
    let mut records = Vec::new();
    for step in &case.input {
        match step {
            Step::Line { source, .. } => {
                quiet = Span::ZERO;
                if let Some(at) = names.iter().position(|name| name == source) {
                    replay.read(at, 1);
                }
            }
            Step::Pass(span) => {
                now = now + *span;
                quiet = quiet + *span;
                if quiet >= config.time.idle_after {
                    replay.silence(quiet);
                }
            }
            Step::Restart => {
                records.append(&mut replay.take());
                let commit = replay.commit();
                let before = replay.positions();
                replay = start(now, Some(&commit))?;
                catch_up(&mut replay, &names, &before);
            }
        }
    }
    replay.end(ClosedBy::EndOfInput);
    records.append(&mut replay.take());
    Ok(records.iter().filter_map(|record| serde_json::to_value(record).ok()).collect())
}

fn feed(name: &str, case: &TestCase) -> Feed {
    let mut bytes = Vec::new();
    for step in &case.input {
        if let Step::Line { source, line } = step
            && source == name
        {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
    }
    Feed { name: name.to_owned(), bytes: Arc::from(bytes) }
}

/// Reads again what the commit still needed, all feeds in turn.
fn catch_up(replay: &mut Replay, names: &[&str], before: &std::collections::BTreeMap<String, usize>) {
    loop {
        let mut any = false;
        for (at, name) in names.iter().enumerate() {
            let behind = replay.positions().get(*name) < before.get(*name);
            any |= behind && replay.read(at, 1);
        }
        if !any {
            return;
        }
    }
}

/// Entries leave the chain only when the test speaks of them: a test of findings is not about them.
fn wants_entries(case: &TestCase) -> bool {
    let entry = |part: &serde_json::Map<String, Value>| part.get("type").is_some_and(|kind| kind == "entry");
    case.expect.iter().chain(&case.expect_none).any(entry)
        || case.counts.contains_key(&logbraid_core::RecordKind::Entries)
}
