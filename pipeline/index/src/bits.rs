//! Columns of integers: frames of values, each stored as its distance to the frame's least value, in as few bits as
//! the widest distance needs. Any value can be read without its neighbours.
//!
//! ```text
//!  shift u8 | frames u16 | data_len u32 | frame: { base u64, width u8, at u32 }… | packed bits…
//! ```

use crate::Corrupt;

/// Values of a short frame; a column is cut into these where that saves bytes.
const SHORT: usize = 128;
const SHORT_SHIFT: u8 = 7;
/// One frame for the whole column.
const WHOLE_SHIFT: u8 = 16;
const HEAD_BYTES: usize = 13;
/// Bytes after a block's last column, so that eight bytes can be read at any value.
pub(crate) const PAD: usize = 8;

/// Where a column lies in its block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ints {
    heads: u32,
    data: u32,
    shift: u8,
}

/// Reads eight bytes; zero beyond the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |eight| u64::from_le_bytes(*eight))
}

fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

struct Frame {
    base: u64,
    width: u32,
    data: usize,
}

impl Frame {
    #[inline]
    fn value(&self, bytes: &[u8], at: usize) -> u64 {
        let bit = at * self.width as usize;
        let packed = word(bytes, self.data + bit / 8) >> (bit % 8);
        self.base.wrapping_add(packed & mask(self.width))
    }
}

impl Ints {
    #[inline]
    fn frame(self, bytes: &[u8], number: usize) -> Frame {
        let head = self.heads as usize + number * HEAD_BYTES;
        let Some(head) = bytes.get(head..).and_then(<[u8]>::first_chunk::<HEAD_BYTES>) else {
            return Frame { base: 0, width: 0, data: 0 };
        };
        let [b0, b1, b2, b3, b4, b5, b6, b7, width, a0, a1, a2, a3] = *head;
        Frame {
            base: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
            width: u32::from(width),
            data: self.data as usize + u32::from_le_bytes([a0, a1, a2, a3]) as usize,
        }
    }

    /// The value of row `row`; anything where the column has no such row.
    #[inline]
    pub(crate) fn get(self, bytes: &[u8], row: usize) -> u64 {
        let frame = self.frame(bytes, row >> self.shift);
        if frame.width == 0 { frame.base } else { frame.value(bytes, row & ((1 << self.shift) - 1)) }
    }

    /// Calls `take` with each row of `rows` and its value.
    #[inline]
    pub(crate) fn each(self, bytes: &[u8], rows: std::ops::Range<usize>, mut take: impl FnMut(usize, u64)) {
        let mut row = rows.start;
        while row < rows.end {
            let number = row >> self.shift;
            let first = number << self.shift;
            let end = rows.end.min(first + (1 << self.shift));
            let frame = self.frame(bytes, number);
            if frame.width == 0 {
                for at in row..end {
                    take(at, frame.base);
                }
            } else {
                for at in row..end {
                    take(at, frame.value(bytes, at - first));
                }
            }
            row = end;
        }
    }

    /// The one value of a column that holds no other.
    pub(crate) fn constant(self, bytes: &[u8]) -> Option<u64> {
        let frame = self.frame(bytes, 0);
        (self.shift == WHOLE_SHIFT && frame.width == 0).then_some(frame.base)
    }

    /// Finds a column of `rows` values at the reader's place.
    pub(crate) fn parse(reader: &mut Reader<'_>, rows: usize) -> Result<Self, Corrupt> {
        let shift = reader.u8()?;
        let frames = usize::from(reader.u16()?);
        if shift != SHORT_SHIFT && shift != WHOLE_SHIFT || frames != rows.div_ceil(1 << shift) {
            return Err(Corrupt("frames"));
        }
        let data_len = reader.u32()? as usize;
        let heads = reader.place()?;
        let mut left = rows;
        for _ in 0..frames {
            reader.u64()?;
            let width = usize::from(reader.u8()?);
            let at = reader.u32()? as usize;
            let values = left.min(1 << shift);
            left -= values;
            if (width > 57 && width != 64) || at + (values * width).div_ceil(8) > data_len {
                return Err(Corrupt("width"));
            }
        }
        let data = reader.place()?;
        reader.take(data_len)?;
        Ok(Self { heads, data, shift })
    }
}

fn width_of(range: u64) -> u32 {
    let width = 64 - range.leading_zeros();
    // Up to 57 bits can be read with one eight-byte load at any bit.
    if width > 57 { 64 } else { width }
}

fn range_of(values: &[u64]) -> (u64, u64) {
    let (mut least, mut most) = (u64::MAX, 0);
    for &value in values {
        least = least.min(value);
        most = most.max(value);
    }
    if least > most { (0, 0) } else { (least, most) }
}

