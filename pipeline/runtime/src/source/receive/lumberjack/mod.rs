//! Lumberjack, version 2: what Beats send, such as Filebeat's `output.logstash`
//! (<https://github.com/logstash-plugins/logstash-input-beats/blob/main/PROTOCOL.md>, and its successor as
//! `github.com/elastic/go-lumber` speaks it). Events are acknowledged after they are durable.
//!
//! ```text
//!  session ─► frames: where a frame ends ─► window: lines ─► Door::keep_within ─► 2A sequence
//!                                                 while that takes long, now and then: 2A of what is durable
//! ```

mod frames;
mod session;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::frames::{Frame, Wrong};
use self::window::Window;
use super::super::StartError;
use super::Listen;
use super::config::refused_listen;
use super::connections::accept;
use super::door::{Door, Held};
use super::tls::Tls;

/// Takes what Filebeat and other Beats send with `output.logstash`: the Lumberjack protocol, version 2. Events are
/// acknowledged once they are in the write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on, such as `127.0.0.1:5044`.
    pub listen: Listen,
    /// TLS; without it everything is plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<super::tls::Config>,
    /// The longest event, the longest compressed frame, and the longest after decoding, at most `256MiB`.
    #[serde(default = "message")]
    pub message: ByteSize,
    /// Most events of a window, `bulk_max_size` of Beats, 1 to 10000000.
    #[serde(default = "window")]
    pub window: u32,
    /// How long a window, or 1 MiB of it, may take to arrive once it has begun.
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
    ByteSize::from_bytes(16 << 20)
}
const fn window() -> u32 {
    100_000
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
        ensure(
            (1..=10_000_000).contains(&self.window),
            "window",
            "must be between 1 and 10000000; try `100000`",
        )?;
        ensure(self.timeout >= Span::from_millis(100), "timeout", "must be at least `100ms`; try `30s`")?;
        ensure(
            (1..=10_000).contains(&self.connections),
            "connections",
            "must be between 1 and 10000; try `2000`",
        )
    }
}

/// Takes the address.
pub(super) fn bind(config: &Config) -> Result<std::net::TcpListener, StartError> {
    let refused = refused_listen("lumberjack", &config.listen);
    let listener = std::net::TcpListener::bind(config.listen.0).map_err(&refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

/// How long lines that were not kept wait until it is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How often a sender that waits for its acknowledgement is told that it will come: far below the 30 s that Beats wait.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How often at most it is told why a connection was ended, in nanoseconds.
const TELL_EVERY: i64 = 10_000_000_000;

/// What all connections share.
struct Shared {
    config: Config,
    door: Door,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
    /// When something was told last.
    told: AtomicI64,
}

impl Shared {
    /// Tells why a sender was cut off, now and then: senders that go on for ever are many lines else.
    fn tell(&self, why: &Wrong) {
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
    let refused = |error: std::io::Error| StartError::new(format!("source `lumberjack`: {error}"));
    let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?.to_string();
    let (most, status) = (config.connections, Arc::clone(&door.status));
    let shared = Arc::new(Shared { config, door, tls, stop: stop.clone(), told: AtomicI64::new(0) });
    let serve = move |stream| session::serve(stream, Arc::clone(&shared));
    tasks.spawn(accept(listener, most, status, stop, serve));
    Ok(address)
}

/// Reads `bytes` as a connection would, without one, in at most `max` bytes for each frame; how many events there are.
/// For tests of the decoder with bytes of any kind.
///
/// # Errors
/// What a sender of these bytes would be cut off for.
pub fn decode(bytes: &[u8], max: usize) -> Result<usize, String> {
    let (mut at, mut events) = (0, 0);
    let mut open: Option<Window> = None;
    let told = |wrong: Wrong| wrong.to_string();
    while let Some((frame, length)) = frames::first(&bytes[at..], max).map_err(told)? {
        match (frame, &mut open) {
            (Frame::Window(count), None) => {
                // Memory is asked for in steps that may be longer than a frame.
                let held = Held::within(max.saturating_mul(8).saturating_add(1 << 20));
                open = (count > 0).then(|| Window::new(count, max, 0, held));
            }
            (frame, window) => events += window::add(window, frame).map_err(told)?,
        }
        at += length;
        open = open.filter(|window| window.left() > 0);
    }
    Ok(events)
}
