//! Looks after followed paths: which file is there now, has it grown, was it truncated, and what is new.
//!
//! ```text
//!  app.log ──► inode 7 ── renamed ──► inode 7 is read on until it is quiet; app.log ──► inode 9, a new partition
//!          ──► inode 7 ── truncated ► inode 7 from its beginning, a new partition
//!  logs/*.log ── searched every second ──► paths that were not known yet
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use logbraid_core::Span;

use super::decode::{self, Compression};
use super::files::{Files, is_rotated_name};
use super::identity::{self, FileId};
use super::intake::Stopped;
use super::tracked::{Begin, Left, Tracked, open_file};
use super::walk::Pattern;

/// How long a compressed file that has just appeared must have kept its length: somebody may still be writing it.
const SETTLED_AFTER: Span = Span::from_seconds(2);

/// A path that was named or found.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) label: Option<String>,
    /// The file that was there at the last look, whether it is read or not.
    current: Option<FileId>,
    /// Found by a pattern, and forgotten when it is gone.
    found: bool,
    /// Only text is read, as in folders.
    text_only: bool,
    /// The user was told why nothing is read here.
    told: bool,
    /// A compressed file's length, and since when it has had it.
    settling: Option<(u64, Span)>,
}

/// A pattern whose matches are followed.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) pattern: Pattern,
    pub(super) label: Option<String>,
}

impl Place {
    /// A path that the user named, or that was found when the inputs were resolved.
    pub(super) fn named(path: PathBuf, name: String, label: Option<String>) -> Self {
        Self { path, name, label, current: None, found: false, text_only: false, told: false, settling: None }
    }
}

impl Files {
    /// Looks after everything, if it is time to.
    pub(super) fn look(&mut self) -> Result<(), Stopped> {
        let now = self.intake.clock().uptime();
        if now < self.next_look {
            return Ok(());
        }
        // Thousands of idle files must not keep a core busy.
        let slower = i64::try_from(1 + self.places.len() / 1000).unwrap_or(i64::MAX);
        let poll = i64::try_from(self.options.poll.as_nanos()).unwrap_or(i64::MAX);
        self.next_look = now + Span::from_nanos(poll.saturating_mul(slower));
        if now >= self.next_scan {
            self.scan();
            // At most a twentieth of the time goes into searching.
            let took = self.intake.clock().uptime().nanos().saturating_sub(now.nanos());
            let pause = self.options.scan.nanos().max(took.saturating_mul(20));
            self.next_scan = now + Span::from_nanos(pause);
        }
        for at in 0..self.places.len() {
            self.check(at, now, false)?;
        }
        self.check_left(now)
    }

    /// Searches for paths that are not known yet.
    fn scan(&mut self) {
        if self.watches.is_empty() {
            return;
        }
        let mut known: BTreeSet<PathBuf> = self.places.iter().map(|place| place.path.clone()).collect();
        let mut new = BTreeMap::new();
        for watch in &self.watches {
            for path in watch.pattern.find().files {
                if known.insert(path.clone()) {
                    new.insert(path, (watch.label.clone(), watch.pattern.is_folder()));
                }
            }
        }
        self.places.retain(|place| !place.found || place.current.is_some());
        for (path, (label, text_only)) in new {
            let name = path.display().to_string();
            self.places.push(Place { found: true, text_only, ..Place::named(path, name, label) });
        }
    }

    /// Looks at one path: at the start of the run, or while following.
    pub(super) fn check(&mut self, at: usize, now: Span, start: bool) -> Result<(), Stopped> {
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        let metadata = match std::fs::metadata(&place.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => {
                self.gone(at, now, &io::Error::other("it is not a regular file"));
                return Ok(());
            }
            Err(error) => {
                self.gone(at, now, &error);
                return Ok(());
            }
        };
        let id = FileId::of(&metadata);
        if place.current != Some(id) {
            let path = place.path.clone();
            // Only a path that led to another file before can have been rotated.
            for tracked in
                self.tracked.values_mut().filter(|tracked| tracked.path == path && tracked.id != id)
            {
                let quiet_since = tracked.left.map_or(now, |left| left.quiet_since);
                tracked.left = Some(Left { quiet_since, replaced: true });
            }
            if let Some(tracked) = self.tracked.get_mut(&id) {
                // A file that is read already has been renamed to what is followed as well.
                tracked.path = path;
                tracked.left = None;
                self.places[at].current = Some(id);
            } else if let Err(error) = self.find_file(at, id, now, start) {
                self.gone(at, now, &error);
                return Ok(());
            }
        }
        let Some(tracked) = self.tracked.get_mut(&id) else { return Ok(()) };
        if tracked.partition.is_none() {
            if metadata.len() == 0 {
                return Ok(());
            }
            if let Err(error) = tracked.begin(Begin::Known, false, &self.options, &self.intake) {
                let name = tracked.name.clone();
                self.tracked.remove(&id);
                self.lost(&name, &error);
            }
            return Ok(());
        }
        if tracked.is_truncated_at(metadata.len()) { self.restart(id) } else { Ok(()) }
    }

