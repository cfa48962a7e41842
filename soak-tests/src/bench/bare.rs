//! The yardstick: what one core reaches that only parses each line into borrowed fields and keeps nothing.

use serde::Deserialize;

/// The parts of a generated line.
#[derive(Deserialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    message: &'a str,
    thread_id: &'a str,
    correlation_id: &'a str,
    trace_id: &'a str,
    fields: Numbers,
}

#[derive(Deserialize)]
struct Numbers {
    duration_ms: f64,
    status_code: Option<u16>,
}

/// Parses every line of `bytes`; returns how many there were, and a sum over what was read, so that nothing of the
/// work can be left out.
pub fn parse(bytes: &[u8]) -> (u64, u64) {
    let (mut lines, mut sum) = (0, 0);
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        if let Ok(line) = sonic_rs::from_slice::<Line>(&bytes[from..end]) {
            let texts = [
                line.timestamp,
                line.level,
                line.message,
                line.thread_id,
                line.correlation_id,
                line.trace_id,
            ];
            sum += texts.iter().map(|text| text.len() as u64).sum::<u64>();
            sum += u64::from(line.fields.status_code.unwrap_or(0)) + u64::from(line.fields.duration_ms > 1.0);
        }
        lines += 1;
        from = end + 1;
    }
    (lines, sum)
}

#[cfg(test)]
mod tests {
    use crate::generate::Workload;
    use crate::generate::layout::Layout;

    #[test]
    fn the_yardstick_reads_every_line() {
        let bytes = Workload { entries: 100, ..Workload::default() }.bytes(Layout::Json);
        let (lines, sum) = super::parse(&bytes);
        assert_eq!(lines, 100);
        assert!(sum > 100 * (20 + 4 + 10 + 10 + 10 + 10), "{sum}: a line was not understood");
    }
}
