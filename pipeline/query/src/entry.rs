//! An entry as answers show it.

use logbraid_core::{EventTime, Id, Level, SourceRef};
use logbraid_index::{EntryRef, TextError, Texts};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// One entry of an answer. Absent values are left out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Entry {
    /// The same record at the same place has the same id in every run.
    pub id: Id,
    /// When it happened, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// TRACE to FATAL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The message.
    pub message: String,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The thread, process or goroutine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The correlation or request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The trace id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The parent span's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// Its other fields.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// The template of its message.
    pub template: Id,
    /// Where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
    /// The whole record as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Marks such as `multiline`, `late`, `attributed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<&'static str>,
}

impl Entry {
    /// Reads an entry; with `raw`, its raw text too. Fails when its file has gone or changed.
    pub fn read<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>, raw: bool) -> Result<Self, TextError> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            id: texts.id(entry)?,
            timestamp: entry.time().is_known().then(|| entry.time()),
            level: entry.level(),
            message: texts.message(entry)?.to_owned(),
            service: own(entry.service()),
            host: own(entry.host()),
            thread_id: own(entry.thread()),
            correlation_id: own(entry.correlation()),
            trace_id: own(entry.trace()),
            span_id: own(entry.span()),
            parent_span_id: own(entry.parent_span()),
            fields: texts.fields(entry)?,
            template: entry.template(),
            source: entry.source_ref(),
            raw: if raw { Some(texts.raw(entry)?.to_owned()) } else { None },
            flags: entry.flags().names().collect(),
        })
    }
}
