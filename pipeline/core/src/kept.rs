//! Records of what was kept and of what was counted: samples and templates.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::event::{Event, Flags, Format, TimeFrom};
use crate::group::{Group, Key};
use crate::id::Id;
use crate::level::{Level, LevelCounts};
use crate::record::SourceRef;
use crate::time::EventTime;

/// An entry that was kept, and how many it stands for.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The entry's id: the same record at the same place has the same id in every run.
    pub id: Id,
    /// When it happened.
    pub time: EventTime,
    /// Where its time came from.
    pub time_from: TimeFrom,
    /// Its level.
    pub level: Option<Level>,
    /// Its message.
    pub message: String,
    /// The service that wrote it.
    pub service: Option<String>,
    /// The thread.
    pub thread: Option<String>,
    /// The request that was decided on; none for an entry without one.
    pub key: Option<Key>,
    /// The id of that request's timeline.
    pub timeline: Option<Id>,
    /// How it was understood.
    pub format: Format,
    /// Its template; the default when unknown.
    pub template: Id,
    /// Where it was read.
    pub source: SourceRef,
    /// Marks.
    pub flags: Flags,
    /// The whole record as it came, without its terminator.
    pub raw: Vec<u8>,
    /// The rule that decided, as the configuration names it.
    pub rule: &'static str,
    /// The probability with which it was kept, above 0, at most 1.
    pub probability: f64,
    /// False for an entry of a request that was not kept, shown because nothing is dropped in a dry run.
    pub kept: bool,
    /// The lines that it stands for, where they were told as one.
    pub repeats: Option<Repeats>,
}

/// Lines of one kind that were told as one.
#[derive(Clone, Copy, Debug, Serialize, schemars::JsonSchema)]
pub struct Repeats {
    /// How many.
    pub count: u64,
    /// When the first was written.
    #[schemars(with = "String")]
    pub first: EventTime,
    /// When the last was written.
    #[schemars(with = "String")]
    pub last: EventTime,
    /// Within which they are one, in milliseconds.
    pub interval_ms: u64,
}

impl Sample {
    /// How many entries it stands for: one over the probability; 0 when it was not kept.
    pub fn weight(&self) -> f64 {
        if self.kept { 1.0 / self.probability } else { 0.0 }
    }
    /// An entry of a request.
    pub fn of_row(group: &Group, at: usize, decision: (&'static str, f64, bool)) -> Option<Self> {
        let row = group.rows.get(at)?;
        let source = group.source(row)?;
        let (rule, probability, kept) = decision;
        let own = |text: Option<&str>| text.map(str::to_owned);
        let raw = group.raw_bytes(row).unwrap_or_default().to_vec();
        Some(Self {
            id: group.entry_id(row),
            time: row.time,
            time_from: row.time_from,
            level: row.level,
            message: group.message(row).to_owned(),
            service: own(group.service(row)),
            thread: own(group.get(row.thread)),
            key: Some(group.key.clone()),
            timeline: Some(group.id),
            format: row.format,
            template: row.template,
            source: SourceRef::new(source, row),
            flags: row.flags,
            raw,
            rule,
            probability,
            kept,
            repeats: None,
        })
    }
    /// An entry without a request.
    pub fn of_event(event: &Event, decision: (&'static str, f64, bool)) -> Self {
        let row = event.row();
        let (rule, probability, kept) = decision;
        Self {
            id: event.id(),
            time: row.time,
            time_from: row.time_from,
            level: row.level,
            message: event.message().to_owned(),
            service: event.service().map(str::to_owned),
            thread: event.text(row.thread).map(str::to_owned),
            key: None,
            timeline: None,
            format: row.format,
            template: event.template(),
            source: SourceRef::new(event.source(), row),
            flags: event.flags(),
            raw: event.raw_bytes().to_vec(),
            rule,
            probability,
            kept,
            repeats: None,
        }
    }
    /// Its record as it came, with the terminators of its lines.
    pub fn write_original(&self, to: &mut Vec<u8>) {
        write_original(&self.raw, self.flags, to);
    }
    /// The sampling threshold as OpenTelemetry's trace state carries it, `ot=th:…`: the 56-bit number of hashes that are
    /// rejected, in hexadecimal without its trailing zeros.
    pub fn threshold(&self) -> String {
        // Source: OpenTelemetry specification, "TraceState: Probability Sampling".
        const RANGE: f64 = 72_057_594_037_927_936.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^56")]
        let rejected = ((1.0 - self.probability).clamp(0.0, 1.0) * RANGE).round() as u64;
        if rejected == 0 {
            return "0".to_owned();
        }
        format!("{rejected:014x}").trim_end_matches('0').to_owned()
    }
}

/// Appends a record as it came: `raw` and the terminators of its lines.
pub fn write_original(raw: &[u8], flags: Flags, to: &mut Vec<u8>) {
    if flags.has(Flags::CRLF) {
        for line in raw.split(|byte| *byte == b'\n') {
            to.extend_from_slice(line);
            to.extend_from_slice(b"\r\n");
        }
    } else {
        to.extend_from_slice(raw);
        to.push(b'\n');
    }
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "sample")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("timestamp", &self.time)?;
        map.serialize_entry("timestamp_from", &self.time_from)?;
        if let Some(level) = self.level {
            map.serialize_entry("level", &level)?;
        }
        map.serialize_entry("message", &self.message)?;
        for (name, value) in [("service", &self.service), ("thread_id", &self.thread)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(key) = &self.key {
            map.serialize_entry("key", key)?;
        }
        if let Some(timeline) = &self.timeline {
            map.serialize_entry("timeline", timeline)?;
        }
        map.serialize_entry("format", &self.format)?;
        if self.template != Id::default() {
            map.serialize_entry("template", &self.template)?;
        }
        map.serialize_entry("source", &self.source)?;
        if let Ok(raw) = std::str::from_utf8(&self.raw) {
            map.serialize_entry("raw", raw)?;
        } else {
            let raw = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &self.raw);
            map.serialize_entry("raw_base64", &raw)?;
        }
        let flags: Vec<&str> = self.flags.names().collect();
        if !flags.is_empty() {
            map.serialize_entry("flags", &flags)?;
        }
        map.serialize_entry("rule", self.rule)?;
        map.serialize_entry("kept", &self.kept)?;
        map.serialize_entry("keep_probability", &self.probability)?;
        map.serialize_entry("weight", &self.weight())?;
        match &self.repeats {
            Some(repeats) => map.serialize_entry("repeats", repeats)?,
            None => map.serialize_entry("tracestate", &format!("ot=th:{}", self.threshold()))?,
        }
        map.end()
    }
}

