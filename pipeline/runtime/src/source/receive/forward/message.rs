//! Messages of the Forward protocol, version 1, in all four modes, as lines of JSON.
//!
//! ```text
//!  [tag, time, record, option?]                      Message
//!  [tag, [[time, record], …], option?]               Forward
//!  [tag, bytes of [time, record] …, option?]         PackedForward; compressed with `compressed: gzip` or `zstd`
//! ```

use std::io::Read;

use flate2::read::MultiGzDecoder;
use logbraid_core::EventTime;

use super::super::door::Held;
use super::super::lines::Lines;
use super::msgpack::{self, Malformed, Reader, Value};

/// Why a message is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("a message cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("a message is not one of the Forward protocol: {0}")]
    Shape(&'static str),
    #[error("a chunk cannot be decompressed: {0}")]
    Compressed(String),
    #[error("a message, or a record of it, is longer than {0} bytes after decoding; raise `message`")]
    TooLong(usize),
    #[error("too much waits for the pipeline")]
    Busy,
}

/// What a message holds.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) lines: Lines,
    /// The id that is to be acknowledged.
    pub(super) chunk: Option<Vec<u8>>,
}

/// How entries become lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Most bytes after decoding, and of a line.
    pub(super) max: usize,
    /// True when the tag names the service of entries that name none.
    pub(super) tag_is_service: bool,
    /// When the message was received, in nanoseconds.
    pub(super) received: i64,
}

/// The longest id of a chunk.
const CHUNK_BYTES_MAX: usize = 256;
/// Memory is asked for in steps of this many bytes.
const STEP: usize = 64 << 10;

/// Reads one message, which is all of `bytes`; its memory is asked for as it grows.
pub(super) fn read(bytes: &[u8], rules: Rules, held: &mut Held) -> Result<Message, Wrong> {
    let mut reader = Reader::new(bytes);
    let count = match reader.next()? {
        // A heartbeat.
        Value::Nil => return Ok(Message::default()),
        Value::Array(count @ 2..=4) => count,
        _ => return Err(Wrong::Shape("it is no array of two to four values")),
    };
    let Value::Text(tag) = reader.next()? else { return Err(Wrong::Shape("the tag is no text")) };
    let mut writer = Writer { rules, tag, line: Vec::new(), lines: Lines::default(), held, paid: 0 };
    let second = reader.next()?;
    let before = match second {
        Value::Array(entries) => {
            for _ in 0..entries {
                writer.entry(&mut reader)?;
            }
            2
        }
        Value::Text(_) | Value::Bytes(_) => 2,
        time => {
            writer.record(&mut reader, time, &Metadata::default())?;
            3
        }
    };
    let option = match count.checked_sub(before) {
        Some(0) => Options::default(),
        Some(1) => options(&mut reader)?,
        _ => return Err(Wrong::Shape("it has another number of values than its mode")),
    };
    if let Value::Text(packed) | Value::Bytes(packed) = second {
        match option.compressed {
            Compression::None => writer.entries(packed)?,
            Compression::Gzip => {
                let decoded = decode(MultiGzDecoder::new(packed), rules.max, writer.held)?;
                writer.entries(&decoded)?;
            }
            Compression::Zstd => {
                let broken = |error: std::io::Error| Wrong::Compressed(error.to_string());
                let decoder = zstd::Decoder::with_buffer(packed).map_err(broken)?;
                let decoded = decode(decoder, rules.max, writer.held)?;
                writer.entries(&decoded)?;
            }
        }
    }
    Ok(Message { lines: writer.lines, chunk: option.chunk })
}

#[derive(Default)]
struct Options {
    chunk: Option<Vec<u8>>,
    compressed: Compression,
}

#[derive(Default)]
enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

fn options(reader: &mut Reader<'_>) -> Result<Options, Wrong> {
    let mut option = Options::default();
    let count = match reader.next()? {
        Value::Nil => 0,
        Value::Map(count) => count,
        _ => return Err(Wrong::Shape("the option is no map")),
    };
    for _ in 0..count {
        let Value::Text(key) = reader.next()? else {
            return Err(Wrong::Shape("a key of the option is no text"));
        };
        match key {
            b"chunk" => match reader.next()? {
                Value::Text(id) | Value::Bytes(id) if id.len() <= CHUNK_BYTES_MAX => {
                    option.chunk = Some(id.to_vec());
                }
                Value::Nil => {}
                _ => return Err(Wrong::Shape("`chunk` is no text of at most 256 bytes")),
            },
            b"compressed" => {
                option.compressed = match reader.next()? {
                    Value::Text(b"gzip") => Compression::Gzip,
                    Value::Text(b"zstd") => Compression::Zstd,
                    Value::Text(b"text") | Value::Nil => Compression::None,
                    _ => return Err(Wrong::Shape("`compressed` is none of `gzip`, `zstd`, `text`")),
                }
            }
            _ => reader.skip()?,
        }
    }
    Ok(option)
}

