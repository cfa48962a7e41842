//! How an entry travels from one stage to the next through a topic: as the record that it was, with its own headers,
//! and one header more that says what the record does not.
//!
//! ```text
//!  key      the request                                    value    the bytes as they were read first
//!  headers  traceparent: 00-4bf9…, …                       those of the record, as they came
//!           logbraid.key: …                                the record's key
//!           logbraid.entry: {"v":1,"input":"app-logs/3","offset":42,"time":…}      this
//! ```
//! The next stage parses the bytes again, with the same settings, and takes from the header what depends on the place
//! where they were read first: position, a carried time, attribution, and the texts of records that were joined from
//! several lines. So it has the same entry, with the same id.

use serde::{Deserialize, Serialize};

use crate::event::{Attribution, Event, FieldId, Flags, Format, KeyKind, Position, Source, TimeFrom};
use crate::tags::OwnTags;
use crate::time::EventTime;

/// The header that says what the record does not.
pub const ENTRY: &str = "logbraid.entry";
/// The header that holds the record's own key.
pub const KEY: &str = "logbraid.key";
/// The layout that this version writes; another one is not read.
const LAYOUT: u8 = 1;

/// What the bytes of an entry do not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    v: u8,
    /// The input that was read first.
    pub input: String,
    /// Its topic and partition, for Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<(String, i32)>,
    /// The offset or byte there.
    pub offset: u64,
    /// The line there, 0 where lines are not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u64,
    /// The event time in nanoseconds.
    pub time: i64,
    /// Where the time came from.
    #[serde(default, skip_serializing_if = "is_event")]
    pub from: TimeFrom,
    /// Marks, as [`Flags::bits`].
    #[serde(default, skip_serializing_if = "no_flags")]
    pub flags: u32,
    /// The service that its input implies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The host that its input implies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The name of the field that its key is, where it has another than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// The request that it was attributed to: kind, id, and how sure, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<(String, String, u8)>,
    /// What was found in an entry that was joined from several lines; nothing else was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Box<Joined>>,
}

/// What was found in an entry that was joined from several lines: apart, they cannot be joined the same way again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Joined {
    /// How it was understood.
    pub format: Format,
    /// Its duration in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Its texts, in the order of [`crate::Row::texts_mut`].
    pub texts: [Option<String>; 8],
    /// Its named fields: parent request, child request, operation, logger, exception.
    pub named: [Option<String>; 5],
}

