//! The settings of a Kafka source.

use std::str::FromStr;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, EventTime, Properties, Span};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StartError;

/// Reads topics as a member of a consumer group; run as many instances as there are partitions, or fewer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses of brokers, `HOST:PORT`, as a list or separated by commas; the port is 9092 where it is left out.
    #[serde(deserialize_with = "list")]
    #[schemars(schema_with = "list_schema")]
    pub brokers: Vec<String>,
    /// Names of topics; one that begins with `^` is a regular expression, and takes in topics that come later.
    #[serde(deserialize_with = "list")]
    #[schemars(schema_with = "list_schema")]
    pub topics: Vec<String>,
    /// The consumer group. Its members share the partitions and keep their positions under this name.
    pub group: String,
    /// Where a partition begins that the group has not read: `earliest`, `latest`, or a time such as
    /// `2024-01-15T10:00:00Z`.
    #[serde(default)]
    pub start: Start,
    /// How members share partitions: `classic`, or `consumer` for brokers of version 4.0 and later.
    #[serde(default)]
    pub group_protocol: GroupProtocol,
    /// `static`: an instance that comes back under its name within `session_timeout` gets its partitions back, and
    /// nobody else notices. `dynamic`: partitions move at once; right where names change with every start, as in a
    /// Kubernetes Deployment.
    #[serde(default)]
    pub membership: Membership,
    /// The name of this instance for static membership [default: the host's name and a number that no other instance
    /// on the host has].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// An instance that has been silent for this long loses its partitions.
    #[serde(default = "session_timeout")]
    pub session_timeout: Span,
    /// How long a partition that is wanted elsewhere may take to be finished; shorter than `session_timeout`.
    #[serde(default = "drain_timeout")]
    pub drain_timeout: Span,
    /// How much of a partition is fetched ahead of the pipeline.
    #[serde(default = "queue")]
    pub queue: ByteSize,
    /// The service to assume for entries that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The field that a message's key is, such as `correlation_id` where writers use the request's id as key.
    #[serde(default = "key", skip_serializing_if = "is_usual")]
    pub key: String,
    /// The topics hold entries that another stage of logbraid wrote with `key: request`: they are read back as the
    /// entries that they were, with their ids and the places where they were read first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub repartitioned: bool,
    /// Settings of librdkafka under its own names, such as `security.protocol`; `NAME_file` names a file that holds the
    /// value, as in `sasl.password_file`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub properties: Properties,
}

/// Where a partition begins that the group has not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest record that is kept.
    #[default]
    Earliest,
    /// At records that are written from now on.
    Latest,
    /// At the first record with this transport time or a later one.
    At(EventTime),
}

/// How members of a group share partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocol {
    /// The members decide, cooperatively: what stays is not interrupted.
    #[default]
    Classic,
    /// The broker decides (KIP-848); needs version 4.0 or later.
    Consumer,
}

/// Whether an instance keeps its name through a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// It does.
    #[default]
    Static,
    /// It does not.
    Dynamic,
}

const fn session_timeout() -> Span {
    Span::from_seconds(45)
}
const fn drain_timeout() -> Span {
    Span::from_seconds(20)
}
const fn queue() -> ByteSize {
    ByteSize::from_bytes(1 << 20)
}
fn key() -> String {
    logbraid_core::tags::KEY_NAME.to_owned()
}
fn is_usual(key: &str) -> bool {
    key == logbraid_core::tags::KEY_NAME
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
fn is_empty(properties: &Properties) -> bool {
    properties.names().next().is_none()
}

/// A list, or one text with commas.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    let trimmed = |text: &str| text.trim().to_owned();
    Ok(match Written::deserialize(deserializer)? {
        // A regular expression may hold commas.
        Written::One(text) if text.starts_with('^') => vec![text],
        Written::One(text) => text.split(',').map(trimmed).filter(|text| !text.is_empty()).collect(),
        Written::Many(texts) => texts,
    })
}

fn list_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{ "type": "array", "items": { "type": "string" }, "minItems": 1 }, { "type": "string" }],
    })
}

/// Settings of librdkafka that are set from others, or on which the guarantees rest.
const RESERVED: [(&str, &str); 12] = [
    ("bootstrap.servers", "write `brokers`"),
    ("metadata.broker.list", "write `brokers`"),
    ("group.id", "write `group`"),
    ("group.instance.id", "write `instance_id`"),
    ("group.protocol", "write `group_protocol`"),
    ("session.timeout.ms", "write `session_timeout`"),
    ("auto.offset.reset", "write `start`"),
    ("enable.auto.commit", "commits follow what the sinks have flushed"),
    ("enable.auto.offset.store", "commits follow what the sinks have flushed"),
    ("partition.assignment.strategy", "partitions are shared cooperatively"),
    ("enable.partition.eof", "it is not needed"),
    ("statistics.interval.ms", "the source asks for statistics itself"),
];

