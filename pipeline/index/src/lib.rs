//! The compact windowed index: entries as columns, for one writer and many readers. It answers no questions itself.
//!
//! ```text
//!  IndexWriter::push ─► open block (rows) ──4096──► block (columns, dictionaries, text) ─► segment (a slice of time)
//!        publish ───────► View: blocks and segments, shared, never changed ◄─── IndexReader::view
//!        advance ───────► whole segments leave, by span and by budget
//! ```
//! Within a block, entries stand in the order of time. Each block has its own dictionaries, so that texts expire with the
//! entries that carry them, and a look-up of an id passes over blocks that do not know it. Text is kept compressed, or
//! stays in its file and is read from there on demand.

mod bits;
mod block;
mod column;
mod dict;
mod encode;
mod entry;
mod filter;
mod ids;
mod neighbours;
mod open;
mod origin;
mod pack;
mod scan;
mod select;
mod template;
mod texts;
mod view;
mod writer;

use std::io;
use std::path::PathBuf;

pub use block::{Block, ROWS_MAX, check};
pub use column::Column;
pub use entry::EntryRef;
pub use filter::{Filter, LevelSet, Term};
pub use ids::IdStat;
pub use neighbours::Neighbours;
pub use origin::{OPEN_FILES_MAX, Origin};
pub use scan::Scan;
pub use texts::Texts;
pub use view::{Place, Segment, Sizes, View};
pub use writer::{Backing, IndexReader, IndexWriter, MEMORY_BYTES_MIN, Metrics, Options};

/// Bytes are no block; says which part is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bytes are no block of an index: wrong {0}")]
pub struct Corrupt(pub(crate) &'static str);

/// Why an entry's text cannot be had. Its columns still can.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// The file is no longer there.
    #[error("`{}` is gone", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The file was truncated, overwritten or replaced since it was indexed.
    #[error("`{}` was changed since it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("`{}` cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The text did not fit into the index's memory.
    #[error("the text did not fit into the index's memory")]
    TooLong,
    /// The block is corrupt.
    #[error("the index is corrupt")]
    Corrupt,
}
