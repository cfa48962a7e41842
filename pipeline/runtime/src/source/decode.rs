//! Compressed input, known by its first bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// How a stream is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// gzip, one member or several.
    Gzip,
    /// Zstandard, one frame or several.
    Zstd,
}

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// What other archives begin with, and what unpacks them.
const OTHERS: [(&[u8], &str, &str); 5] = [
    (b"\xFD7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\x04\x22\x4D\x18", "lz4", "lz4 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
    (b"7z\xBC\xAF\x27\x1C", "7-Zip", "7z e -so"),
];

impl Compression {
    /// How a stream that begins with `head` is compressed, if it is.
    pub fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(&GZIP) {
            Some(Self::Gzip)
        } else if head.starts_with(&ZSTD) {
            Some(Self::Zstd)
        } else {
            None
        }
    }
    /// True when more bytes are needed to tell whether a stream that begins with `head` is compressed.
    pub fn is_open(head: &[u8]) -> bool {
        [&GZIP[..], &ZSTD].iter().any(|magic| head.len() < magic.len() && magic.starts_with(head))
    }
    /// The name of an archive format that is not decoded here, and the command that decodes it.
    pub fn unsupported(head: &[u8]) -> Option<(&'static str, &'static str)> {
        // `BZh` alone could begin a line of text: a level digit and the block's magic number follow it.
        let bzip2 = head.get(3).is_some_and(u8::is_ascii_digit) && head.get(4..7) == Some(b"1AY");
        OTHERS
            .iter()
            .find(|(magic, name, _)| head.starts_with(magic) && (*name != "bzip2" || bzip2))
            .map(|(_, name, command)| (*name, *command))
    }
    /// Decodes `from`, which stands at its beginning.
    pub fn decode<R: Read + Send + 'static>(self, from: R) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, from)))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(from)?),
        })
    }
}

/// True when a file that begins with `head` holds something else than text. NUL bytes at the very beginning are what
/// truncation leaves in a file whose writer keeps its position.
pub fn is_binary(head: &[u8]) -> bool {
    let utf16 = matches!(head, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    if utf16 || Compression::of(head).is_some() {
        return false;
    }
    let start = head.iter().position(|byte| *byte != 0).unwrap_or(head.len());
    memchr::memchr(0, &head[start..]).is_some() || Compression::unsupported(head).is_some()
}

/// Reads up to `len` bytes of `from` onto the end of `to`, without clearing memory first. 0 at the end.
pub fn read_onto(mut from: impl Read, to: &mut Vec<u8>, len: usize) -> io::Result<usize> {
    to.reserve(len);
    from.by_ref().take(len as u64).read_to_end(to)
}

/// What a file is read through.
pub enum Handle {
    /// Bytes as they are, at any position.
    Plain(File),
    /// Bytes as they are decoded, from the beginning on.
    Decoded(Box<dyn Read + Send>),
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Decoded(_) => "Decoded",
        })
    }
}
