//! Connections over TCP and Unix sockets.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::lines::Lines;
use super::super::status::add;
use super::frames::Cutter;
use super::{AGAIN, Shared, keep};

/// How long after a failed accept the next one is tried: descriptors may be free then.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// A connection that is read without a buffer while it has nothing.
pub(super) trait Stream: Send + Sync + 'static {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize>;
}

impl Stream for TcpStream {
    async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, to)
    }
}

impl Stream for UnixStream {
    async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, to)
    }
}

/// Where connections come from.
pub(super) trait Listener: Send + Sync + 'static {
    type Stream: Stream;
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Takes connections until the source ends.
pub(super) async fn accept(listener: impl Listener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(usize::try_from(shared.config.connections).unwrap_or(1)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shared.stop.cancelled() => break,
        };
        let Ok(stream) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            add(&shared.door.status.connections_refused, 1);
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let status = Arc::clone(&shared.door.status);
            add(&status.connections, 1);
            if let Err(error) = read(stream, &shared).await {
                tracing::debug!("syslog: {error}");
            }
            status.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}

async fn read(stream: impl Stream, shared: &Shared) -> io::Result<()> {
    let status = &shared.door.status;
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    let mut cutter = Cutter::new(max);
    let mut counted = 0;
    // What waits for its end is paid for, as everything else in memory.
    let mut held;
    loop {
        let waited = tokio::select! {
            waited = patient(&stream, shared, cutter.waiting() > 0) => waited,
            () = shared.stop.cancelled() => return Ok(()),
        };
        if waited.is_err() {
            add(&status.timeouts, 1);
            return waited;
        }
        let mut bytes = vec![0; READ_BYTES];
        let read = match stream.try_read(&mut bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let received = shared.door.now();
        let mut lines = Lines::default();
        if read == 0 {
            cutter.finish(|message| lines.push(message.trim_ascii_end(), received));
        } else {
            cutter.push(&bytes[..read], |message| lines.push(message.trim_ascii_end(), received));
        }
        drop(bytes);
        add(&status.cut, cutter.cut - counted);
        counted = cutter.cut;
        if !keep(shared, lines).await || read == 0 {
            return Ok(());
        }
        held = shared.door.hold();
        while cutter.waiting() > 0 && held.grow(cutter.waiting()).is_err() {
            add(&status.busy, 1);
            if tokio::time::timeout(AGAIN, shared.stop.cancelled()).await.is_ok() {
                return Ok(());
            }
        }
    }
}

/// Waits for more: as long as it takes between messages, and for a bounded time within one.
async fn patient(stream: &impl Stream, shared: &Shared, within: bool) -> io::Result<()> {
    if !within {
        return stream.readable().await;
    }
    tokio::time::timeout(shared.config.timeout.to_std(), stream.readable())
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "a message did not end")))
}
