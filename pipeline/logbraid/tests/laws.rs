//! The four laws, on the real chain: the cut, the crash, the interleaving, and batch as a stream that ends.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use logbraid_core::component::Context;
use logbraid_core::progress::{Commit, TimeSettings};
use logbraid_core::{Chain, ClosedBy, EventTime, Fields, Span};
use logbraid_parse::Settings;
use logbraid_runtime::replay::{Feed, Replay};
use proptest::prelude::*;

const GAP: Span = Span::from_seconds(5);

fn time() -> TimeSettings {
    TimeSettings {
        max_delay: Span::from_seconds(2),
        idle_after: Span::from_seconds(10),
        allowed_lateness: Span::from_seconds(4),
        tick: Span::from_millis(100),
    }
}

/// What is in the chain.
#[derive(Clone, Copy, Debug)]
enum Chained {
    /// What looks at requests.
    Braid,
    /// What decides which of them are kept.
    Sample,
}

fn settings(chained: Chained) -> Vec<(&'static str, serde_json::Value)> {
    let correlate =
        serde_json::json!({ "gap": GAP, "max_span": "40s", "settle": "500ms", "max_entries": 20 });
    let thread = serde_json::json!({ "carry": "1s" });
    match chained {
        Chained::Sample => vec![
            ("templates", serde_json::json!({ "warm_up": "2s", "window": "5s", "rare_after": "20s" })),
            ("thread", thread),
            ("correlate", correlate),
            ("dedup", serde_json::json!({ "interval": "7s" })),
            (
                "sample",
                serde_json::json!({ "rules": [
                    { "keep": "errors" }, { "keep": "new_template" }, { "keep": "slower_than", "value": "8s" },
                    { "rest": "50%" },
                ] }),
            ),
        ],
        Chained::Braid => vec![
            ("thread", thread),
            ("correlate", correlate),
            ("hierarchy", serde_json::json!({})),
            ("error_flow", serde_json::json!({})),
            ("error_burst", serde_json::json!({ "window": "5s", "min": 3, "history": 4 })),
            ("metrics", serde_json::json!({ "bucket": "1s", "min": 1, "history": 8, "score": 2 })),
            ("retry_storm", serde_json::json!({ "window": "5s", "min": 3 })),
        ],
    }
}

fn replay(chained: Chained, feeds: &[Feed], from: Option<&Durable>) -> Replay {
    let mut fields = Fields::default();
    let settings = settings(chained);
    let spec = |name: &str| logbraid_operators::OPERATORS.iter().find(|spec| spec.name == name).unwrap();
    let originals = settings.iter().any(|(name, _)| spec(name).originals);
    let mut context = Context {
        fields: &mut fields,
        time: time(),
        carry: Span::ZERO,
        originals,
        read: logbraid_core::component::no_files,
    };
    let stages =
        settings.iter().map(|(name, settings)| (spec(name).build)(settings, &mut context).unwrap()).collect();
    let chain = Chain::new(stages, false, Span::from_seconds(20));
    let parse = Arc::new(Settings::default().compile().unwrap());
    let now = EventTime::from_millis(1_705_400_000_000);
    let commit = from.map(|from| &from.commit);
    let mut replay = Replay::new(&parse, &fields, chain, time(), feeds, commit, now);
    if let Some(from) = from {
        assert_eq!(replay.recall(&from.learned), Vec::<&str>::new());
    }
    replay
}

/// What outlasts a crash.
struct Durable {
    commit: Commit,
    learned: BTreeMap<String, String>,
}

/// Every record by id, revision and content.
type Records = BTreeMap<(String, u64), String>;

fn add(records: &mut Records, new: Vec<logbraid_core::Record>) -> Result<(), TestCaseError> {
    for record in new {
        let json = serde_json::to_value(&record).unwrap();
        let id = format!("{} {}", json["type"].as_str().unwrap(), json["id"].as_str().unwrap());
        let revision = json["revision"].as_u64().unwrap_or(0);
        let text = json.to_string();
        if let Some(known) = records.get(&(id.clone(), revision)) {
            prop_assert_eq!(known, &text, "a repeated record differs");
        }
        records.insert((id, revision), text);
    }
    Ok(())
}

