//! The head of a line, item by item. Words that may be columns (a host, a number) count only when something certain
//! follows: a level, a bracket, a time.

use logbraid_core::Level;
use smallvec::SmallVec;

use super::HEAD;
use super::words::{BRACKET_BYTES_MAX, can_be_thread, is_column, is_logger, is_name, is_prose, is_uuid};
use crate::draft::{Draft, Piece};
use crate::keys::Slot;
use crate::level::{level_of, level_word, upper};
use crate::parser::Engine;
use crate::time::{Allow, Found, scan};

/// Items of a head looked at before the rest is taken as the message.
const ITEMS_MAX: usize = 16;
/// Words before something certain.
const WORDS_MAX: usize = 6;

/// The head of a line, as far as it was read.
pub(super) struct Head<'a> {
    pub(super) piece: Piece<'a>,
    pub(super) bytes: &'a [u8],
    pub(super) pos: usize,
    /// Where the message begins as far as is certain.
    pub(super) sure: usize,
    pub(super) time: Option<Found>,
    pub(super) level: Option<Level>,
    /// The level was a single letter or stood in a column: a tag follows.
    pub(super) letter: bool,
    pub(super) words: SmallVec<[&'a str; WORDS_MAX]>,
    pub(super) thread: Option<&'a str>,
    pub(super) bracketed: bool,
    pub(super) logger: Option<&'a str>,
    pub(super) service: Option<&'a str>,
    pub(super) request: Option<&'a str>,
    /// Columns stood before the time.
    pub(super) table: bool,
    /// Spring's `---` was passed.
    pub(super) dashes: bool,
    /// Blanks before the item at hand.
    pub(super) gap: usize,
    /// The head stands within a bracket that the time opened.
    pub(super) inside: bool,
}

/// What an item turned out to be.
pub(super) enum Step {
    /// The item belongs to the head, up to `pos`.
    Sure,
    /// The item may belong to it.
    Maybe,
    /// The head ends before the item.
    End,
    /// The head ends with the item.
    Last,
}

impl<'a> Head<'a> {
    pub(super) fn new(piece: Piece<'a>) -> Self {
        Self {
            piece,
            bytes: piece.text.as_bytes(),
            pos: 0,
            sure: 0,
            time: None,
            level: None,
            letter: false,
            words: SmallVec::new(),
            thread: None,
            bracketed: false,
            logger: None,
            service: None,
            request: None,
            table: false,
            dashes: false,
            gap: 0,
            inside: false,
        }
    }

