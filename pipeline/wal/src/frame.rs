//! How records lie in a segment: in blocks of 32 KiB, as in LevelDB's log format, a record in one or more fragments.
//!
//! A fragment never crosses a block, so every block begins with a header: a reader that has lost its place goes on at
//! the next block, and bytes that a client sent are never taken for a header.
//!
//! ```text
//!  fragment: crc32 u32 │ length u16 │ kind u8 │ bytes       record: sequence u64 │ payload       (little endian)
//! ```

/// Bytes of a block.
const BLOCK: usize = 32 << 10;
/// Bytes before a fragment's own.
const HEADER: usize = 7;
/// Bytes of a record's sequence number.
const SEQUENCE: usize = 8;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Covers the segment's number too: blocks of a removed segment that a file system shows again after a power cut do not
/// pass for this one's.
fn checksum(segment: u64, kind: u8, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&[kind]);
    hasher.update(bytes);
    hasher.finalize()
}

/// The record as it is appended to segment `segment`, whose length is `at`.
pub(crate) fn encode(segment: u64, mut at: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(SEQUENCE + payload.len());
    record.extend_from_slice(&sequence.to_le_bytes());
    record.extend_from_slice(payload);
    let mut out = Vec::with_capacity(framed_max(payload.len()));
    let mut rest = record.as_slice();
    let mut first = true;
    loop {
        let left = left_in_block(at);
        if left <= HEADER {
            out.resize(out.len() + left, 0);
            at += left as u64;
            continue;
        }
        let (bytes, after) = rest.split_at(rest.len().min(left - HEADER));
        rest = after;
        let kind = match (first, rest.is_empty()) {
            (true, true) => FULL,
            (true, false) => FIRST,
            (false, false) => MIDDLE,
            (false, true) => LAST,
        };
        first = false;
        out.extend_from_slice(&checksum(segment, kind, bytes).to_le_bytes());
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.push(kind);
        out.extend_from_slice(bytes);
        at += (HEADER + bytes.len()) as u64;
        if rest.is_empty() {
            return out;
        }
    }
}

/// The most that a payload of `length` bytes takes in a segment.
pub(crate) const fn framed_max(length: usize) -> usize {
    let record = length + SEQUENCE;
    record + (record / (BLOCK - HEADER) + 2) * HEADER + HEADER
}

fn left_in_block(at: u64) -> usize {
    BLOCK - usize::try_from(at % BLOCK as u64).unwrap_or(0)
}

/// Reads the records of one segment, over damage.
pub(crate) struct Records {
    segment: u64,
    bytes: Vec<u8>,
    at: usize,
    newest: Option<u64>,
    whole_end: usize,
}

/// What a fragment is, and where its bytes end.
struct Fragment {
    kind: u8,
    end: usize,
}

impl Records {
    pub(crate) const fn new(segment: u64, bytes: Vec<u8>) -> Self {
        Self { segment, bytes, at: 0, newest: None, whole_end: 0 }
    }

    /// Where the last whole record ended; what follows is a torn tail once there are no more records.
    pub(crate) const fn whole_end(&self) -> usize {
        self.whole_end
    }

    fn fragment(&self) -> Option<Fragment> {
        let (header, rest) = self.bytes.get(self.at..)?.split_first_chunk::<HEADER>()?;
        let [a, b, c, d, low, high, kind] = *header;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let bytes = rest.get(..length).filter(|_| HEADER + length <= left_in_block(self.at as u64))?;
        let sound = checksum(self.segment, kind, bytes) == u32::from_le_bytes([a, b, c, d]);
        sound.then_some(Fragment { kind, end: self.at + HEADER + length })
    }
}

impl Iterator for Records {
    type Item = (u64, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut partial: Option<Vec<u8>> = None;
        while self.at < self.bytes.len() {
            let left = left_in_block(self.at as u64);
            if left <= HEADER {
                self.at += left;
                continue;
            }
            let Some(Fragment { kind, end }) = self.fragment() else {
                partial = None;
                self.at += left;
                continue;
            };
            let bytes = self.bytes.get(self.at + HEADER..end).unwrap_or_default();
            self.at = end;
            let record = match kind {
                FULL => bytes.to_vec(),
                FIRST => {
                    partial = Some(bytes.to_vec());
                    continue;
                }
                // The beginning is missing: the rest of a damaged record.
                MIDDLE | LAST => {
                    let Some(mut record) = partial.take() else { continue };
                    record.extend_from_slice(bytes);
                    if kind == MIDDLE {
                        partial = Some(record);
                        continue;
                    }
                    record
                }
                _ => continue,
            };
            partial = None;
            let Some((number, payload)) = record.split_first_chunk::<SEQUENCE>() else { continue };
            let sequence = u64::from_le_bytes(*number);
            if sequence < self.segment || self.newest.is_some_and(|newest| sequence <= newest) {
                continue;
            }
            self.newest = Some(sequence);
            self.whole_end = end;
            return Some((sequence, payload.to_vec()));
        }
        None
    }
}
