//! JSON objects: one pass over the line, strings borrowed from it, keys looked up once.

use std::fmt;
use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::draft::{Draft, Piece, Tail, level_by, scaled};
use crate::keys::{Entry, NESTED, Slot, Style, Table};
use crate::time::{self, DayCache};

/// Objects nested deeper than this are skipped.
const DEPTH_MAX: u8 = 6;
/// Characters that may open objects and lists beyond this many are not JSON that any logger wrote.
const OPENINGS_MAX: usize = 200;

/// What reading one object needs.
pub(crate) struct Walk<'w, 't> {
    pub(crate) table: &'t Table,
    pub(crate) draft: &'w mut Draft,
    pub(crate) tail: &'w mut Tail,
    pub(crate) day: &'w mut DayCache,
    pub(crate) context: &'w time::Context,
    pub(crate) path: &'w mut String,
    pub(crate) line: Piece<'w>,
}

/// Reads `walk.line` as one JSON object; false when it is none.
pub(crate) fn read(walk: &mut Walk<'_, '_>) -> bool {
    let line = walk.line;
    if !shallow(line.text) {
        return false;
    }
    if object(walk, line.text) {
        return true;
    }
    // One number too large for a float must not cost the whole record its meaning.
    let Some(mended) = mend(line.text, true) else { return false };
    walk.draft.clear();
    let mut again = Walk {
        table: walk.table,
        draft: &mut *walk.draft,
        tail: &mut *walk.tail,
        day: &mut *walk.day,
        context: walk.context,
        path: &mut *walk.path,
        line: Piece { text: &mended, at: line.at },
    };
    object(&mut again, &mended)
}

fn object(walk: &mut Walk<'_, '_>, text: &str) -> bool {
    let mut de = sonic_rs::Deserializer::from_str(text);
    let object = Object { walk, prefix: None, transparent: true, penalty: 0, depth: 0 };
    (&mut de).deserialize_map(object).is_ok() && de.end().is_ok()
}

/// The text with numbers that no float can hold replaced: by `null`, padded so that every other byte keeps its place,
/// or by the number as a text. `None` when there are none.
pub(crate) fn mend(text: &str, in_place: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|b| *b != b'"') {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let len = bytes[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'))
                    .count();
                let number = text.get(at..at + len)?;
                if number.parse::<f64>().is_ok_and(f64::is_infinite) {
                    out.push_str(text.get(copied..at)?);
                    if in_place {
                        // The shortest such number, `9e308`, is longer than `null`.
                        out.push_str("null");
                        out.extend(std::iter::repeat_n(' ', len.saturating_sub(4)));
                    } else {
                        let _written = write!(out, "\"{number}\"");
                    }
                    copied = at + len;
                }
                at += len;
            }
            _ => at += 1,
        }
    }
    out.push_str(text.get(copied..)?);
    (copied > 0).then_some(out)
}

/// Guards the stack: false when brackets nest too deep. Lines short enough cannot.
fn shallow(text: &str) -> bool {
    if text.len() < OPENINGS_MAX
        || memchr::memchr2_iter(b'[', b'{', text.as_bytes()).nth(OPENINGS_MAX).is_none()
    {
        return true;
    }
    // Many openings: count how deep they go, strings left out.
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest <= OPENINGS_MAX
}

struct Object<'a, 'w, 't> {
    walk: &'a mut Walk<'w, 't>,
    /// The dotted name of the object, where names below it are known.
    prefix: Option<&'t str>,
    transparent: bool,
    penalty: u8,
    depth: u8,
}

impl<'de> Visitor<'de> for Object<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        loop {
            let seed = Key {
                table: self.walk.table,
                prefix: self.prefix,
                transparent: self.transparent,
                path: self.walk.path,
            };
            match map.next_key_seed(seed)? {
                None => return Ok(()),
                Some(None) => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Some((entry, dotted))) => map.next_value_seed(Value {
                    walk: self.walk,
                    entry,
                    penalty: if dotted { 0 } else { self.penalty },
                    depth: self.depth,
                })?,
            }
        }
    }
}

struct Key<'a, 't> {
    table: &'t Table,
    prefix: Option<&'t str>,
    transparent: bool,
    path: &'a mut String,
}

impl<'de, 't> DeserializeSeed<'de> for Key<'_, 't> {
    type Value = Option<(&'t Entry, bool)>;
    #[inline]
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'_> for Key<'_, 't> {
    type Value = Option<(&'t Entry, bool)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    #[inline]
    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        if let Some(prefix) = self.prefix {
            self.path.clear();
            self.path.push_str(prefix);
            self.path.push('.');
            self.path.push_str(key);
            if let Some(entry) = self.table.get(self.path) {
                return Ok(Some((entry, true)));
            }
        }
        Ok(if self.transparent { self.table.get(key).map(|entry| (entry, false)) } else { None })
    }
}

