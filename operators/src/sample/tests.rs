use std::collections::BTreeMap;

use logbraid_core::{Element, EventTime, Group, Level, Record, Sample};
use proptest::prelude::*;
use serde_json::json;

use super::SampleRequests;
use crate::correlate::Correlate;
use crate::templates::Templates;
use crate::testing::{at, built, events, refused};

/// What a chain with `sample` lets out, with watermarks after each event that moves time on.
fn told(sample: serde_json::Value, correlate: serde_json::Value, notation: &str) -> Vec<Record> {
    let stages: Vec<Box<dyn logbraid_core::Operator>> = vec![
        Box::new(built::<Templates>(json!({"warm_up": "1s"}))),
        Box::new(built::<Correlate>(correlate)),
        Box::new(built::<SampleRequests>(sample)),
    ];
    let mut elements = Vec::new();
    let mut watermark = EventTime::MIN;
    for event in events(notation) {
        let next = event.time();
        elements.push(Element::Event(event));
        if next > watermark {
            watermark = next;
            elements.push(Element::Watermark(next));
        }
    }
    crate::testing::run(stages, elements)
}

fn samples(records: Vec<Record>) -> Vec<Sample> {
    let sample = |record| if let Record::Sample(sample) = record { Some(*sample) } else { None };
    records.into_iter().filter_map(sample).collect()
}

fn kept(sample: serde_json::Value, notation: &str) -> Vec<String> {
    let text = |sample: &Sample| format!("{} {} ×{}", sample.message, sample.rule, sample.weight());
    samples(told(sample, json!({"gap": "1s", "settle": "0s"}), notation)).iter().map(text).collect()
}

const LOG: &str = "0 api w1 corr=a one|10 api w1 corr=b begin|20 api w1 corr=a ERROR two|30 api w1 corr=b end|\
                   40 api w1 corr=a three|1500 api w1 corr=c slow|2400 api w1 corr=c ms=5000 done";

#[test]
fn every_entry_of_a_request_that_failed_is_kept_and_stands_for_itself() {
    let rules = json!({"rules": [{"keep": "errors"}, {"rest": "0%"}]});
    assert_eq!(kept(rules, LOG), ["one errors ×1", "two errors ×1", "three errors ×1"]);
}

#[test]
fn the_first_rule_that_is_for_a_request_decides() {
    let rules = json!({"rules": [{"keep": "slower_than", "value": "2s"}, {"keep": "match", "value": "^beg"}, {"rest": 0}]});
    let lines = kept(rules, LOG);
    assert_eq!(lines, ["begin match ×1", "end match ×1", "slow slower_than ×1", "done slower_than ×1"]);
    let rules = json!({"rules": [{"keep": "template", "value": "two"}]});
    assert_eq!(kept(rules, LOG).len(), 3);
}

#[test]
fn a_request_with_a_new_template_is_kept() {
    let rules = json!({"rules": [{"keep": "new_template"}]});
    let log = "0 api w1 corr=a hello|2000 api w1 corr=b hello|2010 api w1 corr=b quite something else|5000 api w1 corr=c hello";
    assert_eq!(kept(rules, log), ["hello new_template ×1", "quite something else new_template ×1"]);
}

