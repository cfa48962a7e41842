//! Less of a document: chosen fields of the items of its lists, or everything without what is rarely needed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::problem::{Problem, choices};

/// Leaves only `fields` (dotted paths) in the items of the document's lists; in the document itself when it has none.
pub(super) fn fields(document: &mut Value, fields: &[String]) -> Result<(), Problem> {
    let Some(map) = document.as_object_mut() else { return Ok(()) };
    let is_list = |value: &Value| {
        value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
    };
    if !map.values().any(is_list) {
        // An empty list has no items to take fields from, and is no mistake.
        if map.values().any(|value| value.as_array().is_some_and(Vec::is_empty)) {
            return Ok(());
        }
        check(map.keys().map(String::as_str), &[&*map], fields)?;
        *map = chosen(map, fields);
        return Ok(());
    }
    let lists = map.values().filter(|value| is_list(value)).filter_map(Value::as_array);
    let objects: Vec<&Map<String, Value>> = lists.flatten().filter_map(Value::as_object).collect();
    let names: BTreeSet<&str> = objects.iter().flat_map(|object| object.keys().map(String::as_str)).collect();
    check(names.into_iter(), &objects, fields)?;
    for value in map.values_mut() {
        if is_list(value)
            && let Some(items) = value.as_array_mut()
        {
            choose_all(items, fields);
        }
    }
    Ok(())
}

/// Leaves only `fields` in each of `items`.
pub(super) fn items(items: &mut [Value], fields: &[String]) -> Result<(), Problem> {
    let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    if objects.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<&str> = objects.iter().flat_map(|object| object.keys().map(String::as_str)).collect();
    check(names.into_iter(), &objects, fields)?;
    choose_all(items, fields);
    Ok(())
}

/// A mistake, when a field is in none of the objects.
fn check<'a>(
    names: impl Iterator<Item = &'a str>,
    objects: &[&Map<String, Value>],
    fields: &[String],
) -> Result<(), Problem> {
    let names: Vec<&str> = names.collect();
    for field in fields {
        if !objects.iter().any(|object| at(object, field).is_some()) && !KNOWN.contains(&field.as_str()) {
            let help = choices(field, "there are", names.iter().copied());
            return Err(Problem::new("usage", format!("'--fields': no item has '{field}'")).help(help));
        }
    }
    Ok(())
}

/// Fields that entries may have, although none of those shown does.
const KNOWN: [&str; 16] = [
    "id",
    "timestamp",
    "level",
    "message",
    "service",
    "host",
    "thread_id",
    "correlation_id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "fields",
    "template",
    "source",
    "raw",
    "flags",
];

fn choose_all(items: &mut [Value], fields: &[String]) {
    for object in items.iter_mut().filter_map(Value::as_object_mut) {
        *object = chosen(object, fields);
    }
}

/// The value at a dotted path; a key that holds dots itself is found, too.
fn at<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let inner = object.get(path.get(..dot)?)?.as_object()?;
        at(inner, path.get(dot + 1..)?)
    })
}

fn chosen(object: &Map<String, Value>, fields: &[String]) -> Map<String, Value> {
    let mut out = Map::new();
    for field in fields {
        if let Some(value) = at(object, field) {
            insert(&mut out, object, field, value.clone());
        }
    }
    out
}

/// Puts a value at the place that it has in `from`.
fn insert(out: &mut Map<String, Value>, from: &Map<String, Value>, path: &str, value: Value) {
    if from.contains_key(path) {
        out.insert(path.to_owned(), value);
        return;
    }
    for (dot, _) in path.match_indices('.') {
        let (Some(key), Some(rest)) = (path.get(..dot), path.get(dot + 1..)) else { continue };
        let Some(inner) = from.get(key).and_then(Value::as_object).filter(|inner| at(inner, rest).is_some())
        else {
            continue;
        };
        let slot = out.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if let Some(slot) = slot.as_object_mut() {
            insert(slot, inner, rest, value);
        }
        return;
    }
}

/// Leaves out ids of entries and templates, byte positions and empty lists; a place becomes `input:line`.
pub(super) fn compact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let entry = map.contains_key("message") && map.contains_key("source");
            if entry {
                map.retain(|key, _| !matches!(key.as_str(), "id" | "template"));
            }
            if let Some(place) = map.get("source").and_then(place) {
                map.insert("source".to_owned(), Value::String(place));
            }
            map.values_mut().for_each(compact);
            map.retain(|_, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(inner) => !inner.is_empty(),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(compact),
        _ => {}
    }
}

/// `input:line`, or `topic/partition@offset`.
fn place(source: &Value) -> Option<String> {
    let input = source.get("input")?.as_str()?;
    if let (Some(topic), Some(partition), Some(offset)) = (
        source.get("topic").and_then(Value::as_str),
        source.get("partition").and_then(Value::as_i64),
        source.get("offset").and_then(Value::as_u64),
    ) {
        return Some(format!("{topic}/{partition}@{offset}"));
    }
    Some(match source.get("line").and_then(Value::as_u64) {
        Some(line) => format!("{input}:{line}"),
        None => format!("{input}@{}", source.get("byte").and_then(Value::as_u64).unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_chosen_by_path_and_keep_their_place() {
        let mut document = json!({
            "total": 2,
            "results": [
                { "message": "a", "level": "INFO", "fields": { "x": { "y": 1 }, "z.w": 2 } },
                { "message": "b", "source": { "input": "a.log", "line": 3 } },
            ],
        });
        let wanted = ["message", "fields.x.y", "fields.z.w", "source.line"].map(str::to_owned);
        fields(&mut document, &wanted).unwrap();
        let expected = json!({
            "total": 2,
            "results": [
                { "message": "a", "fields": { "x": { "y": 1 }, "z.w": 2 } },
                { "message": "b", "source": { "line": 3 } },
            ],
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn a_field_that_nothing_has_is_a_mistake_with_a_proposal() {
        let mut document = json!({ "results": [{ "mesage_text": "a", "level": "INFO" }] });
        let error = fields(&mut document, &["levle".to_owned()]).unwrap_err();
        assert_eq!(error.message, "'--fields': no item has 'levle'");
        assert!(error.help.unwrap().starts_with("did you mean `level`?"));
        // What an entry may have is no mistake, even where none of these has it.
        fields(&mut document, &["trace_id".to_owned(), "level".to_owned()]).unwrap();
        assert_eq!(document, json!({ "results": [{ "level": "INFO" }] }));
    }

    #[test]
    fn compact_documents_keep_what_is_said_and_lose_what_is_carried_along() {
        let mut document = json!({
            "results": [{ "id": "0f", "message": "a", "template": "1b", "flags": [], "fields": {},
                "source": { "input": "a.log", "line": 3, "byte": 77 } }],
            "sessions": [{ "id": "s-1" }], "none": null,
        });
        compact(&mut document);
        assert_eq!(
            document,
            json!({ "results": [{ "message": "a", "source": "a.log:3" }], "sessions": [{ "id": "s-1" }] })
        );
    }
}
