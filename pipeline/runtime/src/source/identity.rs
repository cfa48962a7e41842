//! Which file a path leads to: device, inode and the file's first bytes.
//!
//! A file keeps its identity while it grows and when it is renamed. Its first bytes tell apart files that were given the
//! same inode one after the other, and show that a file was truncated and written anew.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use logbraid_core::progress::Mark;
use xxhash_rust::xxh3::xxh3_64;

use super::intake::Intake;

/// Most bytes of a file that its fingerprint covers.
pub const FINGERPRINT_BYTES_MAX: usize = 256;

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    /// The file that `metadata` describes.
    pub fn of(metadata: &Metadata) -> Self {
        Self { dev: metadata.dev(), ino: metadata.ino() }
    }
}

/// A hash of a file's first bytes, at most [`FINGERPRINT_BYTES_MAX`], and how many they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    len: usize,
    hash: u64,
}

impl Fingerprint {
    /// The fingerprint of a file that begins with `head`.
    pub fn of(head: &[u8]) -> Self {
        let head = &head[..head.len().min(FINGERPRINT_BYTES_MAX)];
        Self { len: head.len(), hash: xxh3_64(head) }
    }
    /// True when a file that now begins with `head` still begins with what was hashed.
    pub fn matches(self, head: &[u8]) -> bool {
        head.get(..self.len).is_some_and(|head| xxh3_64(head) == self.hash)
    }
    /// True when it covers as many bytes as any fingerprint does.
    pub const fn is_full(self) -> bool {
        self.len == FINGERPRINT_BYTES_MAX
    }
    /// The key under which the position of file `id` is kept between runs.
    pub fn identity(self, id: FileId) -> String {
        format!("{:x}:{:x}:{}:{:016x}", id.dev, id.ino, self.len, self.hash)
    }
}

/// The identity under which an earlier run knew file `id` that now begins with `head`, and where it was left.
pub fn known(intake: &Intake, id: FileId, head: &[u8]) -> Option<(String, Mark)> {
    if !intake.has_positions() {
        return None;
    }
    // The file may have been shorter then, so that fewer bytes were hashed.
    (1..=head.len().min(FINGERPRINT_BYTES_MAX)).rev().find_map(|len| {
        let identity = Fingerprint::of(&head[..len]).identity(id);
        intake.position(&identity).map(|mark| (identity, mark))
    })
}

/// The first bytes of a file, at most [`FINGERPRINT_BYTES_MAX`].
pub fn head(file: &File) -> io::Result<Vec<u8>> {
    bytes_at(file, 0, FINGERPRINT_BYTES_MAX)
}

/// Up to `len` bytes at `offset`; fewer where the file ends.
pub fn bytes_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
