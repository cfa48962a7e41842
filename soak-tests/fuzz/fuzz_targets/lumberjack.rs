//! `cargo fuzz run lumberjack`; the same body runs on stable by `logbraid-soak fuzz`.
#![no_main]

#[path = "../bodies/lumberjack.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
