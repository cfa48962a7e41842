//! Before anything is read: do the brokers answer, do the topics exist, may the group be used?

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::StartError;
use super::config::Config;
use super::consumer::Reader;

/// One question to the brokers.
const ASK: Duration = Duration::from_secs(2);
/// How often it is asked.
const ASKS: usize = 3;

pub(super) fn check(reader: &Reader, config: &Config) -> Result<(), StartError> {
    check_topics(reader, &config.topics)?;
    check_group(reader, config)
}

/// Topics that begin with `^` need not exist yet.
pub(super) fn check_topics(reader: &Reader, topics: &[String]) -> Result<(), StartError> {
    let known = reachable(reader)?;
    topics
        .iter()
        .filter(|topic| !topic.starts_with('^'))
        .try_for_each(|topic| check_topic(reader, topic, &known))
}

/// The names of all topics that may be seen.
fn reachable(reader: &Reader) -> Result<Vec<String>, StartError> {
    let mut last = None;
    for _ in 0..ASKS {
        match reader.fetch_metadata(None, ASK) {
            Ok(metadata) => {
                return Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect());
            }
            Err(error) => last = Some(error),
        }
        pump(reader);
        if let Some((code, words)) = reader.context().last_error()
            && let Some(error) = refused(reader, code, &words)
        {
            return Err(error);
        }
    }
    let brokers = reader.context().brokers();
    let why = match (reader.context().last_error(), last) {
        (Some((_, words)), _) => words,
        (None, Some(error)) => error.to_string(),
        (None, None) => "no answer".to_owned(),
    };
    Err(StartError::new(format!("kafka: no broker at `{brokers}` answers: {why}"))
        .help("check `brokers`, the network, and `properties.security.protocol`"))
}

/// Lets the library report what it has noticed.
fn pump(reader: &Reader) {
    for _ in 0..100 {
        // Nothing is subscribed: no message can come.
        let _event = reader.poll(Duration::ZERO);
    }
}

/// An error that trying again does not mend.
pub(super) fn refused(reader: &Reader, code: RDKafkaErrorCode, words: &str) -> Option<StartError> {
    let brokers = reader.context().brokers();
    match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => Some(
            StartError::new(format!("kafka: `{brokers}` refuses the login: {words}"))
                .help("check `sasl.mechanism`, `sasl.username` and `sasl.password` in `properties`"),
        ),
        RDKafkaErrorCode::SSL => Some(
            StartError::new(format!("kafka: no secure connection to `{brokers}`: {words}"))
                .help("check `ssl.ca.location` and the broker's name in its certificate"),
        ),
        RDKafkaErrorCode::Resolve => Some(
            StartError::new(format!("kafka: `{brokers}` cannot be resolved: {words}"))
                .help("check `brokers`"),
        ),
        _ => None,
    }
}

fn check_topic(reader: &Reader, topic: &str, known: &[String]) -> Result<(), StartError> {
    let brokers = reader.context().brokers();
    let failed = |why: String| StartError::new(format!("kafka: topic `{topic}` at `{brokers}`: {why}"));
    let metadata = reader.fetch_metadata(Some(topic), ASK * 2).map_err(|error| failed(error.to_string()))?;
    let error = metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic)
        .and_then(rdkafka::metadata::MetadataTopic::error);
    match error.map(RDKafkaErrorCode::from) {
        // Leaders that are being elected come back by themselves.
        None | Some(RDKafkaErrorCode::LeaderNotAvailable) => Ok(()),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            let error = failed("it does not exist".to_owned());
            let near = known
                .iter()
                .filter(|name| !name.starts_with("__"))
                .map(|name| (strsim::jaro_winkler(name, topic), name))
                .filter(|(like, _)| *like > 0.75)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            Err(match near {
                Some((_, name)) => error.help(format!("there is `{name}`")),
                None => error.help("create it first, or name another one"),
            })
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            Err(failed("this user may not read it".to_owned()).help("grant READ and DESCRIBE on the topic"))
        }
        Some(code) => Err(failed(code.to_string())),
    }
}

fn check_group(reader: &Reader, config: &Config) -> Result<(), StartError> {
    let topic = config.topics.iter().find(|topic| !topic.starts_with('^'));
    let mut list = TopicPartitionList::new();
    list.add_partition(topic.map_or("__logbraid", String::as_str), 0);
    let code = match reader.committed_offsets(list, ASK * 2) {
        Ok(list) => list.elements().iter().find_map(|known| known.error().err()).and_then(code),
        // Without the right to find the group's coordinator no answer comes: the reason stands among the events.
        Err(error) => group_refused(reader).or_else(|| code(error)),
    };
    match code {
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => Err(StartError::new(format!(
            "kafka: group `{}` at `{}`: this user may not use it",
            config.group,
            reader.context().brokers()
        ))
        .help("grant READ on the group, or name another `group`")),
        // A coordinator that is being found is waited for later.
        _ => Ok(()),
    }
}

/// Whether the library has noticed meanwhile that the group may not be used.
fn group_refused(reader: &Reader) -> Option<RDKafkaErrorCode> {
    let events = std::iter::repeat_with(|| reader.poll(Duration::ZERO)).take(100).flatten();
    let noticed = events.filter_map(Result::err).filter_map(code);
    let told = reader.context().last_error().map(|(code, _)| code);
    noticed.chain(told).find(|code| *code == RDKafkaErrorCode::GroupAuthorizationFailed)
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over results")]
fn code(error: KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code()
}
