//! An entry as a record.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::place::Place;
use crate::event::{Event, Flags};
use crate::id::Id;
use crate::level::Level;

pub(super) struct Names(pub(super) Flags);

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.names())
    }
}

pub(super) fn serialize_entry<S: Serializer>(event: &Event, serializer: S) -> Result<S::Ok, S::Error> {
    let row = event.row();
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", "entry")?;
    map.serialize_entry("id", &event.id())?;
    map.serialize_entry("timestamp", &row.time)?;
    map.serialize_entry("timestamp_from", &row.time_from)?;
    let mut text = |name: &'static str, value: Option<&str>| match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    };
    text("level", row.level.map(Level::name))?;
    text("message", Some(event.message()))?;
    text("service", event.service())?;
    text("host", event.host())?;
    text("thread_id", event.text(row.thread))?;
    let attributed = |kind| {
        event
            .attribution()
            .filter(|attribution| attribution.kind == kind)
            .map(|attribution| attribution.value.as_str())
    };
    text(
        "correlation_id",
        event.text(row.correlation).or_else(|| attributed(crate::event::KeyKind::Correlation)),
    )?;
    text("trace_id", event.text(row.trace).or_else(|| attributed(crate::event::KeyKind::Trace)))?;
    text("span_id", event.text(row.span))?;
    text("parent_span_id", event.text(row.parent_span))?;
    let fields = event.fields();
    if !fields.is_empty() {
        map.serialize_entry("fields", &fields)?;
    }
    map.serialize_entry("format", &row.format)?;
    if event.template() != Id::default() {
        map.serialize_entry("template", &event.template())?;
    }
    map.serialize_entry("source", &Place(event.source(), row))?;
    if event.flags().names().next().is_some() {
        map.serialize_entry("flags", &Names(event.flags()))?;
    }
    if let Some(attribution) = event.attribution() {
        map.serialize_entry("confidence", &(f64::from(attribution.confidence) / 100.0))?;
    }
    map.end()
}