struct Value<'a, 'w, 't> {
    walk: &'a mut Walk<'w, 't>,
    entry: &'t Entry,
    penalty: u8,
    depth: u8,
}

impl Value<'_, '_, '_> {
    fn rank(&self) -> u8 {
        self.entry.rank.saturating_add(self.penalty)
    }
    fn number(&mut self, value: f64, exact: Option<u64>) {
        let rank = self.rank();
        let draft = &mut *self.walk.draft;
        match self.entry.slot {
            Slot::Time => {
                let nanos = exact.and_then(time::epoch).or_else(|| time::epoch_float(value));
                if let Some(nanos) = nanos {
                    let flags = logbraid_core::Flags::default();
                    draft.set_time(time::Found { nanos, end: 0, flags, epoch: true }, rank);
                }
            }
            Slot::Level => {
                #[expect(clippy::cast_possible_truncation, reason = "saturates; levels are small numbers")]
                let number = exact.or((value >= 0.0 && value.fract() == 0.0).then_some(value as u64));
                if let Some(level) = number.and_then(|number| level_by(self.entry.style, number)) {
                    draft.level_is_number |= draft.wants(Slot::Level, rank);
                    draft.set_level(level, rank);
                }
            }
            Slot::Duration => draft.set_duration(scaled(value, self.entry.style), rank),
            #[expect(clippy::cast_possible_truncation, reason = "saturates; checked when it is used")]
            Slot::InstantSecond => draft.second = Some(value as i64),
            #[expect(clippy::cast_possible_truncation, reason = "saturates; checked when it is used")]
            Slot::InstantNano => draft.nano = value as i64,
            Slot::Other | Slot::Message | Slot::Traceparent | Slot::B3 | Slot::XRay | Slot::Stream => {}
            slot => {
                if draft.wants(slot, rank) {
                    let text = digits(self.walk.tail, value, exact);
                    draft.set(slot, rank, text);
                }
            }
        }
        if let Some(id) = self.entry.extra {
            let text = digits(self.walk.tail, value, exact);
            self.walk.draft.extra(id, text);
        }
    }
    fn text(&mut self, piece: Piece<'_>) {
        let (slot, style, rank) = (self.entry.slot, self.entry.style, self.rank());
        let walk = &mut *self.walk;
        walk.draft.take(slot, style, rank, piece, walk.day, walk.context);
        if let Some(id) = self.entry.extra {
            walk.draft.extra(id, piece.range(piece.text));
        }
    }
}

/// A number as text, at the end of the buffer.
fn digits(tail: &mut Tail, value: f64, exact: Option<u64>) -> logbraid_core::Text {
    let mut text = String::new();
    let _written = match exact {
        Some(exact) => write!(text, "{exact}"),
        None => write!(text, "{value}"),
    };
    tail.push(&text)
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = ();
    #[inline]
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    #[inline]
    fn visit_borrowed_str<E: Error>(mut self, text: &'de str) -> Result<(), E> {
        let piece = Piece { text, at: self.walk.line.range(text).start };
        self.text(piece);
        Ok(())
    }
    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        // Escapes were decoded: the value does not stand in the line as it is.
        if self.entry.slot == Slot::Other && self.entry.extra.is_none() {
            return Ok(());
        }
        let range = self.walk.tail.push(text);
        if range.is_some() {
            self.text(Piece { text, at: range.start });
        }
        Ok(())
    }
    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.number(value as f64, Some(value));
        Ok(())
    }
    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.number(value as f64, u64::try_from(value).ok());
        Ok(())
    }
    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.number(value, None);
        Ok(())
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if let Some(id) = self.entry.extra {
            let text = self.walk.tail.push(if value { "true" } else { "false" });
            self.walk.draft.extra(id, text);
        }
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        // journald writes a message that is not plain text as a list of bytes.
        if self.entry.slot != Slot::Message || &*self.entry.name != "MESSAGE" {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        let text = String::from_utf8_lossy(&bytes);
        let range = self.walk.tail.push(&text);
        if range.is_some() {
            self.text(Piece { text: &text, at: range.start });
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let entry = self.entry;
        if self.depth >= DEPTH_MAX || !(entry.transparent || entry.prefix) {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let object = Object {
            walk: self.walk,
            prefix: entry.prefix.then_some(&*entry.name),
            transparent: entry.transparent,
            penalty: if entry.transparent { NESTED } else { self.penalty },
            depth: self.depth + 1,
        };
        object.visit_map(map)
    }
}

/// True for styles whose text is a line that a program wrote, wrapped by whoever carried it.
pub(crate) fn is_wrapped(style: Style) -> bool {
    style == Style::Wrapped
}
