//! Chunks that were kept while their sender went away before it was told: they will come again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Chunks that are remembered; then the oldest is forgotten, and would be there twice.
const CHUNKS_MAX: usize = 8192;

/// Hashes of whole messages, so that no other message is taken for one of them.
#[derive(Debug, Default)]
pub(super) struct Unheard(Mutex<(HashSet<u128>, VecDeque<u128>)>);

impl Unheard {
    pub(super) fn remember(&self, message: u128) {
        let (known, order) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(message) {
            order.push_back(message);
        }
        if order.len() > CHUNKS_MAX
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }
    /// True, once, for a message that is remembered.
    pub(super) fn take(&self, message: u128) -> bool {
        let (known, order) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.remove(&message) {
            return false;
        }
        order.retain(|other| *other != message);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_once_and_the_oldest_are_forgotten() {
        let unheard = Unheard::default();
        for message in 0..CHUNKS_MAX as u128 + 2 {
            unheard.remember(message);
        }
        assert!(!unheard.take(0) && !unheard.take(1));
        assert!(unheard.take(2) && !unheard.take(2));
        unheard.remember(2);
        assert!(unheard.take(2));
    }
}
