//! Requests as JSON: protobuf's JSON names, 64-bit numbers as texts or numbers, ids as hexadecimal digits. Values stay
//! text until they are written, so that many small ones take no more memory than they have bytes.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{DEPTH_MAX, Origin, Record, Taker};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(default, borrow, alias = "resource_logs")]
    resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(default, borrow)]
    resource: Option<Attributes<'a>>,
    #[serde(default, borrow, alias = "scope_logs")]
    scope_logs: Vec<ScopeLogs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(default, borrow)]
    scope: Option<Attributes<'a>>,
    /// Read one by one, so that one that is bad does not cost the others.
    #[serde(default, borrow, alias = "log_records")]
    log_records: Vec<&'a RawValue>,
}

/// A resource or a scope.
#[derive(Default, Deserialize)]
struct Attributes<'a> {
    #[serde(default)]
    name: String,
    #[serde(default, borrow)]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    key: String,
    #[serde(default, borrow)]
    value: Option<&'a RawValue>,
}

/// A value that is written in place of an object with its kind.
#[derive(Deserialize)]
struct AnyValue<'a> {
    #[serde(default, borrow, rename = "stringValue", alias = "string_value")]
    string: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "boolValue", alias = "bool_value")]
    bool: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "intValue", alias = "int_value")]
    int: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "doubleValue", alias = "double_value")]
    double: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "bytesValue", alias = "bytes_value")]
    bytes: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "arrayValue", alias = "array_value")]
    array: Option<Values<'a>>,
    #[serde(default, borrow, rename = "kvlistValue", alias = "kvlist_value")]
    pairs: Option<Pairs<'a>>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(default, borrow)]
    values: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Pairs<'a> {
    #[serde(default, borrow)]
    values: Vec<KeyValue<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(default, deserialize_with = "number", alias = "time_unix_nano")]
    time_unix_nano: u64,
    #[serde(default, deserialize_with = "number", alias = "observed_time_unix_nano")]
    observed_time_unix_nano: u64,
    #[serde(default, alias = "severity_number")]
    severity_number: i64,
    #[serde(default, alias = "severity_text")]
    severity_text: String,
    #[serde(default, alias = "event_name")]
    event_name: String,
    #[serde(default, borrow)]
    body: Option<&'a RawValue>,
    #[serde(default, borrow)]
    attributes: Vec<KeyValue<'a>>,
    #[serde(default, alias = "trace_id")]
    trace_id: String,
    #[serde(default, alias = "span_id")]
    span_id: String,
}

/// A number, or a text with one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Text(String),
    Null(()),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Whole(number) => Ok(number),
        Number::Text(text) if text.is_empty() => Ok(0),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Number::Null(()) => Ok(0),
    }
}

/// Reads all records of `body`.
pub(super) fn read(body: &[u8], taker: &mut Taker) -> Result<(), String> {
    let request: Request<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    for ResourceLogs { resource, scope_logs } in request.resource_logs {
        let resource = members(resource.unwrap_or_default().attributes)?;
        for ScopeLogs { scope, log_records } in scope_logs {
            let Attributes { name, attributes } = scope.unwrap_or_default();
            let scope = members(attributes)?;
            let origin = Origin { resource: &resource, scope: &scope, logger: &name };
            for raw in log_records {
                match record(raw) {
                    Ok(record) => taker.take(&record, origin),
                    Err(why) => taker.logs.refuse(why),
                }
            }
        }
    }
    Ok(())
}

fn record(raw: &RawValue) -> Result<Record, String> {
    let record: LogRecord<'_> = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    if let Some(value) = record.body {
        any_value(value, &mut body, 0)?;
    }
    let id = |text: String| if text.bytes().all(|digit| digit == b'0') { String::new() } else { text };
    Ok(Record {
        time_nanos: record.time_unix_nano,
        observed_nanos: record.observed_time_unix_nano,
        severity_number: record.severity_number,
        severity_text: record.severity_text,
        event_name: record.event_name,
        trace_id: id(record.trace_id),
        span_id: id(record.span_id),
        body,
        attributes: members(record.attributes)?,
    })
}

/// Members of an object, as text.
fn members(attributes: Vec<KeyValue<'_>>) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write_members(attributes, &mut out, 0)?;
    Ok(out)
}

fn write_members(attributes: Vec<KeyValue<'_>>, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    let begin = out.len();
    for KeyValue { key, value } in attributes {
        let Some(value) = value else { continue };
        if out.len() > begin {
            out.push(b',');
        }
        text(&key, out);
        out.push(b':');
        any_value_or_null(value, out, depth)?;
    }
    Ok(())
}

fn any_value_or_null(value: &RawValue, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    let begin = out.len();
    any_value(value, out, depth)?;
    if out.len() == begin {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

/// Writes a value; an empty one is nothing.
fn any_value(value: &RawValue, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("values are nested more than {DEPTH_MAX} deep"));
    }
    let value: AnyValue<'_> = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
    if let Some(Values { values }) = value.array {
        out.push(b'[');
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            any_value_or_null(value, out, depth + 1)?;
        }
        out.push(b']');
    } else if let Some(Pairs { values }) = value.pairs {
        out.push(b'{');
        write_members(values, out, depth + 1)?;
        out.push(b'}');
    } else if let Some(number) = value.int {
        // 64-bit numbers are texts in protobuf's JSON.
        let digits = number.get().trim_matches('"');
        let number: i64 = digits.parse().map_err(|_| "`intValue` is no whole number".to_owned())?;
        out.extend_from_slice(number.to_string().as_bytes());
    } else {
        let scalars = [value.string, value.bool, value.double, value.bytes];
        let Some(scalar) = scalars.into_iter().flatten().next() else { return Ok(()) };
        if scalar.get().starts_with(['{', '[']) {
            return Err("a value is of another kind than it says".to_owned());
        }
        out.extend_from_slice(scalar.get().as_bytes());
    }
    Ok(())
}

/// Writes a text as JSON.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory does not fail.
    let _infallible = serde_json::to_writer(out, text);
}
