//! Plain text: the head of a line is taken apart item by item, what remains is the message.
//!
//! ```text
//! 2015-10-18 18:01:47,978 INFO [main] org.apache.Foo: Created application
//! └ time                └ level └ thread └ logger     └ message
//! ```
//! Words that may be columns (a host, a number) count only when something certain follows: a level, a bracket, a time.

use logbraid_core::{Flags, Format, Level};
use smallvec::SmallVec;

use crate::draft::{Draft, FROM_TEXT, Piece};
use crate::keys::Slot;
use crate::level::{find_level, level_of, level_word, upper};
use crate::parser::Engine;
use crate::time::{Allow, Found, scan};
use crate::{ids, logfmt, shape};

/// Items of a head looked at before the rest is taken as the message.
const ITEMS_MAX: usize = 16;
/// Words before something certain.
const WORDS_MAX: usize = 6;
/// Rank of what the head says.
const HEAD: u8 = 20;
/// Longest bracket that is an item of a head.
const BRACKET_BYTES_MAX: usize = 200;
/// How far into a line a time is looked for when the head has none.
const SEARCH_BYTES: usize = 1024;

struct Reader<'a> {
    piece: Piece<'a>,
    bytes: &'a [u8],
    pos: usize,
    /// Where the message begins as far as is certain.
    sure: usize,
    time: Option<Found>,
    level: Option<Level>,
    /// The level was a single letter or stood in a column: a tag follows.
    letter: bool,
    words: SmallVec<[&'a str; WORDS_MAX]>,
    thread: Option<&'a str>,
    bracketed: bool,
    logger: Option<&'a str>,
    service: Option<&'a str>,
    request: Option<&'a str>,
    /// Columns stood before the time.
    table: bool,
    /// Spring's `---` was passed.
    dashes: bool,
    /// Blanks before the item at hand.
    gap: usize,
    /// The head stands within a bracket that the time opened.
    inside: bool,
}

enum Step {
    /// The item belongs to the head, up to `pos`.
    Sure,
    /// The item may belong to it.
    Maybe,
    /// The head ends before the item.
    End,
    /// The head ends with the item.
    Last,
}

/// Reads a line of text.
pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>) {
    let text = piece.text;
    let mut reader = Reader::new(piece);
    reader.run(engine);
    reader.tell(draft);
    draft.format(Format::Text);
    let headless = reader.time.is_none() && reader.level.is_none();
    let rest = text.get(reader.sure..).unwrap_or_default();
    let message = rest.trim();
    draft.set(Slot::Message, HEAD, piece.range(message));
    // A head before pairs, `2024-01-15T10:00:00Z level=info msg=…`
    if !headless && pairs_follow(message) {
        let held = (draft.row.time, draft.ranks);
        let mut inner = Draft::default();
        if logfmt::read(engine, &mut inner, piece.part(message), 2) {
            inner.settle();
            draft.merge(&mut inner);
            if held.0.is_known() {
                draft.row.time = held.0;
                draft.ranks = held.1;
            }
        }
    }
    if draft.row.level.is_none()
        && let Some(level) = find_level(message)
    {
        draft.set_level(level, FROM_TEXT);
    }
    if !draft.row.time.is_known()
        && let Some(found) = search(engine, text)
    {
        draft.set_time(found, FROM_TEXT);
    }
    ids::in_text(draft, piece);
    if draft.row.thread.is_none()
        && let Some(thread) = named_thread(message)
    {
        draft.set(Slot::Thread, FROM_TEXT + 2, piece.range(thread));
    }
    if headless {
        bare(draft, text, message);
    } else {
        // The indent behind the head shows that a record continues the one before it.
        let raw = rest.trim_end();
        let raw = raw.strip_prefix(' ').unwrap_or(raw);
        draft.row.flags.set(shape::of_message(raw, draft.row.level));
    }
    if text.as_bytes().contains(&b'\n') {
        draft.row.flags.set(Flags::MULTILINE);
    }
}

