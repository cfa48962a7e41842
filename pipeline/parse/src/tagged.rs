//! Records with keys and headers: what a header says becomes a field, and what an earlier stage handed over is taken
//! back as it was.
//!
//! ```text
//!  {"msg":"paid"}        traceparent: 00-4bf9…   tenant: acme      the line says no trace: the header's is taken
//!        └─ parsed ─► row ◄─ trace, span ─┘          └─► a field, as if it stood in the line
//! ```
//! What the line says itself counts more, wherever it says it.

use std::ops::Range;
use std::sync::Arc;

use logbraid_core::handover::{self, Handover, Joined, NAMED};
use logbraid_core::{Batch, Flags, Origin, Row, Source, Tag, Tags, Text};

use crate::draft::{Draft, Piece};
use crate::keys::{Slot, Style};
use crate::level;
use crate::parser::{Engine, Parser, Place, keep_original, narrow, record_texts};
use crate::raw::RawRecord;

/// Rank of what the first of several headers of one meaning says; below everything in the line.
const TAGGED: u8 = 241;
/// Longer values stay with the record and become no field: they are payload.
const VALUE_BYTES_MAX: usize = 4096;
/// Most inputs of earlier stages that a parser remembers.
const ORIGINS_MAX: usize = 4096;

impl Parser {
    /// Parses records of which some have tags.
    pub(crate) fn tagged(
        &mut self,
        bytes: Vec<u8>,
        records: Vec<RawRecord>,
        tags: Tags,
        handed_over: bool,
        batch: &mut Batch,
    ) {
        let end = records.last().map_or(0, |record| record.offset.saturating_add(1));
        let (text, records, originals) = record_texts(bytes, records);
        self.engine.tail.base = narrow(text.len());
        let ingest = self.engine.context.ingest;
        let mut originals = originals.into_iter().peekable();
        // The row of each record, and what is said of it once the words between stages are taken out.
        let mut rows: Vec<(u32, u32)> = Vec::with_capacity(records.len());
        let mut carried = handed_over.then(|| Tags::new(None));
        for (at, record) in records.iter().enumerate() {
            let number = narrow(at);
            if handed_over && text.get(record.range()).is_none_or(|text| text.trim().is_empty()) {
                batch.blank += 1;
                originals.next_if(|(number, _)| *number == at);
                continue;
            }
            let original = originals.next_if(|(number, _)| *number == at);
            self.engine.context.ingest = record.ingest.map_or(ingest, logbraid_core::EventTime::nanos);
            let next = narrow(batch.rows.len());
            let from = carried.as_mut().and_then(|carried| unpack(&tags, number, carried, next));
            let mut place = Place { offset: record.offset, line: 0, flags: Flags::default() };
            if original.is_some() {
                place.flags.set(Flags::INVALID_UTF8);
            }
            let Range { start, mut end } = record.range();
            // What was handed over has lost its end already.
            while from.is_none() && end > start && matches!(text.as_bytes()[end - 1], b'\n' | b'\r') {
                end -= 1;
            }
            let source = from.as_ref().map(|from| self.origin(from, &batch.source));
            if let Some(source) = &source {
                self.engine.begin(source, logbraid_core::EventTime::from_nanos(self.engine.context.ingest));
            }
            let said = carried.as_ref().map_or((&tags, number), |carried| (carried, next));
            let mut left_out = 0;
            let made = self.row(&text, start..end, place, batch, |engine, draft| {
                left_out = engine.tags(draft, said.0, said.1);
            });
            batch.headers_left_out += left_out;
            if !made {
                continue;
            }
            rows.push((number, next));
            if handed_over {
                let origin = Origin {
                    source: source.unwrap_or_else(|| Arc::clone(&batch.source)),
                    at: record.offset,
                    handed_over: from.is_some(),
                    request: from.as_ref().and_then(Handover::attribution),
                };
                batch.origins.push(origin);
            }
            if let Some(from) = from {
                self.restore(&from, &text, batch);
            }
            keep_original(batch, original.map(|(_, bytes)| bytes), text.get(record.range()));
        }
        self.engine.context.ingest = ingest;
        let mut kept = carried.unwrap_or(tags);
        // Without blank records, each has the number of its row already.
        if !handed_over && rows.len() < records.len() {
            kept.renumber(|number| {
                let at = rows.binary_search_by_key(&number, |(record, _)| *record).ok()?;
                rows.get(at).map(|(_, row)| *row)
            });
        }
        batch.tags = (!kept.is_empty()).then(|| Box::new(kept));
        self.finish(text, batch, end, 0);
    }

    /// The input that an earlier stage read.
    fn origin(&mut self, from: &Handover, through: &Arc<Source>) -> Arc<Source> {
        let known = self.origins.iter().position(|known| {
            known.name == from.input
                && known.partition == through.partition
                && known.service == from.service
                && known.host == from.host
        });
        if let Some(at) = known {
            // The one that is asked for most stands near the front.
            self.origins.swap(at, at / 2);
            return Arc::clone(&self.origins[at / 2]);
        }
        if self.origins.len() >= ORIGINS_MAX {
            self.origins.truncate(ORIGINS_MAX / 2);
        }
        let source = Arc::new(from.source(through));
        self.origins.push(Arc::clone(&source));
        source
    }

