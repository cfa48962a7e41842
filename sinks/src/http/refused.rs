//! What a server's answer says of a request and of its records.

use serde::Deserialize;

/// Characters of a server's own words that are told.
const WORDS_MAX: usize = 300;

/// True when the status is about the records themselves: sent again, they are refused again. What concerns the address,
/// the rights or the moment is tried again, because it can be mended without losing a record.
pub(super) const fn is_of_records(status: u16) -> bool {
    matches!(status, 400..=499)
        && !matches!(status, 401..=408 | 410 | 411 | 415 | 421 | 423 | 425 | 426 | 428 | 429 | 431 | 451)
}

/// The status and the server's words; control characters are no words.
pub(super) fn told(status: u16, body: &[u8]) -> String {
    let help = match status {
        300..=399 => "; it points elsewhere: write the address that it points to as `url`",
        401 | 403 | 407 => "; see `token` and `headers`",
        404 | 405 => "; see the path of `url`, and `format`",
        415 => "; see `format` and `compression`",
        _ => "",
    };
    let words = words(&String::from_utf8_lossy(body));
    if words.is_empty() {
        format!("answered {status}{help}")
    } else {
        format!("answered {status}: {words}{help}")
    }
}

fn words(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect();
    clean.trim().to_owned()
}

#[derive(Deserialize)]
struct Bulk {
    items: Vec<std::collections::HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

/// The status of each item of a `_bulk` request, and what was wrong with it.
pub(super) fn items(body: &[u8]) -> Option<Vec<(u16, String)>> {
    let bulk: Bulk = serde_json::from_slice(body).ok()?;
    bulk.items
        .into_iter()
        .map(|item| {
            let item = item.into_values().next()?;
            let why = item.error.map_or_else(String::new, |error| words(&error.to_string()));
            Some((item.status, why))
        })
        .collect()
}

#[derive(Deserialize)]
struct Exported {
    #[serde(rename = "partialSuccess", default)]
    partial: Option<Partial>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Partial {
    rejected_log_records: serde_json::Value,
    rejected_spans: serde_json::Value,
    error_message: String,
}

/// How many records an OTLP server did not take, and why; none when it took all, or answered in another form.
pub(super) fn partial(body: &[u8]) -> Option<(u64, String)> {
    let partial = serde_json::from_slice::<Exported>(body).ok()?.partial?;
    // 64-bit numbers are texts in this JSON, and not in everybody's.
    let count = |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let rejected = [&partial.rejected_log_records, &partial.rejected_spans];
    let rejected = rejected.into_iter().filter_map(count).fold(0, u64::saturating_add);
    (rejected > 0).then(|| (rejected, words(&partial.error_message)))
}
