//! `view -f` and `watch`: entries as they come.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const OLD: &str = "\
2024-01-15T10:00:00Z INFO one
2024-01-15T10:00:01Z ERROR two
2024-01-15T10:00:02Z INFO three
";

fn start(folder: &Path, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(words)
        .env("XDG_STATE_HOME", folder.join("state"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the log is there");
    file.write_all(text.as_bytes()).expect("the log is written");
}

/// The messages of the next `count` lines.
fn messages(lines: &mut impl Iterator<Item = std::io::Result<String>>, count: usize) -> Vec<String> {
    let message = |line: std::io::Result<String>| {
        let line = line.expect("the output is text");
        let entry: serde_json::Value = serde_json::from_str(&line).expect("lines are JSON");
        entry["message"].as_str().expect("an entry has a message").to_owned()
    };
    lines.take(count).map(message).collect()
}

#[test]
fn every_input_is_followed_and_old_entries_come_first() {
    let folder = tempfile::tempdir().expect("there is a folder for tests");
    let (first, second) = (folder.path().join("a.log"), folder.path().join("b.log"));
    fs::write(&first, OLD).expect("the log is written");
    fs::write(&second, "").expect("the log is written");
    let mut child = start(folder.path(), &["view", "-f", "-n", "2", "a.log", "b.log", "--output", "json"]);
    let stdout = child.stdout.take().expect("the output is piped");
    let mut lines = BufReader::new(stdout).lines();
    assert_eq!(messages(&mut lines, 2), ["two", "three"]);
    append(&second, "2024-01-15T10:00:03Z WARN four\n");
    assert_eq!(messages(&mut lines, 1), ["four"]);
    append(&first, "2024-01-15T10:00:05Z INFO five\n");
    append(&second, "2024-01-15T10:00:04Z INFO six\n");
    let mut last = messages(&mut lines, 2);
    last.sort();
    assert_eq!(last, ["five", "six"]);
    child.kill().expect("it still runs");
    child.wait().expect("it ends");
}

#[test]
fn a_watch_ends_with_the_first_new_entry_that_matches() {
    let folder = tempfile::tempdir().expect("there is a folder for tests");
    let log = folder.path().join("a.log");
    fs::write(&log, OLD).expect("the log is written");
    let mut child =
        start(folder.path(), &["watch", "a.log", "--level", "error+", "--times", "1", "--output", "json"]);
    // Written again and again, so that whatever was there at the beginning, one comes after it.
    let mut number = 0;
    let status = loop {
        number += 1;
        let at = format!("2024-01-15T{:02}:{:02}:{:02}Z", 11 + number / 3600, number / 60 % 60, number % 60);
        append(&log, &format!("{at} INFO calm {number}\n{at} ERROR new {number}\n"));
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        assert!(number < 3000, "it saw nothing");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
    let stdout = child.stdout.take().expect("the output is piped");
    let shown = messages(&mut BufReader::new(stdout).lines(), 10);
    assert!(shown.len() == 1 && shown[0].starts_with("new "), "{shown:?}");
}

#[test]
fn a_watch_over_an_input_that_ends_says_whether_it_found_anything() {
    let folder = tempfile::tempdir().expect("there is a folder for tests");
    let status = |level: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
            .args(["watch", "-", "--level", level, "--output", "json"])
            .env("XDG_STATE_HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("the input is piped");
        stdin.write_all(OLD.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait().expect("it ends").code()
    };
    assert_eq!((status("error"), status("fatal")), (Some(0), Some(1)));
}
