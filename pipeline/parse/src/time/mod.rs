//! Times as logs write them: a fast path for RFC 3339 and a scanner over the shape of everything else.

mod scan;
mod zone;

use logbraid_core::{Flags, days_from_civil};

pub(crate) use scan::{Allow, scan};
pub(crate) use zone::Zone;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const DAY: i64 = 86_400;

/// In which order a source writes the day and the month of `03/04/2024`, as far as it has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum DayOrder {
    /// Not shown: slashes mean month first, dots and dashes day first.
    #[default]
    Unknown,
    DayFirst,
    MonthFirst,
}

/// What reading a time needs to know beside its text.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Where times without a zone were written.
    pub(crate) zone: Zone,
    /// The moment of reading, to guess a missing year or date; in nanoseconds.
    pub(crate) ingest: i64,
    pub(crate) order: DayOrder,
}

/// A time that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// Nanoseconds since 1970, UTC.
    pub(crate) nanos: i64,
    /// One past its last byte.
    pub(crate) end: usize,
    /// `NO_YEAR`, `AMBIGUOUS_DATE`, `DAY_FIRST`, `MONTH_FIRST`.
    pub(crate) flags: Flags,
    /// True for a bare number of seconds, milliseconds and so on.
    pub(crate) epoch: bool,
}

/// Remembers the day of the last date, since lines of one batch nearly always share it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DayCache {
    date: [u8; 10],
    seconds: i64,
}

#[inline]
fn two(bytes: &[u8], at: usize) -> Option<i64> {
    let (a, b) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| i64::from(a) * 10 + i64::from(b))
}

impl DayCache {
    /// Reads `2025-01-15T10:00:00[.fraction]` with `Z` or an offset, and nothing else; nanoseconds since 1970.
    #[inline]
    pub(crate) fn rfc3339(&mut self, text: &str) -> Option<i64> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 || bytes[13] != b':' || bytes[16] != b':' || !matches!(bytes[10], b'T' | b' ') {
            return None;
        }
        let date: [u8; 10] = bytes[..10].try_into().ok()?;
        if date != self.date {
            if date[4] != b'-' || date[7] != b'-' {
                return None;
            }
            let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
            let days = civil(year, two(bytes, 5)?, two(bytes, 8)?)?;
            *self = Self { date, seconds: days * DAY };
        }
        let (hour, minute, second) = (two(bytes, 11)?, two(bytes, 14)?, two(bytes, 17)?);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut nanos = 0_i64;
        if bytes[19] == b'.' {
            at = 20;
            let mut scale = SECOND;
            while let Some(digit) = bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
                scale /= 10;
                nanos += scale * i64::from(digit);
                at += 1;
            }
            if at == 20 {
                return None;
            }
        }
        let offset = match &bytes[at..] {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let seconds = two(bytes, at + 1)? * 3600 + two(bytes, at + 4)? * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        let seconds = self.seconds + hour * 3600 + minute * 60 + second - offset;
        seconds.checked_mul(SECOND)?.checked_add(nanos)
    }
}

/// Days since 1970 of a date that exists, years 1678 to 2261.
pub(crate) fn civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1678..=2261).contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (day <= last).then(|| days_from_civil(year, month, day))
}

/// A number as a time: seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size.
pub(crate) fn epoch(number: u64) -> Option<i64> {
    let scale = match number {
        0..=99_999_999 => return None,
        100_000_000..=99_999_999_999 => SECOND,
        100_000_000_000..=99_999_999_999_999 => 1_000_000,
        100_000_000_000_000..=99_999_999_999_999_999 => 1_000,
        _ => 1,
    };
    i64::try_from(number).ok()?.checked_mul(scale)
}

/// Like [`epoch`], for a number with a fraction.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
pub(crate) fn epoch_float(number: f64) -> Option<i64> {
    // Not a number is in no range.
    if !(1e8..9e18).contains(&number) {
        return None;
    }
    let whole = number.trunc();
    let base = epoch(whole as u64)?;
    let scale = match whole {
        w if w < 1e11 => 1e9,
        w if w < 1e14 => 1e6,
        w if w < 1e17 => 1e3,
        _ => 1.0,
    };
    // A float holds a present-day second to about 0.2 µs: digits beyond the microsecond are noise.
    let nanos = ((number - whole) * scale / 1e3).round() as i64 * 1_000;
    base.checked_add(nanos)
}

/// A text that is a time and nothing else.
pub(crate) fn whole(text: &str, context: &Context) -> Option<Found> {
    let text = text.trim();
    let found = scan(text.as_bytes(), context, Allow::VALUE)?;
    (found.end == text.len()).then_some(found)
}
