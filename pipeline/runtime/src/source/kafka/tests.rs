//! The source against librdkafka's mock cluster, in process, with a pipeline that the test plays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use logbraid_core::event::NoFields;
use logbraid_core::progress::Mark;
use logbraid_core::{EventTime, PartitionId, Position, Tag, Tags};
use logbraid_parse::Framing;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;
use tokio::sync::mpsc;

use super::{CommitBy, Config, Running, connect, range};
use crate::clock::{Clock, HostClock};
use crate::source::intake::{Committer, Control, Drained, Intake, Message, State};

const PATIENCE: Duration = Duration::from_secs(30);

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock(topic: &str, partitions: i32) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster
}

fn produce(cluster: &Mock, topic: &str, lines: impl IntoIterator<Item = (i32, Option<String>)>) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for (partition, line) in lines {
        let mut record = BaseRecord::<(), str>::to(topic).partition(partition).timestamp(1_705_312_800_120);
        if let Some(line) = &line {
            record = record.payload(line);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn config(cluster: &Mock, more: serde_json::Value) -> Config {
    let mut value = json!({
        "brokers": cluster.bootstrap_servers(), "topics": ["lines"], "group": "g", "membership": "dynamic",
        "session_timeout": "6s", "drain_timeout": "3s",
    });
    for (name, setting) in more.as_object().unwrap() {
        value[name] = setting.clone();
    }
    let config: Config = serde_json::from_value(value).unwrap();
    config.check().unwrap();
    config
}

/// One partition as the pipeline sees it.
#[derive(Debug)]
struct Seen {
    name: String,
    start: Mark,
    state: State,
    records: Vec<(u64, String)>,
    finished: bool,
    dropped: bool,
}

/// The pipeline, played by the test.
struct Pipeline {
    receiver: mpsc::Receiver<Message>,
    control: Control,
    clock: Arc<HostClock>,
    seen: BTreeMap<PartitionId, Seen>,
    ready: usize,
    notices: Vec<(bool, String)>,
    /// What the source wants back, and how many batches it had.
    releases: Vec<(PartitionId, SyncSender<Drained>)>,
    /// Batches are received, and their room is not given back.
    stalled: bool,
    stalled_batches: Vec<PartitionId>,
    /// Keys and headers, as `name=value`.
    tags: Vec<String>,
}

fn pipeline() -> (Pipeline, Intake) {
    let (sender, receiver) = mpsc::channel(16);
    let clock = Arc::new(HostClock::default());
    let intake = Intake::new(sender, std::collections::HashMap::new(), Arc::new(NoFields), clock.clone());
    let pipeline = Pipeline {
        receiver,
        control: intake.control(),
        clock,
        seen: BTreeMap::new(),
        ready: 0,
        notices: Vec::new(),
        releases: Vec::new(),
        stalled: false,
        stalled_batches: Vec::new(),
        tags: Vec::new(),
    };
    (pipeline, intake)
}

impl Pipeline {
    /// Hears what the source says until `enough`, for at most [`PATIENCE`].
    fn hear(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        let until = self.clock.uptime().to_std() + PATIENCE;
        while !enough(self) {
            assert!(self.clock.uptime().to_std() < until, "not in time: {:?} {:?}", self.seen, self.notices);
            match self.receiver.try_recv() {
                Ok(message) => self.take(message),
                Err(mpsc::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(2)),
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    panic!("the source ended: {:?}", self.notices)
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Open { source, start, state, .. } => {
                assert!(matches!(source.position, Position::Kafka { .. }));
                let (name, records) = (source.name.clone(), Vec::new());
                let seen = Seen { name, start, state, records, finished: false, dropped: false };
                self.seen.insert(source.partition, seen);
            }
            Message::Batch { raw, .. } => {
                let (records, tags) = match raw.framing {
                    Framing::Records(records) => (records, Tags::default()),
                    Framing::Tagged { records, tags, .. } => (records, tags),
                    Framing::Lines { .. } => panic!("records"),
                };
                let seen = self.seen.get_mut(&raw.source.partition).expect("it was opened before");
                for (number, record) in (0..).zip(records) {
                    let tag = |tag: Tag<'_>| {
                        format!("{}={}", tag.name.unwrap_or(tags.key_name()), tag.text().unwrap_or("?"))
                    };
                    self.tags.extend(tags.of(number).map(tag));
                    assert_eq!(record.ingest, Some(EventTime::from_millis(1_705_312_800_120)));
                    let text = &raw.bytes[record.start as usize..][..record.len as usize];
                    seen.records.push((record.offset, String::from_utf8(text.to_vec()).unwrap()));
                }
                if self.stalled {
                    self.stalled_batches.push(raw.source.partition);
                } else {
                    self.control.taken(raw.source.partition);
                }
            }
            Message::Ready { .. } => self.ready += 1,
            Message::Finish { partition, .. } => self.seen.get_mut(&partition).unwrap().finished = true,
            Message::Release { partition, drained, .. } => self.releases.push((partition, drained)),
            Message::Drop { partition } => self.seen.get_mut(&partition).unwrap().dropped = true,
            Message::Notice { fatal, text } => self.notices.push((fatal, text)),
        }
    }

    fn records(&self) -> usize {
        self.seen.values().map(|seen| seen.records.len()).sum()
    }
    fn committer(&self, id: PartitionId) -> Arc<dyn Committer> {
        match &self.seen[&id].state {
            State::Own { committer, .. } => Arc::clone(committer),
            State::Shared => panic!("it has a state of its own"),
        }
    }
    /// Lets the source end, as the runtime does: nobody commits any more.
    fn stop(mut self, running: Running) {
        self.control.stop();
        self.seen.clear();
        self.releases.clear();
        drop(self.receiver);
        running.thread.join().unwrap();
    }
}

fn metrics(running: &Running) -> BTreeMap<&'static str, i64> {
    let mut metrics = BTreeMap::new();
    running.status.metrics(&mut |name, value| {
        metrics.insert(name, value);
    });
    metrics
}

/// What the group has stored of each partition of `lines`.
fn stored(cluster: &Mock, partitions: i32) -> Vec<Offset> {
    let anyone: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "g")
        .create()
        .unwrap();
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range("lines", 0, partitions - 1);
    let found = anyone.committed_offsets(wanted, PATIENCE).unwrap();
    found.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset).collect()
}

