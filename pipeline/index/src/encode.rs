//! Turns rows into a block: sorted by time, column by column.
//!
//! ```text
//!  version u8 | rows u16 | time base, unit | times | origins: n × { first offset, last offset, first line, last line }
//!  | 14 columns of integers | templates | 6 dictionaries | 7 columns of codes | extra columns | text chunks | pad
//! ```

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use logbraid_core::{FieldId, Id};

use crate::bits::{self, PAD};
use crate::block::{Block, VERSION};
use crate::column::Column;
use crate::open::{OpenBlock, OpenRow};
use crate::origin::Origin;
use crate::pack::{Packer, Packing};

/// Time units that a block's times may be whole multiples of, finest first.
pub(crate) const UNITS: [u64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];
/// Durations that are no short decimal fractions are stored as they are.
pub(crate) const EXACT: u8 = 255;

/// Buffers that encoding uses again and again.
#[derive(Default)]
pub(crate) struct Encoder {
    values: Vec<u64>,
    renumber: Vec<u16>,
    order: Vec<u16>,
    out: Vec<u8>,
    packer: Packer,
}

impl Encoder {
    /// Bytes of memory held between blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * 8
            + (self.renumber.capacity() + self.order.capacity()) * 2
            + self.out.capacity()
            + self.packer.bytes()
    }

    /// The block of some rows of `open`.
    pub(crate) fn encode(&mut self, open: &OpenBlock, rows: Range<usize>, packing: Packing) -> Option<Block> {
        let first = rows.start;
        let rows = open.rows.get(rows).filter(|rows| !rows.is_empty())?;
        self.sort(rows, &open.origins);
        let mut used: Vec<Arc<Origin>> = Vec::new();
        let mut places = vec![u16::MAX; open.origins.len()];
        for row in rows {
            let Some(place) = places.get_mut(usize::from(row.origin)) else { continue };
            if *place == u16::MAX {
                *place = u16::try_from(used.len()).unwrap_or(u16::MAX);
                used.extend(open.origins.get(usize::from(row.origin)).map(Arc::clone));
            }
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out.push(VERSION);
        out.extend_from_slice(&u16::try_from(rows.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.times(rows, &mut out);
        self.positions(rows, &places, used.len(), &mut out);
        let plain: [fn(&OpenRow) -> u64; 11] = [
            |row| u64::from(row.raw_len),
            |row| u64::from(row.text_len),
            |row| u64::from(row.message_start),
            |row| u64::from(row.message_len),
            |row| u64::from(row.stored),
            |row| u64::from(row.check),
            |row| u64::from(row.level),
            |row| u64::from(row.format),
            |row| u64::from(row.time_from),
            |row| u64::from(row.flags),
            |row| u64::from(row.confidence),
        ];
        for of in plain {
            self.column(rows, of, &mut out);
        }
        self.durations(rows, &mut out);
        self.templates(rows, &mut out);
        self.names(open, rows, &mut out);
        self.extras(open, first..first + rows.len(), &mut out);
        let texts = self.order.iter().filter_map(|at| rows.get(usize::from(*at))).map(|row| {
            let start = row.text_start as usize;
            open.text.get(start..start + row.text_len as usize).unwrap_or_default()
        });
        self.packer.write(texts, packing, &mut out);
        out.extend_from_slice(&[0; PAD]);
        let bytes: Box<[u8]> = out.as_slice().into();
        // A rare huge record must not pin its size in the buffer.
        out.clear();
        out.shrink_to(2 << 20);
        self.out = out;
        // A block that was just written can be read; were it not so, its entries would be counted as lost.
        Block::parse(bytes, used.into()).ok()
    }

    /// By time, then source, then position: the order of every output.
    fn sort(&mut self, rows: &[OpenRow], origins: &[Arc<Origin>]) {
        let name =
            |row: &OpenRow| origins.get(usize::from(row.origin)).map_or("", |origin| &origin.source().name);
        let compare = |a: &OpenRow, b: &OpenRow| {
            a.time
                .cmp(&b.time)
                .then_with(|| if a.origin == b.origin { Ordering::Equal } else { name(a).cmp(name(b)) })
                .then_with(|| a.offset.cmp(&b.offset))
        };
        self.order.clear();
        self.order.extend((0..u16::MAX).take(rows.len()));
        if !rows.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
            self.order.sort_by(|a, b| match (rows.get(usize::from(*a)), rows.get(usize::from(*b))) {
                (Some(a), Some(b)) => compare(a, b),
                _ => Ordering::Equal,
            });
        }
    }

    fn fill(&mut self, rows: &[OpenRow], of: impl Fn(&OpenRow) -> u64) {
        self.values.clear();
        self.values.extend(self.order.iter().filter_map(|at| rows.get(usize::from(*at))).map(of));
    }

    fn column(&mut self, rows: &[OpenRow], of: impl Fn(&OpenRow) -> u64, out: &mut Vec<u8>) {
        // Many columns hold one value only, and need no gathering.
        let first = rows.first().map_or(0, &of);
        if rows.iter().all(|row| of(row) == first) {
            return bits::constant(first, rows.len(), out);
        }
        self.fill(rows, of);
        bits::write(&self.values, out);
    }

    fn times(&mut self, rows: &[OpenRow], out: &mut Vec<u8>) {
        let base = rows.iter().map(|row| row.time.nanos()).min().unwrap_or(0);
        // Wrapping, so that even the widest range of times is a `u64`.
        self.fill(rows, |row| row.time.nanos().wrapping_sub(base).cast_unsigned());
        let mut unit = 3_u8;
        for value in &self.values {
            while value % UNITS[usize::from(unit)] != 0 {
                unit -= 1;
            }
            if unit == 0 {
                break;
            }
        }
        let by = UNITS[usize::from(unit)];
        if by > 1 {
            for value in &mut self.values {
                *value /= by;
            }
        }
        out.extend_from_slice(&base.to_le_bytes());
        out.push(unit);
        bits::write(&self.values, out);
    }

    fn positions(&mut self, rows: &[OpenRow], places: &[u16], origins: usize, out: &mut Vec<u8>) {
        let place = |row: &OpenRow| places.get(usize::from(row.origin)).copied().unwrap_or(0);
        let mut ranges = vec![[u64::MAX, 0, u64::MAX, 0]; origins];
        for row in rows {
            let Some([first, last, first_line, last_line]) = ranges.get_mut(usize::from(place(row))) else {
                continue;
            };
            (*first, *last) = ((*first).min(row.offset), (*last).max(row.offset));
            (*first_line, *last_line) = ((*first_line).min(row.line), (*last_line).max(row.line));
        }
        out.extend_from_slice(&u16::try_from(origins).unwrap_or(u16::MAX).to_le_bytes());
        for number in ranges.iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.column(rows, |row| u64::from(place(row)), out);
        let base = |row: &OpenRow, which: usize| {
            ranges.get(usize::from(place(row))).and_then(|range| range.get(which)).copied().unwrap_or(0)
        };
        self.column(rows, |row| row.offset.wrapping_sub(base(row, 0)), out);
        self.column(rows, |row| row.line.wrapping_sub(base(row, 2)), out);
    }

    /// As whole numbers of the coarsest decimal unit that loses nothing of any row; 0 is "none".
    fn durations(&mut self, rows: &[OpenRow], out: &mut Vec<u8>) {
        // Every row is asked again for each unit: one that fits whole milliseconds may be too long for microseconds.
        let fits = |scale: f64| rows.iter().all(|row| scaled(row.duration_ms, scale).is_some());
        let unit =
            (0_u8..=6).map(|digits| (digits, 10_f64.powi(i32::from(digits)))).find(|(_, scale)| fits(*scale));
        if let Some((digits, scale)) = unit {
            out.push(digits);
            self.column(rows, |row| scaled(row.duration_ms, scale).unwrap_or(0), out);
        } else {
            out.push(EXACT);
            self.column(rows, |row| row.duration_ms.to_bits(), out);
        }
    }

    fn templates(&mut self, rows: &[OpenRow], out: &mut Vec<u8>) {
        let mut ids: Vec<Id> = Vec::new();
        let mut last = None;
        for row in rows {
            if last != Some(row.template) {
                last = Some(row.template);
                if ids.len() < 64 && ids.contains(&row.template) {
                    continue;
                }
                ids.push(row.template);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        out.extend_from_slice(&u16::try_from(ids.len()).unwrap_or(u16::MAX).to_le_bytes());
        for id in &ids {
            out.extend_from_slice(&id.0.to_le_bytes());
        }
        self.column(rows, |row| ids.binary_search(&row.template).unwrap_or(0) as u64, out);
    }

    fn names(&mut self, open: &OpenBlock, rows: &[OpenRow], out: &mut Vec<u8>) {
        let mut renumber = std::mem::take(&mut self.renumber);
        for column in Column::ALL {
            let Some(place) = column.place() else { continue };
            let code = |row: &OpenRow| row.codes.get(place).copied().unwrap_or(0);
            match (column, open.dicts.get(place)) {
                // Written with spans, whose dictionary they share and whose new numbers are still at hand.
                (Column::ParentSpan, _) | (_, None) => {}
                (Column::Span, Some(dict)) => {
                    let both =
                        rows.iter().flat_map(|row| row.codes.get(place..place + 2).unwrap_or_default());
                    dict.write(both.copied(), &mut renumber, out);
                }
                (_, Some(dict)) => dict.write(rows.iter().map(code), &mut renumber, out),
            }
            self.column(
                rows,
                |row| u64::from(renumber.get(usize::from(code(row))).copied().unwrap_or(0)),
                out,
            );
        }
        self.renumber = renumber;
    }

    fn extras(&mut self, open: &OpenBlock, rows: Range<usize>, out: &mut Vec<u8>) {
        let inside = |row: u16| rows.contains(&usize::from(row));
        let mut columns: Vec<(FieldId, u16)> = open.extra_columns.clone();
        columns.retain(|column| {
            open.extras.iter().any(|(row, field, nth, _)| inside(*row) && (*field, *nth) == *column)
        });
        columns.sort_unstable();
        out.extend_from_slice(&u16::try_from(columns.len()).unwrap_or(u16::MAX).to_le_bytes());
        let mut renumber = std::mem::take(&mut self.renumber);
        for (field, nth) in columns {
            let mut codes = vec![0_u16; rows.len()];
            for (row, of, at, code) in &open.extras {
                if inside(*row)
                    && (*of, *at) == (field, nth)
                    && let Some(slot) = codes.get_mut(usize::from(*row) - rows.start)
                {
                    *slot = *code;
                }
            }
            out.extend_from_slice(&field.0.to_le_bytes());
            open.extra_dict.write(codes.iter().copied(), &mut renumber, out);
            self.values.clear();
            self.values.extend(self.order.iter().map(|at| {
                let code = codes.get(usize::from(*at)).copied().unwrap_or(0);
                u64::from(renumber.get(usize::from(code)).copied().unwrap_or(0))
            }));
            bits::write(&self.values, out);
        }
        self.renumber = renumber;
    }
}

/// The longest duration in units: up to 2^53 every whole number is an `f64`.
const SCALED_MAX: f64 = 9_007_199_254_740_992.0;

/// `ms` in units of 1/`scale`, plus one, if nothing is lost; zero for "none".
fn scaled(ms: f64, scale: f64) -> Option<u64> {
    if ms.is_nan() {
        return Some(0);
    }
    let whole = (ms * scale).round();
    if ms.is_sign_negative()
        || !(0.0..=SCALED_MAX).contains(&whole)
        || (whole / scale).to_bits() != ms.to_bits()
    {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^63, checked above")]
    Some(whole as u64 + 1)
}
