//! One file that is being read.
//!
//! ```text
//!  track ──► (its first line is not there yet) ──► partition open ──► at its end ──► finished
//!                                                    ▲    │              │  ▲
//!                                                    └────┘ truncated    └──┘ grown, when followed
//! ```
//! A truncated file goes on as a new partition from its beginning. What was written between the last read and the
//! truncation is lost: it was never there to be read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use logbraid_core::progress::Mark;
use logbraid_core::{Position, Span};

use super::decode::{Compression, Handle, read_onto};
use super::identity::{self, FINGERPRINT_BYTES_MAX, FileId, Fingerprint};
use super::intake::{Intake, Opening, Partition, Stopped};
use super::lines::LineCutter;
use super::{Options, hand_over};

/// What became of one step.
#[derive(Debug)]
pub(super) enum Step {
    /// Something was read or handed over.
    Moved,
    /// The partition has no room, or there is nothing to read now.
    Waits,
    /// The file has ended.
    Ended,
    /// The file was truncated: it begins anew.
    Truncated,
    /// The rest cannot be read.
    Failed(io::Error),
}

/// A file that is no longer where it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// Since when it has been quiet, in uptime.
    pub(super) quiet_since: Span,
    /// Another file has taken its place.
    pub(super) replaced: bool,
}

/// Where reading begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Begin {
    /// Where an earlier run stopped, if there was one.
    Known,
    /// At the beginning, whatever an earlier run left.
    Start,
    /// Where this run stopped before.
    At(Mark),
}

/// One file that is being read.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) id: FileId,
    pub(super) fingerprint: Fingerprint,
    /// What the file began with before it was truncated: a copy of it may appear.
    pub(super) fingerprint_before: Option<Fingerprint>,
    pub(super) compression: Option<Compression>,
    pub(super) handle: Option<Handle>,
    /// None until the file's first line is there.
    pub(super) partition: Option<Partition>,
    cutter: LineCutter,
    /// Bytes of the file that were read, as they are on disk.
    pub(super) read_to: u64,
    pub(super) at_end: bool,
    pub(super) left: Option<Left>,
    /// When it was last read, counted in steps.
    pub(super) used: u64,
}

/// Opens a regular file. Never waits, even when a named pipe has come to be there.
pub(super) fn open_file(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file any more"));
    }
    Ok((file, metadata))
}

impl Tracked {
    /// Follows `file`, which begins with `head`.
    pub(super) fn new(
        path: PathBuf,
        name: String,
        label: Option<String>,
        file: File,
        id: FileId,
        head: &[u8],
    ) -> Self {
        Self {
            path,
            name,
            label,
            id,
            fingerprint: Fingerprint::of(head),
            fingerprint_before: None,
            compression: Compression::of(head),
            handle: Some(Handle::Plain(file)),
            partition: None,
            cutter: LineCutter::new(0),
            read_to: 0,
            at_end: false,
            left: None,
            used: 0,
        }
    }