/// A line without a head: a continuation, or the beginning of a trace.
fn bare(draft: &mut Draft, text: &str, message: &str) {
    let flags = shape::of_bare_line(text);
    draft.row.flags.set(flags);
    if flags.has(Flags::CONTINUATION) && !message.starts_with(shape::TRACEBACK) {
        // What a frame's text happens to contain is no level.
        draft.row.level = None;
    } else if draft.row.level.is_none()
        && (message.starts_with(shape::TRACEBACK) || message.starts_with("Exception in thread "))
    {
        draft.set_level(Level::Error, FROM_TEXT);
    } else if message.starts_with("thread '") && message.contains(" panicked at") {
        draft.set_level(Level::Fatal, FROM_TEXT);
    }
}

fn pairs_follow(message: &str) -> bool {
    let key = message.bytes().take(40).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count();
    key > 0 && message.as_bytes().get(key) == Some(&b'=')
}

/// A full date and time further right in the line.
fn search(engine: &Engine, text: &str) -> Option<Found> {
    let bytes = text.as_bytes().get(..text.len().min(SEARCH_BYTES))?;
    let mut at = 0;
    while let Some(next) = memchr::memchr(b':', bytes.get(at..)?) {
        // `YYYY-MM-DDTHH` stands before the first colon of a time.
        let colon = at + next;
        if let Some(start) = colon.checked_sub(13)
            && (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
            && bytes[start].is_ascii_digit()
            && matches!(bytes[start + 4], b'-' | b'/')
            && let Some(found) = scan(&bytes[start..], &engine.context, Allow::INSIDE)
        {
            return Some(found);
        }
        at = colon + 1;
    }
    None
}

/// `[worker-1]` within a message, where the word itself says that it is a thread.
fn named_thread(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('[')?;
    let (word, _) = rest.split_once(']')?;
    let known = ["thread", "worker", "pool", "exec", "nio-"].iter().any(|part| word.contains(part));
    let shaped = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    (known && shaped && word.len() <= 64 && level_word(word).is_none() && !is_logger(word)).then_some(word)
}

/// A dotted name whose parts are words: a logger or a class, not a thread.
fn is_logger(word: &str) -> bool {
    let mut parts = 0;
    for part in word.split('.') {
        if !part.starts_with(|c: char| c.is_alphabetic() || c == '_') || part.contains('-') {
            return false;
        }
        parts += 1;
    }
    parts >= 2
}

/// What a bracket can hold that is a thread. Outside a head that has begun, blanks and signs make it prose.
fn can_be_thread(word: &str, begun: bool) -> bool {
    if word.is_empty() || word.len() > BRACKET_BYTES_MAX || !word.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    if is_logger(word) || level_word(word).is_some() || is_address(word) {
        return false;
    }
    let key = word.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    if word.as_bytes().get(key) == Some(&b'=') || word.contains(": ") || word.starts_with("client ") {
        return false;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/' | b'#' | b'@' | b'$');
    if begun {
        word.bytes().all(|b| plain(b) || matches!(b, b' ' | b'[' | b']' | b'=' | b',' | b'(' | b')' | b'*' | b'+' | b'~'))
    } else {
        word.bytes().all(plain)
    }
}

/// `10.0.0.1`, with a port or without.
fn is_address(word: &str) -> bool {
    let host = word.split(':').next().unwrap_or(word);
    host.split('.').count() == 4 && host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// A word that may be a column before something certain: no word of a sentence looks like it.
fn is_column(word: &str) -> bool {
    if word.contains('=') || word.ends_with([',', ';', '!', '?', '"', '\'']) {
        return false;
    }
    if matches!(word, "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS") {
        return false;
    }
    let signs = word.bytes().any(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'/' | b':' | b'@' | b'$' | b'-'));
    signs || (word.len() > 1 && upper(word))
}

impl<'a> Reader<'a> {
    fn new(piece: Piece<'a>) -> Self {
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

    fn run(&mut self, engine: &Engine) {
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
            } else if self.logger.is_none() && self.begun() && (is_logger(word) || !self.table && is_name(word)) {
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
                b']' if !self.bytes.get(..self.sure).is_some_and(|b| b.is_empty()) => {}
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
        if let Some(level) = self.level_in(word) {
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
        if !word.starts_with("MY-") && can_be_thread(word, self.begun()) && (open == b'[' || self.begun() && !word.contains(' ')) {
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

    /// A level in brackets, alone or as `module:level`.
    fn level_in(&self, word: &str) -> Option<Level> {
        let name = word.rsplit(':').next().unwrap_or(word);
        level_word(name)
            .or_else(|| (name.len() == 1 && upper(name)).then(|| level_of(name)).flatten())
            .or_else(|| name.eq_ignore_ascii_case("note").then_some(Level::Info))
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
        let word = self.bytes[self.pos..].iter().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'/')).count();
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
        let level = level_word(name).or_else(|| (name == "LOG" && after == Some(b':')).then_some(Level::Info))?;
        let whole = after.is_none();
        let colon = after == Some(b':');
        let closed = matches!(after, Some(b']' | b',' | b'>'));
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

    fn word(&mut self, word: &'a str, next: Option<u8>) -> Step {
        let start = self.pos;
        let len = word.len();
        if next == Some(b'|') && self.begun() && (self.logger.is_none() || self.thread.is_none()) {
            // A column between bars.
            self.pos += len;
            if word.bytes().all(|b| b.is_ascii_digit()) {
                self.thread.get_or_insert(word);
            } else {
                self.logger.get_or_insert(word);
            }
            return Step::Sure;
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
        let bracket_next = next == Some(b' ') && self.bytes.get(start + len + 1) == Some(&b'[');
        let named = bracket_next && is_name(word) && (is_logger(word) || word.contains("::"));
        let open = self.time.is_none() || self.level.is_none() || named;
        if self.begun() && self.inside && let Some(name) = word.strip_suffix(']') && is_name(name) {
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

    /// A logger, a component or a tag, which a colon or a dash ends.
    fn component(&mut self, word: &'a str, next: Option<u8>) -> Option<Step> {
        let start = self.pos;
        let rest = &self.piece.text[start..];
        // `Tag( 1234): text`
        if self.letter
            && let Some((tag, after)) = rest.split_once('(')
            && !tag.contains(' ')
            && let Some((pid, _)) = after.split_once("): ")
            && pid.trim().bytes().all(|b| b.is_ascii_digit())
        {
            self.logger = Some(tag);
            self.thread = Some(pid.trim());
            self.pos = start + tag.len() + 1 + pid.len() + 2;
            return Some(Step::Last);
        }
        // `logger:message` after `LEVEL:`, as Python's default writes it.
        if start > 0 && self.bytes[start - 1] == b':' && self.time.is_none() && self.gap == 0
            && let Some((name, _)) = rest.split_once(':')
            && is_name(name)
        {
            self.logger = Some(name);
            self.pos = start + name.len() + 1;
            return Some(Step::Last);
        }
        if let Some(name) = word.strip_suffix(':')
            && matches!(next, None | Some(b' ' | b'\t'))
            && !name.is_empty()
            && self.logger.is_none()
        {
            // A sentence may begin so, too; an exception's name always does.
            let bare = name.rsplit('.').next().unwrap_or(name);
            if bare.ends_with("Exception") || bare.ends_with("Error") || !is_name(name) || names_an_id(name) {
                return None;
            }
            self.take_name(name);
            self.pos = start + word.len();
            return Some(self.level_after());
        }
        let blanks = rest.as_bytes()[word.len()..].iter().take_while(|b| **b == b' ').count();
        let behind = rest.get(word.len() + blanks..).unwrap_or_default();
        if blanks > 0 && is_name(word) {
            // `c.e.demo.Controller     : text`, `logger - text`
            let dash = behind.starts_with("- ") || behind == "-";
            let colon = behind.starts_with(": ") && (blanks > 1 || self.dashes);
            let plain = word.bytes().all(|b| b.is_ascii_lowercase());
            let shaped = plain || word.bytes().any(|b| matches!(b, b'.' | b'_' | b'/' | b':' | b'@' | b'$') || b.is_ascii_digit())
                || word.get(1..).is_some_and(|tail| tail.bytes().any(|b| b.is_ascii_uppercase()));
            if colon || dash && shaped {
                self.take_name(word);
                self.pos = start + word.len() + blanks + 1;
                return Some(self.level_after());
            }
            // `chrome.exe *64 - text`
            if shaped && word.contains('.') && self.level.is_none()
                && let Some((flag, _)) = behind.split_once(" - ")
                && flag.len() <= 6
                && flag.starts_with('*')
            {
                self.take_name(word);
                self.pos = start + word.len() + blanks + flag.len() + 3;
                return Some(Step::Last);
            }
            // A column of its own: blanks fill it up on both sides.
            if self.level.is_some() && self.gap > 1 && blanks > 1 {
                self.take_name(word);
                self.pos = start + word.len();
                return Some(Step::Last);
            }
        }
        None
    }

    fn take_name(&mut self, name: &'a str) {
        // Columns before it were columns indeed.
        if let Some(pid) = self.words.iter().rev().find(|word| word.bytes().all(|b| b.is_ascii_digit()))
            && !self.bracketed
        {
            self.thread = Some(pid);
        }
        self.words.clear();
        // `sshd[123]`
        if let Some((program, pid)) = name.strip_suffix(']').and_then(|rest| rest.split_once('['))
            && pid.bytes().all(|b| b.is_ascii_digit())
        {
            if !self.bracketed {
                self.thread = Some(pid);
            }
            self.logger = Some(program);
            return;
        }
        self.logger = Some(name);
    }

    /// After a logger the head ends, unless a level follows (`logger - INFO - text`).
    fn level_after(&mut self) -> Step {
        if self.level.is_some() {
            return Step::Last;
        }
        let rest = self.piece.text.get(self.pos..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '-']);
        let letters = trimmed.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = trimmed.get(..letters).unwrap_or_default();
        let behind = trimmed.get(letters..).unwrap_or_default();
        let bounded = behind.starts_with(" - ") || behind.starts_with(": ") || behind.starts_with(" [");
        if (upper(name) || bounded)
            && let Some(level) = level_word(name)
            && (bounded || behind.starts_with(' '))
        {
            self.level = Some(level);
            self.pos += rest.len() - trimmed.len() + letters;
            let dash = behind.strip_prefix(" -").map_or(0, |_| 2);
            self.pos += if behind.starts_with(": ") { 1 } else { dash };
        }
        Step::Last
    }

    /// Hands over what the head said.
    fn tell(&self, draft: &mut Draft) {
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

/// Level words that also begin sentences.
fn is_prose(word: &str) -> bool {
    ["error", "warning", "critical", "note", "notice", "alert", "panic", "trace", "information", "warn", "fatal", "debug"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(word))
        && word.starts_with(|c: char| c.is_ascii_uppercase())
}

/// `X-Request-Id`, `traceparent`: what follows is an id, not a message.
fn names_an_id(name: &str) -> bool {
    let last = name.len().checked_sub(2).and_then(|at| name.get(at..));
    last.is_some_and(|end| end.eq_ignore_ascii_case("id")) && name.contains(['-', '_'])
        || name.eq_ignore_ascii_case("traceparent")
        || name.eq_ignore_ascii_case("b3")
}

/// A name of a logger, a module or a program.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/' || c == '<')
        && word.len() <= 160
        && !word.contains("//")
        && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '/' | '@' | '#' | ':' | '<' | '>' | '(' | ')' | '[' | ']' | '+' | '*' | '~'))
}
