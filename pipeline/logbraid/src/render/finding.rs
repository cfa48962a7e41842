//! A finding: how much it matters, what it says, and the records that show it.

use std::fmt::Write as _;

use logbraid_core::{Finding, Level};
use unicode_width::UnicodeWidthStr;

use super::View;
use super::text::{clock, counted, escaped, fit, grouped};

/// Most records that are shown.
const EVIDENCE_MAX: usize = 5;

pub(super) fn draw(view: &View, finding: &Finding) -> String {
    let mut out = String::new();
    let severity = finding.severity.name();
    let mut parts = Vec::new();
    if let Some(service) = &finding.service {
        parts.push(escaped(service, true).into_owned());
    }
    if finding.occurrences > 1 {
        parts.push(format!("{}×", grouped(finding.occurrences)));
    }
    if finding.confidence < 0.995 {
        parts.push(format!("{:.0}% sure", finding.confidence * 100.0));
    }
    if finding.revision > 0 {
        parts.push(format!("revision {}", finding.revision));
    }
    parts.push(clock(finding.at));
    // The sentence on up to three lines, then what belongs to it.
    let head = format!("! {severity}  ");
    let room = view.width.saturating_sub(head.width());
    let title = escaped(&finding.title, true);
    let mut begun = false;
    super::timeline::wrap(&fit(&title, room * 3 - room / 4), room, |line| {
        let start =
            if begun { " ".repeat(head.width()) } else { view.style.severity(finding.severity, &head) };
        begun = true;
        let _ = writeln!(out, "{start}{}", view.style.bold(line));
    });
    let rest = parts.join(" · ");
    let _ = writeln!(out, "    {}", view.style.dim(&fit(&rest, view.width - 4)));
    for evidence in finding.evidence.iter().take(EVIDENCE_MAX) {
        let place = super::place(&evidence.source);
        let place = escaped(&place, true);
        let place = fit(&place, view.width / 4);
        let message = evidence.message.lines().next().unwrap_or_default();
        let line = format!(
            "{} {:<5} {} {}",
            clock(evidence.timestamp),
            evidence.level.map_or("", Level::name),
            escaped(evidence.service.as_deref().unwrap_or("-"), true),
            escaped(message, true),
        );
        let line = fit(&line, view.width.saturating_sub(4 + 2 + place.width()));
        let _ = writeln!(out, "    {}  {}", view.style.level(evidence.level, &line), view.style.dim(&place));
    }
    let more = finding.evidence.len().saturating_sub(EVIDENCE_MAX);
    if more > 0 {
        let more = counted(more as u64, "more record", "more records");
        let _ = writeln!(out, "    {}", view.style.dim(&format!("… {more}")));
    }
    out
}
