//! Reading on while the log is written, for senders that are not answered part by part: what arrives while one part is
//! written is the next, so that a sync serves as much as came during the last, and the order stays.

use tokio::task::{JoinError, JoinSet};

use super::door::{Door, Held};
use super::lines::{Lines, Sender};

/// What is collected while the part before is written; then reading waits.
const AHEAD_BYTES: usize = 512 << 10;

/// Keeps lines, however that ends.
pub(super) trait Keep {
    type Kept: Send + 'static;
    fn door(&self) -> &Door;
    /// Returns once they are durable, or will never be.
    fn keep(&self, lines: Lines, held: Held) -> impl Future<Output = Self::Kept> + Send + 'static;
}

/// What has arrived of a sender and is not durable yet.
pub(super) struct Part<K: Keep> {
    keeper: K,
    sender: Sender,
    /// The part that is being written: none, or one.
    writing: JoinSet<K::Kept>,
    /// What goes next.
    pub(super) lines: Lines,
    held: Held,
}

impl<K: Keep> Part<K> {
    pub(super) fn new(keeper: K, sender: Sender) -> Self {
        let held = keeper.door().hold();
        Self { keeper, sender, writing: JoinSet::new(), lines: Lines::of(sender), held }
    }

    pub(super) fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }
    /// True when reading on has to wait for the disk.
    pub(super) fn is_full(&self) -> bool {
        self.is_writing() && self.lines.bytes() >= AHEAD_BYTES
    }

    /// Asks for `bytes` more of memory. Where there is none, what is being written is waited for, and then [`Self::room`].
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        self.held.grow(bytes).is_ok()
    }
    /// Waits for `bytes` of memory, while nothing is being written and so nothing is collected: who waits for memory
    /// holds none, since there is no end to waiting for one another else.
    pub(super) async fn room(&mut self, bytes: usize) {
        self.held = self.keeper.door().room(bytes).await;
    }

    /// Begins to write what has arrived, unless something is being written, and gives back memory of which nothing came.
    pub(super) fn write(&mut self) {
        if self.lines.count() == 0 || self.is_writing() {
            self.held.shrink(self.lines.bytes());
            return;
        }
        let lines = std::mem::replace(&mut self.lines, Lines::of(self.sender));
        let held = std::mem::replace(&mut self.held, self.keeper.door().hold());
        self.writing.spawn(self.keeper.keep(lines, held));
    }

    /// Waits for what is being written; `None` at once where nothing is. [`Self::write`] begins with what goes next.
    pub(super) async fn written(&mut self) -> Option<Result<K::Kept, JoinError>> {
        self.writing.join_next().await
    }
}
