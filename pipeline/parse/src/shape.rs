//! Whether a line begins a record or continues one.

use std::sync::LazyLock;

use logbraid_core::{Flags, Level};
use memchr::memmem::Finder;

/// True for a line of a stack trace, in any of the usual languages. `line` has lost its indent.
pub(crate) fn is_frame(line: &str) -> bool {
    let bytes = line.as_bytes();
    match bytes.first() {
        Some(b'a') => {
            line.strip_prefix("at ").is_some_and(|rest| rest.contains(['.', '(', '/', '<', ':']))
                || line == "at"
        }
        Some(b'C') => line.starts_with("Caused by:") || line.starts_with("Caused by "),
        Some(b'S') => line.starts_with("Suppressed:"),
        Some(b'.') => line.strip_prefix("... ").is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && (rest.contains("more") || rest.contains("common"))
        }),
        Some(b'F') => line.starts_with("File \""),
        Some(b'T') => {
            line.starts_with(TRACEBACK) || line.starts_with("The above exception was the direct cause")
        }
        Some(b'D') => line.starts_with("During handling of the above exception"),
        Some(b'[') => line.starts_with("[signal ") || line.starts_with("[originating from "),
        Some(b'g') => is_goroutine(line),
        Some(b'c') => line.starts_with("created by "),
        Some(b's') => line.starts_with("stack backtrace:") || line.starts_with("stack traceback:"),
        Some(b'n') => {
            line.starts_with("note: run with `RUST_BACKTRACE") || line.starts_with("note: Some details")
        }
        Some(b'e') => line.starts_with("exit status ") && line.len() < 16,
        Some(b'-') => line.starts_with("--- End of "),
        Some(b'+') => line.starts_with("+ Exception Group Traceback"),
        _ => false,
    }
}

pub(crate) const TRACEBACK: &str = "Traceback (most recent call last)";

/// `goroutine 1 [running]:`
pub(crate) fn is_goroutine(line: &str) -> bool {
    line.strip_prefix("goroutine ")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains('['))
}

/// A line of closing brackets alone.
fn closes(line: &str) -> bool {
    line.len() <= 8
        && line.starts_with(['}', ']', ')'])
        && line.bytes().all(|b| matches!(b, b'}' | b']' | b')' | b',' | b';'))
}

/// Marks of a line that showed neither time nor level: whether it continues a record.
pub(crate) fn of_bare_line(line: &str) -> Flags {
    let trimmed = line.trim_start();
    let mut flags = Flags::default();
    if trimmed.len() < line.len() || closes(trimmed.trim_end()) || is_frame(trimmed) {
        flags.set(Flags::CONTINUATION);
    }
    if mentions_failure(trimmed) {
        flags.set(Flags::TRACE_HEAD);
    }
    flags
}

/// Marks of a message whose record has a head of its own.
pub(crate) fn of_message(message: &str, level: Option<Level>) -> Flags {
    let mut flags = Flags::default();
    let first = message.as_bytes().first();
    if matches!(first, Some(b'a' | b'C' | b'S' | b'.' | b'F' | b'T' | b'D' | b' ' | b'\t' | b'g' | b'c')) {
        let trimmed = message.trim_start();
        if is_frame(trimmed) || message.starts_with('\t') {
            flags.set(Flags::HEADED_CONTINUATION);
        }
    }
    if level.is_some_and(Level::is_error) && mentions_failure(message) {
        flags.set(Flags::TRACE_HEAD);
    }
    flags
}

/// True when a stack trace may follow a message.
pub(crate) fn mentions_failure(message: &str) -> bool {
    static WORDS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| {
        ["Exception", "Error", "Traceback", "panic"].map(|word| Finder::new(word).into_owned())
    });
    WORDS.iter().any(|word| word.find(message.as_bytes()).is_some())
}

/// The last line of a Python traceback, `ValueError: bad`, `KeyboardInterrupt`, `pkg.mod.Error`.
pub(crate) fn ends_traceback(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or(line);
    let dotted = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_');
    !name.is_empty()
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(dotted)
}
