//! A session as a text to hand on.

use std::fmt::Write as _;

use serde_json::Value;

use super::state::{Action, Asked, Session, Status};
use crate::render::text::escaped;

/// Places that a step shows.
const PLACES_SHOWN: usize = 5;

/// The session in Markdown, or as plain text.
pub(super) fn write(session: &Session, markdown: bool) -> String {
    let mut out = String::new();
    let title = session.name.as_deref().unwrap_or(&session.session_id);
    let heading = |out: &mut String, text: &str| {
        let text = escaped(text, true);
        let _ = if markdown {
            writeln!(out, "\n## {text}\n")
        } else {
            writeln!(out, "\n{}", text.to_uppercase())
        };
    };
    let code = |text: &str| {
        let text = escaped(text, true).into_owned();
        // A text with back quotes of its own needs more of them around it.
        match (markdown, text.contains('`')) {
            (true, true) => format!("`` {text} ``"),
            (true, false) => format!("`{text}`"),
            (false, _) => text,
        }
    };
    let status = match session.status {
        Status::Active => "active",
        Status::Concluded => "concluded",
    };
    let _ = if markdown {
        writeln!(out, "# Investigation: {}\n", escaped(title, true))
    } else {
        writeln!(out, "INVESTIGATION: {}\n", escaped(title, true))
    };
    let _ =
        writeln!(out, "- session {}, {status}, created {}", code(&session.session_id), session.created_at);
    for file in &session.files {
        let _ = writeln!(out, "- input {}", code(file));
    }
    if let Some(conclusion) = session.conclusion() {
        heading(&mut out, "Conclusion");
        let _ = writeln!(out, "{}\n", escaped(&conclusion.summary, false));
        if let Some(cause) = &conclusion.root_cause {
            let _ = writeln!(out, "- root cause: {}", escaped(cause, true));
        }
        let _ = writeln!(out, "- confidence: {:.0} %", conclusion.confidence * 100.0);
    }
    heading(&mut out, "Steps");
    if session.log.is_empty() {
        out.push_str("None yet.\n");
    }
    for step in &session.log {
        let _ = write!(out, "{}. {} — ", step.step, step.timestamp);
        match &step.action {
            Action::Note { text } => {
                let _ = writeln!(out, "note: {}", escaped(text, true));
            }
            Action::Conclude { conclusion } => {
                let _ = writeln!(out, "concluded: {}", escaped(&conclusion.summary, true));
            }
            Action::Query(asked) => query(&mut out, asked, &code),
        }
    }
    let ids = session.correlation_ids();
    if !ids.is_empty() {
        heading(&mut out, "Requests");
        for id in ids.iter().take(50) {
            let _ = writeln!(out, "- {}", code(id));
        }
        if ids.len() > 50 {
            let _ = writeln!(out, "- {} more", ids.len() - 50);
        }
    }
    out
}

fn query(out: &mut String, asked: &Asked, code: &dyn Fn(&str) -> String) {
    let _ = writeln!(out, "{}", code(&words(asked)));
    let found = if asked.found { "found" } else { "nothing found" };
    let numbers: Vec<String> = asked
        .summary
        .iter()
        .filter(|(_, value)| value.is_number())
        .take(6)
        .map(|(name, value)| format!("{}={value}", escaped(name, true)))
        .collect();
    let _ = writeln!(out, "   - {found} {}", numbers.join(" "));
    for source in asked.sources.iter().take(PLACES_SHOWN) {
        let _ = writeln!(out, "   - {}", code(&place(source)));
    }
    let more = asked.total_sources.saturating_sub(PLACES_SHOWN.min(asked.sources.len()));
    if more > 0 {
        let _ = writeln!(out, "   - {more} more places");
    }
}

fn place(source: &Value) -> String {
    let input = source.get("input").and_then(Value::as_str).unwrap_or_default();
    match (source.get("line"), source.get("offset")) {
        (Some(line), _) => format!("{input}:{line}"),
        (None, Some(offset)) => format!("{input}@{offset}"),
        _ => input.to_owned(),
    }
}

/// The question as it was typed, as a shell takes it.
pub(super) fn words(asked: &Asked) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%#*".contains(c);
    let word = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    asked.words.iter().map(word).collect::<Vec<_>>().join(" ")
}
