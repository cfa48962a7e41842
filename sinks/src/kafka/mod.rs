//! The sink `kafka`: records as messages, the record's id as key.
//!
//! ```text
//!  write ─► encode ─► idempotent producer ─► brokers ─► flush: all acknowledged          at_least_once
//!                 └─► transaction: records + offsets ─► flush_with: committed, or none   exactly_once
//! ```

mod message;
mod producer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::sink::{Sink, SinkError, SourceOffset};
use logbraid_core::{Properties, Record, Span};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Context, SinkComponent, ndjson};
use message::Message;
use producer::{Producing, Tally};

/// Settings of the sink.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses of brokers, `HOST:PORT`, separated by commas; the port is 9092 where it is left out.
    pub brokers: String,
    /// The topic. It must exist.
    pub topic: String,
    /// What a message holds.
    #[serde(default)]
    pub value: Content,
    /// What a message's key is [default: `id`; with `value: original`, the key that the record came with].
    #[serde(default)]
    pub key: Option<MessageKey>,
    /// How often a record may arrive.
    #[serde(default)]
    pub delivery: Delivery,
    /// For `exactly_once`: the name of this instance among all that write; the same after a restart, and no other's.
    #[serde(default)]
    pub transactional_id: Option<String>,
    /// How messages are packed.
    #[serde(default)]
    pub compression: Compression,
    /// How long a message may wait for others before it is sent; at most `10s`.
    #[serde(default = "linger")]
    pub linger: Span,
    /// How long a write may take before it is tried anew.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Settings of librdkafka under its own names, such as `security.protocol`; `NAME_file` names a file that holds the
    /// value, as in `sasl.password_file`.
    #[serde(default)]
    pub properties: Properties,
}

/// What a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The record as JSON.
    #[default]
    Json,
    /// Of entries and rejects, the bytes that were read, with the headers that they came with, and headers `logbraid.…`
    /// that say why and from where. Of other records, JSON.
    Original,
}

/// What a message's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKey {
    /// The record's id: who reads a record twice can tell by it.
    Id,
    /// The request that the record belongs to, so that all records of one request are in one partition.
    Request,
    /// The key that the record came with.
    Original,
}

/// How often a record may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// At least once; after a crash the same record may come again, with the same key and the same `id`.
    #[default]
    AtLeastOnce,
    /// Exactly once for readers with `isolation.level=read_committed`: records and the offsets that they come from are
    /// one transaction. Needs a Kafka source in the same cluster.
    ExactlyOnce,
}

/// How messages are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By snappy.
    Snappy,
    /// By LZ4.
    Lz4,
    /// By zstd: the smallest.
    #[default]
    Zstd,
}

impl Compression {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

const fn linger() -> Span {
    Span::from_millis(5)
}
const fn timeout() -> Span {
    Span::from_seconds(30)
}

/// Settings of librdkafka on which delivery rests, and what to write instead.
const RESERVED: [(&str, &str); 8] = [
    ("bootstrap.servers", "write `brokers`"),
    ("metadata.broker.list", "write `brokers`"),
    ("transactional.id", "write `transactional_id`"),
    ("enable.idempotence", "it is always on"),
    ("acks", "all copies are waited for"),
    ("request.required.acks", "all copies are waited for"),
    ("message.timeout.ms", "write `timeout`"),
    ("delivery.timeout.ms", "write `timeout`"),
];

impl Config {
    fn check(&self) -> Result<(), ConfigError> {
        ensure(!self.brokers.trim().is_empty(), "brokers", "must name a broker; try `localhost:9092`")?;
        ensure(!self.topic.trim().is_empty(), "topic", "must name a topic; try `findings`")?;
        ensure(self.linger <= Span::from_seconds(10), "linger", "must be at most ten seconds; try `5ms`")?;
        ensure(self.timeout >= Span::from_seconds(1), "timeout", "must be at least one second; try `30s`")?;
        ensure(self.linger < self.timeout, "timeout", "must be longer than `linger`; try `30s`")?;
        let named = self.transactional_id.as_ref().is_some_and(|id| !id.trim().is_empty());
        let exactly_once = self.delivery == Delivery::ExactlyOnce;
        ensure(
            named || !exactly_once,
            "transactional_id",
            "must name this instance for `exactly_once`; try `logbraid-${HOSTNAME}`",
        )?;
        ensure(
            exactly_once || self.transactional_id.is_none(),
            "transactional_id",
            "is for `delivery: exactly_once` only; leave it out",
        )?;
        for (name, why) in RESERVED {
            let written = self.properties.names().any(|written| written.trim_end_matches("_file") == name);
            ensure(!written, &format!("properties.{name}"), &format!("must not be set; {why}"))?;
        }
        self.properties.check(refused)
    }

