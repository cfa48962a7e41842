//! Cuts a message into words, marks and values, in one pass and without allocating for each of them.
//!
//! ```text
//!  session opened for user cyrus by (uid=0) from 10.0.0.7
//!  word    word   word word word  word ( word = slot )  word value
//! ```
//!
//! A *value* varies by its looks: numbers, hexadecimal, addresses, paths, times, URLs. A *slot* is a place where values
//! stand although some of them look like words: after `=`, in quotes, in empty brackets, dotted names. How many different
//! texts a slot or a word has shown decides later whether it varies; see [`super::miner`].

/// What a piece of a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// A blank or a mark.
    Mark,
    /// A word.
    Word,
    /// A place for values; what stands there may be constant.
    Slot,
    /// A place for values, and what stands there varies by its looks.
    Value,
    /// A value anywhere else.
    Loose,
}

/// A piece of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) class: Class,
    start: u32,
    end: u32,
}

impl Token {
    /// Its text.
    pub(super) fn text(self, line: &str) -> &str {
        line.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Bytes of a message that are looked at; what follows counts as one value.
const BYTES_MAX: usize = 4096;
/// Pieces that are told apart; what follows counts as one value.
const TOKENS_MAX: usize = 512;
/// Longest quoted text.
const QUOTED_MAX: usize = 512;

const SPACE: u8 = 1;
const DELIMITER: u8 = 2;
const DIGIT: u8 = 4;
const HEX: u8 = 8;
const LETTER: u8 = 16;
/// Closes a sentence or a clause at the end of a word.
const END: u8 = 32;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let byte = at as u8;
        let mut bits = match byte {
            b' ' | 9..=13 => SPACE,
            b'0'..=b'9' => DIGIT | HEX,
            b'a'..=b'f' | b'A'..=b'F' => HEX | LETTER,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            b'=' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'"' | b'\'' | b'|' => DELIMITER,
            b',' | b';' | b':' => DELIMITER | END,
            b'.' | b'!' | b'?' => END,
            _ => 0,
        };
        if byte >= 128 {
            bits |= LETTER;
        }
        class[at] = bits;
        at += 1;
    }
    class
};

fn is(byte: u8, bits: u8) -> bool {
    CLASS.get(usize::from(byte)).is_some_and(|class| class & bits != 0)
}

/// Words that say how a number before them is meant; they belong to the value.
const UNITS: [&str; 21] = [
    "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "ns", "us", "ms", "s", "sec", "secs", "min", "mins",
    "h", "hours", "seconds", "bytes", "%",
];

/// Cuts messages; keeps its buffer from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    tokens: Vec<Token>,
}

