//! The examples of the questions' manuals do what they say: they run, and find something in the demo's logs.

use std::path::Path;
use std::process::Command;

/// Words of a shell line: single quotes keep their inside together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, open) = (!quoted, true),
            ' ' if !quoted => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            c => {
                word.push(c);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}

#[test]
fn examples_of_statistics_find_something_in_the_demo() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mine = [
        "triage",
        "summarize",
        "templates",
        "patterns",
        "metrics",
        "diff",
        "sample",
        "correlate-events",
        "correlation run",
        "verify-pattern",
    ];
    for name in mine {
        let spec = logbraid_query::question(name).expect("the question is listed");
        let examples: Vec<&str> = spec.docs.lines().filter(|line| line.starts_with("logbraid ")).collect();
        assert!(!examples.is_empty(), "`{name}` has no examples");
        for example in examples {
            let done = Command::new(env!("CARGO_BIN_EXE_logbraid"))
                .args(words(example).into_iter().skip(1))
                .args(["--output", "json"])
                .current_dir(&root)
                .output()
                .expect("the binary runs");
            let out = String::from_utf8_lossy(&done.stdout);
            let said = format!("{example}\n{out}{}", String::from_utf8_lossy(&done.stderr));
            assert_eq!(done.status.code(), Some(0), "{said}");
            let document: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{said}"));
            assert!(document.is_object(), "{said}");
            assert!(document.get("unreadable").is_none(), "{said}");
        }
    }
}
