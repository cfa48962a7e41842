//! The standard input, named pipes and character devices: read as they come, whole lines sent at once.
//!
//! When the pipeline stops, what the pipe holds is read and delivered first: it could not be read again.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use logbraid_core::Position;
use logbraid_core::progress::Mark;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::decode::Compression;
use super::inputs::{Input, InputKind};
use super::intake::{Intake, Opening, Partition, Stopped};
use super::lines::LineCutter;
use super::{Options, hand_over};

/// Bytes read at once, where the pipe holds as many.
const READ_BYTES: usize = 256 << 10;
/// What a pipe is asked to hold, so that its writer waits less.
const PIPE_BYTES: usize = 1 << 20;
/// Most bytes read after the pipeline was stopped: a pipe's content, not a writer's future.
const LAST_BYTES_MAX: usize = 4 * PIPE_BYTES;

/// Reads `input` to its end.
pub(super) fn run(input: &Input, options: &Options, intake: &Intake) {
    let opened = match &input.kind {
        InputKind::Pipe { path } => open(path, options.follow),
        _ => io::stdin().as_fd().try_clone_to_owned().map(File::from),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            intake.notice(true, format!("`{}` cannot be read: {error}", input.name));
            // `Stopped` means that nobody listens any more; so below.
            let _stopped = intake.ready();
            return;
        }
    };
    // Only pipes have a size; for other inputs this fails, and that is all right.
    let _asked = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES);
    let opening = Opening {
        name: input.name.clone(),
        identity: format!("pipe:{}", input.name),
        position: Position::Line,
        service: input.label.clone(),
        host: None,
        bounded: false,
    };
    let Ok(partition) = intake.open(opening, Mark::START) else { return };
    if intake.ready().is_err() {
        return;
    }
    let source = Waiting { file, intake: intake.clone(), last: LAST_BYTES_MAX };
    let mut stream = Stream { partition, cutter: LineCutter::new(options.max_line), intake };
    let result = stream.read(source);
    let Ok(error) = result else { return };
    if let Some(error) = error {
        intake.notice(true, format!("`{}` was read up to an error: {error}", input.name));
    }
    let _stopped = stream.partition.finish();
}

fn open(path: &Path, follow: bool) -> io::Result<File> {
    // Without `NONBLOCK`, opening a named pipe waits for a writer and cannot be stopped.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if follow && file.metadata()?.file_type().is_fifo() {
        // One who could write, too, never sees the end when a writer goes and another one comes.
        return OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).or(Ok(file));
    }
    Ok(file)
}

/// A file that is read when it has something to read, and that ends when the pipeline stops.
struct Waiting {
    file: File,
    intake: Intake,
    /// Bytes that may still be read once the pipeline has stopped.
    last: usize,
}

impl Read for Waiting {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        const NO_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            let stopped = self.intake.is_stopped();
            let wait = if stopped { NO_WAIT } else { WAIT };
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(0) if stopped => return Ok(0),
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let room = if stopped { to.len().min(self.last) } else { to.len() };
            match self.file.read(&mut to[..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody else read it first, or the pipe's writer has gone and poll says so for ever.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stopped {
                        return Ok(0);
                    }
                    std::thread::sleep(super::LAST_WAIT);
                }
                Ok(read) => {
                    self.last -= if stopped { read } else { 0 };
                    return Ok(read);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

struct Stream<'a> {
    partition: Partition,
    cutter: LineCutter,
    intake: &'a Intake,
}

impl Stream<'_> {
    /// Reads to the end, or to an error, which is returned when everything before it was delivered.
    fn read(&mut self, mut source: Waiting) -> Result<Option<io::Error>, Stopped> {
        let mut head = Vec::new();
        while Compression::is_open(&head) {
            match read_some(&mut source, &mut head) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Ok(Some(error)),
            }
        }
        let result = if let Some(compression) = Compression::of(&head) {
            match compression.decode(Cursor::new(head).chain(source)) {
                Ok(mut decoded) => self.copy(&mut decoded),
                Err(error) => Ok(Some(error)),
            }
        } else {
            let _always_ok = self.cutter.fill(|text| {
                text.append(&mut head);
                Ok(())
            });
            self.copy(&mut source)
        }?;
        self.cutter.finish();
        self.send()?;
        Ok(result)
    }

    fn copy(&mut self, from: &mut dyn Read) -> Result<Option<io::Error>, Stopped> {
        loop {
            self.send()?;
            match self.cutter.fill(|text| read_some(from, text)) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Ok(Some(error)),
            }
        }
    }

    fn send(&mut self) -> Result<(), Stopped> {
        while let Some(lines) = self.cutter.pop() {
            hand_over(&mut self.partition, lines, self.intake)?;
        }
        Ok(())
    }
}

/// Appends what one read returns.
fn read_some(from: &mut dyn Read, to: &mut Vec<u8>) -> io::Result<usize> {
    let start = to.len();
    to.resize(start + READ_BYTES, 0);
    let result = loop {
        match from.read(&mut to[start..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    to.truncate(start + *result.as_ref().unwrap_or(&0));
    result
}
