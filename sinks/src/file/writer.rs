//! The file itself: blocking calls, made from a thread that may block.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use logbraid_core::sink::SinkError;
use logbraid_core::{EventTime, Span};

/// What the file has seen.
#[derive(Debug, Default)]
pub(super) struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    rotations: AtomicU64,
    partial_lines_cut: AtomicU64,
}

impl Counters {
    pub(super) fn report(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("records", self.records.load(Ordering::Relaxed));
        report("bytes", self.bytes.load(Ordering::Relaxed));
        report("rotations", self.rotations.load(Ordering::Relaxed));
        report("partial_lines_cut", self.partial_lines_cut.load(Ordering::Relaxed));
    }
}

/// When to rotate, and what to keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) size: Option<u64>,
    pub(super) every: Option<Span>,
    pub(super) keep: u32,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    /// Pipes and devices are neither cut nor rotated.
    regular: bool,
    len: u64,
    /// When the file's stretch of time began, by `every`.
    since: EventTime,
    dirty: bool,
}

/// Appends to a file. Opens it at the first write.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    rotation: Option<Rotation>,
    mkdir: bool,
    /// Records are JSON, so that a record of ours can be told from foreign text.
    json: bool,
    open: Option<Open>,
    counters: Arc<Counters>,
}

impl Writer {
    pub(super) const fn new(
        path: PathBuf,
        rotation: Option<Rotation>,
        mkdir: bool,
        json: bool,
        counters: Arc<Counters>,
    ) -> Self {
        Self { path, rotation, mkdir, json, open: None, counters }
    }

    /// Appends `bytes`, all or nothing.
    pub(super) fn write(&mut self, now: EventTime, bytes: &[u8], records: u64) -> Result<(), SinkError> {
        self.leave_moved_file()?;
        if self.is_due(now, bytes.len() as u64) {
            self.rotate()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_file(now)?,
        };
        if let Err(error) = open.file.write_all(bytes) {
            // What was written of it goes again, or the retry would repeat it. If that fails, too, the file is opened
            // anew, and the line that is not whole is cut then.
            if open.regular && open.file.set_len(open.len).is_ok() {
                self.open = Some(open);
            }
            return Err(self.error("written", &error));
        }
        open.len += bytes.len() as u64;
        open.dirty = true;
        if let Some(every) = self.rotation.and_then(|rotation| rotation.every) {
            open.since = open.since.max(now.floor_to(every));
        }
        self.open = Some(open);
        self.counters.records.fetch_add(records, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if !open.dirty {
            return Ok(());
        }
        match open.file.sync_data() {
            // Pipes and devices have nothing to make durable.
            Err(error) if open.regular || error.kind() != io::ErrorKind::InvalidInput => {
                Err(self.error("made durable", &error))
            }
            _ => {
                open.dirty = false;
                Ok(())
            }
        }
    }

    /// Somebody else may have renamed or deleted the file: what follows belongs to the path, not to that file.
    fn leave_moved_file(&mut self) -> Result<(), SinkError> {
        let Some(open) = &self.open else { return Ok(()) };
        let same = fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == open.id);
        if !same {
            self.flush()?;
            self.open = None;
        }
        Ok(())
    }

    fn is_due(&mut self, now: EventTime, bytes: u64) -> bool {
        let Some(rotation) = self.rotation else { return false };
        if self.open.is_none() {
            // An error comes again when the file is opened for writing.
            self.open = self.open_file(now).ok();
        }
        let Some(open) = &self.open else { return false };
        let full = rotation.size.is_some_and(|size| open.len + bytes > size);
        let over = rotation.every.is_some_and(|every| now.floor_to(every) > open.since);
        open.regular && open.len > 0 && (full || over)
    }

