//! Apache Kafka for tests: a real cluster from its jars, topics, and what was written to them.

pub mod broker;
mod jars;
pub mod player;
pub mod topics;

#[cfg(test)]
mod broker_tests;
#[cfg(test)]
mod source_tests;
