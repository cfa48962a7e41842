//! Whatever the bytes are, reading them as a journal in the export format ends without a panic, gives the same in parts of any
//! length, and no line is longer than it may be or is no JSON.

use logbraid_runtime::source::receive::http::decode_journal;

/// Most bytes of a line.
const LINE: usize = 1 << 10;

/// Runs the target on one input; a panic is a find.
pub fn run(data: &[u8]) {
    let whole = decode_journal(data, LINE, data.len());
    for part in [1, 5, 64] {
        assert_eq!(decode_journal(data, LINE, part), whole);
    }
    for line in whole.unwrap_or_default() {
        assert!(line.len() <= LINE);
        let line: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(&line);
        assert!(line.is_ok_and(|line| !line.is_empty()));
    }
}
