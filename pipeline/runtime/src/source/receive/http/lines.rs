//! Bodies at `/`: JSON arrays, JSON values one after the other, or lines of any kind.

use hyper::header::HeaderMap;
use serde_json::value::RawValue;

use super::super::lines::{Lines, Sender};
use super::routes::Problem;

/// True when the sender says that the body is JSON, and not one value a line.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    super::routes::content_type(headers) == "application/json"
}

/// The lines of a body. One that begins with `[` and is a JSON array has a line in each item; with `json`, values may
/// be laid out over several lines; everything else is lines as they are.
pub(super) fn read(body: &[u8], json: bool, received: i64, sender: Sender) -> Result<Lines, Problem> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let mut lines = Lines::of(sender);
    if first == Some(&b'[') {
        match serde_json::from_slice::<Vec<&RawValue>>(body) {
            Ok(items) => {
                for item in items {
                    push_value(item, received, &mut lines);
                }
                return Ok(lines);
            }
            Err(error) if json => return Err(not_json(&error)),
            // A line may begin with a bracket, too.
            Err(_) => {}
        }
    } else if json {
        for value in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
            push_value(value.map_err(|error| not_json(&error))?, received, &mut lines);
        }
        return Ok(lines);
    }
    for line in body.split(|byte| *byte == b'\n') {
        lines.push(line.strip_suffix(b"\r").unwrap_or(line), received);
    }
    Ok(lines)
}

/// A text is a line by itself; other values are lines as they are written.
fn push_value(value: &RawValue, received: i64, lines: &mut Lines) {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => lines.push(text.as_bytes(), received),
        Err(_) => lines.push(value.get().as_bytes(), received),
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(
        400,
        format!(
            "the body is not JSON: {error}; for one value a line, send `Content-Type: application/x-ndjson`"
        ),
    )
}
