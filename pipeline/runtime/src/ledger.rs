//! The ledger: what every sink has flushed decides what may be committed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use logbraid_core::progress::Mark;
use logbraid_core::{EventTime, PartitionId};

use crate::checkpoint::Checkpoint;
use crate::source::intake::{Committer, Drained};

/// Where a partition with a state of its own may be resumed.
#[derive(Debug)]
pub struct OwnCommit {
    /// Who keeps it.
    pub committer: Arc<dyn Committer>,
    /// The position.
    pub mark: Mark,
    /// The watermark through which its records were delivered.
    pub delivered_through: EventTime,
    /// Set when the partition is wanted elsewhere: who waits for it.
    pub drained: Option<SyncSender<Drained>>,
}

/// What may be kept once every sink has flushed what it covers.
#[derive(Debug, Default)]
pub struct Commits {
    /// The positions of all partitions that share their state.
    pub checkpoint: Option<Checkpoint>,
    /// Those of partitions that do not.
    pub own: BTreeMap<PartitionId, OwnCommit>,
}

impl Commits {
    /// Hands over the partitions' own positions; the checkpoint is the caller's to store.
    pub fn keep(self) -> Option<Checkpoint> {
        for (partition, OwnCommit { committer, mark, delivered_through, drained }) in self.own {
            match drained {
                // Who waited too long has gone away; what was committed before stands.
                Some(drained) => {
                    let _gone = drained.try_send(Drained { mark, delivered_through });
                }
                None => committer.commit(partition, mark, delivered_through),
            }
        }
        self.checkpoint
    }

    /// Takes what `older` says of what this one is silent about.
    fn follow(&mut self, older: Self) {
        if self.checkpoint.is_none() {
            self.checkpoint = older.checkpoint;
        }
        for (partition, commit) in older.own {
            self.own.entry(partition).or_insert(commit);
        }
    }
}

/// Deliveries in order, each with what may be committed once all sinks have flushed it.
#[derive(Debug)]
pub struct Ledger {
    /// The last delivery that each sink has flushed.
    flushed: Vec<u64>,
    pending: VecDeque<(u64, Commits)>,
}

/// Most commits that wait for sinks; a new one takes in the newest beyond that.
const PENDING_MAX: usize = 64;

impl Ledger {
    /// A ledger of `sinks` sinks that have flushed nothing.
    pub fn new(sinks: usize) -> Self {
        Self { flushed: vec![0; sinks], pending: VecDeque::new() }
    }
    /// Notes that `commits` may be kept once every sink has flushed delivery `number` and all before it.
    pub fn expect(&mut self, number: u64, mut commits: Commits) {
        if self.pending.len() >= PENDING_MAX
            && let Some((_, older)) = self.pending.pop_back()
        {
            commits.follow(older);
        }
        self.pending.push_back((number, commits));
    }
    /// Notes that a sink has flushed everything through delivery `number`.
    pub fn flushed(&mut self, sink: usize, number: u64) {
        if let Some(seen) = self.flushed.get_mut(sink) {
            *seen = (*seen).max(number);
        }
    }
    /// The last delivery that all sinks for which `counts` holds have flushed; the largest number when there are none.
    pub fn through(&self, counts: impl Fn(usize) -> bool) -> u64 {
        let counted = self.flushed.iter().enumerate().filter(|(sink, _)| counts(*sink));
        counted.map(|(_, number)| *number).min().unwrap_or(u64::MAX)
    }
    /// Everything that all sinks allow and that was not returned before, the newest of each.
    pub fn due(&mut self) -> Option<Commits> {
        let through = self.through(|_| true);
        let mut due: Option<Commits> = None;
        while self.pending.front().is_some_and(|(number, _)| *number <= through) {
            let Some((_, mut commits)) = self.pending.pop_front() else { break };
            if let Some(older) = due.take() {
                commits.follow(older);
            }
            due = Some(commits);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    use logbraid_core::sink::SourceOffset;

    use super::*;

    fn checkpoint(through: i64) -> Commits {
        let checkpoint = Checkpoint { delivered_through: Some(through), ..Checkpoint::default() };
        Commits { checkpoint: Some(checkpoint), own: BTreeMap::new() }
    }

    fn due(ledger: &mut Ledger) -> Option<i64> {
        ledger.due()?.keep()?.delivered_through
    }

    #[test]
    fn the_slowest_sink_decides() {
        let mut ledger = Ledger::new(2);
        for number in 1..=3 {
            ledger.expect(number, checkpoint(i64::try_from(number).unwrap()));
        }
        ledger.flushed(0, 3);
        assert_eq!(due(&mut ledger), None);
        assert_eq!((ledger.through(|sink| sink == 0), ledger.through(|_| false)), (3, u64::MAX));
        ledger.flushed(1, 2);
        assert_eq!(due(&mut ledger), Some(2), "the newest that both have");
        assert_eq!(due(&mut ledger), None);
        ledger.flushed(1, 3);
        assert_eq!(due(&mut ledger), Some(3));
    }

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<(u32, u64)>>);

    impl Committer for Kept {
        fn commit(&self, partition: PartitionId, mark: Mark, _: EventTime) {
            self.0.lock().unwrap().push((partition.0, mark.offset));
        }
        fn offset(&self, _: PartitionId, _: Mark, _: EventTime) -> Option<SourceOffset> {
            None
        }
    }

    #[test]
    fn each_partition_gets_its_newest_commit_however_many_wait() {
        let kept = Arc::new(Kept::default());
        let mut ledger = Ledger::new(1);
        for number in 0..1000_u32 {
            let mark = Mark { offset: u64::from(number), ..Mark::START };
            let committer = Arc::clone(&kept) as Arc<dyn Committer>;
            let commit = OwnCommit { committer, mark, delivered_through: EventTime::MIN, drained: None };
            let own = BTreeMap::from([(PartitionId(number % 7), commit)]);
            ledger.expect(u64::from(number), Commits { checkpoint: None, own });
        }
        assert!(ledger.pending.len() <= PENDING_MAX);
        ledger.flushed(0, 1000);
        assert!(ledger.due().unwrap().keep().is_none());
        let mut newest = kept.0.lock().unwrap().clone();
        newest.sort_unstable();
        assert_eq!(newest, [(0, 994), (1, 995), (2, 996), (3, 997), (4, 998), (5, 999), (6, 993)]);
    }

    #[test]
    fn who_waits_for_a_partition_is_answered_when_all_is_flushed() {
        let kept = Arc::new(Kept::default());
        let (drained, answer) = sync_channel(1);
        let mut ledger = Ledger::new(1);
        let mark = Mark { offset: 5, ..Mark::START };
        let committer = Arc::clone(&kept) as Arc<dyn Committer>;
        let commit = OwnCommit { committer, mark, delivered_through: EventTime::MIN, drained: Some(drained) };
        ledger.expect(1, Commits { checkpoint: None, own: BTreeMap::from([(PartitionId(0), commit)]) });
        assert!(ledger.due().is_none());
        assert!(answer.try_recv().is_err());
        ledger.flushed(0, 1);
        assert!(ledger.due().unwrap().keep().is_none());
        assert_eq!(answer.try_recv().unwrap().mark, mark);
        assert!(kept.0.lock().unwrap().is_empty(), "its last commit is the source's to make");
    }
}
