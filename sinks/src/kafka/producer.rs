//! The producer, and its transactions. Everything here may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use logbraid_core::Span;
use logbraid_core::sink::{SinkError, SourceOffset};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::message::Message;
use super::{ANSWER, Config, Delivery};

/// Messages of an open transaction that are kept, so that it can be repeated; beyond this many bytes it cannot.
const REPEAT_BYTES_MAX: usize = 64 << 20;
/// How often an aborted transaction is repeated before the caller hears of it.
const REPEATS_MAX: usize = 3;
/// How long to wait for room in the library's queue, at a time.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

/// What was done, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub failed: AtomicU64,
    pub too_large: AtomicU64,
    pub transactions: AtomicU64,
    pub aborted: AtomicU64,
}

/// Hears what became of messages.
struct Context {
    tally: Arc<Tally>,
    /// Why the last message that was not delivered was not.
    failure: Mutex<Option<KafkaError>>,
    /// The library's last words about its connections.
    trouble: Mutex<Option<String>>,
    /// What it said of a login that was refused.
    refused: Mutex<Option<String>>,
    failed: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, error: KafkaError, reason: &str) {
        let login = [RDKafkaErrorCode::Authentication, RDKafkaErrorCode::SaslAuthenticationFailed];
        if error.rdkafka_error_code().is_some_and(|code| login.contains(&code)) {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            self.failed.store(true, Ordering::Release);
        }
    }
}

