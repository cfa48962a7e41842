//! Cuts a stream of bytes into runs of whole lines.
//!
//! ```text
//!  bytes ─► byte order mark? ─► UTF-8 as it is ──────────► text ─► whole lines ─► Lines { bytes, offset, line }
//!                           └─► UTF-16 decoded to UTF-8 ─┘    └─ the unfinished last line stays here
//! ```
//! However the reads cut the stream, the lines and their positions are the same. Offsets count the bytes of the stream
//! as it was read; for UTF-16 and for compressed input they count decoded bytes, and such input is resumed by reading
//! it again from its beginning. Memory is bounded: a line keeps at most `max_line + 1` bytes.

use std::collections::VecDeque;
use std::io;

use logbraid_core::progress::Mark;

/// Longest `max_line` that is honoured, in bytes; keeps positions within a batch under 4 GiB.
pub const MAX_LINE_LIMIT: usize = 1 << 30;

/// Whole lines that follow each other in their stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lines {
    /// The lines with their ends; only the last line of the stream may lack its end.
    pub bytes: Vec<u8>,
    /// The offset of the first byte.
    pub offset: u64,
    /// The 1-based number of the first line.
    pub line: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    /// Nothing was read yet that could not be part of a byte order mark.
    Unknown,
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// Where an earlier run stopped, while the text before it is read again and left out.
#[derive(Clone, Copy, Debug)]
struct LeftOut {
    until: u64,
    line: u64,
    /// Bytes since the last line end.
    since_line_end: u64,
}

/// Cuts one stream into lines.
#[derive(Debug)]
pub struct LineCutter {
    max_line: usize,
    encoding: Encoding,
    /// Bytes that are not text yet: the head while the encoding is unknown, half of a UTF-16 unit.
    raw: Vec<u8>,
    /// Text from the beginning of an unfinished line on.
    text: Vec<u8>,
    /// There is no line end in the text before this.
    searched: usize,
    /// The first half of a surrogate pair.
    high: Option<u16>,
    /// The rest of a line that is too long is being passed over.
    skipping: bool,
    left_out: Option<LeftOut>,
    offset: u64,
    line: u64,
    ready: VecDeque<Lines>,
}

impl LineCutter {
    /// A cutter for a stream from its beginning. A line keeps its first `max_line + 1` bytes (at most
    /// [`MAX_LINE_LIMIT`]), so that whoever parses it can tell that it was longer than `max_line`.
    pub fn new(max_line: usize) -> Self {
        Self {
            max_line: max_line.min(MAX_LINE_LIMIT),
            encoding: Encoding::Unknown,
            raw: Vec::new(),
            text: Vec::new(),
            searched: 0,
            high: None,
            skipping: false,
            left_out: None,
            offset: 0,
            line: 1,
            ready: VecDeque::new(),
        }
    }

    /// A cutter for a UTF-8 stream that is read from `mark` on. `before` are bytes that end there, from the last line
    /// end on, or `max_line + 1` of them: whether the mark lies in the cut-off rest of a line that is too long.
    pub fn at(max_line: usize, mark: Mark, before: &[u8]) -> Self {
        let mut cutter = Self::new(max_line);
        cutter.encoding = Encoding::Utf8;
        cutter.offset = mark.offset;
        cutter.line = mark.line;
        let since_line_end = memchr::memrchr(b'\n', before).map_or(before.len(), |at| before.len() - at - 1);
        cutter.skipping = since_line_end > cutter.max_line;
        cutter
    }

    /// A cutter for a stream that is read from its beginning and delivered from `mark` on.
    pub fn leaving_out(max_line: usize, mark: Mark) -> Self {
        let mut cutter = Self::new(max_line);
        if mark.offset > 0 {
            cutter.left_out = Some(LeftOut { until: mark.offset, line: mark.line, since_line_end: 0 });
        }
        cutter
    }

