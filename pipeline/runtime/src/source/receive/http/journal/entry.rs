//! An entry of a journal on its way to a line of JSON, as `journalctl -o json` writes one: values are texts, or arrays of
//! bytes where they are not UTF-8; a name that comes again has an array of its values.

use std::io::Write as _;

/// Most fields of an entry, as journald has it.
const FIELDS_MAX: usize = 1024;
/// What a field takes in JSON beyond its name and its value: quotes, colon and comma, and two brackets.
const FIELD_BYTES: usize = 8;
/// Memory that is kept for the next entry.
const SPARE_BYTES: usize = 64 << 10;

/// A field: where its name and its value lie.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: usize,
    value: usize,
    end: usize,
}

/// An entry that is being read. Its line of JSON never has more than `max` bytes: what would be more is left out.
#[derive(Debug)]
pub(super) struct Entry {
    max: usize,
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// What the line will have, at most.
    cost: usize,
    /// The field whose value is being read; none for one that is left out.
    open: Option<Field>,
    /// A part of the open value was left out.
    short: bool,
    /// Something of the entry was left out.
    pub(super) cut: bool,
}

impl Entry {
    pub(super) const fn new(max: usize) -> Self {
        Self { max, bytes: Vec::new(), fields: Vec::new(), cost: 2, open: None, short: false, cut: false }
    }
    /// Bytes that it holds.
    pub(super) const fn holds(&self) -> usize {
        self.bytes.len() + self.fields.len() * size_of::<Field>()
    }
    /// True when nothing of it has come.
    pub(super) const fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.cut
    }

    /// A field begins; its name is one that is allowed.
    pub(super) fn begin(&mut self, name: &[u8]) {
        if self.fields.len() == FIELDS_MAX || self.cost + FIELD_BYTES + name.len() >= self.max {
            return self.leave_out();
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.open = Some(Field { name: at, value: self.bytes.len(), end: 0 });
        self.short = false;
    }
    /// A field begins of which nothing is wanted.
    pub(super) const fn leave_out(&mut self) {
        self.open = None;
        self.cut = true;
    }
    /// More of the open value.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(open) = self.open else { return };
        let room = self.room(open).saturating_sub(self.bytes.len() - open.value);
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        self.short |= taken < bytes.len();
    }
    /// The open field ends.
    pub(super) fn end(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let value = &self.bytes[open.value..];
        let (length, cost) = fitting(value, self.short, self.room(open));
        self.cut |= self.short || length < value.len();
        open.end = open.value + length;
        self.bytes.truncate(open.end);
        self.cost += FIELD_BYTES + (open.value - open.name) + cost;
        self.fields.push(open);
    }
    /// What a value may take of the line: one that is very long leaves something to those behind it.
    fn room(&self, open: Field) -> usize {
        let left = self.max.saturating_sub(self.cost + FIELD_BYTES + (open.value - open.name));
        left.min(self.max / 16 * 15)
    }

    /// The line, which is added to `out`, if there is a field; and the entry is empty again.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) {
        let name = |field: &Field| &self.bytes[field.name..field.value];
        // Those of one name, one behind the other; names in the order in which they came.
        let mut fields = self.fields.clone();
        fields.sort_by(|a, b| name(a).cmp(name(b)));
        let mut groups: Vec<&[Field]> = fields.chunk_by(|a, b| name(a) == name(b)).collect();
        groups.sort_unstable_by_key(|group| group.first().map(|field| field.name));
        for (at, group) in groups.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            out.push(b'"');
            out.extend_from_slice(group.first().map(name).unwrap_or_default());
            out.extend_from_slice(b"\":");
            let list = group.len() > 1;
            for (at, field) in group.iter().enumerate() {
                match (list, at) {
                    (true, 0) => out.push(b'['),
                    (true, _) => out.push(b','),
                    (false, _) => {}
                }
                write_value(&self.bytes[field.value..field.end], out);
            }
            if list {
                out.push(b']');
            }
        }
        if !groups.is_empty() {
            out.push(b'}');
        }
        self.clear();
    }

    fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut fields = std::mem::take(&mut self.fields);
        *self = Self::new(self.max);
        bytes.clear();
        fields.clear();
        if bytes.capacity() <= SPARE_BYTES {
            (self.bytes, self.fields) = (bytes, fields);
        }
    }
}

fn write_value(value: &[u8], out: &mut Vec<u8>) {
    // A vector takes everything.
    if let Ok(text) = std::str::from_utf8(value) {
        let _written = serde_json::to_writer(out, text);
        return;
    }
    for (at, byte) in value.iter().enumerate() {
        let _written = write!(out, "{}{byte}", if at == 0 { '[' } else { ',' });
    }
    out.push(b']');
}

/// How much of a value fits into `room` bytes of JSON, and how many it takes there. Of one that is `short` the last
/// character may have lost its end.
fn fitting(value: &[u8], short: bool, room: usize) -> (usize, usize) {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text,
        Err(error) if short && error.error_len().is_none() => {
            // What is before the error was found to be UTF-8.
            std::str::from_utf8(&value[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => {
            let cost = value.len().saturating_mul(BYTE_BYTES);
            // The beginning of it may be UTF-8 by itself.
            let fits = room / CHAR_BYTES;
            return if cost <= room { (value.len(), cost) } else { (fits, fits * CHAR_BYTES) };
        }
    };
    let (mut length, mut cost) = (0, 0);
    for c in text.chars() {
        let more = match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => CHAR_BYTES,
            c => c.len_utf8(),
        };
        if cost + more > room {
            break;
        }
        (length, cost) = (length + c.len_utf8(), cost + more);
    }
    (length, cost)
}

/// A byte of an array takes at most so many: three digits and a comma.
const BYTE_BYTES: usize = 4;
/// A byte of a text takes at most so many: `\u001f`.
const CHAR_BYTES: usize = 6;
