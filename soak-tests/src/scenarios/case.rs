//! The nineteen scenarios of the article, each with the scales it is asked at.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::data::Kind;
use super::truth::Truth;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Entries of a level, perhaps with a word in their message.
    Search {
        /// The level.
        level: &'static str,
        /// A word of the message, in any case.
        query: Option<&'static str>,
        /// Most entries that are shown.
        limit: u64,
        /// How much is said.
        form: &'static str,
    },
    /// The tree of a thread and of all that its spans started.
    Hierarchy,
    /// The question `hierarchy` about a thread: its own entries only.
    HierarchyOfThread,
    /// How errors spread in a tree that is there.
    ErrorFlow,
    /// A tree that is there, in a few words.
    TreeSummary,
    /// A tree that is there, drawn.
    Tree,
    /// Every entry of a request.
    Follow,
    /// Every entry of a request, across services.
    CrossService,
    /// Two requests side by side, with their entries.
    Compare,
    /// A search as a process, cut to so many bytes.
    MaxBytes(u64),
    /// Fifty entries, chosen in a way.
    Sample(&'static str),
    /// A table, written as lines of JSON.
    Convert,
    /// A table, read and searched.
    SearchDb,
}

/// A scenario at a scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number in the article's list.
    pub number: u8,
    /// Its suite.
    pub suite: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The parameter and the scale.
    pub param: String,
    /// What it asks about.
    pub kind: Kind,
    /// Entries in each file.
    pub entries: u64,
    /// What it does.
    pub call: Call,
}

/// Where a request of the first entry is, in every generated file.
const REQUEST: &str = "req-000000";
const OTHER: &str = "req-000001";
const ACROSS: &str = "req-000042";

fn scale(entries: u64) -> String {
    match entries {
        1_000_000.. => format!("{}M", entries / 1_000_000),
        1000.. => format!("{}K", entries / 1000),
        _ => entries.to_string(),
    }
}

const fn search(level: &'static str) -> Call {
    Call::Search { level, query: None, limit: 100, form: "full" }
}

const fn form(form: &'static str) -> Call {
    Call::Search { level: "ERROR", query: None, limit: 100, form }
}

const TIMEOUTS: Call = Call::Search { level: "ERROR", query: Some("timeout"), limit: 50, form: "full" };

/// Every scenario, at scales up to `most` entries.
pub fn all(most: u64) -> Vec<Case> {
    use Kind::{Errflow, Jobs, Plain, Services, Spans};
    const K: u64 = 1000;
    const M: u64 = 1_000_000;
    let mut cases = Vec::new();
    let mut add = |number, suite, name, kind, scales: &[u64], call, param: &dyn Fn(u64) -> String| {
        cases.extend(scales.iter().filter(|entries| **entries <= most).map(|entries| Case {
            number,
            suite,
            name,
            param: param(*entries),
            kind,
            entries: *entries,
            call,
        }));
    };
    let at = |what: &'static str| move |entries| format!("{what}@{}", scale(entries));
    let all = [K, 10 * K, 50 * K, M];
    add(1, "search", "search_scaling", Plain, &all, search("ERROR"), &scale);
    for level in ["ERROR", "WARN", "INFO"] {
        add(2, "search", "search_by_level", Plain, &[50 * K, M], search(level), &at(level));
    }
    for name in ["full", "summary", "count", "compact"] {
        add(3, "search", "search_output_formats", Plain, &[50 * K, M], form(name), &at(name));
    }
    add(4, "search", "search_with_filters", Plain, &all, TIMEOUTS, &scale);
    add(5, "hierarchy", "hierarchy_building", Spans, &all, Call::Hierarchy, &scale);
    add(5, "hierarchy", "hierarchy_building", Spans, &all, Call::HierarchyOfThread, &at("own entries"));
    add(6, "hierarchy", "error_flow_analysis", Errflow, &[K, 5 * K, 10 * K], Call::ErrorFlow, &scale);
    add(7, "hierarchy", "tree_formatting", Spans, &[50 * K], Call::TreeSummary, &at("summary"));
    add(7, "hierarchy", "tree_formatting", Spans, &[K, 50 * K], Call::Tree, &at("tree"));
    add(8, "correlation", "follow_thread_scaling", Plain, &all, Call::Follow, &scale);
    for services in [2, 3, 5] {
        let name = move |entries| format!("{services}x{}", scale(entries));
        add(
            9,
            "correlation",
            "cross_service_timeline",
            Services(services),
            &[200],
            Call::CrossService,
            &name,
        );
    }
    let five = |entries| format!("5x{}", scale(entries));
    add(
        9,
        "correlation",
        "cross_service_timeline",
        Services(5),
        &[10 * K, 200 * K],
        Call::CrossService,
        &five,
    );
    add(10, "correlation", "compare_threads", Plain, &all, Call::Compare, &scale);
    for name in ["full", "summary", "count", "compact"] {
        add(11, "output", "output_format_comparison", Plain, &[50 * K], form(name), &at(name));
    }
    for (bytes, name) in [(1024, "1024 bytes"), (4096, "4096 bytes"), (16_384, "16384 bytes")] {
        add(12, "output", "max_bytes_truncation", Plain, &[50 * K], Call::MaxBytes(bytes), &at(name));
    }
    for strategy in ["errors_focused", "diverse", "chronological"] {
        let call = Call::Sample(strategy);
        add(13, "sampling", "sampling_strategies", Plain, &[50 * K, M], call, &at(strategy));
    }
    add(14, "sampling", "sampling_scaling", Plain, &all, Call::Sample("errors_focused"), &scale);
    let broad = [10 * K, 50 * K, 100 * K, M];
    add(15, "search", "search_broad_query", Plain, &broad, search("INFO"), &scale);
    let profile = [10 * K, 50 * K, 100 * K];
    add(16, "memory", "search_memory_profile", Plain, &profile, search("INFO"), &scale);
    add(17, "database", "db_to_jsonl_scaling", Jobs, &[K, 10 * K, 50 * K], Call::Convert, &scale);
    add(18, "database", "db_source_search", Jobs, &[K, 10 * K, 50 * K], Call::SearchDb, &scale);
    add(19, "memory", "db_source_memory", Jobs, &profile, Call::Convert, &scale);
    cases
}

