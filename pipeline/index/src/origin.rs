//! Where entries came from: the source, and the file that holds its text where it can be read again.
//!
//! Files are read with `pread`, not mapped: a mapped file that somebody truncates kills the process with SIGBUS when it
//! is looked at, and no check beforehand can exclude that. The file stays open, so that its text can be read after it
//! was renamed or deleted. Each entry's text is checked against a hash, so that overwritten text is noticed per entry.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use logbraid_core::{Position, Source};

use crate::TextError;

/// Most files that indexes of this process keep open; further ones are opened for each read.
pub const OPEN_FILES_MAX: usize = 128;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A source, and its file if the index reads text from there.
#[derive(Debug)]
pub struct Origin {
    source: Arc<Source>,
    file: Option<FileText>,
}

impl Origin {
    /// A source whose text the index keeps itself.
    pub const fn packed(source: Arc<Source>) -> Self {
        Self { source, file: None }
    }
    /// A source whose text is read from the file that its name leads to, if it is a regular file in which `raw`
    /// stands at `offset`. It is not when the source was decompressed or converted on its way here.
    pub(crate) fn of_file(source: Arc<Source>, raw: &str, offset: u64) -> Self {
        let file = (source.position == Position::Line)
            .then(|| FileText::open(Path::new(&source.name)).ok())
            .flatten();
        let file = file.filter(|file| {
            let mut bytes = vec![0; raw.len()];
            file.read(offset, &mut bytes).is_ok_and(|len| len == raw.len() && bytes == raw.as_bytes())
        });
        Self { source, file }
    }
    /// The source.
    pub const fn source(&self) -> &Arc<Source> {
        &self.source
    }
    pub(crate) const fn file(&self) -> Option<&FileText> {
        self.file.as_ref()
    }
}

/// A file whose text is read on demand.
#[derive(Debug)]
pub(crate) struct FileText {
    path: PathBuf,
    identity: (u64, u64),
    held: Option<Held>,
}

/// An open file, counted.
#[derive(Debug)]
struct Held(File);

impl Held {
    fn keep(file: File) -> Option<Self> {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= OPEN_FILES_MAX {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(file))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl FileText {
    fn open(path: &Path) -> io::Result<Self> {
        // A pipe would block: only regular files are opened.
        if !path.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { path: path.to_owned(), identity: identity(&metadata), held: Held::keep(file) })
    }

    /// Fills `bytes` from `offset` on; returns how many there were.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, TextError> {
        if let Some(Held(file)) = &self.held {
            return self.read_from(file, offset, bytes);
        }
        let gone = |error: io::Error| self.failed(&error);
        if !self.path.metadata().map_err(gone)?.is_file() {
            return Err(TextError::Changed { path: self.path.clone() });
        }
        let file = File::open(&self.path).map_err(gone)?;
        if identity(&file.metadata().map_err(gone)?) != self.identity {
            return Err(TextError::Changed { path: self.path.clone() });
        }
        self.read_from(&file, offset, bytes)
    }

    fn read_from(&self, file: &File, offset: u64, bytes: &mut [u8]) -> Result<usize, TextError> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(filled)
    }

    fn failed(&self, error: &io::Error) -> TextError {
        let path = self.path.clone();
        match error.kind() {
            io::ErrorKind::NotFound => TextError::Gone { path },
            kind => TextError::Unreadable { path, kind },
        }
    }

    pub(crate) fn changed(&self) -> TextError {
        TextError::Changed { path: self.path.clone() }
    }
}