fn mark(offset: u64) -> Mark {
    Mark { offset, line: 0, newest: 1_000 + i64::try_from(offset).unwrap(), carried: 500, taken: offset }
}

#[test]
fn a_restart_resumes_at_the_commit_and_knows_what_was_delivered() {
    let cluster = mock("lines", 2);
    let lines = (0..600).map(|number| (number % 2, Some(format!("line {number}"))));
    produce(&cluster, "lines", lines.chain([(0, None)]));

    let (mut first, intake) = pipeline();
    let running = connect(config(&cluster, json!({})), CommitBy::Source).unwrap().spawn(intake).unwrap();
    first.hear(|p| p.records() == 600);
    assert_eq!(first.ready, 1);
    for seen in first.seen.values() {
        assert_eq!(seen.start, Mark { offset: 0, line: 0, ..Mark::START });
        let offsets: Vec<u64> = seen.records.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (0..300).collect::<Vec<_>>(), "in order, none twice");
    }
    for id in first.seen.keys().copied().collect::<Vec<_>>() {
        first.committer(id).commit(id, mark(250), EventTime::from_nanos(77));
    }
    let metrics = metrics(&running);
    assert_eq!((metrics["kafka_records_total"], metrics["kafka_tombstones_total"]), (600, 1));
    // Nothing waits for the next turn: the last commit is stored at the end.
    first.stop(running);

    let (mut second, intake) = pipeline();
    let running = connect(config(&cluster, json!({})), CommitBy::Source).unwrap().spawn(intake).unwrap();
    second.hear(|p| p.records() == 100);
    for seen in second.seen.values() {
        assert_eq!(seen.start, mark(250), "{}", seen.name);
        assert!(
            matches!(seen.state, State::Own { delivered_through, .. } if delivered_through.nanos() == 77)
        );
    }
    second.stop(running);
}