    /// The library's settings; files named by `properties` are read now.
    fn client(&self) -> Result<ClientConfig, SinkError> {
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Warning);
        client
            .set("client.id", "logbraid")
            .set("compression.type", self.compression.name())
            .set("linger.ms", self.linger.millis().to_string())
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.max.ms", "2000")
            // The bound on what waits here; beyond it, writing waits.
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536");
        let resolved =
            self.properties.resolve(&|path| std::fs::read_to_string(path)).map_err(|(name, error)| {
                SinkError::Fatal(format!("`properties.{name}`: the file cannot be read: {error}"))
            })?;
        for (name, value) in resolved {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", millis(self.timeout));
        if let Some(id) = &self.transactional_id {
            // Longer than a stall of another sink; the next start of this instance ends it at once.
            let open = (self.timeout.nanos() / 1_000_000 * 2).clamp(120_000, 900_000);
            client.set("transactional.id", id).set("transaction.timeout.ms", open.to_string());
        }
        Ok(client)
    }
}

/// Why the library does not take a setting.
fn refused(name: &str, value: &str) -> Option<String> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, why, ..)) => Some(why),
        Err(error) => Some(error.to_string()),
    }
}

fn millis(span: Span) -> String {
    (span.nanos() / 1_000_000).to_string()
}

/// The sink.
pub struct Kafka {
    config: Config,
    encode: ndjson::Encode,
    tally: Arc<Tally>,
    /// Made when it is opened: a configuration can be checked without brokers.
    producing: Option<Producing>,
}

impl SinkComponent for Kafka {
    type Config = Config;
    const NAME: &'static str = "kafka";
    const DOCS: &'static str = include_str!("README.md");
    fn build(config: Config, _: &Context) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config, encode: ndjson::encoder(), tally: Arc::default(), producing: None })
    }
}

impl Kafka {
    /// Runs `work` on a thread that may wait, with the producer; a fatal error throws the producer away.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Producing) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let taken = self.producing.take();
        let (config, tally) = (self.config.clone(), Arc::clone(&self.tally));
        let done = tokio::task::spawn_blocking(move || {
            let made = match taken {
                Some(producing) => Ok(producing),
                None => config.client().and_then(|client| Producing::new(&config, &client, tally)),
            };
            match made {
                Ok(mut producing) => {
                    let result = work(&mut producing);
                    (Some(producing), result)
                }
                Err(error) => (None, Err(error)),
            }
        })
        .await;
        let (producing, result) =
            done.map_err(|error| SinkError::Fatal(format!("the producer's thread ended: {error}")))?;
        self.producing = producing;
        result
    }
}

impl Sink for Kafka {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn open(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.with(|_| Ok(())))
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let messages: Vec<Message> =
                records.iter().map(|record| Message::of(record, &self.config, &mut self.encode)).collect();
            self.with(move |producing| producing.write(messages)).await
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.flush_with(&[])
    }

    fn commits_offsets(&self) -> bool {
        self.config.delivery == Delivery::ExactlyOnce
    }

    fn flush_with<'a>(&'a mut self, offsets: &'a [SourceOffset]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            // Nothing was ever written, and nothing is to be stored.
            if self.producing.is_none() && (offsets.is_empty() || !self.commits_offsets()) {
                return Ok(());
            }
            let offsets = offsets.to_vec();
            self.with(move |producing| producing.flush(&offsets)).await
        })
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let Tally { records, bytes, failed, too_large, transactions, aborted } = &*self.tally;
        let counters = [
            ("records", records),
            ("bytes", bytes),
            ("failed", failed),
            ("too_large", too_large),
            ("transactions", transactions),
            ("aborted_transactions", aborted),
        ];
        for (name, counter) in counters {
            report(name, counter.load(Ordering::Relaxed));
        }
    }
}

/// How long the broker may take to answer one request of a transaction.
const ANSWER: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
