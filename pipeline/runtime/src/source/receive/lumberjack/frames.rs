//! Frames of the Lumberjack protocol, version 2: where one ends, and what it is. Nothing is believed before it is there.
//!
//! ```text
//!  '2' 'W' count u32                              a window: so many events follow, and then an acknowledgement is due
//!  '2' 'J' sequence u32 │ length u32 │ JSON       an event
//!  '2' 'C' length u32 │ zlib of frames            events, compressed
//!  '2' 'A' sequence u32                           to the sender: durable up to here     (all big endian)
//! ```

use flate2::{Decompress, FlushDecompress, Status};

use super::super::door::Held;

/// Why a sender is cut off.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("it speaks TLS; set `tls` here, or leave `ssl` out of its output")]
    Tls,
    #[error("it speaks version 1 of Lumberjack, as logstash-forwarder does; Beats speak version 2")]
    Version1,
    #[error("it sends version 2's key and value frames (`2D`); only JSON (`2J`) is read, as Beats send it")]
    KeyValue,
    #[error("it does not speak Lumberjack, version 2: a frame begins with bytes {0:#04x} {1:#04x}")]
    Frame(u8, u8),
    #[error("{0}")]
    Shape(&'static str),
    #[error(
        "a window of {found} events; at most {max} are taken: lower `bulk_max_size` there or raise `window`"
    )]
    Window { found: u32, max: u32 },
    #[error("a frame is longer than {0} bytes, or is so after decoding; raise `message`")]
    TooLong(usize),
    #[error("a compressed frame is not zlib, or is damaged")]
    Compressed,
    #[error("too much waits for the pipeline")]
    Busy,
}

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// So many events follow.
    Window(u32),
    /// An event, and its number in the window.
    Event { sequence: u32, json: &'a [u8] },
    /// Frames, compressed.
    Packed(&'a [u8]),
}

/// Memory for what is decoded is asked for in steps of this many bytes at first.
const STEP: usize = 64 << 10;

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The frame that `bytes` begin with, and its length; `None` when it is not there in whole. What is longer than `max` is
/// refused once its length is known.
pub(super) fn first(bytes: &[u8], max: usize) -> Result<Option<(Frame<'_>, usize)>, Wrong> {
    match bytes {
        [] | [b'2'] => return Ok(None),
        // A record of a TLS handshake.
        [0x16, ..] => return Err(Wrong::Tls),
        [b'1', ..] => return Err(Wrong::Version1),
        [b'2', b'W' | b'J' | b'C', ..] => {}
        [b'2', b'D', ..] => return Err(Wrong::KeyValue),
        [version, kind @ ..] => return Err(Wrong::Frame(*version, kind.first().copied().unwrap_or(0))),
    }
    let body = |at: usize, length: u32| {
        let length = usize::try_from(length).ok().filter(|length| *length <= max);
        let length = length.ok_or(Wrong::TooLong(max))?;
        Ok(bytes.get(at..at + length).map(|body| (body, at + length)))
    };
    Ok(match bytes[1] {
        b'W' => number(bytes, 2).map(|count| (Frame::Window(count), 6)),
        b'J' => match (number(bytes, 2), number(bytes, 6)) {
            (Some(sequence), Some(length)) => {
                body(10, length)?.map(|(json, end)| (Frame::Event { sequence, json }, end))
            }
            _ => None,
        },
        _ => match number(bytes, 2) {
            Some(length) => body(6, length)?.map(|(packed, end)| (Frame::Packed(packed), end)),
            None => None,
        },
    })
}

/// What `packed` is after decoding, at most `max` bytes; memory is asked for before it is taken.
pub(super) fn unpacked(packed: &[u8], max: usize, held: &mut Held) -> Result<Vec<u8>, Wrong> {
    let mut stream = Decompress::new(true);
    let mut decoded = Vec::new();
    loop {
        if decoded.len() == decoded.capacity() {
            // One byte more than may be tells what is longer from what is as long.
            let more = decoded.len().max(STEP).min(max + 1 - decoded.len());
            held.grow(more).map_err(|_| Wrong::Busy)?;
            decoded.reserve_exact(more);
        }
        let (taken, made) = (stream.total_in(), decoded.len());
        let rest = usize::try_from(taken).ok().and_then(|taken| packed.get(taken..)).unwrap_or_default();
        let status = stream.decompress_vec(rest, &mut decoded, FlushDecompress::None);
        let status = status.map_err(|_| Wrong::Compressed)?;
        if decoded.len() > max {
            return Err(Wrong::TooLong(max));
        }
        match status {
            Status::StreamEnd if stream.total_in() == packed.len() as u64 => return Ok(decoded),
            Status::StreamEnd => return Err(Wrong::Compressed),
            // There is room, and nothing moves: it ends early.
            _ if stream.total_in() == taken && decoded.len() == made => return Err(Wrong::Compressed),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::super::decode;
    use super::*;

    fn window(count: u32) -> Vec<u8> {
        [&b"2W"[..], &count.to_be_bytes()].concat()
    }
    fn event(sequence: u32, json: &[u8]) -> Vec<u8> {
        let length = u32::try_from(json.len()).unwrap();
        [&b"2J"[..], &sequence.to_be_bytes(), &length.to_be_bytes(), json].concat()
    }
    fn packed(frames: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(frames).unwrap();
        let bytes = encoder.finish().unwrap();
        [&b"2C"[..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes].concat()
    }
    fn said(bytes: &[u8]) -> String {
        decode(bytes, 4096).expect_err("it is refused")
    }

    #[test]
    fn windows_are_read_plain_and_compressed_and_mixed() {
        let two = [event(1, b"{}"), event(2, b"{\"message\":\"x\"}")].concat();
        for (bytes, events) in [
            (window(0), 0),
            ([window(2), two.clone()].concat(), 2),
            ([window(2), packed(&two), window(2), two.clone()].concat(), 4),
            ([window(3), event(1, b"{}"), packed(&event(2, b"{}")), event(3, b"{}")].concat(), 3),
        ] {
            assert_eq!(decode(&bytes, 4096), Ok(events));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_change() {
        let one = event(1, b"{}");
        let bomb = packed(&vec![b' '; 1 << 20]);
        let mut cut = packed(&one);
        cut.truncate(cut.len() - 3);
        let cut = [&cut[..2], &u32::try_from(cut.len() - 6).unwrap().to_be_bytes(), &cut[6..]].concat();
        for (bytes, expected) in [
            (b"\x16\x03\x01".to_vec(), "TLS"),
            (b"1W\0\0\0\x01".to_vec(), "version 1"),
            (b"2D\0\0\0\x01".to_vec(), "`2D`"),
            (b"GET / HTTP/1.1\r\n".to_vec(), "0x47 0x45"),
            (one.clone(), "outside a window"),
            ([window(1), window(1)].concat(), "before the one before it has ended"),
            ([window(1), packed(&[one.clone(), one.clone()].concat())].concat(), "more events"),
            ([window(1), packed(&packed(&one))].concat(), "within a compressed frame"),
            ([window(1), packed(&one[..5])].concat(), "ends in the middle"),
            ([window(1), cut].concat(), "damaged"),
            ([window(1), b"2C\0\0\0\x02no".to_vec()].concat(), "damaged"),
            ([window(1), bomb].concat(), "raise `message`"),
            ([window(1), b"2J\0\0\0\x01\xff\xff\xff\xff".to_vec()].concat(), "raise `message`"),
        ] {
            let said = said(&bytes);
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn what_decodes_to_as_much_as_may_be_is_taken_and_a_byte_more_is_not() {
        let frame = |length: usize| [window(1), packed(&event(1, &vec![b'x'; length - 10]))].concat();
        assert_eq!(decode(&frame(100_000), 100_000), Ok(1));
        assert!(decode(&frame(100_001), 100_000).is_err_and(|said| said.contains("raise `message`")));
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..40_usize) {
            let _any = decode(&bytes, 1000);
            let mut changed = [window(2), packed(&event(1, b"{\"message\":\"x\"}")), event(2, b"{}")].concat();
            for (offset, byte) in bytes.iter().take(3).enumerate() {
                let length = changed.len();
                changed[(at + offset * 7) % length] = *byte;
            }
            let _any = decode(&changed, 1000);
        }
        #[test]
        fn a_frame_is_found_once_it_is_whole(json in prop::collection::vec(any::<u8>(), 0..200), sequence: u32) {
            let bytes = event(sequence, &json);
            for end in 0..bytes.len() {
                prop_assert_eq!(first(&bytes[..end], 200), Ok(None));
            }
            let expected = (Frame::Event { sequence, json: &json }, bytes.len());
            prop_assert_eq!(first(&bytes, 200), Ok(Some(expected)));
        }
    }
}
