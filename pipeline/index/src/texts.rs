//! Reads entries' texts: unpacks chunks and reads files, and remembers the last ones.

use std::ops::Range;
use std::sync::Arc;

use logbraid_core::{Id, IdBuilder, Position};

use crate::TextError;
use crate::block::Block;
use crate::entry::EntryRef;
use crate::open::{check_of, stored};
use crate::origin::{FileText, Origin};
use crate::pack::{Chunk, Unpacker};

/// Unpacked chunks that are remembered, 64 KiB each.
const CHUNKS_MAX: usize = 16;
/// Small, for files whose lines are not in the order of time are read here and there.
const PAGE_BYTES: usize = 8 << 10;
/// Pages of files that are remembered: so many sets of so many, so that files which are read side by side do not push
/// each other's pages out.
const SETS: usize = 128;
const WAYS: usize = 8;

/// Reads texts of a view's entries. Remembers up to 9 MiB of text, so that neighbours cost next to nothing: keep one for
/// as long as you read.
#[derive(Default)]
pub struct Texts<'v> {
    chunks: Vec<Unpacked<'v>>,
    /// The chunk that is replaced next.
    oldest: usize,
    unpacker: Unpacker,
    /// `SETS * WAYS` pages, or none yet.
    pages: Vec<Page<'v>>,
    /// Reads of pages so far: what orders them by their last use.
    uses: u64,
    /// A text that lies across pages.
    joined: Vec<u8>,
    /// The entry that was found last in its file, and where: several of its parts are asked for in turn.
    last: Option<(EntryRef<'v>, Found)>,
}

struct Unpacked<'v> {
    block: &'v Block,
    chunk: Chunk,
    /// Where each row's text ends, from the chunk's first row on.
    ends: Vec<u32>,
    text: Vec<u8>,
}

struct Page<'v> {
    origin: Option<&'v Arc<Origin>>,
    number: u64,
    /// When it was used last.
    used: u64,
    bytes: Vec<u8>,
}

#[derive(Clone)]
enum Found {
    Chunk(usize, Range<usize>),
    Page(usize, Range<usize>),
    Joined,
}

impl<'v> Texts<'v> {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole record as it came, without its terminator.
    pub fn raw(&mut self, entry: EntryRef<'v>) -> Result<&str, TextError> {
        let found = self.find_raw(entry)?;
        self.text(&found, 0..entry.raw_len())
    }

    /// The message; empty when it has none.
    pub fn message(&mut self, entry: EntryRef<'v>) -> Result<&str, TextError> {
        let (block, row) = (entry.block, entry.row);
        let number = |column| usize::try_from(block.number(column, row)).unwrap_or(usize::MAX);
        let start = number(block.at.message_start);
        let len = number(block.at.message_len);
        if len == 0 {
            return Ok("");
        }
        let kept = kept(entry);
        if kept & stored::MESSAGE != 0 {
            let found = self.find_stored(entry)?;
            let before = if kept & stored::RAW == 0 { 0 } else { entry.raw_len() };
            return self.text(&found, before..before.saturating_add(len));
        }
        let found = self.find_raw(entry)?;
        self.text(&found, start..start.saturating_add(len))
    }

    /// Its fields, without those that an entry carries by name; read from the raw text.
    pub fn fields(
        &mut self,
        entry: EntryRef<'v>,
    ) -> Result<serde_json::Map<String, serde_json::Value>, TextError> {
        let source = entry.source().ok_or(TextError::Corrupt)?;
        let format = entry.format();
        Ok(source.reader.fields(format, self.raw(entry)?))
    }

    /// The id of the entry's record: the same record at the same place has the same id in every run.
    pub fn id(&mut self, entry: EntryRef<'v>) -> Result<Id, TextError> {
        let source = entry.source().ok_or(TextError::Corrupt)?;
        let mut id = IdBuilder::default();
        match &source.position {
            Position::Kafka { topic, partition } => id.text(topic).number(i64::from(*partition)),
            Position::Line | Position::Row | Position::Log => {
                id.text(entry.service().unwrap_or_default()).text(self.raw(entry)?)
            }
        };
        Ok(id.number(i64::try_from(entry.offset()).unwrap_or(i64::MAX)).finish())
    }

