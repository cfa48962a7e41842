//! A window: events that are acknowledged together, or in parts.

use super::super::door::Held;
use super::super::lines::Lines;
use super::frames::{self, Frame, Wrong};

/// Memory is asked for in steps of this many bytes.
const STEP: usize = 64 << 10;
/// A window that has this many bytes is kept and acknowledged in part: memory is not for the slow.
const PART_BYTES: usize = 1 << 20;

/// A window that has begun: what of it came and is not kept yet.
#[derive(Debug)]
pub(super) struct Window {
    left: u32,
    sequence: u32,
    /// Most bytes of a frame after decoding.
    max: usize,
    /// When it began, in nanoseconds.
    received: i64,
    lines: Lines,
    held: Held,
    /// Bytes of lines that memory was asked for.
    paid: usize,
}

/// Adds what `frame` has to the window; how many events that are.
pub(super) fn add(window: &mut Option<Window>, frame: Frame<'_>) -> Result<usize, Wrong> {
    match (frame, window) {
        (Frame::Window(_), _) => Err(Wrong::Shape(
            "a window begins before the one before it has ended; is `2W` its number of events?",
        )),
        (_, None) => Err(Wrong::Shape("an event comes outside a window; a frame `2W` comes first")),
        (Frame::Event { sequence, json }, Some(window)) => window.event(sequence, json).map(|()| 1),
        (Frame::Packed(packed), Some(window)) => window.packed(packed),
    }
}

impl Window {
    /// A window of `count` events; its memory is asked for with `held`.
    pub(super) fn new(count: u32, max: usize, received: i64, held: Held) -> Self {
        Self { left: count, sequence: 0, max, received, lines: Lines::default(), held, paid: 0 }
    }
    /// Events that have not come yet.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }
    /// True when it is time to keep what came.
    pub(super) const fn is_due(&self) -> bool {
        self.left == 0 || self.lines.bytes() >= PART_BYTES
    }
    /// What came since the last time, its memory, and the number that is acknowledged for it.
    pub(super) fn take(&mut self) -> (Lines, Held, u32) {
        self.paid = 0;
        (std::mem::take(&mut self.lines), self.held.split(usize::MAX), self.sequence)
    }

    fn event(&mut self, sequence: u32, json: &[u8]) -> Result<(), Wrong> {
        let beyond = Wrong::Shape("more events than its window has; is `2W` their number?");
        self.left = self.left.checked_sub(1).ok_or(beyond)?;
        self.sequence = sequence;
        self.lines.push(json, self.received);
        while self.paid < self.lines.bytes() {
            self.held.grow(STEP).map_err(|_| Wrong::Busy)?;
            self.paid += STEP;
        }
        Ok(())
    }

    /// The events of a compressed frame.
    pub(super) fn packed(&mut self, packed: &[u8]) -> Result<usize, Wrong> {
        let mut held = self.held.split(0);
        let decoded = frames::unpacked(packed, self.max, &mut held)?;
        let (mut at, mut events) = (0, 0);
        while at < decoded.len() {
            let Some((frame, length)) = frames::first(&decoded[at..], self.max)? else {
                return Err(Wrong::Shape("a compressed frame ends in the middle of a frame"));
            };
            let Frame::Event { sequence, json } = frame else {
                return Err(Wrong::Shape("within a compressed frame there are other frames than events"));
            };
            self.event(sequence, json)?;
            (at, events) = (at + length, events + 1);
        }
        Ok(events)
    }
}
