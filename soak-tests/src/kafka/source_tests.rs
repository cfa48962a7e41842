//! The source and the sink on a real broker, with a pipeline that the test plays.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{EventTime, Finding, FindingKind, Id, Record, Severity};
use logbraid_runtime::source::kafka::{CommitBy, Config, Running, connect, range};
use logbraid_sinks::kafka::Kafka;
use logbraid_sinks::{Context, SinkComponent as _};
use serde_json::json;

use super::broker::{Cluster, GUEST_PASSWORD, PASSWORD, missing};
use super::player::Player;
use crate::stopwatch::Stopwatch;

const PATIENCE: Duration = Duration::from_mins(1);
const PARTITIONS: i32 = 4;
const LINES: usize = 100_000;

fn say(text: &str) {
    let _said = writeln!(std::io::stderr(), "{text}");
}

fn config(brokers: &str, group: &str, more: serde_json::Value) -> Config {
    let mut value = json!({
        "brokers": brokers, "topics": "lines", "group": group, "membership": "dynamic",
        "session_timeout": "10s", "drain_timeout": "5s",
    });
    for (name, setting) in more.as_object().expect("settings are an object") {
        value[name] = setting.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn start(cluster: &Cluster, group: &str, more: serde_json::Value, by: CommitBy) -> (Player, Running) {
    let (player, intake) = Player::new();
    let running = connect(config(&cluster.brokers(), group, more), by).unwrap().spawn(intake).unwrap();
    (player, running)
}

fn stop(player: Player, running: Running) {
    player.stop();
    running.thread.join().unwrap();
}

/// One broker for all of it: starting one takes longer than most of what is tested.
#[test]
fn source_and_sink_keep_their_promises_on_a_real_broker() {
    if let Some(why) = missing() {
        say(&format!("skipped: source_and_sink_keep_their_promises_on_a_real_broker: {why}"));
        return;
    }
    let mut cluster = Cluster::start(1).unwrap();
    cluster.create_topic("lines", PARTITIONS, &[]).unwrap();
    let lines = (0..LINES).map(|number| {
        let partition = i32::try_from(number % 4).unwrap_or(0);
        (
            partition,
            format!("k{}", number % 100),
            format!("{{\"n\":{number},\"msg\":\"a line of a service\"}}"),
        )
    });
    cluster.produce("lines", lines).unwrap();
    what_cannot_work_is_said_within_seconds(&cluster);
    every_line_comes_once_and_in_order_through_a_stall(&cluster);
    a_restart_begins_at_the_commit(&cluster);
    a_second_member_loses_and_repeats_nothing(&cluster, "classic");
    a_second_member_loses_and_repeats_nothing(&cluster, "consumer");
    a_range_of_time_ends(&cluster);
    records_and_offsets_are_one_transaction(&cluster);
    a_broker_that_goes_and_comes_back_is_waited_for(&mut cluster);
}

fn what_cannot_work_is_said_within_seconds(cluster: &Cluster) {
    let login = |user: &str, password: &str| {
        json!({ "properties": {
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
            "sasl.username": user, "sasl.password": password,
        } })
    };
    let error = |brokers: &str, more| {
        let watch = Stopwatch::start();
        let error = connect(config(brokers, "errors", more), CommitBy::Source).err().expect("it cannot work");
        say(&format!("{:.1} s: {error} ({})", watch.seconds(), error.help.as_deref().unwrap_or("no help")));
        assert!(watch.elapsed() < Duration::from_secs(15));
        error.message
    };
    let sasl = cluster.sasl_brokers();
    assert!(error(&sasl, login("logbraid", "wrong")).contains("refuses the login"));
    assert!(error(&sasl, login("guest", GUEST_PASSWORD)).contains("may not"));
    assert!(error(&cluster.brokers(), json!({ "topics": "linse" })).contains("does not exist"));
    assert!(error("127.0.0.1:1", json!({})).contains("no broker"));
    connect(config(&sasl, "errors", login("logbraid", PASSWORD)), CommitBy::Source).map(drop).unwrap();
}

fn every_line_comes_once_and_in_order_through_a_stall(cluster: &Cluster) {
    let (mut player, running) = start(cluster, "calm", json!({ "queue": "256KiB" }), CommitBy::Source);
    player.hear(PATIENCE, |player| player.records() > 1000).unwrap();
    player.stalled = true;
    // Longer than a session: only who polls stays in the group.
    let watch = Stopwatch::start();
    player.hear(PATIENCE, |_| watch.elapsed() > Duration::from_secs(12)).unwrap();
    let stalled_at = player.records();
    assert!(stalled_at < LINES, "the stall holds the source back");
    player.go_on();
    let watch = Stopwatch::start();
    player.hear(PATIENCE, |player| player.records() == LINES).unwrap();
    say(&format!("{} lines in {:.2} s after a stall at {stalled_at}", LINES - stalled_at, watch.seconds()));
    assert!(player.releases.is_empty() && player.seen.len() == 4, "no rebalance");
    for seen in player.seen.values() {
        assert!(
            seen.records.iter().enumerate().all(|(at, (offset, _))| *offset == at as u64),
            "{}",
            seen.name
        );
    }
    stop(player, running);
}

fn a_restart_begins_at_the_commit(cluster: &Cluster) {
    let (mut player, running) = start(cluster, "restart", json!({}), CommitBy::Source);
    player.hear(PATIENCE, |player| player.records() == LINES).unwrap();
    for id in player.seen.keys() {
        let mut mark = player.seen[id].next();
        mark.offset -= 100;
        player.committer(*id).unwrap().commit(*id, mark, EventTime::from_nanos(99));
    }
    stop(player, running);
    let committed = cluster.committed("restart", "lines", PARTITIONS).unwrap();
    say(&format!("committed: {:?}", committed[&0]));
    let (mut player, running) = start(cluster, "restart", json!({}), CommitBy::Source);
    player.hear(PATIENCE, |player| player.records() == 400).unwrap();
    for seen in player.seen.values() {
        assert_eq!((seen.start.offset, seen.start.newest, seen.start.carried), (24_900, 1, 2));
    }
    stop(player, running);
}

fn a_second_member_loses_and_repeats_nothing(cluster: &Cluster, protocol: &str) {
    let group = format!("two-{protocol}");
    let settings = json!({ "group_protocol": protocol });
    let (mut first, one) = start(cluster, &group, settings.clone(), CommitBy::Source);
    first.hear(PATIENCE, |player| player.records() == LINES).unwrap();
    let (mut second, two) = start(cluster, &group, settings, CommitBy::Source);
    first.hear(PATIENCE, |player| player.releases.len() == 2).unwrap();
    first.release_all();
    second.hear(PATIENCE, |player| player.seen.len() == 2).unwrap();
    for seen in second.seen.values() {
        assert_eq!(seen.start.offset, 25_000, "{protocol}: it goes on where the first was done");
    }
    // The second leaves: the first gets back what the second had.
    for (id, seen) in &second.seen {
        second.committer(*id).unwrap().commit(*id, seen.next(), EventTime::from_nanos(8));
    }
    stop(second, two);
    first.hear(PATIENCE, |player| player.seen.values().filter(|seen| !seen.gone).count() == 4).unwrap();
    assert_eq!(first.records(), LINES, "{protocol}: nothing came twice");
    stop(first, one);
}

fn a_range_of_time_ends(cluster: &Cluster) {
    let wanted = range::Range::parse(&format!("kafka://{}/lines?from=earliest", cluster.brokers())).unwrap();
    let (mut player, intake) = Player::new();
    let watch = Stopwatch::start();
    let thread =
        range::open(wanted, &logbraid_core::Properties::default()).unwrap().spawn(None, intake).unwrap();
    player
        .hear(PATIENCE, |player| player.seen.len() == 4 && player.seen.values().all(|seen| seen.gone))
        .unwrap();
    say(&format!("range of {LINES} lines in {:.2} s", watch.seconds()));
    assert_eq!(player.records(), LINES);
    thread.join().unwrap();
}

fn finding(number: usize) -> Record {
    let at = EventTime::from_millis(i64::try_from(number).unwrap_or(0));
    let id = Id::of(&["test", &number.to_string()]);
    let mut finding = Finding::new(FindingKind::ErrorFlow, Severity::High, format!("f{number}"), at, id);
    finding.id = id;
    Record::Finding(Box::new(finding))
}

fn sink(cluster: &Cluster, id: &str) -> Kafka {
    let context = Context { now: Arc::new(|| EventTime::from_millis(0)), pretty: None, spans: None };
    let value = json!({
        "brokers": cluster.brokers(), "topic": "out", "delivery": "exactly_once", "transactional_id": id,
    });
    Kafka::build(serde_json::from_value(value).unwrap(), &context).unwrap()
}

fn records_and_offsets_are_one_transaction(cluster: &Cluster) {
    cluster.create_topic("out", 2, &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut player, running) = start(cluster, "once", json!({}), CommitBy::Sink);
    player.hear(PATIENCE, |player| player.records() == LINES).unwrap();
    let offsets: Vec<_> = player
        .seen
        .iter()
        .map(|(id, seen)| {
            player.committer(*id).unwrap().offset(*id, seen.next(), EventTime::from_nanos(3)).unwrap()
        })
        .collect();
    let records: Vec<Record> = (0..100).map(finding).collect();
    let all: Vec<&Record> = records.iter().collect();

    // An instance that dies before its commit has written nothing and committed nothing.
    let mut dying = sink(cluster, "t");
    runtime.block_on(dying.write(&all)).unwrap();
    assert_eq!(cluster.committed("once", "lines", PARTITIONS).unwrap().len(), 0);
    let mut next = sink(cluster, "t");
    runtime.block_on(next.write(&all)).unwrap();
    runtime.block_on(next.flush_with(&offsets)).unwrap();
    let fenced = runtime.block_on(dying.flush_with(&offsets)).unwrap_err();
    assert!(matches!(fenced, SinkError::Fatal(_)), "{fenced:?}");
    say(&format!("fenced: {fenced}"));

    let committed = cluster.committed("once", "lines", PARTITIONS).unwrap();
    assert!(committed.values().all(|(offset, metadata)| *offset == 25_000 && metadata.starts_with("lb1 ")));
    let read = cluster.read("out").unwrap();
    let keys: BTreeSet<_> = read.iter().map(|message| message.key.clone()).collect();
    assert_eq!((read.len(), keys.len()), (100, 100), "each once, under read_committed");
    stop(player, running);
}

fn a_broker_that_goes_and_comes_back_is_waited_for(cluster: &mut Cluster) {
    let (mut player, running) = start(cluster, "bounce", json!({ "queue": "256KiB" }), CommitBy::Source);
    player.hear(PATIENCE, |player| player.records() > 1000).unwrap();
    player.stalled = true;
    let watch = Stopwatch::start();
    cluster.kill(1).unwrap();
    player.hear(PATIENCE, |_| watch.elapsed() > Duration::from_secs(3)).unwrap();
    assert!(running.status.trouble().is_some(), "health knows");
    cluster.restart(1).unwrap();
    player.go_on();
    // While the only broker was away, the session may have ended: what was lost is read again from the commit.
    let held = |player: &Player| {
        player.seen.values().filter(|seen| !seen.gone).map(|seen| seen.records.len()).sum::<usize>()
    };
    player.hear(PATIENCE, |player| LINES == held(player)).unwrap();
    player.hear(PATIENCE, |_| running.status.trouble().is_none()).unwrap();
    let distinct: BTreeSet<_> =
        player.seen.values().flat_map(|seen| seen.records.iter().map(|(_, text)| text)).collect();
    assert_eq!(distinct.len(), LINES);
    say(&format!("told: {:?}", player.notices));
    stop(player, running);
}
