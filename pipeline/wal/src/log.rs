//! The log: segments in order, the last one being written.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::frame::{self, Records};
use crate::replay::Replay;
use crate::storage::{Storage, Writer};

/// Bounds of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment ends once it holds this many bytes. Replay holds one segment in memory.
    pub segment_bytes: u64,
    /// Most bytes on disk; at least two segments and the longest record.
    pub disk_bytes_max: u64,
    /// Longest record, in bytes.
    pub record_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, disk_bytes_max: 1 << 30, record_bytes_max: 16 << 20 }
    }
}

/// Why the log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no room; nothing was written. Wait for [`Log::release`], and let the sender wait.
    #[error("the write-ahead log holds {held} of {limit} bytes that no sink has flushed yet")]
    Full {
        /// Bytes on disk.
        held: u64,
        /// [`Options::disk_bytes_max`].
        limit: u64,
    },
    /// The record is longer than the log takes; nothing was written.
    #[error("a record of {length} bytes; the write-ahead log takes {limit} at most")]
    TooLarge {
        /// The record's bytes.
        length: usize,
        /// [`Options::record_bytes_max`].
        limit: usize,
    },
    /// The bounds contradict each other.
    #[error("the write-ahead log may take {limit} bytes, which is too little; give it at least {least}")]
    TooSmall {
        /// [`Options::disk_bytes_max`].
        limit: u64,
        /// The least that works with the other bounds.
        least: u64,
    },
    /// The system refused.
    #[error("the write-ahead log cannot {action} `{name}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        name: String,
        /// The system's word.
        source: io::Error,
    },
    /// A write or a sync failed before. What the system then holds is unknown, and a second sync may succeed without
    /// having written anything: open the log again.
    #[error("the write-ahead log failed before and must be opened again")]
    Failed,
}

/// What opening found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes cut off the end of the last segment: writes that a crash interrupted. Damage that reaches to the very end
    /// cannot be told from them.
    pub torn_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Its first record's sequence number, which is its name.
    pub(crate) base: u64,
    pub(crate) bytes: u64,
}

impl Segment {
    pub(crate) fn name(base: u64) -> String {
        format!("{base:020}.wal")
    }
    fn parse(name: &str) -> Option<u64> {
        let base = name.strip_suffix(".wal").filter(|digits| digits.len() == 20)?.parse().ok()?;
        (Self::name(base) == name).then_some(base)
    }
}

/// A write-ahead log, open. Sequence numbers begin at 0 and are never used for two records that were acknowledged.
pub struct Log<S: Storage> {
    storage: Arc<S>,
    options: Options,
    segments: VecDeque<Segment>,
    writer: Arc<S::Writer>,
    /// Bytes of all segments.
    held: u64,
    next: u64,
    durable: u64,
    failed: bool,
    recovered: Recovered,
}

fn refused(action: &'static str, base: u64) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, name: Segment::name(base), source }
}

impl<S: Storage> Log<S> {
    /// Opens the log: forgets segments before `resume`, the first record that is still needed, cuts a torn tail off,
    /// and gives everything from `resume` on to be read again. Files that are not the log's are left alone.
    ///
    /// # Errors
    /// When the bounds contradict each other, or the system refuses.
    pub fn open(storage: Arc<S>, options: Options, resume: u64) -> Result<(Self, Replay<S>), Error> {
        let least = 2 * options.segment_bytes + 2 * frame::framed_max(options.record_bytes_max) as u64;
        if options.disk_bytes_max < least {
            return Err(Error::TooSmall { limit: options.disk_bytes_max, least });
        }
        let listed = |source| Error::Io { action: "list", name: ".".to_owned(), source };
        let names = storage.list().map_err(listed)?;
        let mut bases: Vec<u64> = names.iter().filter_map(|name| Segment::parse(name)).collect();
        bases.sort_unstable();
        let needed = bases.partition_point(|base| *base <= resume).saturating_sub(1);
        for base in bases.drain(..needed) {
            storage.remove(&Segment::name(base)).map_err(refused("remove", base))?;
        }
        let mut segments = VecDeque::new();
        for base in &bases {
            let bytes = storage.length(&Segment::name(*base)).map_err(refused("measure", *base))?;
            segments.push_back(Segment { base: *base, bytes });
        }
        let mut recovered = Recovered::default();
        let mut next = resume;
        if let Some(mut last) = segments.pop_back() {
            let name = Segment::name(last.base);
            let mut records =
                Records::new(last.base, storage.read(&name).map_err(refused("read", last.base))?);
            let newest = records.by_ref().map(|(sequence, _)| sequence).last();
            let whole = records.whole_end() as u64;
            recovered.torn_bytes = last.bytes.saturating_sub(whole);
            next = next.max(newest.map_or(last.base, |newest| newest.saturating_add(1)));
            if newest.is_some() {
                // Synced even when nothing is cut: what is read now must not be gone after the next crash, as its
                // numbers would then be missing.
                storage.cut(&name, whole).map_err(refused("cut", last.base))?;
                last.bytes = whole;
                segments.push_back(last);
            } else {
                storage.remove(&name).map_err(refused("remove", last.base))?;
            }
        }
        let replay = Replay::new(Arc::clone(&storage), segments.clone(), resume, next);
        // A new segment: bytes that were read once are never written beside again.
        let writer = Arc::new(storage.create(&Segment::name(next)).map_err(refused("create", next))?);
        segments.push_back(Segment { base: next, bytes: 0 });
        let held = segments.iter().map(|segment| segment.bytes).sum();
        let log =
            Self { storage, options, segments, writer, held, next, durable: next, failed: false, recovered };
        Ok((log, replay))
    }

