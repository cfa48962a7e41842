//! systemd's Journal Export Format (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>), read as it comes.
//!
//! ```text
//!  NAME=text \n
//!  NAME \n length u64, little endian │ bytes │ \n
//!  \n                                               the entry ends
//! ```
//!
//! Nothing is believed before it is there: a length is a number of bytes to come, and memory is taken for those that came.

use memchr::{memchr, memchr2};

use super::entry::Entry;

/// A name has at most so many bytes.
const NAME_MAX: usize = 64;
/// The longest field: journald's own bound is 768 MiB.
const FIELD_BYTES_MAX: u64 = 1 << 30;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Wrong {
    #[error(
        "the body does not begin with a field of the Journal Export Format; send what `systemd-journal-upload` sends or \
         `journalctl -o export` writes, and lines of other formats to `/`"
    )]
    Other,
    #[error("a line of an entry is neither `NAME=value` nor the name of a binary field")]
    Line,
    #[error("a binary field has {0} bytes, as it says; journald's have less than 1 GiB")]
    Length(u64),
    #[error("a binary field does not end with a newline where its length says")]
    NoEnd,
    #[error("the body ends in the middle of a field")]
    Ended,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A line's beginning: a name, or its rest.
    Name,
    /// The value of `NAME=value`.
    Text,
    /// The length of a binary field.
    Length,
    /// So many bytes of a binary field.
    Bytes(u64),
    /// The newline behind them.
    Newline,
}

/// Reads entries out of a body that comes in parts of any length.
#[derive(Debug)]
pub(in super::super) struct Decoder {
    entry: Entry,
    next: Next,
    /// What has come of a name.
    name: Vec<u8>,
    /// The name is longer than one may be.
    long: bool,
    length: [u8; 8],
    lengths: usize,
    /// There was a field that is one.
    begun: bool,
    line: Vec<u8>,
    /// Entries of which something was left out.
    pub(in super::super) cut: u64,
}

/// Names as journald has them: capitals, digits and underlines.
fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|first| !first.is_ascii_digit())
        && name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

impl Decoder {
    /// For entries whose lines have at most `max` bytes.
    pub(in super::super) const fn new(max: usize) -> Self {
        Self {
            entry: Entry::new(max),
            next: Next::Name,
            name: Vec::new(),
            long: false,
            length: [0; 8],
            lengths: 0,
            begun: false,
            line: Vec::new(),
            cut: 0,
        }
    }
    /// Bytes of the entry that has begun.
    pub(in super::super) const fn holds(&self) -> usize {
        self.entry.holds() + self.name.len()
    }
    /// True while an entry has begun and has not ended.
    pub(in super::super) fn within(&self) -> bool {
        self.next != Next::Name || !self.name.is_empty() || self.long || !self.entry.is_empty()
    }

    /// Takes what came, and tells each entry that is complete.
    pub(in super::super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut tell: impl FnMut(&[u8]),
    ) -> Result<(), Wrong> {
        while !bytes.is_empty() {
            let taken = match self.next {
                Next::Name => self.name(bytes, &mut tell)?,
                Next::Text => {
                    let end = memchr(b'\n', bytes);
                    self.entry.push(&bytes[..end.unwrap_or(bytes.len())]);
                    if end.is_some() {
                        self.entry.end();
                        self.next = Next::Name;
                    }
                    end.map_or(bytes.len(), |end| end + 1)
                }
                Next::Length => self.length(bytes)?,
                Next::Bytes(0) => {
                    self.entry.end();
                    self.next = Next::Newline;
                    0
                }
                Next::Bytes(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.entry.push(&bytes[..taken]);
                    self.next = Next::Bytes(left - taken as u64);
                    taken
                }
                Next::Newline if bytes[0] == b'\n' => {
                    self.next = Next::Name;
                    1
                }
                Next::Newline => return Err(Wrong::NoEnd),
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// The body has ended: so has an entry whose fields are whole.
    pub(in super::super) fn finish(&mut self, mut tell: impl FnMut(&[u8])) -> Result<(), Wrong> {
        if self.next != Next::Name || !self.name.is_empty() || self.long {
            return Err(if self.begun { Wrong::Ended } else { Wrong::Other });
        }
        self.tell(&mut tell);
        Ok(())
    }

    /// A line's beginning, up to what follows the name; how many bytes that are.
    fn name(&mut self, bytes: &[u8], tell: &mut impl FnMut(&[u8])) -> Result<usize, Wrong> {
        let found = memchr2(b'=', b'\n', bytes);
        let part = &bytes[..found.unwrap_or(bytes.len())];
        self.long |= self.name.len() + part.len() > NAME_MAX;
        if !self.long {
            self.name.extend_from_slice(part);
        }
        let Some(end) = found else { return Ok(bytes.len()) };
        let allowed = !self.long && is_name(&self.name);
        if bytes[end] == b'\n' && self.name.is_empty() && !self.long {
            self.tell(tell);
            return Ok(end + 1);
        }
        match (bytes[end], allowed) {
            (_, false) if !self.begun => return Err(Wrong::Other),
            (_, true) => self.entry.begin(&self.name),
            // The journal has such names from programs that did not ask journald.
            (b'=', false) => self.entry.leave_out(),
            (_, false) => return Err(Wrong::Line),
        }
        self.next = if bytes[end] == b'=' { Next::Text } else { Next::Length };
        self.begun = true;
        self.name.clear();
        self.long = false;
        Ok(end + 1)
    }

    fn length(&mut self, bytes: &[u8]) -> Result<usize, Wrong> {
        let taken = bytes.len().min(self.length.len() - self.lengths);
        self.length[self.lengths..][..taken].copy_from_slice(&bytes[..taken]);
        self.lengths += taken;
        if self.lengths == self.length.len() {
            let length = u64::from_le_bytes(self.length);
            if length > FIELD_BYTES_MAX {
                return Err(Wrong::Length(length));
            }
            (self.next, self.lengths) = (Next::Bytes(length), 0);
        }
        Ok(taken)
    }

    fn tell(&mut self, tell: &mut impl FnMut(&[u8])) {
        self.cut += u64::from(self.entry.cut);
        self.line.clear();
        self.entry.write(&mut self.line);
        if !self.line.is_empty() {
            tell(&self.line);
        }
        self.line.shrink_to(LINE_SPARE_BYTES);
    }
}

/// Memory that is kept for the next line.
const LINE_SPARE_BYTES: usize = 64 << 10;
