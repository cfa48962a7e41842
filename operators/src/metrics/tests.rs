use insta::assert_snapshot;
use logbraid_core::{Element, EventTime, Finding, FindingKind, Operator};
use proptest::prelude::*;
use serde_json::json;

use super::Metrics;
use crate::testing::{at, built, events, findings, refused, run, shuffled};

fn found(config: serde_json::Value, notation: &str) -> Vec<Finding> {
    let elements = events(notation).into_iter().map(Element::Event).collect();
    findings(run(vec![Box::new(built::<Metrics>(config))], elements))
}

fn told(config: serde_json::Value, notation: &str) -> String {
    let lines =
        found(config, notation).into_iter().map(|Finding { kind, severity, title, evidence, .. }| {
            assert_eq!(kind, FindingKind::MetricAnomaly);
            let evidence: Vec<&str> = evidence.iter().map(|entry| entry.message.as_str()).collect();
            format!("{severity:?} {title} [{}]", evidence.join(", "))
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines of `seconds` seconds, as many in each as `count` says, with a number that `value` says.
fn lines(seconds: u32, count: impl Fn(u32) -> u32, text: impl Fn(u32, u32) -> String) -> Vec<String> {
    (0..seconds)
        .flat_map(|second| {
            let many = count(second);
            (0..many).map(move |n| (second, n, second * 1000 + n * 1000 / many.max(1)))
        })
        .map(|(second, n, ms)| format!("{ms} pay t INFO {}", text(second, n)))
        .collect()
}

fn settings(rates: bool) -> serde_json::Value {
    json!({"bucket": "1s", "history": 10, "min": 5, "rates": rates})
}

#[test]
fn a_number_that_leaves_its_past_is_told_once_with_the_entry_that_shows_it() {
    let took = |second: u32, n: u32| {
        let base = if second == 15 { 4000 } else { 100 };
        format!("done took={}ms", base + n * 3 + second % 4)
    };
    assert_snapshot!(told(settings(false), &lines(20, |_| 10, took).join("|")), @"Medium pay: p50 of took is 4015 ms, usually 113 ms [done took=4030ms]");
}

#[test]
fn a_tail_that_grows_is_seen_though_the_middle_stays() {
    let took =
        |second: u32, n: u32| format!("done took={}ms", if second == 12 && n > 17 { 900 } else { 100 + n });
    assert_snapshot!(told(settings(false), &lines(14, |_| 20, took).join("|")), @"Medium pay: p95 of took is 900 ms, usually 118 ms [done took=900ms]");
}

#[test]
fn units_are_converted_and_series_kept_apart() {
    let text = |second: u32, n: u32| {
        if second == 12 { format!("took=2s size={}KiB", 10 + n) } else { format!("took=9{n}ms size=1{n}kB") }
    };
    assert_snapshot!(told(settings(false), &lines(13, |_| 10, text).join("|")), @"Medium pay: p50 of took is 2000 ms, usually 94 ms [took=2s size=10KiB]");
}

#[test]
fn bursts_and_silence_are_told_where_they_begin() {
    let count = |second: u32| match second {
        12..=14 => 90,
        20..=22 => 0,
        _ => 20 + second % 3,
    };
    let others: Vec<String> = (0..26).map(|second| format!("{} db t INFO other", second * 1000)).collect();
    let all = lines(26, count, |_, _| "tick".to_owned()).join("|") + "|" + &others.join("|");
    assert_snapshot!(told(settings(true), &all), @r"
    Low pay: 90 INFO entries in 1s, usually 21 [tick, tick, tick]
    Medium pay: no INFO entries in 1s, usually 21 []
    ");
    // Where nobody writes, the input is silent; errors are another operator's.
    let alone = told(settings(true), &lines(26, count, |_, _| "tick".to_owned()).join("|"));
    assert_snapshot!(alone, @"Low pay: 90 INFO entries in 1s, usually 21 [tick, tick, tick]");
    let errors = lines(26, count, |_, _| "tick".to_owned()).join("|").replace("INFO", "ERROR");
    assert_eq!(told(settings(true), &errors), "");
}

#[test]
fn few_values_a_short_past_and_small_changes_are_no_anomaly() {
    let took = |second: u32, n: u32| format!("took={}ms", if second == 15 { 4000 } else { 100 + n });
    assert_eq!(told(settings(true), &lines(20, |_| 4, took).join("|")), "");
    let early = |second: u32, n: u32| format!("took={}ms", if second == 7 { 4000 } else { 100 + n });
    assert_eq!(told(settings(true), &lines(20, |_| 10, early).join("|")), "");
    let little = |second: u32, n: u32| format!("took={}ms", if second == 15 { 108 } else { 100 } + n / 9);
    assert_eq!(told(settings(true), &lines(20, |_| 10, little).join("|")), "");
}

#[test]
fn the_past_is_held_and_what_is_forgotten_is_not() {
    let mut operator = built::<Metrics>(settings(true));
    let mut out = logbraid_core::Emit::default();
    assert_eq!(operator.hold(), EventTime::MAX);
    for event in events("60300 pay t INFO took=5ms|60400 pay t INFO took=5ms") {
        operator.on_event(event, &mut out);
    }
    assert_eq!(operator.hold(), at(49_000.0));
    operator.on_watermark(at(62_000.0), &mut out);
    assert_eq!(operator.hold(), at(51_000.0));
    for second in 62..90 {
        operator.on_watermark(at(f64::from(second) * 1000.0), &mut out);
    }
    for event in events("89900 pay t INFO nothing") {
        operator.on_event(event, &mut out);
    }
    operator.on_watermark(at(91_000.0), &mut out);
    for event in events("120000 pay t ERROR no rate") {
        operator.on_event(event, &mut out);
    }
    operator.on_watermark(at(122_000.0), &mut out);
    let mut figures = std::collections::BTreeMap::new();
    operator.metrics(&mut |name, value| {
        figures.insert(name, value);
    });
    assert_eq!((figures["rates"], figures["bytes"]), (0, 0));
}

#[test]
fn named_fields_alone_are_watched() {
    let text = |second: u32, n: u32| format!("took={}ms", if second == 15 { 4000 } else { 100 + n });
    let mut config = settings(false);
    config["fields"] = json!(["latency"]);
    config["messages"] = json!(false);
    assert_eq!(told(config, &lines(20, |_| 10, text).join("|")), "");
}

#[test]
fn settings_out_of_range_are_refused_with_help() {
    assert_snapshot!(refused::<Metrics>(json!({"history": 7})), @"`history` must be from 8 to 1000 buckets (try `30`)");
    assert_snapshot!(refused::<Metrics>(json!({"score": 0.5})), @"`score` must be a number of at least 1 (try `6`)");
}

proptest! {
    #[test]
    fn the_order_of_arrival_within_the_watermark_does_not_matter(
        loads in prop::collection::vec((0_u32..40, 1_u32..2000), 9..16),
        seed in any::<u32>(),
    ) {
        let count = |second: u32| loads[second as usize].0;
        let text = |second: u32, n: u32| format!("took={}ms", loads[second as usize].1 + n);
        let lines = lines(u32::try_from(loads.len()).unwrap(), count, text);
        let one = told(settings(true), &lines.join("|"));
        prop_assert_eq!(told(settings(true), &shuffled(&lines, seed).join("|")), one);
    }
}