fn calm(chained: Chained, feeds: &[Feed], lines: usize) -> Result<Records, TestCaseError> {
    let mut records = Records::new();
    add(&mut records, replay(chained, feeds, None).run(lines))?;
    Ok(records)
}

/// A line of a small world: time since the line before, jitter, request, service, kind.
fn line() -> impl Strategy<Value = (i64, i64, u8, u8, u8)> {
    (0_i64..900, -900_i64..=0, 0_u8..5, 0_u8..3, 0_u8..12)
}

fn feed(name: &str, steps: &[(i64, i64, u8, u8, u8)]) -> Feed {
    let mut now = 0;
    let mut bytes = Vec::new();
    for (step, jitter, request, service, kind) in steps {
        // A pause now and then, so that requests end.
        now += if *step > 850 { 7_000 } else { *step };
        let time = EventTime::from_millis(1_705_312_800_000 + now + jitter);
        let mut line = serde_json::json!({
            "time": time.to_string(), "service": format!("s{service}"), "thread": format!("w{}", request % 3),
        });
        let extra = match kind {
            0 => serde_json::json!({ "trace_id": format!("{:032x}", request + 1), "msg": "looked up 7" }),
            1 => {
                serde_json::json!({ "request_id": format!("r{request}"), "trace_id": format!("{:032x}", request + 1), "msg": "both" })
            }
            2 => {
                serde_json::json!({ "request_id": format!("r{request}"), "span_id": format!("a{service}"), "duration_ms": 40, "msg": "done" })
            }
            3 => {
                serde_json::json!({ "request_id": format!("r{request}"), "level": "ERROR", "msg": "connection refused to db:5432" })
            }
            4 => {
                serde_json::json!({ "request_id": format!("r{request}"), "level": "ERROR", "msg": "failed" })
            }
            5 => serde_json::json!({ "msg": "no id, only the thread knows" }),
            6 => {
                serde_json::json!({ "request_id": format!("r{request}"), "span_id": "b1", "parent_span_id": format!("a{service}"), "msg": "child" })
            }
            7 => serde_json::json!({ "request_id": format!("r{request}"), "msg": "retrying, attempt 2" }),
            8 if !bytes.is_empty() => {
                bytes.extend_from_slice(b"\tat com.shop.Db.query(Db.java:42)\n");
                continue;
            }
            _ => {
                serde_json::json!({ "request_id": format!("r{request}"), "msg": format!("step {request} took={}ms", request * 37 % 11) })
            }
        };
        for (key, value) in extra.as_object().unwrap() {
            line[key] = value.clone();
        }
        bytes.extend_from_slice(line.to_string().as_bytes());
        bytes.push(b'\n');
    }
    Feed { name: name.to_owned(), bytes: bytes.into() }
}

fn world(feeds_max: usize) -> impl Strategy<Value = Vec<Feed>> {
    prop::collection::vec(prop::collection::vec(line(), 1..60), 1..=feeds_max).prop_map(|feeds| {
        feeds.iter().enumerate().map(|(number, steps)| feed(&format!("f{number}.log"), steps)).collect()
    })
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Reads at random, commits at random, dies at random, and goes on from the last commit.
fn stormy(
    chained: Chained,
    feeds: &[Feed],
    seed: u64,
    crashes: usize,
    records: &mut Records,
) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let mut durable: Option<Durable> = None;
    for life in 0..=crashes {
        let mut run = replay(chained, feeds, durable.as_ref());
        let dies_after = if life < crashes { dice.below(30) } else { usize::MAX };
        let mut steps = 0;
        loop {
            if steps == dies_after {
                break;
            }
            steps += 1;
            let open: Vec<usize> = (0..feeds.len()).filter(|feed| !run.is_read(*feed)).collect();
            if open.is_empty() {
                run.end(ClosedBy::EndOfInput);
                add(records, run.take())?;
                return Ok(());
            }
            run.read(open[dice.below(open.len())], 1 + dice.below(6));
            add(records, run.take())?;
            if dice.below(3) == 0 {
                let mut learned = durable.map(|durable| durable.learned).unwrap_or_default();
                let commit = run.commit();
                learned.extend(run.learned().into_iter().map(|(name, text)| (name.to_owned(), text)));
                durable = Some(Durable { commit, learned });
            }
        }
    }
    Ok(())
}

