//! UTF-16: how to recognise it, and how to read it piece by piece.

/// How a source's bytes are encoded, as its first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bom {
    /// UTF-8 with a mark, 3 bytes long.
    Utf8,
    /// UTF-16, least significant byte first; the mark is 2 bytes long.
    Utf16Le,
    /// UTF-16, most significant byte first; the mark is 2 bytes long.
    Utf16Be,
}

impl Bom {
    /// The length of the mark in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Utf8 => 3,
            Self::Utf16Le | Self::Utf16Be => 2,
        }
    }
}

/// The byte order mark at the very start of a source; `None` when there is none.
///
/// ```
/// use logbraid_parse::{Bom, detect_bom};
/// assert_eq!(detect_bom(&[0xff, 0xfe, b'a', 0]), Some(Bom::Utf16Le));
/// assert_eq!(detect_bom(b"plain"), None);
/// ```
pub fn detect_bom(start: &[u8]) -> Option<Bom> {
    match start {
        [0xef, 0xbb, 0xbf, ..] => Some(Bom::Utf8),
        [0xff, 0xfe, ..] => Some(Bom::Utf16Le),
        [0xfe, 0xff, ..] => Some(Bom::Utf16Be),
        _ => None,
    }
}

/// Decodes a whole text without its mark. Lone surrogates and a last odd byte become U+FFFD.
pub fn decode_utf16(bytes: &[u8], bom: Bom) -> String {
    let mut decoder = Utf16::new(bom);
    let mut out = String::with_capacity(bytes.len());
    decoder.push(bytes, &mut out);
    decoder.finish(&mut out);
    out
}

/// Decodes UTF-16 that comes in pieces; pieces may end anywhere, also within a character.
#[derive(Clone, Debug)]
pub struct Utf16 {
    big: bool,
    odd: Option<u8>,
    high: Option<u16>,
}

impl Utf16 {
    /// A decoder for what follows the mark `bom`. [`Bom::Utf8`] needs none and is read as little endian.
    pub const fn new(bom: Bom) -> Self {
        Self { big: matches!(bom, Bom::Utf16Be), odd: None, high: None }
    }
    /// Appends the characters that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        for byte in bytes {
            let Some(first) = self.odd.take() else {
                self.odd = Some(*byte);
                continue;
            };
            let pair = [first, *byte];
            self.unit(if self.big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }, out);
        }
    }
    /// Appends what is left at the end of the source.
    pub fn finish(&mut self, out: &mut String) {
        if self.high.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
        if self.odd.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    fn unit(&mut self, unit: u16, out: &mut String) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(letter)) = char::decode_utf16([high, unit]).next() {
                out.push(letter);
                return;
            }
            out.push(char::REPLACEMENT_CHARACTER);
        }
        match unit {
            0xd800..=0xdbff => self.high = Some(unit),
            _ => out.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }
}
