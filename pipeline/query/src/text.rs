//! Text that is safe and fits: what a log contains is shown, never executed.

use std::borrow::Cow;
use std::fmt::Write as _;

use logbraid_core::{EventTime, Level, Severity};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };
    /// Colours.
    pub const COLOUR: Self = Self { colour: true };

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
    /// For what went wrong.
    pub fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }
    /// For what to look at.
    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }
    /// For proposals.
    pub fn note(self, text: &str) -> String {
        self.paint("36", text)
    }
    /// For what went well.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }
    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
    /// For headings.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
    /// For an entry's line.
    pub fn level(self, level: Option<Level>, text: &str) -> String {
        match level {
            Some(Level::Fatal | Level::Error) => self.paint("31", text),
            Some(Level::Warn) => self.warn(text),
            Some(Level::Debug | Level::Trace) => self.dim(text),
            Some(Level::Info) | None => text.to_owned(),
        }
    }
    /// For a finding's line.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Critical | Severity::High => self.error(text),
            Severity::Medium => self.warn(text),
            Severity::Low => self.note(text),
            Severity::Info => self.dim(text),
        }
    }
}

/// `text` with everything shown that a terminal would execute or hide: controls as their pictures (`␛`), tabs as two
/// spaces, direction overrides and invisible characters by number (`\u{202e}`). On one line, line feeds are shown too.
pub fn escaped(text: &str, one_line: bool) -> Cow<'_, str> {
    let harmless = |c: char| (c == '\n' && !one_line) || !is_dangerous(c);
    let Some(at) = text.find(|c| !harmless(c)) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..at]);
    for c in text[at..].chars() {
        match c {
            _ if harmless(c) => out.push(c),
            '\t' => out.push_str("  "),
            '\0'..='\u{1f}' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => out.push('␡'),
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

/// Controls, direction marks and overrides, and characters that are there but cannot be seen.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The beginning of `text` that fits into `width` columns; what is cut is marked by `…`.
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut out = String::with_capacity(width + 3);
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// `text` cut or filled with spaces to exactly `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    let mut out = fit(text, width).into_owned();
    let used = out.width();
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    out
}

/// A duration in milliseconds as people read it: `<1ms`, `520ms`, `1.25s`, `2m05s`, `3h07m`.
pub fn duration(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        return "?".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "not negative, and a float saturates")]
    let whole = |value: f64| value as u64;
    if ms == 0.0 {
        "0ms".to_owned()
    } else if ms < 1.0 {
        "<1ms".to_owned()
    } else if ms < 999.5 {
        format!("{ms:.0}ms")
    } else if ms < 59_995.0 {
        format!("{:.2}s", ms / 1000.0)
    } else {
        let seconds = whole((ms / 1000.0).round());
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        if minutes < 60 {
            format!("{minutes}m{seconds:02}s")
        } else {
            format!("{}h{:02}m", minutes / 60, minutes % 60)
        }
    }
}

/// The time of day with milliseconds, `10:00:01.234`.
pub fn clock(time: EventTime) -> String {
    if !time.is_known() {
        return "--:--:--.---".to_owned();
    }
    let whole = time.to_string();
    let day = whole.get(11..).unwrap_or_default().trim_end_matches('Z');
    let (seconds, fraction) = day.split_once('.').unwrap_or((day, ""));
    format!("{seconds}.{:0<3}", fraction.get(..3).unwrap_or(fraction))
}

/// A whole number with thousands set apart, `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 request`, `2 requests`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_execute_is_shown() {
        assert_eq!(escaped("a\u{1b}[31mb\r\n\0\u{7f}", true), "a␛[31mb␍␊␀␡");
        assert_eq!(escaped("x\u{202e}y\u{9b}z\u{200b}", true), "x\\u{202e}y\\u{9b}z\\u{200b}");
        assert_eq!(escaped("a\tb\nc", false), "a  b\nc");
        assert!(matches!(escaped("grüße 日本", true), Cow::Borrowed(_)));
    }

    #[test]
    fn widths_are_columns_not_bytes() {
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad("日本語日本語", 4), "日… ");
    }

    #[test]
    fn durations_read_well_at_every_scale() {
        let shown: Vec<String> =
            [0.0, 0.2, 1.0, 520.4, 999.6, 1250.0, 59_990.0, 59_999.0, 125_000.0, 11_220_000.0, f64::NAN]
                .into_iter()
                .map(duration)
                .collect();
        let expected =
            ["0ms", "<1ms", "1ms", "520ms", "1.00s", "1.25s", "59.99s", "1m00s", "2m05s", "3h07m", "?"];
        assert_eq!(shown, expected);
    }

    proptest! {
        #[test]
        fn no_text_leaves_a_control_character_or_passes_its_width(text in "\\PC*|[\\x00-\\x20\u{80}-\u{9f}a-z]*", width in 0_usize..50) {
            let shown = escaped(&text, true).into_owned();
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert!(fit(&shown, width).width() <= width);
            prop_assert_eq!(pad(&shown, width).width(), width);
        }
    }
}
