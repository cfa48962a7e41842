//! The sink against librdkafka's mock cluster, in process. What only a real broker shows is tested by `soak-tests`.

use std::sync::Arc;
use std::time::Duration;

use logbraid_core::record::Reason;
use logbraid_core::sink::{Sink as _, SinkError};
use logbraid_core::{
    Attribution, Batch, Event, KeyKind, PartitionId, Position, Record, Reject, Row, Source, Tag, Tags, Text,
    handover,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::{Config, Kafka};
use crate::SinkComponent as _;
use crate::tests::{context, finding};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    cluster
}

fn sink(cluster: &Mock, more: serde_json::Value) -> Kafka {
    let mut value = json!({ "brokers": cluster.bootstrap_servers(), "topic": "out" });
    for (name, setting) in more.as_object().unwrap() {
        value[name] = setting.clone();
    }
    let config: Config = serde_json::from_value(value).unwrap();
    Kafka::build(config, &context()).unwrap()
}

/// Keys and titles of what was committed.
fn read(cluster: &Mock, count: usize) -> Vec<(String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("out", 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    for _ in 0..200 {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            assert_eq!(message.headers().unwrap().get(0).key, "type");
            let value: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
            assert_eq!(value["id"], key.as_str());
            read.push((key, value["title"].as_str().unwrap().to_owned()));
        } else if read.len() >= count {
            break;
        }
    }
    read
}

fn titles(cluster: &Mock, count: usize) -> Vec<String> {
    read(cluster, count).into_iter().map(|(_, title)| title).collect()
}

#[tokio::test]
async fn what_was_flushed_is_in_the_topic_with_its_id_as_key() {
    let cluster = mock();
    let mut sink = sink(&cluster, json!({ "compression": "lz4" }));
    sink.flush().await.unwrap();
    let records = [finding("a"), finding("b")];
    sink.write(&[&records[0], &records[1]]).await.unwrap();
    sink.flush().await.unwrap();
    let read = read(&cluster, 2);
    assert_eq!(read.len(), 2);
    assert_eq!(read[1], (records[1].id().to_string(), "b".to_owned()));
    let mut written = 0;
    sink.metrics(&mut |name, value| written += if name == "records" { value } else { 0 });
    assert_eq!(written, 2);
}

#[tokio::test]
async fn transactions_show_all_or_nothing() {
    let cluster = mock();
    let mut sink = sink(&cluster, json!({ "delivery": "exactly_once", "transactional_id": "t" }));
    assert!(sink.commits_offsets());
    for round in 0..3 {
        let records = [finding(&format!("a{round}")), finding(&format!("b{round}"))];
        sink.write(&[&records[0]]).await.unwrap();
        sink.write(&[&records[1]]).await.unwrap();
        sink.flush_with(&[]).await.unwrap();
    }
    assert_eq!(titles(&cluster, 6), ["a0", "b0", "a1", "b1", "a2", "b2"]);
}

#[tokio::test]
async fn an_aborted_transaction_is_repeated_whole() {
    let cluster = mock();
    let mut sink = sink(&cluster, json!({ "delivery": "exactly_once", "transactional_id": "t" }));
    let records = [finding("a"), finding("b")];
    sink.write(&[&records[0]]).await.unwrap();
    sink.flush_with(&[]).await.unwrap();
    cluster.request_errors(
        RDKafkaApiKey::AddPartitionsToTxn,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED],
    );
    // The first try of this transaction is refused.
    let mut result = sink.write(&[&records[1]]).await;
    for _ in 0..5 {
        if result.is_ok() {
            result = sink.flush_with(&[]).await;
            break;
        }
        result = sink.write(&[&records[1]]).await;
    }
    result.unwrap();
    assert_eq!(titles(&cluster, 2), ["a", "b"]);
}

#[tokio::test]
async fn a_broker_that_is_gone_is_waited_for_and_a_missing_topic_is_not() {
    let cluster = mock();
    let mut sink_to_nowhere = sink(&cluster, json!({ "topic": "nowhere" }));
    let record = finding("a");
    let error = sink_to_nowhere.write(&[&record]).await.unwrap_err();
    assert!(matches!(&error, SinkError::Fatal(why) if why.contains("does not exist")), "{error:?}");

    let mut sink = sink(&cluster, json!({ "timeout": "1s" }));
    sink.write(&[&record]).await.unwrap();
    sink.flush().await.unwrap();
    cluster.broker_down(1).unwrap();
    sink.write(&[&record]).await.unwrap();
    let error = sink.flush().await.unwrap_err();
    assert!(matches!(error, SinkError::Retry(_)), "{error:?}");
    cluster.broker_up(1).unwrap();
    let mut result = Err(error);
    for _ in 0..10 {
        result = sink.flush().await;
        if result.is_ok() {
            break;
        }
    }
    result.unwrap();
    assert_eq!(titles(&cluster, 2).len(), 2);
}

#[test]
fn settings_that_delivery_rests_on_are_refused() {
    let refused = |more: serde_json::Value| {
        let mut value = json!({ "brokers": "localhost", "topic": "out" });
        for (name, setting) in more.as_object().unwrap() {
            value[name] = setting.clone();
        }
        let config: Config = serde_json::from_value(value).unwrap();
        Kafka::build(config, &context()).err().map(|error| error.path)
    };
    assert_eq!(refused(json!({})), None);
    assert_eq!(refused(json!({ "delivery": "exactly_once" })).as_deref(), Some("transactional_id"));
    assert_eq!(refused(json!({ "transactional_id": "a" })).as_deref(), Some("transactional_id"));
    assert_eq!(refused(json!({ "properties": { "acks": 1 } })).as_deref(), Some("properties.acks"));
    assert_eq!(
        refused(json!({ "properties": { "batch.sise": 1 } })).as_deref(),
        Some("properties.batch.sise")
    );
    assert_eq!(refused(json!({ "linger": "11s" })).as_deref(), Some("linger"));
}

