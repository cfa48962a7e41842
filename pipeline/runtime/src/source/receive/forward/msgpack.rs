//! MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>), as far as it is needed: where a value ends
//! while its bytes come, and values as JSON. Depth and length are bounded; nothing is believed before it is there.

use std::io::Write as _;

use logbraid_core::EventTime;

/// Arrays and maps in arrays and maps, at most.
const DEPTH_MAX: usize = 32;

/// Why bytes are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it is not MessagePack")]
    Byte,
    #[error("a value ends early")]
    Short,
    #[error("values are nested more than {DEPTH_MAX} deep")]
    Deep,
    #[error("a key is an array, a map or an extension")]
    Key,
}

/// A value without what is in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    /// Its length; the items follow.
    Array(u64),
    /// Its length; keys and values follow.
    Map(u64),
    Ext(i8, &'a [u8]),
}

/// The beginning of a value.
struct Head {
    /// Bytes of the head.
    length: usize,
    kind: Kind,
    /// Length of what follows, or the number itself.
    number: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nil,
    Bool,
    Unsigned,
    Signed,
    Float,
    Double,
    Text,
    Bytes,
    Array,
    Map,
    Ext,
}

/// The head at the beginning of `bytes`; `None` while more is needed.
fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let low = |mask: u8| u64::from(first & mask);
    let fixed = |kind, number| Ok(Some(Head { length: 1, kind, number }));
    let (kind, width) = match first {
        0x00..=0x7f => return fixed(Kind::Unsigned, u64::from(first)),
        0x80..=0x8f => return fixed(Kind::Map, low(0x0f)),
        0x90..=0x9f => return fixed(Kind::Array, low(0x0f)),
        0xa0..=0xbf => return fixed(Kind::Text, low(0x1f)),
        0xc0 => return fixed(Kind::Nil, 0),
        0xc2 | 0xc3 => return fixed(Kind::Bool, low(1)),
        0xe0..=0xff => return fixed(Kind::Signed, i64::from(first.cast_signed()).cast_unsigned()),
        // The type of an extension is read with its bytes.
        0xd4..=0xd8 => return fixed(Kind::Ext, 1 << (first - 0xd4)),
        0xc1 => return Err(Malformed::Byte),
        0xc4..=0xc6 => (Kind::Bytes, 1 << (first - 0xc4)),
        0xc7..=0xc9 => (Kind::Ext, 1 << (first - 0xc7)),
        0xca => (Kind::Float, 4),
        0xcb => (Kind::Double, 8),
        0xcc..=0xcf => (Kind::Unsigned, 1 << (first - 0xcc)),
        0xd0..=0xd3 => (Kind::Signed, 1 << (first - 0xd0)),
        0xd9..=0xdb => (Kind::Text, 1 << (first - 0xd9)),
        0xdc | 0xdd => (Kind::Array, 2 << (first - 0xdc)),
        0xde | 0xdf => (Kind::Map, 2 << (first - 0xde)),
    };
    let Some(digits) = bytes.get(1..=width) else { return Ok(None) };
    let number = digits.iter().fold(0_u64, |number, digit| number << 8 | u64::from(*digit));
    let unused = 64 - 8 * u32::try_from(width).unwrap_or(8);
    let number = match kind {
        // Shifted up and down again, so that the sign fills what is above.
        Kind::Signed => ((number << unused).cast_signed() >> unused).cast_unsigned(),
        _ => number,
    };
    Ok(Some(Head { length: 1 + width, kind, number }))
}

impl Head {
    /// Bytes that follow the head, and values that follow those.
    fn follows(&self) -> (u64, u64) {
        match self.kind {
            Kind::Text | Kind::Bytes => (self.number, 0),
            Kind::Ext => (self.number + 1, 0),
            Kind::Array => (0, self.number),
            Kind::Map => (0, self.number * 2),
            _ => (0, 0),
        }
    }
}