    fn text(&self, found: &Found, part: Range<usize>) -> Result<&str, TextError> {
        let bytes = match found {
            Found::Chunk(slot, range) => {
                self.chunks.get(*slot).and_then(|chunk| chunk.text.get(range.clone()))
            }
            Found::Page(slot, range) => self.pages.get(*slot).and_then(|page| page.bytes.get(range.clone())),
            Found::Joined => Some(self.joined.as_slice()),
        };
        let part = bytes.and_then(|bytes| bytes.get(part)).ok_or(TextError::Corrupt)?;
        std::str::from_utf8(part).map_err(|_| TextError::Corrupt)
    }

    fn find_raw(&mut self, entry: EntryRef<'v>) -> Result<Found, TextError> {
        let kept = kept(entry);
        if kept & stored::DROPPED != 0 {
            return Err(TextError::TooLong);
        }
        if kept & stored::FILE == 0 {
            return self.find_stored(entry);
        }
        if let Some((last, found)) = &self.last
            && std::ptr::eq(last.block, entry.block)
            && last.row == entry.row
        {
            return Ok(found.clone());
        }
        self.last = None;
        let found = self.find_in_file(entry)?;
        self.last = Some((entry, found.clone()));
        Ok(found)
    }

    /// The entry's text in its block.
    fn find_stored(&mut self, entry: EntryRef<'v>) -> Result<Found, TextError> {
        let (block, row) = (entry.block, entry.row);
        let len = usize::try_from(block.number(block.at.text_len, row)).unwrap_or(usize::MAX);
        if len == 0 {
            self.last = None;
            self.joined.clear();
            return Ok(Found::Joined);
        }
        let known = |unpacked: &Unpacked<'_>| {
            std::ptr::eq(unpacked.block, block)
                && row >= unpacked.chunk.first
                && usize::from(row - unpacked.chunk.first) < unpacked.ends.len()
        };
        let slot = match self.chunks.iter().position(known) {
            Some(slot) => slot,
            None => self.unpack(block, row)?,
        };
        let unpacked = self.chunks.get(slot).ok_or(TextError::Corrupt)?;
        let at = usize::from(row - unpacked.chunk.first);
        let end = unpacked.ends.get(at).copied().ok_or(TextError::Corrupt)? as usize;
        Ok(Found::Chunk(slot, end.saturating_sub(len)..end))
    }

    fn unpack(&mut self, block: &'v Block, row: u16) -> Result<usize, TextError> {
        let chunk = block.at.chunks.of_row(&block.bytes, row).ok_or(TextError::Corrupt)?;
        let slot = if self.chunks.len() < CHUNKS_MAX {
            self.chunks.push(Unpacked { block, chunk, ends: Vec::new(), text: Vec::new() });
            self.chunks.len() - 1
        } else {
            self.oldest = (self.oldest + 1) % CHUNKS_MAX;
            self.oldest
        };
        let unpacked = self.chunks.get_mut(slot).ok_or(TextError::Corrupt)?;
        unpacked.block = block;
        unpacked.chunk = chunk;
        unpacked.ends.clear();
        if !block.at.chunks.unpack(&block.bytes, chunk, &mut self.unpacker, &mut unpacked.text) {
            return Err(TextError::Corrupt);
        }
        let mut end = 0_u64;
        let all = unpacked.text.len() as u64;
        let rows = usize::from(chunk.first)..usize::from(block.rows());
        let ends = &mut unpacked.ends;
        let mut full = false;
        block.at.text_len.each(&block.bytes, rows, |_, len| {
            end = end.saturating_add(len);
            full |= end > all;
            if !full {
                ends.push(u32::try_from(end).unwrap_or(u32::MAX));
            }
        });
        if usize::from(row.saturating_sub(chunk.first)) >= unpacked.ends.len() {
            return Err(TextError::Corrupt);
        }
        Ok(slot)
    }

    /// The entry's raw text in its file, checked against what was indexed.
    fn find_in_file(&mut self, entry: EntryRef<'v>) -> Result<Found, TextError> {
        let origin = entry.origin().ok_or(TextError::Corrupt)?;
        let file = origin.file().ok_or(TextError::Corrupt)?;
        let (offset, len) = (entry.offset(), entry.raw_len());
        let check = entry.block.number(entry.block.at.check, entry.row);
        // What was read some time ago may be stale: a page that fails is read once more.
        for again in [false, true] {
            let found = self.read(origin, file, offset, len, again)?;
            let bytes = match &found {
                Found::Page(slot, range) => {
                    self.pages.get(*slot).and_then(|page| page.bytes.get(range.clone()))
                }
                _ => Some(self.joined.as_slice()),
            };
            if bytes.is_some_and(|bytes| bytes.len() == len && u64::from(check_of(bytes)) == check) {
                return Ok(found);
            }
        }
        Err(file.changed())
    }

    fn read(
        &mut self,
        origin: &'v Arc<Origin>,
        file: &FileText,
        offset: u64,
        len: usize,
        again: bool,
    ) -> Result<Found, TextError> {
        let page_bytes = PAGE_BYTES as u64;
        let (first, last) = (offset / page_bytes, offset.saturating_add(len as u64) / page_bytes);
        let inside = usize::try_from(offset % page_bytes).unwrap_or(0);
        if first == last {
            let slot = self.page(origin, file, first, again)?;
            return Ok(Found::Page(slot, inside..inside + len));
        }
        self.joined.clear();
        if last - first > 1 {
            // Long texts are not worth remembering.
            self.joined.resize(len, 0);
            let read = file.read(offset, &mut self.joined)?;
            self.joined.truncate(read);
            return Ok(Found::Joined);
        }
        let slot = self.page(origin, file, first, again)?;
        let head = self.pages.get(slot).and_then(|page| page.bytes.get(inside..)).unwrap_or_default();
        self.joined.extend_from_slice(head);
        let rest = len.saturating_sub(PAGE_BYTES - inside);
        let slot = self.page(origin, file, last, again)?;
        let tail = self.pages.get(slot).and_then(|page| page.bytes.get(..rest)).unwrap_or_default();
        self.joined.extend_from_slice(tail);
        Ok(Found::Joined)
    }

    /// The slot of a page; `again` reads it once more.
    fn page(
        &mut self,
        origin: &'v Arc<Origin>,
        file: &FileText,
        number: u64,
        again: bool,
    ) -> Result<usize, TextError> {
        if self.pages.is_empty() {
            let empty = || Page { origin: None, number: 0, used: 0, bytes: Vec::new() };
            self.pages.resize_with(SETS * WAYS, empty);
        }
        // Neighbouring pages go to neighbouring sets; different files begin at different ones.
        let salt = Arc::as_ptr(origin) as usize / 64;
        let set = usize::try_from(number).unwrap_or(0).wrapping_add(salt) % SETS;
        let ways = self.pages.get_mut(set * WAYS..(set + 1) * WAYS).ok_or(TextError::Corrupt)?;
        let is_known = |page: &Page<'v>| {
            page.number == number && page.origin.is_some_and(|known| Arc::ptr_eq(known, origin))
        };
        let known = ways.iter().position(is_known);
        let oldest = || ways.iter().enumerate().min_by_key(|(_, page)| page.used).map(|(way, _)| way);
        let way = known.or_else(oldest).ok_or(TextError::Corrupt)?;
        let page = ways.get_mut(way).ok_or(TextError::Corrupt)?;
        self.uses += 1;
        page.used = self.uses;
        if known.is_none() || again {
            page.origin = None;
            page.bytes.resize(PAGE_BYTES, 0);
            let read = file.read(number * PAGE_BYTES as u64, &mut page.bytes)?;
            page.bytes.truncate(read);
            page.number = number;
            page.origin = Some(origin);
        }
        Ok(set * WAYS + way)
    }
}

fn kept(entry: EntryRef<'_>) -> u8 {
    u8::try_from(entry.block.number(entry.block.at.stored, entry.row)).unwrap_or(0)
}
