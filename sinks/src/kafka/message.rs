//! Records as messages: what becomes key, value and headers.
//!
//! ```text
//!             key        value                     headers
//!  json       id         the record as JSON        type
//!  original   its own    the bytes that were read  its own, and logbraid.… : why and from where
//!    entries                                       … logbraid.entry: what the next stage needs
//! ```

use logbraid_core::tags::OwnTags;
use logbraid_core::{Event, Record, Reject, SourceRef, handover};

use super::{Config, Content, MessageKey};
use crate::ndjson::Encode;

/// Headers of this beginning are ours; those that a record came with end when it is written.
const OURS: &str = "logbraid.";
/// Says how many bytes a record had that was too large.
const TOO_LARGE: &str = "logbraid.too_large";

/// A record on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(super) value: Vec<u8>,
}

impl Message {
    pub(super) fn of(record: &Record, config: &Config, encode: &mut Encode) -> Self {
        let mut message = match (config.value, record) {
            (Content::Original, Record::Reject(reject)) => of_reject(reject),
            (Content::Original, Record::Entry(event)) => of_entry(event, record),
            _ => {
                let mut value = Vec::with_capacity(512);
                encode(record, &mut value);
                // A message needs no line end.
                value.pop();
                let headers = vec![("type".to_owned(), Some(record.kind().name().into()))];
                Self { key: Some(record.id().to_string().into_bytes()), headers, value }
            }
        };
        match config.key {
            None => {}
            Some(MessageKey::Id) => message.key = Some(record.id().to_string().into_bytes()),
            Some(MessageKey::Request) => message.key = Some(request(record).into_bytes()),
            Some(MessageKey::Original) => message.key = original_key(record),
        }
        message
    }

    /// The bytes that it takes here.
    pub(super) fn bytes(&self) -> usize {
        let header =
            |(name, value): &(String, Option<Vec<u8>>)| name.len() + value.as_ref().map_or(0, Vec::len);
        self.value.len()
            + self.key.as_ref().map_or(0, Vec::len)
            + self.headers.iter().map(header).sum::<usize>()
    }

    /// What is written in place of a message that is larger than the topic takes.
    pub(super) fn stand_in(&self) -> Self {
        let text = serde_json::json!({
            "type": "error",
            "code": "too_large",
            "message": format!(
                "a record of {} bytes is larger than `message.max.bytes`; raise it in `properties` and at the broker",
                self.bytes()
            ),
            "id": self.key.as_deref().map(String::from_utf8_lossy),
        });
        let headers = vec![(TOO_LARGE.to_owned(), Some(self.bytes().to_string().into_bytes()))];
        Self {
            key: self.key.clone().filter(|key| key.len() <= 1024),
            headers,
            value: text.to_string().into_bytes(),
        }
    }
    pub(super) fn is_stand_in(&self) -> bool {
        self.headers.first().is_some_and(|(name, _)| name == TOO_LARGE)
    }
}

/// The bytes of a record that could not be used, as they came.
fn of_reject(reject: &Reject) -> Message {
    let OwnTags { key, mut headers } = reject.tags();
    headers.retain(|(name, _)| !name.starts_with(OURS));
    say_why(&mut headers, reject.reason.name(), &reject.id.to_string(), &reject.source);
    Message { key, headers, value: reject.bytes() }
}

/// The bytes of an entry, as they came, with everything that the next stage needs to have the same entry.
fn of_entry(event: &Event, record: &Record) -> Message {
    let OwnTags { mut headers, .. } = handover::tags(event);
    headers.retain(|(name, _)| !name.starts_with(OURS) || name == handover::ENTRY || name == handover::KEY);
    if record.kind() == logbraid_core::RecordKind::Late {
        let source = SourceRef::new(event.source(), event.row());
        say_why(&mut headers, "late", &event.id().to_string(), &source);
    }
    Message { key: original_key(record), headers, value: event.raw_bytes().to_vec() }
}

fn say_why(headers: &mut Vec<(String, Option<Vec<u8>>)>, reason: &str, id: &str, source: &SourceRef) {
    let mut say =
        |name: &str, value: String| headers.push((format!("{OURS}{name}"), Some(value.into_bytes())));
    say("reason", reason.to_owned());
    say("id", id.to_owned());
    say("input", source.input.clone());
    if let (Some(topic), Some(partition), Some(offset)) = (&source.topic, source.partition, source.offset) {
        say("topic", topic.clone());
        say("partition", partition.to_string());
        say("offset", offset.to_string());
    }
    if let Some(byte) = source.byte {
        say("byte", byte.to_string());
    }
    if source.line > 0 {
        say("line", source.line.to_string());
    }
}

/// The request that a record belongs to; its id where it belongs to none.
fn request(record: &Record) -> String {
    match record {
        Record::Entry(event) => handover::request_key(event),
        Record::Timeline(group) => group.key.value.clone(),
        Record::Finding(finding) => {
            finding.key.as_ref().map_or_else(|| finding.id.to_string(), |key| key.value.clone())
        }
        Record::Sample(sample) => {
            sample.key.as_ref().map_or_else(|| sample.id.to_string(), |key| key.value.clone())
        }
        Record::Template(template) => template.template.to_string(),
        Record::Reject(_) | Record::Stats(_) => record.id().to_string(),
    }
}

fn original_key(record: &Record) -> Option<Vec<u8>> {
    match record {
        Record::Entry(event) => {
            event.tags().find(|tag| tag.name.is_none()).and_then(|tag| tag.value).map(<[u8]>::to_vec)
        }
        Record::Reject(reject) => reject.tags().key,
        Record::Timeline(_)
        | Record::Finding(_)
        | Record::Sample(_)
        | Record::Template(_)
        | Record::Stats(_) => Some(record.id().to_string().into_bytes()),
    }
}
