//! The consumer's side of the library: what it reports is noted here, and worked off by the poll thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use logbraid_core::sink::ConsumerGroup;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

/// The consumer of this source.
pub(super) type Reader = BaseConsumer<Context>;

/// What a source is doing.
#[derive(Debug, Default)]
pub struct Status {
    trouble: Mutex<Option<String>>,
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) tombstones: AtomicU64,
    pub(super) partitions: AtomicU64,
    pub(super) rebalances: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) commits_failed: AtomicU64,
    pub(super) pauses: AtomicU64,
    lag: AtomicI64,
    lags: Mutex<Vec<(String, i32, i64)>>,
}

/// What is read of the library's statistics.
#[derive(serde::Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: std::collections::BTreeMap<String, BrokerStatistics>,
    /// Absent before the group is known.
    cgrp: Option<GroupStatistics>,
    #[serde(default)]
    topics: std::collections::BTreeMap<String, TopicStatistics>,
}

#[derive(serde::Deserialize)]
struct BrokerStatistics {
    state: String,
}

#[derive(serde::Deserialize)]
struct GroupStatistics {
    join_state: String,
}

#[derive(serde::Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: std::collections::BTreeMap<String, PartitionStatistics>,
}

#[derive(serde::Deserialize)]
struct PartitionStatistics {
    partition: i32,
    /// Less than zero while it is not known.
    consumer_lag: i64,
}

impl Statistics {
    /// True while the group is not being rearranged.
    fn is_steady(&self) -> bool {
        self.cgrp.as_ref().is_none_or(|group| group.join_state == "steady")
    }

    fn lags(self) -> Vec<(String, i32, i64)> {
        let of_topic = |(topic, statistics): (String, TopicStatistics)| {
            statistics.partitions.into_values().filter_map(move |partition| {
                // A partition of a negative number is where the library keeps what belongs to none.
                let known = partition.partition >= 0 && partition.consumer_lag >= 0;
                known.then(|| (topic.clone(), partition.partition, partition.consumer_lag))
            })
        };
        self.topics.into_iter().flat_map(of_topic).collect()
    }
}

