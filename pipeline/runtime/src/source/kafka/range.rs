//! `kafka://HOST:PORT/TOPIC?from=…&to=…`: a stretch of a topic as an input that ends. No group, no commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use logbraid_core::progress::Mark;
use logbraid_core::{ByteSize, EventTime, Position, Properties, Span};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::StartError;
use super::config::{Start, plain_client};
use super::consumer::{Context, Reader};
use super::feed::{Feed, TURN_MAX};
use super::gather::Gather;
use super::poll::resolve;
use super::start;
use crate::source::intake::{Intake, Opening, Partition, Stopped};

/// The scheme, with what separates it from the address.
pub const SCHEME: &str = "kafka://";
/// What of a partition is fetched ahead of the pipeline.
const AHEAD: ByteSize = ByteSize::from_bytes(4 << 20);
/// The longest wait for a message.
const WAIT: Duration = Duration::from_millis(20);
/// The same while something waits to be handed over.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// Brokers that say nothing for this long while something is missing have lost the input.
const SILENCE_MAX: Span = Span::from_seconds(60);

/// A stretch of a topic, as a user writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Addresses of brokers.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// Where it begins.
    pub from: Start,
    /// Records with this transport time or a later one are left out; without it, it ends where the topic ended when it
    /// was opened.
    pub to: Option<EventTime>,
}

