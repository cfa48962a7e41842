//! What listeners share: settings, and how an address that cannot be used is told.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::StartError;

/// An address and a port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numeric = text
            .strip_prefix("localhost:")
            .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        let numeric =
            numeric.strip_prefix(':').map_or_else(|| numeric.clone(), |port| format!("0.0.0.0:{port}"));
        numeric.parse().map(Self).map_err(|_| {
            format!("`{text}` is not an address and a port; write it like `127.0.0.1:8080` or `[::1]:8080`")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Listen".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
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

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// Why `source` cannot listen on `address`, with a proposal.
pub(super) fn refused_listen(
    source: &'static str,
    address: &dyn fmt::Display,
) -> impl Fn(std::io::Error) -> StartError + use<> {
    let address = address.to_string();
    move |error| {
        let start = StartError::new(format!("source `{source}`: cannot listen on `{address}`: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                start.help("is it running already? choose another port, or stop what uses this one")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                start.help("no interface of this machine has this address; try `127.0.0.1` or `0.0.0.0`")
            }
            std::io::ErrorKind::PermissionDenied => start.help(
                "ports below 1024 and folders of others need rights; try a higher port or another folder",
            ),
            std::io::ErrorKind::NotFound => start.help("make the folder first, or name another path"),
            _ => start,
        }
    }
}
