//! Records as messages of RFC 5424, which fit their bound.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

use logbraid_core::{EventTime, Level, Outcome, Record};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::config::{Config, Format, Framing, To};
use crate::about::{About, kind};
use crate::{batch, ndjson, net};

/// The longest names of the format's header, in characters.
const HOST_MAX: usize = 255;
const APP_MAX: usize = 48;

/// A record as it is sent.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    /// It was too long as it is.
    pub(super) cut: bool,
}

impl batch::Piece for Message {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes messages.
pub(super) struct Writer {
    facility: u8,
    host: String,
    app_name: String,
    format: Format,
    /// None for datagrams.
    framing: Option<Framing>,
    longest: usize,
}

impl Writer {
    pub(super) fn new(config: &Config, to: &To) -> Self {
        Self {
            facility: config.facility.number(),
            host: net::own_name(),
            app_name: config.app_name.clone(),
            format: config.format,
            framing: (!to.is_datagram()).then_some(config.framing),
            longest: config.longest(to),
        }
    }

    /// `now` stands for a time that is not known.
    pub(super) fn message(&self, record: &Record, now: &dyn Fn() -> EventTime) -> Message {
        let about = About::of(record);
        let time = if about.time.is_known() { about.time } else { now() };
        // The format has microseconds at most.
        let time = EventTime::from_nanos(time.nanos().div_euclid(1000).saturating_mul(1000));
        let priority = self.facility * 8 + severity(about.level.unwrap_or(Level::Info));
        let host = name(about.host.unwrap_or(&self.host), HOST_MAX);
        let app = name(about.service.unwrap_or(&self.app_name), APP_MAX);
        let mut message = format!("<{priority}>1 {time} {host} {app} - {} - ", kind(record)).into_bytes();
        if self.format == Format::Cee {
            message.extend_from_slice(b"@cee: ");
        }
        let room = self.longest.saturating_sub(message.len());
        let (text, cut) = self.text(record, room);
        message.extend_from_slice(&text);
        let bytes = match self.framing {
            None => message,
            Some(Framing::Newline) => [message.as_slice(), b"\n"].concat(),
            Some(Framing::Counted) => [message.len().to_string().as_bytes(), b" ", &message].concat(),
        };
        Message { bytes, cut }
    }

    /// What the record says in at most `room` bytes, and whether that is less than all.
    fn text(&self, record: &Record, room: usize) -> (Vec<u8>, bool) {
        let mut json = Vec::new();
        ndjson::encode(record, &mut json);
        json.pop();
        if self.format == Format::Text {
            let text = line(record).unwrap_or_else(|| String::from_utf8_lossy(&json).into_owned());
            let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            return (clean.as_bytes()[..clean.floor_char_boundary(room)].to_vec(), clean.len() > room);
        }
        if json.len() <= room {
            return (json, false);
        }
        (shortened(&json, room), true)
    }
}

/// What stays of a record that is too long: the members that are no lists and no objects, in their order, as far as they
/// fit, and `"cut":true`.
fn shortened(json: &[u8], room: usize) -> Vec<u8> {
    const END: &[u8] = b"\"cut\":true}";
    let Members(members) = serde_json::from_slice(json).unwrap_or_default();
    let mut out = b"{".to_vec();
    for (name, value) in members.iter().filter(|(_, value)| !value.get().starts_with(['[', '{'])) {
        let before = out.len();
        // What is written to memory does not fail.
        let _infallible = write!(out, "{}:{},", Value::from(name.as_ref()), value.get());
        if out.len() + END.len() > room {
            out.truncate(before);
        }
    }
    out.extend_from_slice(END);
    out
}

/// The members of an object as they are written: how deep they are does not matter.
#[derive(Default)]
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Read)
    }
}

/// One line for people, where there is one.
fn line(record: &Record) -> Option<String> {
    Some(match record {
        Record::Entry(event) => event.message().to_owned(),
        Record::Finding(finding) => {
            format!("{} {}: {}", finding.severity.name(), finding.kind.name(), finding.title)
        }
        Record::Timeline(group) => {
            let outcome = match group.outcome() {
                Outcome::Ok => "ok",
                Outcome::Error => "failed",
                Outcome::Incomplete => "is incomplete",
            };
            let milliseconds = (group.end().nanos() - group.start().nanos()) / 1_000_000;
            let (key, services) = (&group.key.value, group.services().join(", "));
            format!("request {key} {outcome} after {milliseconds} ms in {services}")
        }
        Record::Sample(_) | Record::Template(_) | Record::Reject(_) | Record::Stats(_) => return None,
    })
}

/// Severities of RFC 5424, section 6.2.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Fatal => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Trace | Level::Debug => 7,
    }
}

/// A name of the header: visible ASCII without spaces.
fn name(text: &str, most: usize) -> String {
    let name: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}