impl Scanner {
    /// The pieces of the last message.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The pieces of a message's first line. Blanks at both ends are left out, those between count as one.
    pub(super) fn scan<'s>(&'s mut self, message: &str) -> &'s [Token] {
        self.tokens.clear();
        let bytes = message.as_bytes();
        let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
        let mut cut = end.min(BYTES_MAX);
        while !message.is_char_boundary(cut) {
            cut -= 1;
        }
        let line = bytes.get(..cut).unwrap_or_default();
        let mut at = 0;
        while at < line.len() {
            if self.tokens.len() >= TOKENS_MAX {
                self.push(Class::Loose, at, cut, line);
                at = cut;
                break;
            }
            if is(line[at], SPACE) {
                let mut next = at + 1;
                while next < line.len() && is(line[next], SPACE) {
                    next += 1;
                }
                if next < line.len() && !self.tokens.is_empty() {
                    self.push(Class::Mark, at, at + 1, line);
                }
                at = next;
                continue;
            }
            at = self.word(line, at);
        }
        if at < end {
            self.push(Class::Loose, at, end, bytes);
        }
        if self.after_equals(line) {
            self.raw(Class::Slot, at, at);
        }
        &self.tokens
    }

    /// Takes what stands from `at` to the next blank, or at least its first piece; returns where it ends.
    fn word(&mut self, line: &[u8], at: usize) -> usize {
        if let Some(end) = date(line, at) {
            self.push(Class::Loose, at, end, line);
            return end;
        }
        let rest = &line[at..];
        let end = at + rest.iter().position(|byte| is(*byte, SPACE)).unwrap_or(rest.len());
        let trimmed = trim(line, at, end);
        let word = &line[at..trimmed];
        if (word.len() > 1 && word[0] == b'/') || numeric(word) {
            self.push(Class::Loose, at, trimmed, line);
            for mark in trimmed..end {
                self.push(Class::Mark, mark, mark + 1, line);
            }
            return end;
        }
        let mut at = at;
        while at < end {
            let byte = line[at];
            if byte == b'"' || (byte == b'\'' && (at == 0 || !is(line[at - 1], LETTER | DIGIT))) {
                let inside = line.get(at + 1..line.len().min(at + QUOTED_MAX)).unwrap_or_default();
                if let Some(len) = memchr::memchr(byte, inside) {
                    let close = at + 1 + len;
                    let varies = inside[..len].iter().any(|byte| is(*byte, DIGIT));
                    self.push(if varies { Class::Loose } else { Class::Slot }, at, close + 1, line);
                    return close + 1;
                }
            }
            if is(byte, DELIMITER) {
                self.push(Class::Mark, at, at + 1, line);
                at += 1;
                continue;
            }
            if let Some(end) = url(line, at) {
                self.push(Class::Loose, at, end, line);
                return end;
            }
            let part = at + line[at..end].iter().position(|byte| is(*byte, DELIMITER)).unwrap_or(end - at);
            let mut closed = part;
            while closed > at && matches!(line[closed - 1], b'.' | b'!' | b'?') {
                closed -= 1;
            }
            if line[at..closed].iter().any(|byte| is(*byte, LETTER | DIGIT)) {
                self.push(class_of(&line[at..closed]), at, closed, line);
            } else {
                // Signs alone are marks.
                closed = at;
            }
            for mark in closed.max(at)..part {
                self.push(Class::Mark, mark, mark + 1, line);
            }
            at = part;
        }
        end
    }

    fn last(&self, back: usize) -> Option<Token> {
        self.tokens.len().checked_sub(back).and_then(|at| self.tokens.get(at)).copied()
    }

    fn is_mark(&self, back: usize, mark: u8, line: &[u8]) -> bool {
        self.last(back)
            .is_some_and(|token| token.class == Class::Mark && line.get(token.start as usize) == Some(&mark))
    }

    /// True when a value is due: `=` came, and right before it something that it can belong to.
    fn after_equals(&self, line: &[u8]) -> bool {
        self.is_mark(1, b'=', line)
            && self.last(2).is_some_and(|key| {
                key.class != Class::Mark || !line.get(key.start as usize).is_some_and(|byte| is(*byte, SPACE))
            })
    }

    fn push(&mut self, class: Class, start: usize, end: usize, line: &[u8]) {
        let first = line.get(start).copied().unwrap_or_default();
        if self.after_equals(line) {
            match class {
                Class::Mark if is(first, SPACE) || matches!(first, b',' | b';' | b')' | b']' | b'}') => {
                    self.raw(Class::Slot, start, start);
                }
                Class::Mark => {}
                Class::Word | Class::Slot => return self.raw(Class::Slot, start, end),
                Class::Value | Class::Loose => return self.raw(Class::Value, start, end),
            }
        }
        match class {
            Class::Mark if first == b')' && self.is_mark(1, b'(', line) => {
                self.raw(Class::Slot, start, start);
            }
            Class::Mark if first == b')' && self.is_mark(2, b'(', line) => {
                if let Some(last) = self.tokens.last_mut()
                    && last.class == Class::Loose
                {
                    last.class = Class::Value;
                }
            }
            Class::Loose => {
                if let Some(last) = self.tokens.last_mut()
                    && last.class == Class::Loose
                {
                    last.end = u32::try_from(end).unwrap_or(u32::MAX);
                    return;
                }
            }
            Class::Word
                if end - start <= 7
                    && self.last(2).is_some_and(|number| number.class == Class::Loose)
                    && self.last(1).is_some_and(|blank| {
                        blank.class == Class::Mark
                            && line.get(blank.start as usize).is_some_and(|byte| is(*byte, SPACE))
                    })
                    && line.get(start..end).is_some_and(is_unit) =>
            {
                self.tokens.pop();
                return;
            }
            _ => {}
        }
        self.raw(class, start, end);
    }

    fn raw(&mut self, class: Class, start: usize, end: usize) {
        let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.tokens.push(Token { class, start: position(start), end: position(end) });
    }
}

