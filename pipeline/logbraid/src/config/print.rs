//! Prints a configuration as YAML.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// `settings` with the defaults that their schema tells of, in the schema's order.
pub(super) fn with_defaults(settings: &Value, schema: schemars::Schema) -> Value {
    let written = settings.as_object().cloned().unwrap_or_default();
    let schema = schema.to_value();
    let mut all = Map::new();
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            let default = property.get("default").filter(|default| !default.is_null());
            if let Some(value) = written.get(name).or(default) {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    for (name, value) in written {
        all.entry(name).or_insert(value);
    }
    Value::Object(all)
}

/// YAML in block style; short lists and maps of plain values stand on one line.
pub(super) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    if let Value::Object(map) = value {
        for (name, value) in map {
            let raw = name == "tests";
            let _ = write!(out, "{name}:");
            child(value, 0, raw, &mut out);
        }
    }
    out
}

fn child(value: &Value, depth: usize, raw: bool, out: &mut String) {
    let inline = flow(value, raw);
    if inline.chars().count() + 2 * depth <= 90 && is_flat(value) {
        let _ = writeln!(out, " {inline}");
        return;
    }
    out.push('\n');
    let pad = "  ".repeat(depth + 1);
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let _ = write!(out, "{pad}{}:", scalar(name, true));
                child(value, depth + 1, raw, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    // `- name: settings` is how components are written.
                    Value::Object(map) if map.len() == 1 => {
                        for (name, value) in map {
                            let _ = write!(out, "{pad}- {}:", scalar(name, true));
                            child(value, depth + 2, raw, out);
                        }
                    }
                    Value::Object(map) if !map.is_empty() && !is_flat(item) => {
                        for (at, (name, value)) in map.iter().enumerate() {
                            let dash = if at == 0 { "-" } else { " " };
                            let _ = write!(out, "{pad}{dash} {}:", scalar(name, true));
                            child(value, depth + 2, raw, out);
                        }
                    }
                    _ => {
                        let _ = write!(out, "{pad}-");
                        child(item, depth + 1, raw, out);
                    }
                }
            }
        }
        other => {
            out.pop();
            let _ = writeln!(out, " {}", flow(other, raw));
        }
    }
}

/// True for what is easy to read on one line: scalars, and collections of scalars.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        Value::Object(map) => map.values().all(|value| match value {
            Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
            Value::Object(map) => map.is_empty(),
            _ => true,
        }),
        _ => true,
    }
}

fn flow(value: &Value, raw: bool) -> String {
    match value {
        Value::String(text) => scalar(text, raw),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, raw)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}: {}", scalar(name, true), flow(value, raw)))
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as a YAML scalar: bare where nothing can be mistaken, else in double quotes, as JSON writes it.
fn scalar(text: &str, raw: bool) -> String {
    let text = if raw { text.to_owned() } else { text.replace('$', "$$") };
    let bare =
        text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':'))
            && text.bytes().any(|b| b.is_ascii_alphabetic() || b == b'/')
            && !text.starts_with(['-', ':', '.'])
            && !text.ends_with(':')
            && !matches!(
                text.to_ascii_lowercase().as_str(),
                "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
            )
            && text.parse::<f64>().is_err()
            && !text.starts_with("0x")
            && !text.starts_with("0o");
    if bare { text } else { Value::String(text).to_string() }
}