/// An entry of `app-logs/3`, as it was read with a key and headers.
fn event() -> Event {
    let mut source = Source::lines("app-logs/3", PartitionId(0));
    source.position = Position::Kafka { topic: "app-logs".to_owned(), partition: 3 };
    let mut batch = Batch::new(Arc::new(source));
    batch.text = "req-7 \u{fffd}".to_owned();
    let mut tags = Tags::new(None);
    for (name, value) in [(None, &b"k"[..]), (Some("a"), b"\xff"), (Some("logbraid.reason"), b"old")] {
        tags.push(0, Tag { name, value: Some(value) });
    }
    batch.tags = Some(Box::new(tags));
    batch.originals.push((0, b"req-7 \xff".to_vec()));
    let raw = Text { start: 0, len: 9 };
    let correlation = Text { start: 0, len: 5 };
    batch.rows.push(Row { raw, message: raw, correlation, offset: 42, ..Row::default() });
    Event::new(Arc::new(batch), 0)
}

/// What a consumer sees: key, headers, value.
type Seen = (Option<Vec<u8>>, Vec<(String, String)>, Vec<u8>);

fn read_raw(cluster: &Mock, count: usize) -> Vec<Seen> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("out", 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    for _ in 0..200 {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
            let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
            read.push((
                message.key().map(<[u8]>::to_vec),
                headers,
                message.payload().unwrap_or_default().to_vec(),
            ));
        }
        if read.len() >= count {
            break;
        }
    }
    read
}

fn header<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    seen.1.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn a_dead_letter_has_the_bytes_the_key_and_the_headers_that_came_and_says_why() {
    let cluster = mock();
    let mut sink = sink(&cluster, json!({ "value": "original" }));
    let reject = Record::Reject(Box::new(Reject::new(&event(), Reason::WrongFormat)));
    let mut late = event();
    late.mark_late();
    let (late, found) = (Record::Entry(late), finding("a"));
    sink.write(&[&reject, &late, &found]).await.unwrap();
    sink.flush().await.unwrap();
    let seen = read_raw(&cluster, 3);
    for (message, reason) in seen.iter().zip(["wrong_format", "late"]) {
        assert_eq!((message.0.as_deref(), &message.2[..]), (Some(&b"k"[..]), &b"req-7 \xff"[..]));
        for (name, value) in [
            ("logbraid.reason", reason),
            ("logbraid.input", "app-logs/3"),
            ("logbraid.topic", "app-logs"),
            ("logbraid.partition", "3"),
            ("logbraid.offset", "42"),
            ("logbraid.id", &reject.id().to_string()),
            ("a", "\u{fffd}"),
        ] {
            assert_eq!(header(message, name), [value], "{name}");
        }
    }
    assert_eq!(header(&seen[2], "type"), ["findings"], "what has no bytes of its own is JSON");
}

#[tokio::test]
async fn entries_for_the_next_stage_go_by_their_request() {
    let cluster = mock();
    let mut sink = sink(&cluster, json!({ "value": "original", "key": "request" }));
    let mut alone = event();
    alone.attribute(Attribution { kind: KeyKind::Trace, value: "t1".to_owned(), confidence: 60 });
    sink.write(&[&Record::Entry(event()), &Record::Entry(alone)]).await.unwrap();
    sink.flush().await.unwrap();
    let seen = read_raw(&cluster, 2);
    for message in &seen {
        assert_eq!(message.0.as_deref(), Some(&b"req-7"[..]), "its own id before what it was attributed to");
        assert_eq!(header(message, "logbraid.key"), ["k"]);
        assert_eq!(header(message, "logbraid.reason"), [""; 0]);
    }
    let first = handover::Handover::decode(header(&seen[0], handover::ENTRY)[0]).unwrap();
    assert_eq!((first.input.as_str(), first.offset, first.attribution()), ("app-logs/3", 42, None));
    let second = handover::Handover::decode(header(&seen[1], handover::ENTRY)[0]).unwrap();
    assert_eq!(second.attribution().unwrap().value, "t1");
}

#[tokio::test]
async fn a_record_that_is_too_large_is_told_of_and_ends_nothing() {
    let cluster = mock();
    let mut sink = sink(&cluster, json!({ "properties": { "message.max.bytes": 2000 } }));
    let (large, small) = (finding(&"x".repeat(5000)), finding("small"));
    sink.write(&[&large, &small]).await.unwrap();
    sink.flush().await.unwrap();
    let seen = read_raw(&cluster, 2);
    let stand_in: serde_json::Value = serde_json::from_slice(&seen[0].2).unwrap();
    assert_eq!((&stand_in["code"], &stand_in["id"]), (&json!("too_large"), &json!(large.id().to_string())));
    assert!(seen[1].2.ends_with(b"}") && header(&seen[1], "type") == ["findings"]);
    let mut counted = 0;
    sink.metrics(&mut |name, value| counted += if name == "too_large" { value } else { 0 });
    assert_eq!(counted, 1);
}
