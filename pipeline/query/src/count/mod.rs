//! What the statistical questions share: one pass over entries, counts by level, counts by name, messages by kind.

mod kinds;
mod levels;
mod pass;
mod tally;

pub use kinds::KindSummary;
pub(crate) use kinds::{Kind, Kinds, pattern};
pub use levels::ByLevel;
pub(crate) use levels::{is_zero, percent, rate, shortened};
pub(crate) use pass::{each, levels};
pub(crate) use tally::Tally;
pub use tally::{Counted, InOrder};
