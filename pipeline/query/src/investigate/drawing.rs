//! The report for people.

use std::fmt::Write as _;

use super::{Report, severity};
use crate::text::{Style, counted, duration, grouped};
use crate::triage::Severity;
use crate::{Canvas, view::drawing::Drawing};

pub(super) fn draw(report: &Report, canvas: &mut Canvas) {
    let heading = |canvas: &mut Canvas, text: &str| {
        canvas.gap();
        canvas.line(text, Style::bold);
    };
    let overview = &report.overview;
    let paint = match report.assessment.severity {
        Severity::Critical | Severity::High => Style::error,
        Severity::Medium | Severity::Low => Style::warn,
        Severity::Healthy => Style::good,
        Severity::Unknown => Style::dim,
    };
    canvas.line(&format!("{}: {}", severity(report.assessment.severity), report.assessment.summary), paint);
    let mut line = counted(overview.total_entries, "entry", "entries");
    if let (Some(start), Some(end)) = (overview.start, overview.end) {
        let _ = write!(line, ", {start} to {end} ({})", duration(end.since(start).millis()));
    }
    canvas.line(&line, as_it_is);
    if overview.requests > 0 {
        let mut line = counted(overview.requests, "request", "requests");
        let _ = write!(line, ", {} with errors", grouped(overview.failed_requests));
        if let (Some(half), Some(most)) = (overview.request_ms_p50, overview.request_ms_p95) {
            let _ = write!(line, ", p50 {}, p95 {}", duration(half), duration(most));
        }
        canvas.line(&line, as_it_is);
    }
    if !overview.services.is_empty() {
        let shown: Vec<String> = overview
            .services
            .iter()
            .map(|service| match service.errors {
                0 => format!("{} {}", service.service, grouped(service.entries)),
                errors => format!(
                    "{} {} ({})",
                    service.service,
                    grouped(service.entries),
                    counted(errors, "error", "errors")
                ),
            })
            .collect();
        canvas.line(&format!("services: {}", shown.join(", ")), as_it_is);
    }
    if !report.failures.is_empty() {
        heading(canvas, "Where requests began to fail");
        for failure in &report.failures {
            let service = failure.began_in.as_deref().unwrap_or("-");
            canvas.line(&format!("  {:>5}×  {service}: {}", failure.requests, failure.message), Style::error);
            let mut line = format!("          first at {}", failure.first_at);
            if !failure.spreads_to.is_empty() {
                let _ = write!(line, ", then errors in {}", failure.spreads_to.join(" → "));
            }
            let _ = write!(line, "; see {}", failure.example);
            canvas.line(&line, Style::dim);
        }
        more(canvas, report.total_failures, report.failures.len());
    } else if !report.errors.is_empty() {
        heading(canvas, "Errors");
        for kind in &report.errors {
            canvas.line(&format!("  {:>5}×  {}", kind.count, kind.pattern), Style::error);
        }
        more(canvas, report.total_errors, report.errors.len());
    }
    if !report.slow_requests.is_empty() && report.overview.requests > 1 {
        heading(canvas, "Slowest requests");
        for slow in &report.slow_requests {
            canvas.line(&format!("  {:>8}  {}", duration(slow.duration_ms), slow.request), as_it_is);
            if let Some(after) = &slow.silent_after {
                let service = slow.silent_service.as_deref().unwrap_or("-");
                canvas.line(
                    &format!("            silent for {} after {service}: {after}", duration(slow.silence_ms)),
                    Style::dim,
                );
            }
        }
    }
    if !report.timeline.is_empty() {
        heading(canvas, "Entries");
        let mut drawing = Drawing::new(true);
        report.timeline.iter().for_each(|entry| drawing.fit(entry));
        for entry in &report.timeline {
            drawing.entry(entry, false, canvas);
        }
        if report.truncated {
            canvas.line("… more entries, see `logbraid view`", Style::dim);
        }
    }
    if !report.suggestions.is_empty() {
        heading(canvas, "Ask next");
        for suggestion in &report.suggestions {
            canvas.line(&format!("  logbraid {}", suggestion.command), Style::note);
            canvas.line(&format!("      {}", suggestion.reason), Style::dim);
        }
    }
}

fn more(canvas: &mut Canvas, total: u64, shown: usize) {
    let rest = total.saturating_sub(shown as u64);
    if rest > 0 {
        canvas.line(&format!("  … {} more", grouped(rest)), Style::dim);
    }
}

fn as_it_is(_: Style, text: &str) -> String {
    text.to_owned()
}
