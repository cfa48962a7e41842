//! What operators have learned outlasts the process: nothing that was told as new is told as new again.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its world has failed")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CONFIG: &str = "\
sources:
  - files: { paths: [app.log], follow: true }
time: { max_delay: 100ms, idle_after: 100ms }
checkpoint: state.json
operators:
  - templates: { warm_up: 1s, window: 1s }
sinks:
  - file: { path: found.ndjson, take: [findings] }
";

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(["run", "-q", "-c", "config.yaml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn log(folder: &Path, second: u32, message: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("app.log")).unwrap();
    writeln!(file, "2024-01-15T10:00:{second:02}Z INFO [pay] {message}").unwrap();
}

/// The patterns that were told as new, each with its finding's id.
fn told(folder: &Path) -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(folder.join("found.ndjson")).unwrap_or_default();
    let record = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let text_of = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(record)
        .map(|record| (text_of(&record["data"]["pattern"]), text_of(&record["id"])))
        .collect()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come to be");
}

fn has(folder: &Path, pattern: &str) -> bool {
    told(folder).iter().any(|(known, _)| known == pattern)
}

#[test]
fn template_records_are_a_seed_for_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    log(folder, 0, "charged 5 cents");
    log(folder, 10, "the bank said no");
    let run = |log: &str, seed: &str| {
        let config = format!(
            "operators: [{{ templates: {{ warm_up: 1s, window: 1s{seed} }} }}]\nsinks:\n  \
             - file: {{ path: templates.ndjson, take: [templates] }}\n  - file: {{ path: found.ndjson, take: [findings] }}\n"
        );
        fs::write(folder.join("config.yaml"), config).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_logbraid"))
            .args(["run", "-q", "-c", "config.yaml", log])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(program.status.success(), "{program:?}");
        told(folder).into_iter().map(|(pattern, _)| pattern).collect::<Vec<_>>()
    };
    assert_eq!(run("app.log", ""), ["the bank said no"]);
    fs::rename(folder.join("app.log"), folder.join("old.log")).unwrap();
    log(folder, 30, "charged 7 cents");
    log(folder, 40, "the bank said no");
    log(folder, 50, "the lights went out");
    assert_eq!(run("app.log", ", seed: templates.ndjson"), ["the bank said no", "the lights went out"]);
    fs::remove_file(folder.join("found.ndjson")).unwrap();
    assert_eq!(run("app.log", ", seed: templates.ndjson"), Vec::<String>::new());
}

#[test]
fn a_template_that_was_new_is_not_new_again_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("config.yaml"), CONFIG).unwrap();
    log(folder, 0, "charged 5 cents");
    log(folder, 10, "the bank said no");
    log(folder, 20, "charged 7 cents");
    let mut child = start(folder);
    wait_until("a first finding", || has(folder, "the bank said no"));
    wait_until("a checkpoint that knows it", || {
        fs::read_to_string(folder.join("state.json")).is_ok_and(|state| state.contains("bank said no"))
    });
    child.kill().unwrap();
    child.wait().unwrap();

    log(folder, 30, "the bank said no");
    log(folder, 40, "the lights went out");
    log(folder, 50, "charged 9 cents");
    let mut child = start(folder);
    wait_until("a second finding", || has(folder, "the lights went out"));
    child.kill().unwrap();
    child.wait().unwrap();
    let patterns: Vec<String> = told(folder).into_iter().map(|(pattern, _)| pattern).collect();
    assert_eq!(patterns, ["the bank said no", "the lights went out"]);
}
