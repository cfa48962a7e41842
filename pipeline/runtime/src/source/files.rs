//! Reads all files in one thread, in turn, each as far as its partition has room.
//!
//! All partitions are opened before the first byte is handed over, so that no file's time runs ahead of one that was
//! not known yet. When files are followed, [`super::places`] looks after rotation, truncation and new files.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use logbraid_core::Span;
use logbraid_core::progress::Mark;

use super::Options;
use super::identity::{self, FileId, Fingerprint};
use super::inputs::{Input, InputKind};
use super::intake::{Intake, Stopped};
use super::places::{Place, Watch};
use super::tracked::{Begin, Left, Step, Tracked, open_file};

/// What all partitions together may have under way, in bytes, where that leaves each at least [`READ_BYTES_MIN`].
const UNDER_WAY_BYTES: usize = 64 << 20;
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 16 << 20;
/// Most files that are remembered after they were read to their end.
const DONE_MAX: usize = 1024;

/// A file that was followed to its end.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) id: FileId,
    pub(super) fingerprint: Fingerprint,
    pub(super) read_to: u64,
    pub(super) mark: Mark,
}

/// All files that are read.
pub(super) struct Files {
    pub(super) options: Options,
    pub(super) intake: Intake,
    /// Paths that were named or found.
    pub(super) places: Vec<Place>,
    pub(super) watches: Vec<Watch>,
    pub(super) tracked: BTreeMap<FileId, Tracked>,
    pub(super) done: VecDeque<Done>,
    /// When to look after the places, and when to search for new ones, in uptime.
    pub(super) next_look: Span,
    pub(super) next_scan: Span,
    steps: u64,
}

impl Files {
    pub(super) fn new(inputs: Vec<Input>, mut options: Options, intake: Intake) -> Self {
        options.read_bytes = options.read_bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        options.open_files_max = options.open_files_max.max(1);
        let mut places = Vec::new();
        let mut watches = Vec::new();
        for Input { kind, label, name } in inputs {
            match kind {
                InputKind::File { path } => places.push(Place::named(path, name, label)),
                InputKind::Watch { pattern } => watches.push(Watch { pattern, label }),
                InputKind::Stdin
                | InputKind::Pipe { .. }
                | InputKind::Kafka { .. }
                | InputKind::Sqlite { .. } => {}
            }
        }
        Self {
            options,
            intake,
            places,
            watches,
            tracked: BTreeMap::new(),
            done: VecDeque::new(),
            next_look: Span::ZERO,
            next_scan: Span::ZERO,
            steps: 0,
        }
    }

    /// Reads until everything has ended or the pipeline stops.
    pub(super) fn run(mut self) -> Result<(), Stopped> {
        self.begin()?;
        let mut ids = Vec::new();
        loop {
            if self.intake.is_closed() {
                return Err(Stopped);
            }
            if self.intake.is_stopped() {
                for tracked in std::mem::take(&mut self.tracked).into_values() {
                    tracked.stop(&self.options, &self.intake)?;
                }
                return Ok(());
            }
            let made = self.intake.room_made();
            ids.clear();
            ids.extend(self.tracked.keys().copied());
            let mut moved = false;
            for id in &ids {
                moved |= self.step(*id)?;
            }
            if self.options.follow {
                self.look()?;
            } else if self.tracked.is_empty() {
                return Ok(());
            }
            if !moved {
                self.intake.wait_for_room_since(made, self.options.poll);
            }
        }
    }

    fn begin(&mut self) -> Result<(), Stopped> {
        let now = self.intake.clock().uptime();
        for at in 0..self.places.len() {
            if self.intake.is_stopped() {
                break;
            }
            self.check(at, now, true)?;
        }
        self.next_look = now;
        self.next_scan = now + self.options.scan;
        if self.intake.has_positions() {
            self.resume_rotated();
        }
        self.intake.ready()
    }

