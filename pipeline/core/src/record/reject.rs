//! Records that could not be used, with their bytes.

use serde::Serialize;

use super::SourceRef;
use crate::event::Event;
use crate::id::Id;
use crate::tags::OwnTags;

/// Why a record could not be used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A format was forced and the line is not in it.
    WrongFormat,
    /// One group's text is full.
    GroupFull,
}

impl Reason {
    /// The reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongFormat => "wrong_format",
            Self::GroupFull => "group_full",
        }
    }
}

/// A record that could not be used, with its bytes.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Reject {
    /// Always `reject`.
    #[serde(rename = "type")]
    pub kind_of_record: &'static str,
    /// The same record has the same id in every run.
    pub id: Id,
    /// Why.
    pub reason: Reason,
    /// The record, where it is valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The record in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
    /// The key that its transport gave it, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_base64: Option<String>,
    /// The headers that its transport gave it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<RejectHeader>,
    /// Where it was read.
    pub source: SourceRef,
}

/// A header of a record that could not be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, schemars::JsonSchema)]
pub struct RejectHeader {
    /// Its name; one may come more than once.
    pub name: String,
    /// Its value, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

/// Bytes as text, or else in base64.
fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes))),
    }
}

/// The other way round. What is not base64 after all is nothing.
fn bytes_of(text: Option<&str>, base64: Option<&str>) -> Option<Vec<u8>> {
    match (text, base64) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, Some(base64)) => base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).ok(),
        (None, None) => None,
    }
}

impl Reject {
    /// A rejected event.
    pub fn new(event: &Event, reason: Reason) -> Self {
        let (raw, raw_base64) = text_or_base64(event.raw_bytes());
        let (mut key, mut key_base64, mut headers) = (None, None, Vec::new());
        for tag in event.tags() {
            let (value, value_base64) = tag.value.map(text_or_base64).unwrap_or_default();
            match tag.name {
                None => (key, key_base64) = (value, value_base64),
                Some(name) => headers.push(RejectHeader { name: name.to_owned(), value, value_base64 }),
            }
        }
        Self {
            kind_of_record: "reject",
            id: event.id(),
            reason,
            raw,
            raw_base64,
            key,
            key_base64,
            headers,
            source: SourceRef::new(event.source(), event.row()),
        }
    }
    /// The record's bytes, as they came.
    pub fn bytes(&self) -> Vec<u8> {
        bytes_of(self.raw.as_deref(), self.raw_base64.as_deref()).unwrap_or_default()
    }
    /// Its key and its headers, as they came.
    pub fn tags(&self) -> OwnTags {
        let value = |header: &RejectHeader| bytes_of(header.value.as_deref(), header.value_base64.as_deref());
        OwnTags {
            key: bytes_of(self.key.as_deref(), self.key_base64.as_deref()),
            headers: self.headers.iter().map(|header| (header.name.clone(), value(header))).collect(),
        }
    }
}
