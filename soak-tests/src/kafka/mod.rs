//! Apache Kafka for tests: a real cluster from its jars, topics, and what was written to them.

pub mod broker;
pub mod fleet;
pub mod groups;
mod jars;
pub mod player;
pub mod poison;
pub mod rate;
pub mod storm;
pub mod tail;
pub mod topics;
pub mod traffic;
pub mod verdict;

#[cfg(test)]
mod broker_tests;
#[cfg(test)]
mod source_tests;