impl Config {
    /// Finds mistakes that show without a broker.
    ///
    /// # Errors
    /// The first mistake, with the setting at fault.
    pub fn check(&self) -> Result<(), ConfigError> {
        let empty = |list: &[String]| list.is_empty() || list.iter().any(|text| text.trim().is_empty());
        ensure(!empty(&self.brokers), "brokers", "must name a broker; try `localhost:9092`")?;
        ensure(!empty(&self.topics), "topics", "must name a topic; try `topics: [app-logs]`")?;
        ensure(!self.group.trim().is_empty(), "group", "must not be empty; try `group: logbraid`")?;
        ensure(
            !self.key.trim().is_empty(),
            "key",
            "must name a field; try `correlation_id`, or leave it out",
        )?;
        let second = Span::from_seconds(1);
        ensure(self.session_timeout >= second, "session_timeout", "must be at least one second; try `45s`")?;
        ensure(
            self.session_timeout <= second_times(1800),
            "session_timeout",
            "must be at most 30 minutes; try `45s`",
        )?;
        ensure(
            self.drain_timeout < self.session_timeout,
            "drain_timeout",
            "must be shorter than `session_timeout`; try `20s`",
        )?;
        let bytes = self.queue.bytes();
        ensure((64 << 10..=1 << 30).contains(&bytes), "queue", "must be from 64KiB to 1GiB; try `1MiB`")?;
        for (name, why) in RESERVED {
            let written = self.properties.names().any(|written| written.trim_end_matches("_file") == name);
            ensure(!written, &format!("properties.{name}"), &format!("must not be set; {why}"))?;
        }
        self.properties.check(refused)
    }

    /// What the topics' records are.
    pub(super) fn kind(&self) -> super::gather::Kind {
        let key_name = (!is_usual(&self.key)).then(|| self.key.as_str().into());
        super::gather::Kind { key_name, handed_over: self.repartitioned }
    }

    /// The library's settings.
    pub(super) fn client(&self, instance: Option<&str>) -> Result<ClientConfig, StartError> {
        let mut client = plain_client(&self.brokers, &self.properties, self.queue)?;
        client.set("group.id", &self.group);
        if let Some(instance) = instance {
            client.set("group.instance.id", instance);
        }
        client
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Where to begin is found out beforehand; this is for positions that are no longer kept.
            .set("auto.offset.reset", "earliest")
            .set("statistics.interval.ms", "1000");
        match self.group_protocol {
            GroupProtocol::Classic => {
                client
                    .set("group.protocol", "classic")
                    .set("partition.assignment.strategy", "cooperative-sticky")
                    .set("session.timeout.ms", millis(self.session_timeout))
                    // Three beats fit into a session.
                    .set(
                        "heartbeat.interval.ms",
                        millis((self.session_timeout / 4).min(Span::from_seconds(3))),
                    );
            }
            GroupProtocol::Consumer => {
                client.set("group.protocol", "consumer");
            }
        }
        Ok(client)
    }
}

fn second_times(count: i64) -> Span {
    Span::from_seconds(count)
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

/// Settings of any reading client: what `properties` say stands over our defaults, not over what guarantees rest on.
/// Of each partition, `ahead` is fetched ahead.
pub(super) fn plain_client(
    brokers: &[String],
    properties: &Properties,
    ahead: ByteSize,
) -> Result<ClientConfig, StartError> {
    let mut client = ClientConfig::new();
    client.set_log_level(RDKafkaLogLevel::Warning);
    client
        .set("client.id", "logbraid")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "2000")
        // What the library holds ready of each partition, and how soon it looks again whether there is room; its usual
        // second would let a fast reader starve.
        .set("queued.max.messages.kbytes", (ahead.bytes() >> 10).to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "100");
    let resolved = properties.resolve(&|path| std::fs::read_to_string(path)).map_err(|(name, error)| {
        StartError::new(format!("kafka: `properties.{name}`: the file cannot be read: {error}"))
    })?;
    for (name, value) in resolved {
        client.set(name, value);
    }
    client.set("bootstrap.servers", brokers.join(","));
    Ok(client)
}

impl FromStr for Start {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => rfc3339(time).map(Self::At).ok_or_else(|| {
                format!("`{time}` is neither `earliest`, `latest` nor a time such as `2024-01-15T10:00:00Z`")
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Earliest => serializer.serialize_str("earliest"),
            Self::Latest => serializer.serialize_str("latest"),
            Self::At(time) => time.serialize(serializer),
        }
    }
}

impl JsonSchema for Start {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Start".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "`earliest`, `latest`, or a time such as `2024-01-15T10:00:00Z`" })
    }
}

fn rfc3339(text: &str) -> Option<EventTime> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(EventTime::from_nanos(time.timestamp_nanos_opt()?))
}
