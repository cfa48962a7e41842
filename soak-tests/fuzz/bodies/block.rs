//! Whatever the bytes are, decoding them as a block of the index and reading every entry ends without a panic.
//!
//! Few arbitrary bytes get past a block's head, so the input is also laid over a valid block: pairs of a place and a byte.

use std::sync::{Arc, OnceLock};

use logbraid_core::{Batch, Event, EventTime, FieldId, Level, PartitionId, Row, Source, Text};
use logbraid_index::{IndexWriter, Options, check};

/// A valid block with every kind of column.
fn valid() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut batch = Batch::new(Arc::new(Source::lines("fuzz", PartitionId(0))));
        for number in 0..300_u32 {
            let start = batch.text.len() as u32;
            let line = format!("req-{} span-{number:04x} message number {}", number % 7, number * number);
            batch.text.push_str(&line);
            let part = |from: u32, len: usize| Text { start: start + from, len: len as u32 };
            batch.extras.push((FieldId((number % 3) as u16), part(0, 5)));
            batch.rows.push(Row {
                time: EventTime::from_nanos(i64::from(number) * 1_234_567),
                offset: u64::from(start),
                line: u64::from(number) + 1,
                duration_ms: f64::from(number) / 4.0,
                raw: part(0, line.len()),
                message: part(16, line.len() - 16),
                correlation: part(0, 5),
                span: part(6, 9),
                extras_start: number,
                extras_len: 1,
                level: Some(Level::ALL[number as usize % 6]),
                ..Row::default()
            });
        }
        let batch = Arc::new(batch);
        let mut writer = IndexWriter::new(Options::default());
        for row in 0..batch.rows.len() {
            writer.push(&Event::new(Arc::clone(&batch), row as u32));
        }
        writer.finish();
        writer.publish();
        let view = writer.view();
        view.blocks().next().map(|block| block.encoded().to_vec()).unwrap_or_default()
    })
}

/// Runs the target on one input; a panic is a find.
pub fn run(data: &[u8]) {
    let _ = check(data);
    let mut bytes = valid().to_vec();
    assert_eq!(check(&bytes), Ok(()));
    for edit in data.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[place] = edit[2];
    }
    let _ = check(&bytes);
}