impl Range {
    /// Understands `kafka://HOST:PORT[,HOST:PORT…]/TOPIC[?from=earliest|latest|TIME][&to=latest|TIME]`.
    ///
    /// # Errors
    /// When something is missing or unknown; the help shows the form.
    pub fn parse(text: &str) -> Result<Self, StartError> {
        let wrong = |why: String| {
            StartError::new(format!("`{text}`: {why}"))
                .help("write it like `kafka://localhost:9092/app-logs?from=2024-01-15T10:00:00Z&to=latest`")
        };
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| wrong(format!("it does not begin with `{SCHEME}`")))?;
        if rest.contains('@') {
            return Err(wrong("a login does not belong into an input's name".to_owned())
                .help("use a source `kafka` with `properties` in a configuration"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (brokers, topic) =
            place.split_once('/').ok_or_else(|| wrong("the topic is missing".to_owned()))?;
        let brokers: Vec<String> = brokers.split(',').filter(|b| !b.is_empty()).map(str::to_owned).collect();
        if brokers.is_empty() {
            return Err(wrong("the broker is missing".to_owned()));
        }
        let topic = decode(topic);
        if topic.is_empty() || topic.contains('/') {
            return Err(wrong("it must name one topic".to_owned()));
        }
        let mut range = Self { brokers, topic, from: Start::Earliest, to: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value);
            match (name, value.as_str()) {
                ("from", _) => range.from = value.parse().map_err(wrong)?,
                ("to", "latest") => range.to = None,
                ("to", _) => match value.parse().map_err(wrong)? {
                    Start::At(time) => range.to = Some(time),
                    _ => return Err(wrong("`to` must be `latest` or a time".to_owned())),
                },
                _ => return Err(wrong(format!("`{name}` is not known; there are `from` and `to`"))),
            }
        }
        Ok(range)
    }
}

/// Replaces `%3A` and the like.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let hex = tail
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match hex {
            Some(value) if *byte == b'%' => {
                out.push(value);
                rest = &tail[2..];
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One partition's part of a range.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: u64,
    /// The first offset that is left out.
    to: u64,
}

/// A range whose brokers have answered.
pub struct Opened {
    reader: Arc<Reader>,
    range: Range,
    stretches: BTreeMap<i32, Stretch>,
}

/// Reaches the brokers and finds out where the range begins and ends; returns within about ten seconds. `properties` are
/// librdkafka's.
///
/// # Errors
/// When no broker answers, the topic is missing, or it may not be read.
pub fn open(range: Range, properties: &Properties) -> Result<Opened, StartError> {
    let mut client: ClientConfig = plain_client(&range.brokers, properties, AHEAD)?;
    // The library delivers nothing to a consumer without a group; nothing is ever asked of this one.
    client.set("group.id", "logbraid-range").set("enable.auto.commit", "false");
    client.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
    let reader: Reader = client
        .create_with_context(Context::new(range.brokers.join(",")))
        .map_err(|error| StartError::new(format!("kafka: {error}")))?;
    start::check_topics(&reader, std::slice::from_ref(&range.topic))?;
    let failed = |error: KafkaError| {
        StartError::new(format!(
            "kafka: topic `{}`: where it begins and ends cannot be found out: {error}",
            range.topic
        ))
    };
    let metadata = reader.fetch_metadata(Some(&range.topic), Duration::from_secs(5)).map_err(failed)?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(rdkafka::metadata::MetadataTopic::partitions)
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect();
    let at = |place: Offset| -> Result<BTreeMap<i32, u64>, KafkaError> {
        let mut wanted = TopicPartitionList::new();
        for partition in &partitions {
            wanted.add_partition_offset(&range.topic, *partition, place)?;
        }
        Ok(resolve(&reader, wanted)?.into_iter().map(|(_, partition, offset)| (partition, offset)).collect())
    };
    let place = |start: Start| match start {
        Start::Earliest => Offset::Beginning,
        Start::Latest => Offset::End,
        Start::At(time) => Offset::Offset(time.nanos() / 1_000_000),
    };
    let from = at(place(range.from)).map_err(failed)?;
    let to = at(place(range.to.map_or(Start::Latest, Start::At))).map_err(failed)?;
    let stretches = from
        .into_iter()
        .filter_map(|(partition, from)| Some((partition, Stretch { from, to: *to.get(&partition)? })))
        .collect();
    Ok(Opened { reader: Arc::new(reader), range, stretches })
}

/// A partition that is being read.
struct Reading {
    partition: Partition,
    gather: Gather,
    feed: Feed,
    to: u64,
    ended: bool,
}

impl Reading {
    /// Reads what is there, as far as there is room and the range goes; true when something was read.
    fn read(&mut self, now: Span) -> bool {
        for turn in 0..TURN_MAX {
            let _stopped = self.feed.pace(self.gather.waiting());
            if self.ended || self.feed.is_paused() {
                return turn > 0;
            }
            match self.feed.next() {
                None => return turn > 0,
                Some(Ok(message)) => {
                    let offset = u64::try_from(message.offset()).unwrap_or(0);
                    self.ended = offset.saturating_add(1) >= self.to;
                    if offset < self.to
                        && let Some(value) = message.payload()
                    {
                        self.gather.push(&message, value, now);
                    }
                }
                // The last offsets may be those of transactions, which are no messages.
                Some(Err(KafkaError::PartitionEOF(_))) => self.ended = true,
                Some(Err(error)) => tracing::warn!("kafka: {error}"),
            }
        }
        true
    }
}

impl Opened {
    /// Reads the range in a thread of its own; every partition ends by itself.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn spawn(self, label: Option<String>, intake: Intake) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("source-kafka-range".to_owned()).spawn(move || {
            // `Stopped` means that nobody listens any more.
            let _stopped = self.run(label, &intake);
        })
    }

    fn run(self, label: Option<String>, intake: &Intake) -> Result<(), Stopped> {
        let Self { reader, range, stretches } = self;
        let mut assignment = TopicPartitionList::new();
        let control = intake.control();
        let mut open = BTreeMap::new();
        for (number, stretch) in stretches {
            let opening = Opening {
                name: format!("{}/{number}", range.topic),
                identity: format!("kafka://{}/{}/{number}", range.brokers.join(","), range.topic),
                position: Position::Kafka { topic: range.topic.clone(), partition: number },
                service: label.clone(),
                host: None,
                bounded: true,
            };
            let start = Mark { offset: stretch.from, line: 0, ..Mark::START };
            let partition = intake.open(opening, start)?;
            let ended = stretch.from >= stretch.to;
            let Some(feed) = Feed::split(&reader, &range.topic, number, &control) else {
                intake.notice(true, format!("kafka: topic `{}` cannot be read", range.topic));
                return Ok(());
            };
            if !ended {
                let offset = Offset::Offset(i64::try_from(stretch.from).unwrap_or(i64::MAX));
                let _added = assignment.add_partition_offset(&range.topic, number, offset);
            }
            open.insert(
                number,
                Reading { partition, gather: Gather::default(), feed, to: stretch.to, ended },
            );
        }
        intake.ready()?;
        if let Err(error) = reader.assign(&assignment) {
            intake.notice(true, format!("kafka: topic `{}` cannot be read: {error}", range.topic));
            return Ok(());
        }
        let mut heard = intake.clock().uptime();
        while !open.is_empty() && !intake.is_stopped() {
            let made = intake.room_made();
            let mut now = intake.clock().uptime();
            // Messages come by the partitions' own queues; this serves everything else.
            while let Some(event) = reader.poll(Duration::ZERO) {
                if let Err(error) = event {
                    tracing::warn!("kafka: {error}");
                }
            }
            let mut read = false;
            for reading in open.values_mut() {
                read |= reading.read(now);
            }
            if read {
                heard = now;
            }
            now = intake.clock().uptime();
            if open.values().any(|reading| reading.feed.is_paused() || reading.ended) {
                heard = now;
            } else if now.nanos() - heard.nanos() > SILENCE_MAX.nanos() {
                let brokers = range.brokers.join(",");
                let text = format!(
                    "kafka: {brokers} has not answered for a minute: `{}` is incomplete",
                    range.topic
                );
                intake.notice(true, text);
                break;
            }
            pass_on(&mut open, intake, now)?;
            let ended: Vec<i32> = open
                .iter()
                .filter(|(_, reading)| reading.ended && reading.gather.waiting() == 0)
                .map(|(number, _)| *number)
                .collect();
            for number in ended {
                if let Some(reading) = open.remove(&number) {
                    let mut list = TopicPartitionList::new();
                    list.add_partition(&range.topic, number);
                    let _left = reader.incremental_unassign(&list);
                    reading.partition.finish()?;
                }
            }
            if !read {
                let busy = open.values().any(|reading| reading.gather.waiting() > 0);
                intake.wait_for_room_since(made, if busy { BUSY_WAIT } else { WAIT });
            }
        }
        for reading in open.into_values() {
            reading.partition.finish()?;
        }
        Ok(())
    }
}

