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
        if path.is_dir() {
            continue;
        }
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

/// Every source file of the workspace: its path within it, and its text.
fn rust_files() -> Vec<(String, String)> {
    fn add(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(root, &path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                files.push((place, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    for folder in ["pipeline", "operators", "sinks", "soak-tests"] {
        add(&root(), &root().join(folder), &mut files);
    }
    files
}

#[test]
fn every_defect_names_a_test_that_exists() {
    let files = rust_files();
    let page = fs::read_to_string(root().join("docs/defects.md")).unwrap();
    let mut sections = BTreeSet::new();
    let (mut rows, mut names) = (0, 0);
    let mut shown = false;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| section")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [section, _, _, tests] = cells[..] else { panic!("a row has four cells: {row}") };
        rows += 1;
        sections.extend(section.split(", ").map(str::to_owned));
        // A row may say that the test of the row before shows it, too.
        shown &= tests.starts_with("the same");
        let mut of: Vec<&(String, String)> = Vec::new();
        for span in tests.split('`').skip(1).step_by(2) {
            if span.contains('.') {
                let end = format!("/{span}");
                of = files.iter().filter(|(place, _)| format!("/{place}").ends_with(&end)).collect();
                assert!(!of.is_empty() || root().join(span).exists(), "`{span}` is no file: {row}");
                continue;
            }
            names += 1;
            shown = true;
            let wanted = format!("fn {span}(");
            let among = if of.is_empty() { files.iter().collect() } else { of.clone() };
            assert!(among.iter().any(|(_, text)| text.contains(&wanted)), "there is no test `{span}`: {row}");
        }
        assert!(shown, "no test is named: {row}");
    }
    assert!(rows > 100 && names > rows, "{rows} rows, {names} tests");
    let known = [
        "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "2.1", "2.2", "2.3",
        "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "4", "5.1", "5.3", "5.4", "5.5", "6.1", "6.2", "6.3",
        "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.7", "8.1", "8.2", "8.3", "8.4", "8.5", "8.6", "8.7",
        "8.8", "8.9", "8.10", "8.11", "9",
    ];
    for section in known {
        assert!(sections.contains(section), "nothing of section {section}");
    }
}