#[test]
fn the_entries_before_the_first_error_leave_at_once_and_the_rest_follows_once() {
    let records = told(json!({"rules": [{"keep": "errors"}]}), json!({"gap": "1s", "settle": "0s"}), LOG);
    let order: Vec<String> = records
        .iter()
        .filter_map(|record| match record {
            Record::Sample(sample) => Some(sample.message.clone()),
            Record::Timeline(group) => Some(format!("[{}]", group.key.value)),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["one", "two", "three", "[b]", "[a]", "[c]"]);
}

#[test]
fn a_late_entry_of_a_kept_request_is_kept_and_no_entry_twice() {
    let log = "0 api w1 corr=a ERROR one|10 api w1 corr=a two|5000 api w1 corr=z tick|5 api w1 corr=a late|9000 api w1 corr=z tock";
    let lines = kept(json!({"rules": [{"keep": "errors"}]}), log);
    assert_eq!(lines, ["one errors ×1", "two errors ×1", "late errors ×1"]);
}

#[test]
fn a_late_error_makes_a_dropped_request_be_kept_after_all() {
    let log = "0 api w1 corr=a one|10 api w1 corr=a two|5000 api w1 corr=z tick|5 api w1 corr=a ERROR late|9000 api w1 corr=z tock";
    let lines = kept(json!({"rules": [{"keep": "errors"}]}), log);
    assert_eq!(lines, ["one errors ×1", "late errors ×1", "two errors ×1"]);
}

#[test]
fn what_goes_on_after_a_cut_of_a_kept_request_is_kept_too() {
    let mut log = vec!["0 api w1 corr=a ERROR begin".to_owned()];
    log.extend((1..30).map(|n| format!("{} api w1 corr=a go", n * 900)));
    let records = told(
        json!({"rules": [{"keep": "errors"}]}),
        json!({"gap": "1s", "settle": "0s", "max_span": "4s"}),
        &log.join("|"),
    );
    let cuts = records.iter().filter(|record| matches!(record, Record::Timeline(_))).count();
    assert!(cuts > 3, "{cuts}");
    assert_eq!(samples(records).len(), 30);
}

#[test]
fn no_entry_of_a_long_request_leaves_twice_and_none_is_forgotten() {
    // Ten times as long as decisions on closed requests are remembered, and cut twice.
    let log: Vec<String> = (0..100)
        .map(|n| format!("{} api w1 corr=a {}step", n * 20_000, if n == 3 { "ERROR " } else { "" }))
        .collect();
    let records = told(json!({"rules": [{"keep": "errors"}]}), json!({"max_span": "20m"}), &log.join("|"));
    let lines: Vec<u64> = samples(records).iter().map(|sample| sample.source.line).collect();
    assert_eq!(lines, (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_dry_run_drops_nothing_and_says_what_it_would() {
    let rules = json!({"rules": [{"keep": "errors"}, {"rest": 0}], "dry_run": true});
    let samples = samples(told(rules, json!({"gap": "1s"}), LOG));
    assert_eq!(samples.len(), 7);
    assert_eq!(samples.iter().filter(|sample| sample.kept).count(), 3);
    assert!(samples.iter().filter(|sample| !sample.kept).all(|sample| sample.weight().abs() < 1e-9));
}

#[test]
fn entries_without_a_request_are_decided_one_by_one() {
    let rules = json!({"rules": [{"keep": "errors"}, {"rest": 0}]});
    assert_eq!(kept(rules, "0 api - hello|10 api - ERROR alone|20 api - bye"), ["alone errors ×1"]);
}

#[test]
fn probabilities_are_written_as_opentelemetry_does() {
    let log = "0 api - a|1 api - b|2 api - c|3 api - d";
    let shown: Vec<String> = samples(told(json!({"rules": [{"rest": 1.0}]}), json!({}), log))
        .iter()
        .map(Sample::threshold)
        .collect();
    assert_eq!(shown, ["0"; 4]);
    let half: Vec<String> =
        samples(told(json!({"rules": [{"rest": "50%"}], "dry_run": true}), json!({}), log))
            .iter()
            .filter(|sample| sample.kept)
            .map(Sample::threshold)
            .collect();
    assert!(half.iter().all(|threshold| threshold == "8"), "{half:?}");
}

#[test]
fn rules_that_make_no_sense_are_refused_with_help() {
    for (rules, error) in [
        (json!([]), "`rules` must have at least one rule (try `rules: [{keep: errors}, {rest: 1%}]`)"),
        (
            json!([{"rest": "1%"}, {"keep": "errors"}]),
            "`rules.1` is never reached: the rule before it is for everything (write `rest` last)",
        ),
        (
            json!([{"rest": "200%"}]),
            "`rules.0.rest` must be a share from 0 to 1 (write it like `1%` or `0.01`)",
        ),
        (
            json!([{"keep": "slower_than"}]),
            "`rules.0.value` must be a span (try `{keep: slower_than, value: 1s}`)",
        ),
        (
            json!([{"keep": "error"}]),
            "`rules.0.keep`: there is no rule `error` (there are errors, slower_than, template, match, new_template, per_key, all)",
        ),
    ] {
        assert_eq!(refused::<SampleRequests>(json!({"rules": rules})), error);
    }
}

/// Requests as groups: service, level of one entry, and how many entries.
fn requests(count: u32, seed: u32) -> Vec<Group> {
    (0..count)
        .map(|n| {
            let service = ["api", "db", "pay"][(n % 3) as usize];
            let error =
                if (n.wrapping_mul(2_654_435_761) ^ seed).is_multiple_of(20) { "ERROR" } else { "INFO" };
            let mut group = *crate::testing::group(&format!(
                "0 {service} w1 corr=x INFO a|1 {service} w1 corr=x {error} b"
            ));
            group.key.value = format!("req-{seed}-{n}");
            group.id = Group::id_of(&group.key, "", group.start());
            group.due = at(f64::from(n));
            group
        })
        .collect()
}

fn sampled(operator: &mut SampleRequests, requests: Vec<Group>) -> Vec<Sample> {
    let mut chain_out = Vec::new();
    let mut elements: Vec<Element> =
        requests.into_iter().map(|group| Element::Group(Box::new(group))).collect();
    elements.push(Element::Watermark(EventTime::MAX));
    let operator = std::mem::replace(operator, built::<SampleRequests>(json!({})));
    let mut chain =
        logbraid_core::Chain::new(vec![Box::new(operator)], false, logbraid_core::Span::from_seconds(60));
    chain.push(&mut elements, &mut chain_out);
    samples(chain_out.into_iter().map(|due| due.record).collect())
}

#[test]
fn weights_of_a_million_requests_add_up_to_the_true_numbers_by_service_and_level() {
    let key = |service: &str, level: Option<Level>| {
        (service.to_owned(), level.map_or("", |level| level.name()).to_owned())
    };
    let operator = built::<SampleRequests>(json!({"rules": [{"keep": "errors"}, {"rest": "20%"}]}));
    let mut chain =
        logbraid_core::Chain::new(vec![Box::new(operator)], false, logbraid_core::Span::from_seconds(60));
    let mut truth: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut sums: BTreeMap<(String, String), f64> = BTreeMap::new();
    let kinds = requests(3 * 20, 7);
    for thousand in 0..1000_u32 {
        let mut elements = Vec::new();
        for n in 0..1000 {
            let mut group = kinds[(n % 60) as usize].clone();
            group.key.value = format!("req-{thousand}-{n}");
            group.due = at(f64::from(thousand));
            group.id = Group::id_of(&group.key, "", group.start());
            for row in group.rows.iter() {
                *truth.entry(key(group.service(row).unwrap_or_default(), row.level)).or_default() += 1.0;
            }
            elements.push(Element::Group(Box::new(group)));
        }
        elements.push(Element::Watermark(at(f64::from(thousand))));
        let mut due = Vec::new();
        chain.push(&mut elements, &mut due);
        for sample in samples(due.into_iter().map(|due| due.record).collect()) {
            let sum = sums.entry(key(sample.service.as_deref().unwrap_or_default(), sample.level));
            *sum.or_default() += sample.weight();
            assert!(sample.rule != "errors" || (sample.weight() - 1.0).abs() < 1e-12);
        }
    }
    assert!(truth.values().sum::<f64>() > 1_999_999.0 && truth.len() >= 5, "{truth:?}");
    for (key, count) in &truth {
        let sum = sums.get(key).copied().unwrap_or_default();
        let exact = key.1 == "ERROR";
        assert!((sum / count - 1.0).abs() < if exact { 1e-9 } else { 0.01 }, "{key:?}: {sum} of {count}");
    }
}

#[test]
fn a_target_per_key_is_held_whatever_the_traffic() {
    let mut operator =
        built::<SampleRequests>(json!({"rules": [{"keep": "per_key", "value": 10, "by": "service"}]}));
    // 1000 requests a second of three services, for a minute.
    let all = requests(60_000, 3);
    let kept = sampled(&mut operator, all).len() as f64 / 2.0;
    // Three services, ten a second, sixty seconds; the first windows are still learning.
    assert!((1_200.0..4_000.0).contains(&kept), "{kept}");
}

proptest! {
    /// The same requests are kept by one instance and by several that share them.
    #[test]
    fn shards_decide_as_one_would(seed in any::<u32>(), shards in 2_usize..6) {
        let config = json!({"rules": [{"keep": "errors"}, {"keep": "match", "value": "b", "rate": "50%"}, {"rest": "10%"}]});
        let all = requests(300, seed);
        let ids = |samples: Vec<Sample>| {
            let mut ids: Vec<(String, u64)> = samples
                .into_iter()
                .map(|sample| (sample.key.clone().map(|key| key.value).unwrap_or_default(), sample.weight().to_bits()))
                .collect();
            ids.sort();
            ids
        };
        let whole = ids(sampled(&mut built::<SampleRequests>(config.clone()), all.clone()));
        let mut parts = Vec::new();
        for shard in 0..shards {
            let mine = all.iter().enumerate().filter(|(n, _)| n % shards == shard).map(|(_, group)| group.clone()).collect();
            parts.extend(ids(sampled(&mut built::<SampleRequests>(config.clone()), mine)));
        }
        parts.sort();
        prop_assert_eq!(whole, parts);
    }

    /// Σ weight is the true number, whatever the rates; of errors it is so exactly.
    #[test]
    fn weights_add_up_at_any_rate(seed in any::<u32>(), percent in 5_u32..100) {
        let all = requests(3000, seed);
        let of = |error: bool, samples: &[Sample]| -> f64 {
            let mine = samples.iter().filter(|sample| (sample.rule == "errors") == error);
            mine.map(Sample::weight).sum()
        };
        let failed = all.iter().filter(|group| group.levels.errors() > 0).map(|group| group.rows.len()).sum::<usize>();
        let config = json!({"rules": [{"keep": "errors"}, {"rest": format!("{percent}%")}]});
        let samples = sampled(&mut built::<SampleRequests>(config), all);
        prop_assert!((of(true, &samples) - failed as f64).abs() < 1e-9);
        // Five standard deviations of so many draws, two entries each.
        let (others, share) = ((6000 - failed) as f64, f64::from(percent) / 100.0);
        let deviation = 2.0 * (others / 2.0 * (1.0 - share) / share).sqrt();
        let sum = of(false, &samples);
        prop_assert!((sum - others).abs() <= 5.0 * deviation + 1e-6, "{} of {}", sum, others);
    }
}
