//! Rejects belong to no request: nothing that is held brings them back, only the position through which everything was
//! taken in. However often a run is stopped and goes on at its commit, each is told once.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::component::{Context, no_files};
use logbraid_core::progress::{Commit, TimeSettings};
use logbraid_core::{Chain, ClosedBy, EventTime, Fields, Record, Span};
use logbraid_parse::Settings;
use logbraid_runtime::replay::{Feed, Replay};
use proptest::prelude::*;
use serde_json::json;

/// What is no JSON.
const BAD: u8 = 0;

fn replay(feed: &Feed, from: Option<&Commit>) -> Replay {
    let time = TimeSettings { max_delay: Span::from_seconds(1), ..TimeSettings::default() };
    let mut fields = Fields::default();
    let mut context =
        Context { fields: &mut fields, time, carry: Span::ZERO, originals: false, read: no_files };
    let spec = logbraid_operators::OPERATORS.iter().find(|spec| spec.name == "correlate").unwrap();
    let stage = (spec.build)(&json!({ "gap": "20s", "max_span": "60s" }), &mut context).unwrap();
    let chain = Chain::new(vec![stage], false, Span::from_seconds(20));
    let settings: Settings =
        serde_json::from_value(json!({ "formats": "json", "multiline": "off" })).unwrap();
    let parse = Arc::new(settings.compile().unwrap());
    let now = EventTime::from_millis(1_705_400_000_000);
    Replay::new(&parse, &fields, chain, time, std::slice::from_ref(feed), from, now)
}

/// A line a second; some are not JSON. Requests of several lines hold positions far back.
fn feed(kinds: &[u8]) -> Feed {
    let mut text = String::new();
    for (number, kind) in kinds.iter().enumerate() {
        let time = EventTime::from_millis(1_705_312_800_000 + i64::try_from(number).unwrap() * 1000);
        let line = json!({ "time": time.to_string(), "request_id": format!("r{kind}"), "msg": "step" });
        let line = if *kind == BAD { format!("line {number} is no JSON") } else { line.to_string() };
        text.push_str(&line);
        text.push('\n');
    }
    Feed { name: "app.log".to_owned(), bytes: text.into_bytes().into() }
}

fn tally(told: &mut BTreeMap<String, usize>, records: Vec<Record>) {
    for record in records {
        let json = serde_json::to_value(&record).unwrap();
        if json["type"] == "reject" {
            *told.entry(json["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_reject_is_told_once_wherever_a_run_stops(
        kinds in prop::collection::vec(0_u8..4, 1..80), runs in prop::collection::vec(1_usize..30, 0..6),
    ) {
        let feed = feed(&kinds);
        let mut told = BTreeMap::new();
        let mut commit = None;
        for lines in runs {
            let mut run = replay(&feed, commit.as_ref());
            for _ in 0..lines {
                run.read(0, 1);
            }
            tally(&mut told, run.take());
            // Early in a replay, too, what the run before had taken in counts.
            commit = Some(run.commit());
        }
        let mut last = replay(&feed, commit.as_ref());
        while last.read(0, 5) {}
        last.end(ClosedBy::EndOfInput);
        tally(&mut told, last.take());
        prop_assert!(told.values().all(|times| *times == 1), "{told:?}");
        let bad = kinds.into_iter().filter(|kind| *kind == BAD);
        prop_assert_eq!(told.len(), bad.count());
    }
}
