//! Values as types, and which part of a value was at fault.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What cannot be read, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Misread {
    /// The part at fault, as in `rules[0].keep`; `.` for the value itself.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Reads `value` as a `T`; an error says where it is.
///
/// ```
/// # use logbraid_core::reading::read;
/// let misread = read::<Vec<u8>>(&serde_json::json!([1, "two"])).unwrap_err();
/// assert_eq!(misread.path, "[1]");
/// ```
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Misread> {
    let complaint = |value: &Value| T::deserialize(value).err().map(|error| error.to_string());
    T::deserialize(value).map_err(|error| {
        let message = error.to_string();
        let path = blame(value, &message, &complaint);
        Misread { path, message }
    })
}

/// One step from a value to a part of it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// The path of the part at fault: the smallest without which the complaint is another one.
///
/// Keeping track while a value is read would need a copy of its code for every type, which is half a megabyte of
/// program; this costs a few readings more, and only of what is wrong.
fn blame(value: &Value, message: &str, complaint: &dyn Fn(&Value) -> Option<String>) -> String {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut part = value;
    while steps.len() < DEPTH_MAX {
        let heard = |change: Cut<'_>| complaint(&cut(value, &steps, change));
        let found = match part {
            Value::Array(items) => begin(items.len(), message, &heard).map(|at| (Step::Item(at), &items[at])),
            Value::Object(map) => of_object(map, message, &heard).map(|(key, part)| (Step::Key(key), part)),
            _ => None,
        };
        let Some((step, next)) = found else { break };
        steps.push(step);
        part = next;
    }
    path(&steps)
}

/// Parts of parts that are looked into.
const DEPTH_MAX: usize = 16;
/// Keys of a part that are tried one by one; of more, the first is looked for with which the complaint begins.
const KEYS_MAX: usize = 64;

/// The key at fault: the one without which another complaint or none is heard. Where each key must be there, the one whose
/// value is quoted; else the one with which the complaint begins.
fn of_object<'a>(
    map: &'a Map<String, Value>,
    message: &str,
    complaint: &dyn Fn(Cut<'_>) -> Option<String>,
) -> Option<(&'a String, &'a Value)> {
    let mut must_be: Vec<(&String, &Value)> = Vec::new();
    if map.len() <= KEYS_MAX {
        for (key, part) in map {
            match complaint(Cut::Without(key)) {
                Some(other) if other == message => {}
                Some(other) if misses(&other, key) => must_be.push((key, part)),
                _ => return Some((key, part)),
            }
        }
    }
    // What is missing is missing in the whole, and not in a part.
    if message.starts_with(MISSING) {
        return None;
    }
    let quoted = must_be.into_iter().find(|(_, part)| is_quoted(message, part));
    quoted.or_else(|| begin(map.len(), message, complaint).and_then(|at| map.iter().nth(at)))
}

