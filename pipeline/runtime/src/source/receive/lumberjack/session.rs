//! A connection: windows one after the other, each acknowledged once it is durable.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Sleep, timeout};

use super::super::connections::Stream as _;
use super::super::door::{Held, Refused};
use super::super::lines::Lines;
use super::super::status::add;
use super::super::tls;
use super::super::wire::Wire;
use super::frames::{self, Frame, Wrong};
use super::window::{self, Window};
use super::{AGAIN, KEEP_ALIVE, Shared};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Compressed frames that are longer are decoded on a thread that may take its time.
const AT_ONCE_BYTES: usize = 64 << 10;

/// Why a connection ends before its sender ended it.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Wrong(#[from] Wrong),
    #[error("a window did not arrive in time")]
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
    /// Where the next frame begins in it.
    at: usize,
    held: Held,
    deadline: Option<Pin<Box<Sleep>>>,
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
    let held = shared.door.hold();
    let mut arriving = Arriving { stream, shared: &shared, buffer: Vec::new(), at: 0, held, deadline: None };
    let Err(end) = session(&mut arriving).await else { return };
    match &end {
        End::Wrong(Wrong::Busy) => add(&status.busy, 1),
        End::Wrong(wrong) => {
            add(&status.refused, 1);
            shared.tell(wrong);
        }
        End::Timeout => add(&status.timeouts, 1),
        End::Io(_) | End::Ended => {}
    }
    tracing::debug!("lumberjack: {end}");
}

async fn session(arriving: &mut Arriving<'_>) -> Result<(), End> {
    let shared = arriving.shared;
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    let mut open: Option<Window> = None;
    // The last number that was acknowledged of the open window.
    let mut durable = 0;
    loop {
        let Some((frame, length)) = frames::first(&arriving.buffer[arriving.at..], max)? else {
            if !arriving.more(open.is_some()).await? {
                return Ok(());
            }
            continue;
        };
        match (frame, &mut open) {
            (Frame::Window(found), None) => {
                let most = shared.config.window;
                if found > most {
                    return Err(Wrong::Window { found, max: most }.into());
                }
                durable = 0;
                open = (found > 0).then(|| Window::new(found, max, shared.door.now(), shared.door.hold()));
            }
            (Frame::Packed(packed), slot @ Some(_)) if packed.len() > AT_ONCE_BYTES => {
                let mut held = shared.door.hold();
                held.grow(packed.len()).map_err(|_| Wrong::Busy)?;
                let (packed, mut window) = (packed.to_vec(), slot.take());
                let read = move || {
                    let read = window::add(&mut window, Frame::Packed(&packed));
                    drop((packed, held));
                    read.map(|_| window)
                };
                // Others are served meanwhile.
                open = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
            }
            (frame, window) => drop(window::add(window, frame)?),
        }
        arriving.at += length;
        let Some(window) = open.as_mut().filter(|window| window.is_due()) else { continue };
        let (lines, held, sequence) = window.take();
        arriving.taken();
        keep(arriving, lines, held, durable).await?;
        arriving.acknowledge(sequence).await?;
        durable = sequence;
        if window.left() == 0 {
            add(&shared.door.status.requests, 1);
            open = None;
        }
    }
}

/// Keeps lines, however long it takes: until the one who would send them again is gone, or the listener ends. Meanwhile
/// the sender is told, with the number that it knows already, that somebody is at work.
async fn keep(
    arriving: &mut Arriving<'_>,
    mut lines: Lines,
    mut held: Held,
    durable: u32,
) -> Result<(), End> {
    let shared = arriving.shared;
    let mut told = false;
    let mut alive = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        let kept = shared.door.keep_within(lines, held);
        tokio::pin!(kept);
        let back = loop {
            tokio::select! {
                biased;
                kept = &mut kept => match kept {
                    Ok(()) => return Ok(()),
                    Err(back) => break back,
                },
                _ = alive.tick() => arriving.acknowledge(durable).await?,
            }
        };
        if !std::mem::replace(&mut told, true) {
            add(&shared.door.status.busy, 1);
        }
        let ended = back.why == Refused::Stopping || timeout(AGAIN, shared.stop.cancelled()).await.is_ok();
        if ended || arriving.stream.is_gone() {
            return Err(End::Ended);
        }
        (lines, held) = (back.lines, back.held);
    }
}

impl Arriving<'_> {
    /// Waits for more bytes; false when none will come. Within a window, or a frame, they must come in time.
    async fn more(&mut self, within: bool) -> Result<bool, End> {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.held.shrink(self.buffer.len());
        if !within && self.buffer.is_empty() {
            self.deadline = None;
            // A sender that is silent for hours costs no memory.
            self.buffer = Vec::new();
        } else if self.deadline.is_none() {
            self.deadline = Some(Box::pin(tokio::time::sleep(self.shared.config.timeout.to_std())));
        }
        loop {
            let deadline = async {
                match &mut self.deadline {
                    Some(deadline) => deadline.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // What is not acknowledged is sent again.
                () = self.shared.stop.cancelled() => return Err(End::Ended),
                () = deadline => return Err(End::Timeout),
                readable = self.stream.readable() => readable?,
            }
            // Its memory is asked for before it is taken.
            self.held.grow(READ_BYTES).map_err(|_| Wrong::Busy)?;
            let start = self.buffer.len();
            self.buffer.resize(start + READ_BYTES, 0);
            let read = self.stream.try_read(&mut self.buffer[start..]);
            self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            self.held.shrink(self.buffer.len());
            match read {
                Ok(read) => return Ok(read > 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What has come is read; the time for what comes next begins anew.
    fn taken(&mut self) {
        self.deadline = None;
    }

    /// `2A` and the number of the last event that is durable.
    async fn acknowledge(&mut self, sequence: u32) -> Result<(), End> {
        let mut frame = *b"2A\0\0\0\0";
        frame[2..].copy_from_slice(&sequence.to_be_bytes());
        let limit = self.shared.config.timeout.to_std();
        let written = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        match timeout(limit, written).await {
            Ok(written) => Ok(written?),
            Err(_unread) => Err(End::Timeout),
        }
    }
}
