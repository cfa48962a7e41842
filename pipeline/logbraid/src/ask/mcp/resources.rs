//! Findings and timelines as resources, by addresses such as `logbraid://timeline/req-17`.

use std::sync::Arc;

use logbraid_query::budget;
use serde_json::{Value, json};

/// All findings.
pub(super) const FINDINGS: &str = "logbraid://findings";
const FINDING: &str = "logbraid://finding/";
const TIMELINE: &str = "logbraid://timeline/";
/// The address of one finding, as a template.
pub(super) const FINDING_TEMPLATE: &str = "logbraid://finding/{id}";
/// The address of one request, as a template.
pub(super) const TIMELINE_TEMPLATE: &str = "logbraid://timeline/{request}";
/// Findings that are listed by themselves; all of them are in [`FINDINGS`].
pub(super) const LISTED_MAX: usize = 20;

/// What an address stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All findings.
    Findings,
    /// The finding of this id.
    Finding(String),
    /// The request with this id of any kind.
    Timeline(String),
}

impl Wanted {
    /// Reads an address; `%2F` and the like stand for what an address cannot hold.
    pub(super) fn read(address: &str) -> Option<Self> {
        if address == FINDINGS {
            return Some(Self::Findings);
        }
        if let Some(id) = address.strip_prefix(FINDING) {
            return Some(Self::Finding(decoded(id)?));
        }
        address.strip_prefix(TIMELINE).and_then(decoded).map(Self::Timeline)
    }
}

/// A text with its `%XX` resolved; none when it is empty or no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// Findings as values, those that changed last first.
pub(super) fn values(findings: &[Arc<str>]) -> Vec<Value> {
    findings.iter().filter_map(|finding| serde_json::from_str(finding).ok()).collect()
}

/// Findings that stand for themselves: address, title, what they are.
pub(super) fn listed(findings: &[Value]) -> impl Iterator<Item = (String, String, String)> + '_ {
    findings.iter().take(LISTED_MAX).map(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        let about = format!("{} {}, severity {}", text("at"), text("kind"), text("severity"));
        (format!("{FINDING}{}", text("id")), text("title").to_owned(), about)
    })
}

/// All findings in at most `most` bytes.
pub(super) fn findings(findings: &[Value], most: usize) -> String {
    budget::fit(&json!({ "total": findings.len(), "findings": findings }), most)
}

/// The finding `id` in at most `most` bytes.
pub(super) fn finding(findings: &[Value], id: &str, most: usize) -> Option<String> {
    findings.iter().find(|finding| finding["id"] == id).map(|finding| budget::fit(finding, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_findings_and_requests_and_nothing_else() {
        assert_eq!(Wanted::read(FINDINGS), Some(Wanted::Findings));
        assert_eq!(Wanted::read("logbraid://finding/9f2c"), Some(Wanted::Finding("9f2c".to_owned())));
        let request = Wanted::read("logbraid://timeline/GET%20%2Fpay%3fa=1");
        assert_eq!(request, Some(Wanted::Timeline("GET /pay?a=1".to_owned())));
        for bad in
            ["logbraid://timeline/", "logbraid://timeline/%f", "logbraid://timeline/%ff", "file:///etc"]
        {
            assert_eq!(Wanted::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn findings_fit_the_budget_and_say_how_many_there_are() {
        let all: Vec<Value> =
            (0..50).map(|id| json!({ "id": id.to_string(), "title": "t".repeat(60) })).collect();
        let text = findings(&all, 1000);
        assert!(text.len() <= 1000, "{}", text.len());
        let document: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(document["total"], 50);
        assert!(finding(&all, "7", 1000).is_some_and(|text| text.contains("\"7\"")));
        assert_eq!(finding(&all, "none", 1000), None);
    }
}
