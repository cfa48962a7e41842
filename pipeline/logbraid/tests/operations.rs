//! The dashboard and the alert rules name metrics that `/metrics` really has.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Metrics of a run that reads Kafka; this one does not.
const OF_KAFKA: [&str; 1] = ["logbraid_kafka_partition_lag_records"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    words.filter(|word| word.starts_with("logbraid_")).map(str::to_owned).collect()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `/metrics` shows of a run that has read a request and keeps a window.
fn metrics() -> String {
    let folder = tempfile::tempdir().expect("there is room");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port is free")
        .port();
    let config = format!(
        "sources: [stdin: {{}}]\noperators: [thread: {{}}, index: {{}}, correlate: {{}}, hierarchy: {{}}, error_flow: {{}}]\n\
         sinks: [{{file: {{path: out.ndjson}}}}]\nadmin: {{listen: '127.0.0.1:{port}'}}\n"
    );
    std::fs::write(folder.path().join("live.yaml"), config).expect("there is room");
    let child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(["run", "-c", "live.yaml"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut running = Running(child);
    let lines = "2024-01-15T10:00:00Z ERROR [w-1] failed request_id=r1\n2024-01-15T10:01:00Z INFO [w-1] begin request_id=r2\n";
    running
        .0
        .stdin
        .as_mut()
        .expect("stdin is a pipe")
        .write_all(lines.as_bytes())
        .expect("the program reads");
    let mut answer = String::new();
    // What holds commits back is known once the entries have gone down the chain.
    for _ in 0..500 {
        std::thread::sleep(Duration::from_millis(20));
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        answer.clear();
        stream.read_to_string(&mut answer).expect("metrics are text");
        if answer.contains("logbraid_held_age_ms") {
            break;
        }
    }
    answer
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
