//! What the values of a field look like, in bounded memory.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Field;

/// Different values that are remembered.
const VALUES_MAX: usize = 64;
/// Fewer different values than this are listed.
const FEW: usize = 12;
const PATTERNS_MAX: usize = 10;
const TEXT_CHARS: usize = 60;

/// The values of a field.
#[derive(Debug, Default)]
pub(super) struct Values {
    count: u64,
    types: BTreeMap<&'static str, u64>,
    seen: BTreeMap<String, u64>,
    /// True when there were more different values than are remembered.
    many: bool,
    patterns: BTreeMap<String, u64>,
    min: Option<f64>,
    max: Option<f64>,
}

/// `part / whole` with three decimals.
pub(super) fn thousandths(part: u64, whole: u64) -> f64 {
    (part as f64 / whole.max(1) as f64 * 1e3).round() / 1e3
}

impl Values {
    pub(super) const fn count(&self) -> u64 {
        self.count
    }
    /// A value that is not worth a look.
    pub(super) fn present(&mut self) {
        self.count += 1;
        *self.types.entry("string").or_default() += 1;
    }
    pub(super) fn text(&mut self, text: &str) {
        self.present();
        self.remember(text);
        if self.patterns.len() < 4 * PATTERNS_MAX || self.patterns.contains_key(&pattern(text)) {
            *self.patterns.entry(pattern(text)).or_default() += 1;
        }
    }
    pub(super) fn value(&mut self, value: &Value) {
        let kind = match value {
            Value::String(text) => return self.text(text),
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) => {
                if let Some(number) = number.as_f64() {
                    self.min = Some(self.min.map_or(number, |min| min.min(number)));
                    self.max = Some(self.max.map_or(number, |max| max.max(number)));
                }
                "number"
            }
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.count += 1;
        *self.types.entry(kind).or_default() += 1;
        if matches!(value, Value::Bool(_) | Value::Number(_)) {
            self.remember(&value.to_string());
        }
    }

    fn remember(&mut self, text: &str) {
        if let Some(count) = self.seen.get_mut(text) {
            *count += 1;
        } else if self.seen.len() < VALUES_MAX && text.len() <= TEXT_CHARS {
            self.seen.insert(text.to_owned(), 1);
        } else {
            self.many = true;
        }
    }

    pub(super) fn field(&self, entries: u64) -> Field {
        let few = !self.many && self.seen.len() <= FEW;
        let numbers = self.types.keys().all(|kind| *kind == "number");
        let by_count = |counts: &BTreeMap<String, u64>, most: usize| -> Vec<String> {
            let mut all: Vec<(&String, &u64)> = counts.iter().collect();
            all.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
            all.into_iter().take(most).map(|(text, _)| text.clone()).collect()
        };
        let mut types: Vec<(&&'static str, &u64)> = self.types.iter().collect();
        types.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        Field {
            present: thousandths(self.count, entries),
            types: types.into_iter().map(|(kind, _)| *kind).collect(),
            values: if few { by_count(&self.seen, FEW) } else { Vec::new() },
            patterns: if few || numbers { Vec::new() } else { by_count(&self.patterns, PATTERNS_MAX) },
            min: self.min,
            max: self.max,
        }
    }
}

/// A text with what varies generalised: `uuid`, hexadecimal words by length, runs of digits as `\d+`, and long texts cut.
fn pattern(text: &str) -> String {
    if is_uuid(text) {
        return "uuid".to_owned();
    }
    if text.len() >= 8
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
    {
        return format!("[0-9a-f]{{{}}}", text.len());
    }
    let mut out = String::new();
    let mut chars = 0;
    let mut digits = false;
    for c in text.chars() {
        let digit = c.is_ascii_digit();
        if digit && digits {
            continue;
        }
        chars += 1;
        if chars > TEXT_CHARS {
            out.push('…');
            break;
        }
        if digit {
            out.push_str("\\d+");
        } else {
            out.push(c);
        }
        digits = digit;
    }
    out
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    lengths.iter().all(|length| {
        parts
            .next()
            .is_some_and(|part| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }) && parts.next().is_none()
}
