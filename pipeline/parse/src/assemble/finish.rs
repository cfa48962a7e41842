//! Joined lines become a batch of one row.

use std::sync::Arc;

use logbraid_core::{Batch, FieldId, Flags, Format, Row, Text, TimeFrom};

use super::Assembler;
use super::held::Join;
use crate::draft::{Draft, Piece};
use crate::parser::narrow;

impl Assembler {
    /// A batch of one row: a record and what was joined to it.
    pub(super) fn joined(&mut self, from: &Batch, at: u32, join: Join) -> Batch {
        let head = from.rows[at as usize];
        let mut batch = Batch::new(Arc::clone(&from.source));
        batch.tags = from.tags.as_ref().map(|tags| Box::new(tags.only(at)));
        batch.origins.extend(from.origins.get(at as usize).cloned());
        if from.rejected.binary_search(&at).is_ok() {
            batch.rejected.push(0);
        }
        let again = match &join.parts {
            Some(parts) => Some(parts.as_str()),
            // A JSON object that was printed over several lines.
            None if head.format == Format::Text && join.raw.starts_with('{') => Some(join.raw.as_str()),
            None => None,
        };
        if let Some(content) = again
            && let Some(row) = self.parse_again(&join, content, &head, &mut batch)
        {
            batch.rows.push(row);
            batch.originals.extend(join.bytes.map(|bytes| (0, bytes)));
            return batch;
        }
        let mut row = head;
        batch.text = join.raw;
        row.raw = Text { start: 0, len: narrow(batch.text.len()) };
        let mut moved = |text: Text| {
            if text.is_none() {
                return text;
            }
            if head.raw.contains(text) {
                return Text { start: text.start - head.raw.start, len: text.len };
            }
            let start = narrow(batch.text.len());
            batch.text.push_str(text.get(&from.text).unwrap_or_default());
            Text { start, len: text.len }
        };
        for text in row.texts_mut() {
            *text = moved(*text);
        }
        let start = head.extras_start as usize;
        let extras: Vec<(FieldId, Text)> = from
            .extras
            .get(start..start + head.extras_len as usize)
            .unwrap_or_default()
            .iter()
            .map(|(id, text)| (*id, moved(*text)))
            .collect();
        match join.message {
            Ok(start) => row.message = Text { start: narrow(start), len: row.raw.len - narrow(start) },
            Err(message) => {
                row.message = Text { start: narrow(batch.text.len()), len: narrow(message.len()) };
                batch.text.push_str(&message);
            }
        }
        batch.extras = extras;
        row.extras_start = 0;
        row.flags.set(join.flags);
        batch.rows.push(row);
        batch.originals.extend(join.bytes.map(|bytes| (0, bytes)));
        batch
    }

    /// Reads joined text as one record; `None` when it is none.
    fn parse_again(&mut self, join: &Join, content: &str, head: &Row, batch: &mut Batch) -> Option<Row> {
        batch.text.push_str(&join.raw);
        let at = narrow(batch.text.len());
        let parts = join.parts.is_some();
        let at = if parts { at } else { 0 };
        if parts {
            batch.text.push_str(content);
        }
        self.engine.begin(&batch.source, head.time);
        self.engine.tail.text.clear();
        self.engine.tail.base = narrow(batch.text.len());
        let mut draft = Draft::default();
        self.engine.line(&mut draft, Piece { text: content, at }, 1);
        if let Some(tags) = &batch.tags {
            let _counted_before = self.engine.tags(&mut draft, tags, 0);
        }
        draft.settle();
        if !parts && draft.row.format != Format::Json {
            batch.text.clear();
            return None;
        }
        draft.row.raw = Text { start: 0, len: narrow(join.raw.len()) };
        let known = draft.row.time.is_known();
        let mut row = self.engine.close(&mut draft, &mut batch.extras);
        batch.text.push_str(&self.engine.tail.text);
        self.engine.tail.text.clear();
        if !known {
            row.time = head.time;
            row.time_from = head.time_from;
            row.flags.clear(Flags::NO_TIMESTAMP);
            if head.time_from != TimeFrom::Event {
                row.flags.set(Flags::NO_TIMESTAMP);
            }
        }
        if row.service.is_none() {
            row.service = moved(head.service, head);
        }
        row.offset = head.offset;
        row.line = head.line;
        row.flags.set(join.flags);
        for flag in [Flags::STDERR, Flags::INVALID_UTF8, Flags::CRLF] {
            if head.flags.has(flag) {
                row.flags.set(flag);
            }
        }
        if !parts {
            row.flags.set(Flags::MULTILINE);
        }
        Some(row)
    }
}

/// A text of the head's line, moved to a buffer that begins with this line.
fn moved(text: Text, head: &Row) -> Text {
    if text.is_some() && head.raw.contains(text) {
        Text { start: text.start - head.raw.start, len: text.len }
    } else {
        Text::NONE
    }
}
