//! Sources: where bytes come from.
pub mod intake;
