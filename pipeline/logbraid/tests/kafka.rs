//! Kafka through the real topology, on librdkafka's mock cluster in process: a run over a topic says what a run over a
//! file says, a run that breaks off loses nothing, and partitions move with what is open in them.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use logbraid::config::{self, Config, SourceConfig};
use logbraid::plan;
use logbraid_core::sink::{Sink, SinkError, SourceOffset};
use logbraid_core::{Record, RecordKind};
use logbraid_runtime::clock::HostClock;
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::{Report, RunError, RunPlan, SinkPlan, run};
use logbraid_runtime::source::inputs;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_mins(1);
const TOPIC: &str = "lines";

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock(partitions: i32) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn produce(cluster: &Mock, lines: &[(i32, String)]) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for (partition, line) in lines {
        let record = BaseRecord::<(), str>::to(TOPIC).partition(*partition).payload(line);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// A second of event time: two lines of a request of its own, the second a while later; every fifth request fails.
fn request(partition: i32, second: u32) -> [(u32, (i32, String)); 2] {
    let line = |at: u32, level: &str, message: &str| {
        let time = format!("2024-01-15T10:{:02}:{:02}Z", at / 60, at % 60);
        let id = format!("r{partition}-{second}");
        let text = format!(
            r#"{{"time":"{time}","service":"api","request_id":"{id}","level":"{level}","msg":"{message}"}}"#
        );
        (at, (partition, text))
    };
    let level = if second.is_multiple_of(5) { "ERROR" } else { "INFO" };
    [line(second, "INFO", "begin"), line(second + 3, level, "end")]
}

/// Requests of the seconds `from..to`, in order of time, in every partition.
fn lines(partitions: i32, from: u32, to: u32) -> Vec<(i32, String)> {
    let mut all: Vec<_> =
        (from..to).flat_map(|second| (0..partitions).flat_map(move |p| request(p, second))).collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, line)| line).collect()
}

fn config(cluster: &Mock, group: &str) -> Config {
    config_with(cluster, group, "1s")
}

fn config_with(cluster: &Mock, group: &str, idle_after: &str) -> Config {
    let yaml = format!(
        "sources:
  - kafka:
      brokers: '{}'
      topics: [{TOPIC}]
      group: {group}
      membership: dynamic
      session_timeout: 6s
      drain_timeout: 4s
time: {{ max_delay: 1s, idle_after: {idle_after}, allowed_lateness: 5s }}
operators:
  - thread: {{}}
  - correlate: {{ gap: 5s, max_span: 60s }}
  - hierarchy: {{}}
  - error_flow: {{}}
",
        cluster.bootstrap_servers()
    );
    config::parse("c.yaml", &yaml, &logbraid::registry(), &|_| None).unwrap()
}

/// What was written and flushed, by type, id and revision, with the number of times.
type Told = BTreeMap<(String, String, u64), (Value, usize)>;

/// Positions by partition.
type Stored = Arc<Mutex<Vec<(i32, i64)>>>;

/// Keeps what was flushed.
#[derive(Clone, Default)]
struct Kept {
    told: Arc<Mutex<Told>>,
    written: Arc<Mutex<Vec<Value>>>,
    /// Fails for good at this write.
    fails_at: Option<usize>,
    writes: usize,
    /// The positions that came with the last commit.
    offsets: Option<Stored>,
}

impl Sink for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.writes += 1;
            if self.fails_at.is_some_and(|at| self.writes > at) {
                return Err(SinkError::Fatal("it breaks".to_owned()));
            }
            let values = records.iter().map(|record| serde_json::to_value(record).unwrap());
            self.written.lock().unwrap().extend(values);
            Ok(())
        })
    }
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let mut told = self.told.lock().unwrap();
            for value in self.written.lock().unwrap().drain(..) {
                let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                let key = (text("type"), text("id"), value["revision"].as_u64().unwrap_or(0));
                let (known, times) = told.entry(key).or_insert_with(|| (value.clone(), 0));
                assert_eq!(*known, value, "a record that comes again is the same");
                *times += 1;
            }
            Ok(())
        })
    }
    fn commits_offsets(&self) -> bool {
        self.offsets.is_some()
    }
    fn flush_with<'a>(&'a mut self, offsets: &'a [SourceOffset]) -> BoxFuture<'a, Result<(), SinkError>> {
        if let Some(kept) = &self.offsets {
            kept.lock().unwrap().extend(offsets.iter().map(|offset| (offset.partition, offset.offset)));
        }
        self.flush()
    }
}

