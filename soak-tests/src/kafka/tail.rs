//! Reads a topic from its beginning, and goes on as it grows: what committed transactions and plain producers wrote.

use std::io;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::stopwatch::Stopwatch;

/// A reader of one topic.
pub struct Tail {
    consumer: BaseConsumer,
}

impl Tail {
    /// Begins at the beginning of `topic`.
    ///
    /// # Errors
    /// When the topic does not exist or no broker answers.
    pub fn new(mut client: ClientConfig, topic: &str) -> io::Result<Self> {
        client.set("group.id", "tail").set("enable.auto.commit", "false");
        client.set("isolation.level", "read_committed").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = client.create().map_err(io::Error::other)?;
        let metadata =
            consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).map_err(io::Error::other)?;
        let mut assignment = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            assignment
                .add_partition_offset(topic, partition.id(), Offset::Beginning)
                .map_err(io::Error::other)?;
        }
        consumer.assign(&assignment).map_err(io::Error::other)?;
        Ok(Self { consumer })
    }

    /// Hands over what comes within `time`; returns how many messages that were. Brokers that come and go are waited
    /// for.
    pub fn read(&self, time: Duration, hear: &mut dyn FnMut(&[u8])) -> u64 {
        let watch = Stopwatch::start();
        let mut count = 0;
        loop {
            let left = time.saturating_sub(watch.elapsed());
            if let Some(Ok(message)) = self.consumer.poll(left) {
                hear(message.payload().unwrap_or_default());
                count += 1;
            }
            if watch.elapsed() >= time {
                return count;
            }
        }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tail")
    }
}