    fn begun(&self) -> bool {
        self.time.is_some() || self.level.is_some()
    }
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.pos + ahead).copied()
    }

    pub(super) fn run(&mut self, engine: &Engine) {
        // An indented line is no head, save for a little padding.
        let indent = self.bytes.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        if indent > 1 || self.bytes.first() == Some(&b'\t') {
            self.pos = indent;
            let Some(found) = scan(&self.bytes[indent..], &engine.context, Allow::INSIDE) else { return };
            self.time = Some(found);
            self.pos += found.end;
            self.commit();
        }
        if self.bytes.first().is_some_and(u8::is_ascii_digit) {
            self.epoch_column(engine);
        }
        for _ in 0..ITEMS_MAX {
            self.separators();
            let Some(first) = self.peek(0) else { break };
            let step = match first {
                b'[' => self.bracket(engine, b']'),
                b'(' => self.bracket(engine, b')'),
                b'<' => self.bracket(engine, b'>'),
                _ => self.item(engine, first),
            };
            match step {
                Step::Sure => {
                    let before = self.sure;
                    self.commit();
                    // The last word is the message, whatever it looks like.
                    if first.is_ascii_alphabetic() && self.begun() && self.sure >= self.bytes.len() {
                        self.sure = before;
                    }
                }
                Step::Maybe => {
                    if self.words.len() > WORDS_MAX {
                        break;
                    }
                }
                Step::End => break,
                Step::Last => {
                    self.commit();
                    break;
                }
            }
        }
    }

    /// A line that begins with a number may be a row of a table with seconds since 1970 in a later column.
    fn epoch_column(&mut self, engine: &Engine) {
        let mut at = 0;
        for column in 0..WORDS_MAX {
            let rest = &self.bytes[at..];
            let len = rest.iter().take(64).take_while(|b| !b.is_ascii_whitespace()).count();
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if column == 0 && (digits != len || scan(rest, &engine.context, Allow::HEAD).is_some()) {
                return;
            }
            if column > 0
                && len == 10
                && digits == 10
                && let Some(found) = scan(rest, &engine.context, Allow::COLUMN)
            {
                self.time = Some(found);
                self.table = true;
                self.pos = at + len;
                return self.commit();
            }
            if rest.get(len) != Some(&b' ') {
                return;
            }
            at += len + 1;
        }
    }

    /// Everything up to here is head: words that were only likely are now columns.
    fn commit(&mut self) {
        let words = std::mem::take(&mut self.words);
        for word in words {
            if word.bytes().all(|b| b.is_ascii_digit()) {
                if !self.bracketed {
                    self.thread = Some(word);
                }
            } else if is_uuid(word) {
                self.request.get_or_insert(word);
            } else if self.logger.is_none()
                && self.begun()
                && (is_logger(word) || !self.table && is_name(word))
            {
                self.logger = Some(word.trim_end_matches([':', ',']));
            }
        }
        self.sure = self.pos;
        self.trailing();
    }

    /// Separators that end an item belong to the head.
    fn trailing(&mut self) {
        while let Some(byte) = self.bytes.get(self.sure) {
            let next = self.bytes.get(self.sure + 1);
            match byte {
                b']' if self.inside => {}
                b',' | b'|' => {}
                b':' if matches!(next, None | Some(b' ' | b'\t')) => {}
                _ => break,
            }
            self.sure += 1;
        }
        self.pos = self.pos.max(self.sure);
    }

    /// Skips blanks, bars and dashes between items; those after a certain item are head.
    fn separators(&mut self) {
        let at_sure = self.pos == self.sure;
        self.gap = 0;
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' => self.gap += 1,
                b'|' if self.begun() => {}
                b'-' if self.begun() || self.pos == 0 => {
                    let dashes = self.bytes[self.pos..].iter().take_while(|b| **b == b'-').count();
                    let alone = matches!(self.peek(dashes), None | Some(b' ' | b'\t'))
                        && (self.pos == 0 || matches!(self.bytes[self.pos - 1], b' ' | b'\t' | b']' | b'|'));
                    if !alone || dashes > 3 {
                        break;
                    }
                    self.dashes |= dashes == 3;
                    self.table |= self.pos == 0;
                    self.pos += dashes - 1;
                }
                b':' if self.begun() && matches!(self.peek(1), Some(b' ')) && self.gap > 0 => {}
                _ => break,
            }
            self.pos += 1;
        }
        if at_sure && self.begun() {
            self.sure = self.pos;
        }
    }

    fn bracket(&mut self, engine: &Engine, close: u8) -> Step {
        let open = self.bytes[self.pos];
        let rest = &self.bytes[self.pos..];
        let mut depth = 0_usize;
        let mut len = None;
        for (at, byte) in rest.iter().enumerate().take(BRACKET_BYTES_MAX) {
            if *byte == open {
                depth += 1;
            } else if *byte == close {
                depth -= 1;
                if depth == 0 {
                    len = Some(at);
                    break;
                }
            }
        }
        let Some(len) = len else { return Step::End };
        let start = self.pos + 1;
        let Some(inside) = self.piece.text.get(start..self.pos + len) else { return Step::End };
        let word = inside.trim();
        let end = self.pos + len + 1;
        if self.time.is_none()
            && let Some(found) = scan(word.as_bytes(), &engine.context, Allow::HEAD)
        {
            self.time = Some(found);
            let lead = inside.len() - inside.trim_start().len();
            // `[2024-01-15T10:00:00Z INFO crate] text`: the head goes on inside the bracket.
            self.inside = found.end < word.len();
            self.pos = if self.inside { start + lead + found.end } else { end };
            return Step::Sure;
        }
        self.pos = end;
        if let Some(level) = level_in(word) {
            self.level.get_or_insert(level);
            return Step::Sure;
        }
        if open == b'<' {
            self.pos = start - 1;
            return Step::End;
        }
        if word == "-" || (word.is_empty() && self.begun()) {
            return Step::Sure;
        }
        if word.starts_with("req-") {
            self.request = word.split(' ').next();
            return Step::Sure;
        }
        if !self.begun() && word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            // The kernel's clock counts from its start.
            return Step::Sure;
        }
        let digits = word.trim_start_matches('#').bytes().all(|b| b.is_ascii_digit()) && !word.is_empty();
        if digits {
            self.thread = Some(word.trim_start_matches('#'));
            return if self.begun() || self.pos < self.bytes.len() { Step::Sure } else { Step::End };
        }
        if let Some(rest) = word.strip_prefix("pid ") {
            // `[pid 35708:tid 4328636416]`
            let pid = rest.split(':').next().unwrap_or(rest).trim();
            self.thread = Some(rest.split_once("tid ").map_or(pid, |(_, tid)| tid.trim()));
            self.bracketed = true;
            return Step::Sure;
        }
        if self.begun() && is_logger(word) && self.logger.is_none() && open == b'[' {
            self.logger = Some(word);
            return Step::Sure;
        }
        if !word.starts_with("MY-")
            && can_be_thread(word, self.begun())
            && (open == b'[' || self.begun() && !word.contains(' '))
        {
            if !self.bracketed {
                self.thread = Some(word);
                self.bracketed = true;
                return Step::Sure;
            }
            if self.dashes {
                // Spring writes the application before the thread.
                self.service = self.thread.take();
                self.thread = Some(word);
                return Step::Sure;
            }
        }
        self.pos = start - 1;
        Step::End
    }

    fn item(&mut self, engine: &Engine, first: u8) -> Step {
        if (self.time.is_none() || self.words.len() + usize::from(self.table) > 0)
            && (first.is_ascii_digit() || first.is_ascii_alphabetic())
        {
            let allow = if self.begun() || !self.words.is_empty() { Allow::COLUMN } else { Allow::HEAD };
            let found = scan(&self.bytes[self.pos..], &engine.context, allow)
                .or_else(|| self.table.then(|| self.date()).flatten());
            if let Some(found) = found {
                self.table |= !self.words.is_empty() || self.table;
                self.pos += found.end;
                self.time.get_or_insert(found);
                return Step::Sure;
            }
        }
        let rest = &self.piece.text[self.pos..];
        let len = rest.find([' ', '\t', '|']).unwrap_or(rest.len());
        let word = &rest[..len];
        let next = self.bytes.get(self.pos + len).copied();
        if self.level.is_none()
            && let Some(level) = self.level(word, next)
        {
            self.level = Some(level);
            return Step::Sure;
        }
        // Ruby writes the level twice, as a letter and as a word.
        if self.letter && self.logger.is_none() && self.level == level_word(word) && upper(word) {
            self.pos += len;
            return Step::Sure;
        }
        self.word(word, next)
    }

    /// A date alone, in a table that gave the time in another column.
    fn date(&self) -> Option<Found> {
        let word = self.bytes[self.pos..]
            .iter()
            .take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'/'))
            .count();
        let dots = self.bytes[self.pos..self.pos + word].iter().filter(|b| !b.is_ascii_digit()).count();
        let time = self.time?;
        ((8..=10).contains(&word) && dots == 2).then_some(Found { end: word, ..time })
    }

    /// A level word at `pos`, which is then moved behind it.
    fn level(&mut self, word: &str, next: Option<u8>) -> Option<Level> {
        // `D/Tag( 123): text` and `D Tag: text`
        let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = word.get(..letters)?;
        let after = word.as_bytes().get(letters).copied();
        if letters == 1 {
            let column = self.time.is_some() && after.is_none() && next == Some(b' ');
            let slash = after == Some(b'/') && word.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic);
            let comma = after == Some(b',') && self.pos == 0 && self.bytes.get(3) == Some(&b'[');
            if !(column || slash || comma) || !b"VDIWEFTC".contains(name.as_bytes().first()?) {
                return None;
            }
            let level = level_of(name)?;
            self.letter = true;
            self.pos += if after.is_some() { 2 } else { 1 };
            return Some(level);
        }
        let level =
            level_word(name).or_else(|| (name == "LOG" && after == Some(b':')).then_some(Level::Info))?;
        let whole = after.is_none();
        let colon = after == Some(b':');
        let closed = matches!(after, Some(b']' | b',' | b'>')) || (self.inside && after == Some(b'/'));
        let fits = if upper(name) {
            (whole || colon || closed) && (self.begun() || self.pos == self.sure || !self.words.is_empty())
        } else if self.begun() {
            // After a time a level may be written in any case; `Error` and `Warning` also begin sentences.
            whole && (self.gap > 1 || self.bar_follows(letters) || !is_prose(name)) || colon || closed
        } else {
            colon && self.words.is_empty()
        };
        if !fits {
            return None;
        }
        self.pos += letters + usize::from(colon || closed);
        Some(level)
    }

    /// True when ` - `, ` | `, ` [` or several blanks stand behind the word at `pos`.
    fn bar_follows(&self, len: usize) -> bool {
        let rest = &self.bytes[self.pos + len..];
        let blanks = rest.iter().take_while(|b| **b == b' ').count();
        blanks > 1 || matches!(rest.get(blanks), Some(b'-' | b'|' | b'[' | b':'))
    }

    /// A column between bars: a number, a logger, or a thread, each once.
    fn column(&mut self, word: &'a str) -> Step {
        let number = word.bytes().all(|b| b.is_ascii_digit());
        let threaded = number
            || word.bytes().any(|b| b.is_ascii_digit()) && word.contains('-') && can_be_thread(word, true)
            || word == "main";
        if threaded && self.thread.is_none() {
            self.thread = Some(word);
        } else if !number && self.logger.is_none() {
            self.logger = Some(word);
        } else {
            return Step::End;
        }
        self.pos += word.len();
        Step::Sure
    }

    fn word(&mut self, word: &'a str, next: Option<u8>) -> Step {
        let start = self.pos;
        let len = word.len();
        if next == Some(b'|') && self.begun() {
            return self.column(word);
        }
        if word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() {
            self.pos += len;
            if self.table && self.time.is_some_and(|time| time.epoch) && self.level.is_none() && len <= 2 {
                return Step::Sure;
            }
            self.words.push(word);
            return Step::Maybe;
        }
        // nginx: `1234#5678:`
        if let Some(thread) = word.strip_suffix(':')
            && thread.contains('#')
            && thread.bytes().all(|b| b.is_ascii_digit() || b == b'#')
        {
            self.thread = Some(thread);
            self.pos += len;
            return Step::Last;
        }
        // Ruby: `#1234]`
        if let Some(pid) = word.strip_prefix('#').and_then(|rest| rest.strip_suffix(']'))
            && pid.bytes().all(|b| b.is_ascii_digit())
        {
            self.thread = Some(pid);
            self.pos += len;
            return Step::Sure;
        }
        if self.begun()
            && let Some(step) = self.component(word, next)
        {
            return step;
        }
        let blanks = self.bytes[start + len..].iter().take_while(|b| **b == b' ').count();
        let bracket_next = blanks > 0 && self.bytes.get(start + len + blanks) == Some(&b'[');
        let shaped = is_logger(word) || word.contains("::") || (self.letter && upper(word));
        let named = bracket_next && is_name(word) && shaped;
        let open = self.time.is_none() || self.level.is_none() || named;
        if self.begun()
            && self.inside
            && let Some(name) = word.strip_suffix(']')
            && is_name(name)
        {
            self.take_name(name);
            self.pos = start + len;
            return Step::Last;
        }
        if is_column(word) && open && self.logger.is_none() {
            self.pos = start + len;
            self.words.push(word);
            return Step::Maybe;
        }
        Step::End
    }

    /// Hands over what the head said.
    pub(super) fn tell(&self, draft: &mut Draft) {
        let piece = self.piece;
        if let Some(found) = self.time {
            draft.set_time(found, HEAD);
        }
        if let Some(level) = self.level {
            draft.set_level(level, HEAD);
        }
        let items = [
            (Slot::Thread, self.thread),
            (Slot::Logger, self.logger),
            (Slot::Service, self.service),
            (Slot::Correlation, self.request),
        ];
        for (slot, text) in items {
            if let Some(text) = text {
                draft.set(slot, HEAD, piece.range(text));
            }
        }
    }
}

/// A level in brackets, alone or as `module:level`.
fn level_in(word: &str) -> Option<Level> {
    let name = word.rsplit(':').next().unwrap_or(word);
    level_word(name)
        .or_else(|| (name.len() == 1 && upper(name)).then(|| level_of(name)).flatten())
        .or_else(|| name.eq_ignore_ascii_case("note").then_some(Level::Info))
}
