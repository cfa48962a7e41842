//! Syslog: UDP, TCP with octet counting or newlines (RFC 6587), Unix sockets. What the messages say is the parser's
//! business; nobody is answered, so a sender over TCP is made to wait and one over UDP is not heard while there is no room.

mod datagram;
mod frames;
mod stream;

use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::StartError;
use super::Listen;
use super::config::refused_listen;
use super::connections::accept;
use super::door::{Door, Held, Refused};
use super::lines::Lines;
use super::part::Keep;
use super::status::add;
use super::tls::{self, Tls};

/// Takes syslog messages, RFC 5424 and 3164, over TCP, UDP and Unix sockets; name at least one address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port for TCP, such as `127.0.0.1:5514`; messages are counted or end with a newline, as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Listen>,
    /// TLS of `tcp` (RFC 5425); without it everything is plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<super::tls::Config>,
    /// Address and port for UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Listen>,
    /// A Unix socket for datagrams, as `/dev/log` is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<PathBuf>,
    /// A Unix socket for connections, framed as over TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_stream: Option<PathBuf>,
    /// The longest message, at most `16MiB`; the rest of a longer one is left out.
    #[serde(default = "message")]
    pub message: ByteSize,
    /// How long a message may take to arrive once it has begun; what came of it is kept, and the connection is closed.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Most connections at a time, 1 to 10000.
    #[serde(default = "connections")]
    pub connections: u32,
    /// The service to assume for entries that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

const fn message() -> ByteSize {
    ByteSize::from_bytes(256 << 10)
}
const fn timeout() -> Span {
    Span::from_seconds(30)
}
const fn connections() -> u32 {
    2000
}

impl Config {
    /// # Errors
    /// When no address is named, or a setting is out of its bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        let named =
            self.tcp.is_some() || self.udp.is_some() || self.unix.is_some() || self.unix_stream.is_some();
        ensure(named, "tcp", "or `udp`, `unix` or `unix_stream` must be set; try `tcp: 127.0.0.1:5514`")?;
        ensure(
            self.tls.is_none() || self.tcp.is_some(),
            "tls",
            "is of `tcp` alone; set `tcp: 127.0.0.1:6514`, or leave it out",
        )?;
        self.tls.as_ref().map_or(Ok(()), super::tls::Config::check)?;
        let message = self.message.bytes();
        ensure(
            (1 << 10..=16 << 20).contains(&message),
            "message",
            "must be between `1KiB` and `16MiB`; try `256KiB`",
        )?;
        ensure(self.timeout >= Span::from_millis(100), "timeout", "must be at least `100ms`; try `30s`")?;
        ensure(
            (1..=10_000).contains(&self.connections),
            "connections",
            "must be between 1 and 10000; try `2000`",
        )
    }

    /// Its addresses, as users know them.
    pub(super) fn address(&self) -> String {
        let listen = [("tcp", self.tcp), ("udp", self.udp)];
        let listen = listen.into_iter().filter_map(|(kind, listen)| Some(format!("{kind} {}", listen?)));
        let paths = [self.unix.as_ref(), self.unix_stream.as_ref()];
        let paths = paths.into_iter().flatten().map(|path| format!("unix {}", path.display()));
        listen.chain(paths).collect::<Vec<_>>().join(" ")
    }
}

/// Sockets that are bound.
pub(super) struct Sockets {
    tcp: Option<std::net::TcpListener>,
    udp: Option<std::net::UdpSocket>,
    unix: Option<UnixDatagram>,
    unix_stream: Option<UnixListener>,
}

/// Takes the addresses.
pub(super) fn bind(config: &Config) -> Result<Sockets, StartError> {
    let tcp = config.tcp.map(|listen| {
        let bound = std::net::TcpListener::bind(listen.0);
        bound
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(refused_listen("syslog", &listen))
    });
    let udp = config.udp.map(|listen| {
        let bound = std::net::UdpSocket::bind(listen.0);
        bound
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(refused_listen("syslog", &listen))
    });
    let unix = config.unix.as_deref().map(|path| {
        vacate(path)?;
        let bound = UnixDatagram::bind(path);
        bound
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(refused_listen("syslog", &path.display()))
    });
    let unix_stream = config.unix_stream.as_deref().map(|path| {
        vacate(path)?;
        let bound = UnixListener::bind(path);
        bound
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(refused_listen("syslog", &path.display()))
    });
    Ok(Sockets {
        tcp: tcp.transpose()?,
        udp: udp.transpose()?,
        unix: unix.transpose()?,
        unix_stream: unix_stream.transpose()?,
    })
}