impl Kept {
    fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }
    /// The requests that are told of.
    fn requests(&self) -> Vec<String> {
        let told = self.told();
        let mut requests: Vec<String> = told
            .values()
            .filter(|(value, _)| value["type"] == "timeline")
            .map(|(value, _)| value["key"]["value"].as_str().unwrap().to_owned())
            .collect();
        requests.sort();
        requests.dedup();
        requests
    }
}

struct Running {
    stop: CancellationToken,
    metrics: Arc<Metrics>,
    task: JoinHandle<Result<Report, RunError>>,
}

fn start(config: &Config, inputs: &[String], kept: Kept) -> Running {
    let braids = plan::braids(config, None, false).unwrap();
    let groups = config.sources.iter().filter_map(|source| match source {
        SourceConfig::Kafka(kafka) => Some((**kafka).clone()),
        _ => None,
    });
    let metrics = Arc::new(Metrics::default());
    let plan = RunPlan {
        groups: if inputs.is_empty() { groups.collect() } else { Vec::new() },
        listeners: logbraid_runtime::source::receive::Plan::default(),
        inputs: inputs::resolve(inputs, false).unwrap().inputs,
        follow: false,
        parse: braids.parse,
        fields: braids.fields,
        time: config.time,
        chain: braids.chain,
        sinks: vec![SinkPlan {
            sink: Box::new(kept),
            take: vec![RecordKind::Timelines, RecordKind::Findings],
        }],
        checkpoint: None,
        workers: 2,
        clock: Arc::new(HostClock::default()),
        metrics: Arc::clone(&metrics),
        notice: Arc::new(|_, _| {}),
    };
    let stop = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "a test runs two instances side by side")]
    let task = tokio::spawn(run(plan, stop.clone()));
    Running { stop, metrics, task }
}

