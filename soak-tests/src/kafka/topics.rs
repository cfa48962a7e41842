//! Topics of a test cluster: made, filled, read back.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::broker::Cluster;
use super::traffic::Message;
use crate::stopwatch::Stopwatch;

/// One message as it was read back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The content; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
}

/// Writes messages to `topic` with a producer that waits for all copies and repeats nothing; returns when all are
/// durable, and how many that are. Brokers that come and go are waited for.
///
/// # Errors
/// When a message is refused, or is not durable after five minutes.
pub fn write(
    mut client: ClientConfig,
    topic: &str,
    messages: impl IntoIterator<Item = Message>,
) -> io::Result<u64> {
    client.set("enable.idempotence", "true").set("linger.ms", "20").set("compression.type", "lz4");
    client.set("queue.buffering.max.messages", "200000").set("message.max.bytes", "8388608");
    let producer: ThreadedProducer<DefaultProducerContext> = client.create().map_err(io::Error::other)?;
    let mut count = 0;
    for Message { partition, key, value } in messages {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        if let Some(value) = &value {
            record = record.payload(value);
        }
        if let Some(key) = &key {
            record = record.key(key);
        }
        let mut sent = producer.send(record);
        while let Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) = sent {
            std::thread::sleep(Duration::from_millis(5));
            sent = producer.send(record);
        }
        sent.map_err(|(error, _)| io::Error::other(error))?;
        count += 1;
    }
    producer.flush(Duration::from_mins(5)).map_err(io::Error::other)?;
    Ok(count)
}

impl Cluster {
    /// Makes a topic, on as many nodes as there are. `settings` are Kafka's, such as `retention.ms`.
    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> io::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create().map_err(io::Error::other)?;
        let copies = i32::try_from(self.nodes()).unwrap_or(1);
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let made = block_on(admin.create_topics([&new], &options)).map_err(io::Error::other)?;
        for topic in made {
            topic.map_err(|(name, code)| io::Error::other(format!("topic `{name}`: {code}")))?;
        }
        // Made is not yet known to every node.
        let consumer: BaseConsumer = self.client().create().map_err(io::Error::other)?;
        let watch = Stopwatch::start();
        while watch.elapsed() < Duration::from_secs(30) {
            let known = consumer.fetch_metadata(Some(topic), Duration::from_secs(5));
            let leads = known.is_ok_and(|metadata| {
                metadata.topics().iter().any(|known| {
                    known.partitions().len() == usize::try_from(partitions).unwrap_or(0)
                        && known.partitions().iter().all(|partition| partition.leader() >= 0)
                })
            });
            if leads {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other(format!("topic `{topic}` has no leaders")))
    }

    /// Writes messages to `topic`, each `(partition, key, value)`; returns when all are durable.
    pub fn produce<K, V>(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = (i32, K, V)>,
    ) -> io::Result<u64>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let message = |(partition, key, value): (i32, K, V)| Message {
            partition,
            key: Some(key.as_ref().to_vec()).filter(|key| !key.is_empty()),
            value: Some(value.as_ref().to_vec()),
        };
        write(self.client(), topic, messages.into_iter().map(message))
    }

    /// Everything in `topic` that committed transactions and plain producers wrote, by partition and offset.
    pub fn read(&self, topic: &str) -> io::Result<Vec<Read>> {
        let mut config = self.client();
        config.set("group.id", "reader").set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().map_err(io::Error::other)?;
        let metadata =
            consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).map_err(io::Error::other)?;
        let mut assignment = TopicPartitionList::new();
        let mut open = 0_usize;
        for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
            assignment
                .add_partition_offset(topic, partition.id(), Offset::Beginning)
                .map_err(io::Error::other)?;
            open += 1;
        }
        consumer.assign(&assignment).map_err(io::Error::other)?;
        let mut read = Vec::new();
        let watch = Stopwatch::start();
        while open > 0 {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => read.push(Read {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                }),
                // Each partition says once that it has come to its end.
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                // Brokers that come and go are waited for.
                _ if watch.elapsed() > Duration::from_mins(2) => {
                    return Err(io::Error::other(format!("topic `{topic}` cannot be read to its end")));
                }
                _ => {}
            }
        }
        read.sort();
        Ok(read)
    }

    /// The offset after the last record of every partition of `topic`.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn end(&self, topic: &str) -> io::Result<BTreeMap<i32, i64>> {
        let consumer: BaseConsumer = self.client().create().map_err(io::Error::other)?;
        let patience = Duration::from_secs(10);
        let metadata = consumer.fetch_metadata(Some(topic), patience).map_err(io::Error::other)?;
        let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        let ends = partitions.map(|partition| {
            let (_, end) =
                consumer.fetch_watermarks(topic, partition.id(), patience).map_err(io::Error::other)?;
            Ok((partition.id(), end))
        });
        ends.collect()
    }

    /// What `group` has committed in `topic`: offset and metadata by partition; nothing where nothing was committed.
    pub fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
    ) -> io::Result<BTreeMap<i32, (i64, String)>> {
        let mut config = self.client();
        config.set("group.id", group);
        let consumer: BaseConsumer = config.create().map_err(io::Error::other)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let list = consumer.committed_offsets(list, Duration::from_secs(10)).map_err(io::Error::other)?;
        Ok(list
            .elements()
            .iter()
            .filter_map(|known| match known.offset() {
                Offset::Offset(offset) => Some((known.partition(), (offset, known.metadata().to_owned()))),
                _ => None,
            })
            .collect())
    }
}