/// What is found of a value whose bytes come little by little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It has this many bytes, and all are there.
    Whole(usize),
    More,
    /// It has more than `max` bytes.
    TooLong,
}

/// Looks for a value's end; what was looked at is not looked at again.
#[derive(Debug)]
pub(super) struct Scan {
    /// Where the next head is.
    at: u64,
    /// Values that are still to come.
    open: u64,
}

impl Scan {
    pub(super) const fn new() -> Self {
        Self { at: 0, open: 1 }
    }
    /// Looks at what came after the last call; `bytes` has all that came since the beginning.
    pub(super) fn scan(&mut self, bytes: &[u8], max: usize) -> Result<Found, Malformed> {
        while self.open > 0 {
            // Each value has one byte at least.
            if self.at.saturating_add(self.open) > max as u64 {
                return Ok(Found::TooLong);
            }
            let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..));
            let Some(head) = head(rest.unwrap_or_default())? else { return Ok(Found::More) };
            let (inside, values) = head.follows();
            self.at = self.at.saturating_add(head.length as u64).saturating_add(inside);
            self.open = (self.open - 1).saturating_add(values);
        }
        Ok(match usize::try_from(self.at) {
            Ok(end) if end > max => Found::TooLong,
            Ok(end) if end <= bytes.len() => Found::Whole(end),
            Ok(_) => Found::More,
            Err(_) => Found::TooLong,
        })
    }
}

/// Reads values one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
    /// The next value; of an array or map its length.
    pub(super) fn next(&mut self) -> Result<Value<'a>, Malformed> {
        let Head { length, kind, number } = head(self.rest)?.ok_or(Malformed::Short)?;
        self.rest = &self.rest[length..];
        Ok(match kind {
            Kind::Nil => Value::Nil,
            Kind::Bool => Value::Bool(number == 1),
            Kind::Unsigned => Value::Unsigned(number),
            Kind::Signed => Value::Signed(number.cast_signed()),
            Kind::Float => Value::Float(f64::from(f32::from_bits(u32::try_from(number).unwrap_or(0)))),
            Kind::Double => Value::Float(f64::from_bits(number)),
            Kind::Text => Value::Text(self.take(number)?),
            Kind::Bytes => Value::Bytes(self.take(number)?),
            Kind::Array => Value::Array(number),
            Kind::Map => Value::Map(number),
            Kind::Ext => {
                let (kind, bytes) = self.take(number + 1)?.split_first().ok_or(Malformed::Short)?;
                Value::Ext(kind.cast_signed(), bytes)
            }
        })
    }
    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Short)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }
    /// Passes over a value with all that is in it.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match Scan::new().scan(self.rest, self.rest.len())? {
            Found::Whole(end) => {
                self.rest = &self.rest[end..];
                Ok(())
            }
            Found::More | Found::TooLong => Err(Malformed::Short),
        }
    }
    /// Writes the next value as JSON. Text that is not UTF-8 is shown with replacement characters.
    pub(super) fn json(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let value = self.next()?;
        self.json_of(value, out, 0)
    }
    /// Writes `count` keys and values, each after a comma when `comma` says so.
    pub(super) fn members(&mut self, count: u64, comma: bool, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.members_of(count, comma, out, 1)
    }
    fn members_of(
        &mut self,
        count: u64,
        comma: bool,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Malformed> {
        for at in 0..count {
            if comma || at > 0 {
                out.push(b',');
            }
            match self.next()? {
                Value::Text(key) | Value::Bytes(key) => text(key, out),
                Value::Array(_) | Value::Map(_) | Value::Ext(..) => return Err(Malformed::Key),
                key => {
                    out.push(b'"');
                    self.json_of(key, out, depth)?;
                    out.push(b'"');
                }
            }
            out.push(b':');
            let value = self.next()?;
            self.json_of(value, out, depth)?;
        }
        Ok(())
    }
    fn json_of(&mut self, value: Value<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed::Deep);
        }
        // Writing to memory does not fail.
        let _infallible = match value {
            Value::Bool(value) => write!(out, "{value}"),
            Value::Unsigned(number) => write!(out, "{number}"),
            Value::Signed(number) => write!(out, "{number}"),
            Value::Float(number) if number.is_finite() => write!(out, "{number:?}"),
            Value::Nil | Value::Float(_) => out.write_all(b"null"),
            Value::Text(bytes) | Value::Bytes(bytes) => {
                text(bytes, out);
                Ok(())
            }
            Value::Array(count) => {
                out.push(b'[');
                for at in 0..count {
                    if at > 0 {
                        out.push(b',');
                    }
                    let item = self.next()?;
                    self.json_of(item, out, depth + 1)?;
                }
                out.write_all(b"]")
            }
            Value::Map(count) => {
                out.push(b'{');
                self.members_of(count, false, out, depth + 1)?;
                out.write_all(b"}")
            }
            Value::Ext(kind, bytes) => {
                if let Some(time) = event_time(kind, bytes) {
                    write!(out, "\"{time}\"")
                } else {
                    out.push(b'"');
                    for byte in bytes {
                        let _infallible = write!(out, "{byte:02x}");
                    }
                    out.write_all(b"\"")
                }
            }
        };
        Ok(())
    }
}

