//! Event time and spans of time, in nanoseconds.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A moment of event time: nanoseconds since 1970-01-01T00:00:00Z, from the year 1677 to 2262.
///
/// ```
/// use logbraid_core::EventTime;
/// let t = EventTime::from_nanos(1_705_312_800_120_000_000);
/// assert_eq!(t.to_string(), "2024-01-15T10:00:00.120Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EventTime(i64);

impl EventTime {
    /// Before every event: "nothing is known yet".
    pub const MIN: Self = Self(i64::MIN);
    /// After every event: "the input has ended".
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `nanos` nanoseconds after 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }
    /// The moment `millis` milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
    /// Nanoseconds since 1970.
    pub const fn nanos(self) -> i64 {
        self.0
    }
    /// True for a real moment, false for the two sentinels.
    pub const fn is_known(self) -> bool {
        self.0 != i64::MIN && self.0 != i64::MAX
    }
    /// The last whole multiple of `tick` at or before this moment.
    pub fn floor_to(self, tick: Span) -> Self {
        if !self.is_known() || tick.0 <= 0 {
            return self;
        }
        Self(self.0.div_euclid(tick.0).saturating_mul(tick.0))
    }
    /// The first whole multiple of `tick` at or after this moment.
    pub fn ceil_to(self, tick: Span) -> Self {
        let floor = self.floor_to(tick);
        if floor == self { self } else { floor + tick }
    }
    /// The span from `earlier` to this moment; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
    /// Writes RFC 3339 in UTC with 0, 3, 6 or 9 fraction digits, as many as are needed.
    pub fn write_rfc3339(self, out: &mut [u8; 30]) -> &str {
        self.write_date(out);
        self.write_fraction(out)
    }

    /// The same, where `out` holds what was written for `last`: within one second only the fraction is written.
    pub fn write_rfc3339_after(self, last: Self, out: &mut [u8; 30]) -> &str {
        if self.0.div_euclid(NANOS_PER_SECOND) != last.0.div_euclid(NANOS_PER_SECOND) {
            self.write_date(out);
        }
        self.write_fraction(out)
    }

    fn write_date(self, out: &mut [u8; 30]) {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND);
        let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = civil_from_days(days);
        out[..20].copy_from_slice(b"0000-00-00T00:00:00.");
        two_digits(out, 0, year / 100);
        two_digits(out, 2, year % 100);
        two_digits(out, 5, month);
        two_digits(out, 8, day);
        two_digits(out, 11, second / 3600);
        two_digits(out, 14, second / 60 % 60);
        two_digits(out, 17, second % 60);
    }

    fn write_fraction(self, out: &mut [u8; 30]) -> &str {
        // Below 10⁹: 32 bits divide faster than 64.
        let nanos = u32::try_from(self.0.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0);
        let mut end = 19;
        if nanos != 0 {
            out[end] = b'.';
            end += 1;
            let (digits, mut value) = if nanos % 1_000_000 == 0 {
                (3, nanos / 1_000_000)
            } else if nanos % 1_000 == 0 {
                (6, nanos / 1_000)
            } else {
                (9, nanos)
            };
            for at in (end..end + digits).rev() {
                out[at] = b'0' + (value % 10).to_le_bytes()[0];
                value /= 10;
            }
            end += digits;
        }
        out[end] = b'Z';
        // Only ASCII was written above.
        std::str::from_utf8(&out[..=end]).unwrap_or_default()
    }
}

fn digit(value: i64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or(0)
}

fn two_digits(out: &mut [u8; 30], at: usize, value: i64) {
    out[at] = digit(value / 10);
    out[at + 1] = digit(value % 10);
}

/// Year, month and day of a day count since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a civil date (the inverse, same source). Any year; months 1 to 12.
///
/// ```
/// assert_eq!(logbraid_core::days_from_civil(2024, 1, 15), 19_737);
/// ```
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("-∞"),
            Self::MAX => f.write_str("∞"),
            time => f.write_str(time.write_rfc3339(&mut [0; 30])),
        }
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write_rfc3339(&mut [0; 30]))
    }
}

impl schemars::JsonSchema for EventTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventTime".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Add<Span> for EventTime {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        if self.is_known() { Self(self.0.saturating_add(span.0)) } else { self }
    }
}

