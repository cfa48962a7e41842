//! The settings, and what is wrong with them.

use std::fmt;
use std::path::PathBuf;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::batch::Batch;
use crate::net::{Address, tls};

/// Settings of the sink. One of `tcp`, `udp`, `unix` and `unix_stream` says where messages go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A server over TCP, `HOST:PORT`.
    #[serde(default)]
    pub tcp: Option<String>,
    /// A server over UDP, `HOST:PORT`. What does not arrive is lost without a word.
    #[serde(default)]
    pub udp: Option<String>,
    /// A Unix socket for datagrams that the server has for RFC 5424.
    #[serde(default)]
    pub unix: Option<PathBuf>,
    /// A Unix socket for connections.
    #[serde(default)]
    pub unix_stream: Option<PathBuf>,
    /// TLS of `tcp` (RFC 5425); without it everything is plain text.
    #[serde(default)]
    pub tls: Option<tls::Config>,
    /// How messages are told apart on connections.
    #[serde(default)]
    pub framing: Framing,
    /// What a message says.
    #[serde(default)]
    pub format: Format,
    /// The facility of messages.
    #[serde(default)]
    pub facility: Facility,
    /// The name of the program, for records that name no service.
    #[serde(default = "app_name")]
    pub app_name: String,
    /// The longest message, at most `1MiB`, and `63KiB` over UDP [default: `64KiB`; `8KiB` for datagrams]. A record that is
    /// longer is shortened.
    #[serde(default)]
    pub message: Option<ByteSize>,
    /// How much is sent together on connections.
    #[serde(default)]
    pub batch: Batch,
    /// How long sending may take, connecting included.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

/// How messages are told apart on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Each begins with its length (RFC 6587, octet counting).
    #[default]
    Counted,
    /// Each ends with a newline.
    Newline,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The record as JSON.
    #[default]
    Json,
    /// The record as JSON behind `@cee:`, which rsyslog's mmjsonparse and syslog-ng's json-parser look for.
    Cee,
    /// One line for people: the message of an entry, the title of a finding, what became of a request.
    Text,
}

/// Facilities (RFC 5424, section 6.2.1) that programs of one's own may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    /// 1
    User,
    /// 3
    Daemon,
    /// 16
    #[default]
    Local0,
    /// 17
    Local1,
    /// 18
    Local2,
    /// 19
    Local3,
    /// 20
    Local4,
    /// 21
    Local5,
    /// 22
    Local6,
    /// 23
    Local7,
}

impl Facility {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

fn app_name() -> String {
    "logbraid".to_owned()
}
const fn timeout() -> Span {
    Span::from_seconds(30)
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Tcp(Address),
    Udp(Address),
    Unix(PathBuf),
    UnixStream(PathBuf),
}

impl To {
    /// Whether each message is a datagram.
    pub(super) const fn is_datagram(&self) -> bool {
        matches!(self, Self::Udp(_) | Self::Unix(_))
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Udp(address) => address.fmt(f),
            Self::Unix(path) | Self::UnixStream(path) => path.display().fmt(f),
        }
    }
}

impl Config {
    /// The longest message in bytes.
    pub(super) fn longest(&self, to: &To) -> usize {
        let default = ByteSize::from_bytes(if to.is_datagram() { 8 << 10 } else { 64 << 10 });
        self.message.unwrap_or(default).as_usize()
    }

    pub(super) fn check(&self) -> Result<To, ConfigError> {
        self.batch.check()?;
        self.tls.as_ref().map_or(Ok(()), tls::Config::check)?;
        let path = |name: &str, path: &PathBuf| {
            ensure(!path.as_os_str().is_empty(), name, "must name a socket; try `/run/syslog/in`")
                .map(|()| path.clone())
        };
        let ways: Vec<Result<To, ConfigError>> = [
            self.tcp.as_ref().map(|text| Address::read("tcp", text).map(To::Tcp)),
            self.udp.as_ref().map(|text| Address::read("udp", text).map(To::Udp)),
            self.unix.as_ref().map(|name| path("unix", name).map(To::Unix)),
            self.unix_stream.as_ref().map(|name| path("unix_stream", name).map(To::UnixStream)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [to] = <[_; 1]>::try_from(ways).map_err(|ways| {
            let what = if ways.is_empty() { "does not say where messages go" } else { "goes to one place" };
            ConfigError::new("", format!("the sink {what}"))
                .help("write one of `tcp: HOST:PORT`, `udp: HOST:PORT`, `unix: PATH` and `unix_stream: PATH`")
        })?;
        let to = to?;
        ensure(self.tls.is_none() || self.tcp.is_some(), "tls", "is for `tcp`")?;
        // Datagrams are bounded by UDP, and by what the kernel holds of a socket.
        let most = match &to {
            To::Udp(_) => 63 << 10,
            To::Unix(_) => 128 << 10,
            To::Tcp(_) | To::UnixStream(_) => 1 << 20,
        };
        let held = (480..=most).contains(&self.longest(&to));
        let bounds = "must be 480 bytes to 1 MiB, to 63 KiB over UDP and 128 KiB over `unix`; try `8KiB`";
        ensure(held, "message", bounds)?;
        let held = (Span::from_seconds(1)..=Span::from_seconds(600)).contains(&self.timeout);
        ensure(held, "timeout", "must be 1 second to 10 minutes; try `30s`")?;
        let named = !self.app_name.is_empty() && self.app_name.bytes().all(|byte| byte.is_ascii_graphic());
        ensure(named && self.app_name.len() <= 48, "app_name", "must be 1 to 48 visible ASCII characters")?;
        Ok(to)
    }
}
