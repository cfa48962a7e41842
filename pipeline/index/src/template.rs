//! Template ids at the rate of the stream: the same as [`logbraid_core::template::template_id`], without allocating.

use logbraid_core::Id;
use logbraid_core::template::template_id;
use xxhash_rust::xxh3::xxh3_64;

/// Ids that are remembered. A stream has few templates, and each stands at one place.
const SLOTS: usize = 1024;

/// Finds template ids, remembering the last ones.
pub(crate) struct Templates {
    masked: Vec<u8>,
    known: Vec<(u64, Id)>,
}

impl Templates {
    pub(crate) fn new() -> Self {
        Self { masked: Vec::new(), known: vec![(0, Id::default()); SLOTS] }
    }
    pub(crate) fn bytes(&self) -> usize {
        self.masked.capacity() + self.known.capacity() * size_of::<(u64, Id)>()
    }
    /// The id of the template of `message`.
    pub(crate) fn id(&mut self, message: &str) -> Id {
        if !self.mask(message) {
            return template_id(message);
        }
        let hash = xxh3_64(&self.masked);
        let slot = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        let Some(known) = self.known.get_mut(slot) else { return template_id(message) };
        if known.0 != hash || hash == 0 {
            *known = (hash, template_id(message));
        }
        known.1
    }

    /// Masks an ASCII message as `logbraid_core::template::mask` does; false for any other.
    fn mask(&mut self, message: &str) -> bool {
        let end = memchr::memchr(b'\n', message.as_bytes());
        let mut line = message.as_bytes().get(..end.unwrap_or(message.len())).unwrap_or_default();
        if end.is_some() && line.ends_with(b"\r") {
            line = line.get(..line.len() - 1).unwrap_or_default();
        }
        if !line.is_ascii() {
            return false;
        }
        let out = &mut self.masked;
        out.clear();
        if line.len() > 4096 {
            // A long line must not pin its size; it is rare.
            return false;
        }
        let mut rest = line;
        while let Some(first) = rest.first() {
            if is_space(*first) {
                out.push(*first);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            if matches!(first, b'\'' | b'"' | b'`')
                && let Some(tail) = rest.get(1..)
                && let Some(end) = memchr::memchr(*first, tail)
            {
                out.extend_from_slice(b"<*>");
                rest = tail.get(end + 1..).unwrap_or_default();
                continue;
            }
            rest = mask_word(rest, out);
        }
        true
    }
}

const SPACE: u8 = 1;
/// What may stand before a value: `key=`, `(`.
const OPENS: u8 = 2;
/// What may stand after it.
const CLOSES: u8 = 4;
const DIGIT: u8 = 8;
const HEX: u8 = 16;

/// What each byte is.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let byte = at as u8;
        class[at] = match byte {
            b' ' | 9..=13 => SPACE,
            b'=' | b'(' | b'[' | b'{' | b'<' => OPENS,
            b',' | b';' | b':' | b'.' | b')' | b']' | b'}' | b'>' | b'!' | b'?' => CLOSES,
            b'0'..=b'9' => DIGIT | HEX,
            b'a'..=b'f' | b'A'..=b'F' | b'-' => HEX,
            _ => 0,
        };
        at += 1;
    }
    class
};

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(0)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

/// Masks the first word of `rest`; returns what follows it.
fn mask_word<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (mut start, mut digit, mut end) = (0, false, rest.len());
    for (at, byte) in rest.iter().enumerate() {
        let class = class(*byte);
        if class & (SPACE | OPENS | DIGIT) == 0 {
            continue;
        }
        if class & SPACE != 0 {
            end = at;
            break;
        }
        digit |= class & DIGIT != 0;
        if class & OPENS != 0 && start == 0 {
            // A digit before it belongs to the key.
            (start, digit) = (at + 1, false);
        }
    }
    let (word, tail) = rest.split_at(end);
    let (prefix, value) = word.split_at(start);
    let len = value.iter().rposition(|b| class(*b) & CLOSES == 0).map_or(0, |at| at + 1);
    let (inner, suffix) = value.split_at(len);
    if digit || varies(inner) {
        out.extend_from_slice(prefix);
        out.extend_from_slice(b"<*>");
        out.extend_from_slice(suffix);
    } else {
        out.extend_from_slice(word);
    }
    tail
}

/// True for paths and hexadecimal words; those with digits are known.
fn varies(word: &[u8]) -> bool {
    let path = || {
        word.first() == Some(&b'/')
            || memchr::memchr(b':', word).is_some() && word.windows(3).any(|three| three == b"://")
    };
    let hex = || word.len() >= 8 && word.iter().all(|b| class(*b) & HEX != 0);
    word.len() > 1 && (path() || hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use logbraid_core::template::mask;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masks_are_those_of_core(message in "[ a-fz0-9/:.,='\"(\\[{<>\r\n\t?!-]{0,40}|.{0,12}") {
            let mut templates = Templates::new();
            if templates.mask(&message) {
                prop_assert_eq!(String::from_utf8_lossy(&templates.masked), mask(&message));
            }
            prop_assert_eq!(templates.id(&message), template_id(&message));
            prop_assert_eq!(templates.id(&message), template_id(&message), "remembered");
        }
    }
}
