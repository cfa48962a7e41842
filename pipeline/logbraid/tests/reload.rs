//! A changed configuration takes the place of the old one while logbraid runs, if it is valid.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The program, and what it says on stderr, line by line.
fn start(config: &Path) -> (Child, Receiver<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(["run", "-c"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let (lines, said) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    (child, said)
}

fn wait_for(said: &Receiver<String>, what: &str) {
    let mut heard = Vec::new();
    loop {
        match said.recv_timeout(Duration::from_secs(30)) {
            Ok(line) if line.contains(what) => return,
            Ok(line) => heard.push(line),
            Err(error) => panic!("never said {what:?}, but {heard:?}: {error}"),
        }
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn configuration(folder: &Path, gap: &str, out: &str) -> String {
    let at = folder.display();
    format!(
        "checkpoint: '{at}/checkpoint'\nsources:\n  - files: {{ paths: ['{at}/app.log'], follow: true }}\n\
         operators:\n  - correlate: {{ gap: {gap} }}\n\
         sinks:\n  - file: {{ path: '{at}/{out}', take: [timelines] }}\n"
    )
}

#[test]
fn a_valid_change_is_used_and_an_invalid_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let config = at.join("config.yaml");
    let line = |second: u32, id: &str| {
        format!(
            "{{\"time\":\"2024-01-15T10:{:02}:{:02}Z\",\"request_id\":\"{id}\",\"msg\":\"m\"}}\n",
            second / 60,
            second % 60
        )
    };
    fs::write(at.join("app.log"), line(0, "open") + &line(1, "open")).unwrap();
    fs::write(&config, configuration(at, "30s", "before.ndjson")).unwrap();
    let (mut child, said) = start(&config);

    std::thread::sleep(Duration::from_millis(500));
    fs::write(&config, configuration(at, "0s", "before.ndjson")).unwrap();
    signal(&child, "-HUP");
    wait_for(&said, "the old configuration stays in use");

    fs::write(&config, configuration(at, "20s", "after.ndjson")).unwrap();
    signal(&child, "-HUP");
    wait_for(&said, "is used from now on");

    // The request that was open all the while is told whole, by the new configuration.
    let mut log = fs::OpenOptions::new().append(true).open(at.join("app.log")).unwrap();
    log.write_all((line(2, "open") + &line(200, "other") + &line(300, "other")).as_bytes()).unwrap();
    let after = at.join("after.ndjson");
    let mut told = String::new();
    for _ in 0..300 {
        told = fs::read_to_string(&after).unwrap_or_default();
        if told.contains("\"entries\":3") {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(told.contains("\"entries\":3") && told.contains("\"value\":\"open\""), "{told}");
    signal(&child, "-TERM");
    assert!(child.wait().expect("it ends").success());
    assert!(
        !at.join("before.ndjson").exists()
            || fs::read_to_string(at.join("before.ndjson")).unwrap().is_empty()
    );
}
