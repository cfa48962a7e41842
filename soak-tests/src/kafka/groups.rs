//! What brokers say of groups.

use std::fs;
use std::path::PathBuf;

/// How often the members of `group` were rearranged, by the brokers' own words.
pub fn rebalances(logs: &[PathBuf], group: &str) -> u64 {
    logs.iter().map(|log| count(&fs::read(log).unwrap_or_default(), group)).sum()
}

fn count(log: &[u8], group: &str) -> u64 {
    let classic = format!("Stabilized group {group} generation");
    let consumer = format!("[GroupId {group}] Bumped group epoch to ");
    let text = String::from_utf8_lossy(log);
    text.lines().filter(|line| line.contains(&classic) || line.contains(&consumer)).count() as u64
}
