//! Numbers among the fields of a record.

use serde_json::{Map, Value};

use super::unit::{Unit, quantity};

/// Objects nested deeper than this are not looked into.
pub const DEPTH_MAX: u8 = 8;
/// Longest text that may be a number with a unit.
const QUANTITY_MAX: usize = 24;

/// Calls `found` with the dotted path of every number and text in `object`, down to [`DEPTH_MAX`] objects.
pub fn leaf_paths(object: &Map<String, Value>, found: &mut impl FnMut(&str, &Value)) {
    walk(object, &mut String::new(), 1, found);
}

fn walk(object: &Map<String, Value>, path: &mut String, depth: u8, found: &mut impl FnMut(&str, &Value)) {
    for (key, value) in object {
        let len = path.len();
        if len > 0 {
            path.push('.');
        }
        path.push_str(key);
        match value {
            Value::Object(inner) if depth < DEPTH_MAX => walk(inner, path, depth + 1, found),
            Value::Number(_) | Value::String(_) => found(path, value),
            _ => {}
        }
        path.truncate(len);
    }
}

/// Calls `found` with the dotted path, the value and the unit of every number in `fields`, and of every text that is a
/// number with a unit.
///
/// ```
/// use logbraid_core::quantity::each_number;
/// let fields = serde_json::from_str(r#"{"http":{"took":"1.5s"},"status":200,"zip":"0012"}"#).unwrap();
/// let mut all = Vec::new();
/// each_number(&fields, &mut |path, value, _| all.push(format!("{path} {value}")));
/// assert_eq!(all, ["http.took 1500", "status 200"]);
/// ```
pub fn each_number(fields: &Map<String, Value>, found: &mut impl FnMut(&str, f64, Unit)) {
    leaf_paths(fields, &mut |path, value| {
        let value = match value {
            Value::Number(number) => number.as_f64().map(|value| (value, Unit::Plain)),
            Value::String(text) => text_quantity(text),
            _ => None,
        };
        if let Some((value, unit)) = value {
            found(path, value, unit);
        }
    });
}

/// What a text measures, when it has a unit: `"12ms"`, not `"0012"`.
pub fn text_quantity(text: &str) -> Option<(f64, Unit)> {
    let number = text.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'-');
    if !number || text.len() > QUANTITY_MAX {
        return None;
    }
    quantity(text).filter(|(_, unit)| *unit != Unit::Plain)
}