fn is_unit(word: &[u8]) -> bool {
    UNITS.iter().any(|unit| unit.as_bytes().eq_ignore_ascii_case(word))
}

/// The end of `start..end` without the marks that close a sentence.
fn trim(line: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && is(line[end - 1], END) {
        end -= 1;
    }
    end
}

/// True for words of digits and what stands between them, and for hexadecimal ones with a digit.
fn numeric(word: &[u8]) -> bool {
    if !word.iter().any(|byte| is(*byte, DIGIT)) {
        return false;
    }
    word.iter().all(|byte| is(*byte, DIGIT) || matches!(byte, b':' | b'.' | b',' | b'/' | b'+' | b'-'))
        || (word.len() >= 6 && word.iter().all(|byte| is(*byte, HEX) || *byte == b':'))
}

fn class_of(word: &[u8]) -> Class {
    let (mut digit, mut slash, mut dot, mut letter, mut hex) = (false, false, false, false, true);
    for byte in word {
        digit |= is(*byte, DIGIT);
        letter |= is(*byte, LETTER);
        slash |= *byte == b'/';
        dot |= *byte == b'.';
        hex &= is(*byte, HEX) || *byte == b'-';
    }
    if dot && letter && dotted(word) && !measured(word) {
        return if digit { Class::Value } else { Class::Slot };
    }
    let varies = digit
        || (slash && word.len() > 1)
        || (hex && word.len() >= 8)
        || word.iter().any(|byte| *byte < b' ');
    if varies { Class::Loose } else { Class::Word }
}

/// True for names with dots: hosts, classes, settings.
fn dotted(word: &[u8]) -> bool {
    let label =
        |byte: &u8| is(*byte, DIGIT | LETTER) && byte.is_ascii() || matches!(byte, b'_' | b'-' | b'$');
    word.split(|byte| *byte == b'.').all(|part| !part.is_empty() && part.iter().all(label))
}

/// True for a decimal number with up to two letters behind it, as `12.5ms`.
fn measured(word: &[u8]) -> bool {
    let digits = word.iter().take_while(|byte| is(**byte, DIGIT) || **byte == b'.').count();
    digits > 0 && word.len() - digits <= 2
}

/// The end of the URL that begins at `at`.
fn url(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let scheme = rest
        .iter()
        .take(16)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
        .count();
    if scheme == 0 || !rest[0].is_ascii_alphabetic() || !rest.get(scheme..)?.starts_with(b"://") {
        return None;
    }
    let stop = |byte: &u8| is(*byte, SPACE) || matches!(byte, b',' | b';' | b')' | b']' | b'}' | b'"');
    let len = rest.iter().position(stop).unwrap_or(rest.len());
    (len > scheme + 3).then_some(at + len)
}

/// The end of the date and time of day that begins at `at`, in the two layouts that contain blanks or letters.
fn date(line: &[u8], at: usize) -> Option<usize> {
    match line.get(at)? {
        b'0'..=b'9' => iso(line, at),
        b'A'..=b'Z' => spelled(line, at),
        _ => None,
    }
}

/// `2024-01-15T10:00:00.123Z`, `2024/01/15 10:00:00`.
fn iso(line: &[u8], at: usize) -> Option<usize> {
    let day = pattern(line, at, b"dddd-dd-dd").or_else(|| pattern(line, at, b"dddd/dd/dd"))?;
    matches!(line.get(day)?, b'T' | b' ').then_some(())?;
    let mut end = pattern(line, day + 1, b"dd:dd:dd")?;
    if matches!(line.get(end), Some(b'.' | b',')) {
        let digits = line[end + 1..].iter().take_while(|byte| is(**byte, DIGIT)).count();
        end += if digits > 0 { 1 + digits } else { 0 };
    }
    match line.get(end) {
        Some(b'Z') => Some(end + 1),
        Some(b'+' | b'-') => {
            pattern(line, end + 1, b"dd:dd").or(pattern(line, end + 1, b"dddd")).or(Some(end))
        }
        _ => Some(end),
    }
}