    /// There is nothing to read at a path.
    fn gone(&mut self, at: usize, now: Span, error: &io::Error) {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let follow = self.options.follow;
        let Some(place) = self.places.get_mut(at) else { return };
        let before = place.current.take();
        if !std::mem::replace(&mut place.told, true) && before.is_none() {
            let name = &place.name;
            if follow && missing {
                self.intake.notice(false, format!("waiting for `{name}`, which does not exist yet"));
            } else {
                self.intake.notice(true, format!("`{name}` cannot be read: {error}"));
            }
        }
        let left =
            before.and_then(|id| self.tracked.get_mut(&id)).filter(|tracked| tracked.path == place.path);
        if let Some(tracked) = left {
            tracked.left.get_or_insert(Left { quiet_since: now, replaced: false });
        }
    }

    /// Another file than before is at a path.
    fn find_file(&mut self, at: usize, id: FileId, now: Span, start: bool) -> io::Result<()> {
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        let (file, metadata) = open_file(&place.path)?;
        if FileId::of(&metadata) != id {
            return Ok(()); // Replaced just now: the next look will tell.
        }
        let head = identity::bytes_at(&file, 0, 1024)?;
        if place.text_only && decode::is_binary(&head) {
            place.current = Some(id);
            let text = format!("`{}` was left out: it does not hold text", place.name);
            self.intake.notice(false, text);
            return Ok(());
        }
        let compressed = Compression::of(&head).is_some();
        if compressed && !start && self.options.follow {
            let (len, since) = place.settling.unwrap_or((u64::MAX, now));
            let since = if len == metadata.len() { since } else { now };
            place.settling = Some((metadata.len(), since));
            if now.nanos() - since.nanos() < SETTLED_AFTER.nanos() {
                return Ok(());
            }
        }
        place.current = Some(id);
        place.told = true;
        let (path, name, label) = (place.path.clone(), place.name.clone(), place.label.clone());
        if !start && self.is_copy(&path, compressed, &head) {
            let text = format!("`{name}` was left out: it is a rotated copy of a file that is followed");
            self.intake.notice(false, text);
            return Ok(());
        }
        let done = self.done.iter().rev().find(|done| done.id == id && done.fingerprint.matches(&head));
        let begin = match done {
            Some(done) if metadata.len() == done.read_to => return Ok(()),
            Some(done) if metadata.len() > done.read_to => Begin::At(done.mark),
            _ => Begin::Known,
        };
        self.take_in(Tracked::new(path, name, label, file, id, &head), begin, false);
        Ok(())
    }

    /// True when the new file at `path` holds what was read under the name it was rotated from.
    fn is_copy(&self, path: &Path, compressed: bool, head: &[u8]) -> bool {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return false };
        self.tracked.values().any(|tracked| {
            let of = tracked.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if tracked.path.parent() != path.parent() || !is_rotated_name(&name, &of) {
                return false;
            }
            let same = |print: identity::Fingerprint| print.is_full() && print.matches(head);
            compressed || same(tracked.fingerprint) || tracked.fingerprint_before.is_some_and(same)
        })
    }

    /// Looks after files that are no longer at their path: they are read on until they have been quiet for a while and
    /// another file has taken their place, or their last name is gone.
    fn check_left(&mut self, now: Span) -> Result<(), Stopped> {
        let left: Vec<FileId> = self
            .tracked
            .values()
            .filter(|tracked| tracked.left.is_some())
            .map(|tracked| tracked.id)
            .collect();
        for id in left {
            let Some(tracked) = self.tracked.get_mut(&id) else { continue };
            if let Err(error) = tracked.ensure_open() {
                let name = tracked.name.clone();
                self.end(id)?;
                self.intake.notice(true, format!("the rest of `{name}` is lost: {error}"));
                continue;
            }
            let (Some(metadata), Some(left)) = (tracked.metadata(), tracked.left.as_mut()) else { continue };
            if metadata.len() > tracked.read_to {
                left.quiet_since = now;
            }
            let quiet = now.nanos() - left.quiet_since.nanos() >= self.options.rotate_wait.nanos();
            let replaced = left.replaced || metadata.nlink() == 0;
            if tracked.partition.is_none() && (metadata.len() > 0) {
                let force = quiet && replaced;
                if tracked.begin(Begin::Known, force, &self.options, &self.intake).is_err() {
                    self.tracked.remove(&id);
                }
                continue;
            }
            let truncated = tracked.is_truncated_at(metadata.len());
            if truncated || (quiet && replaced && tracked.at_end) {
                self.end(id)?;
            }
        }
        Ok(())
    }
}
