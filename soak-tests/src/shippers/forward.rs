//! Clients of the Forward protocol that do what its specification asks of them: each chunk is sent until it was
//! acknowledged, over a new connection after a failure.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::Sending;

/// Entries of a chunk.
const TOGETHER: u64 = 100;
/// Clients at a time.
const CLIENTS: u64 = 4;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a client waits after a failure.
const AGAIN: Duration = Duration::from_millis(20);
/// The first line's time of day, in seconds.
const T0: u64 = 1_705_312_800;

/// Sends all lines from several clients.
pub(super) fn send(sending: &Sending) {
    let next = AtomicU64::new(0);
    let chunks = sending.lines.div_ceil(TOGETHER).max(1);
    let pause =
        sending.spread * u32::try_from(CLIENTS).unwrap_or(1) / u32::try_from(chunks).unwrap_or(u32::MAX);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(sending, &next, pause));
        }
    });
}

fn client(sending: &Sending, next: &AtomicU64, pause: Duration) {
    let mut stream = None;
    loop {
        let first = next.fetch_add(TOGETHER, Ordering::AcqRel);
        if first >= sending.lines {
            return;
        }
        let end = sending.lines.min(first + TOGETHER);
        let (message, id) = chunk(first, end);
        while sending.goes_on() {
            match exchange(&mut stream, sending, &message, &id) {
                Ok(()) => {
                    sending.sent.fetch_add(end - first, Ordering::AcqRel);
                    break;
                }
                Err(_broken) => {
                    stream = None;
                    sending.again.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(AGAIN);
                }
            }
        }
        thread::sleep(pause);
    }
}

fn exchange(stream: &mut Option<TcpStream>, sending: &Sending, message: &[u8], id: &str) -> io::Result<()> {
    let stream = if let Some(stream) = stream {
        stream
    } else {
        let new = TcpStream::connect_timeout(&sending.address, ANSWER)?;
        new.set_read_timeout(Some(ANSWER))?;
        new.set_nodelay(true)?;
        stream.insert(new)
    };
    stream.write_all(message)?;
    // {"ack": id}, with a text of two bytes of length.
    let mut answer = vec![0; 8 + id.len()];
    stream.read_exact(&mut answer)?;
    if answer.starts_with(b"\x81\xa3ack\xda") && answer.ends_with(id.as_bytes()) {
        return Ok(());
    }
    Err(io::Error::other("another answer than was asked for"))
}

/// A chunk of lines in mode PackedForward, and its id.
fn chunk(first: u64, end: u64) -> (Vec<u8>, String) {
    let mut packed = Vec::new();
    for number in first..end {
        let seconds = u32::try_from(T0 + number / 1000).unwrap_or(u32::MAX).to_be_bytes();
        let nanos = u32::try_from(number % 1000).unwrap_or(0) * 1_000_000;
        packed.extend_from_slice(&[0x92, 0xd7, 0]);
        packed.extend_from_slice(&seconds);
        packed.extend_from_slice(&nanos.to_be_bytes());
        packed.extend_from_slice(b"\x81\xa7message");
        text(&mut packed, &format!("line {number}"));
    }
    let id = format!("chunk-{first}");
    let mut message = vec![0x93];
    text(&mut message, "soak");
    message.push(0xc6);
    message.extend_from_slice(&u32::try_from(packed.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend_from_slice(&packed);
    message.extend_from_slice(b"\x81\xa5chunk");
    text(&mut message, &id);
    (message, id)
}

/// A text of fewer than 256 bytes.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&[0xd9, u8::try_from(text.len()).unwrap_or(0)]);
    out.extend_from_slice(text.as_bytes());
}
