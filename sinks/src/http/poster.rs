//! Lines posted one request at a time by a caller who waits for each answer.

use std::time::Duration;

use logbraid_core::Span;
use logbraid_core::component::ConfigError;
use serde_json::json;

use super::client::{Client, Post};
use super::config::{Config, Target};
use super::refused;

/// Posts lines over one connection, opened again when it is gone. It tries once; trying again is the caller's.
pub struct Poster {
    client: Client,
    target: Target,
    timeout: Duration,
}

impl Poster {
    /// Posts to `url`, with `token` where the server asks for one; a request may take `timeout`.
    ///
    /// # Errors
    /// When one of them is impossible, or the system's authorities cannot be read.
    pub fn new(url: &str, token: Option<&str>, timeout: Span) -> Result<Self, ConfigError> {
        let settings = json!({ "url": url, "token": token, "timeout": timeout.to_string() });
        let config: Config = logbraid_core::component::settings(&settings)?;
        let (mut client, target) = (Client::default(), config.check()?);
        client
            .open(&target, config.tls.as_ref())
            .map_err(|error| ConfigError::new("url", error.to_string()))?;
        Ok(Self { client, target, timeout: timeout.to_std() })
    }

    /// Posts whole lines.
    ///
    /// # Errors
    /// When they were not taken: why, in words.
    pub async fn post(&mut self, lines: Vec<u8>) -> Result<(), String> {
        let path = &self.target.path;
        let post = Post { path, content_type: "application/x-ndjson", gzip: false, body: lines.into() };
        let answer = self.client.post(&self.target, &post, self.timeout).await?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(refused::told(status, &answer.body)),
        }
    }
}
