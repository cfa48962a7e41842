//! A pipeline that a test plays: it hears what a source says, gives room back or not, and commits when told.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use logbraid_core::event::NoFields;
use logbraid_core::progress::Mark;
use logbraid_core::{EventTime, PartitionId};
use logbraid_parse::Framing;
use logbraid_runtime::clock::HostClock;
use logbraid_runtime::source::intake::{Committer, Control, Drained, Intake, Message, State};
use tokio::sync::mpsc;

use crate::stopwatch::Stopwatch;

/// One partition, as the pipeline sees it.
#[derive(Debug)]
pub struct Seen {
    /// `topic/partition`.
    pub name: String,
    /// Where it began.
    pub start: Mark,
    /// Who keeps its position.
    pub state: State,
    /// The offset of every record, and its text.
    pub records: Vec<(u64, String)>,
    /// True once it has ended or was given away.
    pub gone: bool,
}

/// A pipeline.
#[derive(Debug)]
pub struct Player {
    receiver: mpsc::Receiver<Message>,
    control: Control,
    /// Partitions in the order of their numbers.
    pub seen: BTreeMap<PartitionId, Seen>,
    /// What the user was told.
    pub notices: Vec<(bool, String)>,
    /// What the source wants back.
    pub releases: Vec<(PartitionId, SyncSender<Drained>)>,
    /// While true, batches are taken and their room is not given back.
    pub stalled: bool,
    withheld: Vec<PartitionId>,
}

impl Player {
    /// A pipeline and what its source speaks to.
    pub fn new() -> (Self, Intake) {
        let (sender, receiver) = mpsc::channel(16);
        let clock = Arc::new(HostClock::default());
        let intake = Intake::new(sender, HashMap::new(), Arc::new(NoFields), clock);
        let player = Self {
            receiver,
            control: intake.control(),
            seen: BTreeMap::new(),
            notices: Vec::new(),
            releases: Vec::new(),
            stalled: false,
            withheld: Vec::new(),
        };
        (player, intake)
    }

    /// Hears what the source says until `enough`.
    ///
    /// # Errors
    /// When that takes longer than `patience`, or the source ends.
    pub fn hear(&mut self, patience: Duration, mut enough: impl FnMut(&Self) -> bool) -> io::Result<()> {
        let watch = Stopwatch::start();
        while !enough(self) {
            if watch.elapsed() > patience {
                let text = format!("not in time: {} records, notices {:?}", self.records(), self.notices);
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            match self.receiver.try_recv() {
                Ok(message) => self.take(message),
                Err(mpsc::error::TryRecvError::Empty) => thread::sleep(Duration::from_millis(1)),
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    return Err(io::Error::other(format!("the source has ended: {:?}", self.notices)));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Open { source, start, state, .. } => {
                let seen = Seen { name: source.name.clone(), start, state, records: Vec::new(), gone: false };
                self.seen.insert(source.partition, seen);
            }
            Message::Batch { raw, .. } => {
                let id = raw.source.partition;
                let records = match raw.framing {
                    Framing::Records(records) | Framing::Tagged { records, .. } => records,
                    Framing::Lines { .. } => Vec::new(),
                };
                if let Some(seen) = self.seen.get_mut(&id) {
                    seen.records.extend(records.into_iter().map(|record| {
                        let text = raw.bytes.get(record.start as usize..).unwrap_or_default();
                        let text = text.get(..record.len as usize).unwrap_or_default();
                        (record.offset, String::from_utf8_lossy(text).into_owned())
                    }));
                }
                if self.stalled {
                    self.withheld.push(id);
                } else {
                    self.control.taken(id);
                }
            }
            Message::Ready { .. } => {}
            Message::Finish { partition, .. } | Message::Drop { partition } => {
                if let Some(seen) = self.seen.get_mut(&partition) {
                    seen.gone = true;
                }
            }
            Message::Release { partition, drained, .. } => self.releases.push((partition, drained)),
            Message::Notice { fatal, text } => self.notices.push((fatal, text)),
        }
    }

    /// Gives room back for everything that was taken while stalled.
    pub fn go_on(&mut self) {
        self.stalled = false;
        for id in std::mem::take(&mut self.withheld) {
            self.control.taken(id);
        }
    }

    /// How many records were heard.
    pub fn records(&self) -> usize {
        self.seen.values().map(|seen| seen.records.len()).sum()
    }

    /// Takes commits of a partition; none when it has no state of its own.
    pub fn committer(&self, id: PartitionId) -> Option<Arc<dyn Committer>> {
        match &self.seen.get(&id)?.state {
            State::Own { committer, .. } => Some(Arc::clone(committer)),
            State::Shared => None,
        }
    }

    /// Answers every wish for a partition: all of it is done.
    pub fn release_all(&mut self) {
        for (id, drained) in std::mem::take(&mut self.releases) {
            if let Some(seen) = self.seen.get_mut(&id) {
                seen.gone = true;
                let done = Drained { mark: seen.next(), delivered_through: EventTime::from_nanos(7) };
                // The source may have given up waiting.
                let _late = drained.send(done);
            }
        }
    }

    /// Ends as the runtime does: sources hear it, and nobody commits any more.
    pub fn stop(mut self) {
        self.control.stop();
        self.receiver.close();
    }
}

impl Seen {
    /// The mark after its last record.
    pub fn next(&self) -> Mark {
        let offset = self.records.last().map_or(self.start.offset, |(offset, _)| offset + 1);
        Mark { offset, line: 0, newest: 1, carried: 2, taken: offset }
    }
}