    /// Opens the partition, unless the file is followed and too short to be told from others: until its first line is
    /// complete. With `force` in any case.
    pub(super) fn begin(
        &mut self,
        begin: Begin,
        force: bool,
        options: &Options,
        intake: &Intake,
    ) -> io::Result<()> {
        self.ensure_open()?;
        let Some(Handle::Plain(file)) = &self.handle else { return Ok(()) };
        let head = identity::head(file)?;
        let told = head.len() == FINGERPRINT_BYTES_MAX || head.contains(&b'\n');
        if options.follow && !told && !force {
            self.at_end = true;
            return Ok(());
        }
        self.at_end = false;
        self.compression = Compression::of(&head);
        self.fingerprint = Fingerprint::of(&head);
        let mut identity = self.fingerprint.identity(self.id);
        let mut start = match begin {
            Begin::At(mark) => mark,
            Begin::Start => Mark::START,
            Begin::Known => identity::known(intake, self.id, &head).map_or(Mark::START, |(known, mark)| {
                identity = known;
                mark
            }),
        };
        let as_it_is =
            self.compression.is_none() && !matches!(head.as_slice(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
        if as_it_is && start.offset > file.metadata()?.len() {
            intake.notice(
                false,
                format!("`{}` is shorter than it was: it is read from its beginning", self.name),
            );
            start = Mark::START;
        }
        self.read_to = 0;
        self.cutter = if as_it_is && start.offset > 0 {
            self.read_to = start.offset;
            LineCutter::at(options.max_line, start, &before(file, start.offset, options.max_line)?)
        } else {
            LineCutter::leaving_out(options.max_line, start)
        };
        if let Some(compression) = self.compression
            && let Some(Handle::Plain(file)) = self.handle.take()
        {
            self.handle = Some(Handle::Decoded(compression.decode(file)?));
        }
        let opening = Opening {
            name: self.name.clone(),
            identity,
            position: Position::Line,
            service: self.label.clone(),
            host: None,
            bounded: !options.follow || self.compression.is_some(),
        };
        self.partition = Some(intake.open(opening, start).map_err(io::Error::other)?);
        Ok(())
    }

    /// Hands over what is there, or reads on, while there is room.
    pub(super) fn step(&mut self, read_bytes: usize, options: &Options) -> Result<Step, Stopped> {
        let Some(partition) = &mut self.partition else { return Ok(Step::Waits) };
        let mut moved = false;
        while self.cutter.is_ready() {
            if !partition.has_room() {
                return Ok(if moved { Step::Moved } else { Step::Waits });
            }
            if let Some(super::Lines { bytes, offset, line }) = self.cutter.pop() {
                partition.send(bytes, logbraid_parse::Framing::Lines { offset, line })?;
            }
            moved = true;
        }
        if self.at_end {
            let followed = options.follow && self.compression.is_none();
            return Ok(if moved {
                Step::Moved
            } else if followed {
                Step::Waits
            } else {
                Step::Ended
            });
        }
        if !partition.has_room() {
            return Ok(if moved { Step::Moved } else { Step::Waits });
        }
        Ok(match self.read(read_bytes, options.follow) {
            Ok(true) => Step::Moved,
            Ok(false) => Step::Truncated,
            Err(error) => {
                self.at_end = true;
                Step::Failed(error)
            }
        })
    }

    /// Reads once. False when the file was truncated and written anew in the meantime.
    fn read(&mut self, read_bytes: usize, follow: bool) -> io::Result<bool> {
        self.ensure_open()?;
        let Some(handle) = &mut self.handle else { return Err(io::Error::other("it is not open")) };
        let (read_to, fingerprint) = (self.read_to, self.fingerprint);
        let mut anew = false;
        let mut longer = None;
        let read = self.cutter.fill(|text| match handle {
            Handle::Decoded(from) => read_onto(from, text, read_bytes),
            Handle::Plain(file) => {
                let start = text.len();
                let read = read_onto(At { file, offset: read_to }, text, read_bytes)?;
                if follow && read > 0 {
                    // Looking after the read: if the file still begins as it did, then what was read is its own.
                    let head = identity::head(file)?;
                    if !fingerprint.matches(&head) && file.metadata()?.len() >= read_to + read as u64 {
                        anew = true;
                        text.truncate(start);
                    } else if !fingerprint.is_full() && fingerprint.matches(&head) {
                        longer = Some(Fingerprint::of(&head));
                    }
                }
                Ok(read)
            }
        })?;
        if anew {
            return Ok(false);
        }
        self.fingerprint = longer.unwrap_or(self.fingerprint);
        self.read_to += read as u64;
        // A short read means that the end was seen.
        self.at_end = read < read_bytes;
        if self.at_end && (!follow || self.compression.is_some()) {
            self.cutter.finish();
        }
        Ok(true)
    }

    /// The file has ended, or cannot be read on: hands over the rest and ends the partition.
    pub(super) fn finish(mut self, intake: &Intake) -> Result<(), Stopped> {
        self.end_partition(true, intake)
    }

    /// Begins anew, as a new partition: the file was truncated.
    pub(super) fn restart(&mut self, options: &Options, intake: &Intake) -> Result<io::Result<()>, Stopped> {
        self.end_partition(true, intake)?;
        self.fingerprint_before = Some(self.fingerprint);
        self.read_to = 0;
        Ok(self.begin(Begin::Start, false, options, intake))
    }

    /// The pipeline stops. An unfinished last line is handed over if the options say so and it is the file's last.
    pub(super) fn stop(mut self, options: &Options, intake: &Intake) -> Result<(), Stopped> {
        let partial = options.follow && options.partial_at_stop && self.at_end;
        if partial && self.partition.is_none() && self.begin(Begin::Known, true, options, intake).is_ok() {
            // If this fails, the line stays where it is.
            let _read = self.read(options.read_bytes, true);
        }
        self.end_partition(partial && self.at_end, intake)
    }

    fn end_partition(&mut self, rest: bool, intake: &Intake) -> Result<(), Stopped> {
        let Some(mut partition) = self.partition.take() else { return Ok(()) };
        if rest {
            self.cutter.finish();
            while let Some(lines) = self.cutter.pop() {
                hand_over(&mut partition, lines, intake)?;
            }
        }
        partition.finish()
    }

    /// Where this run stopped reading.
    pub(super) fn mark(&self) -> Mark {
        let (offset, line) = self.cutter.position();
        Mark { offset, line, ..Mark::START }
    }

    /// The file was seen to be `len` bytes long. True when it was truncated.
    pub(super) fn is_truncated_at(&mut self, len: u64) -> bool {
        if self.compression.is_some() || self.partition.is_none() {
            return false;
        }
        if len > self.read_to {
            self.at_end = false;
        }
        len < self.read_to
    }

    /// The length of the open file and how many names it has.
    pub(super) fn metadata(&self) -> Option<fs::Metadata> {
        match &self.handle {
            Some(Handle::Plain(file)) => file.metadata().ok(),
            _ => None,
        }
    }

    /// True when its file may be closed and opened again later.
    pub(super) const fn may_close(&self) -> bool {
        matches!(self.handle, Some(Handle::Plain(_))) && self.left.is_none()
    }

    /// Opens the file again after it was closed to save descriptors, wherever it was moved to within its folder.
    pub(super) fn ensure_open(&mut self) -> io::Result<()> {
        if self.handle.is_some() {
            return Ok(());
        }
        if let Ok((file, metadata)) = open_file(&self.path)
            && FileId::of(&metadata) == self.id
        {
            self.handle = Some(Handle::Plain(file));
            return Ok(());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))?.flatten() {
            let moved = entry.metadata().is_ok_and(|metadata| FileId::of(&metadata) == self.id);
            if moved
                && let Ok((file, metadata)) = open_file(&entry.path())
                && FileId::of(&metadata) == self.id
            {
                self.handle = Some(Handle::Plain(file));
                return Ok(());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it was moved away or deleted before it was read to its end",
        ))
    }
}

/// What stands before `offset`: from the last line end on, or `max_line + 1` bytes.
fn before(file: &File, offset: u64, max_line: usize) -> io::Result<Vec<u8>> {
    let last = identity::bytes_at(file, offset - 1, 1)?;
    if last == b"\n" {
        return Ok(last);
    }
    let len =
        usize::try_from(offset).unwrap_or(usize::MAX).min(max_line.min(super::lines::MAX_LINE_LIMIT) + 1);
    identity::bytes_at(file, offset - len as u64, len)
}

/// Reads a file from a place of one's own.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(to, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
