//! Documents cut to a number of bytes: always valid JSON, never longer, and saying what was left out.
//!
//! ```text
//!  document ─► does it fit? ─► as it is
//!                 └─► first items of every list, as many as fit ─► shorter texts ─► numbers alone ─► fewer keys
//! ```
//!
//! Numbers stay longest, so that totals are still there when the lists they count are not.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};

/// The shortest document that still says that something is missing: `{"truncated":true}`.
pub const BYTES_MIN: usize = 18;
/// From here on, a document of numbers alone still says how much is missing.
const NOTE_MIN: usize = 128;
/// Objects with more keys than this are lists of names, and may be cut like lists.
const KEYS: usize = 24;
/// Most places that are named with what was left out of them.
const PLACES_MAX: usize = 8;
/// Fewest items worth showing whole, where there are more.
const ITEMS_MIN: usize = 3;
/// From here on, everything is let go that is deeper.
const DEPTH_MAX: usize = 120;

/// How much of a document is kept.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Items of each list.
    items: usize,
    /// Characters of each text.
    chars: usize,
    /// Keys of objects that have more than this may be cut.
    keys: usize,
}

impl Cut {
    /// How many of `len` keys of an object stay. The document itself keeps all of its keys.
    fn kept_keys(self, len: usize, depth: usize) -> usize {
        if depth == 0 || len <= self.keys { len } else { self.items.max(self.keys / 2) }
    }
}

/// What was left out, by place: list items and keys, and texts that were shortened.
#[derive(Debug, Default)]
struct Notes {
    omitted: BTreeMap<String, u64>,
    shortened: BTreeMap<String, u64>,
}

/// `document` as one line of JSON of at most `max` bytes. Below [`BYTES_MIN`] there is no room to say what is missing:
/// then it is `{}`, `0`, or nothing at all.
pub fn fit(document: &Value, max: usize) -> String {
    let whole = Cut { items: usize::MAX, chars: usize::MAX, keys: usize::MAX };
    if fits(document, whole, max) {
        return document.to_string();
    }
    let wrapped;
    let document = if document.is_object() {
        document
    } else {
        wrapped = json!({ "answer": document });
        &wrapped
    };
    for detail in [Detail::Places, Detail::Total] {
        let mut room = max.saturating_sub(56);
        for _ in 0..8 {
            let Some(cut) = choose(document, room) else { break };
            let mut notes = Notes::default();
            let mut kept = build(document, cut, 0, &mut String::new(), &mut notes);
            notes.attach(&mut kept, detail);
            let text = kept.to_string();
            if text.len() <= max {
                return text;
            }
            room = room.saturating_sub(text.len() - max);
        }
    }
    sparse(document, max)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Which places lost how much.
    Places,
    /// How much was lost in all.
    Total,
}

impl Notes {
    fn attach(self, document: &mut Value, detail: Detail) {
        let Some(map) = document.as_object_mut() else { return };
        map.insert("truncated".to_owned(), Value::Bool(true));
        let total: u64 = self.omitted.values().sum();
        let shortened: u64 = self.shortened.values().sum();
        if detail == Detail::Total {
            map.insert("omitted".to_owned(), json!({ "total": total + shortened }));
            return;
        }
        for (name, places, total) in
            [("omitted", self.omitted, total), ("shortened", self.shortened, shortened)]
        {
            if places.is_empty() {
                continue;
            }
            let mut places: Vec<(String, u64)> = places.into_iter().collect();
            places.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let more = places.len() > PLACES_MAX;
            places.truncate(PLACES_MAX);
            let mut noted: Map<String, Value> =
                places.into_iter().map(|(place, count)| (place, count.into())).collect();
            if more {
                noted.insert("total".to_owned(), total.into());
            }
            map.insert(name.to_owned(), Value::Object(noted));
        }
    }
}

/// The mildest cut after which `document` takes at most `room` bytes.
fn choose(document: &Value, room: usize) -> Option<Cut> {
    let most = longest(document, 0);
    let mut best: Option<Cut> = None;
    for (chars, keys) in [(usize::MAX, KEYS), (2000, KEYS), (400, KEYS), (120, 16), (60, 12), (30, 8)] {
        let mut low = Cut { items: 0, chars, keys };
        if !fits(document, low, room) {
            continue;
        }
        let mut high = most;
        while low.items < high {
            let middle = Cut { items: low.items + (high - low.items).div_ceil(2), ..low };
            if fits(document, middle, room) {
                low = middle;
            } else {
                high = middle.items - 1;
            }
        }
        if best.is_none_or(|best| low.items > best.items) {
            best = Some(low);
        }
        if low.items >= most.min(ITEMS_MIN) {
            break;
        }
    }
    best
}

