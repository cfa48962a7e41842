//! A connection: the handshake, messages one after the other, each acknowledged once it is durable.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Sleep, timeout};

use super::super::connections::{LEAVING, Stream as _};
use super::super::door::{Held, Refused};
use super::super::lines::Lines;
use super::super::status::add;
use super::super::tls;
use super::super::wire::Wire;
use super::auth::{Handshake, PING_BYTES_MAX};
use super::message::{self, Message, Rules, Wrong};
use super::msgpack::{Found, Scan};
use super::{AGAIN, Shared};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Messages that are longer are decoded on a thread that may take its time.
const AT_ONCE_BYTES: usize = 64 << 10;
/// What is still read of each connection when the listener ends.
const LEAVING_BYTES: usize = 8 << 20;

/// Why a connection ends before its sender ended it.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("{0}")]
    Wrong(#[from] Wrong),
    #[error("the sender does not know the shared key; set `shared_key` here and there to the same text")]
    Key,
    #[error("a message did not arrive in time")]
    Timeout,
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The sender does not wait any more, or the listener ends.
    #[error("it ended")]
    Ended,
}

/// What has come of a connection and was not read yet.
struct Arriving<'a> {
    stream: Wire,
    shared: &'a Shared,
    buffer: Vec<u8>,
    held: Held,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes that are still read, once the listener ends.
    leaving: Option<usize>,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let status = &shared.door.status;
    let _set = stream.set_nodelay(true);
    let unread_ms = u32::try_from(shared.config.timeout.to_std().as_millis()).unwrap_or(u32::MAX);
    let _set = rustix::net::sockopt::set_tcp_user_timeout(&stream, unread_ms);
    let limit = shared.config.timeout.to_std();
    let Some(stream) = tls::wire(shared.tls.as_deref(), stream, &shared.door, limit, &shared.stop).await
    else {
        return;
    };
    let mut arriving = Arriving {
        stream,
        shared: &shared,
        buffer: Vec::new(),
        held: shared.door.hold(),
        deadline: None,
        leaving: None,
    };
    let Err(end) = session(&mut arriving).await else { return };
    match &end {
        End::Wrong(Wrong::Busy) => add(&status.busy, 1),
        End::Wrong(_) | End::Key => {
            add(&status.refused, 1);
            shared.tell(&end);
        }
        End::Timeout => add(&status.timeouts, 1),
        End::Io(_) | End::Ended => {}
    }
    tracing::debug!("forward: {end}");
}

async fn session(arriving: &mut Arriving<'_>) -> Result<(), End> {
    let shared = arriving.shared;
    if let Some(key) = &shared.config.shared_key {
        let handshake = Handshake::new(key.reveal())?;
        arriving.write(&handshake.helo()).await?;
        arriving.begin();
        let Some(end) = arriving.value(PING_BYTES_MAX).await? else { return Err(End::Key) };
        let (well, pong) = handshake.pong(&arriving.take(end));
        arriving.taken();
        arriving.write(&pong).await?;
        if !well {
            return Err(End::Key);
        }
    }
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    while let Some(end) = arriving.value(max).await? {
        let rules =
            Rules { max, tag_is_service: shared.config.service.is_none(), received: shared.door.now() };
        let mut held = shared.door.hold();
        let bytes = arriving.take(end);
        let read = move || {
            let message = message::read(&bytes, rules, &mut held)?;
            let key = message.chunk.is_some().then(|| xxhash_rust::xxh3::xxh3_128(&bytes));
            Ok::<_, Wrong>((message, key, held))
        };
        let (Message { lines, chunk }, key, held) = if end < AT_ONCE_BYTES {
            read()?
        } else {
            // Others are served meanwhile.
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??
        };
        arriving.taken();
        add(&shared.door.status.requests, 1);
        // A chunk whose acknowledgement did not reach its sender is sent again.
        if !key.is_some_and(|key| shared.unheard.take(key)) {
            keep(arriving, lines, held, chunk.is_some()).await?;
        }
        if let (Some(chunk), Some(key)) = (chunk, key) {
            let answered = !arriving.stream.is_gone() && arriving.write(&ack(&chunk)).await.is_ok();
            if !answered {
                shared.unheard.remember(key);
                return Err(End::Ended);
            }
        }
    }
    Ok(())
}

