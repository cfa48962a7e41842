//! A block: up to 4096 entries as columns, in the order of time.

use std::ops::Range;
use std::sync::Arc;

use logbraid_core::{EventTime, FieldId, Flags, Format, Id, Level, LevelCounts, TimeFrom};

use crate::Corrupt;
use crate::bits::{Ints, Reader, u64_at};
use crate::column::Column;
use crate::dict::Dict;
use crate::encode::{EXACT, UNITS};
use crate::entry::EntryRef;
use crate::open::{EXTRAS_MAX, FLAGS};
use crate::origin::Origin;
use crate::pack::Chunks;
use crate::texts::Texts;

/// Most entries of a block.
pub const ROWS_MAX: usize = 4096;
pub(crate) const VERSION: u8 = 1;
const FORMATS: [Format; 7] =
    [Format::Json, Format::Logfmt, Format::Syslog, Format::Clf, Format::Klog, Format::Custom, Format::Text];
const RANGE_BYTES: usize = 32;

/// A column of texts: a dictionary and a number per entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names {
    pub dict: Dict,
    pub codes: Ints,
}

#[derive(Clone, Copy, Debug)]
struct Extra {
    field: FieldId,
    names: Names,
}

/// Where columns lie in a block's bytes.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub rows: u16,
    base: i64,
    unit: u64,
    times: Ints,
    ranges: u32,
    pub origin: Ints,
    pub offset: Ints,
    line: Ints,
    pub raw_len: Ints,
    pub text_len: Ints,
    pub message_start: Ints,
    pub message_len: Ints,
    pub stored: Ints,
    pub check: Ints,
    pub level: Ints,
    format: Ints,
    time_from: Ints,
    pub flags: Ints,
    confidence: Ints,
    duration: Ints,
    duration_digits: u8,
    template_ids: u32,
    pub template_count: u16,
    pub template: Ints,
    pub names: [Names; Column::COUNT],
    pub chunks: Chunks,
    columns_bytes: u32,
    names_bytes: u32,
}

/// A block of entries. Immutable; shared by all views that show it.
#[derive(Debug)]
pub struct Block {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) origins: Box<[Arc<Origin>]>,
    pub(crate) at: Layout,
    extras: Box<[Extra]>,
    first: EventTime,
    last: EventTime,
    levels: LevelCounts,
    unknown_levels: u32,
}