/// The longest list, or object that counts as one.
fn longest(value: &Value, depth: usize) -> usize {
    if depth > DEPTH_MAX {
        return 0;
    }
    match value {
        Value::Array(items) => {
            items.iter().map(|item| longest(item, depth + 1)).max().unwrap_or(0).max(items.len())
        }
        Value::Object(map) => {
            let own = if map.len() > 8 { map.len() } else { 0 };
            map.values().map(|item| longest(item, depth + 1)).max().unwrap_or(0).max(own)
        }
        _ => 0,
    }
}

/// True when the cut document takes at most `room` bytes; looks at no more of it than that.
fn fits(document: &Value, cut: Cut, room: usize) -> bool {
    let mut left = Left(room);
    measure(document, cut, 0, &mut left).is_some()
}

/// Room that is left; writing into it takes from it.
struct Left(usize);

impl Left {
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }
}

impl Write for Left {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.take(bytes.len()) {
            Some(()) => Ok(bytes.len()),
            None => Err(std::io::ErrorKind::WriteZero.into()),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn measure(value: &Value, cut: Cut, depth: usize, left: &mut Left) -> Option<()> {
    match value {
        Value::Array(_) | Value::Object(_) if depth > DEPTH_MAX => left.take(2),
        Value::Array(items) => {
            let kept = items.len().min(cut.items);
            left.take(2 + kept.saturating_sub(1))?;
            items.iter().take(kept).try_for_each(|item| measure(item, cut, depth + 1, left))
        }
        Value::Object(map) => {
            let kept = cut.kept_keys(map.len(), depth);
            left.take(2 + kept.saturating_sub(1))?;
            map.iter().take(kept).try_for_each(|(key, item)| {
                serde_json::to_writer(&mut *left, key).ok()?;
                left.take(1)?;
                measure(item, cut, depth + 1, left)
            })
        }
        Value::String(text) => serde_json::to_writer(left, &*shortened(text, cut.chars)).ok(),
        scalar => serde_json::to_writer(left, scalar).ok(),
    }
}

fn build(value: &Value, cut: Cut, depth: usize, path: &mut String, notes: &mut Notes) -> Value {
    let before = path.len();
    match value {
        Value::Array(items) => {
            let kept = if depth > DEPTH_MAX { 0 } else { items.len().min(cut.items) };
            if kept < items.len() {
                *notes.omitted.entry(path.clone()).or_default() += (items.len() - kept) as u64;
            }
            path.push_str("[]");
            let list = items.iter().take(kept).map(|item| build(item, cut, depth + 1, path, notes)).collect();
            path.truncate(before);
            Value::Array(list)
        }
        Value::Object(map) => {
            let kept = if depth > DEPTH_MAX { 0 } else { cut.kept_keys(map.len(), depth) };
            if kept < map.len() {
                *notes.omitted.entry(path.clone()).or_default() += (map.len() - kept) as u64;
            }
            let named = map.len() > KEYS;
            let mut object = Map::new();
            for (key, item) in map.iter().take(kept) {
                if depth > 0 {
                    path.push('.');
                }
                // Keys of a long object are data, not places.
                path.push_str(if named { "*" } else { key });
                object.insert(key.clone(), build(item, cut, depth + 1, path, notes));
                path.truncate(before);
            }
            Value::Object(object)
        }
        Value::String(text) => {
            let short = shortened(text, cut.chars);
            if short.len() != text.len() {
                *notes.shortened.entry(path.clone()).or_default() += 1;
            }
            Value::String(short.into_owned())
        }
        scalar => scalar.clone(),
    }
}

/// The first `chars` characters of `text`, the last of them `…` when some were left out.
fn shortened(text: &str, chars: usize) -> std::borrow::Cow<'_, str> {
    // As many bytes cannot hold more characters.
    if text.len() <= chars || text.chars().nth(chars).is_none() {
        return text.into();
    }
    let mut short: String = text.chars().take(chars.saturating_sub(1)).collect();
    short.push('…');
    short.into()
}

/// Numbers and short texts alone, then fewer of them, the largest parts first. How many items and values are missing is
/// said where there is room for it: in fewer bytes than [`NOTE_MIN`] the numbers are worth more.
fn sparse(document: &Value, max: usize) -> String {
    let mut members: Vec<(String, Value)> = Vec::new();
    let mut missing = 0;
    for (key, value) in document.as_object().into_iter().flatten().filter(|(key, _)| *key != "truncated") {
        let kept = bare(value, 0);
        missing += values(value) - kept.as_ref().map_or(0, values);
        members.extend(kept.map(|kept| (key.clone(), kept)));
    }
    loop {
        let mut map: Map<String, Value> = members.iter().cloned().collect();
        map.insert("truncated".to_owned(), Value::Bool(true));
        if max >= NOTE_MIN {
            map.insert("omitted".to_owned(), json!({ "total": missing }));
        }
        let text = Value::Object(map).to_string();
        if text.len() <= max {
            return text;
        }
        let sizes = members.iter().enumerate().map(|(at, (key, value))| {
            let room = key.len() + value.to_string().len();
            (room, at)
        });
        let Some((_, at)) = sizes.max() else { break };
        missing += values(&members.remove(at).1);
    }
    match max {
        0 => String::new(),
        1 => "0".to_owned(),
        _ => "{}".to_owned(),
    }
}

/// The items of a value's lists and its other values, as they are counted when they are missing. What lies within an
/// item goes with it.
fn values(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Array(items) => items.len() as u64,
        Value::Object(map) => map.values().map(|value| u64::from(!value.is_null())).sum(),
        _ => 1,
    }
}

