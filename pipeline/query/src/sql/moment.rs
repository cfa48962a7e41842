//! Moments and levels as SQL compares them: a moment by time, however it is written, a level by severity.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use logbraid_core::EventTime;

/// The moment that `text` names: RFC 3339, `2024-01-15`, or `2024-01-15 10:00[:00[.5]]` in UTC.
pub(super) fn parse(text: &str) -> Option<EventTime> {
    let nanos = if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        zoned.timestamp_nanos_opt()
    } else {
        let text = text.trim().replacen(' ', "T", 1);
        if let Ok(zoned) = DateTime::parse_from_rfc3339(&text) {
            zoned.timestamp_nanos_opt()
        } else if let Ok(zoned) = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z") {
            zoned.timestamp_nanos_opt()
        } else {
            let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
                .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
            naive.and_utc().timestamp_nanos_opt()
        }
    };
    nanos.map(EventTime::from_nanos).filter(|time| time.is_known())
}

/// Moments in the order of time; what names no moment comes after them, as text.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Levels in the order of severity; what names no level comes after them, as text.
pub(super) fn compare_levels(a: &str, b: &str) -> Ordering {
    match (logbraid_parse::level_of(a), logbraid_parse::level_of(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}
