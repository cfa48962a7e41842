//! The Fluent Forward protocol, version 1 (<https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>):
//! what Fluent Bit, Fluentd and Docker send. A chunk is acknowledged after its entries are durable.
//!
//! ```text
//!  session ─► Scan: where a message ends ─► message: lines of JSON ─► Door::keep_within ─► {"ack": chunk}
//! ```

mod auth;
mod message;
mod msgpack;
mod session;
mod unheard;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::unheard::Unheard;
use super::super::StartError;
use super::config::refused_listen;
use super::connections::accept;
use super::door::Door;
use super::tls::Tls;
use super::{Listen, Secret};

/// Takes what Fluent Bit, Fluentd and Docker's fluentd driver send over the Fluent Forward protocol, version 1; chunks are
/// acknowledged where the sender asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on, such as `127.0.0.1:24224`.
    pub listen: Listen,
    /// TLS; without it everything is plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<super::tls::Config>,
    /// A text that senders must know, `Shared_Key` of Fluent Bit; write it as `${NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_key: Option<Secret>,
    /// The longest message, and the longest after decoding, at most `256MiB`.
    #[serde(default = "message")]
    pub message: ByteSize,
    /// How long a message may take to arrive once it has begun.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Most connections at a time, 1 to 10000.
    #[serde(default = "connections")]
    pub connections: u32,
    /// The service to assume for entries that name none [default: their tag].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

const fn message() -> ByteSize {
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
        ensure(
            (1 << 10..=256 << 20).contains(&self.message.bytes()),
            "message",
            "must be between `1KiB` and `256MiB`; try `16MiB`",
        )?;
        ensure(self.timeout >= Span::from_millis(100), "timeout", "must be at least `100ms`; try `30s`")?;
        ensure(
            (1..=10_000).contains(&self.connections),
            "connections",
            "must be between 1 and 10000; try `2000`",
        )?;
        ensure(
            self.shared_key.as_ref().is_none_or(|key| !key.reveal().is_empty()),
            "shared_key",
            "must not be empty; leave it out where everybody who reaches the port may send",
        )
    }
}

/// Takes the address.
pub(super) fn bind(config: &Config) -> Result<std::net::TcpListener, StartError> {
    let refused = refused_listen("forward", &config.listen);
    let listener = std::net::TcpListener::bind(config.listen.0).map_err(&refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

/// How long lines that were not kept wait until it is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How often at most it is told why a connection was ended, in nanoseconds.
const TELL_EVERY: i64 = 10_000_000_000;

/// What all connections share.
struct Shared {
    config: Config,
    door: Door,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
    unheard: Unheard,
    /// When something was told last.
    told: AtomicI64,
}

impl Shared {
    /// Tells why a sender was cut off, now and then: senders that go on for ever are many lines else.
    fn tell(&self, why: &session::End) {
        let now = self.door.now();
        let told = self.told.load(Ordering::Relaxed);
        if now.saturating_sub(told) >= TELL_EVERY {
            self.told.store(now, Ordering::Relaxed);
            self.door.tell(format!("a sender was cut off: {why}"));
        }
    }
}

/// Begins to listen, in tasks of `tasks`, until `stop`; returns the address in use.
pub(super) fn serve(
    listener: std::net::TcpListener,
    config: Config,
    tls: Option<Arc<Tls>>,
    door: Door,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<String, StartError> {
    let refused = |error: std::io::Error| StartError::new(format!("source `forward`: {error}"));
    let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?.to_string();
    let (most, status) = (config.connections, Arc::clone(&door.status));
    let shared = Shared {
        config,
        door,
        tls,
        stop: stop.clone(),
        unheard: Unheard::default(),
        told: AtomicI64::new(0),
    };
    let shared = Arc::new(shared);
    let serve = move |stream| session::serve(stream, Arc::clone(&shared));
    tasks.spawn(accept(listener, most, status, stop, serve));
    Ok(address)
}