impl Status {
    /// What is wrong at this moment, such as a broker that does not answer; nothing when all is well.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }
    /// Counters and gauges by name: records and bytes read, tombstones left out, partitions held, rebalances, partitions
    /// lost, commits, commits that failed, pauses, and how many records the group is behind.
    pub fn metrics(&self, report: &mut dyn FnMut(&'static str, i64)) {
        let counters = [
            ("kafka_records_total", &self.records),
            ("kafka_bytes_total", &self.bytes),
            ("kafka_tombstones_total", &self.tombstones),
            ("kafka_partitions", &self.partitions),
            ("kafka_rebalances_total", &self.rebalances),
            ("kafka_partitions_lost_total", &self.lost),
            ("kafka_commits_total", &self.commits),
            ("kafka_commits_failed_total", &self.commits_failed),
            ("kafka_pauses_total", &self.pauses),
        ];
        for (name, counter) in counters {
            report(name, i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        }
        report("kafka_lag_records", self.lag.load(Ordering::Relaxed));
    }
    /// How many records each partition is behind, as (topic, partition, records).
    pub fn lags(&self) -> Vec<(String, i32, i64)> {
        locked(&self.lags).clone()
    }
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *locked(&self.trouble) = trouble;
    }
}

/// A rebalance that the library has reported and that waits for its answer.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// Notes what the library reports.
#[derive(Debug)]
pub(super) struct Context {
    brokers: String,
    status: Arc<Status>,
    changes: Mutex<VecDeque<Change>>,
    /// Set before the consumer is closed: nobody works off changes any more.
    closing: AtomicBool,
    /// False while the group is being rearranged, as far as the library has said.
    steady: AtomicBool,
    fatal: Mutex<Option<String>>,
    /// The last error that the library reported, with its words.
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Context {
    pub(super) fn new(brokers: String) -> Self {
        Self {
            brokers,
            status: Arc::default(),
            changes: Mutex::default(),
            closing: AtomicBool::new(false),
            steady: AtomicBool::new(true),
            fatal: Mutex::default(),
            last: Mutex::default(),
        }
    }
    pub(super) const fn status(&self) -> &Arc<Status> {
        &self.status
    }
    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }
    pub(super) fn take_changes(&self, into: &mut VecDeque<Change>) {
        into.append(&mut locked(&self.changes));
    }
    pub(super) fn has_changes(&self) -> bool {
        !locked(&self.changes).is_empty()
    }
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
    pub(super) fn is_steady(&self) -> bool {
        self.steady.load(Ordering::Acquire)
    }
    pub(super) fn take_fatal(&self) -> Option<String> {
        locked(&self.fatal).take()
    }
    pub(super) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        locked(&self.last).clone()
    }
    pub(super) fn note(&self, code: RDKafkaErrorCode, words: &str) {
        *locked(&self.last) = Some((code, words.to_owned()));
        let text = format!("kafka {}: {words}", self.brokers);
        self.status.set_trouble(Some(text));
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A consumer that was thrown out of its group for not polling says so only here.
        if facility == "MAXPOLL" {
            *locked(&self.fatal) = Some(format!("the group has given this instance up: {message}"));
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "kafka", facility, "{message}"),
            _ => tracing::debug!(target: "kafka", facility, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        // Once a second; everything else in it is skipped.
        let statistics: Statistics = match serde_json::from_slice(statistics) {
            Ok(statistics) => statistics,
            Err(error) => return tracing::warn!("kafka: the library's statistics cannot be read: {error}"),
        };
        self.steady.store(statistics.is_steady(), Ordering::Release);
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        let lags = statistics.lags();
        self.status.lag.store(lags.iter().map(|(_, _, lag)| lag).sum(), Ordering::Relaxed);
        *locked(&self.status.lags) = lags;
        if connected && locked(&self.last).take().is_some() {
            self.status.set_trouble(None);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "kafka", "{error}: {reason}");
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::AllBrokersDown {
            // What one of them said last is worth more than that all are down.
            let before = locked(&self.last).clone();
            let (code, words) = before.unwrap_or_else(|| (code, reason.to_owned()));
            self.note(code, &words);
            return;
        }
        // One broker of several that is away is everyday life.
        let everyday = matches!(
            code,
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
        );
        if everyday {
            *locked(&self.last) = Some((code, reason.to_owned()));
        } else {
            self.note(code, reason);
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, reader: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assign = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            // The last commits are stored; whatever the library still asks for is granted.
            let _closing = if assign { Ok(()) } else { give_up(reader, list) };
            return;
        }
        let change = if assign { Change::Assign(list.clone()) } else { Change::Revoke(list.clone()) };
        locked(&self.changes).push_back(change);
    }
}

/// Gives up partitions, in the way of the group's protocol.
pub(super) fn give_up(reader: &Reader, list: &TopicPartitionList) -> KafkaResult<()> {
    match reader.rebalance_protocol() {
        RebalanceProtocol::Cooperative => reader.incremental_unassign(list),
        _ => reader.unassign(),
    }
}

/// Takes partitions over at the offsets in `list`.
pub(super) fn take_over(reader: &Reader, list: &TopicPartitionList) -> KafkaResult<()> {
    match reader.rebalance_protocol() {
        RebalanceProtocol::Cooperative => reader.incremental_assign(list),
        _ => reader.assign(list),
    }
}

/// The group, as a transaction sees it. It does not keep the consumer open.
pub(super) struct Group(pub(super) Weak<Reader>);

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Group")
    }
}

impl ConsumerGroup for Group {
    fn membership(&self) -> Option<Box<dyn std::any::Any + Send>> {
        // Asked anew each time: the generation changes with every rebalance.
        let metadata = self.0.upgrade()?.group_metadata()?;
        Some(Box::new(metadata))
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_s_statistics_are_read_however_they_are_spaced() {
        let text = r#"{ "name":"x", "brokers":{ "a:1/1":{ "state":"UP", "rtt":{ "avg":3 } } },
            "topics":{ "t":{ "partitions":{ "0":{ "partition":0, "consumer_lag":7, "fetchq_cnt":1 },
            "-1":{ "partition":-1, "consumer_lag":-1 } } } }, "cgrp": { "state": "up", "join_state": "JOIN" } }"#;
        for (state, steady) in [("steady", true), ("wait-join", false)] {
            let statistics: Statistics = serde_json::from_str(&text.replace("JOIN", state)).unwrap();
            assert_eq!(statistics.is_steady(), steady);
            assert_eq!(statistics.brokers["a:1/1"].state, "UP");
            assert_eq!(statistics.lags(), [("t".to_owned(), 0, 7)]);
        }
        let statistics: Statistics = serde_json::from_str("{}").unwrap();
        assert!(statistics.is_steady(), "before it has joined");
    }
}
