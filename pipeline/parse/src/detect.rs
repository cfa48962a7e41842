//! What format a sample of lines is in, and how sure that is.

use std::sync::Arc;

use logbraid_core::{EventTime, Fields, Format, PartitionId, Source};
use serde::Serialize;

use crate::raw::{Framing, RawBatch};
use crate::{Parser, Settings};

/// Lines looked at.
const LINES_MAX: usize = 1000;

/// The format of a sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// `json`, `logfmt`, `syslog`, `clf`, `klog`, `text`, or `unknown` for an empty sample.
    pub format: String,
    /// How sure, 0 to 1: the share of lines in the format, less where the format is a loose one.
    pub confidence: f64,
    /// Lines looked at; blank ones and comments (`#`) are left out.
    pub sample_size: usize,
    /// The share of lines in the format, 0 to 1.
    pub match_rate: f64,
    /// Other formats with a confidence above 0.01, best first.
    pub alternatives: Vec<Alternative>,
    /// True when no format has 80 % of the lines and a second one has more than 30 %.
    pub mixed: bool,
}

/// Another format that some lines are in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// Its name.
    pub format: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// The share of lines in it, 0 to 1.
    pub match_rate: f64,
}

/// Detects the format of the first lines of a sample.
///
/// ```
/// let found = logbraid_parse::detect(b"{\"msg\":\"a\"}\n{\"msg\":\"b\"}\n");
/// assert_eq!((found.format.as_str(), found.match_rate), ("json", 1.0));
/// ```
pub fn detect(sample: &[u8]) -> Detection {
    let lines: Vec<&[u8]> = sample
        .split(|b| *b == b'\n')
        .filter(|line| !line.trim_ascii().is_empty() && !line.trim_ascii_start().starts_with(b"#"))
        .take(LINES_MAX)
        .collect();
    let unknown = Detection {
        format: "unknown".to_owned(),
        confidence: 0.0,
        sample_size: lines.len(),
        match_rate: 0.0,
        alternatives: Vec::new(),
        mixed: false,
    };
    let Ok(settings) = Settings::default().compile() else { return unknown };
    let mut parser = Parser::new(Arc::new(settings), &Fields::default());
    let batch = parser.parse(RawBatch {
        source: Arc::new(Source::lines("sample", PartitionId(0))),
        bytes: lines.join(&b'\n'),
        framing: Framing::Lines { offset: 0, line: 1 },
        ingest: EventTime::from_nanos(4_000_000_000_000_000_000),
    });
    // Tight formats are hardly ever met by accident; text is what is left.
    let weights = [
        (Format::Json, 0.98),
        (Format::Clf, 0.95),
        (Format::Klog, 0.95),
        (Format::Syslog, 0.9),
        (Format::Logfmt, 0.8),
        (Format::Text, 0.6),
    ];
    let total = batch.rows.len().max(1) as f64;
    let mut found: Vec<Alternative> = weights
        .into_iter()
        .map(|(format, weight)| {
            let rate = batch.rows.iter().filter(|row| row.format == format).count() as f64 / total;
            let confidence = round(rate * weight);
            Alternative { format: format.name().to_owned(), confidence, match_rate: round(rate) }
        })
        .filter(|candidate| candidate.match_rate > 0.0)
        .collect();
    found.sort_by(|a, b| b.match_rate.total_cmp(&a.match_rate));
    if found.is_empty() {
        return unknown;
    }
    let best = found.remove(0);
    let second = found.first().map_or(0.0, |next| next.match_rate);
    let mixed = best.match_rate < 0.8 && second > 0.3;
    found.retain(|next| next.confidence > 0.01);
    Detection {
        format: best.format,
        confidence: best.confidence,
        sample_size: lines.len(),
        match_rate: best.match_rate,
        alternatives: found,
        mixed,
    }
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
