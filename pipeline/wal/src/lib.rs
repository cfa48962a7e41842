//! The write-ahead log: keeps what a sender was told is safe until every sink has it. It knows bytes and numbers, no
//! events, no clock, no threads of its own.
//!
//! ```text
//!  append ─► segment file ─► sync, one for many appends ─► acknowledge
//!                 │                                              ┌─ release: what every sink has flushed
//!  open ─► cut the torn tail off ─► Replay from `resume` ◄───────┘  removes whole segments
//! ```
//!
//! - **Acknowledged is durable**: a sequence number below [`Log::durable`] survives the process and the machine.
//! - **Bounded**: beyond [`Options::disk_bytes_max`] an append is refused as [`Error::Full`] and nothing is written, so
//!   that the sender is made to wait; [`Log::release`] makes room.
//! - **Damage is counted**: a torn tail, which nobody was promised, is cut off; damage before it costs the records in
//!   it, and [`Replay::lost`] says how many.

mod frame;
mod log;
mod replay;
mod storage;

pub use log::{Error, Log, Options, Recovered};
pub use replay::{Entry, Replay};
pub use storage::{Folder, Storage, Writer};

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
