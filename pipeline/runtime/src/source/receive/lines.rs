//! What lies in a record of the log: lines that arrived together.
//!
//! ```text
//!  layout u8 │ received i64 │ sender u64 │ length u32 │ line │ length u32 │ line │ …        (little endian)
//! ```
//!
//! Layout 1 had no sender.

/// The layout that this version writes.
const LAYOUT: u8 = 2;
/// The one before it, which may still lie in a log.
const WITHOUT_SENDER: u8 = 1;
/// Bytes before the first line.
const HEAD: usize = 17;
/// Bytes before each line.
const LENGTH: usize = 4;
/// What a record has beyond its longest line.
pub(super) const OVERHEAD: usize = HEAD + LENGTH;
/// Most lines of a record: their numbers are the lowest bits of an offset.
pub(super) const LINES_MAX: u64 = 1 << LINE_BITS;
const LINE_BITS: u32 = 12;
/// A record that has this many bytes is full; one longer line has a record of its own.
pub(super) const RECORD_BYTES: usize = 256 << 10;

/// A line's place in the log; as an offset it fits the numbers that JSON readers keep exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The record's number.
    pub(super) sequence: u64,
    /// The line's number in it.
    pub(super) line: u64,
}

impl Place {
    pub(super) const fn of(offset: u64) -> Self {
        Self { sequence: offset >> LINE_BITS, line: offset % LINES_MAX }
    }
    pub(super) const fn offset(self) -> u64 {
        (self.sequence << LINE_BITS) + self.line
    }
}

/// Who sent lines: a connection or a request, by a number that no other has. Lines of one sender may continue one another,
/// as those of a stack trace do; lines of two never do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sender(u64);

impl Sender {
    /// Of messages that are each whole: none continues another.
    pub(super) const WHOLE: Self = Self(0);

    pub(super) const fn numbered(number: u64) -> Self {
        // The number of those that are whole is taken.
        Self(if number == 0 { 1 } else { number })
    }
    /// True when the line with this number may continue what `before` sent just before its record.
    pub(super) fn goes_on(self, line: u64, before: Option<Self>) -> bool {
        self != Self::WHOLE && (line > 0 || before == Some(self))
    }
}

/// Lines on their way into the log, as its records. By default each stands for itself.
#[derive(Debug, Default)]
pub(super) struct Lines {
    sender: Sender,
    records: Vec<Vec<u8>>,
    /// Lines in the last record.
    last: u64,
    count: usize,
    bytes: usize,
}

impl Lines {
    pub(super) fn of(sender: Sender) -> Self {
        Self { sender, ..Self::default() }
    }
    /// Adds a line; a blank one is left out.
    pub(super) fn push(&mut self, line: &[u8], received: i64) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let full = self
            .records
            .last()
            .is_none_or(|record| self.last >= LINES_MAX || record.len() + LENGTH + line.len() > RECORD_BYTES);
        if full {
            let mut record = Vec::with_capacity(OVERHEAD + line.len());
            record.push(LAYOUT);
            record.extend_from_slice(&received.to_le_bytes());
            record.extend_from_slice(&self.sender.0.to_le_bytes());
            self.records.push(record);
            self.last = 0;
            self.bytes += HEAD;
        }
        let Some(record) = self.records.last_mut() else { return };
        // Bodies are far shorter than 4 GiB.
        record.extend_from_slice(&u32::try_from(line.len()).unwrap_or(u32::MAX).to_le_bytes());
        record.extend_from_slice(line);
        self.last += 1;
        self.count += 1;
        self.bytes += LENGTH + line.len();
    }
    /// How many lines there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }
    /// Bytes of all records.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
    pub(super) fn records(&self) -> &[Vec<u8>] {
        &self.records
    }
    pub(super) fn into_records(self) -> Vec<Vec<u8>> {
        self.records
    }
}

/// A record of the log, read back.
pub(super) struct Record<'a> {
    /// When it was received, in nanoseconds.
    pub(super) received: i64,
    pub(super) sender: Sender,
    rest: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` for what another version wrote.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (&layout, rest) = bytes.split_first()?;
        let (received, rest) = rest.split_first_chunk()?;
        let (sender, rest) = match layout {
            LAYOUT => {
                rest.split_first_chunk().map(|(sender, rest)| (Sender(u64::from_le_bytes(*sender)), rest))?
            }
            WITHOUT_SENDER => (Sender::WHOLE, rest),
            _ => return None,
        };
        Some(Self { received: i64::from_le_bytes(*received), sender, rest })
    }
}

impl<'a> Iterator for Record<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (line, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_come_back_in_order_and_no_record_has_too_many(
            lengths in prop::collection::vec(1..600_usize, 0..9000), received: i64, sender: u64,
        ) {
            let written: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
            let sender = Sender::numbered(sender);
            let mut lines = Lines::of(sender);
            for line in &written {
                lines.push(line, received);
                lines.push(b" \r\n", received);
            }
            prop_assert_eq!(lines.count(), written.len());
            let bytes = lines.bytes();
            let records = lines.into_records();
            prop_assert_eq!(bytes, records.iter().map(Vec::len).sum::<usize>());
            let mut read = Vec::new();
            for record in &records {
                prop_assert!(record.len() <= RECORD_BYTES);
                let record = Record::of(record).unwrap();
                prop_assert_eq!((record.received, record.sender), (received, sender));
                let lines: Vec<&[u8]> = record.collect();
                prop_assert!(lines.len() as u64 <= LINES_MAX);
                read.extend(lines);
            }
            prop_assert_eq!(read, written.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(record) = Record::of(&bytes) {
                prop_assert!(record.map(|line| line.len() + LENGTH).sum::<usize>() <= bytes.len());
            }
        }
        #[test]
        fn an_offset_is_a_place(sequence in 0..1_u64 << 40, line in 0..LINES_MAX) {
            let place = Place { sequence, line };
            prop_assert_eq!(Place::of(place.offset()), place);
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let bytes = b"\x01\x07\0\0\0\0\0\0\0\x02\0\0\0ab";
        let record = Record::of(bytes).expect("layout 1");
        assert_eq!((record.received, record.sender), (7, Sender::WHOLE));
        assert_eq!(record.collect::<Vec<_>>(), [b"ab"]);
    }

    #[test]
    fn only_lines_of_one_sender_go_on() {
        let [one, other] = [1, 2].map(Sender::numbered);
        assert!(one.goes_on(0, Some(one)) && one.goes_on(1, Some(other)));
        assert!(!one.goes_on(0, Some(other)) && !one.goes_on(0, None));
        assert!(!Sender::WHOLE.goes_on(1, Some(Sender::WHOLE)));
    }

    #[test]
    fn a_line_that_is_longer_than_a_record_usually_is_has_one_of_its_own() {
        let mut lines = Lines::default();
        for length in [10, RECORD_BYTES * 3, 10] {
            lines.push(&vec![b'x'; length], 0);
        }
        assert_eq!(lines.into_records().len(), 3);
    }
}