impl schemars::JsonSchema for Sample {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sample".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let key = generator.subschema_for::<Key>();
        let source = generator.subschema_for::<SourceRef>();
        let level = generator.subschema_for::<Level>();
        let format = generator.subschema_for::<Format>();
        let from = generator.subschema_for::<TimeFrom>();
        let repeats = generator.subschema_for::<Repeats>();
        schemars::json_schema!({
            "type": "object",
            "description": "an entry that was kept, and how many it stands for",
            "properties": {
                "type": { "const": "sample" },
                "id": { "type": "string" },
                "timestamp": { "type": "string" },
                "timestamp_from": from,
                "level": level,
                "message": { "type": "string" },
                "service": { "type": "string" },
                "thread_id": { "type": "string" },
                "key": key,
                "timeline": { "type": "string", "description": "the id of the request's timeline" },
                "format": format,
                "template": { "type": "string" },
                "source": source,
                "raw": { "type": "string", "description": "the whole record as it came" },
                "raw_base64": { "type": "string", "description": "the same where it is not UTF-8" },
                "flags": { "type": "array", "items": { "type": "string" } },
                "rule": { "type": "string", "description": "the rule that decided" },
                "kept": { "type": "boolean", "description": "false only in a dry run" },
                "keep_probability": { "type": "number" },
                "weight": { "type": "number", "description": "how many entries it stands for" },
                "tracestate": { "type": "string", "description": "OpenTelemetry's form of the probability" },
                "repeats": repeats
            },
            "required": ["type", "id", "timestamp", "message", "source", "rule", "kept", "keep_probability", "weight"]
        })
    }
}

/// How often a template was seen in a window.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct TemplateCount {
    /// Always `template`.
    #[serde(rename = "type")]
    pub kind_of_record: &'static str,
    /// The same record has the same id in every run.
    pub id: Id,
    /// The template's id.
    pub template: Id,
    /// Its text, with `<*>` for what varies.
    pub pattern: String,
    /// The service that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where the window begins.
    pub start: EventTime,
    /// How long it is, in milliseconds.
    pub window_ms: u64,
    /// Messages in the window.
    pub count: u64,
    /// The same by level.
    #[schemars(with = "std::collections::BTreeMap<String, u64>")]
    pub levels: LevelCounts,
    /// One of the messages.
    pub example: String,
    /// Ids under which messages of it were known before; they were found to be of one template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<Id>,
}
