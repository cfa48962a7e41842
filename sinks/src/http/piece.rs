//! A record as its part of a request's body, and pieces put together to a body.

use hyper::body::Bytes;
use logbraid_core::{EventTime, Level, Record};
use serde_json::{Value, json};

use super::config::{Action, Config, Format};
use super::otlp;
use crate::about::{About, kind};
use crate::batch;
use crate::{Spans, ndjson};

/// A record as it is sent.
#[derive(Debug)]
pub(super) struct Piece {
    /// What pieces that stand together share: an action line, the labels of a stream, a resource.
    pub(super) head: String,
    /// Its time, where the format wants it apart.
    pub(super) time: EventTime,
    /// The record itself, as JSON; of spans, an array of resources.
    pub(super) text: Bytes,
    /// True for spans, which have an address of their own.
    pub(super) spans: bool,
}

impl Piece {
    pub(super) fn of(record: &Record, config: &Config, spans: Option<&Spans>) -> Self {
        let time = About::of(record).time;
        let plain = |head: String, text: Vec<u8>| Self { head, time, text: text.into(), spans: false };
        match config.format {
            Format::Ndjson => plain(String::new(), line(record)),
            Format::Bulk => {
                let mut text = line(record);
                if time.is_known() {
                    // What is searched by time in every index and data stream.
                    text.splice(..1, format!("{{\"@timestamp\":\"{time}\",").into_bytes());
                }
                plain(action(record, config), text)
            }
            Format::Loki => plain(labels(record, config).to_string(), line(record)),
            Format::Otlp => {
                if let Record::Timeline(group) = record
                    && let Some(text) = spans.and_then(|spans| spans(group))
                {
                    let text = text.into();
                    return Self { head: String::new(), time, text, spans: true };
                }
                let (resource, log) = otlp::log(record, time);
                plain(resource.to_string(), log.to_string().into_bytes())
            }
        }
    }
}

impl batch::Piece for Piece {
    fn bytes(&self) -> usize {
        self.head.len() + self.text.len() + 32
    }
}

fn line(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    ndjson::encode(record, &mut out);
    out.pop();
    out
}

fn revision(record: &Record) -> Option<u32> {
    match record {
        Record::Timeline(group) => Some(group.revision),
        Record::Finding(finding) => Some(finding.revision),
        _ => None,
    }
}

/// What `bulk` says before a document: by its id a document that comes twice is one, and by its revision an older one
/// never replaces a newer.
fn action(record: &Record, config: &Config) -> String {
    let mut about = json!({ "_index": config.index });
    if record.id() != logbraid_core::Id::default() {
        about["_id"] = json!(record.id());
        if let (Action::Index, Some(revision)) = (config.action, revision(record)) {
            about["version"] = json!(revision);
            about["version_type"] = json!("external_gte");
        }
    }
    match config.action {
        Action::Index => json!({ "index": about }),
        Action::Create => json!({ "create": about }),
    }
    .to_string()
}

/// The service that a record is about, and its level, in small letters.
fn labels(record: &Record, config: &Config) -> Value {
    let about = About::of(record);
    let level = about.level.unwrap_or(Level::Info);
    let mut labels = serde_json::Map::new();
    labels.insert("type".to_owned(), kind(record).into());
    labels.insert("service".to_owned(), about.service.unwrap_or("logbraid").into());
    labels.insert("level".to_owned(), level.name().to_ascii_lowercase().into());
    labels.extend(config.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    Value::Object(labels)
}

/// The body of a request with these pieces, and its media type. `now` stands for times that are not known.
pub(super) fn body<'a>(
    format: Format,
    pieces: impl Iterator<Item = &'a Piece> + Clone,
    now: EventTime,
) -> (Vec<u8>, &'static str) {
    let mut out = Vec::with_capacity(pieces.clone().map(batch::Piece::bytes).sum::<usize>() + 128);
    match format {
        Format::Ndjson | Format::Bulk => {
            for piece in pieces {
                if !piece.head.is_empty() {
                    out.extend_from_slice(piece.head.as_bytes());
                    out.push(b'\n');
                }
                out.extend_from_slice(&piece.text);
                out.push(b'\n');
            }
            return (out, "application/x-ndjson");
        }
        Format::Loki => {
            let value = |piece: &Piece, out: &mut Vec<u8>| {
                let time = if piece.time.is_known() { piece.time } else { now };
                let text = String::from_utf8_lossy(&piece.text);
                out.extend_from_slice(json!([time.nanos().max(0).to_string(), text]).to_string().as_bytes());
            };
            grouped(&mut out, pieces, ["{\"streams\":[", "{\"stream\":", ",\"values\":[", "]}", "]}"], value);
        }
        Format::Otlp if pieces.clone().next().is_some_and(|piece| piece.spans) => {
            out.extend_from_slice(b"{\"resourceSpans\":[");
            for (at, piece) in pieces.enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                // What is in the brackets of its array.
                out.extend_from_slice(
                    piece.text.get(1..piece.text.len().saturating_sub(1)).unwrap_or_default(),
                );
            }
            out.extend_from_slice(b"]}");
        }
        Format::Otlp => {
            let scope = concat!(
                ",\"scopeLogs\":[{\"scope\":{\"name\":\"logbraid\",\"version\":\"",
                env!("CARGO_PKG_VERSION"),
                "\"},\"logRecords\":["
            );
            let around = ["{\"resourceLogs\":[", "{\"resource\":", scope, "]}]}", "]}"];
            grouped(&mut out, pieces, around, |piece, out| out.extend_from_slice(&piece.text));
        }
    }
    (out, "application/json")
}

/// Writes pieces of one head together, in the order of their first.
fn grouped<'a>(
    out: &mut Vec<u8>,
    pieces: impl Iterator<Item = &'a Piece>,
    [begin, head, values, end, last]: [&str; 5],
    value: impl Fn(&Piece, &mut Vec<u8>),
) {
    let mut order: Vec<&str> = Vec::new();
    let mut of: std::collections::HashMap<&str, Vec<&Piece>> = std::collections::HashMap::new();
    for piece in pieces {
        let list = of.entry(&piece.head).or_default();
        if list.is_empty() {
            order.push(&piece.head);
        }
        list.push(piece);
    }
    out.extend_from_slice(begin.as_bytes());
    for (at, name) in order.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        for part in [head, name, values] {
            out.extend_from_slice(part.as_bytes());
        }
        for (at, piece) in of.get(name).into_iter().flatten().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            value(piece, out);
        }
        out.extend_from_slice(end.as_bytes());
    }
    out.extend_from_slice(last.as_bytes());
}