/// Decompresses to at most `max` bytes.
fn decode(mut from: impl Read, max: usize, held: &mut Held) -> Result<Vec<u8>, Wrong> {
    let mut decoded = Vec::new();
    loop {
        let start = decoded.len();
        held.grow(STEP).map_err(|_| Wrong::Busy)?;
        decoded.resize(start + STEP, 0);
        let read = from.read(&mut decoded[start..]).map_err(|error| Wrong::Compressed(error.to_string()))?;
        decoded.truncate(start + read);
        drop(held.split(STEP - read));
        if decoded.len() > max {
            return Err(Wrong::TooLong(max));
        }
        if read == 0 {
            return Ok(decoded);
        }
    }
}

/// What Fluent Bit sends beside a record: a map, as it lies in the message.
#[derive(Default)]
struct Metadata<'a>(Option<Reader<'a>>);

/// Makes lines of entries.
struct Writer<'a> {
    rules: Rules,
    tag: &'a [u8],
    line: Vec<u8>,
    lines: Lines,
    held: &'a mut Held,
    /// Bytes of lines that memory was asked for.
    paid: usize,
}

impl Writer<'_> {
    fn entries(&mut self, packed: &[u8]) -> Result<(), Wrong> {
        let mut reader = Reader::new(packed);
        while !reader.is_empty() {
            self.entry(&mut reader)?;
        }
        Ok(())
    }

    /// `[time, record]`, or `[[time, metadata], record]`.
    fn entry(&mut self, reader: &mut Reader<'_>) -> Result<(), Wrong> {
        if reader.next()? != Value::Array(2) {
            return Err(Wrong::Shape("an entry is no pair of time and record"));
        }
        match reader.next()? {
            Value::Array(2) => {
                let time = reader.next()?;
                let metadata = Metadata(Some(reader.clone()));
                reader.skip()?;
                self.record(reader, time, &metadata)
            }
            time => self.record(reader, time, &Metadata::default()),
        }
    }

    fn record(
        &mut self,
        reader: &mut Reader<'_>,
        time: Value<'_>,
        metadata: &Metadata<'_>,
    ) -> Result<(), Wrong> {
        let time = match time {
            Value::Unsigned(seconds) => seconds_of(seconds),
            Value::Signed(seconds) => u64::try_from(seconds).ok().and_then(seconds_of),
            // Exact to a quarter of a microsecond, as it was sent.
            #[expect(clippy::cast_possible_truncation, reason = "such a number is cut at the ends of time")]
            Value::Float(seconds) if seconds.is_finite() => {
                Some(EventTime::from_nanos((seconds * 1e9) as i64))
            }
            Value::Ext(kind, bytes) => msgpack::event_time(kind, bytes),
            Value::Nil => Some(EventTime::from_nanos(self.rules.received)),
            _ => None,
        };
        let time = time.ok_or(Wrong::Shape("an entry's time is no moment"))?;
        // The names that count last: what the record itself says is preferred.
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(if self.rules.tag_is_service { b"{\"ident\":" } else { b"{\"tag\":" });
        msgpack::text(self.tag, line);
        line.extend_from_slice(format!(",\"ingestion_time\":\"{time}\"").as_bytes());
        if let Metadata(Some(metadata)) = metadata {
            let mut metadata = metadata.clone();
            let mut peeked = metadata.clone();
            if !matches!(peeked.next()?, Value::Map(0) | Value::Nil) {
                line.extend_from_slice(b",\"metadata\":");
                metadata.json(line)?;
            }
        }
        let mut record = reader.clone();
        if let Value::Map(count) = record.next()? {
            record.members(count, true, line)?;
        } else {
            record = reader.clone();
            line.extend_from_slice(b",\"message\":");
            record.json(line)?;
        }
        line.push(b'}');
        if line.len() > self.rules.max {
            return Err(Wrong::TooLong(self.rules.max));
        }
        self.lines.push(line, self.rules.received);
        *reader = record;
        while self.paid < self.lines.bytes() {
            self.held.grow(STEP).map_err(|_| Wrong::Busy)?;
            self.paid += STEP;
        }
        Ok(())
    }
}

fn seconds_of(seconds: u64) -> Option<EventTime> {
    i64::try_from(seconds).ok()?.checked_mul(1_000_000_000).map(EventTime::from_nanos)
}
