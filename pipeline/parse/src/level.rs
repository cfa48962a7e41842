//! Words and numbers that name a level.

use logbraid_core::Level;

/// The level that `word` names, in any case; `None` for any other word.
pub fn level_of(word: &str) -> Option<Level> {
    // Nearly every level there is.
    match word {
        "INFO" | "info" => return Some(Level::Info),
        "DEBUG" | "debug" => return Some(Level::Debug),
        "ERROR" | "error" => return Some(Level::Error),
        _ => {}
    }
    let bytes = word.as_bytes();
    if bytes.len() > 13 || bytes.is_empty() {
        return None;
    }
    let mut upper = [0_u8; 13];
    for (to, from) in upper.iter_mut().zip(bytes) {
        *to = from.to_ascii_uppercase();
    }
    Some(match upper.get(..bytes.len())? {
        b"TRACE" | b"VERBOSE" | b"VRB" | b"TRC" | b"FINER" | b"FINEST" | b"V" | b"T" | b"SILLY" => {
            Level::Trace
        }
        b"DEBUG" | b"DBG" | b"D" | b"FINE" | b"DEBG" => Level::Debug,
        b"INFO" | b"INFORMATION" | b"INFORMATIONAL" | b"NOTICE" | b"INF" | b"I" | b"N" | b"CONFIG"
        | b"DEFAULT" | b"NOTE" => Level::Info,
        b"WARN" | b"WARNING" | b"WRN" | b"W" => Level::Warn,
        b"ERROR" | b"ERR" | b"SEVERE" | b"E" | b"EROR" | b"FAILURE" => Level::Error,
        b"FATAL" | b"CRITICAL" | b"CRIT" | b"ALERT" | b"EMERG" | b"EMERGENCY" | b"PANIC" | b"FTL" | b"F"
        | b"C" | b"DPANIC" => Level::Fatal,
        _ => return None,
    })
}

/// Like [`level_of`], but only words that are levels wherever they stand: at least three letters, no everyday word.
pub(crate) fn level_word(word: &str) -> Option<Level> {
    if word.len() < 3 || !word.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let everyday = ["note", "fine", "finer", "finest", "default", "failure", "config", "silly"];
    if everyday.iter().any(|known| known.eq_ignore_ascii_case(word)) && !upper(word) {
        return None;
    }
    level_of(word)
}

/// True when every letter is a capital.
pub(crate) fn upper(word: &str) -> bool {
    word.bytes().all(|b| !b.is_ascii_lowercase())
}

/// A syslog severity, 0 (emergency) to 7 (debug).
pub(crate) fn syslog(severity: u64) -> Option<Level> {
    Some(match severity {
        0 => Level::Fatal,
        1..=3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        7 => Level::Debug,
        _ => return None,
    })
}

/// What a number means as a level: 0 to 7 is a syslog severity, 10 to 60 Bunyan and pino, 100 to 800 Google Cloud,
/// 1000 and more Java's `level_value`.
pub(crate) fn level_number(number: u64) -> Option<Level> {
    match number {
        0..=7 => syslog(number),
        10..=19 | 5_000..=9_999 => Some(Level::Trace),
        20..=29 | 100..=199 | 10_000..=19_999 => Some(Level::Debug),
        30..=39 | 200..=399 | 20_000..=29_999 => Some(Level::Info),
        40..=49 | 400..=499 | 30_000..=39_999 => Some(Level::Warn),
        50..=59 | 500..=599 | 40_000..=49_999 => Some(Level::Error),
        60..=69 | 600..=899 => Some(Level::Fatal),
        _ => None,
    }
}

/// Python's `levelno`, 10 (debug) to 50 (critical).
pub(crate) fn python(number: u64) -> Option<Level> {
    Some(match number {
        1..=9 => Level::Trace,
        10..=19 => Level::Debug,
        20..=29 => Level::Info,
        30..=39 => Level::Warn,
        40..=49 => Level::Error,
        50..=59 => Level::Fatal,
        _ => return None,
    })
}

/// OpenTelemetry's `SeverityNumber`, 1 to 24.
pub(crate) fn otel(number: u64) -> Option<Level> {
    Some(match number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => return None,
    })
}

/// The first level word in capitals, standing alone, within `text`.
pub(crate) fn find_level(text: &str) -> Option<Level> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_uppercase() {
            at += 1;
            continue;
        }
        let start = at;
        let mut plain = true;
        while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
            plain &= bytes[at].is_ascii_uppercase();
            at += 1;
        }
        let alone = start == 0 || !(bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] == b'_');
        if plain && alone && (3..=11).contains(&(at - start)) {
            let word = text.get(start..at).unwrap_or_default();
            let known = matches!(
                word,
                "TRACE"
                    | "VERBOSE"
                    | "DEBUG"
                    | "INFO"
                    | "INFORMATION"
                    | "NOTICE"
                    | "WARN"
                    | "WARNING"
                    | "ERROR"
                    | "ERR"
                    | "SEVERE"
                    | "FATAL"
                    | "CRITICAL"
                    | "CRIT"
                    | "ALERT"
                    | "EMERG"
                    | "PANIC"
            );
            if known {
                return level_of(word);
            }
        }
    }
    None
}

/// Words of system logs that imply a level, most severe first; looked for when no level is written.
const TIERS: [(Level, &[&str]); 4] = [
    (Level::Fatal, &["out of memory", "kill process", "kernel panic", "oom-killer"]),
    (
        Level::Error,
        &[
            "failed password",
            "authentication failure",
            "invalid user",
            "connection refused",
            "permission denied",
            "not allowed",
            "fatal:",
            "error:",
            "failed to",
            "unable to",
            "timed out",
            "timeout",
        ],
    ),
    (Level::Warn, &["warning:", "deprecated", "rate limit", "retry"]),
    (
        Level::Info,
        &[
            "accepted",
            "session opened",
            "session closed",
            "started",
            "mounted",
            "received signal",
            "listening on",
            ") cmd",
        ],
    ),
];

/// Finds the level that a system log's wording implies.
#[derive(Debug)]
pub(crate) struct Wording(regex::RegexSet);

impl Wording {
    pub(crate) fn new() -> Self {
        let patterns = TIERS.iter().map(|(_, words)| {
            let words: Vec<String> = words.iter().map(|word| regex::escape(word)).collect();
            format!("(?i){}", words.join("|"))
        });
        // The patterns are escaped literals: they always compile.
        Self(regex::RegexSet::new(patterns).unwrap_or_else(|_| regex::RegexSet::empty()))
    }
    pub(crate) fn level(&self, text: &str) -> Option<Level> {
        let found = self.0.matches(text).iter().next()?;
        TIERS.get(found).map(|(level, _)| *level)
    }
}