/// `Sun Jul 10 07:24:24 2005`, `Jul  1 00:21:28`.
fn spelled(line: &[u8], at: usize) -> Option<usize> {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let three = |at: usize| line.get(at..at + 3);
    let mut at = at;
    if DAYS.contains(&three(at)?) {
        at += 3 + usize::from(line.get(at + 3) == Some(&b','));
        at += usize::from(line.get(at) == Some(&b' '));
    }
    MONTHS.contains(&three(at)?).then_some(())?;
    at = blanks(line, at + 3)?;
    let digits = line.get(at..)?.iter().take(2).take_while(|byte| is(**byte, DIGIT)).count();
    (digits > 0).then_some(())?;
    at += digits + usize::from(line.get(at + digits) == Some(&b','));
    at = pattern(line, blanks(line, at)?, b"dd:dd:dd")?;
    let zone = line.get(at + 1..).unwrap_or_default();
    let letters = zone.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if (3..=4).contains(&letters)
        && line.get(at) == Some(&b' ')
        && !zone.get(letters).is_some_and(|b| is(*b, LETTER))
    {
        at += 1 + letters;
    }
    Some(pattern(line, at, b" dddd").unwrap_or(at))
}

fn blanks(line: &[u8], at: usize) -> Option<usize> {
    let count = line.get(at..)?.iter().take_while(|byte| **byte == b' ').count();
    (count > 0).then_some(at + count)
}

/// The end of `pattern` at `at`: `d` is a digit, everything else itself.
fn pattern(line: &[u8], at: usize, pattern: &[u8]) -> Option<usize> {
    let text = line.get(at..at + pattern.len())?;
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'd' { is(*byte, DIGIT) } else { byte == wanted };
    text.iter().zip(pattern).all(fits).then_some(at + pattern.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(message: &str) -> String {
        let mut scanner = Scanner::default();
        let shown = |token: &Token| match token.class {
            Class::Mark | Class::Word => token.text(message).to_owned(),
            Class::Slot => format!("‹{}›", token.text(message)),
            Class::Value => "‹*›".to_owned(),
            Class::Loose => "<*>".to_owned(),
        };
        scanner.scan(message).iter().map(shown).collect()
    }

    #[test]
    fn values_are_told_from_words_by_their_looks() {
        for (message, shape) in [
            ("took 12.5ms, then 3 KB of 0x1f", "took <*>, then <*> of <*>"),
            ("user=root  uid=0 tty= from=db.local", "user=‹root› uid=‹*› tty=‹› from=‹db.local›"),
            ("connection from 10.0.0.7 () at Sun Jul 10 07:24:24 2005", "connection from <*> (‹›) at <*>"),
            ("opened by (509)", "opened by (‹*›)"),
            ("GET https://x.org/a?b=c, then /var/log/x.log.", "GET <*>, then <*>."),
            ("at 2024-01-15T10:00:00.123+02:00 ok", "at <*> ok"),
            ("reading \"my file\" and \"file 7\"", "reading ‹\"my file\"› and <*>"),
            ("don't stop; id deadbeef", "don't stop; id <*>"),
            ("  blanks   between  ", "blanks between"),
            ("ws=Source{17} of com.example.App$1", "ws=‹Source›{<*>} of ‹*›"),
            ("first line\nsecond", "first line"),
            ("", ""),
        ] {
            assert_eq!(drawn(message), shape, "{message}");
        }
    }

    #[test]
    fn what_is_too_long_counts_as_one_value() {
        let long = "word ".repeat(5_000);
        let mut scanner = Scanner::default();
        let tokens = scanner.scan(&long);
        assert!(tokens.len() <= TOKENS_MAX + 2);
        assert_eq!(tokens.last().map(|token| token.class), Some(Class::Loose));
    }

    proptest! {
        #[test]
        fn pieces_cover_text_that_is_there(message in "[ a-f0-9/:.,='\"(){}<>\n\tT-]{0,60}|.{0,30}") {
            let mut scanner = Scanner::default();
            let mut last = 0;
            for token in scanner.scan(&message) {
                prop_assert!(message.get(token.start as usize..token.end as usize).is_some());
                prop_assert!(token.start >= last);
                last = token.start;
            }
        }
    }
}