#[test]
fn keys_and_headers_come_with_their_records() {
    let cluster = mock("lines", 1);
    produce(&cluster, "lines", [(0, Some("plain".to_owned()))]);
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "traceparent", value: Some("00-4b") })
        .insert(Header { key: "bad", value: Some(&b"\xff"[..]) });
    let record = BaseRecord::to("lines").payload("tagged").key("req-7").headers(headers);
    producer.send(record.timestamp(1_705_312_800_120)).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let (mut pipeline, intake) = pipeline();
    let config = config(&cluster, json!({ "key": "correlation_id" }));
    let running = connect(config, CommitBy::Source).unwrap().spawn(intake).unwrap();
    pipeline.hear(|p| p.records() == 2);
    assert_eq!(pipeline.tags, ["correlation_id=req-7", "traceparent=00-4b", "bad=?"]);
    pipeline.stop(running);
}

#[test]
fn a_stalled_pipeline_pauses_the_source_and_loses_nothing() {
    let cluster = mock("lines", 1);
    let line = "x".repeat(1000);
    produce(&cluster, "lines", (0..3000).map(|_| (0, Some(line.clone()))));
    let (mut pipeline, intake) = pipeline();
    pipeline.stalled = true;
    let config = config(&cluster, json!({ "queue": "128KiB" }));
    let running = connect(config, CommitBy::Source).unwrap().spawn(intake).unwrap();
    pipeline.hear(|p| p.stalled_batches.len() == crate::source::intake::BATCHES_UNDER_WAY_MAX);
    pipeline.hear(|_| metrics(&running)["kafka_pauses_total"] > 0);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(pipeline.records(), 4 * 65, "no more than has room");
    pipeline.stalled = false;
    for id in std::mem::take(&mut pipeline.stalled_batches) {
        pipeline.control.taken(id);
    }
    pipeline.hear(|p| p.records() == 3000);
    let seen = pipeline.seen.values().next().unwrap();
    assert!(
        seen.records.iter().enumerate().all(|(at, (offset, _))| *offset == at as u64),
        "in order, none twice"
    );
    pipeline.stop(running);
}

#[test]
fn a_second_member_takes_over_where_the_first_was_drained() {
    for protocol in ["classic", "consumer"] {
        let cluster = mock("lines", 4);
        produce(&cluster, "lines", (0..400).map(|number| (number % 4, Some(format!("line {number}")))));
        let settings = json!({ "group_protocol": protocol });
        let (mut first, intake) = pipeline();
        let one =
            connect(config(&cluster, settings.clone()), CommitBy::Source).unwrap().spawn(intake).unwrap();
        first.hear(|p| p.records() == 400);

        let (mut second, intake) = pipeline();
        let two = connect(config(&cluster, settings), CommitBy::Source).unwrap().spawn(intake).unwrap();
        first.hear(|p| p.releases.len() == 2);
        for (id, drained) in first.releases.drain(..) {
            assert_eq!(first.seen[&id].records.len(), 100);
            let delivered_through = EventTime::from_nanos(5);
            drained.send(Drained { mark: mark(60), delivered_through }).unwrap();
        }
        let told = |name: &str| metrics(&one)[name];
        first.hear(|_| told("kafka_commits_total") + told("kafka_commits_failed_total") > 0);
        // Unlike a broker, the mock refuses commits while another member joins. What it refuses is read again.
        let start = if told("kafka_commits_total") > 0 { mark(60) } else { Mark { line: 0, ..Mark::START } };
        let rest = usize::try_from(100 - start.offset).unwrap();
        second.hear(|p| p.seen.len() == 2 && p.seen.values().all(|seen| seen.records.len() == rest));
        for seen in second.seen.values() {
            assert_eq!(seen.start, start, "{protocol}: {}", seen.name);
        }
        assert!(first.seen.values().all(|seen| !seen.dropped));
        second.stop(two);
        first.stop(one);
    }
}

