//! The checkpoint file: where each partition resumes, and through which watermark records were delivered.
//!
//! Written after the sinks have flushed: to a temporary file beside it, synced, then renamed over it, so that a crash
//! leaves the old one or the new one, never half of one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use logbraid_core::EventTime;
use logbraid_core::progress::Mark;
use serde::{Deserialize, Serialize};

/// What a checkpoint file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The layout of the file.
    pub version: u32,
    /// The watermark through which records were delivered, in nanoseconds; absent before the first.
    pub delivered_through: Option<i64>,
    /// Where each partition resumes, by its identity.
    pub partitions: BTreeMap<String, Place>,
    /// What operators have learned, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub learned: BTreeMap<String, String>,
}

/// Where a partition resumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The input's name when it was last read.
    pub name: String,
    /// The position.
    #[serde(flatten)]
    pub mark: Mark,
    /// True when it had ended and nothing of it is needed any more.
    #[serde(default)]
    pub done: bool,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("checkpoint `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is not a checkpoint.
    #[error("checkpoint `{path}` cannot be understood: {why}; remove it to begin anew")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The layout that this version writes.
const VERSION: u32 = 1;

/// Most partitions that are remembered; beyond it those that are done go first.
pub const PARTITIONS_MAX: usize = 10_000;

impl Checkpoint {
    /// Reads a checkpoint; an absent file is an empty one.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(CheckpointError::Io { path: path.to_owned(), source }),
        };
        let corrupt = |why: String| CheckpointError::Corrupt { path: path.to_owned(), why };
        let checkpoint: Self = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if checkpoint.version != VERSION {
            return Err(corrupt(format!(
                "it has layout {}, this version reads {VERSION}",
                checkpoint.version
            )));
        }
        Ok(checkpoint)
    }

    /// Replaces the file.
    pub fn store(&mut self, path: &Path) -> Result<(), CheckpointError> {
        self.version = VERSION;
        while self.partitions.len() > PARTITIONS_MAX {
            let done =
                self.partitions.iter().find(|(_, place)| place.done).map(|(identity, _)| identity.clone());
            let Some(done) = done else { break };
            self.partitions.remove(&done);
        }
        let write = || -> std::io::Result<()> {
            let mut temporary = path.as_os_str().to_owned();
            temporary.push(".new");
            let mut file = File::create(&temporary)?;
            serde_json::to_writer(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_data()?;
            fs::rename(&temporary, path)?;
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                // The rename itself must survive a power cut.
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
    }

    /// The watermark through which records were delivered.
    pub fn delivered_through(&self) -> EventTime {
        self.delivered_through.map_or(EventTime::MIN, EventTime::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_rubbish_is_refused_with_help() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(Checkpoint::load(&path).unwrap(), Checkpoint::default());
        let mut checkpoint = Checkpoint { delivered_through: Some(7), ..Checkpoint::default() };
        let place = Place { name: "a.log".into(), mark: Mark { offset: 3, ..Mark::START }, done: false };
        checkpoint.partitions.insert("1:2:3".into(), place);
        checkpoint.store(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        fs::write(&path, b"{\"version\":1,").unwrap();
        let error = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(error.contains("state.json") && error.contains("remove it"), "{error}");
    }
}
