//! The sink `forward`: records as chunks of Fluent Forward v1, each acknowledged before it counts as delivered.
//!
//! ```text
//!  write ─► pieces wait (bounded) ─► chunk of one tag ─► {"ack": its id}: delivered
//!                                      └─► no answer, a broken connection: the same chunk again, with the same id
//! ```

mod config;
mod handshake;
mod message;

use std::sync::Arc;

use futures::future::BoxFuture;
use logbraid_core::component::ConfigError;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{EventTime, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub use self::config::Config;
use self::message::{Chunk, Piece};
use crate::batch::Pending;
use crate::net::tls::Tls;
use crate::net::{self, Address, Duplex};
use crate::{Context, SinkComponent};

/// The longest answer of a server.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    records: u64,
    bytes: u64,
    chunks: u64,
    failed: u64,
}

/// The sink.
pub struct Forward {
    config: Config,
    address: Address,
    now: Arc<dyn Fn() -> EventTime + Send + Sync>,
    tls: Option<Tls>,
    link: Option<Box<dyn Duplex>>,
    pending: Pending<Piece>,
    /// The chunk under way: it stays as it is until it is delivered, so that a server knows it again.
    chunk: Option<Chunk>,
    tally: Tally,
}

impl SinkComponent for Forward {
    type Config = Config;
    const NAME: &'static str = "forward";
    const DOCS: &'static str = include_str!("README.md");
    fn build(config: Config, context: &Context) -> Result<Self, ConfigError> {
        Ok(Self {
            address: config.check()?,
            now: Arc::clone(&context.now),
            tls: None,
            link: None,
            pending: Pending::new(config.batch),
            chunk: None,
            tally: Tally::default(),
            config,
        })
    }
}

impl Forward {
    /// Sends the chunk under way, or the next one.
    async fn send(&mut self) -> Result<(), SinkError> {
        let chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => Chunk::of(&self.pending, &self.config)?,
        };
        self.tally.chunks += 1;
        // Taken out: what is given up leaves no half-used connection behind.
        let kept = self.link.take();
        let mut doing = "";
        let answer = if chunk.id.is_some() {
            "waiting for the acknowledgement; does the server know `require_ack_response`?"
        } else {
            "sending: the server does not read"
        };
        let work = async {
            doing = answer;
            if let Some(mut kept) = kept
                && net::is_open(&mut kept).await
                && exchange(&mut kept, &chunk).await.is_ok()
            {
                return Ok(kept);
            }
            // A kept connection that the server had closed says nothing about the server.
            doing = "connecting";
            let mut link = self.address.connect(self.tls.as_ref()).await?;
            let hint = self.tls.as_ref().map_or("", Tls::hint);
            if let Some(key) = &self.config.shared_key {
                handshake::shake(&mut link, key, self.config.user.as_ref(), &mut doing).await?;
            } else if chunk.id.is_none() {
                net::welcome(&mut link).await.map_err(|why| why + hint)?;
            }
            doing = answer;
            exchange(&mut link, &chunk).await.map_err(|why| why + hint)?;
            Ok::<_, String>(link)
        };
        let timeout = self.config.timeout.to_std();
        let done = tokio::time::timeout(timeout, work).await;
        match done.unwrap_or_else(|_| Err(format!("gave up after {timeout:?}, {doing}"))) {
            Ok(link) => {
                self.link = Some(link);
                self.tally.records += chunk.count as u64;
                self.tally.bytes += chunk.message.len() as u64;
                self.pending.drop_first(chunk.count);
                Ok(())
            }
            Err(why) => {
                self.chunk = Some(chunk);
                self.tally.failed += 1;
                Err(SinkError::Retry(format!("`{}`: {why}", self.address)))
            }
        }
    }
}

/// Sends a chunk, and waits for its acknowledgement where there is one.
async fn exchange(link: &mut (impl Duplex + ?Sized), chunk: &Chunk) -> Result<(), String> {
    link.write_all(&chunk.message).await.map_err(|error| net::broke(&error))?;
    link.flush().await.map_err(|error| net::broke(&error))?;
    let Some(id) = &chunk.id else { return Ok(()) };
    let mut read = Vec::new();
    loop {
        let answer: message::Ack =
            answer(link, &mut read, "does it ask for a `shared_key`, or for TLS?").await?;
        // One of an earlier chunk came too late.
        if answer.ack == *id {
            return Ok(());
        }
    }
}

/// Reads the next value of a server; `read` is what was read of it and of those behind it. `none` helps who gets no answer.
async fn answer<T: serde::de::DeserializeOwned>(
    link: &mut (impl Duplex + ?Sized),
    read: &mut Vec<u8>,
    none: &str,
) -> Result<T, String> {
    loop {
        if let Some((value, length)) = message::first(read)? {
            read.drain(..length);
            return Ok(value);
        }
        if read.len() > ANSWER_BYTES_MAX {
            return Err("the server's answer is too long; is it a server of Fluent Forward?".to_owned());
        }
        let came = link.read_buf(read).await.map_err(|error| net::broke(&error))?;
        if came == 0 {
            return Err(format!("the server hung up without an answer; {none}"));
        }
    }
}

impl Sink for Forward {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// A server that is down is waited for when there is something to send; a file that cannot be read never will.
    fn open(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.tls = self.config.tls.as_ref().map(Tls::read).transpose()?;
            Ok(())
        })
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            // First, so that after an error nothing of this call was taken.
            while self.pending.is_full() {
                self.send().await?;
            }
            for record in records {
                self.pending.push(Piece::of(record, &self.config.tag, &*self.now));
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.pending.pace().await;
            while !self.pending.is_empty() {
                self.send().await?;
            }
            Ok(())
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            // What was acknowledged has arrived.
            let Some(link) = self.link.take().filter(|_| !self.config.acks) else { return Ok(()) };
            net::close(link).await.map_err(|why| SinkError::Retry(format!("`{}`: {why}", self.address)))
        })
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let Tally { records, bytes, chunks, failed } = self.tally;
        for (name, value) in
            [("records", records), ("bytes", bytes), ("requests", chunks), ("failed", failed)]
        {
            report(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