#[test]
fn a_drain_that_takes_too_long_is_given_up_and_the_earlier_commit_stands() {
    let cluster = mock("lines", 2);
    produce(&cluster, "lines", (0..200).map(|number| (number % 2, Some(format!("line {number}")))));
    let settings = json!({ "drain_timeout": "1s" });
    let (mut first, intake) = pipeline();
    let one = connect(config(&cluster, settings.clone()), CommitBy::Source).unwrap().spawn(intake).unwrap();
    first.hear(|p| p.records() == 200);
    for id in first.seen.keys().copied().collect::<Vec<_>>() {
        first.committer(id).commit(id, mark(40), EventTime::MIN);
    }
    first.hear(|_| stored(&cluster, 2).iter().all(|offset| *offset == Offset::Offset(40)));
    let (mut second, intake) = pipeline();
    let two = connect(config(&cluster, settings), CommitBy::Source).unwrap().spawn(intake).unwrap();
    // Nobody answers the request; the sender stays alive.
    first.hear(|p| p.seen.values().any(|seen| seen.dropped));
    second.hear(|p| p.records() == 60);
    assert_eq!(second.seen.values().next().unwrap().start.offset, 40);
    second.stop(two);
    first.stop(one);
}

#[test]
fn a_range_ends_where_the_topic_ended_when_it_was_opened() {
    let cluster = mock("lines", 3);
    // One partition stays empty.
    produce(&cluster, "lines", (0..200).map(|number| (number % 2, Some(format!("line {number}")))));
    let wanted = range::Range::parse(&format!("kafka://{}/lines", cluster.bootstrap_servers())).unwrap();
    let opened = range::open(wanted, &logbraid_core::Properties::default()).unwrap();
    produce(&cluster, "lines", (0..50).map(|_| (0, Some("too late".to_owned()))));
    let (mut pipeline, intake) = pipeline();
    let thread = opened.spawn(Some("api".to_owned()), intake).unwrap();
    pipeline.hear(|p| p.seen.len() == 3 && p.seen.values().all(|seen| seen.finished));
    assert_eq!(pipeline.records(), 200);
    assert_eq!(pipeline.ready, 1);
    thread.join().unwrap();
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let cluster = mock("lines", 1);
    let error = |more| connect(config(&cluster, more), CommitBy::Source).err().expect("it cannot work");
    let missing = error(json!({ "topics": ["linse"] }));
    assert!(missing.message.contains("`linse`") && missing.message.contains("does not exist"), "{missing}");
    assert_eq!(missing.help.as_deref(), Some("there is `lines`"));
    let file = error(json!({ "properties": { "sasl.password_file": "/nonexistent" } }));
    assert!(file.message.contains("sasl.password_file"), "{file}");
    let address = error(json!({ "brokers": "127.0.0.1:1" }));
    assert!(address.message.contains("no broker at `127.0.0.1:1` answers"), "{address}");
}

#[test]
fn settings_that_are_unknown_or_that_guarantees_rest_on_are_refused() {
    let cluster = mock("lines", 1);
    for (more, path) in [
        (json!({ "properties": { "enable.auto.commit": true } }), "properties.enable.auto.commit"),
        (json!({ "properties": { "sasl.mechanizm": "PLAIN" } }), "properties.sasl.mechanizm"),
        (json!({ "properties": { "fetch.wait.max.ms": "soon" } }), "properties.fetch.wait.max.ms"),
        (json!({ "drain_timeout": "10s" }), "drain_timeout"),
        (json!({ "topics": [] }), "topics"),
        (json!({ "group": "" }), "group"),
        (json!({ "queue": "1KiB" }), "queue"),
    ] {
        let mut value = serde_json::to_value(config(&cluster, json!({}))).unwrap();
        for (name, setting) in more.as_object().unwrap() {
            value[name] = setting.clone();
        }
        let config: Config = serde_json::from_value(value).unwrap();
        assert_eq!(config.check().unwrap_err().path, path);
    }
}
