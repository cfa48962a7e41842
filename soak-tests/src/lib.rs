//! logbraid's proving ground: a workload generator, benchmarks, a seeded simulator and tests of the real binary. It is
//! no part of what users run.
//!
//! ```text
//!  generate ─► files ─► stream     how fast, by stage and as a process
//!                   ├─► scenarios  the article's nineteen, beside the batch tool
//!                   ├─► memory     by two instruments, each operation in a process of its own
//!                   ├─► latency    line in to record flushed, at fixed rates
//!                   ├─► simulate   the chain in a stormy world, judged against a calm one
//!                   ├─► crash      the binary, killed at random points and started again
//!                   ├─► wal        the binary, sent to over HTTP, killed at random points and started again
//!                   ├─► follow     the binary behind a file that is rotated and truncated
//!                   ├─► soak       all of that for long, judged
//!                   ├─► fuzz       parsers and decoders, from a corpus
//!                   ├─► keep       what `logbraid keep` keeps of a long stream, against what is true of it
//!                   └─► kafka      a fleet of them on real brokers, with instances and brokers killed
//!  figures ─► report ─► docs/benchmarks.md, docs/charts
//! ```

pub mod accuracy;
pub mod alloc;
pub mod bench;
pub mod chain;
pub mod crash;
pub mod follow;
pub mod fuzz;
pub mod generate;
pub mod judge;
pub mod kafka;
pub mod keep;
#[expect(
    clippy::cast_possible_truncation,
    clippy::format_push_string,
    reason = "counts and times of a run fit; a page is written once"
)]
pub mod latency;
#[expect(
    clippy::cast_possible_truncation,
    clippy::format_push_string,
    reason = "counts and times of a run fit; a page is written once"
)]
pub mod memory;
pub mod process;
#[expect(clippy::format_push_string, reason = "a page is written once")]
pub mod report;
#[expect(clippy::format_push_string, reason = "a page is written once")]
pub mod scenarios;
pub mod shippers;
pub mod simulate;
#[expect(
    clippy::cast_possible_truncation,
    clippy::format_push_string,
    reason = "counts and times of a run fit; a page is written once"
)]
pub mod soak;
pub mod stopwatch;
pub mod templates;
pub mod wal;
