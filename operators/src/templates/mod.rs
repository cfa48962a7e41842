//! Finds the templates of messages.

mod miner;
mod scan;

pub use miner::{Limits, Miner, Seen, Template};
