//! Connections: taken one by one up to their number, counted, and ended with their listener.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::status::{Status, add};

/// How long after a failed accept the next one is tried: descriptors may be free then.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long a connection is silent before its other end is asked for.
const KEEPALIVE: Duration = Duration::from_mins(1);
/// How long is waited for what a connection still has when its listener ends: longer than a kernel that collects small
/// writes waits for the acknowledgement of the last one.
pub(super) const LEAVING: Duration = Duration::from_millis(100);

/// One whose machine is gone does not keep its place for ever.
pub(super) fn ask_when_silent(stream: &TcpStream) {
    let _set = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _set = rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE);
}

/// Waits until `owed` bytes of `room` are held by `paid`. For what is unfinished, which has a room of its own: it keeps
/// nobody's whole lines waiting.
pub(super) async fn pay(room: &Arc<Semaphore>, paid: &mut Option<OwnedSemaphorePermit>, owed: usize) {
    let has = paid.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = u32::try_from(owed.saturating_sub(has)).unwrap_or(u32::MAX);
    // The room is never closed.
    let Ok(more) = Arc::clone(room).acquire_many_owned(more).await else { return };
    match paid {
        Some(paid) => paid.merge(more),
        None => *paid = Some(more),
    }
}

/// Returns at the deadline, if there is one.
pub(super) async fn expired(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.await,
        None => std::future::pending().await,
    }
}

/// A connection that is read without a buffer while it has nothing.
pub(super) trait Stream: Send + 'static {
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send;
    fn try_read(&mut self, to: &mut [u8]) -> io::Result<usize>;
}

impl Stream for UnixStream {
    async fn readable(&mut self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }
    fn try_read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, to)
    }
}

/// Where connections come from.
pub(super) trait Listener: Send + Sync + 'static {
    type Stream: Send + 'static;
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        ask_when_silent(&stream);
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Takes at most `most` connections at a time until `stop`, and then those that wait already; returns when all have
/// ended.
pub(super) async fn accept<L: Listener, F: Future<Output = ()> + Send + 'static>(
    listener: L,
    most: u32,
    status: Arc<Status>,
    stop: CancellationToken,
    serve: impl Fn(L::Stream) -> F,
) {
    let places = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.next() => accepted,
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
        };
        let Ok(stream) = accepted else {
            if stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            add(&status.connections_refused, 1);
            continue;
        };
        let (served, status) = (serve(stream), Arc::clone(&status));
        connections.spawn(async move {
            add(&status.connections, 1);
            served.await;
            status.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
