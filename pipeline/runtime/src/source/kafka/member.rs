//! The name of an instance in its group: the same after a restart, and no other instance's on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::StartError;
use super::config::{Config, GroupProtocol, Membership};

/// Most instances of a group on one machine that get names by themselves.
const SLOTS_MAX: usize = 256;

/// A number that this process holds until it ends, even by `kill -9`.
#[derive(Debug)]
pub(super) struct Slot {
    _file: File,
}

/// The name for static membership: as configured, else the host's name and the lowest number that is free. `None` for
/// dynamic membership.
pub(super) fn instance(config: &Config) -> Result<(Option<String>, Option<Slot>), StartError> {
    if let Some(instance) = &config.instance_id {
        return Ok((Some(instance.clone()), None));
    }
    // A broker-led group refuses a newcomer whose name is still taken; without a name of the user's own, none is used.
    if config.membership == Membership::Dynamic || config.group_protocol == GroupProtocol::Consumer {
        return Ok((None, None));
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let group = plain(&config.group);
    match slot(&std::env::temp_dir(), &group) {
        Some((number, slot)) => Ok((Some(format!("logbraid-{}-{number}", plain(&host))), Some(slot))),
        None => Err(StartError::new(format!(
            "kafka: no name for this instance of group `{}` can be reserved in `{}`",
            config.group,
            std::env::temp_dir().display()
        ))
        .help("write `instance_id: NAME`, or `membership: dynamic`")),
    }
}

/// Takes the lowest number that no other process holds.
fn slot(folder: &Path, group: &str) -> Option<(usize, Slot)> {
    let path = |number: usize| -> PathBuf { folder.join(format!(".logbraid-{group}-{number}.lock")) };
    (0..SLOTS_MAX).find_map(|number| {
        let file = File::options().create(true).truncate(false).write(true).open(path(number)).ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some((number, Slot { _file: file }))
    })
}

/// `text` with nothing but letters, digits, `-`, `_` and `.`, so that it is a file's name and an id.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .take(100)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_instances_never_share_a_name_and_a_free_one_is_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let (first, held) = slot(folder.path(), "g").unwrap();
        let (second, _other) = slot(folder.path(), "g").unwrap();
        assert_eq!((first, second), (0, 1));
        assert_eq!(slot(folder.path(), "h").unwrap().0, 0, "another group");
        drop(held);
        assert_eq!(slot(folder.path(), "g").unwrap().0, 0);
        assert_eq!(plain("a/b ü.1"), "a-b--.1");
    }
}
