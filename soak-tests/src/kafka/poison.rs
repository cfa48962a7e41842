//! Records that no parser can like: they must neither stop a partition nor change what is made of the others.

use super::traffic::Message;
use crate::generate::random::Random;

/// The longest one; a topic must take it.
pub const LONGEST_BYTES: usize = 5 << 20;
/// How many of the longest are drawn at most: each costs what a thousand lines do.
const LONGEST_COUNT: u32 = 8;
/// How many kinds there are.
const KINDS: u64 = 10;

/// Draws them.
#[derive(Debug)]
pub struct Poison {
    random: Random,
    longest: u32,
}

impl Poison {
    /// Those of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { random: Random::new(seed ^ 0xbad), longest: 0 }
    }

    /// The next one, in the partition of `before` and at its time.
    pub fn draw(&mut self, before: &Message) -> Message {
        let number = self.random.below(1_000_000);
        let key = before.key.clone().unwrap_or_default();
        // `{"timestamp":"TIME",`
        let line = before.value.as_deref().unwrap_or_default();
        let time = line.split(|byte| *byte == b'"').nth(3).unwrap_or_default();
        let head = [
            b"{\"timestamp\":\"".as_slice(),
            time,
            b"\",\"level\":\"ERROR\",\"service\":\"gateway\",\"correlation_id\":\"",
            &key,
            b"\",\"message\":\"",
        ]
        .concat();
        let tail = format!(" {number}\"}}").into_bytes();
        let value = match self.random.below(KINDS) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some([&head, b"a NUL \0 and an escape \x1b[31m".as_slice(), &tail].concat()),
            3 => Some([&head, b"not UTF-8: \xff\xfe\xc0\xaf".as_slice(), &tail].concat()),
            4 => Some(vec![0; 64]),
            5 => Some([vec![b'['; 5000], number.to_string().into_bytes(), vec![b']'; 5000]].concat()),
            6 => Some(
                format!("{{\"timestamp\":1e400,\"level\":{number}9999999999999999999,\"a\":1,\"a\":2}}")
                    .into_bytes(),
            ),
            7 => Some([&head, b"cut off".as_slice()].concat()),
            8 => Some(format!("\r\n\r\nafter blank lines {number}\r\n\u{feff}").into_bytes()),
            _ if self.longest < LONGEST_COUNT => {
                self.longest += 1;
                let length = [LONGEST_BYTES, LONGEST_BYTES / 6, LONGEST_BYTES / 2][self.longest as usize % 3];
                let bytes = vec![b'x'; length.saturating_sub(head.len() + tail.len())];
                // One in two is a line of a request, one is nothing at all.
                Some(if self.longest.is_multiple_of(2) { bytes } else { [head, bytes, tail].concat() })
            }
            _ => Some(format!("plain words {number}").into_bytes()),
        };
        // Some have a key that is no text, some none.
        let strange = self.random.chance(50).then(|| vec![0xff, 0x00, 0xfe]);
        Message {
            partition: before.partition,
            key: if value.is_none() { Some(b"tombstone".to_vec()) } else { strange },
            value,
        }
    }
}
