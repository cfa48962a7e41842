//! The program.

use std::process::ExitCode;

/// Records are built on one thread and freed on another, and requests grow side by side: see `docs/architecture.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Few arenas, as few threads allocate much, and pages that nobody uses go back to the system within a second.
#[expect(unsafe_code, reason = "jemalloc reads its settings from a symbol of this name before `main`")]
// SAFETY: the name is jemalloc's own and defined nowhere else; it expects a pointer to a string that ends with a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &std::ffi::c_char = {
    const TEXT: &std::ffi::CStr = c"narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0";
    // SAFETY: a `CStr` points to at least its terminating zero, and lives as long as the program.
    unsafe { &*TEXT.as_ptr() }
};

fn main() -> ExitCode {
    logbraid::cli::main(std::env::args_os().collect()).into()
}
