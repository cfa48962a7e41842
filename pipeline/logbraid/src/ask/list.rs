//! `logbraid questions`: what can be asked, for people and for programs.

use std::fmt::Write as _;

use logbraid_query::{QUESTIONS, QuestionSpec};
use serde_json::{Value, json};

use super::commands::summary;
use super::door::Door;

/// Every question: a line each, or with `json` one document with schemas and examples.
pub(crate) fn list(json: bool) -> String {
    if json {
        let questions: Vec<Value> = QUESTIONS.iter().map(described).collect();
        let document = json!({
            "questions": questions,
            "options_of_all": logbraid_core::schema_of::<Door>(),
            "exit_status": {
                "0": "found", "1": "nothing found", "2": "a mistake of the caller", "3": "a failure of logbraid",
            },
        });
        return format!("{document}\n");
    }
    let width = QUESTIONS.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for spec in QUESTIONS {
        let _ = writeln!(out, "{:<width$}  {}", spec.name, summary(spec.docs).0);
    }
    out
}

fn described(spec: &QuestionSpec) -> Value {
    json!({
        "name": spec.name,
        "summary": summary(spec.docs).0,
        "path": format!("/query/{}", spec.name.replace(' ', "/")),
        "examples": examples(spec.docs),
        "request": (spec.request_schema)(),
        "answer": (spec.answer_schema)(),
    })
}

/// The commands in a manual's examples.
pub(super) fn examples(docs: &str) -> Vec<&str> {
    docs.lines().map(str::trim).filter(|line| line.starts_with("logbraid ")).collect()
}