    /// Gives the row that was made last what its bytes do not say.
    fn restore(&mut self, from: &Handover, text: &str, batch: &mut Batch) {
        if batch.rejected.last() == Some(&narrow(batch.rows.len() - 1)) {
            // The earlier stage found it good.
            batch.rejected.pop();
        }
        let Some(row) = batch.rows.last_mut() else { return };
        (row.offset, row.line) = (from.offset, from.line);
        (row.time, row.time_from, row.flags) = (from.time(), from.from, from.flags());
        if let Some(joined) = &from.joined {
            let at = row.raw;
            self.rejoin(row, &mut batch.extras, joined);
            // A trace behind a JSON object hides the object's fields, which the head alone shows.
            if let Some(head) = at.get(text).and_then(|raw| raw.lines().next()) {
                self.draft.clear();
                self.engine.understand(&mut self.draft, Piece { text: head, at: at.start });
                let known = batch.extras.split_off((row.extras_start as usize).min(batch.extras.len()));
                let said = |id| self.draft.extras.iter().any(|(said, _)| *said == id);
                batch.extras.extend(known.into_iter().filter(|(id, _)| !said(*id)));
                batch.extras.append(&mut self.draft.extras);
                let len = batch.extras.len().saturating_sub(row.extras_start as usize);
                row.extras_len = u16::try_from(len).unwrap_or(u16::MAX);
            }
        }
    }

    fn rejoin(&mut self, row: &mut Row, extras: &mut Vec<(logbraid_core::FieldId, Text)>, joined: &Joined) {
        let mut put =
            |text: &Option<String>| text.as_ref().map_or(Text::NONE, |text| self.engine.tail.push(text));
        row.format = joined.format;
        row.duration_ms = joined.duration_ms.unwrap_or(f64::NAN);
        row.level = joined.level.as_deref().and_then(level::level_of);
        for (place, text) in row.texts_mut().into_iter().zip(&joined.texts) {
            *place = put(text);
        }
        // The row was made last, so that its extra fields are the last ones.
        let start = row.extras_start as usize;
        let asked = extras.split_off(start.min(extras.len()));
        extras.extend(NAMED.iter().zip(&joined.named).map(|(id, text)| (*id, put(text))));
        extras.extend(asked.into_iter().filter(|(id, _)| !NAMED.contains(id)));
        extras.retain(|(_, text)| text.is_some());
        row.extras_len = u16::try_from(extras.len().saturating_sub(start)).unwrap_or(u16::MAX);
    }
}

/// Takes the words between stages out of the tags of a record; what is left are those of row `row`.
fn unpack(tags: &Tags, number: u32, rest: &mut Tags, row: u32) -> Option<Handover> {
    let mut from = None;
    for tag in tags.of(number) {
        if tag.name == Some(handover::ENTRY) {
            from = tag.text().and_then(|text| Handover::decode(text).ok());
        }
    }
    let Some(from) = from else {
        // Nobody handed it over: a record like any other.
        for tag in tags.of(number) {
            rest.push(row, tag);
        }
        return None;
    };
    if let Some(name) = &from.key_name {
        rest.name_key(name);
    }
    for tag in tags.of(number) {
        match tag.name {
            // Its key there was the request.
            None | Some(handover::ENTRY) => {}
            Some(handover::KEY) => {
                rest.push(row, Tag { name: None, value: tag.value });
            }
            Some(_) => {
                rest.push(row, tag);
            }
        }
    }
    Some(from)
}

impl Engine {
    /// Takes what the tags of record `number` say and its line does not; counts the headers that are not text.
    pub(crate) fn tags(&mut self, draft: &mut Draft, tags: &Tags, number: u32) -> u32 {
        let mut left_out = 0;
        for tag in tags.of(number) {
            let Some(text) = tag.text() else {
                left_out += u32::from(tag.value.is_some());
                continue;
            };
            if text.len() <= VALUE_BYTES_MAX {
                self.tag(draft, tag.name.unwrap_or_else(|| tags.key_name()), text);
            }
        }
        left_out
    }

    fn tag(&mut self, draft: &mut Draft, name: &str, text: &str) {
        let Some(entry) = self.table.get(name) else { return };
        let (slot, style, extra) = (entry.slot, entry.style, entry.extra);
        let rank = TAGGED + entry.rank.min(u8::MAX - TAGGED - 1);
        let wanted = means_something(slot) && !is_told(draft, slot);
        let asked = extra.filter(|id| draft.extras.iter().all(|(known, _)| known != id));
        if !wanted && asked.is_none() {
            return;
        }
        let at = self.tail.push(text);
        if at.is_none() {
            return;
        }
        if let Some(id) = asked {
            draft.extra(id, at);
        }
        if !wanted {
            return;
        }
        let (span, parent, host) = (draft.row.span, draft.row.parent_span, draft.row.host);
        draft.take(slot, style, rank, Piece { text, at: at.start }, &mut self.day, &self.context);
        // One value may say several things; what the line says of them stays.
        for (known, now) in
            [(span, &mut draft.row.span), (parent, &mut draft.row.parent_span), (host, &mut draft.row.host)]
        {
            if known.is_some()
                && (style == Style::Pod || matches!(slot, Slot::Traceparent | Slot::B3 | Slot::XRay))
            {
                *now = known;
            }
        }
    }
}

/// What a header can say of a record: not its message, nor what is written over several keys.
const fn means_something(slot: Slot) -> bool {
    !matches!(
        slot,
        Slot::Message | Slot::Name | Slot::Stream | Slot::InstantSecond | Slot::InstantNano | Slot::Other
    )
}

/// True when the line says it.
fn is_told(draft: &mut Draft, slot: Slot) -> bool {
    let slot = match slot {
        Slot::Traceparent | Slot::B3 | Slot::XRay => Slot::Trace,
        slot => slot,
    };
    let known = match slot {
        Slot::Time => draft.row.time.is_known(),
        Slot::Level => draft.row.level.is_some(),
        Slot::Duration => !draft.row.duration_ms.is_nan(),
        slot => draft.text_of(slot).is_some(),
    };
    // What another header said may be said better.
    known && !(TAGGED..u8::MAX).contains(&draft.ranks[slot as usize])
}
