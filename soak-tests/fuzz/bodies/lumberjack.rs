//! Whatever the bytes are, reading them as frames of the Lumberjack protocol ends without a panic: refused, or with no more
//! events than there can be.

use logbraid_runtime::source::receive::lumberjack::decode;

/// Most bytes of a frame, and of what it decodes to.
const MESSAGE: usize = 64 << 10;
/// An event has a head of this many bytes.
const HEAD: usize = 10;
/// Deflate makes of a byte at most so many.
const RATIO: usize = 1032;

/// Runs the target on one input; a panic is a find.
pub fn run(data: &[u8]) {
    if let Ok(events) = decode(data, MESSAGE) {
        assert!(events <= data.len() * RATIO / HEAD + 1);
    }
}
