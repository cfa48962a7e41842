//! Logfmt: `key=value` pairs that cover the line.

use std::borrow::Cow;

use logbraid_core::Format;

use crate::draft::{Draft, Piece};
use crate::keys::Slot;
use crate::parser::Engine;
use crate::{ids, shape};

/// One pair. A quoted value keeps its quotes out and its escapes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) quoted: bool,
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b'/' | b'$') || byte >= 0x80
}

/// The pairs of a text; yields `None` as an item where the text is no pair, and ends there.
pub(crate) struct Pairs<'a> {
    rest: &'a str,
    broken: bool,
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.trim(), broken: false }
    }
    /// True when what was read so far is not logfmt.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;
    fn next(&mut self) -> Option<Pair<'a>> {
        let rest = self.rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() || self.broken {
            return None;
        }
        let bytes = rest.as_bytes();
        let key_len = bytes.iter().take_while(|b| is_key(**b)).count();
        if key_len == 0 || bytes.get(key_len) != Some(&b'=') {
            self.broken = true;
            return None;
        }
        let key = &rest[..key_len];
        let start = key_len + 1;
        if bytes.get(start) == Some(&b'"') {
            let mut at = start + 1;
            loop {
                match bytes.get(at) {
                    None => {
                        self.broken = true;
                        return None;
                    }
                    Some(b'\\') => at += 2,
                    Some(b'"') => break,
                    Some(_) => at += 1,
                }
            }
            let value = rest.get(start + 1..at)?;
            self.rest = rest.get(at + 1..)?;
            // A quote must be followed by a blank: `a="b"c` is no pair.
            if !self.rest.is_empty() && !self.rest.starts_with([' ', '\t', ',']) {
                self.broken = true;
                return None;
            }
            return Some(Pair { key, value, quoted: true });
        }
        let len = memchr::memchr2(b' ', b'\t', &bytes[start..]).unwrap_or(bytes.len() - start);
        let mut end = start + len;
        // An unquoted message runs on to the next pair.
        if matches!(key, "msg" | "message") {
            end = message_end(rest, end);
        }
        self.rest = rest.get(end..)?;
        Some(Pair { key, value: rest.get(start..end)?.trim_end_matches(','), quoted: false })
    }
}

/// Where the words after an unquoted message stop being words.
fn message_end(rest: &str, mut end: usize) -> usize {
    loop {
        let after = rest.get(end..).unwrap_or_default();
        let word_start = end + after.len() - after.trim_start().len();
        let word = rest.get(word_start..).unwrap_or_default();
        if word.is_empty() {
            return end;
        }
        let len = word.find([' ', '\t']).unwrap_or(word.len());
        let key_len = word.bytes().take_while(|b| is_key(*b)).count();
        if key_len > 0 && word.as_bytes().get(key_len) == Some(&b'=') {
            return end;
        }
        end = word_start + len;
    }
}

/// Removes the escapes of a quoted value.
pub(crate) fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

/// True when the first word is a pair, or could be.
pub(crate) fn begins(text: &str) -> bool {
    let bytes = text.as_bytes();
    let key_len = bytes.iter().take_while(|b| is_key(**b)).count();
    key_len > 0 && bytes.get(key_len) == Some(&b'=')
}

/// Reads a text that pairs cover, at least `pairs_min` of them.
pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>, pairs_min: usize) -> bool {
    // The first word decides for nearly all lines that are no pairs.
    if !begins(piece.text) {
        return false;
    }
    let mut check = Pairs::new(piece.text);
    let count = check.by_ref().count();
    if check.is_broken() || count < pairs_min {
        return false;
    }
    for pair in Pairs::new(piece.text) {
        let Some(entry) = engine.table.get(pair.key) else { continue };
        let (slot, style, rank, extra) = (entry.slot, entry.style, entry.rank, entry.extra);
        let value = unescape(pair.value);
        match &value {
            Cow::Borrowed(text) => {
                let inside = piece.part(text);
                draft.take(slot, style, rank, inside, &mut engine.day, &engine.context);
                if let Some(id) = extra {
                    draft.extra(id, inside.range(text));
                }
            }
            Cow::Owned(text) => {
                let range = engine.tail.push(text);
                if range.is_none() {
                    continue;
                }
                let decoded = Piece { text, at: range.start };
                draft.take(slot, style, rank, decoded, &mut engine.day, &engine.context);
                if let Some(id) = extra {
                    draft.extra(id, range);
                }
            }
        }
    }
    draft.format(Format::Logfmt);
    if draft.row.message.is_none() {
        draft.row.message = piece.range(piece.text.trim());
    } else if draft.row.correlation.is_none() || draft.row.trace.is_none() {
        let message = draft.row.message;
        let start = message.start.wrapping_sub(piece.at) as usize;
        if let Some(text) = start.checked_add(message.len as usize).and_then(|end| piece.text.get(start..end))
        {
            ids::in_text(draft, piece.part(text));
        }
    }
    let message = draft.row.message;
    let start = message.start.wrapping_sub(piece.at) as usize;
    let text = start
        .checked_add(message.len as usize)
        .and_then(|end| piece.text.get(start..end))
        .unwrap_or_default();
    draft.row.flags.set(shape::of_message(text, draft.row.level));
    draft.ranks[Slot::Message as usize] = 10;
    true
}