impl Context {
    fn take_failure(&self) -> Option<KafkaError> {
        self.failed.store(false, Ordering::Release);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A producer that is connected.
pub(super) struct Producing {
    producer: ThreadedProducer<Context>,
    topic: String,
    tally: Arc<Tally>,
    transactional: bool,
    timeout: Duration,
    /// True between `begin` and `commit`.
    open: bool,
    /// What was written since the last flush: it comes again when it was not delivered, or the transaction was aborted.
    kept: Vec<Message>,
    kept_bytes: usize,
    /// False when more was written than is kept.
    repeatable: bool,
}

impl Producing {
    pub(super) fn new(config: &Config, client: &ClientConfig, tally: Arc<Tally>) -> Result<Self, SinkError> {
        let context = Context {
            tally: Arc::clone(&tally),
            failure: Mutex::default(),
            trouble: Mutex::default(),
            refused: Mutex::default(),
            failed: AtomicBool::new(false),
        };
        let producer: ThreadedProducer<Context> =
            client.create_with_context(context).map_err(|error| SinkError::Fatal(error.to_string()))?;
        let transactional = config.delivery == Delivery::ExactlyOnce;
        let producing = Self {
            producer,
            topic: config.topic.clone(),
            tally,
            transactional,
            timeout: to_std(config.timeout),
            open: false,
            kept: Vec::new(),
            kept_bytes: 0,
            repeatable: true,
        };
        producing.check_topic()?;
        if transactional {
            producing.producer.init_transactions(ANSWER).map_err(|error| producing.verdict(&error))?;
        }
        Ok(producing)
    }

    /// A missing topic and a refused login are told at the first write, not by records that never arrive.
    fn check_topic(&self) -> Result<(), SinkError> {
        let metadata = self
            .producer
            .client()
            .fetch_metadata(Some(&self.topic), Duration::from_secs(5))
            .map_err(|error| self.verdict(&error))?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        match found.and_then(rdkafka::metadata::MetadataTopic::error).map(RDKafkaErrorCode::from) {
            None | Some(RDKafkaErrorCode::LeaderNotAvailable) => Ok(()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Err(SinkError::Fatal(format!("topic `{}` does not exist; create it first", self.topic)))
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(SinkError::Fatal(format!("topic `{}`: this user may not write to it", self.topic)))
            }
            Some(code) => Err(SinkError::Retry(format!("topic `{}`: {code}", self.topic))),
        }
    }

    pub(super) fn write(&mut self, messages: Vec<Message>) -> Result<(), SinkError> {
        self.begin()?;
        if let Err(error) = messages.iter().try_for_each(|message| self.send(message)) {
            return self.undo(error);
        }
        for message in messages {
            self.tally.records.fetch_add(1, Ordering::Relaxed);
            self.tally.bytes.fetch_add(message.value.len() as u64, Ordering::Relaxed);
            self.keep(message);
        }
        Ok(())
    }

    fn keep(&mut self, message: Message) {
        self.kept_bytes += message.bytes();
        if self.kept_bytes > REPEAT_BYTES_MAX {
            self.repeatable = false;
            self.kept = Vec::new();
        }
        if self.repeatable {
            self.kept.push(message);
        }
    }

    /// After a message could not be queued: the caller sends all of its messages again. In a transaction those that are
    /// under way must not arrive, too.
    fn undo(&mut self, error: SinkError) -> Result<(), SinkError> {
        if self.transactional && matches!(error, SinkError::Retry(_)) {
            self.abort()?;
        }
        Err(error)
    }

    fn begin(&mut self) -> Result<(), SinkError> {
        if !self.transactional || self.open {
            return Ok(());
        }
        self.producer.begin_transaction().map_err(|error| self.verdict(&error))?;
        self.open = true;
        // What an aborted transaction had held.
        let again = self.kept.iter().try_for_each(|message| self.send(message));
        again.or_else(|error| self.undo(error))
    }

    fn send(&self, message: &Message) -> Result<(), SinkError> {
        let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref() })
        });
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(&message.value).headers(headers);
        if let Some(key) = &message.key {
            record = record.key(key);
        }
        let mut waited = Duration::ZERO;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if waited < self.timeout =>
                {
                    std::thread::sleep(QUEUE_FULL_WAIT);
                    waited += QUEUE_FULL_WAIT;
                    record = back;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _))
                    if !message.is_stand_in() =>
                {
                    // One record that is too large must not end the stream: another one says so in its place.
                    self.tally.too_large.fetch_add(1, Ordering::Relaxed);
                    return self.send(&message.stand_in());
                }
                Err((error, _)) => return Err(self.verdict(&error)),
            }
        }
    }

    /// Returns when everything that was written is durable, in a transaction together with `offsets`.
    pub(super) fn flush(&mut self, offsets: &[SourceOffset]) -> Result<(), SinkError> {
        if !self.transactional {
            return self.flush_plain();
        }
        if !self.open && self.kept.is_empty() && offsets.is_empty() {
            return Ok(());
        }
        for _ in 0..REPEATS_MAX {
            self.begin()?;
            match self.commit(offsets) {
                Ok(()) => {
                    self.tally.transactions.fetch_add(1, Ordering::Relaxed);
                    self.open = false;
                    self.forget();
                    return Ok(());
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    // A member that the group goes on with, in its next round, tries again with what it holds then.
                    if is_passed(error.code()) {
                        self.abort()?;
                        return Err(SinkError::Retry(format!(
                            "topic `{}`: the consumer group is being rearranged",
                            self.topic
                        )));
                    }
                    // Who lost its partitions must not write for them any more.
                    if is_expelled(error.code()) {
                        let _aborted = self.abort();
                        return Err(SinkError::Fatal(format!(
                            "the consumer group has moved on ({error}); restart this instance, it goes on at its last commit"
                        )));
                    }
                    self.abort()?;
                }
                Err(error) => return Err(self.verdict(&error)),
            }
        }
        Err(SinkError::Retry(format!("topic `{}`: the transaction could not be committed", self.topic)))
    }

    fn flush_plain(&mut self) -> Result<(), SinkError> {
        let flushed = self.producer.flush(self.timeout + Duration::from_secs(5));
        if let Some(error) = self.producer.context().take_failure() {
            let verdict = self.verdict(&error);
            if !matches!(verdict, SinkError::Retry(_)) {
                return Err(verdict);
            }
            if !self.repeatable {
                return Err(SinkError::Fatal(format!(
                    "topic `{}`: more than {} MiB were not delivered ({error}); restart this instance",
                    self.topic,
                    REPEAT_BYTES_MAX >> 20
                )));
            }
            // Which ones arrived is not known one by one: all since the last flush go again, with the same ids.
            for message in &self.kept {
                self.send(message)?;
            }
            return Err(verdict);
        }
        flushed.map_err(|error| self.verdict(&error))?;
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
        self.repeatable = true;
    }

    fn commit(&self, offsets: &[SourceOffset]) -> Result<(), KafkaError> {
        // Each consumer group once, with all of its offsets.
        let mut rest: Vec<&SourceOffset> = offsets.iter().collect();
        while let Some(first) = rest.first().copied() {
            let (same, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|offset| Arc::ptr_eq(&offset.group, &first.group));
            rest = others;
            let membership =
                first.group.membership().and_then(|any| any.downcast::<ConsumerGroupMetadata>().ok());
            let membership = membership.ok_or(KafkaError::Canceled)?;
            let mut list = TopicPartitionList::new();
            for offset in same {
                let mut element = list.add_partition(&offset.topic, offset.partition);
                element.set_offset(Offset::Offset(offset.offset))?;
                element.set_metadata(offset.metadata.as_str());
            }
            self.producer.send_offsets_to_transaction(&list, &membership, ANSWER)?;
        }
        self.producer.commit_transaction(self.timeout)
    }

    /// Ends the transaction without its records; they are kept for the next one.
    fn abort(&mut self) -> Result<(), SinkError> {
        self.tally.aborted.fetch_add(1, Ordering::Relaxed);
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.producer.abort_transaction(ANSWER).map_err(|error| self.verdict(&error))?;
        let _purged = self.producer.context().take_failure();
        self.open = false;
        if self.repeatable {
            return Ok(());
        }
        Err(SinkError::Fatal(format!(
            "topic `{}`: a transaction of more than {} MiB failed; restart this instance, it goes on at its last commit",
            self.topic,
            REPEAT_BYTES_MAX >> 20
        )))
    }

    /// Whether trying again may help.
    fn verdict(&self, error: &KafkaError) -> SinkError {
        if let Some((code, why)) = self.producer.client().fatal_error() {
            let help =
                if is_fenced(code) { "; another instance uses the same `transactional_id`" } else { "" };
            return SinkError::Fatal(format!("topic `{}`: {why}{help}", self.topic));
        }
        let code = match error {
            KafkaError::Transaction(error) if error.is_fatal() => {
                return SinkError::Fatal(format!("topic `{}`: {error}", self.topic));
            }
            KafkaError::Transaction(error) => Some(error.code()),
            other => other.rdkafka_error_code(),
        };
        let refused = self.producer.context().refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(refused) = refused {
            return SinkError::Fatal(format!(
                "the broker refuses the login: {refused}; check `sasl.mechanism`, `sasl.username` and `sasl.password` in \
                 `properties`"
            ));
        }
        let trouble = self.producer.context().trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words = trouble.map_or_else(|| error.to_string(), |trouble| format!("{error}: {trouble}"));
        let text = format!("topic `{}`: {words}", self.topic);
        match code {
            Some(code) if is_fenced(code) || is_hopeless(code) => SinkError::Fatal(text),
            _ if matches!(error, KafkaError::Canceled) => SinkError::Fatal(format!(
                "topic `{}`: the consumer whose offsets are to be stored is gone",
                self.topic
            )),
            _ => SinkError::Retry(text),
        }
    }
}

/// How long the broker is given to end a transaction that is left open; it ends it by itself later.
const LEAVE: Duration = Duration::from_secs(3);

impl Drop for Producing {
    /// What was not committed must not wait for its timeout: readers of committed records wait behind it.
    fn drop(&mut self) {
        if self.open {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            if self.producer.abort_transaction(LEAVE).is_ok() {
                self.tally.aborted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

const fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch
    )
}

const fn is_passed(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::StaleMemberEpoch
    )
}

const fn is_expelled(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::FencedInstanceId)
}

const fn is_hopeless(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::MessageSizeTooLarge
    )
}

fn to_std(span: Span) -> Duration {
    span.to_std()
}
