//! Handing over: a chunk's bytes are the entries of a PackedForward message of the Forward protocol, version 1
//! (<https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// A chunk is handed over within this time, or is to be sent again: a worker of Fluent Bit waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where chunks go.
pub(crate) struct Hand {
    to: Vec<SocketAddr>,
}

/// What came of a chunk that need not be sent again.
pub(crate) enum Outcome {
    Durable,
    TooLong,
}

impl Hand {
    pub(crate) fn new(to: &str) -> Result<Self, String> {
        let help = "set `to` to the address of logbraid's `forward` source, such as `to 127.0.0.1:24224`";
        let to: Vec<_> =
            to.to_socket_addrs().map_err(|error| format!("`to` is `{to}`: {error}; {help}"))?.collect();
        if to.is_empty() { Err(format!("`to` names no address; {help}")) } else { Ok(Self { to }) }
    }

    /// Sends a chunk on a connection of its own and waits for its acknowledgement.
    pub(crate) fn over(&self, tag: &[u8], data: &[u8]) -> io::Result<Outcome> {
        let (Ok(tag_length), Ok(length)) = (u32::try_from(tag.len()), u32::try_from(data.len())) else {
            return Ok(Outcome::TooLong);
        };
        // The same chunk has the same id when it comes again, so that logbraid knows it.
        let mut hasher = DefaultHasher::new();
        (tag, data).hash(&mut hasher);
        let id = format!("{:016x}", hasher.finish());
        let head = [b"\x93\xdb", &tag_length.to_be_bytes()[..], tag, b"\xc6", &length.to_be_bytes()].concat();
        let option = [b"\x81\xa5chunk\xb0", id.as_bytes()].concat();
        let mut wire = self.connect()?;
        for part in [&head[..], data, &option] {
            wire.write(part)?;
        }
        if wire.acknowledged()? == id.as_bytes() { Ok(Outcome::Durable) } else { Err(foreign()) }
    }

    fn connect(&self) -> io::Result<Wire> {
        let until = now() + PATIENCE;
        let mut last = io::Error::other("no address");
        for address in &self.to {
            match left(until).and_then(|left| TcpStream::connect_timeout(address, left)) {
                Ok(stream) => return Ok(Wire { stream, until }),
                Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            }
        }
        Err(last)
    }
}

/// A connection that ends at a time, however slowly the other end reads and answers.
struct Wire {
    stream: TcpStream,
    until: Instant,
}

impl Wire {
    /// The id of an answer `{"ack": id}`, of as many bytes as ours have.
    fn acknowledged(&mut self) -> io::Result<[u8; 16]> {
        let mut head = [0; 6];
        self.read(&mut head)?;
        // Strings have their length in the first byte, in one more or in two more.
        let (name, more) = (&head[..5], usize::from(head[5]));
        let more = match more {
            0xb0 => 0,
            0xd9 => 1,
            0xda => 2,
            _ => return Err(foreign()),
        };
        let mut length = [0; 2];
        self.read(&mut length[..more])?;
        if name != b"\x81\xa3ack" || !matches!((more, length), (0, _) | (1, [16, _]) | (2, [0, 16])) {
            return Err(foreign());
        }
        let mut id = [0; 16];
        self.read(&mut id)?;
        Ok(id)
    }
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(left(self.until)?))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) => again(error)?,
            }
        }
        Ok(())
    }
    fn read(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_read_timeout(Some(left(self.until)?))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(io::Error::other("the connection was closed before the answer")),
                Ok(read) => bytes = bytes.get_mut(read..).unwrap_or_default(),
                Err(error) => again(error)?,
            }
        }
        Ok(())
    }
}

fn foreign() -> io::Error {
    io::Error::other("the answer is none to this chunk; is `to` logbraid's `forward` source?")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a worker of Fluent Bit waits: there is no runtime and no event time"
)]
fn now() -> Instant {
    Instant::now()
}

/// What is left of the time.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(now());
    if left.is_zero() {
        let message = format!("no answer within {} s", PATIENCE.as_secs());
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    }
    Ok(left)
}

/// Whether to try again: after a signal, and after a wait, whose end `left` judges.
fn again(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(()),
        _ => Err(error),
    }
}
