//! An answer as text: for programs or for people, whole or within a number of bytes.

use std::fmt::Write as _;

use logbraid_query::{Answered, Window, budget};
use serde_json::{Map, Value, json};

use super::{project, tables};
use crate::problem::Problem;
use crate::render::text::escaped;

/// What an answer is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One document.
    Json,
    /// One object a line.
    Ndjson,
    /// For people.
    Pretty,
}

/// How an answer is to look.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    pub(crate) indent: bool,
    pub(crate) compact: bool,
    pub(crate) fields: Vec<String>,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) width: usize,
    pub(crate) colour: bool,
    /// True when it is written to a terminal, which must not be made to execute anything.
    pub(crate) terminal: bool,
}

/// A written answer.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) media_type: &'static str,
    pub(crate) text: String,
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain; charset=utf-8";

/// Writes `answered`; the window says how far it is complete.
pub(crate) fn write(answered: &Answered, window: &Window, shape: &Shape) -> Result<Written, Problem> {
    if shape.form == Form::Pretty
        && let Some(drawn) = &answered.drawn
        && shape.fields.is_empty()
    {
        let mut text = drawn.clone();
        if let Some(through) = window.complete_through() {
            let _ = writeln!(text, "complete through {through}");
        }
        return Ok(Written { media_type: TEXT, text: cut_lines(text, shape.max_bytes) });
    }
    if let Some(written) = &answered.written {
        return within(written.media_type, &written.text, shape);
    }
    let extras = extras(window);
    let plain = shape.form == Form::Json && !shape.indent && !shape.compact && shape.fields.is_empty();
    if plain && !extras.contains_key("truncated") {
        // The common way, without a copy of the answer as values.
        let text = serde_json::to_string(&answered.document)
            .map_err(|error| Problem::new("answer", format!("the answer is not JSON: {error}")))?;
        let text = spliced(text, &extras);
        if shape.max_bytes.is_none_or(|max| text.len() < max) {
            return Ok(Written { media_type: JSON, text: safe(text + "\n", shape) });
        }
    }
    let mut document = answered.to_value()?;
    if let Some(map) = document.as_object_mut() {
        map.extend(extras);
    }
    write_document(document, shape)
}

/// Writes a document that is already complete.
pub(crate) fn write_document(mut document: Value, shape: &Shape) -> Result<Written, Problem> {
    if !shape.fields.is_empty() {
        project::fields(&mut document, &shape.fields)?;
    }
    if shape.compact {
        project::compact(&mut document);
    }
    match shape.form {
        Form::Pretty => {
            let text = tables::draw(&document, shape.width, shape.colour);
            Ok(Written { media_type: TEXT, text: cut_lines(text, shape.max_bytes) })
        }
        Form::Json => Ok(Written { media_type: JSON, text: safe(one_document(&document, shape), shape) }),
        Form::Ndjson => {
            Ok(Written { media_type: NDJSON, text: safe(lines(&document, shape.max_bytes), shape) })
        }
    }
}

/// What is said of every answer.
pub(crate) fn extras(window: &Window) -> Map<String, Value> {
    let mut extras = Map::new();
    if let Some(through) = window.complete_through() {
        extras.insert("complete_through".to_owned(), json!(through));
    }
    if let Some(from) = window.complete_from() {
        extras.insert("complete_from".to_owned(), json!(from));
        if !window.is_live() {
            extras.insert("truncated".to_owned(), Value::Bool(true));
        }
    }
    extras
}

/// An object's text with more members at its end.
pub(crate) fn spliced(mut text: String, extras: &Map<String, Value>) -> String {
    if extras.is_empty() || !text.ends_with('}') || !text.starts_with('{') {
        return text;
    }
    let more = Value::Object(extras.clone()).to_string();
    text.pop();
    if text.len() > 1 {
        text.push(',');
    }
    text.push_str(more.trim_start_matches('{'));
    text
}

/// One document and its line feed, within the budget.
fn one_document(document: &Value, shape: &Shape) -> String {
    if shape.indent {
        let text = format!("{document:#}\n");
        if shape.max_bytes.is_none_or(|max| text.len() <= max) {
            return text;
        }
    }
    match shape.max_bytes {
        None => format!("{document}\n"),
        Some(0) => String::new(),
        Some(max) => {
            let text = budget::fit(document, max - 1);
            if text.is_empty() { budget::fit(document, max) } else { text + "\n" }
        }
    }
}