/// The fields of [`Joined::named`].
pub const NAMED: [FieldId; 5] = [
    FieldId::PARENT_REQUEST,
    FieldId::CHILD_REQUEST,
    FieldId::OPERATION,
    FieldId::LOGGER,
    FieldId::EXCEPTION,
];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(line: &u64) -> bool {
    *line == 0
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn no_flags(flags: &u32) -> bool {
    *flags == 0
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_event(from: &TimeFrom) -> bool {
    *from == TimeFrom::Event
}

/// Why a header could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{ENTRY}` was not written by this version of logbraid: {0}")]
pub struct HandoverError(String);

impl Handover {
    /// What the bytes of `event` do not say.
    pub fn of(event: &Event) -> Self {
        let (row, source) = (event.row(), event.source());
        let name = event.key_name();
        Self {
            v: LAYOUT,
            input: source.name.clone(),
            topic: match &source.position {
                Position::Kafka { topic, partition } => Some((topic.clone(), *partition)),
                Position::Line | Position::Row | Position::Log => None,
            },
            offset: row.offset,
            line: row.line,
            time: row.time.nanos(),
            from: row.time_from,
            flags: event.flags().bits(),
            service: source.service.clone(),
            host: source.host.clone(),
            key_name: (name != crate::tags::KEY_NAME).then(|| name.to_owned()),
            request: event.attribution().and_then(|request| {
                // A field of the configuration's own is not known by number to another configuration.
                (!matches!(request.kind, KeyKind::Field(_)))
                    .then(|| (request.kind.name().to_owned(), request.value.clone(), request.confidence))
            }),
            joined: event.raw().contains('\n').then(|| Box::new(Joined::of(event))),
        }
    }

    /// The header's value.
    pub fn encode(&self) -> String {
        // Maps with texts as keys and finite numbers: there is nothing that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a header says.
    ///
    /// # Errors
    /// When it was not written by this version.
    pub fn decode(text: &str) -> Result<Self, HandoverError> {
        let read: Self = serde_json::from_str(text).map_err(|error| HandoverError(error.to_string()))?;
        if read.v == LAYOUT { Ok(read) } else { Err(HandoverError(format!("its layout is {}", read.v))) }
    }

    /// The request that the earlier stage attributed it to.
    pub fn attribution(&self) -> Option<Attribution> {
        let (kind, value, confidence) = self.request.as_ref()?;
        let kind = [KeyKind::Correlation, KeyKind::Trace, KeyKind::Thread]
            .into_iter()
            .find(|known| known.name() == kind)?;
        Some(Attribution { kind, value: value.clone(), confidence: (*confidence).min(100) })
    }

    /// The input that was read first, with everything else as in `through`, the topic that it came through.
    pub fn source(&self, through: &Source) -> Source {
        let position = match &self.topic {
            Some((topic, partition)) => Position::Kafka { topic: topic.clone(), partition: *partition },
            None => Position::Line,
        };
        Source {
            name: self.input.clone(),
            position,
            service: self.service.clone(),
            host: self.host.clone(),
            ..through.clone()
        }
    }
    /// The event time.
    pub const fn time(&self) -> EventTime {
        EventTime::from_nanos(self.time)
    }
    /// Marks.
    pub const fn flags(&self) -> Flags {
        Flags::of_bits(self.flags)
    }
}

impl Joined {
    fn of(event: &Event) -> Self {
        let mut row = *event.row();
        let duration_ms = row.duration_ms;
        Self {
            format: row.format,
            duration_ms: (!duration_ms.is_nan()).then_some(duration_ms),
            level: row.level.map(|level| level.name().to_owned()),
            texts: row.texts_mut().map(|text| event.text(*text).map(str::to_owned)),
            named: NAMED.map(|id| event.field(id).map(str::to_owned)),
        }
    }
}

/// The key and the headers of an entry on its way to the next stage. Words between stages that came with the record, but
/// not from a stage, end here.
pub fn tags(event: &Event) -> OwnTags {
    let mut tags = OwnTags { key: Some(request_key(event).into_bytes()), headers: Vec::new() };
    for tag in event.tags() {
        let value = tag.value.map(<[u8]>::to_vec);
        match tag.name {
            None => tags.headers.push((KEY.to_owned(), value)),
            Some(ENTRY | KEY) => {}
            Some(name) => tags.headers.push((name.to_owned(), value)),
        }
    }
    tags.headers.push((ENTRY.to_owned(), Some(Handover::of(event).encode().into_bytes())));
    tags
}

/// The key under which an entry is written so that everything of one request meets in one partition: the first of the
/// correlation id, the trace id, and the thread within its host and service; as `correlate` takes them. An entry with
/// none of these is alone, and goes by its own id.
pub fn request_key(event: &Event) -> String {
    let ids = [KeyKind::Correlation, KeyKind::Trace];
    let own = ids.into_iter().find_map(|kind| event.key(kind).filter(|id| !id.is_empty()));
    if let Some(id) = own.or_else(|| event.attribution().map(|request| request.value.as_str())) {
        return id.to_owned();
    }
    let Some(thread) = event.key(KeyKind::Thread).filter(|thread| !thread.is_empty()) else {
        return event.id().to_string();
    };
    match (event.host(), event.service()) {
        (None, None) => format!("{}/{thread}", event.source().name),
        (host, service) => {
            format!("{}/{}/{thread}", host.unwrap_or_default(), service.unwrap_or_default())
        }
    }
}
