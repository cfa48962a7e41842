//! The calls of `docs/agents.md` give the answers that stand there, in less than 8 KB.

use std::path::Path;
use std::process::Command;

#[test]
fn the_manual_for_agents_is_true_and_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = root.join("docs/agents.md");
    let old = std::fs::read_to_string(&page).expect("the manual is there");
    let binary = Path::new(env!("CARGO_BIN_EXE_logbraid"));
    let folder = binary.parent().expect("the program is in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let (mut new, mut call, mut skipping) = (String::new(), None, false);
    let (mut calls, mut bytes) = (0, 0);
    for line in old.lines() {
        if line == "```" && skipping {
            skipping = false;
        }
        if skipping {
            continue;
        }
        new.push_str(line);
        new.push('\n');
        if line.starts_with("logbraid ") {
            call = Some(line.to_owned());
        }
        if line == "```json"
            && let Some(call) = call.take()
        {
            let shell = Command::new("sh").args(["-c", &call]).env("PATH", &path).current_dir(&root).output();
            let output = shell.expect("a shell starts");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{call}: {told}");
            let answer = String::from_utf8(output.stdout).expect("answers are text");
            let document: serde_json::Value = serde_json::from_str(&answer).expect("answers are JSON");
            assert!(document.is_object(), "{call}");
            calls += 1;
            bytes += answer.len();
            new.push_str(&answer);
            skipping = true;
        }
    }
    assert_eq!(calls, 4);
    assert!(bytes < 8192, "the answers take {bytes} bytes");
    if std::env::var_os("LOGBRAID_UPDATE").is_some() {
        std::fs::write(&page, &new).expect("the manual is written");
    } else {
        assert!(
            old == new,
            "docs/agents.md is stale; `LOGBRAID_UPDATE=1 cargo test -p logbraid` writes it anew"
        );
    }
}