    /// Takes in what `read` appends. What it appended counts even when it returns an error.
    pub fn fill<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> io::Result<T>) -> io::Result<T> {
        let result = if self.encoding == Encoding::Utf8 { read(&mut self.text) } else { read(&mut self.raw) };
        self.decode(false);
        self.cut();
        result
    }

    /// The next run of whole lines.
    pub fn pop(&mut self) -> Option<Lines> {
        self.ready.pop_front()
    }

    /// True when [`Self::pop`] has a run of whole lines.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The stream has ended: the unfinished last line becomes a line. What comes after it begins a new one.
    pub fn finish(&mut self) {
        self.decode(true);
        self.cut();
        if !self.text.is_empty() {
            let rest = std::mem::take(&mut self.text);
            let len = rest.len();
            self.push(rest, len);
        }
        self.searched = 0;
    }

    /// True when text was read that is not part of a whole line yet.
    pub fn has_rest(&self) -> bool {
        !self.text.is_empty() || !self.raw.is_empty()
    }

    /// The place after everything that was cut: offset and line.
    pub const fn position(&self) -> (u64, u64) {
        (self.offset, self.line)
    }

    /// True while text is left out because an earlier run delivered it.
    pub const fn is_leaving_out(&self) -> bool {
        self.left_out.is_some()
    }

    fn decode(&mut self, end: bool) {
        if self.encoding == Encoding::Unknown {
            self.encoding = match self.raw.as_slice() {
                [0xEF, 0xBB, 0xBF, ..] => {
                    self.raw.drain(..3);
                    self.offset += 3;
                    Encoding::Utf8
                }
                [0xFF, 0xFE, ..] => {
                    self.raw.drain(..2);
                    Encoding::Utf16Le
                }
                [0xFE, 0xFF, ..] => {
                    self.raw.drain(..2);
                    Encoding::Utf16Be
                }
                [] | [0xEF | 0xFE | 0xFF] | [0xEF, 0xBB] if !end => return,
                _ => Encoding::Utf8,
            };
        }
        match self.encoding {
            Encoding::Unknown => {}
            Encoding::Utf8 if self.raw.is_empty() => {}
            Encoding::Utf8 if self.text.is_empty() => self.text = std::mem::take(&mut self.raw),
            Encoding::Utf8 => self.text.append(&mut self.raw),
            Encoding::Utf16Le => self.decode_utf16(u16::from_le_bytes, end),
            Encoding::Utf16Be => self.decode_utf16(u16::from_be_bytes, end),
        }
    }

    fn decode_utf16(&mut self, unit: fn([u8; 2]) -> u16, end: bool) {
        let whole = self.raw.len() & !1;
        let (pairs, _) = self.raw.as_chunks::<2>();
        for pair in pairs {
            let unit = unit(*pair);
            let high = self.high.take();
            match (high, unit) {
                (Some(high), 0xDC00..=0xDFFF) => {
                    let code = 0x1_0000 + ((u32::from(high) & 0x3FF) << 10) + (u32::from(unit) & 0x3FF);
                    push_char(&mut self.text, char::from_u32(code));
                    continue;
                }
                (Some(_), _) => push_char(&mut self.text, None),
                (None, _) => {}
            }
            match unit {
                0xD800..=0xDBFF => self.high = Some(unit),
                unit => push_char(&mut self.text, char::from_u32(u32::from(unit))),
            }
        }
        self.raw.drain(..whole);
        if end && (self.high.take().is_some() || !self.raw.is_empty()) {
            self.raw.clear();
            push_char(&mut self.text, None);
        }
    }

    fn cut(&mut self) {
        if !self.leave_out() || !self.skip() {
            return;
        }
        if let Some(at) = memchr::memrchr(b'\n', &self.text[self.searched..]) {
            let rest = self.text.split_off(self.searched + at + 1);
            let whole = std::mem::replace(&mut self.text, rest);
            self.hand_over(whole);
        }
        // Two more than `max_line` without an end: too long, whatever comes.
        if self.text.len() >= self.max_line + 2 {
            let len = self.text.len();
            let mut long = std::mem::take(&mut self.text);
            long.truncate(self.max_line + 1);
            long.push(b'\n');
            self.push(long, len);
            self.skipping = true;
        }
        self.searched = self.text.len();
    }

    /// Passes over what was delivered before. True when that is done.
    fn leave_out(&mut self) -> bool {
        let Some(mut left_out) = self.left_out else { return true };
        let missing = left_out.until.saturating_sub(self.offset);
        let len = usize::try_from(missing).unwrap_or(usize::MAX).min(self.text.len());
        let passed = &self.text[..len];
        left_out.since_line_end = match memchr::memrchr(b'\n', passed) {
            Some(at) => (len - at - 1) as u64,
            None => left_out.since_line_end + len as u64,
        };
        self.text.drain(..len);
        self.offset += len as u64;
        if self.offset < left_out.until {
            self.left_out = Some(left_out);
            return false;
        }
        self.left_out = None;
        self.line = left_out.line;
        self.skipping = left_out.since_line_end > self.max_line as u64;
        true
    }

    /// Passes over the rest of a line that is too long. True when its end was found.
    fn skip(&mut self) -> bool {
        if !self.skipping {
            return true;
        }
        let end = memchr::memchr(b'\n', &self.text);
        let len = end.map_or(self.text.len(), |at| at + 1);
        self.text.drain(..len);
        self.offset += len as u64;
        self.searched = 0;
        self.skipping = end.is_none();
        !self.skipping
    }

    /// Cuts lines that are too long out of whole lines.
    fn hand_over(&mut self, mut whole: Vec<u8>) {
        // So short that no line in it can be too long: the everyday case.
        if whole.len() <= self.max_line + 2 {
            let len = whole.len();
            return self.push(whole, len);
        }
        let (mut begin, mut line) = (0, 0);
        let mut cuts = Vec::new();
        for end in memchr::memchr_iter(b'\n', &whole) {
            if end - line >= self.max_line + 2 {
                cuts.push((begin, line + self.max_line + 1, end + 1));
                begin = end + 1;
            }
            line = end + 1;
        }
        for (begin, keep, end) in cuts {
            let mut bytes = whole[begin..keep].to_vec();
            bytes.push(b'\n');
            self.push(bytes, end - begin);
        }
        if begin < whole.len() {
            whole.drain(..begin);
            let len = whole.len();
            self.push(whole, len);
        }
    }

    /// `bytes` stand for the next `len` bytes of the text.
    fn push(&mut self, mut bytes: Vec<u8>, len: usize) {
        // A short read into a large buffer: do not keep the rest of it alive for as long as the lines.
        if bytes.capacity() > 2 * bytes.len() + 4096 {
            bytes.shrink_to_fit();
        }
        let lines = memchr::memchr_iter(b'\n', &bytes).count();
        self.ready.push_back(Lines { bytes, offset: self.offset, line: self.line });
        self.offset += len as u64;
        self.line += lines as u64;
    }
}

fn push_char(text: &mut Vec<u8>, char: Option<char>) {
    let char = char.unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