impl Running {
    async fn end(self) -> Result<Report, RunError> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
    fn figure(&self, name: &str) -> i64 {
        self.metrics.samples().iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

/// What records say, without where they were read and what ended them: files end, topics fall silent.
fn said(told: &Told) -> Vec<String> {
    let mut said: Vec<String> = told
        .values()
        .filter(|(value, _)| value["type"] == "timeline")
        .map(|(value, _)| {
            let events: Vec<String> = value["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| format!("{} {} {}", event["timestamp"], event["level"], event["message"]))
                .collect();
            format!("{} {} {} {events:?}", value["key"]["value"], value["outcome"], value["duration_ms"])
        })
        .collect();
    said.sort();
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_told_like_a_file_of_the_same_lines() {
    let cluster = mock(1);
    let lines = lines(1, 0, 120);
    produce(&cluster, &lines);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.log");
    let text: String = lines.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
    std::fs::write(&path, text).unwrap();
    let config = config(&cluster, "g");

    let file = Kept::default();
    start(&config, &[path.display().to_string()], file.clone()).task.await.unwrap().unwrap();
    let range = Kept::default();
    let input = format!("kafka://{}/{TOPIC}?from=earliest&to=latest", cluster.bootstrap_servers());
    start(&config, &[input], range.clone()).task.await.unwrap().unwrap();
    let group = Kept::default();
    let running = start(&config, &[], group.clone());
    until("all requests are told of", || group.requests().len() == 120).await;
    assert!(running.metrics.read_health().started);
    running.end().await.unwrap();

    let expected = said(&file.told());
    assert_eq!(expected.len(), 120);
    assert_eq!(said(&range.told()), expected);
    assert_eq!(said(&group.told()), expected);
    let kinds = |told: Told| told.keys().filter(|(kind, ..)| kind == "finding").count();
    assert!(kinds(file.told()) > 0);
    assert_eq!(kinds(file.told()), kinds(range.told()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_breaks_off_loses_nothing_and_repeats_the_same() {
    let cluster = mock(2);
    let config = config(&cluster, "g");
    produce(&cluster, &lines(2, 0, 60));
    // What it should be: another group, undisturbed.
    let calm = Kept::default();
    let calm_config = self::config(&cluster, "calm");
    let undisturbed = start(&calm_config, &[], calm.clone());

    let kept = Kept::default();
    let first = start(&config, &[], kept.clone());
    until("some is told and committed", || {
        first.figure("kafka_commits_total") > 0 && !kept.requests().is_empty()
    })
    .await;
    // The next run dies in the middle: nothing of what it wrote last is flushed or committed.
    first.end().await.unwrap();
    kept.written.lock().unwrap().clear();
    produce(&cluster, &lines(2, 60, 120));
    let broken = start(&config, &[], Kept { fails_at: Some(2), ..kept.clone() });
    assert!(matches!(broken.task.await.unwrap(), Err(RunError::Sink { .. })));
    kept.written.lock().unwrap().clear();
    let last = start(&config, &[], kept.clone());
    until("all is told of", || kept.requests().len() == 240 && calm.requests().len() == 240).await;
    last.end().await.unwrap();
    undisturbed.end().await.unwrap();
    assert_eq!(said(&kept.told()), said(&calm.told()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_with_the_requests_that_are_open() {
    let cluster = mock(4);
    // Nothing closes by silence: what is open stays open until later lines come.
    let config = config_with(&cluster, "g", "10m");
    let kept = Kept::default();
    let told = |seconds: &[std::ops::Range<u32>]| {
        let named = |second| (0..4).map(move |partition| format!("r{partition}-{second}"));
        let mut expected: Vec<String> = seconds.iter().cloned().flatten().flat_map(named).collect();
        expected.sort();
        kept.requests() == expected
    };
    produce(&cluster, &lines(4, 0, 30));
    let first = start(&config, &[], kept.clone());
    until("the first has read all", || first.figure("kafka_records_total") == 240).await;
    let second = start(&config, &[], kept.clone());
    until("each has its share", || {
        second.figure("kafka_partitions") == 2 && first.figure("kafka_partitions") == 2
    })
    .await;
    produce(&cluster, &lines(4, 30, 60));
    produce(&cluster, &lines(4, 200, 201));
    until("all before the last is told of", || told(std::slice::from_ref(&(0..60)))).await;
    assert_eq!(second.figure("kafka_partitions_lost_total"), 0);
    // The one that goes gives its share back.
    first.end().await.unwrap();
    produce(&cluster, &lines(4, 201, 230));
    produce(&cluster, &lines(4, 400, 401));
    until("the other goes on", || told(&[0..60, 200..230])).await;
    second.end().await.unwrap();
    let whole = |(value, _): &(Value, usize)| value["type"] != "timeline" || value["entries"] == 2;
    assert!(kept.told().values().all(whole), "no request was cut in two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_go_into_the_sink_that_stores_them_and_nothing_is_told_twice() {
    let cluster = mock(2);
    let config = config(&cluster, "g");
    produce(&cluster, &lines(2, 0, 60));
    let kept = Kept { offsets: Some(Arc::default()), ..Kept::default() };
    let running = start(&config, &[], kept.clone());
    let newest = |partition: i32| {
        let offsets = kept.offsets.as_ref().unwrap().lock().unwrap();
        offsets.iter().filter(|(of, _)| *of == partition).map(|(_, offset)| *offset).max()
    };
    until("all is told of, and nothing is held", || {
        kept.requests().len() == 120 && (0..2).all(|partition| newest(partition) == Some(120))
    })
    .await;
    assert_eq!(running.figure("kafka_commits_total"), 0, "the source commits nothing itself");
    running.end().await.unwrap();
    assert!(kept.told().values().all(|(_, times)| *times == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_told_before_anything_is_read() {
    let cluster = mock(1);
    let mut config = config(&cluster, "g");
    for source in &mut config.sources {
        if let SourceConfig::Kafka(kafka) = source {
            kafka.brokers = vec!["127.0.0.1:1".to_owned()];
        }
    }
    let error = start(&config, &[], Kept::default()).task.await.unwrap().unwrap_err();
    let RunError::Start { message, help } = error else { panic!("{error}") };
    assert!(message.contains("127.0.0.1:1") && help.is_some(), "{message}");
}
