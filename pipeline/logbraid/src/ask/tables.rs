//! Any document for people: names and values, lists of objects as tables. Nothing in it is executed by a terminal.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::render::text::{Style, escaped, fit, grouped, pad};

/// Rows of a table that are looked at to find its columns' widths, and columns that it may have.
const COLUMNS_MAX: usize = 12;
/// Widest column, but for the last one.
const COLUMN_WIDTH: usize = 36;
/// Layers of objects and lists within each other.
const LAYERS_MAX: usize = 8;

/// The document, each line at most `width` columns.
pub(super) fn draw(document: &Value, width: usize, colour: bool) -> String {
    let style = if colour { Style::COLOUR } else { Style::PLAIN };
    let mut drawing = Drawing { width: width.max(40), style, out: String::new() };
    match document {
        Value::Object(map) => drawing.object(map, 0),
        other => drawing.line(0, &inline(other)),
    }
    drawing.out
}

struct Drawing {
    width: usize,
    style: Style,
    out: String,
}

impl Drawing {
    fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        let _ = writeln!(self.out, "{}", fit(&line, self.width).trim_end());
    }

    fn object(&mut self, map: &Map<String, Value>, layer: usize) {
        let indent = layer * 2;
        let is_inner = |value: &Value| {
            layer < LAYERS_MAX
                && match value {
                    Value::Object(map) => {
                        map.values().any(|value| value.is_object() || value.is_array()) || map.len() > 6
                    }
                    Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
                    _ => false,
                }
        };
        let plain = map.iter().filter(|(_, value)| !is_inner(value));
        let name_width = plain.clone().map(|(key, _)| escaped(key, true).width()).max().unwrap_or(0).min(32);
        for (key, value) in plain {
            let name = pad(&escaped(key, true), name_width);
            let room = self.width.saturating_sub(indent + name_width + 2);
            let text = inline(value);
            let _ = writeln!(
                self.out,
                "{:indent$}{}  {}",
                "",
                self.style.dim(&name),
                fit(&text, room).trim_end()
            );
        }
        for (key, value) in map.iter().filter(|(_, value)| is_inner(value)) {
            if layer == 0 {
                self.out.push('\n');
            }
            let name = escaped(key, true).into_owned();
            let heading = match value {
                Value::Array(items) => format!("{name} ({})", grouped(items.len() as u64)),
                _ => name,
            };
            let heading = fit(&heading, self.width.saturating_sub(indent)).into_owned();
            let _ = writeln!(self.out, "{:indent$}{}", "", self.style.bold(&heading));
            match value {
                Value::Object(inner) => self.object(inner, layer + 1),
                Value::Array(items) => self.list(items, layer + 1),
                _ => {}
            }
        }
    }

    fn list(&mut self, items: &[Value], layer: usize) {
        let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
        let entries =
            objects.iter().all(|object| object.contains_key("message") && object.contains_key("source"));
        if objects.len() == items.len() && (entries || !objects.iter().any(|object| nests(object))) {
            return self.table(&objects, layer * 2);
        }
        for (at, item) in items.iter().enumerate() {
            match item {
                Value::Object(map) if layer < LAYERS_MAX => {
                    if at > 0 {
                        self.out.push('\n');
                    }
                    self.object(map, layer);
                }
                other => self.line(layer * 2, &inline(other)),
            }
        }
    }

    fn table(&mut self, rows: &[&Map<String, Value>], indent: usize) {
        let mut names: Vec<&str> = Vec::new();
        for key in rows.iter().flat_map(|row| row.keys()) {
            if !names.contains(&key.as_str()) {
                names.push(key);
            }
        }
        if names.contains(&"message") {
            // Entries: what people look for first; where they came from is in the JSON.
            names.retain(|name| !matches!(*name, "id" | "template" | "raw" | "flags" | "fields"));
            names.sort_by_key(|name| match *name {
                "timestamp" | "at" => 0,
                "level" => 1,
                "service" => 2,
                "message" => 3,
                "source" => 4,
                _ => 5,
            });
        }
        names.truncate(COLUMNS_MAX);
        let cell = |row: &Map<String, Value>, name: &str| row.get(name).map_or(String::new(), inline);
        let mut widths: Vec<usize> = names.iter().map(|name| escaped(name, true).width()).collect();
        let numeric: Vec<bool> = names
            .iter()
            .map(|name| rows.iter().filter_map(|row| row.get(*name)).all(Value::is_number))
            .collect();
        for row in rows {
            for (width, name) in widths.iter_mut().zip(&names) {
                *width = (*width).max(cell(row, name).width());
            }
        }
        let last = names.len().saturating_sub(1);
        for width in widths.iter_mut().take(last) {
            *width = (*width).min(COLUMN_WIDTH);
        }
        let mut draw = |cells: Vec<String>, paint: &dyn Fn(&str) -> String| {
            let mut line = " ".repeat(indent);
            for (at, text) in cells.iter().enumerate() {
                if at > 0 {
                    line.push_str("  ");
                }
                let width = widths.get(at).copied().unwrap_or(0);
                if numeric.get(at).copied().unwrap_or(false) && text.width() <= width {
                    line.push_str(&" ".repeat(width - text.width()));
                    line.push_str(text);
                } else if at == last {
                    line.push_str(text);
                } else {
                    line.push_str(&pad(text, width));
                }
            }
            let line = fit(&line, self.width).trim_end().to_owned();
            let _ = writeln!(self.out, "{}", paint(&line));
        };
        let style = self.style;
        draw(names.iter().map(|name| escaped(name, true).into_owned()).collect(), &|line| style.dim(line));
        for row in rows {
            let level = row.get("level").and_then(Value::as_str);
            let level = logbraid_core::Level::ALL.into_iter().find(|known| Some(known.name()) == level);
            draw(names.iter().map(|name| cell(row, name)).collect(), &|line| style.level(level, line));
        }
    }
}

