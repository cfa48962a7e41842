//! Requests as protobuf (<https://protobuf.dev/programming-guides/encoding/>), read in place: only the fields of
//! `opentelemetry.proto.logs.v1` that are needed, unknown ones are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::text;
use super::{DEPTH_MAX, Origin, Record, Taker, hex};

const SHORT: &str = "a field ends early";

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Field<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed(_) => Err("a field has another type".to_owned()),
        }
    }
    fn number(self) -> Result<u64, String> {
        match self {
            Self::Varint(number) | Self::Fixed(number) => Ok(number),
            Self::Bytes(_) => Err("a field has another type".to_owned()),
        }
    }
    fn text(self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
}

/// The fields of a message, by number.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed(u64::from_le_bytes(self.chunk()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed(u64::from(u32::from_le_bytes(self.chunk()?))),
            kind => return Err(format!("{kind} is no wire type")),
        };
        Ok(Some((tag >> 3, field)))
    }
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*bytes)
    }
    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number is too long".to_owned())
    }
}

/// Reads all records of `body`.
pub(super) fn read(body: &[u8], taker: &mut Taker) -> Result<(), String> {
    let mut fields = Fields(body);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            resource_logs(field.bytes()?, taker)?;
        }
    }
    Ok(())
}

fn resource_logs(bytes: &[u8], taker: &mut Taker) -> Result<(), String> {
    // The resource may come after the records.
    let mut attributes = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            let mut resource = Fields(field.bytes()?);
            while let Some((number, field)) = resource.next()? {
                if number == 1 {
                    key_value(field.bytes()?, &mut attributes, 0)?;
                }
            }
        }
    }
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 2 {
            scope_logs(field.bytes()?, &attributes, taker)?;
        }
    }
    Ok(())
}

fn scope_logs(bytes: &[u8], resource: &[u8], taker: &mut Taker) -> Result<(), String> {
    let (mut logger, mut attributes) = (String::new(), Vec::new());
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            let mut scope = Fields(field.bytes()?);
            while let Some((number, field)) = scope.next()? {
                match number {
                    1 => logger = field.text()?,
                    3 => key_value(field.bytes()?, &mut attributes, 0)?,
                    _ => {}
                }
            }
        }
    }
    let origin = Origin { resource, scope: &attributes, logger: &logger };
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 2 {
            match record(field.bytes()?) {
                Ok(record) => taker.take(&record, origin),
                Err(why) => taker.logs.refuse(why),
            }
        }
    }
    Ok(())
}

fn record(bytes: &[u8]) -> Result<Record, String> {
    let mut record = Record::default();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => record.time_nanos = field.number()?,
            2 => record.severity_number = field.number()?.cast_signed(),
            3 => record.severity_text = field.text()?,
            5 => {
                record.body.clear();
                any_value(field.bytes()?, &mut record.body, 0)?;
            }
            6 => key_value(field.bytes()?, &mut record.attributes, 0)?,
            9 => record.trace_id = hex(field.bytes()?),
            10 => record.span_id = hex(field.bytes()?),
            11 => record.observed_nanos = field.number()?,
            12 => record.event_name = field.text()?,
            _ => {}
        }
    }
    Ok(record)
}

/// Writes a key and its value after others; one without a value is left out.
fn key_value(bytes: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    let (mut key, mut value) = (&b""[..], None);
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => key = field.bytes()?,
            2 => value = Some(field.bytes()?),
            _ => {}
        }
    }
    let Some(value) = value else { return Ok(()) };
    if !out.is_empty() && out.last() != Some(&b'{') {
        out.push(b',');
    }
    text(&String::from_utf8_lossy(key), out);
    out.push(b':');
    let start = out.len();
    any_value(value, out, depth)?;
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

/// Writes a value as JSON; an empty one is nothing.
fn any_value(bytes: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("values are nested more than {DEPTH_MAX} deep"));
    }
    // Of several the last one counts.
    let (mut fields, mut value) = (Fields(bytes), None);
    while let Some(field) = fields.next()? {
        value = Some(field);
    }
    let Some((number, field)) = value else { return Ok(()) };
    match number {
        1 => text(&field.text()?, out),
        2 => out.extend_from_slice(if field.number()? == 0 { b"false" } else { b"true" }),
        3 => out.extend_from_slice(field.number()?.cast_signed().to_string().as_bytes()),
        4 => {
            let number = f64::from_bits(field.number()?);
            let shown = if number.is_finite() { format!("{number:?}") } else { "null".to_owned() };
            out.extend_from_slice(shown.as_bytes());
        }
        5 | 6 => {
            out.push(if number == 5 { b'[' } else { b'{' });
            let (mut items, mut first) = (Fields(field.bytes()?), true);
            while let Some((inner, field)) = items.next()? {
                if inner != 1 {
                    continue;
                }
                if number == 6 {
                    key_value(field.bytes()?, out, depth + 1)?;
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                let start = out.len();
                any_value(field.bytes()?, out, depth + 1)?;
                if out.len() == start {
                    out.extend_from_slice(b"null");
                }
            }
            out.push(if number == 5 { b']' } else { b'}' });
        }
        7 => text(&STANDARD.encode(field.bytes()?), out),
        // A kind of value that came later than this.
        _ => {}
    }
    Ok(())
}

/// `{partial_success: {rejected_log_records, error_message}}`
pub(super) fn partial_success(refused: u64, why: &str) -> Vec<u8> {
    let mut inner = vec![1 << 3];
    varint(refused, &mut inner);
    inner.extend_from_slice(&message_field(2, why.as_bytes()));
    message_field(1, &inner)
}

/// A text, bytes or a message at field `number`, 1 to 15.
pub(in super::super) fn message_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        varint(bytes.len() as u64, &mut out);
        out.extend_from_slice(bytes);
        out
    }

    #[test]
    fn every_kind_of_value_is_json_and_nests_have_an_end() {
        let item = field(1, b"a\"b");
        let member = [field(1, b"k"), field(2, &item)].concat();
        for (value, expected) in [
            (field(1, b"a\"b"), r#""a\"b""#),
            (vec![2 << 3, 1], "true"),
            (vec![3 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "-1"),
            ([&[4 << 3 | 1][..], &1.5_f64.to_le_bytes()].concat(), "1.5"),
            (field(5, &[field(1, &item), field(1, b"")].concat()), r#"["a\"b",null]"#),
            (field(6, &[field(1, &member), field(1, &member)].concat()), r#"{"k":"a\"b","k":"a\"b"}"#),
            (field(7, b"hi"), "\"aGk=\""),
            (Vec::new(), ""),
        ] {
            let mut out = Vec::new();
            assert_eq!(any_value(&value, &mut out, 0), Ok(()));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let deep = (0..40).fold(field(1, b"x"), |value, _| field(5, &field(1, &value)));
        assert!(any_value(&deep, &mut Vec::new(), 0).unwrap_err().contains("deep"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300), wrap: bool) {
            let body = if wrap { field(1, &field(2, &field(2, &bytes))) } else { bytes };
            let mut taker = Taker { logs: super::super::Logs::default(), limit: 1000, received: 0, line: Vec::new(), made: 0 };
            let _refused = read(&body, &mut taker);
            for record in taker.logs.lines.into_records() {
                let lines = super::super::super::super::lines::Record::of(&record).unwrap();
                for line in lines {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "{}", String::from_utf8_lossy(line));
                }
            }
        }
    }
}
