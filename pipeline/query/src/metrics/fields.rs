//! Numbers among an entry's fields.
//!
//! JSON records of one program have few shapes (the same keys with the same types). The first record of a shape is read
//! like any entry's fields; those after it are walked once, without making values of them.

use std::fmt;

use hashbrown::HashMap;
use logbraid_core::quantity::{Unit, each_number, leaf_paths, text_quantity};
use logbraid_index::{EntryRef, TextError, Texts};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Shapes that are remembered; beyond, all are learnt anew.
const SHAPES_MAX: usize = 1 << 12;
/// Objects nested deeper than this have no metrics, as in [`leaf_paths`].
const DEPTH_MAX: u8 = logbraid_core::quantity::DEPTH_MAX;

/// Reads numbers of fields, and remembers the shapes of records.
#[derive(Debug, Default)]
pub(super) struct FieldNumbers {
    shapes: HashMap<Box<[u8]>, Shape>,
    walked: Walked,
}

#[derive(Debug)]
enum Shape {
    /// What is a field depends on more than the shape.
    Varies,
    /// The number of each leaf's name; none for what is no metric.
    Names(Box<[Option<usize>]>),
}

/// What a walk over one record found.
#[derive(Debug, Default)]
struct Walked {
    /// Keys and types in order.
    shape: Vec<u8>,
    /// Of each number and each text: its value and unit; NaN for a text that is no quantity.
    leaves: Vec<(f64, Unit)>,
    /// A text may be a record of its own.
    nested: bool,
}

impl FieldNumbers {
    /// Calls `found` with the number of the name, the value and the unit of every numeric field of `entry`. `name` gives
    /// names their numbers, none to those that are no metrics.
    pub(super) fn read<'v>(
        &mut self,
        texts: &mut Texts<'v>,
        entry: EntryRef<'v>,
        mut name: impl FnMut(&str) -> Option<usize>,
        mut found: impl FnMut(usize, f64, Unit),
    ) -> Result<(), TextError> {
        let raw = texts.raw(entry)?;
        if !raw.starts_with('{') {
            if memchr::memchr2(b'=', b'"', raw.as_bytes()).is_some() {
                each_number(&texts.fields(entry)?, &mut |path, value, unit| {
                    if let Some(name) = name(path) {
                        found(name, value, unit);
                    }
                });
            }
            return Ok(());
        }
        self.walked.read(raw);
        let known =
            if self.walked.nested { Some(&Shape::Varies) } else { self.shapes.get(&*self.walked.shape) };
        let learnt;
        let shape = if let Some(shape) = known {
            shape
        } else {
            let raw = raw.to_owned();
            learnt = learn(&raw, &texts.fields(entry)?, self.walked.leaves.len(), &mut name);
            if self.shapes.len() >= SHAPES_MAX {
                self.shapes.clear();
            }
            self.shapes.entry(self.walked.shape.as_slice().into()).or_insert(learnt)
        };
        match shape {
            Shape::Names(names) => {
                for (name, (value, unit)) in names.iter().zip(&self.walked.leaves) {
                    if let Some(name) = name
                        && value.is_finite()
                    {
                        found(*name, *value, *unit);
                    }
                }
            }
            Shape::Varies => each_number(&texts.fields(entry)?, &mut |path, value, unit| {
                if let Some(name) = name(path) {
                    found(name, value, unit);
                }
            }),
        }
        Ok(())
    }
}

/// Which leaves of a record are fields.
fn learn(
    raw: &str,
    fields: &Map<String, Value>,
    leaves: usize,
    name: &mut impl FnMut(&str) -> Option<usize>,
) -> Shape {
    let Ok(Value::Object(record)) = serde_json::from_str(raw) else { return Shape::Varies };
    let mut paths = Vec::new();
    leaf_paths(&record, &mut |path, _| paths.push(path.to_owned()));
    // Keys that occur twice are one in an object, and two on the way.
    if paths.len() != leaves {
        return Shape::Varies;
    }
    let mut kept = Vec::new();
    leaf_paths(fields, &mut |path, _| kept.push(path.to_owned()));
    kept.sort_unstable();
    let known = |path: &String| kept.binary_search(path).is_ok();
    // A field that is none of the record's own came out of its message.
    if paths.iter().filter(|path| known(path)).count() != kept.len() {
        return Shape::Varies;
    }
    Shape::Names(paths.iter().map(|path| if known(path) { name(path) } else { None }).collect())
}

impl Walked {
    fn read(&mut self, raw: &str) {
        self.shape.clear();
        self.leaves.clear();
        self.nested = false;
        let mut json = sonic_rs::Deserializer::from_str(raw);
        // A record that is no JSON after all, or has more behind it.
        if (Step { walked: self, depth: 0 }).deserialize(&mut json).is_err() || json.end().is_err() {
            self.nested = true;
        }
    }
}

struct Step<'w> {
    walked: &'w mut Walked,
    depth: u8,
}

impl Step<'_> {
    fn number(self, value: f64) {
        self.walked.shape.push(b'n');
        self.walked.leaves.push((value, Unit::Plain));
    }
    fn other(self) {
        self.walked.shape.push(b'o');
    }
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth >= DEPTH_MAX {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            self.other();
            return Ok(());
        }
        self.walked.shape.push(b'{');
        while map.next_key_seed(Key(self.walked))?.is_some() {
            map.next_value_seed(Step { walked: &mut *self.walked, depth: self.depth + 1 })?;
        }
        self.walked.shape.push(b'}');
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.other();
        Ok(())
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walked.shape.push(b's');
        self.walked.nested |= text.trim_start().starts_with('{');
        self.walked.leaves.push(text_quantity(text).unwrap_or((f64::NAN, Unit::Plain)));
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.other();
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.other();
        Ok(())
    }
}

/// Adds a key to the shape. Docker's `log` holds a record of its own.
struct Key<'w>(&'w mut Walked);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.0.nested |= key == "log";
        self.0.shape.extend_from_slice(key.as_bytes());
        self.0.shape.push(0);
        Ok(())
    }
}
