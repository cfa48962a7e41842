//! Writes records to the standard output.
//!
//! ```text
//!  records of one call ─► one buffer, written when it is full ─► on a blocking thread ─► flush
//! ```
//! When nobody reads any more, as after `| head`, the sink says [`SinkError::Closed`] and the run ends quietly.

use std::io;

use futures::future::BoxFuture;
use logbraid_core::Record;
use logbraid_core::component::ConfigError;
use logbraid_core::sink::{Sink, SinkError};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{Context, Encode, Format, SinkComponent};

/// Settings of the standard output.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How records are written.
    pub format: Format,
}

/// A buffer that grew beyond this is not kept for the next call.
const BUFFER_BYTES_MAX: usize = 4 << 20;
/// Records are written when they fill this, so that the buffer stays small enough to be used again.
const WRITE_BYTES: usize = 256 << 10;

/// The standard output, or any other writer.
pub struct Stdout<W = tokio::io::Stdout> {
    writer: W,
    encode: Encode,
    buffer: Vec<u8>,
    records: u64,
    bytes: u64,
}

impl<W: AsyncWrite + Unpin + Send> Stdout<W> {
    /// Writes what `encode` makes of records to `writer`.
    pub fn new(writer: W, encode: Encode) -> Self {
        Self { writer, encode, buffer: Vec::new(), records: 0, bytes: 0 }
    }

    async fn write_all(&mut self, records: &[&Record]) -> Result<(), SinkError> {
        self.buffer.clear();
        for record in records {
            (self.encode)(record, &mut self.buffer);
            if self.buffer.len() >= WRITE_BYTES {
                self.write_buffer().await?;
            }
        }
        self.write_buffer().await?;
        self.records += records.len() as u64;
        Ok(())
    }

    async fn write_buffer(&mut self) -> Result<(), SinkError> {
        self.writer.write_all(&self.buffer).await.map_err(|error| sink_error(&error))?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

fn sink_error(error: &io::Error) -> SinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => SinkError::Closed,
        // Some of it may have been written, so that trying again could tear a line in two.
        io::ErrorKind::StorageFull => SinkError::Fatal(
            "the standard output cannot be written: no space is left where it leads; free some and start again".to_owned(),
        ),
        _ => SinkError::Fatal(format!("the standard output cannot be written: {error}")),
    }
}

impl<W: AsyncWrite + Unpin + Send> Sink for Stdout<W> {
    fn name(&self) -> &'static str {
        "stdout"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write_all(records))
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { self.writer.flush().await.map_err(|error| sink_error(&error)) })
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("records", self.records);
        report("bytes", self.bytes);
    }
}

impl SinkComponent for Stdout {
    type Config = Config;
    const NAME: &'static str = "stdout";
    const DOCS: &'static str = include_str!("README.md");
    fn build(config: Config, context: &Context) -> Result<Self, ConfigError> {
        Ok(Self::new(tokio::io::stdout(), context.encoder(config.format)?))
    }
}

#[cfg(test)]
mod tests;
