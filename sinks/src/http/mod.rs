//! The sink `http`: records in requests, answered before they count as delivered.
//!
//! ```text
//!  write ─► pieces wait (bounded) ─► request ─► 2xx: delivered
//!                 ▲                     ├─► cannot connect, 408, 429, 5xx, …: again, later
//!                 └── half of them ◄────┴─► 400, 413, …: the one record at fault ─► dead letters
//! ```

mod client;
mod config;
mod otlp;
mod piece;
mod poster;
mod refused;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use logbraid_core::component::ConfigError;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{EventTime, Record};

use self::client::{Answer, Client, Post};
use self::config::Target;
pub use self::config::{Action, Compression, Config, Format};
use self::piece::Piece;
pub use self::poster::Poster;
use crate::batch::Pending;
use crate::{Context, SinkComponent, Spans};

/// The longest wait that a server's `Retry-After` is heard for at once; then it is asked again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    records: u64,
    bytes: u64,
    requests: u64,
    failed: u64,
    dead_letters: u64,
    rejected: u64,
    split: u64,
}

/// The sink.
pub struct Http {
    config: Config,
    target: Target,
    now: Arc<dyn Fn() -> EventTime + Send + Sync>,
    spans: Option<Spans>,
    client: Client,
    pending: Pending<Piece>,
    /// Most records of the next request: fewer while a record at fault is looked for.
    most: usize,
    tally: Tally,
}

impl SinkComponent for Http {
    type Config = Config;
    const NAME: &'static str = "http";
    const DOCS: &'static str = include_str!("README.md");
    fn build(config: Config, context: &Context) -> Result<Self, ConfigError> {
        let target = config.check()?;
        let most = config.batch.records;
        Ok(Self {
            pending: Pending::new(config.batch),
            config,
            target,
            now: Arc::clone(&context.now),
            spans: context.spans.clone(),
            client: Client::default(),
            most,
            tally: Tally::default(),
        })
    }
}

impl Http {
    /// Sends the next request.
    async fn send(&mut self) -> Result<(), SinkError> {
        let count = self.pending.next(self.most, |first, piece| first.spans == piece.spans);
        let pieces = self.pending.first(count);
        let (body, content_type) = piece::body(self.config.format, pieces, (self.now)());
        let gzip = self.config.compression == Compression::Gzip;
        let length = body.len() as u64;
        let body = if gzip { packed(&body)? } else { body };
        let spans = self.pending.front().is_some_and(|piece| piece.spans);
        let path = if spans { &self.target.traces } else { &self.target.path };
        let post = Post { path, content_type, gzip, body: body.into() };
        self.tally.requests += 1;
        let answer = self.client.post(&self.target, &post, self.config.timeout.to_std()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return Err(self.again(&why)),
        };
        match answer.status {
            200..=299 => {
                self.tally.bytes += length;
                self.most = self.most.saturating_mul(2).min(self.config.batch.records);
                match self.config.format {
                    Format::Bulk => self.items(count, &answer).await,
                    Format::Otlp => self.partly(count, &answer).await,
                    _ => {
                        self.delivered(count);
                        Ok(())
                    }
                }
            }
            status if refused::is_of_records(status) && count > 1 => {
                self.tally.split += 1;
                self.most = count / 2;
                Ok(())
            }
            status if refused::is_of_records(status) => {
                let why = refused::told(status, &answer.body);
                self.set_aside(vec![(0, status, why)]).await?;
                // Others around it may be well.
                self.most = self.most.saturating_mul(2).min(self.config.batch.records);
                Ok(())
            }
            status => {
                if let Some(wait) = answer.retry_after {
                    tokio::time::sleep(wait.min(RETRY_AFTER_MAX)).await;
                }
                let why = refused::told(status, &answer.body);
                Err(self.again(&why))
            }
        }
    }

    fn again(&mut self, why: &str) -> SinkError {
        self.tally.failed += 1;
        SinkError::Retry(format!("`{}`: {why}", self.target.shown))
    }

    /// The first `count` were taken.
    fn delivered(&mut self, count: usize) {
        self.tally.records += count as u64;
        self.pending.drop_first(count);
    }

    /// What `_bulk` says of each item: some may be taken, some told to come again, and some refused.
    async fn items(&mut self, count: usize, answer: &Answer) -> Result<(), SinkError> {
        let Some(items) = refused::items(&answer.body).filter(|items| items.len() == count) else {
            return Err(
                self.again("the answer does not say what became of each record; is it a `_bulk` address?")
            );
        };
        let (mut refused, mut busy, mut kept) = (Vec::new(), None, 0);
        let tally = &mut self.tally;
        self.pending.keep(count, |at| {
            // With 409 the same revision is there already, or a newer one.
            let taken = matches!(items[at].0, 200..=299 | 409);
            tally.records += u64::from(taken);
            !taken
        });
        for (status, why) in items {
            match status {
                200..=299 | 409 => continue,
                status if refused::is_of_records(status) => refused.push((kept, status, why)),
                _ => {
                    busy.get_or_insert(format!("told for single records to come again: {status} {why}"));
                }
            }
            kept += 1;
        }
        // What was taken has gone by now: it does not come again when this fails.
        if !refused.is_empty() {
            self.set_aside(refused).await?;
        }
        if let Some(why) = busy {
            if let Some(wait) = answer.retry_after {
                tokio::time::sleep(wait.min(RETRY_AFTER_MAX)).await;
            }
            return Err(self.again(&why));
        }
        Ok(())
    }