    fn rotate(&mut self) -> Result<(), SinkError> {
        let Some(rotation) = self.rotation else { return Ok(()) };
        self.flush()?;
        let renamed = (1..rotation.keep)
            .rev()
            .map(|at| (self.old(at), self.old(at + 1)))
            .chain([(self.path.clone(), self.old(1))])
            .try_for_each(|(from, to)| match fs::rename(from, to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            });
        renamed.map_err(|error| self.error("rotated", &error))?;
        self.open = None;
        sync_folder(&self.path);
        self.counters.rotations.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn old(&self, at: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{at}"));
        path.into()
    }

    fn open_file(&self, now: EventTime) -> Result<Open, SinkError> {
        self.try_open(now).map_err(|error| self.error("opened", &error))
    }

    fn try_open(&self, now: EventTime) -> io::Result<Open> {
        let folder = folder(&self.path);
        if self.mkdir {
            fs::create_dir_all(folder)?;
        }
        let is_new = fs::metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        // Reading shows how a file ends; a pipe is written only.
        let pipe = fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file());
        let mut file = OpenOptions::new().create(true).append(true).read(!pipe).open(&self.path)?;
        if is_new {
            sync_folder(&self.path);
        }
        let metadata = file.metadata()?;
        let regular = metadata.is_file();
        if regular && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another logbraid writes to it"));
        }
        let mut len = metadata.len();
        if regular {
            len = self.mend_end(&mut file, len)?;
        }
        let every = self.rotation.and_then(|rotation| rotation.every).unwrap_or(Span::ZERO);
        let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written =
            written.and_then(|since| i64::try_from(since.as_nanos()).ok()).map(EventTime::from_nanos);
        let since = written.filter(|written| len > 0 && *written < now).unwrap_or(now).floor_to(every);
        Ok(Open { file, id: (metadata.dev(), metadata.ino()), regular, len, since, dirty: false })
    }

    /// A crash may have left a line without its end. A record of ours is cut off: it will be written again. Anything
    /// else is not ours to cut; it is given an end.
    fn mend_end(&self, file: &mut File, len: u64) -> io::Result<u64> {
        let Some(last) = len.checked_sub(1) else { return Ok(0) };
        let mut byte = [0];
        file.read_exact_at(&mut byte, last)?;
        if byte == *b"\n" {
            return Ok(len);
        }
        let start = last_line_start(file, len)?;
        let mut head = [0; RECORD_HEAD.len()];
        let read = usize::try_from(len - start).unwrap_or(usize::MAX).min(head.len());
        file.read_exact_at(&mut head[..read], start)?;
        if self.json && RECORD_HEAD.starts_with(&head[..read]) {
            file.set_len(start)?;
            self.counters.partial_lines_cut.fetch_add(1, Ordering::Relaxed);
            return Ok(start);
        }
        file.write_all(b"\n")?;
        Ok(len + 1)
    }

    fn error(&self, done: &str, error: &io::Error) -> SinkError {
        let path = self.path.display();
        let folder = folder(&self.path).display();
        let text = |mend: &str| format!("`{path}` cannot be {done}: {error}; {mend}");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SinkError::Retry(text(&format!("free some space in `{folder}`, or keep less with `rotate`")))
            }
            io::ErrorKind::ResourceBusy => SinkError::Fatal(text("give each its own `path`")),
            io::ErrorKind::PermissionDenied => SinkError::Fatal(text(&format!(
                "allow this user to write to `{path}` and `{folder}`, or set another `path`"
            ))),
            io::ErrorKind::ReadOnlyFilesystem => SinkError::Fatal(text("set a `path` that can be written")),
            io::ErrorKind::NotFound => {
                SinkError::Fatal(text(&format!("create the folder `{folder}`, or set `mkdir: true`")))
            }
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                SinkError::Fatal(text("set `path` to a file, not a folder"))
            }
            io::ErrorKind::FileTooLarge => SinkError::Fatal(text("set `rotate: { size: 100MiB }`")),
            io::ErrorKind::BrokenPipe => SinkError::Closed,
            _ => SinkError::Retry(text(&format!("look after the disk that holds `{folder}`"))),
        }
    }
}

/// What every record of ours begins with.
const RECORD_HEAD: &[u8] = b"{\"type\":\"";

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes new names durable, where the file system can.
fn sync_folder(path: &Path) {
    let _best_effort = File::open(folder(path)).and_then(|folder| folder.sync_all());
}

/// Where the line begins that ends at `len`.
fn last_line_start(file: &File, len: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut end = len;
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(usize::MAX).min(buffer.len());
        let start = end - size as u64;
        file.read_exact_at(&mut buffer[..size], start)?;
        if let Some(at) = buffer[..size].iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
