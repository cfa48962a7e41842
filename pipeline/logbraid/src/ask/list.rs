//! `logbraid questions`: what can be asked, for people and for programs.

use std::fmt::Write as _;
use std::io::Read as _;

use super::commands::summary;
use logbraid_query::QUESTIONS;
use serde_json::Value;

/// Every question with schemas and examples, as it stands in the reference. It is made when the reference is: what
/// describes the answers would be half a megabyte of program.
static DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/questions.json.gz"));

/// Every question: a line each, or with `json` one document with schemas and examples.
pub(crate) fn list(json: bool) -> String {
    if json {
        let mut text = String::new();
        // What was packed when the program was built can be read.
        let _whole = flate2::read::GzDecoder::new(DOCUMENT).read_to_string(&mut text);
        let compact = serde_json::from_str::<Value>(&text).map(|document| format!("{document}\n"));
        return compact.unwrap_or(text);
    }
    let width = QUESTIONS.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for spec in QUESTIONS {
        let _ = writeln!(out, "{:<width$}  {}", spec.name, summary(spec.docs).0);
    }
    out
}

/// The commands in a manual's examples.
pub(crate) fn examples(docs: &str) -> Vec<&str> {
    docs.lines().map(str::trim).filter(|line| line.starts_with("logbraid ")).collect()
}
