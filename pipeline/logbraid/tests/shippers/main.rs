//! Sources that shippers send to, through the real program: what arrives, what is refused, and what survives.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod fluent_bit;
mod forward;
mod lumberjack;
mod otlp;
mod syslog;
mod world;