/// The place of the first part with which the complaint is heard; none when an empty whole is complained about as well.
fn begin(parts: usize, message: &str, complaint: &dyn Fn(Cut<'_>) -> Option<String>) -> Option<usize> {
    let heard = |count: usize| complaint(Cut::First(count)).as_deref() == Some(message);
    if parts == 0 || heard(0) || !heard(parts) {
        return None;
    }
    let (mut without, mut with) = (0, parts);
    while with - without > 1 {
        let middle = usize::midpoint(without, with);
        if heard(middle) {
            with = middle;
        } else {
            without = middle;
        }
    }
    Some(without)
}

const MISSING: &str = "missing field";

/// True for a complaint that `key` is not there.
fn misses(complaint: &str, key: &str) -> bool {
    complaint.strip_prefix(MISSING).is_some_and(|name| name.trim().trim_matches('`') == key)
}

/// True when `complaint` quotes `value`, a number or a text, as what it found.
fn is_quoted(complaint: &str, value: &Value) -> bool {
    let found = complaint.split(", expected").next().unwrap_or_default();
    match value {
        Value::String(text) => found.contains(&format!("\"{text}\"")) || found.contains(&format!("`{text}`")),
        Value::Number(number) => found.contains(&format!("`{number}`")),
        _ => false,
    }
}

/// What is taken out of a part.
#[derive(Clone, Copy)]
enum Cut<'a> {
    /// This key.
    Without(&'a str),
    /// All but so many of the first.
    First(usize),
}

/// A copy of `value` whose part at the end of `steps` is cut.
fn cut(value: &Value, steps: &[Step<'_>], cut: Cut<'_>) -> Value {
    let mut copy = value.clone();
    let part = steps.iter().try_fold(&mut copy, |part, step| match step {
        Step::Key(key) => part.get_mut(*key),
        Step::Item(at) => part.get_mut(*at),
    });
    match (part, cut) {
        (Some(Value::Object(map)), Cut::Without(key)) => drop(map.shift_remove(key)),
        (Some(Value::Object(map)), Cut::First(count)) => {
            let mut place = 0;
            map.retain(|_, _| {
                place += 1;
                place <= count
            });
        }
        (Some(Value::Array(items)), Cut::First(count)) => items.truncate(count),
        _ => {}
    }
    copy
}

fn path(steps: &[Step<'_>]) -> String {
    if steps.is_empty() {
        return ".".to_owned();
    }
    let mut path = String::new();
    for step in steps {
        let dot = if path.is_empty() { "" } else { "." };
        // Writing to a text cannot fail.
        let _ = match step {
            Step::Key(key) => write!(path, "{dot}{key}"),
            Step::Item(at) => write!(path, "[{at}]"),
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Whole {
        name: String,
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        limits: BTreeMap<String, u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    enum Rule {
        Keep { above: u8 },
    }

    fn place(value: Value) -> String {
        read::<Whole>(&value).expect_err("it is wrong").path
    }

    #[test]
    fn the_smallest_part_at_fault_is_named() {
        assert_eq!(place(json!({"name": 1})), "name");
        let rules = json!([{"type": "keep", "above": 1}, {"type": "keep", "above": "two"}]);
        assert_eq!(place(json!({"name": "n", "rules": rules})), "rules[1].above");
        assert_eq!(place(json!({"name": "n", "limits": {"a": 1, "b": 300}})), "limits.b");
        assert_eq!(place(json!({"rules": [{"type": "kep"}], "name": "n"})), "rules[0].type");
        assert_eq!(place(json!({"rules": [], "limits": {}, "name": []})), "name");
        assert_eq!(
            place(json!({"name": "n", "limits": {"a": "x", "b": "x"}})),
            "limits.a",
            "the first of two"
        );
        assert_eq!(place(json!({"name": "n", "rules": [{"above": "x", "type": "keep"}]})), "rules[0].above");
    }

    #[test]
    fn large_values_are_searched_and_not_tried_part_by_part() {
        let mut items = vec![json!(1); 100_000];
        items[77_777] = json!("x");
        assert_eq!(read::<Vec<u8>>(&json!(items)).expect_err("it is wrong").path, "[77777]");
        let map: Map<String, Value> = (0..10_000).map(|at| (at.to_string(), json!(at % 5000))).collect();
        let path = read::<BTreeMap<String, u8>>(&Value::Object(map)).expect_err("it is wrong").path;
        assert_eq!(path, "256");
    }

    #[test]
    fn what_is_missing_is_missing_in_the_whole() {
        assert_eq!(place(json!({"rules": []})), ".");
        assert_eq!(place(json!({"rules": [{"type": "keep"}, {"type": "keep"}], "name": "n"})), "rules[0]");
        assert_eq!(place(json!("text")), ".");
        assert_eq!(place(json!({"name": ["a"]})), "name");
        assert_eq!(place(json!({"name": {"a": 1}})), "name");
    }
}