    /// OTLP's partial success tells how many were refused, not which, and forbids to send the request again: all of it
    /// counts as delivered, and what the server said of the refused ones is kept.
    async fn partly(&mut self, count: usize, answer: &Answer) -> Result<(), SinkError> {
        if let Some((rejected, why)) = refused::partial(&answer.body) {
            if let Some(path) = self.config.dead_letters.clone() {
                let url = &self.target.shown;
                let letter = PartialSuccess {
                    kind: "rejected",
                    at: (self.now)(),
                    url,
                    rejected,
                    of: count,
                    why: &why,
                };
                let line = serde_json::to_vec(&letter)
                    .map_err(|error| SinkError::Fatal(format!("a dead letter is not JSON: {error}")))?;
                append(path, line).await?;
            }
            self.tally.rejected += rejected;
        }
        self.delivered(count);
        Ok(())
    }

    /// Writes the refused pieces where dead letters go, and lets go of them.
    async fn set_aside(&mut self, refused: Vec<(usize, u16, String)>) -> Result<(), SinkError> {
        self.write_dead_letters(&refused).await?;
        let most = refused.last().map_or(0, |(at, ..)| at + 1);
        self.pending.keep(most, |at| refused.iter().all(|(gone, ..)| *gone != at));
        Ok(())
    }

    async fn write_dead_letters(&mut self, refused: &[(usize, u16, String)]) -> Result<(), SinkError> {
        let Some(path) = self.config.dead_letters.clone() else {
            let why = refused.first().map_or("", |(_, _, why)| why.as_str());
            return Err(self.again(&format!(
                "a record is refused, and holds back what comes after it: {why}; name a file in `dead_letters` for \
                 such records"
            )));
        };
        let (now, mut lines) = ((self.now)(), Vec::new());
        for (at, status, why) in refused {
            let Some(piece) = self.pending.get(*at) else { continue };
            let letter =
                serde_json::from_slice(&piece.text).and_then(|record: &serde_json::value::RawValue| {
                    let url = &self.target.shown;
                    let letter =
                        DeadLetter { kind: "dead_letter", at: now, url, status: *status, why, record };
                    serde_json::to_vec(&letter)
                });
            let letter =
                letter.map_err(|error| SinkError::Fatal(format!("a record is not JSON: {error}")))?;
            lines.extend_from_slice(&letter);
            lines.push(b'\n');
        }
        append(path, lines).await?;
        self.tally.dead_letters += refused.len() as u64;
        Ok(())
    }
}

/// Appends lines to the dead letters, and syncs them to the disk.
async fn append(path: PathBuf, mut lines: Vec<u8>) -> Result<(), SinkError> {
    let written = tokio::task::spawn_blocking(move || {
        if lines.last() != Some(&b'\n') {
            lines.push(b'\n');
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(&lines)?;
        file.sync_data()
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(SinkError::Retry(format!("dead letters cannot be written: {error}"))),
        Err(error) => Err(SinkError::Fatal(format!("writing dead letters was broken off: {error}"))),
    }
}

/// How many of a request's records an OTLP server did not take; it does not say which.
#[derive(serde::Serialize)]
struct PartialSuccess<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    at: EventTime,
    url: &'a str,
    rejected: u64,
    of: usize,
    why: &'a str,
}

/// A record that the server refused for good.
#[derive(serde::Serialize)]
struct DeadLetter<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    at: EventTime,
    url: &'a str,
    status: u16,
    why: &'a str,
    record: &'a serde_json::value::RawValue,
}

fn packed(body: &[u8]) -> Result<Vec<u8>, SinkError> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer
        .write_all(body)
        .and_then(|()| packer.finish())
        .map_err(|error| SinkError::Fatal(format!("a body cannot be packed: {error}")))
}

impl Sink for Http {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// A server that is down is waited for when there is something to send; a file that cannot be written never will.
    fn open(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        let opened = self.client.open(&self.target, self.config.tls.as_ref());
        let path = self.config.dead_letters.clone();
        Box::pin(async move {
            opened?;
            let Some(path) = path else { return Ok(()) };
            match std::fs::OpenOptions::new().create(true).append(true).open(&path) {
                Ok(_) => Ok(()),
                Err(error) => Err(SinkError::Fatal(format!(
                    "dead letters cannot be written to `{}`: {error}; name a file in a folder that exists",
                    path.display()
                ))),
            }
        })
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            // First, so that after an error nothing of this call was taken.
            while self.pending.is_full() {
                self.send().await?;
            }
            for record in records {
                self.pending.push(Piece::of(record, &self.config, self.spans.as_ref()));
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

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let Tally { records, bytes, requests, failed, dead_letters, rejected, split } = self.tally;
        for (name, value) in [
            ("records", records),
            ("bytes", bytes),
            ("requests", requests),
            ("failed", failed),
            ("dead_letters", dead_letters),
            ("rejected", rejected),
            ("split", split),
        ] {
            report(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