fn pass_on(open: &mut BTreeMap<i32, Reading>, intake: &Intake, now: Span) -> Result<(), Stopped> {
    let otherwise = intake.clock().now();
    for reading in open.values_mut() {
        let Reading { partition, gather, ended, .. } = reading;
        while (gather.is_ripe(now) || (*ended && gather.waiting() > 0))
            && partition.try_send(|| gather.pop(otherwise))?
        {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_understood_and_what_is_wrong_is_named() {
        let range = Range::parse(
            "kafka://a:9092,b:9093/logs?from=2024-01-15T10:00:00%2B01:00&to=2024-01-15T10:00:00Z",
        )
        .unwrap();
        assert_eq!(range.brokers, ["a:9092", "b:9093"]);
        assert_eq!(range.topic, "logs");
        assert_eq!(range.from, Start::At(EventTime::from_millis(1_705_309_200_000)));
        assert_eq!(range.to, Some(EventTime::from_millis(1_705_312_800_000)));
        let range = Range::parse("kafka://a/logs").unwrap();
        assert_eq!((range.from, range.to), (Start::Earliest, None));
        for (text, why) in [
            ("kafka://a", "topic is missing"),
            ("kafka:///t", "broker is missing"),
            ("kafka://a/", "one topic"),
            ("kafka://a/t?since=1", "`since` is not known"),
            ("kafka://a/t?to=earliest", "`to` must be"),
            ("kafka://a/t?from=noon", "neither"),
            ("kafka://u:p@a/t", "login"),
        ] {
            let error = Range::parse(text).unwrap_err();
            assert!(error.message.contains(why), "{error}");
            assert!(error.help.is_some());
        }
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
