//! The ledger: what every sink has flushed decides what may be committed.

use std::collections::VecDeque;

use crate::checkpoint::Checkpoint;

/// Deliveries in order, each with what may be committed once all sinks have flushed it.
#[derive(Debug)]
pub struct Ledger {
    /// The last delivery that each sink has flushed.
    flushed: Vec<u64>,
    pending: VecDeque<(u64, Checkpoint)>,
}

/// Most commits that wait for sinks; a new one takes the place of the newest beyond that.
const PENDING_MAX: usize = 64;

impl Ledger {
    /// A ledger of `sinks` sinks that have flushed nothing.
    pub fn new(sinks: usize) -> Self {
        Self { flushed: vec![0; sinks], pending: VecDeque::new() }
    }
    /// Notes that `checkpoint` may be committed once every sink has flushed delivery `number` and all before it.
    pub fn expect(&mut self, number: u64, checkpoint: Checkpoint) {
        if self.pending.len() >= PENDING_MAX {
            self.pending.pop_back();
        }
        self.pending.push_back((number, checkpoint));
    }
    /// Notes that a sink has flushed everything through delivery `number`.
    pub fn flushed(&mut self, sink: usize, number: u64) {
        if let Some(seen) = self.flushed.get_mut(sink) {
            *seen = (*seen).max(number);
        }
    }
    /// The newest commit that all sinks allow, if it is newer than the last one returned.
    pub fn due(&mut self) -> Option<Checkpoint> {
        let through = self.flushed.iter().copied().min().unwrap_or(u64::MAX);
        let mut due = None;
        while self.pending.front().is_some_and(|(number, _)| *number <= through) {
            due = self.pending.pop_front().map(|(_, checkpoint)| checkpoint);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(through: i64) -> Checkpoint {
        Checkpoint { delivered_through: Some(through), ..Checkpoint::default() }
    }

    #[test]
    fn the_slowest_sink_decides() {
        let mut ledger = Ledger::new(2);
        for number in 1..=3 {
            ledger.expect(number, checkpoint(i64::try_from(number).unwrap()));
        }
        ledger.flushed(0, 3);
        assert_eq!(ledger.due(), None);
        ledger.flushed(1, 2);
        assert_eq!(ledger.due(), Some(checkpoint(2)), "the newest that both have");
        assert_eq!(ledger.due(), None);
        ledger.flushed(1, 3);
        assert_eq!(ledger.due(), Some(checkpoint(3)));
    }
}
