//! Records that were read and parsed together.

use std::sync::Arc;

use super::{Attribution, FieldId, Row, Source, Text};
use crate::tags::Tags;

/// Where a row was read first, when an earlier stage handed it over through another topic.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The input that the earlier stage read; the row's `offset` and `line` are positions in it.
    pub source: Arc<Source>,
    /// The position of the row in its batch's own source: what progress and commits count by.
    pub at: u64,
    /// False for a record that did not come from an earlier stage, and is its own origin.
    pub handed_over: bool,
    /// The request that the earlier stage attributed it to.
    pub request: Option<Attribution>,
}

/// Records that were read and parsed together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they came from.
    pub source: Arc<Source>,
    /// Their bytes.
    pub text: String,
    /// One row per record, in the order of the source.
    pub rows: Vec<Row>,
    /// Extra fields, pointed to by rows.
    pub extras: Vec<(FieldId, Text)>,
    /// The original bytes of rows that were not valid UTF-8, by row number.
    pub originals: Vec<(u32, Vec<u8>)>,
    /// Keys and headers of rows, by row number.
    pub tags: Option<Box<Tags>>,
    /// Where each row was read first; empty unless an earlier stage wrote them, and then one for each row.
    pub origins: Vec<Origin>,
    /// Headers that did not become fields because they are not text.
    pub headers_left_out: u32,
    /// The bytes that were read, before any was decoded or mended.
    pub bytes: u64,
    /// Blank lines, which make no row.
    pub blank: u32,
    /// Rows that are not in the format that was forced on them, by row number, in rising order.
    pub rejected: Vec<u32>,
    /// The byte or offset after the last record.
    pub end_offset: u64,
    /// The line after the last record, 0 where lines are not counted.
    pub end_line: u64,
}

impl Batch {
    /// An empty batch of `source`.
    pub fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            text: String::new(),
            rows: Vec::new(),
            extras: Vec::new(),
            originals: Vec::new(),
            tags: None,
            origins: Vec::new(),
            headers_left_out: 0,
            bytes: 0,
            blank: 0,
            rejected: Vec::new(),
            end_offset: 0,
            end_line: 0,
        }
    }
    /// Where row `at` stands in the batch's source: what progress and commits count by.
    pub fn position_of(&self, at: u32) -> u64 {
        let at = at as usize;
        match self.origins.get(at) {
            Some(origin) => origin.at,
            None => self.rows.get(at).map_or(self.end_offset, |row| row.offset),
        }
    }
}