/// True when an object holds more than a table's cell can show.
fn nests(object: &Map<String, Value>) -> bool {
    object.values().any(|value| match value {
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        Value::Object(inner) => inner.values().any(|value| value.is_object() || value.is_array()),
        _ => false,
    })
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(whole) if whole >= 10_000 => grouped(whole),
            _ => number.to_string(),
        },
        Value::String(text) => {
            let first = text.lines().next().unwrap_or_default();
            let more = if first.len() < text.trim_end().len() { " …" } else { "" };
            format!("{}{more}", escaped(first, true))
        }
        Value::Array(items) => {
            let shown: Vec<String> = items.iter().take(8).map(inline).collect();
            let more = if items.len() > 8 { format!(", … {} in all", items.len()) } else { String::new() };
            format!("{}{more}", shown.join(", "))
        }
        Value::Object(map) => {
            if let (Some(input), Some(line)) = (map.get("input").and_then(Value::as_str), map.get("line")) {
                return format!("{}:{line}", escaped(input, true));
            }
            let member =
                |(key, value): (&String, &Value)| format!("{}={}", escaped(key, true), inline(value));
            let shown: Vec<String> = map.iter().take(8).map(member).collect();
            shown.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_becomes_names_values_and_tables() {
        let document = json!({
            "total": 12345, "truncated": false, "services": ["api", "db"],
            "results": [
                { "id": "0f", "message": "refused \u{1b}[31m", "timestamp": "2024-01-15T10:00:00Z", "level": "ERROR",
                  "source": { "input": "a.log", "line": 3 } },
                { "id": "1f", "message": "ok", "timestamp": "2024-01-15T10:00:01Z", "level": "INFO" },
            ],
            "counts": [{ "name": "a", "n": 1 }, { "name": "long name", "n": 1000 }],
        });
        insta::assert_snapshot!(draw(&document, 80, false));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_none_executes() {
        let document = json!({
            "a": { "b": { "c": { "d": [[1, 2], { "e": "x".repeat(200) }] } } }, "日本語".repeat(20): "\u{202e}\u{1b}[2J",
            "rows": [{ "日本": "語".repeat(90), "n": 1 }],
        });
        let drawn = draw(&document, 60, false);
        for line in drawn.lines() {
            assert!(line.width() <= 60, "{line}");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line}");
        }
    }
}
