//! Everything of logbraid that runs: sources, threads, channels, commits, the admin endpoint.
pub mod clock;
pub mod source;
