//! The one parser of logbraid: lines in, rows of ranges out. It reads no files and no clock, and joins nothing but
//! the lines of one record.
//!
//! ```text
//!  RawBatch ─► Parser::parse ─► Batch of rows ─► Assembler::push ─► Event …
//!   bytes       per line, any     ranges into      in order: carries   one per record
//!               thread            the bytes        times, joins lines
//! ```
#![deny(unsafe_code)]

mod assemble;
mod clf;
mod custom;
mod detect;
mod draft;
mod encoding;
mod ids;
mod json;
mod keys;
mod klog;
mod level;
mod logfmt;
mod parser;
pub mod raw;
mod reader;
mod service;
mod settings;
mod shape;
mod syslog;
mod tagged;
mod text;
mod time;
mod wrap;

pub use assemble::Assembler;
pub use detect::{Alternative, Detection, detect};
pub use encoding::{Bom, Utf16, decode_utf16, detect_bom};
pub use level::level_of;
pub use parser::Parser;
pub use raw::{Framing, RawBatch, RawRecord};
pub use service::service_from_path;
pub use settings::{Compiled, Custom, Customs, Multiline, Settings};
