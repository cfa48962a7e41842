//! Units: what can be converted is; what cannot is kept apart.

use crate::time::Span;

/// What the values of a series are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// No unit, or the one that the name says.
    Plain,
    /// Milliseconds; from nanoseconds to days.
    Millis,
    /// Bytes; `kB` is 1000 and `KiB` 1024 of them.
    Bytes,
    /// Percent.
    Percent,
    /// Degrees Celsius.
    Celsius,
    /// Degrees Fahrenheit.
    Fahrenheit,
    /// Revolutions a minute.
    Rpm,
    /// Hertz, from mHz to GHz.
    Hertz,
    /// Kilopascal.
    Kilopascal,
}

impl Unit {
    /// As answers name it.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Millis => Some("ms"),
            Self::Bytes => Some("bytes"),
            Self::Percent => Some("%"),
            Self::Celsius => Some("°C"),
            Self::Fahrenheit => Some("°F"),
            Self::Rpm => Some("rpm"),
            Self::Hertz => Some("Hz"),
            Self::Kilopascal => Some("kPa"),
        }
    }
    /// The unit that `text` spells, and what a value is multiplied with.
    pub fn of(text: &str) -> Option<(Self, f64)> {
        Some(match text {
            "ns" => (Self::Millis, 1e-6),
            "us" | "µs" | "μs" => (Self::Millis, 1e-3),
            "ms" | "msec" | "msecs" | "millis" | "milliseconds" => (Self::Millis, 1.0),
            "s" | "sec" | "secs" | "second" | "seconds" => (Self::Millis, 1e3),
            "min" | "mins" | "minutes" => (Self::Millis, 6e4),
            "h" | "hours" => (Self::Millis, 3.6e6),
            "B" | "bytes" | "byte" => (Self::Bytes, 1.0),
            "kB" | "KB" => (Self::Bytes, 1e3),
            "MB" => (Self::Bytes, 1e6),
            "GB" => (Self::Bytes, 1e9),
            "TB" => (Self::Bytes, 1e12),
            "KiB" => (Self::Bytes, 1024.0),
            "MiB" => (Self::Bytes, 1_048_576.0),
            "GiB" => (Self::Bytes, 1_073_741_824.0),
            "%" => (Self::Percent, 1.0),
            "°C" => (Self::Celsius, 1.0),
            "°F" => (Self::Fahrenheit, 1.0),
            "rpm" => (Self::Rpm, 1.0),
            "Hz" => (Self::Hertz, 1.0),
            "kHz" => (Self::Hertz, 1e3),
            "MHz" => (Self::Hertz, 1e6),
            "GHz" => (Self::Hertz, 1e9),
            "kPa" => (Self::Kilopascal, 1.0),
            _ => return None,
        })
    }
    /// The unit that a name ends in, such as `ms` of `latency_ms`: its values are shown as they are.
    pub fn of_name(name: &str) -> Option<&'static str> {
        let last = name.rsplit(['.', '_', '-']).next().filter(|last| last.len() < name.len());
        let camel =
            name.rfind(|c: char| c.is_ascii_uppercase()).filter(|at| *at > 0).and_then(|at| name.get(at..));
        let known = |word: &str| {
            Some(match word.to_ascii_lowercase().as_str() {
                "ns" | "nanos" => "ns",
                "us" | "micros" => "us",
                "ms" | "millis" => "ms",
                "s" | "sec" | "secs" | "seconds" => "s",
                "bytes" => "bytes",
                "kb" => "kB",
                "mb" => "MB",
                "gb" => "GB",
                "pct" | "percent" => "%",
                _ => return None,
            })
        };
        last.and_then(known).or_else(|| camel.and_then(known))
    }
}

/// A number with a unit, or without one: `12ms`, `1.5 GB`, `87%`, `1m30s`, `42`. Nothing else may stand in `text`.
///
/// ```
/// use logbraid_core::quantity::{Unit, quantity};
/// assert_eq!(quantity("1.5s"), Some((1500.0, Unit::Millis)));
/// assert_eq!(quantity("87%"), Some((87.0, Unit::Percent)));
/// assert_eq!(quantity("12 monkeys"), None);
/// ```
pub fn quantity(text: &str) -> Option<(f64, Unit)> {
    let digits = number_len(text);
    let (number, unit) = text.split_at(digits);
    if digits == 0 {
        return None;
    }
    let value: f64 = number.parse().ok().filter(|value: &f64| value.is_finite())?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some((value, Unit::Plain));
    }
    if let Some((unit, factor)) = Unit::of(unit) {
        return Some((value * factor, unit));
    }
    // `1m30s` as Go writes it. A single `m` may be anything, hence not `5m`.
    let composed = text.bytes().filter(u8::is_ascii_alphabetic).count() > 1;
    let span = composed.then(|| text.parse::<Span>().ok()).flatten()?;
    Some((span.millis(), Unit::Millis))
}

/// How many bytes of `text` are a decimal number, sign and exponent included.
pub(super) fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits =
        |from: usize| bytes.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    if whole == 0 {
        return 0;
    }
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction > 0 {
            end += 1 + fraction;
        }
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        let after = bytes.get(end + 1 + sign + exponent);
        if exponent > 0 && after.is_none_or(|b| !b.is_ascii_alphanumeric()) {
            end += 1 + sign + exponent;
        }
    }
    end
}
