//! Where records were read, as they say it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::event::{Position, Row, Source};

/// Where a record was read.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct SourceRef {
    /// The input.
    pub input: String,
    /// The line, where lines are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u64,
    /// The byte where the record begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// The Kafka topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The Kafka partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// The Kafka offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(line: &u64) -> bool {
    *line == 0
}

impl SourceRef {
    /// Where `row` of `source` was read.
    pub fn new(source: &Source, row: &Row) -> Self {
        let mut place = Self {
            input: source.name.clone(),
            line: row.line,
            byte: None,
            topic: None,
            partition: None,
            offset: None,
        };
        match &source.position {
            Position::Line => place.byte = Some(row.offset),
            Position::Row => {}
            Position::Log => place.offset = Some(row.offset),
            Position::Kafka { topic, partition } => {
                place.topic = Some(topic.clone());
                place.partition = Some(*partition);
                place.offset = Some(row.offset);
            }
        }
        place
    }
}

pub(super) struct Place<'a>(pub(super) &'a Source, pub(super) &'a Row);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &self.0.name)?;
        if self.1.line > 0 {
            map.serialize_entry("line", &self.1.line)?;
        }
        match &self.0.position {
            Position::Line => map.serialize_entry("byte", &self.1.offset)?,
            Position::Row => {}
            Position::Log => map.serialize_entry("offset", &self.1.offset)?,
            Position::Kafka { topic, partition } => {
                map.serialize_entry("topic", topic)?;
                map.serialize_entry("partition", partition)?;
                map.serialize_entry("offset", &self.1.offset)?;
            }
        }
        map.end()
    }
}
