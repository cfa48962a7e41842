//! Moments as people type them.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use logbraid_core::{EventTime, Span};

use crate::QuestionError;

/// A moment: RFC 3339, `2024-01-15`, `2024-01-15 10:00[:00[.5]]` (UTC), `@1705312800` (seconds since 1970), `now`, or a
/// span before `now`, `-30m`. The mistake names `option`.
pub fn moment(option: &str, text: &str, now: EventTime) -> Result<EventTime, QuestionError> {
    parse(text.trim(), now).ok_or_else(|| {
        QuestionError::new("usage", format!("`{option}`: `{text}` is not a moment"))
            .help("write it like `2024-01-15T10:00:00Z`, `2024-01-15 10:00` (UTC) or `-30m`")
    })
}

fn parse(text: &str, now: EventTime) -> Option<EventTime> {
    if text == "now" {
        return Some(now);
    }
    if let Some(span) = text.strip_prefix('-') {
        return span.trim().parse::<Span>().ok().map(|span| now - span);
    }
    if let Some(seconds) = text.strip_prefix('@') {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        let nanos: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        return whole
            .parse::<i64>()
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(nanos)
            .map(EventTime::from_nanos);
    }
    let nanos = if let Ok(zoned) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        zoned.timestamp_nanos_opt()
    } else if let Ok(zoned) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        zoned.timestamp_nanos_opt()
    } else {
        let text = text.replacen(' ', "T", 1);
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        let naive = formats
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
            .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
        naive.and_utc().timestamp_nanos_opt()
    };
    nanos.map(EventTime::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_without_a_zone_are_utc() {
        let now = EventTime::from_millis(1_705_312_800_000);
        let shown = |text| parse(text, now).map_or("not a moment".to_owned(), |time| time.to_string());
        assert_eq!(shown("2024-01-15T10:00:00Z"), "2024-01-15T10:00:00Z");
        assert_eq!(shown("2024-01-15T11:00:00+01:00"), "2024-01-15T10:00:00Z");
        assert_eq!(shown("2024-01-15T11:00:00+0100"), "2024-01-15T10:00:00Z");
        assert_eq!(shown("2024-01-15 10:00"), "2024-01-15T10:00:00Z");
        assert_eq!(shown("2024-01-15 10:00:00.5"), "2024-01-15T10:00:00.500Z");
        assert_eq!(shown("2024-01-15"), "2024-01-15T00:00:00Z");
        assert_eq!(shown("-30m"), "2024-01-15T09:30:00Z");
        assert_eq!(shown("@1705312800.25"), "2024-01-15T10:00:00.250Z");
        assert_eq!(shown("now"), "2024-01-15T10:00:00Z");
        for bad in ["", "yesterday", "-30", "10:00", "@", "2024-13-01", "9999-01-01T00:00:00Z"] {
            assert_eq!(shown(bad), "not a moment", "{bad}");
        }
    }
}
