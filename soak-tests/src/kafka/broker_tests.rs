//! The harness itself, on real brokers.

use std::io::Write as _;

use super::broker::{Cluster, missing};

/// Says by name what is skipped, where no broker can be started.
fn skipped(test: &str) -> bool {
    let Some(why) = missing() else { return false };
    let _said = writeln!(std::io::stderr(), "skipped: {test}: {why}");
    true
}

#[test]
fn a_broker_keeps_what_it_was_given_through_a_kill() {
    if skipped("a_broker_keeps_what_it_was_given_through_a_kill") {
        return;
    }
    let mut cluster = Cluster::start(1).unwrap();
    cluster.create_topic("lines", 2, &[]).unwrap();
    let lines = (0..1000).map(|number| (number % 2, "", format!("line {number}")));
    assert_eq!(cluster.produce("lines", lines).unwrap(), 1000);
    cluster.restart(1).unwrap();
    let read = cluster.read("lines").unwrap();
    assert_eq!(read.len(), 1000);
    assert_eq!(read[1].value.as_deref(), Some(b"line 2".as_slice()), "each partition is in order");
    assert_eq!(read[999].value.as_deref(), Some(b"line 999".as_slice()));
}

#[test]
fn of_three_brokers_another_leads_when_one_leaves() {
    if skipped("of_three_brokers_another_leads_when_one_leaves") {
        return;
    }
    let mut cluster = Cluster::start(3).unwrap();
    cluster.create_topic("lines", 1, &[]).unwrap();
    cluster.produce("lines", (0..100).map(|number| (0, "k", format!("{number}")))).unwrap();
    let before = cluster.leader("lines", 0).unwrap();
    let after = cluster.move_leader("lines", 0).unwrap();
    assert_ne!(before, after);
    cluster.kill(usize::try_from(after).unwrap()).unwrap();
    cluster.produce("lines", (100..200).map(|number| (0, "k", format!("{number}")))).unwrap();
    let values: Vec<String> = cluster
        .read("lines")
        .unwrap()
        .into_iter()
        .map(|read| String::from_utf8(read.value.unwrap()).unwrap())
        .collect();
    assert_eq!(values, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
}
