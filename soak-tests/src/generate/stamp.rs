//! Times and numbers as text, without a formatter in between: the generator must be faster than what it measures.

use logbraid_core::days_from_civil;

/// Microseconds since 1970 of 2025-01-15T10:00:00Z, the first time of generated files.
pub const T0_US: u64 = 1_736_935_200_000_000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Appends `value` in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    padded(out, value, 1);
}

/// Appends `value` in decimal, with leading zeros to at least `width` (at most 20) digits.
pub fn padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] = digit(value % 10);
        value /= 10;
    }
    let from = at.min(digits.len().saturating_sub(width));
    out.extend_from_slice(&digits[from..]);
}

/// Appends `value` in lower-case hexadecimal, with leading zeros to at least `width` (at most 16) digits.
pub fn hex(out: &mut Vec<u8>, value: u64, width: usize) {
    let needed = (64 - value.leading_zeros() as usize).div_ceil(4);
    for at in (0..needed.max(width).min(16)).rev() {
        let nibble = u8::try_from(value >> (4 * at) & 15).unwrap_or(0);
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
}

/// Appends hundredths as a decimal number with at least one fraction digit: `12.0`, `12.5`, `12.34`.
pub fn hundredths(out: &mut Vec<u8>, value: u64) {
    number(out, value / 100);
    out.push(b'.');
    let fraction = value % 100;
    out.push(digit(fraction / 10));
    if !fraction.is_multiple_of(10) {
        out.push(digit(fraction % 10));
    }
}

const fn digit(value: u64) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "callers pass one decimal digit")]
    let digit = value as u8;
    b'0' + digit
}

/// Writes times; remembers the last second's text, since most lines share it with the one before.
#[derive(Debug)]
pub struct Stamps {
    second: u64,
    /// `2025-01-15T10:00:00`
    text: [u8; 19],
    month: usize,
}

impl Default for Stamps {
    fn default() -> Self {
        Self { second: u64::MAX, text: [0; 19], month: 0 }
    }
}

impl Stamps {
    fn second(&mut self, micros: u64) {
        let second = micros / 1_000_000;
        if second == self.second {
            return;
        }
        let (year, month, day) = civil(second / 86_400);
        let mut text = Vec::with_capacity(19);
        padded(&mut text, year, 4);
        for (mark, value) in [
            (b'-', month),
            (b'-', day),
            (b'T', second / 3600 % 24),
            (b':', second / 60 % 60),
            (b':', second % 60),
        ] {
            text.push(mark);
            padded(&mut text, value, 2);
        }
        self.text.copy_from_slice(&text[..19]);
        self.month = usize::try_from(month).unwrap_or(1) - 1;
        self.second = second;
    }
    /// `2025-01-15T10:00:00.000123Z`; without a fraction where it is zero.
    pub fn iso(&mut self, out: &mut Vec<u8>, micros: u64) {
        self.second(micros);
        out.extend_from_slice(&self.text);
        if !micros.is_multiple_of(1_000_000) {
            out.push(b'.');
            padded(out, micros % 1_000_000, 6);
        }
        out.push(b'Z');
    }
    /// `2025-01-15T10:00:00.123Z` with `zone` in place of `Z`, always with milliseconds.
    pub fn iso_millis(&mut self, out: &mut Vec<u8>, micros: u64, zone: &str) {
        self.second(micros);
        out.extend_from_slice(&self.text);
        out.push(b'.');
        padded(out, micros / 1000 % 1000, 3);
        out.extend_from_slice(zone.as_bytes());
    }
    /// `2025-01-15 10:00:00,123`
    pub fn log4j(&mut self, out: &mut Vec<u8>, micros: u64) {
        self.second(micros);
        out.extend_from_slice(&self.text[..10]);
        out.push(b' ');
        out.extend_from_slice(&self.text[11..]);
        out.push(b',');
        padded(out, micros / 1000 % 1000, 3);
    }
    /// `Jan 15 10:00:00`
    pub fn bsd(&mut self, out: &mut Vec<u8>, micros: u64) {
        self.second(micros);
        out.extend_from_slice(MONTHS[self.month].as_bytes());
        out.push(b' ');
        out.push(if self.text[8] == b'0' { b' ' } else { self.text[8] });
        out.extend_from_slice(&self.text[9..10]);
        out.push(b' ');
        out.extend_from_slice(&self.text[11..]);
    }
}

/// Year, month and day of a day count since 1970, found by stepping: called once per second of event time.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = i64::try_from(days).unwrap_or(0);
    // The estimate is at most one year too late: years are never shorter than 365 days.
    let mut year = 1970 + days / 365;
    while days_from_civil(year, 1, 1) > days {
        year -= 1;
    }
    let mut month = 12;
    while days_from_civil(year, month, 1) > days {
        month -= 1;
    }
    let day = days - days_from_civil(year, month, 1) + 1;
    (year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_python_would() {
        assert_eq!(text(|out| number(out, 0)), "0");
        assert_eq!(text(|out| padded(out, 42, 6)), "000042");
        assert_eq!(text(|out| padded(out, 1_234_567, 6)), "1234567");
        assert_eq!(text(|out| hex(out, 19, 4)), "0013");
        assert_eq!(text(|out| hex(out, 0xabcde, 4)), "abcde");
        assert_eq!(text(|out| hundredths(out, 1200)), "12.0");
        assert_eq!(text(|out| hundredths(out, 1250)), "12.5");
        assert_eq!(text(|out| hundredths(out, 1207)), "12.07");
    }

    #[test]
    fn times_are_written_in_every_style() {
        let mut stamps = Stamps::default();
        assert_eq!(text(|out| stamps.iso(out, T0_US)), "2025-01-15T10:00:00Z");
        assert_eq!(text(|out| stamps.iso(out, T0_US + 4_500)), "2025-01-15T10:00:00.004500Z");
        assert_eq!(text(|out| stamps.log4j(out, T0_US + 4_500)), "2025-01-15 10:00:00,004");
        assert_eq!(
            text(|out| stamps.iso_millis(out, T0_US + 4_500, "+00:00")),
            "2025-01-15T10:00:00.004+00:00"
        );
        let newyear = 1_735_689_600_000_000;
        assert_eq!(text(|out| stamps.bsd(out, newyear)), "Jan  1 00:00:00");
        assert_eq!(text(|out| stamps.iso(out, newyear - 1)), "2024-12-31T23:59:59.999999Z");
        assert_eq!(text(|out| stamps.iso(out, 1_709_164_800_000_000)), "2024-02-29T00:00:00Z");
    }
}
