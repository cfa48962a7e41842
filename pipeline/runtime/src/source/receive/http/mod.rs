//! HTTP: NDJSON, JSON arrays and plain lines at `/`, Elasticsearch's `_bulk`, systemd's journal, OTLP's logs, which come by
//! gRPC as well. Answered after the lines are durable.
//!
//! ```text
//!  connection ─► (TLS) ─► how it begins ─┬─► HTTP/1.1 ─► routes ─► door ─► answer
//!                                        └─► HTTP/2 ───►   │  └─► grpc ─┘
//! ```

mod body;
mod bulk;
mod grpc;
mod journal;
mod lines;
mod otlp;
mod routes;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::StartError;
use super::config::refused_listen;
use super::connections::ask_when_silent;
use super::door::Door;
use super::status::add;
use super::tls::{self, Tls};
use super::{Listen, Secret};

pub use self::journal::decode as decode_journal;

/// Takes log lines over HTTP: NDJSON, JSON arrays and plain lines at `/`, Elasticsearch's bulk format at `/_bulk`,
/// OpenTelemetry's logs at `/v1/logs` and by gRPC, what `systemd-journal-upload` sends at `/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on, such as `127.0.0.1:8080`.
    pub listen: Listen,
    /// TLS; without it everything is plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<super::tls::Config>,
    /// What senders must show as `Authorization: Bearer …`; write it as `${NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The longest body, after decoding, at most `256MiB`. At `/upload` a body has no end that it must have, and this is the
    /// longest entry as a line of JSON: the rest of it is left out.
    #[serde(default = "body")]
    pub body: ByteSize,
    /// How long a request may take to arrive, and how long a connection may be silent between two; at `/upload`, how long an
    /// entry may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Most connections at a time, 1 to 10000.
    #[serde(default = "connections")]
    pub connections: u32,
    /// The service to assume for entries that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

const fn body() -> ByteSize {
    ByteSize::from_bytes(16 << 20)
}
const fn timeout() -> Span {
    Span::from_seconds(30)
}
const fn connections() -> u32 {
    2000
}

impl Config {
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.tls.as_ref().map_or(Ok(()), super::tls::Config::check)?;
        let body = self.body.bytes();
        ensure(
            (1 << 10..=256 << 20).contains(&body),
            "body",
            "must be between `1KiB` and `256MiB`; try `16MiB`",
        )?;
        ensure(self.timeout >= Span::from_millis(100), "timeout", "must be at least `100ms`; try `30s`")?;
        ensure(
            (1..=10_000).contains(&self.connections),
            "connections",
            "must be between 1 and 10000; try `2000`",
        )?;
        ensure(
            self.token.as_ref().is_none_or(|token| !token.reveal().is_empty()),
            "token",
            "must not be empty; leave it out where everybody who reaches the port may send",
        )
    }
}

/// Takes the address.
pub(super) fn bind(config: &Config) -> Result<std::net::TcpListener, StartError> {
    let refused = refused_listen("http", &config.listen);
    let listener = std::net::TcpListener::bind(config.listen.0).map_err(&refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

/// How long after a failed accept the next one is tried: descriptors may be free then.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: u32 = 32 << 10;
/// How a connection of HTTP/2 begins, as far as nothing else does (RFC 9113, section 3.4).
const HTTP2_BEGINS: &[u8] = b"PRI * ";
/// Most requests at a time of a connection of HTTP/2, and the bytes that are under way for each and for all.
const STREAMS_MAX: u32 = 100;
const STREAM_BYTES: u32 = 256 << 10;
const CONNECTION_BYTES: u32 = 512 << 10;

/// What all connections share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) door: Door,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
    /// Memory of a journal's unfinished entries.
    unfinished: Arc<Semaphore>,
}

impl Shared {
    /// The longest body.
    fn limit(&self) -> usize {
        usize::try_from(self.config.body.bytes()).unwrap_or(usize::MAX)
    }
}

/// What unfinished entries of journals may take of memory, all connections together, or two of the longest.
const UNFINISHED_BYTES: u64 = 16 << 20;

/// Begins to listen, in tasks of `tasks`, until `stop`; returns the address in use.
pub(super) fn serve(
    listener: std::net::TcpListener,
    config: Config,
    tls: Option<Arc<Tls>>,
    door: Door,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<std::net::SocketAddr, StartError> {
    let refused = |error: std::io::Error| StartError::new(format!("source `http`: {error}"));
    let listener = TcpListener::from_std(listener).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let unfinished = UNFINISHED_BYTES.max(2 * config.body.bytes());
    let unfinished = Arc::new(Semaphore::new(usize::try_from(unfinished).unwrap_or(Semaphore::MAX_PERMITS)));
    let shared = Shared { config, door, tls, stop: stop.clone(), unfinished };
    tasks.spawn(accept(listener, Arc::new(shared), stop));
    Ok(address)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(usize::try_from(shared.config.connections).unwrap_or(1)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            add(&shared.door.status.connections_refused, 1);
            continue;
        };
        connections.spawn(connection(stream, place, Arc::clone(&shared), stop.clone()));
    }
    // Who is being answered is answered; an unfinished request meets its timeout.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let status = Arc::clone(&shared.door.status);
    add(&status.connections, 1);
    serve_one(stream, &shared, &stop).await;
    status.connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    drop(place);
}

async fn serve_one(stream: TcpStream, shared: &Arc<Shared>, stop: &CancellationToken) {
    let timeout = shared.config.timeout.to_std();
    let _set = stream.set_nodelay(true);
    ask_when_silent(&stream);
    // One who reads no answers does not keep the connection for ever.
    let unread_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let _set = rustix::net::sockopt::set_tcp_user_timeout(&stream, unread_ms);
    let Some(mut wire) = tls::wire(shared.tls.as_deref(), stream, &shared.door, timeout, stop).await else {
        return;
    };
    let begins = tokio::select! {
        begins = tokio::time::timeout(timeout, wire.begins_with(HTTP2_BEGINS)) => begins,
        () = stop.cancelled() => return,
    };
    let http2 = match begins {
        Ok(Ok(http2)) => http2,
        Ok(Err(error)) => return tracing::debug!("http: {error}"),
        Err(_elapsed) => return add(&shared.door.status.timeouts, 1),
    };
    let service = service_fn(|request| {
        let shared = Arc::clone(shared);
        async move { Ok::<_, std::convert::Infallible>(routes::answer(&shared, request).await) }
    });
    let io = TokioIo::new(wire);
    let ended = if http2 {
        let served = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_BYTES)
            .initial_connection_window_size(CONNECTION_BYTES)
            .keep_alive_interval(timeout)
            .keep_alive_timeout(timeout)
            .serve_connection(io, service);
        ended(served, http2::Connection::graceful_shutdown, stop).await
    } else {
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeout)
            .max_buf_size(usize::try_from(HEAD_BYTES_MAX).unwrap_or(usize::MAX))
            .serve_connection(io, service);
        ended(served, http1::Connection::graceful_shutdown, stop).await
    };
    if let Err(error) = ended {
        if error.is_timeout() {
            add(&shared.door.status.timeouts, 1);
        }
        tracing::debug!("http: {error}");
    }
}

/// Serves a connection to its end, or tells it to end when the listener does.
async fn ended<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    shutdown: impl FnOnce(Pin<&mut C>),
    stop: &CancellationToken,
) -> hyper::Result<()> {
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            shutdown(connection.as_mut());
            tokio::time::timeout(STOP_WAIT, connection).await.unwrap_or(Ok(()))
        }
    }
}

/// How long requests may take to be answered once the listener ends.
const STOP_WAIT: Duration = Duration::from_secs(5);
