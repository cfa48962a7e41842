//! The sections of a configuration, as types; their comments are the reference.

use std::path::PathBuf;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{ByteSize, Span};
use logbraid_runtime::source::{kafka, receive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secrets::HIDDEN;

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceConfig {
    /// Files, read once or followed.
    Files(FilesConfig),
    /// Standard input.
    Stdin(StdinConfig),
    /// Topics, as a member of a consumer group.
    Kafka(Box<kafka::Config>),
    /// What is sent to us.
    Listener(receive::Config),
}

impl SourceConfig {
    /// Its name in configurations.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Stdin(_) => "stdin",
            Self::Kafka(_) => "kafka",
            Self::Listener(receive::Config::Http(_)) => "http",
            Self::Listener(receive::Config::Syslog(_)) => "syslog",
            Self::Listener(receive::Config::Forward(_)) => "forward",
            Self::Listener(receive::Config::Lumberjack(_)) => "lumberjack",
        }
    }
}

/// Files, read once or followed. `.gz` and `.zst` are decoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// Paths, globs such as `/var/log/**/*.log`, or folders; at least one.
    pub paths: Vec<String>,
    /// Waits for more at the end of each file, follows rotation and looks for new files.
    #[serde(default = "yes")]
    pub follow: bool,
    /// The service to assume for entries that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

const fn yes() -> bool {
    true
}

/// Standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdinConfig {
    /// The service to assume for entries that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A source as configurations name it.
pub struct SourceSpec {
    /// Its name.
    pub name: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
}

/// The sources.
pub const SOURCES: [SourceSpec; 7] = [
    SourceSpec { name: "files", schema: logbraid_core::schema_of::<FilesConfig> },
    SourceSpec { name: "stdin", schema: logbraid_core::schema_of::<StdinConfig> },
    SourceSpec { name: "kafka", schema: logbraid_core::schema_of::<kafka::Config> },
    SourceSpec { name: "http", schema: logbraid_core::schema_of::<receive::http::Config> },
    SourceSpec { name: "syslog", schema: logbraid_core::schema_of::<receive::syslog::Config> },
    SourceSpec { name: "forward", schema: logbraid_core::schema_of::<receive::forward::Config> },
    SourceSpec { name: "lumberjack", schema: logbraid_core::schema_of::<receive::lumberjack::Config> },
];

/// The write-ahead logs of sources that are sent to: what was acknowledged is in them until every sink has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WalConfig {
    /// The folder [default: beside the checkpoint].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Most bytes of each source's log on disk; beyond it senders are told to wait.
    pub disk: ByteSize,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self { path: None, disk: ByteSize::from_bytes(1 << 30) }
    }
}

impl WalConfig {
    pub(super) fn check(self) -> Result<Self, ConfigError> {
        ensure(
            self.path.as_ref().is_none_or(|path| !path.as_os_str().is_empty()),
            "path",
            "must not be empty; try `/var/lib/logbraid/wal`",
        )?;
        ensure(self.disk.bytes() >= 64 << 20, "disk", "must be at least `64MiB`; try `1GiB`")?;
        Ok(self)
    }
}

/// How event time advances.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimeConfig {
    /// How far out of order a source may be.
    max_delay: Span,
    /// A source that is silent for this long, by the clock, no longer holds the others back.
    idle_after: Span,
    /// How long after its closing a request still takes late entries.
    allowed_lateness: Span,
    /// The watermark moves in whole multiples of this; at most `1m`.
    tick: Span,
}

impl Default for TimeConfig {
    fn default() -> Self {
        let TimeSettings { max_delay, idle_after, allowed_lateness, tick } = TimeSettings::default();
        Self { max_delay, idle_after, allowed_lateness, tick }
    }
}

impl TimeConfig {
    pub(super) fn check(self) -> Result<TimeSettings, ConfigError> {
        ensure(self.idle_after > Span::ZERO, "idle_after", "must be longer than zero; try `10s`")?;
        ensure(self.tick > Span::ZERO, "tick", "must be longer than zero; try `100ms`")?;
        ensure(self.tick <= Span::from_seconds(60), "tick", "must be at most one minute; try `100ms`")?;
        let day = Span::from_seconds(86_400);
        ensure(self.max_delay <= day, "max_delay", "must be at most one day; try `2s`")?;
        ensure(self.allowed_lateness <= day, "allowed_lateness", "must be at most one day; try `30s`")?;
        let Self { max_delay, idle_after, allowed_lateness, tick } = self;
        Ok(TimeSettings { max_delay, idle_after, allowed_lateness, tick })
    }
}

/// How findings are merged.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FindingsConfig {
    /// Findings of one fingerprint within whole multiples of this are one, with a count.
    pub(super) merge: Span,
}

impl Default for FindingsConfig {
    fn default() -> Self {
        Self { merge: Span::from_seconds(60) }
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "never shown; better `${NAME}` than the text itself" })
    }
}

/// The admin endpoint: health, metrics, the running configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port to listen on. Addresses that others can reach need a `token`.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: std::net::SocketAddr,
    /// What callers must send as `Authorization: Bearer …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file that holds the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: std::net::SocketAddr::from(([127, 0, 0, 1], 9600)), token: None, token_file: None }
    }
}

fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<std::net::SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let numeric =
        text.strip_prefix("localhost:").map_or_else(|| text.clone(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(|_| {
        let message =
            format!("`{text}` is not an address and a port; write it like `127.0.0.1:9600` or `[::1]:9600`");
        serde::de::Error::custom(message)
    })
}

impl AdminConfig {
    pub(super) fn check(mut self) -> Result<Self, ConfigError> {
        ensure(
            self.token.is_none() || self.token_file.is_none(),
            "token_file",
            "and `token` exclude each other; keep one",
        )?;
        if let Some(path) = &self.token_file {
            let read = std::fs::read_to_string(path).map_err(|error| {
                ConfigError::new("token_file", format!("`{}` cannot be read: {error}", path.display()))
            })?;
            self.token = Some(Secret(read.trim().to_owned()));
        }
        if self.token.as_ref().is_some_and(|token| token.reveal().is_empty()) {
            return Err(
                ConfigError::new("token", "must not be empty").help("leave it out on loopback addresses")
            );
        }
        if !self.listen.ip().is_loopback() && self.token.is_none() {
            let message = format!("`listen` on `{}` can be reached by others and needs a token", self.listen);
            return Err(ConfigError::new("listen", message)
                .help("add `token: ${LOGBRAID_ADMIN_TOKEN}`, or listen on `127.0.0.1`"));
        }
        Ok(self)
    }
}