/// Removes a socket that an earlier run left at `path`; one that somebody listens on stays.
fn vacate(path: &Path) -> Result<(), StartError> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        let what = format!("source `syslog`: `{}` exists and is no socket", path.display());
        return Err(StartError::new(what).help("name another path, or remove what is there"));
    }
    let datagram = UnixDatagram::unbound().and_then(|socket| socket.connect(path)).is_ok();
    if datagram || std::os::unix::net::UnixStream::connect(path).is_ok() {
        let what = format!("source `syslog`: somebody listens on `{}` already", path.display());
        return Err(StartError::new(what).help("stop that one, or name another path"));
    }
    std::fs::remove_file(path).map_err(refused_listen("syslog", &path.display()))
}

/// What unfinished messages may take of memory, all connections together, or two of the longest.
const UNFINISHED_BYTES: u64 = 16 << 20;

/// What all sockets share.
struct Shared {
    config: Config,
    door: Door,
    stop: CancellationToken,
    /// Memory of unfinished messages.
    unfinished: Arc<Semaphore>,
}

/// Begins to listen, in tasks of `tasks`, until `stop`; returns the addresses in use.
pub(super) fn serve(
    sockets: Sockets,
    config: Config,
    tls: Option<Arc<Tls>>,
    door: Door,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<String, StartError> {
    let refused = |error: std::io::Error| StartError::new(format!("source `syslog`: {error}"));
    let unfinished = UNFINISHED_BYTES.max(2 * config.message.bytes());
    let unfinished = Arc::new(Semaphore::new(usize::try_from(unfinished).unwrap_or(Semaphore::MAX_PERMITS)));
    let shared = Arc::new(Shared { config, door, stop, unfinished });
    let Sockets { tcp, udp, unix, unix_stream } = sockets;
    let mut addresses = Vec::new();
    if let Some(listener) = tcp {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
        addresses.push(format!("tcp {}", listener.local_addr().map_err(refused)?));
        tasks.spawn(over_tcp(listener, tls, Arc::clone(&shared)));
    }
    if let Some(socket) = udp {
        let socket = tokio::net::UdpSocket::from_std(socket).map_err(refused)?;
        addresses.push(format!("udp {}", socket.local_addr().map_err(refused)?));
        tasks.spawn(datagram::udp(socket, Arc::clone(&shared)));
    }
    if let Some(socket) = unix {
        let socket = tokio::net::UnixDatagram::from_std(socket).map_err(refused)?;
        addresses.extend(shared.config.unix.as_ref().map(|path| format!("unix {}", path.display())));
        tasks.spawn(datagram::unix(socket, Arc::clone(&shared)));
    }
    if let Some(listener) = unix_stream {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(refused)?;
        addresses.extend(shared.config.unix_stream.as_ref().map(|path| format!("unix {}", path.display())));
        tasks.spawn(connected(listener, Arc::clone(&shared)));
    }
    Ok(addresses.join(", "))
}

fn over_tcp(
    listener: tokio::net::TcpListener,
    tls: Option<Arc<Tls>>,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> {
    let (most, stop) = (shared.config.connections, shared.stop.clone());
    let status = Arc::clone(&shared.door.status);
    accept(listener, most, status, stop, move |stream| {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        async move {
            let limit = shared.config.timeout.to_std();
            let wire = tls::wire(tls.as_deref(), stream, &shared.door, limit, &shared.stop).await;
            if let Some(wire) = wire {
                stream::read(wire, shared).await;
            }
        }
    })
}

fn connected(listener: tokio::net::UnixListener, shared: Arc<Shared>) -> impl Future<Output = ()> {
    let (most, stop) = (shared.config.connections, shared.stop.clone());
    let status = Arc::clone(&shared.door.status);
    accept(listener, most, status, stop, move |stream| stream::read(stream, Arc::clone(&shared)))
}

impl Keep for Arc<Shared> {
    type Kept = bool;

    fn door(&self) -> &Door {
        &self.door
    }
    fn keep(&self, lines: Lines, held: Held) -> impl Future<Output = bool> + Send + 'static {
        let shared = Self::clone(self);
        async move { keep(&shared, lines, held).await }
    }
}

/// How long one who cannot be told to try again waits before it is tried for them.
const AGAIN: Duration = Duration::from_millis(20);

/// Keeps lines, however long it takes; false when the listener ends, and the lines are lost.
async fn keep(shared: &Shared, mut lines: Lines, mut held: Held) -> bool {
    let mut told = false;
    loop {
        let Err(back) = shared.door.keep_within(lines, held).await else { return true };
        if !std::mem::replace(&mut told, true) {
            add(&shared.door.status.busy, 1);
        }
        let count = back.lines.count() as u64;
        let ended = back.why == Refused::Stopping
            || tokio::time::timeout(AGAIN, shared.stop.cancelled()).await.is_ok();
        if ended {
            add(&shared.door.status.dropped, count);
            return false;
        }
        (lines, held) = (back.lines, back.held);
    }
}
