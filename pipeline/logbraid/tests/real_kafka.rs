//! The binary on Apache Kafka itself, where Java and Maven are found: what cannot work is said, and a fleet that is killed
//! keeps its promises. Elsewhere these tests say by name that they are skipped.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use logbraid_soak::kafka::broker::{Cluster, GUEST_PASSWORD, missing};
use logbraid_soak::kafka::fleet::{Delivery, Protocol};
use logbraid_soak::kafka::storm::{self, Options};
use logbraid_soak::process;

const BINARY: &str = env!("CARGO_BIN_EXE_logbraid");

fn say(text: &str) {
    let _said = writeln!(std::io::stderr(), "{text}");
}

fn skipped(test: &str) -> bool {
    let Some(why) = missing() else { return false };
    say(&format!("skipped: {test}: {why}"));
    true
}

/// Runs the binary with a source and a sink that are read from `source` and `sink`; returns its exit code and what it
/// said. It has 15 seconds, then it is ended.
fn refused(folder: &Path, source: &str, sink: &str) -> (Option<i32>, String) {
    let config = folder.join("run.yaml");
    fs::write(&config, format!("sources:\n  - kafka: {source}\nsinks:\n  - {sink}\n")).unwrap();
    let errors = folder.join("stderr");
    let mut command = Command::new(BINARY);
    command.arg("run").arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
    let status = process::wait(&mut child, Duration::from_secs(15)).unwrap();
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = fs::read_to_string(&errors).unwrap();
    say(&said);
    (status.and_then(|status| status.code()), said)
}

#[test]
fn what_cannot_work_ends_with_2_and_says_how_to_mend_it() {
    if skipped("what_cannot_work_ends_with_2_and_says_how_to_mend_it") {
        return;
    }
    let cluster = Cluster::start(1).unwrap();
    cluster.create_topic("app-logs", 1, &[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (open, sasl) = (cluster.brokers(), cluster.sasl_brokers());
    let login = |user: &str, password: &str| {
        format!(
            "properties: {{ security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, sasl.username: {user}, \
             sasl.password: '{password}' }}"
        )
    };
    let guest = login("guest", GUEST_PASSWORD);
    let stdout = "stdout: {}";
    let source = |brokers: &str, topic: &str, more: &str| {
        format!("{{ brokers: '{brokers}', topics: ['{topic}'], group: g, membership: dynamic{more} }}")
    };
    let works = source(&open, "app-logs", "");
    // Port 1 of the loopback interface: nobody listens.
    let cases = [
        (
            "nobody answers",
            source("127.0.0.1:1", "app-logs", ""),
            stdout.to_owned(),
            "no broker at `127.0.0.1:1`",
        ),
        ("a typo in the topic", source(&open, "app-log", ""), stdout.to_owned(), "there is `app-logs`"),
        (
            "a wrong password",
            source(&sasl, "app-logs", &format!(", {}", login("logbraid", "hunter2"))),
            stdout.to_owned(),
            "refuses the login",
        ),
        ("no right to read", source(&sasl, "app-logs", &format!(", {guest}")), stdout.to_owned(), "may not"),
        (
            "no right to the group",
            source(&sasl, "^app-.*", &format!(", {guest}")),
            stdout.to_owned(),
            "may not use it",
        ),
        (
            "a sink's topic that is missing",
            works.clone(),
            format!("kafka: {{ brokers: '{open}', topic: findigns, take: [findings] }}"),
            "findigns",
        ),
        (
            "a sink's wrong password",
            works,
            format!(
                "kafka: {{ brokers: '{sasl}', topic: app-logs, take: [findings], {} }}",
                login("logbraid", "hunter2")
            ),
            "login",
        ),
    ];
    for (case, source, sink, words) in cases {
        let (code, said) = refused(folder.path(), &source, &sink);
        let said = said.replace('\'', "`");
        assert_eq!(code, Some(2), "{case}: {said}");
        assert!(said.contains("error:") && said.contains(words), "{case}: {said}");
        assert!(said.contains("help:"), "{case}: says how to mend it: {said}");
        assert!(!said.contains("hunter2") && !said.contains(GUEST_PASSWORD), "{case}: no secrets: {said}");
    }
}

fn storm(delivery: Delivery) -> Options {
    Options {
        seconds: 15,
        lines: Some(30_000),
        partitions: 4,
        brokers: 1,
        delivery,
        protocol: Protocol::Classic,
        stall: None,
        poison: true,
        rate: false,
        seed: 1,
        patience: 120,
        binary: Some(BINARY.into()),
        keep: None,
    }
}

#[test]
fn a_fleet_that_is_killed_loses_changes_and_invents_nothing() {
    if skipped("a_fleet_that_is_killed_loses_changes_and_invents_nothing") {
        return;
    }
    assert!(storm::run(&storm(Delivery::AtLeastOnce), &mut std::io::stderr()).unwrap());
}

#[test]
fn a_fleet_that_is_killed_writes_everything_exactly_once() {
    if skipped("a_fleet_that_is_killed_writes_everything_exactly_once") {
        return;
    }
    assert!(storm::run(&storm(Delivery::ExactlyOnce), &mut std::io::stderr()).unwrap());
}
