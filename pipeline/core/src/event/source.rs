//! Where records come from.

use std::sync::Arc;

use super::fields::{FieldReader, NoFields};

/// Numbers a source's partitions within one run: a file, a Kafka partition, a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PartitionId(pub u32);

/// What positions in a source mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Position {
    /// Bytes and lines of a file or a pipe.
    Line,
    /// Offsets of a Kafka partition.
    Kafka {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// Rows of a table, by their numbers; a row's number is its line, too.
    Row,
    /// Places in the write-ahead log of what was received over a network.
    Log,
}

/// Where records come from: one partition of one input.
#[derive(Clone, Debug)]
pub struct Source {
    /// The input as the user wrote it, or its path; shown in records and used to break ties in time.
    pub name: String,
    /// Its number in this run.
    pub partition: PartitionId,
    /// What its positions mean.
    pub position: Position,
    /// The service to assume when a record names none: a label, or read off the path.
    pub service: Option<String>,
    /// The host to assume when a record names none.
    pub host: Option<String>,
    /// Reads fields on demand.
    pub reader: Arc<dyn FieldReader>,
}

impl Source {
    /// A source of lines called `name`.
    pub fn lines(name: impl Into<String>, partition: PartitionId) -> Self {
        Self {
            name: name.into(),
            partition,
            position: Position::Line,
            service: None,
            host: None,
            reader: Arc::new(NoFields),
        }
    }
}
