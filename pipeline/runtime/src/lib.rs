//! Everything of logbraid that runs: sources, threads, channels, commits, the admin endpoint.
//!
//! ```text
//!  source threads ─► parse workers ─► braid thread: Engine ─► sink tasks ─► ledger ─► checkpoint
//!   read lines        any order        order restored          write, flush    all flushed
//! ```

pub mod admin;
pub mod checkpoint;
pub mod clock;
pub mod engine;
pub mod ledger;
pub mod metrics;
mod repeats;
pub mod replay;
pub mod resident;
pub mod run;
pub mod source;
pub mod split_keys;
mod topology;