    /// What opening found.
    pub const fn recovered(&self) -> Recovered {
        self.recovered
    }
    /// The next record's sequence number.
    pub const fn next(&self) -> u64 {
        self.next
    }
    /// All records below this number are durable and may be acknowledged.
    pub const fn durable(&self) -> u64 {
        self.durable
    }
    /// Bytes on disk.
    pub const fn held(&self) -> u64 {
        self.held
    }
    /// True after a write or a sync has failed.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// True when `records` records of `bytes` bytes in all can be appended before the log is full.
    pub const fn fits(&self, records: usize, bytes: usize) -> bool {
        // Each record is framed by itself, and may begin a segment.
        let framed = frame::framed_max(bytes) + records * frame::framed_max(0);
        self.held + framed as u64 <= self.options.disk_bytes_max
    }

    /// Appends a record and says its sequence number. It may be acknowledged once [`Self::durable`] is above that.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::TooLarge`] leave the log as it was; after the others it must be opened again.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        let limit = self.options.record_bytes_max;
        if payload.len() > limit {
            return Err(Error::TooLarge { length: payload.len(), limit });
        }
        // Before a segment ends: a sender that tries again and again while the log is full makes no files.
        let limit = self.options.disk_bytes_max;
        if self.held + frame::framed_max(payload.len()) as u64 > limit {
            return Err(Error::Full { held: self.held, limit });
        }
        if self.current().bytes >= self.options.segment_bytes {
            self.rotate()?;
        }
        let Segment { base, bytes } = self.current();
        let framed = frame::encode(base, bytes, self.next, payload);
        if let Err(source) = self.writer.append(&framed) {
            self.failed = true;
            return Err(refused("write", base)(source));
        }
        self.held += framed.len() as u64;
        if let Some(current) = self.segments.back_mut() {
            current.bytes += framed.len() as u64;
        }
        let sequence = self.next;
        self.next += 1;
        Ok(sequence)
    }

    /// Makes everything durable that was appended.
    ///
    /// # Errors
    /// When the system refuses; the log must then be opened again.
    pub fn sync(&mut self) -> Result<(), Error> {
        let (writer, through) = self.begin_sync();
        let result = writer.sync();
        self.end_sync(through, result)
    }

    /// What to sync, and which number will be durable then; earlier segments are durable already.
    pub(crate) fn begin_sync(&self) -> (Arc<S::Writer>, u64) {
        (Arc::clone(&self.writer), self.next)
    }

    pub(crate) fn end_sync(&mut self, through: u64, result: io::Result<()>) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        if let Err(source) = result {
            self.failed = true;
            return Err(refused("sync", self.current().base)(source));
        }
        self.durable = self.durable.max(through);
        Ok(())
    }

    /// Records before `sequence` are needed no more: segments that hold nothing else are removed.
    ///
    /// # Errors
    /// When the system refuses to remove one; it stays counted, and the next call tries again.
    pub fn release(&mut self, sequence: u64) -> Result<(), Error> {
        while self.segments.get(1).is_some_and(|second| second.base <= sequence) {
            let Some(Segment { base, bytes }) = self.segments.front().copied() else { break };
            match self.storage.remove(&Segment::name(base)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(refused("remove", base)(source));
                }
                _ => {}
            }
            self.held -= bytes;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn current(&self) -> Segment {
        self.segments.back().copied().unwrap_or(Segment { base: self.next, bytes: 0 })
    }

    /// Ends the current segment, durable, and begins the next one.
    fn rotate(&mut self) -> Result<(), Error> {
        self.sync()?;
        match self.storage.create(&Segment::name(self.next)) {
            Ok(writer) => self.writer = Arc::new(writer),
            Err(source) => {
                self.failed = true;
                return Err(refused("create", self.next)(source));
            }
        }
        self.segments.push_back(Segment { base: self.next, bytes: 0 });
        Ok(())
    }
}
