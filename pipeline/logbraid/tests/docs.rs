//! The pages speak of what exists: metrics, messages, files.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All source code of the workspace that runs, tests left out.
fn sources() -> String {
    fn add(folder: &Path, text: &mut String) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(name.as_str(), "target" | "tests" | "benches" | "examples") {
                add(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    for folder in ["pipeline", "operators", "sinks"] {
        add(&root().join(folder), &mut text);
    }
    text
}

/// The code spans of a page, outside of blocks.
fn spans(page: &str) -> Vec<String> {
    let prose: String = page.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn metrics_that_the_kafka_page_names_exist() {
    let sources = sources();
    let literals: BTreeSet<&str> = sources.split('"').collect();
    let page = fs::read_to_string(root().join("docs/kafka.md")).unwrap();
    let mut count = 0;
    for span in spans(&page) {
        let Some(name) = span.strip_prefix("logbraid_") else { continue };
        let name = name.split('{').next().unwrap();
        count += 1;
        let of_an_operator = || {
            logbraid::registry().operators.iter().any(|spec| {
                name.strip_prefix(spec.name)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .is_some_and(|rest| literals.contains(rest))
            })
        };
        let of_a_sink = || {
            let name = name.strip_prefix("sink_").and_then(|rest| rest.strip_suffix("_total"));
            name.is_some_and(|name| literals.contains(name))
        };
        assert!(literals.contains(name) || of_an_operator() || of_a_sink(), "`{span}` is no metric");
    }
    assert!(count > 10, "the page names metrics");
}

#[test]
fn what_the_kafka_page_says_that_logbraid_says_it_says() {
    let sources = sources().replace('`', "").replace("\\\n", "");
    let page = fs::read_to_string(root().join("docs/kafka.md")).unwrap();
    let table = page.split("## When something is wrong").nth(1).unwrap();
    let mut count = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let said = row.split('`').nth(1).unwrap();
        for part in said.split('…').map(str::trim).filter(|part| part.len() > 6) {
            count += 1;
            assert!(sources.contains(part), "nobody says “{part}”");
        }
    }
    assert!(count > 8);
}

#[test]
fn files_that_the_pages_point_to_exist() {
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(root().join("docs").join(target).exists(), "{}: {target}", path.display());
        }
    }
}
