//! The dashboard and the alert rules name metrics that `/metrics` really has.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::common::root;
use crate::running::{ENTRIES, Running};

/// Metrics of a run that reads Kafka; this one does not.
const OF_KAFKA: [&str; 1] = ["logbraid_kafka_partition_lag_records"];

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    words.filter(|word| word.starts_with("logbraid_")).map(str::to_owned).collect()
}

/// What `/metrics` shows of a run that has read a request and keeps a window.
fn metrics() -> String {
    let mut running = Running::new("");
    running.send(ENTRIES);
    // What holds commits back is known once the entries have gone down the chain.
    for _ in 0..500 {
        let answer = running.get("/metrics", "");
        if answer.contains("logbraid_held_age_ms") {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nothing is held: {}", running.get("/metrics", ""));
}

#[test]
fn dashboards_and_alerts_name_metrics_that_exist() {
    let known = names(&metrics());
    let kafka = text("pipeline/runtime/src/topology/figures.rs");
    for path in ["configs/grafana/logbraid.json", "configs/prometheus/logbraid.rules.yml"] {
        let named = names(&text(path));
        assert!(named.len() > 5, "{path} names metrics");
        for name in named {
            let of_kafka = OF_KAFKA.contains(&name.as_str())
                && kafka.contains(&format!("\"{}\"", name.trim_start_matches("logbraid_")));
            assert!(known.contains(&name) || of_kafka, "{path}: `{name}` is no metric; there are {known:?}");
        }
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let rules: Value =
        serde_saphyr::from_str(&text("configs/prometheus/logbraid.rules.yml")).expect("it is YAML");
    let rules = rules["groups"][0]["rules"].as_array().expect("there are rules").clone();
    for rule in &rules {
        let name = rule["alert"].as_str().expect("an alert has a name");
        for said in [
            &rule["annotations"]["summary"],
            &rule["annotations"]["description"],
            &rule["labels"]["severity"],
        ] {
            assert!(said.as_str().is_some_and(|text| text.len() > 3), "{name}");
        }
    }
    let board: Value = serde_json::from_str(&text("configs/grafana/logbraid.json")).expect("it is JSON");
    let panels = board["panels"].as_array().expect("there are panels");
    assert!(
        panels
            .iter()
            .all(|panel| panel["targets"][0]["expr"].is_string() && panel["description"].is_string())
    );
}