/// Keeps lines, however long it takes: until the one who would send them again is gone, or the listener ends.
async fn keep(arriving: &mut Arriving<'_>, mut lines: Lines, mut held: Held, again: bool) -> Result<(), End> {
    let shared = arriving.shared;
    let mut told = false;
    loop {
        let Err(back) = shared.door.keep_within(lines, held).await else { return Ok(()) };
        if !std::mem::replace(&mut told, true) {
            add(&shared.door.status.busy, 1);
        }
        let ended = back.why == Refused::Stopping || timeout(AGAIN, shared.stop.cancelled()).await.is_ok();
        if ended || (again && arriving.stream.is_gone()) {
            let lost = if again { 0 } else { back.lines.count() as u64 };
            add(&shared.door.status.dropped, lost);
            return Err(End::Ended);
        }
        (lines, held) = (back.lines, back.held);
    }
}

/// `{"ack": chunk}`
fn ack(chunk: &[u8]) -> Vec<u8> {
    // Ids have 256 bytes at most.
    let length = u16::try_from(chunk.len()).unwrap_or(0).to_be_bytes();
    [b"\x81\xa3ack\xda", &length[..], chunk].concat()
}

impl Arriving<'_> {
    /// What comes next must come within the time for a message.
    fn begin(&mut self) {
        self.deadline = Some(Box::pin(tokio::time::sleep(self.shared.config.timeout.to_std())));
    }

    /// Waits for a value of at most `max` bytes; the length of it, at the beginning of the buffer. `None` at the end.
    async fn value(&mut self, max: usize) -> Result<Option<usize>, End> {
        let mut scan = Scan::new();
        loop {
            match scan.scan(&self.buffer, max).map_err(Wrong::from)? {
                Found::Whole(end) => return Ok(Some(end)),
                Found::TooLong => return Err(Wrong::TooLong(max).into()),
                Found::More => {}
            }
            if self.deadline.is_none() && !self.buffer.is_empty() {
                self.begin();
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for more bytes; false when none will come.
    async fn more(&mut self) -> Result<bool, End> {
        loop {
            if self.leaving.is_some() {
                match timeout(LEAVING, self.stream.readable()).await {
                    Ok(readable) => readable?,
                    Err(_silent) => return Ok(false),
                }
            } else {
                let deadline = async {
                    match &mut self.deadline {
                        Some(deadline) => deadline.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = self.shared.stop.cancelled() => {
                        self.leaving = Some(LEAVING_BYTES);
                        continue;
                    }
                    () = deadline => return Err(End::Timeout),
                    readable = self.stream.readable() => readable?,
                }
            }
            let mut bytes = vec![0; READ_BYTES];
            let read = match self.stream.try_read(&mut bytes) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(left) = &mut self.leaving {
                *left = left.saturating_sub(read);
                if *left == 0 {
                    return Ok(false);
                }
            }
            self.held.grow(read).map_err(|_| Wrong::Busy)?;
            self.buffer.extend_from_slice(&bytes[..read]);
            return Ok(read > 0);
        }
    }

    /// Takes the first `length` bytes out; their memory is held until [`Self::taken`].
    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        self.deadline = None;
        std::mem::replace(&mut self.buffer, rest)
    }

    /// What was taken out is no longer in memory.
    fn taken(&mut self) {
        self.held.shrink(self.buffer.len());
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let limit = self.shared.config.timeout.to_std();
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(limit, written).await {
            Ok(written) => Ok(written?),
            Err(_unread) => Err(End::Timeout),
        }
    }
}
