//! `cargo fuzz run journal`; the same body runs on stable by `logbraid-soak fuzz`.
#![no_main]

#[path = "../bodies/journal.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