/// What is left of a value without lists and long texts; none when that is nothing.
fn bare(value: &Value, depth: usize) -> Option<Value> {
    match value {
        Value::Array(_) | Value::Null => None,
        Value::Object(map) => {
            if depth > 3 {
                return None;
            }
            let kept = map.iter().take(KEYS);
            let kept: Map<String, Value> =
                kept.filter_map(|(key, item)| Some((key.clone(), bare(item, depth + 1)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::String(text) => (text.len() <= 64).then(|| value.clone()),
        _ => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(count: usize) -> Value {
        let items: Vec<Value> =
            (0..count).map(|n| json!({ "id": n, "message": format!("entry number {n}") })).collect();
        json!({ "summary": { "total": count }, "results": items })
    }

    #[test]
    fn a_document_that_fits_is_left_alone() {
        let document = list(3);
        assert_eq!(fit(&document, document.to_string().len()), document.to_string());
    }

    #[test]
    fn a_list_keeps_as_many_items_as_fit_and_says_how_many_are_missing() {
        let text = fit(&list(1000), 1024);
        let kept: Value = serde_json::from_str(&text).unwrap();
        let count = kept["results"].as_array().unwrap().len();
        assert!(count >= 18, "{text}");
        assert_eq!(kept["omitted"]["results"], 1000 - count);
        assert_eq!((&kept["truncated"], &kept["summary"]["total"]), (&json!(true), &json!(1000)));
    }

    #[test]
    fn texts_are_shortened_before_lists_are_emptied() {
        let document =
            json!({ "total": 4, "results": ["x".repeat(3000), "y".repeat(3000), "z".repeat(3000)] });
        let text = fit(&document, 1600);
        let kept: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kept["results"].as_array().unwrap().len(), 3, "{text}");
        assert_eq!(kept["shortened"]["results[]"], 3);
        assert!(text.contains('…'));
    }

    #[test]
    fn totals_stay_when_nothing_else_does() {
        let document = json!({
            "query": "q".repeat(400), "summary": { "total_matches": 12, "note": "n".repeat(300) },
            "results": [1, 2, 3], "by_name": { "a": [1], "b": "b".repeat(90) },
        });
        assert_eq!(fit(&document, 60), r#"{"summary":{"total_matches":12},"truncated":true}"#);
        assert_eq!(
            fit(&document, 130),
            r#"{"summary":{"total_matches":12},"truncated":true,"omitted":{"total":7}}"#
        );
        assert_eq!(fit(&document, 18), r#"{"truncated":true}"#);
        assert_eq!(
            (fit(&document, 17), fit(&document, 1), fit(&document, 0)),
            ("{}".into(), "0".into(), String::new())
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(\\PC|[\\x00-\\x1f\"\\\\]){0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 200, 40, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
                proptest::collection::btree_map("[a-z\"é]{1,12}", inner, 0..40)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_document_fits_every_budget_and_is_json(document in any_json(), max in 0_usize..2000) {
            let text = fit(&document, max);
            prop_assert!(text.len() <= max);
            if max > 0 {
                let kept: Value = serde_json::from_str(&text).unwrap();
                let whole = document.to_string();
                if whole.len() <= max {
                    prop_assert_eq!(text, whole);
                } else if max >= BYTES_MIN {
                    prop_assert_eq!(&kept["truncated"], &Value::Bool(true));
                }
            }
        }
    }
}
