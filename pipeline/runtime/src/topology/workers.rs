//! Parser threads: batches in any order in, parsed batches out; whoever receives restores the order.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_core::{Batch, Fields};
use logbraid_parse::{Compiled, Parser};
use tokio::sync::mpsc;

use crate::source::intake::Message;

/// What reaches the braid thread.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A batch of records, with its number in its partition.
    Batch {
        /// The number.
        sequence: u64,
        /// The records.
        batch: Batch,
    },
    /// Any other word of a source.
    Message(Message),
}

/// Starts `count` parsers, 0 for one per core; they end when no source is left or nobody listens.
pub(super) fn spawn(
    count: usize,
    parse: &Arc<Compiled>,
    fields: &Fields,
    from_sources: mpsc::Receiver<Message>,
    parsed: SyncSender<Parsed>,
) -> std::io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = if count == 0 { cores.min(8) } else { count };
    // A std mutex: held while waiting for the next message, so that one idle worker waits for all.
    let from_sources = Arc::new(Mutex::new(from_sources));
    for number in 0..count {
        let mut parser = Parser::new(Arc::clone(parse), fields);
        let from_sources = Arc::clone(&from_sources);
        let parsed = parsed.clone();
        std::thread::Builder::new().name(format!("parse-{number}")).spawn(move || {
            loop {
                let message = from_sources.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                let out = match message {
                    None => return,
                    Some(Message::Batch { sequence, raw }) => {
                        Parsed::Batch { sequence, batch: parser.parse(raw) }
                    }
                    Some(other) => Parsed::Message(other),
                };
                if parsed.send(out).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(())
}
