//! `logbraid session` as a program: an investigation from its beginning to its report.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const LOG: &str = "\
2024-01-15T10:00:00Z INFO [w-1] begin request_id=req-1
2024-01-15T10:00:01Z ERROR [w-1] charge failed request_id=req-1
2024-01-15T10:00:02Z INFO [w-2] begin request_id=req-2
";

fn session(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .arg("session")
        .args(words)
        .env("XDG_STATE_HOME", folder.join("state"))
        .current_dir(folder)
        .output()
        .expect("the program starts")
}

fn document(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr));
    })
}

#[test]
fn an_investigation_is_kept_and_can_be_gone_through_again() {
    let folder = tempfile::tempdir().expect("there is a folder for tests");
    let folder = folder.path();
    let log = folder.join("app.log");
    std::fs::write(&log, LOG).expect("the log is written");
    assert_eq!(session(folder, &["list"]).status.code(), Some(1));

    let created = document(&session(folder, &["create", "app.log", "--name", "shop"]));
    let whole = std::path::absolute(&log).expect("the path is absolute");
    assert_eq!(created["files"], json!([whole]));
    assert!(Path::new(created["session_file"].as_str().expect("it has a file")).is_file());

    // Words that begin with no question are a search; any question can be asked.
    let found = document(&session(folder, &["query", "shop", "--level", "error"]));
    assert_eq!(found["summary"]["total_matches"], json!(1));
    let counted = document(&session(folder, &["query", "shop", "sql", "SELECT count(*) AS n FROM logs"]));
    assert_eq!(counted["results"], json!([{"n": 3}]));
    let nothing = session(folder, &["query", "shop", "--level", "fatal"]);
    assert_eq!(nothing.status.code(), Some(1));
    // What cannot be asked is no step.
    assert_eq!(session(folder, &["query", "shop", "sql", "SELEKT"]).status.code(), Some(2));
    assert_eq!(session(folder, &["note", "shop", "--text", "the card service"]).status.code(), Some(0));

    let shown = document(&session(folder, &["show", "shop"]));
    let actions: Vec<&str> = shown["log"]
        .as_array()
        .expect("there are steps")
        .iter()
        .filter_map(|step| step["action"].as_str())
        .collect();
    assert_eq!(actions, ["query", "query", "query", "note"]);
    assert_eq!(shown["log"][0]["sources"], json!([{"input": whole, "line": 2, "byte": 55}]));
    assert_eq!(shown["correlation_ids"], json!(["req-1"]));

    assert_eq!(document(&session(folder, &["rerun", "shop"]))["same"], json!(true));
    std::fs::write(&log, LOG.replace("INFO [w-2]", "ERROR [w-2]")).expect("the log is written");
    let again = session(folder, &["rerun", "shop", "--step", "1"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(document(&again)["steps"][0]["changes"]["total_matches"], json!({"before": 1, "now": 2}));

    let concluded = document(&session(folder, &["conclude", "shop", "--summary", "cards are down"]));
    assert_eq!(concluded["conclusion"]["confidence"], json!(0.8));
    let refused = session(folder, &["query", "shop", "--level", "error"]);
    assert_eq!(refused.status.code(), Some(2));
    let report = String::from_utf8(session(folder, &["report", "shop"]).stdout).expect("it is text");
    assert!(report.contains("cards are down") && report.contains("`search --level error`"), "{report}");
    let small = session(folder, &["show", "shop", "--max-bytes", "300"]);
    assert!(small.stdout.len() <= 300);
    assert_eq!(document(&small)["truncated"], json!(true));
    assert_eq!(session(folder, &["delete", "shop"]).status.code(), Some(0));
    assert_eq!(session(folder, &["show", "shop"]).status.code(), Some(2));
}

#[test]
fn mistakes_are_told_before_a_session_is_made_of_them() {
    let folder = tempfile::tempdir().expect("there is a folder for tests");
    let folder = folder.path();
    std::fs::write(folder.join("app.log"), LOG).expect("the log is written");
    for words in [
        vec!["create"],
        vec!["create", "gone.log"],
        vec!["create", "-"],
        vec!["create", "http://127.0.0.1:9600"],
        vec!["create", "--db", "app.log"],
        vec!["conclude", "shop", "--summary", "x", "--confidence", "1.5"],
        vec!["note", "nobody", "--text", "x"],
    ] {
        let output = session(folder, &words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{words:?}");
    }
    assert_eq!(session(folder, &["list"]).status.code(), Some(1));
}
