//! The newest event time of files, by a look at their ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use logbraid_core::{EventTime, Fields, PartitionId, Source};
use logbraid_parse::{Compiled, Framing, Parser, RawBatch};
use logbraid_runtime::source::decode::Compression;
use logbraid_runtime::source::inputs::{Input, InputKind};
use logbraid_runtime::source::sqlite;

/// How much of a file's end is looked at.
const TAIL_BYTES: u64 = 256 << 10;

/// The newest event time in the last 256 KiB of each file, and the last 1024 rows of each table; compressed files are decoded to their end. `None` when no
/// entry there has a time.
pub(super) fn newest(inputs: &[Input], parse: &Arc<Compiled>, now: EventTime) -> Option<EventTime> {
    // What cannot be read is told when it is read.
    let ends = inputs.iter().filter_map(|input| match &input.kind {
        InputKind::File { path } => Some((input, tail(path).ok()?)),
        InputKind::Sqlite { path, table } => Some((input, sqlite::last(path, table).ok()?)),
        _ => None,
    });
    ends.filter_map(|(input, bytes)| newest_of(&input.name, bytes, parse, now)).max()
}

fn newest_of(name: &str, bytes: Vec<u8>, parse: &Arc<Compiled>, now: EventTime) -> Option<EventTime> {
    let source = Arc::new(Source::lines(name, PartitionId(0)));
    let mut parser = Parser::new(Arc::clone(parse), &Fields::default());
    let raw = RawBatch { source, bytes, framing: Framing::Lines { offset: 0, line: 1 }, ingest: now };
    let batch = parser.parse(raw);
    batch.rows.iter().map(|row| row.time).filter(|time| time.is_known()).max()
}

/// The last whole lines of a file.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut head = [0; 8];
    let read = file.read(&mut head)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    let mut cut = false;
    if let Some(compression) = Compression::of(&head[..read]) {
        let mut decoded = compression.decode(file)?;
        let mut part = vec![0; 64 << 10];
        loop {
            let read = decoded.read(&mut part)?;
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(&part[..read]);
            let keep = usize::try_from(TAIL_BYTES).unwrap_or(usize::MAX);
            if bytes.len() > 2 * keep {
                bytes.drain(..bytes.len() - keep);
                cut = true;
            }
        }
    } else {
        let length = file.metadata()?.len();
        cut = length > TAIL_BYTES;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    }
    if cut {
        // The first line may have lost its head.
        let start = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..start);
    }
    Ok(bytes)
}
