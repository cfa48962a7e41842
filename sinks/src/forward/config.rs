//! The settings, and what is wrong with them.

use logbraid_core::Span;
use logbraid_core::component::{ConfigError, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::batch::Batch;
use crate::net::{Address, tls};

/// Settings of the sink.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server, `HOST:PORT`.
    pub to: String,
    /// The tag of records; `{type}` stands for a record's type, such as `finding`, and `{service}` for its service.
    #[serde(default = "tag")]
    pub tag: String,
    /// Whether each chunk is acknowledged (`require_ack_response`): without it, what lies in a connection that breaks is
    /// lost.
    #[serde(default = "acks")]
    pub acks: bool,
    /// The key that both sides prove to know; write it as `${NAME}`.
    #[serde(default)]
    pub shared_key: Option<String>,
    /// With `shared_key`: a name and a password, where the server asks for them.
    #[serde(default)]
    pub user: Option<User>,
    /// TLS; without it everything is plain text.
    #[serde(default)]
    pub tls: Option<tls::Config>,
    /// How much is sent together.
    #[serde(default)]
    pub batch: Batch,
    /// How chunks are packed.
    #[serde(default)]
    pub compression: Compression,
    /// How long a chunk may take, connecting included.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

/// Whom a server asks for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password; write it as `${NAME}`.
    pub password: String,
}

/// How chunks are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip.
    Gzip,
}

fn tag() -> String {
    "logbraid.{type}".to_owned()
}
const fn acks() -> bool {
    true
}
const fn timeout() -> Span {
    Span::from_seconds(30)
}

impl Config {
    pub(super) fn check(&self) -> Result<Address, ConfigError> {
        self.batch.check()?;
        self.tls.as_ref().map_or(Ok(()), tls::Config::check)?;
        ensure(!self.tag.trim().is_empty(), "tag", "must not be empty; try `logbraid.{type}`")?;
        let held = (Span::from_seconds(1)..=Span::from_seconds(600)).contains(&self.timeout);
        ensure(held, "timeout", "must be 1 second to 10 minutes; try `30s`")?;
        let named = self.shared_key.as_ref().is_none_or(|key| !key.is_empty());
        ensure(named, "shared_key", "must not be empty; leave it out where the server asks for none")?;
        ensure(
            self.user.is_none() || self.shared_key.is_some(),
            "user",
            "is asked for together with a shared key; name it in `shared_key`",
        )?;
        Address::read("to", &self.to)
    }
}
