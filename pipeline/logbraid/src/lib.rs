//! logbraid, as a library and as a program: the registry of every component, configurations, the command line and
//! what people see. It reads no logs itself; the runtime does.
//!
//! ```text
//!  arguments ─► cli ─► config ─► runtime ─► render (people)
//!                        ▲  ▲            └─► sinks (programs)
//!            registry ───┘  └─── test_cases
//!  questions ─► ask ─► runtime ─► a window of what was read, or of what runs ─► answers
//! ```

pub mod ask;
mod board;
pub mod cli;
pub mod config;
pub mod library;
pub mod plan;
pub mod problem;
#[cfg(feature = "reference")]
pub mod reference;
pub mod registry;
pub mod render;
pub mod session;
pub mod test_cases;
pub mod top;
mod web;

pub use registry::Registry;

/// Every component that configurations can name.
pub fn registry() -> Registry {
    Registry::ALL
}