impl Case {
    /// True when both sides run as processes; the others are asked warm, too.
    pub const fn is_process(&self) -> bool {
        matches!(self.call, Call::MaxBytes(_))
    }

    /// Where the two sides do not do the same work, however the times compare.
    pub const fn unlike(&self) -> Option<&'static str> {
        match self.call {
            Call::Tree => Some(
                "not the same work: we draw the thread's own nodes, 1000 at most, the batch tool draws all of them",
            ),
            Call::TreeSummary => {
                Some("not the same work: we have no such summary, a line of the tree's figures stands for it")
            }
            _ => None,
        }
    }

    /// The batch tool's call; `None` where it has none.
    pub fn theirs(&self, files: &[(String, PathBuf)], truth: &Truth) -> Option<Value> {
        let file = files.first().map(|(_, path)| path.display().to_string());
        let root = truth.first_thread();
        Some(match self.call {
            Call::Search { level, query, limit, form } => {
                let mut call = json!({"call": "search", "file": file, "level": level, "limit": limit,
                    "output_format": form});
                if let Some(query) = query {
                    call["query"] = json!(query);
                }
                call
            }
            Call::Hierarchy | Call::HierarchyOfThread => {
                json!({"call": "hierarchy", "file": file, "root": root})
            }
            Call::ErrorFlow => json!({"call": "error_flow", "file": file, "root": root}),
            Call::TreeSummary => json!({"call": "tree_summary", "file": file, "root": root}),
            Call::Tree => json!({"call": "tree", "file": file, "root": root}),
            Call::Follow => json!({"call": "follow", "file": file, "id": REQUEST}),
            Call::CrossService => {
                let files: Map<String, Value> = files
                    .iter()
                    .map(|(service, path)| (service.clone(), json!([path.display().to_string()])))
                    .collect();
                json!({"call": "cross_service", "files": files, "id": ACROSS})
            }
            Call::Compare => json!({"call": "compare", "file": file, "a": REQUEST, "b": OTHER}),
            Call::Sample(strategy) => {
                json!({"call": "sample", "file": file, "strategy": strategy, "size": 50})
            }
            Call::Convert => json!({"call": "convert", "file": file}),
            Call::SearchDb => json!({"call": "search_db", "file": file, "level": "ERROR"}),
            Call::MaxBytes(_) => return None,
        })
    }

    /// Our questions: their names, and the requests as HTTP has them. None for what is done by other means.
    pub fn ours(&self, truth: &Truth) -> Vec<(&'static str, Value)> {
        match self.call {
            Call::Search { level, query, limit, form } => {
                // Three neighbours on either side, as the batch tool adds them to whole entries.
                let context = if form == "full" { 3 } else { 0 };
                let mut request =
                    json!({"level": [level], "limit": limit, "output_format": form, "context": context});
                if let Some(query) = query {
                    request["query"] = json!(query);
                    request["ignore_case"] = json!(true);
                }
                vec![("search", request)]
            }
            Call::HierarchyOfThread => {
                vec![("hierarchy", json!({"id": truth.first_thread(), "max_depth": 1000}))]
            }
            Call::Follow => vec![("correlate", json!({"id": REQUEST, "limit": 0, "show_raw": true}))],
            Call::CrossService => vec![("timeline", json!({"id": ACROSS, "limit": 0}))],
            Call::Compare => {
                let entries = |id: &str| ("search", json!({"correlation": id, "limit": 0}));
                vec![("compare", json!({"id1": REQUEST, "id2": OTHER})), entries(REQUEST), entries(OTHER)]
            }
            Call::Sample(strategy) => vec![("sample", json!({"strategy": strategy, "size": 50}))],
            Call::Convert => vec![("emit", json!({}))],
            Call::SearchDb => vec![("search", json!({"level": ["ERROR"], "limit": 0}))],
            Call::Hierarchy | Call::ErrorFlow | Call::TreeSummary | Call::Tree | Call::MaxBytes(_) => {
                Vec::new()
            }
        }
    }

    /// The same as words of our command line; none where no single command does it.
    pub fn cold(&self, files: &[(String, PathBuf)], truth: &Truth) -> Option<Vec<String>> {
        let words: Vec<String> = match self.call {
            Call::Search { level, query, limit, form } => {
                let mut words = vec!["search".to_owned(), "--level".to_owned(), level.to_owned()];
                words.extend(["--limit".to_owned(), limit.to_string()]);
                words.extend(["--output-format".to_owned(), form.to_owned()]);
                if form == "full" {
                    words.extend(["--context".to_owned(), "3".to_owned()]);
                }
                if let Some(query) = query {
                    words.extend(["--ignore-case".to_owned(), "--query".to_owned(), query.to_owned()]);
                }
                words
            }
            Call::HierarchyOfThread => vec!["hierarchy".to_owned(), truth.first_thread()],
            Call::Follow => ["correlate", REQUEST, "--limit", "0"].map(str::to_owned).to_vec(),
            Call::CrossService => ["timeline", ACROSS, "--limit", "0"].map(str::to_owned).to_vec(),
            Call::Compare => ["compare", REQUEST, OTHER].map(str::to_owned).to_vec(),
            Call::MaxBytes(bytes) => {
                let bytes = bytes.to_string();
                ["search", "--level", "ERROR", "--limit", "0", "--max-bytes", &bytes]
                    .map(str::to_owned)
                    .to_vec()
            }
            Call::Sample(strategy) => {
                ["sample", "--strategy", strategy, "--size", "50"].map(str::to_owned).to_vec()
            }
            Call::Convert => vec!["emit".to_owned()],
            Call::SearchDb => ["search", "--level", "ERROR", "--limit", "0"].map(str::to_owned).to_vec(),
            Call::Hierarchy | Call::ErrorFlow | Call::TreeSummary | Call::Tree => return None,
        };
        let inputs = files.iter().map(|(service, path)| match (self.kind, service.as_str()) {
            (Kind::Jobs, _) => format!("sqlite:{}#qler_jobs", path.display()),
            (_, "") => path.display().to_string(),
            (_, service) => format!("{service}={}", path.display()),
        });
        let output = (self.call != Call::Convert).then(|| ["--output".to_owned(), "json".to_owned()]);
        Some(words.into_iter().chain(inputs).chain(output.into_iter().flatten()).collect())
    }

    /// The right answer, as far as it is counted.
    pub fn expected(&self, truth: &Truth, jobs_failed: u64) -> Map<String, Value> {
        let mut right = Map::new();
        let mut set = |name: &str, value: Value| {
            right.insert(name.to_owned(), value);
        };
        match self.call {
            Call::Search { level, query, limit, form } => {
                let lines = truth.matches(level, query.unwrap_or_default());
                let shown = lines.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
                if form != "compact" {
                    set("matches", json!(lines.len()));
                }
                if form == "full" {
                    set("lines", json!(lines[..shown]));
                }
                if matches!(form, "full" | "compact") {
                    set("returned", json!(shown));
                }
            }
            Call::Hierarchy => set("nodes", json!(truth.forest(&truth.first_thread()).0)),
            Call::HierarchyOfThread => set("nodes", json!(truth.of_thread(&truth.first_thread()))),
            Call::ErrorFlow => set("error_nodes", json!(truth.forest(&truth.first_thread()).1)),
            Call::TreeSummary | Call::Tree | Call::MaxBytes(_) => {}
            Call::Follow => set("entries", json!(truth.of_request(REQUEST))),
            Call::CrossService => set("entries", json!(truth.of_request(ACROSS))),
            Call::Compare => set("entries", json!(truth.of_request(REQUEST) + truth.of_request(OTHER))),
            Call::Sample(_) => {
                set("population", json!(truth.entries()));
                set("returned", json!(truth.entries().min(50)));
            }
            Call::Convert => set("rows", json!(self.entries)),
            Call::SearchDb => set("matches", json!(jobs_failed)),
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_nineteen_scenarios_in_seven_suites() {
        let cases = all(1_000_000);
        let numbers: BTreeSet<u8> = cases.iter().map(|case| case.number).collect();
        let suites: BTreeSet<&str> = cases.iter().map(|case| case.suite).collect();
        assert_eq!(numbers, (1..=19).collect());
        assert_eq!(suites.len(), 7);
    }

    #[test]
    fn every_request_is_one_that_the_questions_know() {
        for case in all(1_000_000) {
            for (question, request) in case.ours(&Truth::default()) {
                super::super::ours::asked(question, &request)
                    .unwrap_or_else(|error| panic!("{} {}: {error}", case.name, case.param));
            }
        }
    }
}
