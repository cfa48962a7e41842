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

/// The inside of the first block of `language` in a page.
fn block<'a>(page: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("```{language}\n"))?;
    rest.split_once("```").map(|(inside, _)| inside)
}

/// True when everything that `expected` says is so in `found`.
fn says(expected: &serde_json::Value, found: &serde_json::Value) -> bool {
    use serde_json::Value::{Number, Object};
    match (expected, found) {
        (Object(expected), Object(found)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| says(value, found)))
        }
        (Number(expected), Number(found)) => expected.as_f64() == found.as_f64(),
        _ => expected == found,
    }
}

/// True when a record, or a part of it, says what is expected.
fn holds(expected: &serde_json::Value, found: &serde_json::Value) -> bool {
    says(expected, found)
        || match found {
            serde_json::Value::Object(parts) => parts.values().any(|part| holds(expected, part)),
            serde_json::Value::Array(parts) => parts.iter().any(|part| holds(expected, part)),
            _ => false,
        }
}

#[test]
fn examples_of_operators_give_the_output_that_their_manuals_show() {
    let mut tested = Vec::new();
    for spec in logbraid::registry().operators {
        let blocks = (block(spec.docs, "yaml"), block(spec.docs, "text"), block(spec.docs, "json"));
        let (Some(config), Some(input), Some(output)) = blocks else { continue };
        if !spec.docs.contains("\nInput:\n\n```text\n{") {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder for the example");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("the example is written");
        };
        let sinks = "sinks: [{ stdout: { take: [entries, timelines, findings, samples, templates] } }]\n";
        write("config.yaml", &format!("{config}{sinks}"));
        write("input.log", input);
        let done = Command::new(env!("CARGO_BIN_EXE_logbraid"))
            .args(["run", "-q", "-c", "config.yaml", "input.log"])
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        let out = String::from_utf8_lossy(&done.stdout);
        let parsed =
            |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("a record is JSON") };
        let records: Vec<_> = out.lines().map(parsed).collect();
        for line in output.lines() {
            let expected = parsed(line);
            let known = records.iter().any(|record| holds(&expected, record));
            assert!(
                known,
                "`{}` shows\n{line}\nbut gives\n{out}{}",
                spec.name,
                String::from_utf8_lossy(&done.stderr)
            );
        }
        tested.push(spec.name);
    }
    for name in ["dedup", "error_burst", "metrics", "retry_storm", "sample", "templates"] {
        assert!(tested.contains(&name), "the manual of `{name}` has no example that can be run: {tested:?}");
    }
}