impl Block {
    /// Reads the layout of a block; refuses bytes that are none. Nothing that a block answers can panic, whatever the
    /// bytes are.
    pub fn parse(bytes: Box<[u8]>, origins: Box<[Arc<Origin>]>) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(&bytes);
        let (at, extras) = layout(&mut reader, origins.len())?;
        let mut block = Self {
            at,
            extras: extras.into(),
            origins,
            first: EventTime::MIN,
            last: EventTime::MIN,
            levels: LevelCounts::default(),
            unknown_levels: 0,
            bytes,
        };
        block.first = block.time(0);
        block.last = block.time(block.rows() - 1);
        let (mut levels, mut unknown) = (LevelCounts::default(), 0);
        block.at.level.each(&block.bytes, 0..usize::from(block.rows()), |_, code| {
            let level = level_of(code);
            levels.add(level);
            unknown += u32::from(level.is_none());
        });
        block.levels = levels;
        block.unknown_levels = unknown;
        Ok(block)
    }

    /// Its bytes, as [`Self::parse`] reads them.
    pub fn encoded(&self) -> &[u8] {
        &self.bytes
    }
    /// How many entries it has, 1 to [`ROWS_MAX`].
    pub const fn rows(&self) -> u16 {
        self.at.rows
    }
    /// The time of its first entry.
    pub const fn first(&self) -> EventTime {
        self.first
    }
    /// The time of its last entry.
    pub const fn last(&self) -> EventTime {
        self.last
    }
    /// Its entries by level.
    pub const fn levels(&self) -> &LevelCounts {
        &self.levels
    }
    /// Its entries without a level.
    pub const fn unknown_levels(&self) -> u32 {
        self.unknown_levels
    }
    /// Bytes of memory that it holds, without the sources, which blocks share.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + 2 * size_of::<usize>()
            + self.bytes.len()
            + self.origins.len() * size_of::<Arc<Origin>>()
            + self.extras.len() * size_of::<Extra>()
    }
    /// Of these: columns, dictionaries, text.
    pub(crate) fn parts(&self) -> (usize, usize, usize) {
        let names = self.at.names_bytes as usize;
        let text = self.at.chunks.bytes();
        (self.bytes().saturating_sub(names + text), names, text)
    }
    /// All its entries.
    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        (0..self.rows()).map(|row| EntryRef { block: self, row })
    }

    pub(crate) fn time(&self, row: u16) -> EventTime {
        let units = self.at.times.get(&self.bytes, usize::from(row));
        EventTime::from_nanos(self.at.base.wrapping_add(units.wrapping_mul(self.at.unit).cast_signed()))
    }
    /// The rows whose times lie in `from..to`.
    pub(crate) fn rows_between(&self, from: EventTime, to: EventTime) -> Range<usize> {
        let before = |limit: EventTime| {
            let (mut low, mut high) = (0, self.rows());
            while low < high {
                let middle = low.midpoint(high);
                if self.time(middle) < limit {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            usize::from(low)
        };
        let start = if from <= self.first { 0 } else { before(from) };
        let end = if to > self.last { usize::from(self.rows()) } else { before(to) };
        start..end.max(start)
    }
    pub(crate) fn number(&self, column: Ints, row: u16) -> u64 {
        column.get(&self.bytes, usize::from(row))
    }
    pub(crate) fn origin(&self, row: u16) -> Option<&Arc<Origin>> {
        self.origins.get(usize::try_from(self.number(self.at.origin, row)).ok()?)
    }
    /// First and last offset, first and last line of the block's `origin`-th source.
    pub(crate) fn range(&self, origin: usize) -> [u64; 4] {
        let at = self.at.ranges as usize + origin * RANGE_BYTES;
        [0, 8, 16, 24].map(|step| u64_at(&self.bytes, at + step))
    }
    fn positioned(&self, column: Ints, row: u16, which: usize) -> u64 {
        let origin = usize::try_from(self.number(self.at.origin, row)).unwrap_or(usize::MAX);
        let base = if origin < self.origins.len() { self.range(origin)[which] } else { 0 };
        base.wrapping_add(self.number(column, row))
    }
    pub(crate) fn offset(&self, row: u16) -> u64 {
        self.positioned(self.at.offset, row, 0)
    }
    pub(crate) fn line(&self, row: u16) -> u64 {
        self.positioned(self.at.line, row, 2)
    }
    pub(crate) fn level(&self, row: u16) -> Option<Level> {
        level_of(self.number(self.at.level, row))
    }
    pub(crate) fn format(&self, row: u16) -> Format {
        let code = usize::try_from(self.number(self.at.format, row)).unwrap_or(usize::MAX);
        FORMATS.get(code).copied().unwrap_or_default()
    }
    pub(crate) fn time_from(&self, row: u16) -> TimeFrom {
        match self.number(self.at.time_from, row) {
            0 => TimeFrom::Event,
            1 => TimeFrom::Carried,
            _ => TimeFrom::Ingest,
        }
    }
    pub(crate) fn flags(&self, row: u16) -> Flags {
        let bits = self.number(self.at.flags, row);
        let mut flags = Flags::default();
        for (bit, flag) in (0..).zip(FLAGS) {
            if bits >> bit & 1 == 1 {
                flags.set(flag);
            }
        }
        flags
    }
    pub(crate) fn confidence(&self, row: u16) -> u8 {
        u8::try_from(self.number(self.at.confidence, row)).unwrap_or(100)
    }
    pub(crate) fn duration_ms(&self, row: u16) -> Option<f64> {
        let value = self.number(self.at.duration, row);
        if self.at.duration_digits == EXACT {
            let exact = f64::from_bits(value);
            return (!exact.is_nan()).then_some(exact);
        }
        let scale = 10_f64.powi(i32::from(self.at.duration_digits));
        value.checked_sub(1).map(|whole| whole as f64 / scale)
    }
    pub(crate) fn template_of(&self, code: u64) -> Id {
        let at = usize::try_from(code).unwrap_or(usize::MAX);
        if at >= usize::from(self.at.template_count) {
            return Id::default();
        }
        Id(u64_at(&self.bytes, self.at.template_ids as usize + at * 8))
    }
    pub(crate) fn template_code(&self, id: Id) -> Option<u64> {
        (0..u64::from(self.at.template_count)).find(|code| self.template_of(*code) == id)
    }
    /// The columns that hold `column`: one, or one per occurrence of a field; none where no entry has it.
    pub(crate) fn names(&self, column: Column) -> impl Iterator<Item = &Names> {
        let place = column.place();
        let fixed = place.and_then(|place| self.at.names.get(place));
        let extras = self.extras.iter().filter(move |extra| Column::Field(extra.field) == column);
        fixed.into_iter().chain(extras.map(|extra| &extra.names))
    }
    /// The fields that some of its entries have.
    pub(crate) fn fields(&self) -> impl Iterator<Item = FieldId> {
        self.extras.iter().map(|extra| extra.field)
    }
    pub(crate) fn name_of(&self, names: &Names, row: u16) -> Option<&str> {
        let code = u16::try_from(self.number(names.codes, row)).ok()?;
        names.dict.get(&self.bytes, code)
    }
}

pub(crate) fn level_of(code: u64) -> Option<Level> {
    let at = usize::try_from(code.checked_sub(1)?).ok()?;
    Level::ALL.get(at).copied()
}

fn layout(reader: &mut Reader<'_>, origins: usize) -> Result<(Layout, Vec<Extra>), Corrupt> {
    if reader.u8()? != VERSION {
        return Err(Corrupt("version"));
    }
    let count = reader.u16()?;
    let rows = usize::from(count);
    if rows == 0 || rows > ROWS_MAX {
        return Err(Corrupt("number of rows"));
    }
    let base = reader.u64()?.cast_signed();
    let unit = UNITS.get(usize::from(reader.u8()?)).copied().ok_or(Corrupt("unit of time"))?;
    let mut at = Layout { rows: count, base, unit, times: Ints::parse(reader, rows)?, ..Layout::default() };
    if usize::from(reader.u16()?) != origins {
        return Err(Corrupt("number of sources"));
    }
    at.ranges = reader.place()?;
    reader.take(origins * RANGE_BYTES)?;
    for column in [
        &mut at.origin,
        &mut at.offset,
        &mut at.line,
        &mut at.raw_len,
        &mut at.text_len,
        &mut at.message_start,
        &mut at.message_len,
        &mut at.stored,
        &mut at.check,
        &mut at.level,
        &mut at.format,
        &mut at.time_from,
        &mut at.flags,
        &mut at.confidence,
    ] {
        *column = Ints::parse(reader, rows)?;
    }
    at.duration_digits = reader.u8()?;
    if at.duration_digits > 6 && at.duration_digits != EXACT {
        return Err(Corrupt("unit of durations"));
    }
    at.duration = Ints::parse(reader, rows)?;
    at.template_count = reader.u16()?;
    at.template_ids = reader.place()?;
    reader.take(usize::from(at.template_count) * 8)?;
    at.template = Ints::parse(reader, rows)?;
    at.columns_bytes = reader.place()?;
    let mut spans = Dict::default();
    for column in Column::ALL {
        let dict = if column == Column::ParentSpan { spans } else { Dict::parse(reader)? };
        spans = dict;
        let names = Names { dict, codes: Ints::parse(reader, rows)? };
        if let Some(slot) = column.place().and_then(|place| at.names.get_mut(place)) {
            *slot = names;
        }
    }
    let extras = usize::from(reader.u16()?);
    if extras > EXTRAS_MAX {
        return Err(Corrupt("number of fields"));
    }
    let mut fields = Vec::with_capacity(extras);
    for _ in 0..extras {
        let field = FieldId(reader.u16()?);
        let names = Names { dict: Dict::parse(reader)?, codes: Ints::parse(reader, rows)? };
        fields.push(Extra { field, names });
    }
    at.names_bytes = reader.place()?.saturating_sub(at.columns_bytes);
    at.chunks = Chunks::parse(reader)?;
    if reader.rest() < crate::bits::PAD {
        return Err(Corrupt("end"));
    }
    Ok((at, fields))
}

/// Decodes `bytes` as a block and reads all that it holds; for fuzzing.
pub fn check(bytes: &[u8]) -> Result<(), Corrupt> {
    let source = Arc::new(logbraid_core::Source::lines("check", logbraid_core::PartitionId(0)));
    let origins: Box<[Arc<Origin>]> = Box::new([Arc::new(Origin::packed(source))]);
    let block = Block::parse(bytes.into(), origins)?;
    let mut texts = Texts::default();
    for entry in block.entries() {
        let _ = (
            entry.time(),
            entry.level(),
            entry.format(),
            entry.time_from(),
            entry.flags(),
            entry.confidence(),
        );
        let _ = (entry.offset(), entry.line(), entry.duration_ms(), entry.template(), entry.source_ref());
        for column in Column::ALL.into_iter().chain(block.fields().map(Column::Field)) {
            let _ = entry.get(column);
        }
        let _ = texts.raw(entry);
        let _ = texts.message(entry);
    }
    Ok(())
}