/// Appends a column of at most 65,536 values.
pub(crate) fn write(values: &[u64], out: &mut Vec<u8>) {
    let bytes_of = |len: usize, (least, most): (u64, u64)| {
        HEAD_BYTES + (len * width_of(most - least) as usize).div_ceil(8)
    };
    let (least, most) = range_of(values);
    let whole = bytes_of(values.len(), (least, most));
    // Short frames can only save where values need bits at all.
    let ranges: Vec<(u64, u64)> =
        if whole > 2 * HEAD_BYTES { values.chunks(SHORT).map(range_of).collect() } else { Vec::new() };
    let lens = values.chunks(SHORT).map(<[u64]>::len);
    let short: usize = lens.zip(&ranges).map(|(len, range)| bytes_of(len, *range)).sum();
    if ranges.is_empty() || short >= whole {
        frames(values, WHOLE_SHIFT, &[(least, most)], whole, out);
    } else {
        frames(values, SHORT_SHIFT, &ranges, short, out);
    }
}

/// Appends a column that holds `value` in all its `rows`, at least one.
pub(crate) fn constant(value: u64, rows: usize, out: &mut Vec<u8>) {
    debug_assert!(rows <= 1 << WHOLE_SHIFT);
    frames(&[value], WHOLE_SHIFT, &[(value, value)], HEAD_BYTES, out);
}

fn frames(values: &[u64], shift: u8, ranges: &[(u64, u64)], bytes: usize, out: &mut Vec<u8>) {
    let count = values.len().div_ceil(1 << shift);
    out.reserve(bytes + HEAD_BYTES);
    out.push(shift);
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&len32(bytes.saturating_sub(ranges.len() * HEAD_BYTES)).to_le_bytes());
    let mut at = 0_usize;
    for (frame, (least, most)) in values.chunks(1 << shift).zip(ranges) {
        let width = width_of(most - least);
        out.extend_from_slice(&least.to_le_bytes());
        out.push(u8::try_from(width).unwrap_or(64));
        out.extend_from_slice(&len32(at).to_le_bytes());
        at += (frame.len() * width as usize).div_ceil(8);
    }
    for (frame, (least, most)) in values.chunks(1 << shift).zip(ranges) {
        pack(frame, *least, width_of(most - least), out);
    }
}

fn pack(values: &[u64], base: u64, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut held, mut bits) = (0_u64, 0_u32);
    for &value in values {
        let value = value.wrapping_sub(base);
        held |= value << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&held.to_le_bytes());
            bits -= 64;
            held = if bits == 0 { 0 } else { value >> (width - bits) };
        }
    }
    out.extend_from_slice(held.to_le_bytes().get(..bits.div_ceil(8) as usize).unwrap_or_default());
}

/// A length within a block, which is never near 4 GiB.
pub(crate) fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Reads a block from its beginning.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(Corrupt("end"))?;
        self.at += len;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        self.take(N)?.first_chunk().copied().ok_or(Corrupt("end"))
    }
    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        self.array().map(u8::from_le_bytes)
    }
    pub(crate) fn u16(&mut self) -> Result<u16, Corrupt> {
        self.array().map(u16::from_le_bytes)
    }
    pub(crate) fn u32(&mut self) -> Result<u32, Corrupt> {
        self.array().map(u32::from_le_bytes)
    }
    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_le_bytes)
    }
    /// Where the next read begins.
    pub(crate) fn place(&self) -> Result<u32, Corrupt> {
        u32::try_from(self.at).map_err(|_| Corrupt("length"))
    }
    pub(crate) fn rest(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }
}

/// Reads a little-endian `u64` at `at`; zero beyond the end.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    word(bytes, at)
}

/// Reads a little-endian `u32` at `at`; zero beyond the end.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(values: &[u64]) -> (Vec<u8>, Ints) {
        let mut bytes = Vec::new();
        write(values, &mut bytes);
        bytes.extend_from_slice(&[0; PAD]);
        let ints = Ints::parse(&mut Reader::new(&bytes), values.len()).unwrap();
        (bytes, ints)
    }

    fn columns() -> impl Strategy<Value = Vec<u64>> {
        (0_u32..65, 1_usize..700, any::<u64>()).prop_flat_map(|(width, len, base)| {
            proptest::collection::vec(any::<u64>(), len).prop_map(move |values| {
                values.into_iter().map(|value| base.wrapping_add(value & mask(width))).collect()
            })
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back(values in columns()) {
            let (bytes, ints) = stored(&values);
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(ints.get(&bytes, row), *value);
            }
            let mut seen = Vec::new();
            ints.each(&bytes, 0..values.len(), |row, value| seen.push((row, value)));
            prop_assert!(seen.iter().enumerate().all(|(at, (row, value))| at == *row && values[at] == *value));
        }
    }

    #[test]
    fn a_constant_costs_twenty_bytes() {
        let (bytes, ints) = stored(&vec![7; 4096]);
        assert_eq!(bytes.len(), 20 + PAD);
        assert_eq!(ints.constant(&bytes), Some(7));
    }

    #[test]
    fn rising_values_are_stored_in_short_frames() {
        let values: Vec<u64> = (0..4096).map(|at| at * 1000 + at % 7).collect();
        let (bytes, _) = stored(&values);
        assert!(bytes.len() < 4096 * 18 / 8, "{}", bytes.len());
    }
}
