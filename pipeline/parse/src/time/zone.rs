//! Time zones of times that do not name one, and the abbreviations that logs use.

use std::str::FromStr;

use chrono::{Offset, TimeZone};

/// Where times without a zone were written: an offset, or an IANA zone such as `Europe/Berlin`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    /// A named zone with its rules.
    Named(chrono_tz::Tz),
}

impl Default for Zone {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl FromStr for Zone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "UTC" | "Z" | "GMT" | "") {
            return Ok(Self::Fixed(0));
        }
        if let Some((seconds, end)) = offset(text.as_bytes())
            && end == text.len()
        {
            return Ok(Self::Fixed(seconds));
        }
        chrono_tz::Tz::from_str(text)
            .map(Self::Named)
            .map_err(|_| format!("`{text}` is not a time zone; write it like `Europe/Berlin` or `+02:00`"))
    }
}

impl Zone {
    /// Turns local seconds since 1970 into UTC seconds. A time that occurs twice means the first; one that the
    /// clocks skipped is read with the offset before the change.
    pub(crate) fn to_utc(self, local: i64) -> i64 {
        match self {
            Self::Fixed(offset) => local - i64::from(offset),
            Self::Named(zone) => {
                let Some(naive) = chrono::DateTime::from_timestamp(local, 0).map(|at| at.naive_utc()) else {
                    return local;
                };
                if let Some(at) = zone.from_local_datetime(&naive).earliest() {
                    return at.timestamp();
                }
                let before = zone.offset_from_utc_datetime(&(naive - chrono::TimeDelta::days(1)));
                local - i64::from(before.fix().local_minus_utc())
            }
        }
    }
}

/// An offset such as `+0200`, `+02:00` or `-05` at the start: seconds east of UTC, and its length.
pub(crate) fn offset(bytes: &[u8]) -> Option<(i32, usize)> {
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digit = |at: usize| bytes.get(at).filter(|b| b.is_ascii_digit()).map(|b| i32::from(b - b'0'));
    let hours = digit(1)? * 10 + digit(2)?;
    let (minutes, end) = match (digit(3), digit(4)) {
        (Some(a), Some(b)) => (a * 10 + b, 5),
        _ if bytes.get(3) == Some(&b':') => match (digit(4), digit(5)) {
            (Some(a), Some(b)) => (a * 10 + b, 6),
            _ => return None,
        },
        (Some(_), None) => return None,
        _ => (0, 3),
    };
    (hours <= 14 && minutes <= 59 && digit(end).is_none())
        .then_some((sign * (hours * 3600 + minutes * 60), end))
}

/// Abbreviations in common use, minutes east of UTC. Ambiguous ones have their most usual meaning.
const ABBREVIATIONS: [(&str, i32); 28] = [
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("WET", 0),
    ("Z", 0),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("HST", -600),
    ("BST", 60),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("IST", 330),
    ("SGT", 480),
    ("JST", 540),
    ("KST", 540),
    ("AEST", 600),
];

/// A zone's abbreviation at the start: seconds east of UTC, and its length.
pub(crate) fn abbreviation(bytes: &[u8]) -> Option<(i32, usize)> {
    let len = bytes.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count();
    if bytes.get(len).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let word = bytes.get(..len)?;
    ABBREVIATIONS.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, minutes)| (minutes * 60, len))
}
