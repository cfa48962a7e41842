//! Bytes as a source read them, before parsing.

use std::sync::Arc;

use logbraid_core::{EventTime, Source, Tags};

/// Whole records of one partition, in the order in which they were read.
#[derive(Debug)]
pub struct RawBatch {
    /// Where they came from.
    pub source: Arc<Source>,
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// How the bytes fall into records.
    pub framing: Framing,
    /// The moment of reading, or the newest transport timestamp: for records without any time, and to guess a missing year.
    pub ingest: EventTime,
}

/// How bytes fall into records.
#[derive(Debug)]
pub enum Framing {
    /// Lines end with LF or CRLF; the last one may lack its end only where the input ended.
    Lines {
        /// The byte position of the first line in its file or pipe.
        offset: u64,
        /// Its 1-based number.
        line: u64,
    },
    /// Records of a message log, each with a position of its own. A record that holds several lines is one record.
    Records(Vec<RawRecord>),
    /// The same, where the transport says more of some of them: keys and headers.
    Tagged {
        /// The records.
        records: Vec<RawRecord>,
        /// What is said of them, by their number in `records`.
        tags: Tags,
        /// True when an earlier stage wrote them, see [`logbraid_core::handover`].
        handed_over: bool,
    },
}

/// One record of a message log within a [`RawBatch`].
#[derive(Debug, Clone, Copy)]
pub struct RawRecord {
    /// First byte in the batch.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
    /// Its offset in the partition.
    pub offset: u64,
    /// The transport's own timestamp.
    pub ingest: Option<EventTime>,
    /// True when it came from another sender than the record before it: it continues nothing.
    pub fresh: bool,
}

impl RawRecord {
    /// Its bytes in the batch.
    pub const fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}
