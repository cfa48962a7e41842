//! Whether records are what a test expects, and how near they came.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::TestCase;

/// Differences that are listed for one expectation.
const DIFFERENCES_MAX: usize = 12;

/// Every expectation that the records do not meet, in words.
pub fn check(case: &TestCase, records: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    let assigned = assign(&case.expect, records);
    for (expected, found) in case.expect.iter().zip(&assigned) {
        if found.is_none() {
            faults.push(missing(expected, records));
        }
    }
    for unwanted in &case.expect_none {
        if let Some(record) = records.iter().find(|record| differences(unwanted, record).is_empty()) {
            let unwanted = Value::Object(unwanted.clone());
            faults.push(format!("did not expect {unwanted}, but found\n    {}", shortened(record)));
        }
    }
    for (kind, expected) in &case.counts {
        let found = latest(records).into_values().filter(|record| kind_of(record) == kind.name()).count();
        if found != *expected {
            faults.push(format!("expected {expected} {}, found {found}", kind.name()));
        }
    }
    faults
}

/// The latest revision of each record, by id; records without an id stand for themselves.
fn latest(records: &[Value]) -> BTreeMap<String, &Value> {
    let mut latest = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        let id = record.get("id").and_then(Value::as_str).map_or_else(|| format!("#{at}"), str::to_owned);
        latest.insert(format!("{} {id}", kind_of(record)), record);
    }
    latest
}

/// The name under which `counts` counts a record.
fn kind_of(record: &Value) -> &'static str {
    let flagged_late = record
        .get("flags")
        .and_then(Value::as_array)
        .is_some_and(|flags| flags.iter().any(|flag| flag == "late"));
    match record.get("type").and_then(Value::as_str) {
        Some("entry") if flagged_late => "late",
        Some("entry") => "entries",
        Some("timeline") => "timelines",
        Some("finding") => "findings",
        Some("sample") => "samples",
        Some("template") => "templates",
        Some("reject") => "rejects",
        _ => "stats",
    }
}

/// For each expectation a record of its own, where possible: a maximum matching by augmenting paths.
fn assign(expected: &[Map<String, Value>], records: &[Value]) -> Vec<Option<usize>> {
    let fits: Vec<Vec<usize>> = expected
        .iter()
        .map(|expected| {
            let fitting =
                records.iter().enumerate().filter(|(_, record)| differences(expected, record).is_empty());
            fitting.map(|(at, _)| at).collect()
        })
        .collect();
    let mut taken: Vec<Option<usize>> = vec![None; records.len()];
    for at in 0..expected.len() {
        augment(at, &fits, &mut taken, &mut vec![false; records.len()]);
    }
    let mut assigned = vec![None; expected.len()];
    for (record, by) in taken.iter().enumerate() {
        if let Some(slot) = by.and_then(|by| assigned.get_mut(by)) {
            *slot = Some(record);
        }
    }
    assigned
}

fn augment(at: usize, fits: &[Vec<usize>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for &record in fits.get(at).into_iter().flatten() {
        if std::mem::replace(&mut tried[record], true) {
            continue;
        }
        if taken[record].is_none_or(|other| augment(other, fits, taken, tried)) {
            taken[record] = Some(at);
            return true;
        }
    }
    false
}

/// What is said of an expectation that no record meets: the nearest record, and where it differs.
fn missing(expected: &Map<String, Value>, records: &[Value]) -> String {
    let shown = Value::Object(expected.clone());
    let nearest = records
        .iter()
        .map(|record| (differences(expected, record), record))
        .min_by_key(|(faults, record)| (record.get("type") != expected.get("type"), faults.len()));
    match nearest {
        None => format!("expected {shown}, but nothing was written"),
        Some((faults, _)) if faults.is_empty() => {
            format!("expected {shown} once more: the records that fit were expected already")
        }
        Some((faults, record)) => {
            let more = faults.len().saturating_sub(DIFFERENCES_MAX);
            let mut text = format!("expected {shown}\n  the nearest record is {}", shortened(record));
            for Difference { path, expected, found } in faults.into_iter().take(DIFFERENCES_MAX) {
                let found = found.map_or("nothing".to_owned(), |found| shortened(&found));
                let _ = write!(text, "\n    {path}: expected {expected}, found {found}");
            }
            if more > 0 {
                let _ = write!(text, "\n    … {more} more");
            }
            text
        }
    }
}

struct Difference {
    path: String,
    expected: Value,
    found: Option<Value>,
}

fn differences(expected: &Map<String, Value>, record: &Value) -> Vec<Difference> {
    let mut faults = Vec::new();
    compare("", &Value::Object(expected.clone()), Some(record), &mut faults);
    faults
}

fn compare(path: &str, expected: &Value, found: Option<&Value>, faults: &mut Vec<Difference>) {
    match (expected, found) {
        (Value::Object(expected), Some(Value::Object(found))) => {
            for (name, value) in expected {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&path, value, found.get(name), faults);
            }
        }
        (Value::Array(items), Some(Value::Array(found))) => {
            // The items that are named must be there, in order; others may stand between them.
            let mut rest = found.as_slice();
            for (at, item) in items.iter().enumerate() {
                let next = rest.iter().position(|found| {
                    let mut inner = Vec::new();
                    compare("", item, Some(found), &mut inner);
                    inner.is_empty()
                });
                match next {
                    Some(next) => rest = &rest[next + 1..],
                    None => faults.push(Difference {
                        path: format!("{path}[{at}]"),
                        expected: item.clone(),
                        found: Some(Value::Array(found.clone())),
                    }),
                }
            }
        }
        // `~` expects that a key is absent.
        (Value::Null, None) => {}
        (Value::Number(a), Some(Value::Number(b))) if a.as_f64() == b.as_f64() => {}
        (expected, found) if Some(expected) == found => {}
        (expected, found) => faults.push(Difference {
            path: path.to_owned(),
            expected: expected.clone(),
            found: found.cloned(),
        }),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    crate::render::text::fit(&crate::render::text::escaped(&text, true), 300).into_owned()
}
