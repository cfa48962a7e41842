//! The one parser of logbraid: lines in, rows of ranges out.
pub mod raw;
pub use raw::{Framing, RawBatch, RawRecord};