/// The items of the document's lists, a line each, then a line with the rest of it.
fn lines(document: &Value, max: Option<usize>) -> String {
    let Some(max) = max else { return lines_of(document) };
    let mut room = max;
    for _ in 0..16 {
        let kept = serde_json::from_str(&budget::fit(document, room)).unwrap_or(Value::Null);
        let text = lines_of(&kept);
        if text.len() <= max {
            return text;
        }
        room = room.saturating_sub((text.len() - max).max(8));
    }
    one_document(&json!({ "type": "answer", "truncated": true }), &Shape::bare(max))
}

fn lines_of(document: &Value) -> String {
    let Some(map) = document.as_object() else { return format!("{document}\n") };
    let mut out = String::new();
    let mut rest = Map::new();
    rest.insert("type".to_owned(), Value::from("answer"));
    for (key, value) in map {
        match value.as_array().filter(|items| !items.is_empty() && items.iter().all(Value::is_object)) {
            Some(items) => {
                for item in items {
                    let mut line = Map::new();
                    line.insert("type".to_owned(), Value::from(key.as_str()));
                    for (name, value) in item.as_object().into_iter().flatten() {
                        // An item that has a type of its own keeps it.
                        line.insert(name.clone(), value.clone());
                    }
                    out.push_str(&Value::Object(line).to_string());
                    out.push('\n');
                }
            }
            None => {
                rest.insert(key.clone(), value.clone());
            }
        }
    }
    out.push_str(&Value::Object(rest).to_string());
    out.push('\n');
    out
}

impl Shape {
    /// JSON within `max` bytes.
    pub(crate) fn bare(max: usize) -> Self {
        Self {
            form: Form::Json,
            indent: false,
            compact: false,
            fields: Vec::new(),
            max_bytes: Some(max),
            width: 100,
            colour: false,
            terminal: false,
        }
    }
}

/// A text of its own form. Lines of NDJSON can be cut; a page or an export cannot, and is refused.
fn within(media_type: &'static str, text: &str, shape: &Shape) -> Result<Written, Problem> {
    let projected;
    let ndjson = media_type == NDJSON;
    let text = if ndjson && (shape.compact || !shape.fields.is_empty()) {
        projected = each_line(text, shape)?;
        &projected
    } else {
        text
    };
    let Some(max) = shape.max_bytes.filter(|max| text.len() > *max) else {
        return Ok(Written { media_type, text: safe(text.to_owned(), shape) });
    };
    if !ndjson {
        let message = format!("the answer takes {} bytes, more than --max-bytes {max}", text.len());
        return Err(
            Problem::new("too_large", message).help("it cannot be cut and stay readable; allow more bytes")
        );
    }
    let all = text.lines().count();
    let note =
        |shown: usize| format!("{{\"type\":\"answer\",\"truncated\":true,\"omitted\":{}}}\n", all - shown);
    let mut kept = String::new();
    let mut shown = 0;
    for line in text.split_inclusive('\n') {
        if kept.len() + line.len() + note(shown).len() > max {
            break;
        }
        kept.push_str(line);
        shown += 1;
    }
    let last = note(shown);
    if kept.len() + last.len() <= max {
        kept.push_str(&last);
    } else {
        kept = one_document(&json!({ "truncated": true, "omitted": all }), &Shape::bare(max));
    }
    Ok(Written { media_type, text: safe(kept, shape) })
}

fn each_line(text: &str, shape: &Shape) -> Result<String, Problem> {
    let mut items: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if !shape.fields.is_empty() {
        project::items(&mut items, &shape.fields)?;
    }
    if shape.compact {
        items.iter_mut().for_each(project::compact);
    }
    let mut out = String::new();
    for item in &items {
        let _ = writeln!(out, "{item}");
    }
    Ok(out)
}

/// As many whole lines as fit.
fn cut_lines(text: String, max: Option<usize>) -> String {
    let Some(max) = max.filter(|max| text.len() > *max) else { return text };
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if kept.len() + line.len() + "…\n".len() > max {
            break;
        }
        kept.push_str(line);
    }
    if kept.len() + "…\n".len() <= max {
        kept.push_str("…\n");
    }
    kept
}

/// JSON in which a terminal finds nothing to execute: what is dangerous is escaped, which programs read the same.
fn safe(text: String, shape: &Shape) -> String {
    if !shape.terminal || matches!(escaped(&text, false), std::borrow::Cow::Borrowed(_)) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let mut one = [0; 4];
        if c == '\n' || matches!(escaped(c.encode_utf8(&mut one), true), std::borrow::Cow::Borrowed(_)) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