/// The moment of an extension, when it is one: type 0 has seconds and nanoseconds.
pub(super) fn event_time(kind: i8, bytes: &[u8]) -> Option<EventTime> {
    let (seconds, rest) = bytes.split_first_chunk()?;
    let (nanos, []) = rest.split_first_chunk()? else { return None };
    let nanos =
        i64::from(u32::from_be_bytes(*seconds)) * 1_000_000_000 + i64::from(u32::from_be_bytes(*nanos));
    (kind == 0).then_some(EventTime::from_nanos(nanos))
}

/// Writes a text as JSON.
pub(super) fn text(bytes: &[u8], out: &mut Vec<u8>) {
    // Writing a text to memory does not fail.
    let _infallible = serde_json::to_writer(out, &*String::from_utf8_lossy(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let cases: [(&[u8], &str); 24] = [
            (b"\x05", "5"),
            (b"\xff", "-1"),
            (b"\xcc\xff", "255"),
            (b"\xcd\x01\x00", "256"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xd0\x80", "-128"),
            (b"\xd1\xff\xfe", "-2"),
            (b"\xd3\x80\0\0\0\0\0\0\0", "-9223372036854775808"),
            (b"\xca\x3f\xc0\0\0", "1.5"),
            (b"\xcb\x7f\xf0\0\0\0\0\0\0", "null"),
            (b"\xc0", "null"),
            (b"\xc2", "false"),
            (b"\xc3", "true"),
            (b"\xa3a\"b", r#""a\"b""#),
            (b"\xd9\x02\xc3\xa9", "\"é\""),
            (b"\xda\0\x01\xff", "\"\u{fffd}\""),
            (b"\xc4\x02hi", "\"hi\""),
            (b"\x92\x01\x90", "[1,[]]"),
            (b"\xdc\0\x01\x02", "[2]"),
            (b"\x82\xa1a\x01\x02\xc0", r#"{"a":1,"2":null}"#),
            (b"\xde\0\x01\xa1a\x80", r#"{"a":{}}"#),
            (b"\xd7\0\0\0\0\x01\x1d\xcd\x65\0", "\"1970-01-01T00:00:01.500Z\""),
            (b"\xc7\x08\0\0\0\0\x01\0\0\0\0", "\"1970-01-01T00:00:01Z\""),
            (b"\xd4\x05\xab", "\"ab\""),
        ];
        for (bytes, expected) in cases {
            let (mut reader, mut out) = (Reader::new(bytes), Vec::new());
            assert_eq!(reader.json(&mut out), Ok(()), "{bytes:x?}");
            let shown = String::from_utf8(out).unwrap();
            assert_eq!(shown.replace(".5Z", ".500Z"), expected, "{bytes:x?}");
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn lengths_that_are_lies_and_nests_that_are_too_deep_are_refused() {
        for (bytes, wrong) in [
            (&b"\xc1"[..], Malformed::Byte),
            (b"\xdb\xff\xff\xff\xffabc", Malformed::Short),
            (b"\xdd\xff\xff\xff\xff\x01", Malformed::Short),
            (b"\xdf\xff\xff\xff\xff\xa1a\x01", Malformed::Short),
            (b"\x81\x90\x01", Malformed::Key),
            (&[0x91; 200], Malformed::Deep),
        ] {
            assert_eq!(Reader::new(bytes).json(&mut Vec::new()), Err(wrong), "{bytes:x?}");
        }
        assert_eq!(Scan::new().scan(b"\xdb\xff\xff\xff\xff", 1000), Ok(Found::TooLong));
        assert_eq!(Scan::new().scan(b"\xdf\xff\xff\xff\xff", 1000), Ok(Found::TooLong));
        assert_eq!(Scan::new().scan(b"\xa5abcde", 5), Ok(Found::TooLong));
        assert_eq!(Scan::new().scan(b"\xa5abcde", 6), Ok(Found::Whole(6)));
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let text = prop::collection::vec(any::<u8>(), 0..40).prop_map(|text| {
            let mut out = vec![0xd9, u8::try_from(text.len()).unwrap()];
            out.extend(text);
            out
        });
        let leaf = prop_oneof![
            (0..0x80_u8).prop_map(|number| vec![number]),
            any::<u32>().prop_map(|number| [&[0xce][..], &number.to_be_bytes()].concat()),
            any::<i64>().prop_map(|number| [&[0xd3][..], &number.to_be_bytes()].concat()),
            any::<f64>().prop_map(|number| [&[0xcb][..], &number.to_be_bytes()].concat()),
            any::<[u8; 8]>().prop_map(|time| [&[0xd7, 0][..], &time].concat()),
            text.clone(),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let (text, items) = (text.clone(), prop::collection::vec(inner.clone(), 0..6));
            let array = items
                .prop_map(|items| [vec![0x90 + u8::try_from(items.len()).unwrap()], items.concat()].concat());
            let members =
                prop::collection::vec((text, inner).prop_map(|(key, value)| [key, value].concat()), 0..6);
            let map = members.prop_map(|items| {
                [vec![0xde, 0, u8::try_from(items.len()).unwrap()], items.concat()].concat()
            });
            prop_oneof![array, map]
        })
    }

    proptest! {
        #[test]
        fn a_value_ends_where_it_ends_however_its_bytes_come(value in value(), more in prop::collection::vec(any::<u8>(), 0..20), cuts in prop::collection::vec(1..30_usize, 1..5)) {
            let all = [value.clone(), more].concat();
            let (mut scan, mut end, mut cuts) = (Scan::new(), 0, cuts.iter().cycle());
            let found = loop {
                end = all.len().min(end + cuts.next().unwrap());
                match scan.scan(&all[..end], 1 << 20).unwrap() {
                    Found::More => prop_assert!(end < value.len()),
                    found => break found,
                }
            };
            prop_assert_eq!(found, Found::Whole(value.len()));
            let mut out = Vec::new();
            Reader::new(&value).json(&mut out).unwrap();
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&out);
            prop_assert!(json.is_ok(), "{}", String::from_utf8_lossy(&out));
        }
        #[test]
        fn any_bytes_are_read_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            if Reader::new(&bytes).json(&mut out).is_ok() {
                let json: Result<serde_json::Value, _> = serde_json::from_slice(&out);
                prop_assert!(json.is_ok(), "{}", String::from_utf8_lossy(&out));
            }
            prop_assert!(out.len() <= bytes.len() * 30 + 30);
            if let Ok(Found::Whole(end)) = Scan::new().scan(&bytes, 200) {
                prop_assert!(end <= 200 && end <= bytes.len());
            }
        }
    }
}
