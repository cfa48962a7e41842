use insta::assert_snapshot;
use logbraid_core::{Element, EventTime, Finding, Operator};
use proptest::prelude::*;
use serde_json::json;

use super::RetryStorm;
use crate::testing::{at, built, events, findings, refused, run, shuffled};

fn told(config: serde_json::Value, notation: &str) -> String {
    let elements = events(notation).into_iter().map(Element::Event).collect();
    let found = findings(run(vec![Box::new(built::<RetryStorm>(config))], elements));
    let lines = found.into_iter().map(|Finding { severity, title, data, .. }| {
        format!("{severity:?} {title} {}", serde_json::Value::Object(data))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn retries(count: u32, every: u32) -> String {
    let lines: Vec<String> = (0..count)
        .map(|n| {
            format!(
                "{} pay t corr=r{} WARN retrying inventory-db:5432, attempt {}",
                n * every,
                n % 9,
                n % 3 + 2
            )
        })
        .collect();
    lines.join("|")
}

#[test]
fn a_storm_names_its_target_and_counts_its_requests() {
    assert_snapshot!(told(json!({}), &retries(23, 100)), @r#"Medium pay: 23 retries of inventory-db:5432 in 10s by 9 requests {"retries":23,"requests":9,"template":"retrying <*>, attempt <*>","window_start":"2024-01-15T10:00:00Z","window_ms":10000,"target":"inventory-db:5432"}"#);
    assert!(told(json!({}), &retries(400, 10)).starts_with("High pay: 400 retries"));
}

#[test]
fn retries_spread_over_time_services_or_kinds_are_no_storm() {
    assert_eq!(told(json!({}), &retries(19, 100)), "");
    assert_eq!(told(json!({}), &retries(100, 600)), "");
    let services: Vec<String> = (0..100).map(|n| format!("{n} s{} t retrying the call", n / 19)).collect();
    assert_eq!(told(json!({}), &services.join("|")), "");
    let kinds: Vec<String> = (0..30).map(|n| format!("{n} a t retry of {}", ["one", "two"][n % 2])).collect();
    assert_eq!(told(json!({}), &kinds.join("|")), "");
}

#[test]
fn the_oldest_open_window_is_held() {
    let mut operator = built::<RetryStorm>(json!({}));
    let mut out = logbraid_core::Emit::default();
    assert_eq!(operator.hold(), EventTime::MAX);
    for event in events("13000 a t retrying | 27000 a t retrying | 28000 a t nothing") {
        operator.on_event(event, &mut out);
    }
    assert_eq!(operator.hold(), at(10_000.0));
    operator.on_watermark(at(20_000.0), &mut out);
    assert_eq!(operator.hold(), at(20_000.0));
    for event in events("19000 a t retrying") {
        operator.on_event(event, &mut out);
    }
    assert_eq!(operator.hold(), at(20_000.0), "a window that was told stays closed");
    let mut late = 0;
    operator.metrics(&mut |name, value| late += if name == "late_total" { value } else { 0 });
    assert_eq!(late, 1);
}

#[test]
fn settings_out_of_range_are_refused_with_help() {
    assert_eq!(refused::<RetryStorm>(json!({"min": 0})), "`min` must be at least 1 (try `20`)");
}

proptest! {
    #[test]
    fn the_order_of_arrival_within_the_watermark_does_not_matter(times in proptest::collection::vec(0..60_000_u32, 0..200), seed in any::<u32>()) {
        let line = |n: usize, time: u32| format!("{time} s{} t corr=r{} retry {n} of db-{}:80", n % 2, n % 7, n % 3);
        let lines: Vec<String> = times.iter().enumerate().map(|(n, time)| line(n, *time)).collect();
        let settings = json!({"min": 5});
        // Ties between equal times go by position in the source, so the law is stated for distinct times.
        let distinct: std::collections::BTreeSet<u32> = times.iter().copied().collect();
        prop_assume!(distinct.len() == times.len());
        let one = told(settings.clone(), &lines.join("|"));
        prop_assert_eq!(told(settings, &shuffled(&lines, seed).join("|")), one);
    }
}
