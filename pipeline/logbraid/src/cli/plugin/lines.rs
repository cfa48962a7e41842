//! Lines of a shipper, as long as they are.

use std::io::BufRead;

/// Reads a line without its end, all of it and at most `most` bytes into `line`; false at the end of input.
pub(super) fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>, most: usize) -> std::io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let part = match input.fill_buf() {
            Ok(part) => part,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if part.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', part);
        let text = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
        let room = most.saturating_sub(line.len()).min(text.len());
        line.extend_from_slice(text.get(..room).unwrap_or_default());
        let taken = text.len() + usize::from(end.is_some());
        input.consume(taken);
        if end.is_some() {
            return Ok(true);
        }
    }
}
