//! Sources that shippers send to, through the real program: what arrives, what is refused, and what survives.
#![expect(clippy::unwrap_used, reason = "these are tests")]

#[path = "../common/certificates.rs"]
mod certificates;
mod fluent_bit;
mod forward;
mod grpc;
mod journal;
mod lumberjack;
mod otlp;
mod syslog;
mod tls;
mod ways_out;
mod world;
