//! The same entries in the formats that logs come in.

use super::entry::Entry;
use super::stamp::{Stamps, hex, hundredths, number, padded};

/// How an entry is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Layout {
    /// JSON objects as Python's `json.dumps` writes them.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// `2025-01-15 10:00:00,123 INFO [worker-001] com.shop.Api - …`
    Log4j,
    /// Syslog of RFC 3164, `<134>Jan 15 10:00:00 …`
    Rfc3164,
    /// Syslog of RFC 5424, `<134>1 2025-01-15T10:00:00Z …`, ids as structured data.
    Rfc5424,
    /// The JSON lines inside the wrapping of a Kubernetes container log.
    Cri,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 6] =
        [Self::Json, Self::Logfmt, Self::Log4j, Self::Rfc3164, Self::Rfc5424, Self::Cri];

    /// Its name, as the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::Log4j => "log4j",
            Self::Rfc3164 => "rfc3164",
            Self::Rfc5424 => "rfc5424",
            Self::Cri => "cri",
        }
    }

    /// Appends `entry` and a newline.
    pub fn write(self, out: &mut Vec<u8>, stamps: &mut Stamps, entry: &Entry) {
        match self {
            Self::Json => json(out, stamps, entry),
            Self::Logfmt => logfmt(out, stamps, entry),
            Self::Log4j => log4j(out, stamps, entry),
            Self::Rfc3164 => rfc3164(out, stamps, entry),
            Self::Rfc5424 => rfc5424(out, stamps, entry),
            Self::Cri => {
                stamps.iso(out, entry.time_us);
                out.extend_from_slice(b" stdout F ");
                json(out, stamps, entry);
            }
        }
        out.push(b'\n');
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn thread(out: &mut Vec<u8>, entry: &Entry) {
    if let Some(service) = entry.service {
        text(out, service);
        text(out, "-worker-");
        number(out, entry.thread);
    } else {
        text(out, "worker-");
        padded(out, entry.thread, 3);
    }
}

fn request(out: &mut Vec<u8>, entry: &Entry) {
    text(out, "req-");
    padded(out, entry.request, 6);
}

fn trace(out: &mut Vec<u8>, entry: &Entry) {
    text(out, "trace-");
    hex(out, entry.trace, 4);
}

fn json(out: &mut Vec<u8>, stamps: &mut Stamps, entry: &Entry) {
    text(out, "{\"timestamp\": \"");
    stamps.iso(out, entry.time_us);
    text(out, "\", \"level\": \"");
    text(out, entry.level.name());
    text(out, "\", \"message\": \"");
    out.extend_from_slice(&entry.message);
    text(out, "\", \"thread_id\": \"");
    thread(out, entry);
    text(out, "\", \"correlation_id\": \"");
    request(out, entry);
    text(out, "\", \"trace_id\": \"");
    trace(out, entry);
    if let Some(service) = entry.service {
        text(out, "\", \"service\": \"");
        text(out, service);
    }
    text(out, "\", \"fields\": {\"duration_ms\": ");
    hundredths(out, entry.duration);
    if let Some(status) = entry.status {
        text(out, ", \"status_code\": ");
        number(out, status);
    }
    text(out, "}");
    if let Some((span, parent)) = entry.span {
        text(out, ", \"span_id\": \"span-");
        hex(out, span, 8);
        text(out, "\"");
        if let Some(parent) = parent {
            text(out, ", \"parent_span_id\": \"span-");
            hex(out, parent, 8);
            text(out, "\"");
        }
    }
    text(out, "}");
}

/// ` duration_ms=… status_code=…`
fn figures(out: &mut Vec<u8>, entry: &Entry) {
    text(out, " duration_ms=");
    hundredths(out, entry.duration);
    if let Some(status) = entry.status {
        text(out, " status_code=");
        number(out, status);
    }
}

/// ` span_id=… parent_span_id=…`
fn spans(out: &mut Vec<u8>, entry: &Entry) {
    if let Some((span, parent)) = entry.span {
        text(out, " span_id=span-");
        hex(out, span, 8);
        if let Some(parent) = parent {
            text(out, " parent_span_id=span-");
            hex(out, parent, 8);
        }
    }
}

fn logfmt(out: &mut Vec<u8>, stamps: &mut Stamps, entry: &Entry) {
    text(out, "time=");
    stamps.iso(out, entry.time_us);
    text(out, " level=");
    text(out, entry.level.name());
    text(out, " msg=\"");
    out.extend_from_slice(&entry.message);
    text(out, "\" thread_id=");
    thread(out, entry);
    text(out, " correlation_id=");
    request(out, entry);
    text(out, " trace_id=");
    trace(out, entry);
    if let Some(service) = entry.service {
        text(out, " service=");
        text(out, service);
    }
    figures(out, entry);
    spans(out, entry);
}

fn log4j(out: &mut Vec<u8>, stamps: &mut Stamps, entry: &Entry) {
    stamps.log4j(out, entry.time_us);
    out.push(b' ');
    text(out, entry.level.name());
    text(out, " [");
    thread(out, entry);
    text(out, "] com.shop.");
    text(out, entry.service.unwrap_or("Api"));
    text(out, " - ");
    out.extend_from_slice(&entry.message);
    text(out, " correlation_id=");
    request(out, entry);
    text(out, " trace_id=");
    trace(out, entry);
    figures(out, entry);
    spans(out, entry);
}

fn priority(out: &mut Vec<u8>, entry: &Entry) {
    const LOCAL0: u64 = 16 * 8;
    out.push(b'<');
    number(out, LOCAL0 + entry.level.syslog());
    out.push(b'>');
}

fn rfc3164(out: &mut Vec<u8>, stamps: &mut Stamps, entry: &Entry) {
    priority(out, entry);
    stamps.bsd(out, entry.time_us);
    text(out, " node-1 ");
    text(out, entry.service.unwrap_or("api"));
    text(out, "[4711]: ");
    out.extend_from_slice(&entry.message);
    text(out, " thread_id=");
    thread(out, entry);
    text(out, " correlation_id=");
    request(out, entry);
    text(out, " trace_id=");
    trace(out, entry);
    figures(out, entry);
    spans(out, entry);
}

fn rfc5424(out: &mut Vec<u8>, stamps: &mut Stamps, entry: &Entry) {
    priority(out, entry);
    text(out, "1 ");
    stamps.iso(out, entry.time_us);
    text(out, " node-1 ");
    text(out, entry.service.unwrap_or("api"));
    text(out, " 4711 - [ids@32473 thread_id=\"");
    thread(out, entry);
    text(out, "\" correlation_id=\"");
    request(out, entry);
    text(out, "\" trace_id=\"");
    trace(out, entry);
    text(out, "\"] ");
    out.extend_from_slice(&entry.message);
    figures(out, entry);
    spans(out, entry);
}
