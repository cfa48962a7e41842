use insta::assert_snapshot;
use logbraid_core::{Chain, Element, EventTime, Operator, Record, Span};
use proptest::prelude::*;
use serde_json::json;

use super::Dedup;
use crate::testing::{at, built, events, ms, refused};

/// What leaves: entries as `ms message`, samples as `count× message first-last`.
fn told(config: serde_json::Value, notation: &str) -> Vec<String> {
    let mut chain = Chain::new(vec![Box::new(built::<Dedup>(config))], true, Span::from_seconds(60));
    let mut elements: Vec<Element> = events(notation).into_iter().map(Element::Event).collect();
    elements.push(Element::Watermark(EventTime::MAX));
    let mut out = Vec::new();
    chain.push(&mut elements, &mut out);
    out.into_iter()
        .filter_map(|due| match due.record {
            Record::Entry(event) => Some(format!("{} {}", ms(event.time()), event.message())),
            Record::Sample(sample) => {
                let repeats = sample.repeats.expect("it has repeats");
                let (first, last) = (ms(repeats.first), ms(repeats.last));
                assert!((sample.weight() - repeats.count as f64).abs() < 1e-9);
                Some(format!("{}× {} {first}–{last}", repeats.count, sample.message))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_first_line_of_an_interval_goes_on_and_the_rest_is_one_record() {
    let log = "0 pay w ERROR db 1 refused|10 pay w ERROR db 2 refused|20 db w ERROR db 3 refused|30 pay w WARN db 4 refused|\
               40 pay w ERROR db 5 refused|50 pay w ERROR another|30000 pay w ERROR db 6 refused|30001 pay w ERROR another";
    assert_snapshot!(told(json!({}), log).join("\n"), @r"
    0 db 1 refused
    20 db 3 refused
    30 db 4 refused
    50 another
    30000 db 6 refused
    30001 another
    2× db 2 refused 10–40
    ");
}

#[test]
fn exact_asks_for_equal_messages() {
    let log = "0 pay w db 1 refused|10 pay w db 2 refused|20 pay w db 1 refused";
    assert_snapshot!(told(json!({"exact": true}), log).join("\n"), @r"
    0 db 1 refused
    10 db 2 refused
    1× db 1 refused 20–20
    ");
}

#[test]
fn lines_whose_interval_has_ended_go_on() {
    let mut operator = built::<Dedup>(json!({"interval": "1s"}));
    let mut out = logbraid_core::Emit::default();
    let folded = |operator: &mut Dedup, notation: &str| {
        events(notation).iter().filter(|event| operator.fold(event)).count()
    };
    assert_eq!(folded(&mut operator, "0 a t refused|10 a t refused"), 1);
    assert_eq!(operator.hold(), at(0.0));
    operator.on_watermark(at(1000.0), &mut out);
    assert_eq!(operator.hold(), EventTime::MAX);
    assert_eq!(operator.bytes, 0);
    assert_eq!(folded(&mut operator, "20 a t refused|30 a t refused"), 0);
}

#[test]
fn nothing_is_hidden_for_want_of_memory() {
    let mut operator = built::<Dedup>(json!({"memory": "1MiB"}));
    let lines: Vec<String> = (0..20_000)
        .map(|n| format!("0 a t {}", "x".repeat(1 + n / 2 % 200) + &"y".repeat(n / 400)))
        .collect();
    let folded = events(&lines.join("|")).iter().filter(|event| operator.fold(event)).count();
    assert!(operator.bytes < (1 << 20) + 4096, "{}", operator.bytes);
    assert!(operator.pressed > 0);
    assert_eq!(folded as u64 + operator.pressed, 10_000);
}

#[test]
fn lines_of_requests_can_be_left_alone() {
    let mut operator = built::<Dedup>(json!({"requests": false}));
    let mut all = events("0 a t refused|1 a t refused|2 a t refused");
    all[1].mark_grouped();
    assert_eq!(all.iter().map(|event| operator.fold(event)).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn settings_out_of_range_are_refused_with_help() {
    assert_snapshot!(refused::<Dedup>(json!({"interval": "0s"})), @"`interval` must be longer than zero (try `30s`)");
}

proptest! {
    /// Nothing is lost from the sum, and no fault is hidden for longer than the interval.
    #[test]
    fn every_line_is_counted_and_has_one_of_its_kind_shortly_before_it(
        times in prop::collection::vec((0_u32..200_000, 0_u8..4), 0..150),
        interval in 1_u32..40,
    ) {
        let mut times = times;
        times.sort_unstable();
        let log: Vec<String> = times.iter().map(|(time, kind)| format!("{time} s{} t fault {kind}x", kind % 2)).collect();
        let out = told(json!({"interval": format!("{interval}s"), "exact": true}), &log.join("|"));
        let mut lines = 0_u64;
        let mut shown: Vec<(u32, u8)> = Vec::new();
        for line in &out {
            if let Some((count, _)) = line.split_once('×') {
                lines += count.parse::<u64>().unwrap();
            } else {
                let mut words = line.split(' ');
                let time: u32 = words.next().unwrap().parse().unwrap();
                let kind: u8 = words.nth(1).unwrap().trim_end_matches('x').parse().unwrap();
                shown.push((time, kind));
                lines += 1;
            }
        }
        prop_assert_eq!(lines, times.len() as u64);
        for (time, kind) in &times {
            let near = |(at, of): &(u32, u8)| of == kind && at <= time && time - at < interval * 1000;
            prop_assert!(shown.iter().any(near), "{} of {} in {:?}", time, kind, out);
        }
    }
}
