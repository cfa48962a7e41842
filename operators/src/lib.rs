//! The operators of logbraid, a folder each: code, manual, tests. No I/O, no clock, no random numbers.
//!
//! ```text
//!  events ─► filter ─► thread ─► correlate ─► hierarchy ─► error_flow ─► timelines, findings
//!                            │       │  groups: all entries of one request
//!                            │       └─ error_burst, retry_storm, templates, metrics, dedup look at events as they pass
//!                            └─ repartition: entries for the next stage, by request
//! ```

use logbraid_core::component::OperatorSpec;

pub mod correlate;
pub mod dedup;
pub mod error_burst;
pub mod error_flow;
pub mod filter;
pub mod hierarchy;
pub mod index;
pub mod metrics;
pub mod repartition;
pub mod retry_storm;
pub mod sample;
pub mod templates;
pub mod thread;

#[cfg(test)]
mod test_lines;
#[cfg(test)]
mod testing;

/// Every operator that configurations can name.
pub const OPERATORS: &[OperatorSpec] = &[
    OperatorSpec::of::<filter::Filter>(),
    OperatorSpec::of::<thread::Thread>(),
    OperatorSpec::of::<repartition::Repartition>(),
    OperatorSpec::of::<correlate::Correlate>(),
    OperatorSpec::of::<hierarchy::Hierarchy>(),
    OperatorSpec::of::<error_flow::TraceErrors>(),
    OperatorSpec::of::<error_burst::ErrorBurst>(),
    OperatorSpec::of::<retry_storm::RetryStorm>(),
    OperatorSpec::of::<sample::SampleRequests>(),
    OperatorSpec::of::<templates::Templates>(),
    OperatorSpec::of::<dedup::Dedup>(),
    OperatorSpec::of::<metrics::Metrics>(),
    OperatorSpec::of::<index::Index>(),
];
