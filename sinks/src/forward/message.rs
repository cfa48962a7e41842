//! Records as entries, and entries as a chunk: `PackedForward` and `CompressedPackedForward` of Fluent Forward v1
//! (<https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>).

use std::io::{Cursor, Write as _};

use logbraid_core::sink::SinkError;
use logbraid_core::{EventTime, Record};
use serde::Deserialize;

use super::config::{Compression, Config};
use crate::about::{About, kind};
use crate::batch::{self, Pending};
use crate::ndjson;

/// Bytes of an id.
const ID_BYTES: usize = 16;
/// `EventTime`: an extension of type 0 with eight bytes.
const EVENT_TIME: [u8; 2] = [0xd7, 0x00];

/// A record as an entry, `[time, record]`.
pub(super) struct Piece {
    tag: String,
    entry: Vec<u8>,
}

impl batch::Piece for Piece {
    fn bytes(&self) -> usize {
        self.entry.len()
    }
}

impl Piece {
    /// `now` stands for a time that is not known.
    pub(super) fn of(record: &Record, tag: &str, now: &dyn Fn() -> EventTime) -> Self {
        let about = About::of(record);
        let tag = tag.replace("{type}", kind(record)).replace("{service}", about.service.unwrap_or("none"));
        let time = if about.time.is_known() { about.time } else { now() };
        let (seconds, nanos) =
            (time.nanos().div_euclid(1_000_000_000), time.nanos().rem_euclid(1_000_000_000));
        let mut entry = vec![0x92];
        entry.extend_from_slice(&EVENT_TIME);
        entry.extend_from_slice(&u32::try_from(seconds.max(0)).unwrap_or(u32::MAX).to_be_bytes());
        entry.extend_from_slice(&u32::try_from(nanos).unwrap_or(0).to_be_bytes());
        let mut text = Vec::new();
        ndjson::encode(record, &mut text);
        let value = value(kind(record), &text);
        let start = entry.len();
        if rmp_serde::encode::write(&mut entry, &value).is_err() {
            // An empty map: what is written to memory does not fail, and JSON has nothing that the format lacks.
            entry.truncate(start);
            entry.push(0x80);
        }
        Self { tag, entry }
    }
}

/// A record that was written as JSON; one that is too deep to be read again is sent as its text.
fn value(kind: &str, text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).unwrap_or_else(
        |_| serde_json::json!({ "type": kind, "raw": String::from_utf8_lossy(text).trim_end() }),
    )
}

/// Entries that are sent together.
pub(super) struct Chunk {
    pub(super) message: Vec<u8>,
    /// How many of those that wait it has.
    pub(super) count: usize,
    /// What the server answers; none where it is not asked to.
    pub(super) id: Option<String>,
}

impl Chunk {
    /// The first of those that wait, as far as they have one tag.
    pub(super) fn of(pending: &Pending<Piece>, config: &Config) -> Result<Self, SinkError> {
        let count = pending.next(usize::MAX, |first, piece| first.tag == piece.tag);
        let entries: Vec<u8> = pending.first(count).flat_map(|piece| piece.entry.iter().copied()).collect();
        let tag = pending.front().map_or("", |piece| piece.tag.as_str());
        // The same entries have the same id, so that a server may know them again.
        let id =
            config.acks.then(|| openssl::base64::encode_block(&openssl::sha::sha256(&entries)[..ID_BYTES]));
        let gzip = config.compression == Compression::Gzip;
        let packed =
            |error: &dyn std::fmt::Display| SinkError::Fatal(format!("a chunk cannot be packed: {error}"));
        let entries = if gzip {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(&entries).and_then(|()| packer.finish()).map_err(|error| packed(&error))?
        } else {
            entries
        };
        let mut options = serde_json::Map::new();
        options.insert("size".to_owned(), count.into());
        options.extend(id.clone().map(|id| ("chunk".to_owned(), id.into())));
        options.extend(gzip.then(|| ("compressed".to_owned(), "gzip".into())));
        let mut message = Vec::with_capacity(entries.len() + 128);
        let value = (tag, serde_bytes::Bytes::new(&entries), options);
        rmp_serde::encode::write(&mut message, &value).map_err(|error| packed(&error))?;
        Ok(Self { message, count, id })
    }
}

/// A server's answer to a chunk.
#[derive(Debug, Deserialize)]
pub(super) struct Ack {
    pub(super) ack: String,
}

/// The first value in `bytes` and its length; `None` when it has not come to its end yet.
pub(super) fn first<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<Option<(T, usize)>, String> {
    use rmp_serde::decode::Error::{InvalidDataRead, InvalidMarkerRead};
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(bytes));
    reader.set_max_depth(16);
    match T::deserialize(&mut reader) {
        Ok(value) => {
            let length = usize::try_from(reader.get_ref().position()).unwrap_or(bytes.len());
            Ok(Some((value, length)))
        }
        Err(InvalidMarkerRead(error) | InvalidDataRead(error))
            if error.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            Ok(None)
        }
        Err(error) => Err(format!(
            "the server's answer is not understood: {error}; does it ask for a `shared_key`, and does it speak Fluent Forward?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_record_that_is_too_deep_is_sent_as_its_text() {
        let deep = format!("{{\"a\":{}{}}}\n", "[".repeat(200), "]".repeat(200));
        let sent = value("entry", deep.as_bytes());
        assert_eq!((sent["type"].as_str(), sent["raw"].as_str()), (Some("entry"), Some(deep.trim_end())));
        assert_eq!(value("entry", b"{\"a\":1}\n")["a"], 1);
    }
}
