//! The settings, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
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
    /// Where records are posted, `http://HOST:PORT/PATH` or `https://HOST:PORT/PATH`. With `bulk` and `loki` the path may be left out; with `otlp`,
    /// `/v1/logs` and `/v1/traces` are added.
    pub url: String,
    /// What a request's body is.
    #[serde(default)]
    pub format: Format,
    /// For `bulk`: the index, or the data stream with `action: create`.
    #[serde(default = "index")]
    pub index: String,
    /// For `bulk`: `index` replaces a document of the same id by a newer revision; `create` is for data streams.
    #[serde(default)]
    pub action: Action,
    /// For `loki`: labels of every stream, beside `type`, `service` and `level`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// With `https`: whom to trust, and what to show.
    #[serde(default)]
    pub tls: Option<tls::Config>,
    /// How much is sent together.
    #[serde(default)]
    pub batch: Batch,
    /// How bodies are packed.
    #[serde(default)]
    pub compression: Compression,
    /// How long a request may take, connecting included.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// A file for the records that the server refuses for good; without it, such a record is tried again until it is
    /// taken, and holds back what comes after it.
    #[serde(default)]
    pub dead_letters: Option<PathBuf>,
}

/// What a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Elasticsearch's and OpenSearch's `_bulk`; each item's answer is read.
    Bulk,
    /// Loki's push API.
    Loki,
    /// OpenTelemetry's protocol as JSON: timelines as spans, everything else as logs.
    Otlp,
}

/// What `bulk` does with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A newer revision replaces the older one.
    #[default]
    Index,
    /// For data streams: the first one stays.
    Create,
}

/// How bodies are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip.
    Gzip,
}

fn index() -> String {
    "logbraid".to_owned()
}
const fn timeout() -> Span {
    Span::from_seconds(30)
}

/// Where requests go, as the settings say.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: Address,
    /// Whether the connection is encrypted.
    pub(super) secret: bool,
    /// The address as messages show it: what stands behind `?` may be secret.
    pub(super) shown: String,
    /// What stands in the header `Host`.
    pub(super) authority: String,
    /// The path of requests, and that of spans with `otlp`.
    pub(super) path: String,
    pub(super) traces: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Config {
    pub(super) fn check(&self) -> Result<Target, ConfigError> {
        self.batch.check()?;
        self.tls.as_ref().map_or(Ok(()), tls::Config::check)?;
        let held = (Span::from_seconds(1)..=Span::from_seconds(600)).contains(&self.timeout);
        ensure(held, "timeout", "must be 1 second to 10 minutes; try `30s`")?;
        ensure(
            self.dead_letters.as_ref().is_none_or(|path| !path.as_os_str().is_empty()),
            "dead_letters",
            "must name a file; try `dead-letters.ndjson`",
        )?;
        ensure(!self.index.trim().is_empty(), "index", "must name an index; try `logbraid`")?;
        for name in self.labels.keys() {
            let mut letters = name.chars();
            let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            let held = first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
            let own = matches!(name.as_str(), "type" | "service" | "level");
            ensure(held && !own, &format!("labels.{name}"), LABEL)?;
        }
        self.target()
    }

    fn target(&self) -> Result<Target, ConfigError> {
        let bad = |message: &str, help: &str| ConfigError::new("url", message).help(help);
        let example = "write it as `http://localhost:9200`";
        let uri: Uri = self
            .url
            .trim()
            .parse()
            .map_err(|error| bad(&format!("`url` is not an address: {error}"), example))?;
        let secret = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("`url` must begin with `http://` or `https://`", example)),
        };
        ensure(secret || self.tls.is_none(), "tls", "is for addresses that begin with `https://`")?;
        let Some((authority, host)) = uri.authority().zip(uri.host().filter(|host| !host.is_empty())) else {
            return Err(bad("`url` must name a host", example));
        };
        if authority.as_str().contains('@') {
            let help = "write `token: ${TOKEN}`, or `headers: { authorization: \"Basic ${BASIC}\" }`";
            return Err(bad("a password in `url` would be shown wherever the address is", help));
        }
        let given = uri.path_and_query().map_or("/", |path| path.as_str());
        let bare = given == "/";
        let base = given.trim_end_matches('/');
        let (path, traces) = match self.format {
            Format::Bulk if bare => ("/_bulk".to_owned(), String::new()),
            Format::Loki if bare => ("/loki/api/v1/push".to_owned(), String::new()),
            Format::Otlp => (format!("{base}/v1/logs"), format!("{base}/v1/traces")),
            _ => (given.to_owned(), String::new()),
        };
        Ok(Target {
            address: Address {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port: authority.port_u16().unwrap_or(if secret { 443 } else { 80 }),
            },
            secret,
            shown: self.url.trim().split('?').next().unwrap_or_default().to_owned(),
            authority: authority.as_str().to_owned(),
            path,
            traces,
            headers: self.headers()?,
        })
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let path = format!("headers.{name}");
            let bad = |what: &str| ConfigError::new(&path, format!("the header `{name}` {what}"));
            let written = HeaderName::try_from(name.as_str()).map_err(|_| bad("has no possible name"))?;
            let own = ["content-type", "content-length", "content-encoding", "transfer-encoding", "host"];
            if own.contains(&written.as_str()) {
                return Err(bad("is set by the sink itself").help("leave it out"));
            }
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                bad("has a value with characters that no header can have").help("is there a line end in it?")
            })?;
            value.set_sensitive(true);
            headers.push((written, value));
        }
        if let Some(token) = &self.token {
            ensure(!token.trim().is_empty(), "token", "must not be empty; try `token: ${TOKEN}`")?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| ConfigError::new("token", "`token` has characters that no header can have"))?;
            value.set_sensitive(true);
            headers.push((hyper::header::AUTHORIZATION, value));
        }
        Ok(headers)
    }
}

const LABEL: &str =
    "must be letters, digits and `_`, and none of the sink's own `type`, `service`, `level`; try `env`";