    /// An earlier run may have stopped before it had read a file that was then rotated away to its end.
    fn resume_rotated(&mut self) {
        let places: Vec<(PathBuf, String, Option<String>)> = self
            .places
            .iter()
            .map(|place| (place.path.clone(), place.name.clone(), place.label.clone()))
            .collect();
        for (path, name, label) in places {
            let Some(file_name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
                continue;
            };
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { continue };
            for entry in entries.flatten() {
                if !is_rotated_name(&entry.file_name().to_string_lossy(), &file_name) {
                    continue;
                }
                let Ok((file, metadata)) = open_file(&entry.path()) else { continue };
                let id = FileId::of(&metadata);
                let Ok(head) = identity::head(&file) else { continue };
                let unread = identity::known(&self.intake, id, &head)
                    .is_some_and(|(_, mark)| mark.offset < metadata.len());
                if !unread || self.tracked.contains_key(&id) {
                    continue;
                }
                let mut tracked = Tracked::new(entry.path(), name.clone(), label.clone(), file, id, &head);
                if tracked.compression.is_some() {
                    continue;
                }
                let quiet_since = self.intake.clock().uptime();
                tracked.left = Some(Left { quiet_since, replaced: true });
                self.take_in(tracked, Begin::Known, true);
            }
        }
    }

    /// Begins to read a file; says so when that fails.
    pub(super) fn take_in(&mut self, mut tracked: Tracked, begin: Begin, force: bool) {
        match tracked.begin(begin, force, &self.options, &self.intake) {
            Ok(()) => {
                self.steps += 1;
                tracked.used = self.steps;
                let id = tracked.id;
                self.tracked.insert(id, tracked);
                self.close_one_but(id);
            }
            Err(error) => self.lost(&tracked.name, &error),
        }
    }

    pub(super) fn lost(&self, name: &str, error: &std::io::Error) {
        self.intake.notice(true, format!("`{name}` cannot be read: {error}"));
    }

    /// One step of one file. True when something moved.
    fn step(&mut self, id: FileId) -> Result<bool, Stopped> {
        let read_bytes = (UNDER_WAY_BYTES
            / (super::intake::BATCHES_UNDER_WAY_MAX * self.tracked.len().max(1)))
        .clamp(READ_BYTES_MIN, self.options.read_bytes);
        let Some(tracked) = self.tracked.get_mut(&id) else { return Ok(false) };
        let was_open = tracked.handle.is_some();
        let step = tracked.step(read_bytes, &self.options)?;
        if matches!(step, Step::Moved) {
            self.steps += 1;
            tracked.used = self.steps;
        }
        let opened = !was_open && tracked.handle.is_some();
        match step {
            Step::Moved => {}
            Step::Waits => return Ok(false),
            Step::Truncated => self.restart(id)?,
            Step::Ended => self.end(id)?,
            Step::Failed(error) => {
                let name = tracked.name.clone();
                self.end(id)?;
                let text = format!("`{name}` was read up to an error, the rest is lost: {error}");
                self.intake.notice(true, text);
            }
        }
        if opened {
            self.close_one_but(id);
        }
        Ok(true)
    }

    /// Ends a file's partition and remembers how far it was read.
    pub(super) fn end(&mut self, id: FileId) -> Result<(), Stopped> {
        let Some(tracked) = self.tracked.remove(&id) else { return Ok(()) };
        if self.options.follow && tracked.compression.is_none() {
            let (fingerprint, read_to, mark) = (tracked.fingerprint, tracked.read_to, tracked.mark());
            self.done.push_back(Done { id, fingerprint, read_to, mark });
            if self.done.len() > DONE_MAX {
                self.done.pop_front();
            }
        }
        tracked.finish(&self.intake)
    }

    /// Begins a truncated file anew.
    pub(super) fn restart(&mut self, id: FileId) -> Result<(), Stopped> {
        let Some(tracked) = self.tracked.get_mut(&id) else { return Ok(()) };
        if let Err(error) = tracked.restart(&self.options, &self.intake)? {
            let name = tracked.name.clone();
            self.tracked.remove(&id);
            self.lost(&name, &error);
        }
        Ok(())
    }

    /// Keeps the number of open files bounded: closes the one that has not been read for longest.
    fn close_one_but(&mut self, id: FileId) {
        let open = self.tracked.values().filter(|tracked| tracked.handle.is_some()).count();
        if open <= self.options.open_files_max {
            return;
        }
        let others = self.tracked.values_mut().filter(|tracked| tracked.id != id && tracked.may_close());
        if let Some(oldest) = others.min_by_key(|tracked| tracked.used) {
            oldest.handle = None;
        }
    }
}

/// True when `name` is what rotation makes of `of`: `app.log.1`, `app.log-20240115`.
pub(super) fn is_rotated_name(name: &str, of: &str) -> bool {
    name.strip_prefix(of).is_some_and(|rest| rest.starts_with(['.', '-', '_']))
}
