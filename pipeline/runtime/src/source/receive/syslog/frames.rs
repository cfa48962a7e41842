//! Messages in a stream (RFC 6587): `LENGTH <…` is counted, everything else ends with a newline.

/// What lies at the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message in this range, or its beginning where it is `cut`; the next one begins at `next`.
    Message { from: usize, to: usize, next: usize, cut: bool },
    /// A line that has no end within the longest message.
    Endless,
    /// More is needed to tell.
    Partial,
}

/// Digits of a length, at most.
const DIGITS_MAX: usize = 9;

/// The length before a counted message, and where the message begins.
fn counted(bytes: &[u8]) -> Count {
    let digits = bytes.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > DIGITS_MAX || bytes[0] == b'0' {
        return Count::None;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) => Count::Unknown,
        // A message begins with its priority; a line that begins with a number does not go on so.
        (Some(b' '), Some(b'<')) => {
            let length =
                bytes[..digits].iter().fold(0_usize, |length, digit| length * 10 + usize::from(digit - b'0'));
            Count::Some { length, from: digits + 1 }
        }
        _ => Count::None,
    }
}

enum Count {
    Some {
        length: usize,
        from: usize,
    },
    /// It ends with a newline.
    None,
    Unknown,
}

/// Cuts messages out of a stream; of a message longer than `max` bytes the rest is left out.
#[derive(Debug)]
pub(super) struct Cutter {
    max: usize,
    buffer: Vec<u8>,
    /// Bytes of a counted message that are left out.
    skip: usize,
    /// True while the rest of a line is left out.
    skip_line: bool,
    /// Messages of which a part was left out.
    pub(super) cut: u64,
}

impl Cutter {
    pub(super) const fn new(max: usize) -> Self {
        Self { max, buffer: Vec::new(), skip: 0, skip_line: false, cut: 0 }
    }
    /// Bytes that wait for the rest of their message; at most `max` and a little.
    pub(super) const fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// True while a message has begun and has not ended.
    pub(super) const fn within(&self) -> bool {
        !self.buffer.is_empty() || self.skip > 0 || self.skip_line
    }

    /// Takes what was read and tells every message that is complete, or as long as one may be.
    pub(super) fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(&[u8])) {
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = &self.buffer[at..];
            if self.skip > 0 {
                let skipped = self.skip.min(rest.len());
                self.skip -= skipped;
                at += skipped;
                if self.skip > 0 {
                    break;
                }
                continue;
            }
            if self.skip_line {
                let Some(end) = memchr::memchr(b'\n', rest) else {
                    at = self.buffer.len();
                    break;
                };
                self.skip_line = false;
                at += end + 1;
                continue;
            }
            match self.frame(rest) {
                Frame::Message { from, to, next, cut } => {
                    tell(&rest[from..to]);
                    self.cut += u64::from(cut);
                    if next > rest.len() {
                        self.skip = next - rest.len();
                        at = self.buffer.len();
                    } else {
                        at += next;
                    }
                }
                Frame::Endless => {
                    tell(&rest[..self.max]);
                    self.cut += 1;
                    self.skip_line = true;
                    at += self.max;
                }
                Frame::Partial => break,
            }
        }
        self.buffer.drain(..at);
        if self.buffer.is_empty() && self.buffer.capacity() > 4096 {
            self.buffer = Vec::new();
        }
    }

    fn frame(&self, rest: &[u8]) -> Frame {
        if rest.is_empty() {
            return Frame::Partial;
        }
        match counted(rest) {
            Count::Some { length, from } if rest.len() >= from + length.min(self.max) => {
                let to = from + length.min(self.max);
                Frame::Message { from, to, next: from + length, cut: length > self.max }
            }
            Count::Some { .. } | Count::Unknown => Frame::Partial,
            Count::None => match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    Frame::Message { from: 0, to: end.min(self.max), next: end + 1, cut: end > self.max }
                }
                None if rest.len() > self.max => Frame::Endless,
                None => Frame::Partial,
            },
        }
    }

    /// The stream has ended: what is left is the last message, or a part of it.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() && !self.skip_line && self.skip == 0 {
            let from = match counted(&rest) {
                Count::Some { from, .. } => {
                    self.cut += 1;
                    from
                }
                Count::None | Count::Unknown => 0,
            };
            tell(&rest[from..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(stream: &[u8], sizes: &[usize], max: usize) -> (Vec<Vec<u8>>, u64) {
        let mut cutter = Cutter::new(max);
        let mut told = Vec::new();
        let (mut at, mut sizes) = (0, sizes.iter().cycle());
        while at < stream.len() {
            let end = stream.len().min(at + sizes.next().unwrap());
            cutter.push(&stream[at..end], |message| told.push(message.to_vec()));
            assert!(cutter.waiting() <= max + DIGITS_MAX + 2, "{}", cutter.waiting());
            assert!(cutter.within() || cutter.waiting() == 0);
            at = end;
        }
        cutter.finish(|message| told.push(message.to_vec()));
        (told, cutter.cut)
    }

    proptest! {
        #[test]
        fn messages_come_back_however_they_are_framed_and_cut(
            messages in prop::collection::vec(("<[0-9]{1,3}>[ -~]{0,60}", any::<bool>()), 1..30),
            sizes in prop::collection::vec(1..90_usize, 1..5),
        ) {
            let mut stream = Vec::new();
            for (message, is_counted) in &messages {
                if *is_counted {
                    stream.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
                } else {
                    stream.extend_from_slice(format!("{message}\n").as_bytes());
                }
            }
            let (told, cuts) = cut(&stream, &sizes, 1000);
            let written: Vec<Vec<u8>> = messages.iter().map(|(message, _)| message.clone().into_bytes()).collect();
            prop_assert_eq!((told, cuts), (written, 0));
        }
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_messages(
            stream in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b'<'), b'0'..=b'9', any::<u8>()], 0..300),
            sizes in prop::collection::vec(1..40_usize, 1..5),
            max in 4..50_usize,
        ) {
            let (told, cuts) = cut(&stream, &sizes, max);
            prop_assert_eq!((&told, cuts), (&cut(&stream, &[stream.len().max(1)], max).0, cut(&stream, &[stream.len().max(1)], max).1));
            prop_assert!(told.iter().all(|message| message.len() <= max + DIGITS_MAX + 2));
            prop_assert!(told.iter().map(Vec::len).sum::<usize>() <= stream.len());
        }
    }

    #[test]
    fn a_line_that_begins_with_a_number_is_no_length_and_too_long_a_message_is_cut() {
        let (told, cuts) = cut(b"2024 began\n12 <1>counted!\n<2>next\n", &[7], 100);
        let told: Vec<&str> = told.iter().map(|message| std::str::from_utf8(message).unwrap()).collect();
        assert_eq!((told, cuts), (vec!["2024 began", "<1>counted!\n", "<2>next"], 0));
        let (told, cuts) = cut(b"20 <1>aaaaaaaaaaaaaaaaa<2>bbbbbbbbbbbbbbbbb\n<3>c\n", &[5], 10);
        let told: Vec<&str> = told.iter().map(|message| std::str::from_utf8(message).unwrap()).collect();
        assert_eq!((told, cuts), (vec!["<1>aaaaaaa", "<2>bbbbbbb", "<3>c"], 2));
        // One byte is enough.
        for size in [1, 20] {
            assert_eq!(cut(b"9 <1>456789<2>45678\n", &[size], 8).1, 1, "in pieces of {size}");
        }
    }
}
