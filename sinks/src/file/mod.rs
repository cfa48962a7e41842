//! Appends records to a file, and rotates it by size and by time.
//!
//! ```text
//!  records of one call ─► one buffer ─► rotate? ─► append ─► flush: fsync
//!  findings.ndjson ─► findings.ndjson.1 ─► findings.ndjson.2 ─► … ─► deleted after `keep`
//! ```

mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{ByteSize, EventTime, Record, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use self::writer::{Counters, Rotation, Writer};
use crate::{Context, Encode, Format, SinkComponent};

/// Settings of a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where records are appended.
    pub path: PathBuf,
    /// When to begin a new file; without it, the file grows for ever.
    #[serde(default)]
    pub rotate: Option<Rotate>,
    /// How records are written.
    #[serde(default)]
    pub format: Format,
    /// Create the folder if it does not exist.
    #[serde(default)]
    pub mkdir: bool,
}

/// When to begin a new file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Before the file would pass this size, unless one write alone does.
    #[serde(default)]
    pub size: Option<ByteSize>,
    /// At the first write after each whole multiple of this, in UTC: `1h` begins a file every full hour.
    #[serde(default)]
    pub every: Option<Span>,
    /// How many old files are kept.
    #[serde(default = "keep_default")]
    pub keep: u32,
}

const fn keep_default() -> u32 {
    5
}

/// Most old files that can be kept: each rotation renames them all.
const KEEP_MAX: u32 = 1000;

/// A buffer that grew beyond this is not kept for the next call.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// A file that records are appended to.
pub struct File {
    // A std mutex: held on a blocking thread during one call, never across an await.
    writer: Arc<Mutex<Writer>>,
    counters: Arc<Counters>,
    now: Arc<dyn Fn() -> EventTime + Send + Sync>,
    encode: Encode,
    buffer: Vec<u8>,
}

/// Does `work` on a thread that may block.
async fn on_thread(
    writer: Arc<Mutex<Writer>>,
    work: impl FnOnce(&mut Writer) -> Result<(), SinkError> + Send + 'static,
) -> Result<(), SinkError> {
    tokio::task::spawn_blocking(move || work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner)))
        .await
        .unwrap_or_else(|error| Err(SinkError::Fatal(format!("writing to a file was broken off: {error}"))))
}

impl Sink for File {
    fn name(&self) -> &'static str {
        "file"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            for record in records {
                (self.encode)(record, &mut buffer);
            }
            let (now, records) = ((self.now)(), records.len() as u64);
            let buffer = Arc::new(buffer);
            let shared = Arc::clone(&buffer);
            let writer = Arc::clone(&self.writer);
            let result = on_thread(writer, move |writer| writer.write(now, &shared, records)).await;
            if let Some(buffer) = Arc::into_inner(buffer)
                && buffer.capacity() <= BUFFER_BYTES_MAX
            {
                self.buffer = buffer;
            }
            result
        })
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(on_thread(Arc::clone(&self.writer), Writer::flush))
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        self.counters.report(report);
    }
}

impl SinkComponent for File {
    type Config = Config;
    const NAME: &'static str = "file";
    const DOCS: &'static str = include_str!("README.md");
    fn build(config: Config, context: &Context) -> Result<Self, ConfigError> {
        ensure(
            !config.path.as_os_str().is_empty(),
            "path",
            "must not be empty; try `path: findings.ndjson`",
        )?;
        let rotation = match config.rotate {
            None => None,
            Some(Rotate { size, every, keep }) => {
                ensure(
                    size.is_some() || every.is_some(),
                    "rotate",
                    "must say when; try `rotate: { size: 100MiB, keep: 5 }`",
                )?;
                let holds = size.is_none_or(|size| size.bytes() > 0);
                ensure(holds, "rotate.size", "must be larger than zero; try `100MiB`")?;
                let holds = every.is_none_or(|every| every >= Span::from_seconds(1));
                ensure(holds, "rotate.every", "must be at least one second; try `1h`")?;
                ensure((1..=KEEP_MAX).contains(&keep), "rotate.keep", "must be 1 to 1000; try `5`")?;
                Some(Rotation { size: size.map(ByteSize::bytes), every, keep })
            }
        };
        let counters = Arc::new(Counters::default());
        let json = config.format == Format::Ndjson;
        let writer = Writer::new(config.path, rotation, config.mkdir, json, Arc::clone(&counters));
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            counters,
            now: Arc::clone(&context.now),
            encode: context.encoder(config.format)?,
            buffer: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