impl Sub<Span> for EventTime {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        if self.is_known() { Self(self.0.saturating_sub(span.0)) } else { self }
    }
}

/// A stretch of time in nanoseconds, written `500ms`, `30s`, `1.5m`, `2h`, `1d` or combined, `1m30s`.
///
/// ```
/// use logbraid_core::Span;
/// assert_eq!("1.5m".parse::<Span>().unwrap(), Span::from_seconds(90));
/// assert_eq!(Span::from_millis(1500).to_string(), "1.5s");
/// assert!("30".parse::<Span>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }
    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
    /// A span of `seconds` seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }
    /// The span in nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }
    /// The span in milliseconds, with the fraction down to a nanosecond.
    pub fn millis(self) -> f64 {
        self.0 as f64 / 1e6
    }
    /// The span as the standard library's duration; negative spans become zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Div<i64> for Span {
    type Output = Self;
    fn div(self, by: i64) -> Self {
        Self(self.0 / by)
    }
}

const UNITS: [(&str, i64); 7] = [
    ("d", SECONDS_PER_DAY * NANOS_PER_SECOND),
    ("h", 3600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Why a text is not a span of time or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(pub(crate) String);

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || {
            UnitError(format!("`{text}` is not a span of time; write it like `500ms`, `30s`, `5m` or `2h`"))
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = 0_i64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let unit = if unit == "µs" { "us" } else { unit };
            let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
            total = total.checked_add(scaled(number, scale).ok_or_else(bad)?).ok_or_else(bad)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

/// `number × scale` without going through floats, so that `0.1s` is exact.
pub(crate) fn scaled(number: &str, scale: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(scale)?;
    // Nineteen digits are more than any scale resolves.
    let (mut parts, mut of) = (0_i128, 1_i128);
    for digit in fraction.chars() {
        let digit = i128::from(digit.to_digit(10)?);
        if of < 10_i128.pow(18) {
            parts = parts * 10 + digit;
            of *= 10;
        }
    }
    value = value.checked_add(i64::try_from(i128::from(scale) * parts / of).ok()?)?;
    Some(value)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if value == 0 {
            return f.write_str("0s");
        }
        for (name, scale) in UNITS {
            let scale = scale.unsigned_abs();
            if value >= scale {
                let hundredths = (u128::from(value) * 1000 / u128::from(scale)) as f64 / 1000.0;
                return write!(f, "{hundredths}{name}");
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A number without a unit gets the same help as any other text.
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time such as `30s`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Span, E> {
                if number == 0 { Ok(Span::ZERO) } else { number.to_string().parse().map_err(E::custom) }
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Span, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Span, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "a span of time: `500ms`, `30s`, `5m`, `2h`, `1d`" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_carry_as_many_digits_as_they_need() {
        let at = |nanos: i64| EventTime::from_nanos(1_705_312_800_000_000_000 + nanos).to_string();
        assert_eq!(at(0), "2024-01-15T10:00:00Z");
        assert_eq!(at(1_000_000), "2024-01-15T10:00:00.001Z");
        assert_eq!(at(1_000), "2024-01-15T10:00:00.000001Z");
        assert_eq!(at(1), "2024-01-15T10:00:00.000000001Z");
        assert_eq!(EventTime::from_nanos(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn spans_without_a_unit_are_refused_with_help() {
        let error = "30".parse::<Span>().unwrap_err().to_string();
        assert!(error.contains("`30s`"), "{error}");
        assert_eq!("1m30s".parse::<Span>().unwrap(), Span::from_seconds(90));
        assert_eq!("0.1s".parse::<Span>().unwrap(), Span::from_millis(100));
        assert!("99999999999d".parse::<Span>().is_err());
        assert!("-5s".parse::<Span>().is_err());
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -100_000_i64..100_000) {
            let (y, m, d) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(y, m, d), days);
        }
        #[test]
        fn floor_and_ceil_enclose(t in any::<i32>(), tick in 1_i64..10_000) {
            let (t, tick) = (EventTime::from_nanos(i64::from(t)), Span::from_nanos(tick));
            prop_assert!(t.floor_to(tick) <= t && t <= t.ceil_to(tick));
            prop_assert!(t.ceil_to(tick).since(t.floor_to(tick)) <= tick);
        }
    }
}