#[test]
fn an_error_on_a_whole_tick_is_told_even_if_the_run_dies_at_a_commit_there() {
    let lines = [
        r#"{"time":"2024-01-15T10:00:00.800Z","service":"a","request_id":"r","level":"ERROR","msg":"refused"}"#,
        // Two seconds later, so that the watermark stands at the error and has not passed it.
        r#"{"time":"2024-01-15T10:00:02.800Z","service":"a","request_id":"r","msg":"later"}"#,
        r#"{"time":"2024-01-15T10:00:05.000Z","service":"a","request_id":"r","msg":"later still"}"#,
        r#"{"time":"2024-01-15T10:00:06.000Z","service":"a","request_id":"r","msg":"the end"}"#,
    ];
    let feeds = [Feed { name: "f.log".to_owned(), bytes: (lines.join("\n") + "\n").into_bytes().into() }];
    let mut whole = Records::new();
    add(&mut whole, replay(Chained::Braid, &feeds, None).run(1)).unwrap();
    for read in 1..lines.len() {
        let mut records = Records::new();
        let mut first = replay(Chained::Braid, &feeds, None);
        first.read(0, read);
        add(&mut records, first.take()).unwrap();
        let durable = Durable { commit: first.commit(), learned: BTreeMap::new() };
        add(&mut records, replay(Chained::Braid, &feeds, Some(&durable)).run(1)).unwrap();
        assert_eq!(whole, records, "killed after {read} lines");
    }
}

fn chained() -> impl Strategy<Value = Chained> {
    prop::sample::select(vec![Chained::Braid, Chained::Sample])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn the_cut_does_not_matter(chained in chained(), feeds in world(1), a in 1_usize..20, b in 1_usize..20) {
        prop_assert_eq!(calm(chained, &feeds, a)?, calm(chained, &feeds, b)?);
    }

    #[test]
    fn a_crash_loses_nothing_and_repeats_only_the_same(chained in chained(), feeds in world(1), seed in any::<u64>(), crashes in 1_usize..5) {
        let calm = calm(chained, &feeds, 1)?;
        let mut records = Records::new();
        stormy(chained, &feeds, seed, crashes, &mut records)?;
        prop_assert_eq!(calm, records);
    }

    #[test]
    fn the_interleaving_does_not_matter(chained in chained(), feeds in world(4), seed in any::<u64>()) {
        let calm = calm(chained, &feeds, 1)?;
        let mut records = Records::new();
        stormy(chained, &feeds, seed, 0, &mut records)?;
        prop_assert_eq!(calm, records);
    }

    #[test]
    fn crashes_and_interleavings_together_lose_nothing(chained in chained(), feeds in world(3), seed in any::<u64>(), crashes in 0_usize..4) {
        let calm = calm(chained, &feeds, 1)?;
        let mut records = Records::new();
        stormy(chained, &feeds, seed, crashes, &mut records)?;
        prop_assert_eq!(calm, records);
    }

    #[test]
    fn a_batch_is_a_stream_that_ends(chained in chained(), feeds in world(2)) {
        let batch = calm(chained, &feeds, 7)?;
        let mut run = replay(chained, &feeds, None);
        let mut stream = Records::new();
        for feed in 0..feeds.len() {
            while run.read(feed, 3) {}
        }
        // Nobody says that the input has ended; silence lets time go on until everything is told.
        run.silence(Span::from_seconds(3600));
        add(&mut stream, run.take())?;
        let told = |records: &Records| -> BTreeMap<(String, u64), String> {
            records
                .iter()
                .map(|(key, text)| (key.clone(), text.replace("\"closed_by\":\"end_of_input\"", "\"closed_by\":\"idle\"")))
                .collect()
        };
        prop_assert_eq!(told(&batch), told(&stream));
    }
}
