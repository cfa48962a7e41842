//! The nineteen message templates of generated files.

use super::random::Random;
use super::stamp::number;

/// Levels of generated entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
}

impl Severity {
    /// Draws a level: `error_permille` of a thousand are errors, the others DEBUG:INFO:WARN as 1:6:2.
    pub const fn draw(random: &mut Random, error_permille: u64) -> Self {
        let error = if error_permille > 1000 { 1000 } else { error_permille };
        let share = 1000 - error;
        match random.below(9000) {
            drawn if drawn < 9 * error => Self::Error,
            drawn if drawn < 9 * error + share => Self::Debug,
            drawn if drawn < 9 * error + 7 * share => Self::Info,
            _ => Self::Warn,
        }
    }
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
    /// Its syslog severity.
    pub const fn syslog(self) -> u64 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warn => 4,
            Self::Error => 3,
        }
    }
}

const VERBS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];
const PATHS: [&str; 10] = [
    "/api/users",
    "/api/orders",
    "/api/products",
    "/api/cart",
    "/api/payments",
    "/api/search",
    "/api/sessions",
    "/api/inventory",
    "/api/reports",
    "/api/settings",
];
const STATUS: [u64; 13] = [200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 500, 502, 503];
const OPERATIONS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];
const TABLES: [&str; 6] = ["users", "orders", "products", "sessions", "payments", "audit_log"];
const STEPS: [&str; 4] = ["validate", "transform", "serialize", "parse"];
const CACHES: [&str; 5] = ["user", "session", "product", "config", "rate_limit"];
const HOSTS: [&str; 5] = ["db-primary", "cache-01", "auth-svc", "api-gw", "queue-01"];

/// Appends a message of `level`. Messages are ASCII without quotes, backslashes and control characters, so that every
/// layout can hold them as they are.
pub fn write(out: &mut Vec<u8>, level: Severity, random: &mut Random) {
    match level {
        Severity::Info => {
            let (verb, path) = (random.pick(&VERBS), random.pick(&PATHS));
            let status = STATUS[usize::try_from(random.below(13)).unwrap_or(0)];
            words(out, &[verb, " ", path, " "]);
            number(out, status);
            counted(out, " ", random.between(1, 500), "ms");
        }
        Severity::Warn => match random.below(5) {
            0 => {
                let (operation, table) = (random.pick(&OPERATIONS), random.pick(&TABLES));
                words(out, &["Slow query: ", operation, " on ", table]);
                counted(out, " took ", random.between(100, 5000), "ms");
            }
            1 => counted(out, "High memory usage: ", random.between(70, 95), "%"),
            2 => counted(out, "Connection pool nearly exhausted: ", random.between(8, 10), "/10"),
            3 => {
                counted(out, "Retry attempt ", random.between(1, 3), " for ");
                words(out, &[random.pick(&PATHS)]);
            }
            _ => words(out, &["Deprecated API call to ", random.pick(&PATHS)]),
        },
        Severity::Debug => match random.below(3) {
            0 => words(out, &["Entering ", random.pick(&STEPS), "()"]),
            1 => {
                words(out, &["Cache lookup for ", random.pick(&CACHES)]);
                counted(out, ":", random.between(1, 100), "");
            }
            _ => {
                let (operation, table) = (random.pick(&OPERATIONS), random.pick(&TABLES));
                words(out, &["SQL: ", operation, " * FROM ", table]);
                counted(out, " WHERE id = ", random.between(1, 10_000), "");
            }
        },
        Severity::Error => {
            let kind = random.below(10);
            let host = random.pick(&HOSTS);
            let port = random.between(1000, 9999);
            match kind {
                0 => {
                    words(out, &["Connection refused to ", host]);
                    counted(out, ":", port, "");
                }
                1 => {
                    words(out, &["Timeout after ", host, "ms waiting for "]);
                    number(out, port);
                }
                2 => words(out, &["Failed to parse response from ", host]),
                3 => words(out, &["Authentication failed for user ", host]),
                4 => words(out, &["Rate limit exceeded for client ", host]),
                5 => words(out, &["Out of memory: heap size ", host, "MB"]),
                6 => words(out, &["Deadlock detected in transaction ", host]),
                7 => words(out, &["Circuit breaker open for ", host]),
                8 => words(out, &["SSL handshake failed with ", host]),
                _ => words(out, &["DNS resolution failed for ", host]),
            }
        }
    }
}

fn words(out: &mut Vec<u8>, words: &[&str]) {
    for word in words {
        out.extend_from_slice(word.as_bytes());
    }
}

fn counted(out: &mut Vec<u8>, before: &str, value: u64, after: &str) {
    out.extend_from_slice(before.as_bytes());
    number(out, value);
    out.extend_from_slice(after.as_bytes());
}
