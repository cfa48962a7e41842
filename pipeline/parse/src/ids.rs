//! Ids of requests, traces and spans: their own formats, and where they stand in plain text.

use crate::draft::{Draft, FROM_TEXT, Piece};
use crate::keys::Slot;

/// True for texts that say "none".
pub(crate) fn is_absent(text: &str) -> bool {
    match text.len() {
        0 => true,
        1 => text == "-",
        2 => text == "[]" || text == "{}",
        3 => text.eq_ignore_ascii_case("nil") || text.eq_ignore_ascii_case("n/a"),
        4 => text.eq_ignore_ascii_case("null") || text.eq_ignore_ascii_case("none"),
        9 => text == "undefined",
        _ => false,
    }
}

/// True for `0000000000000000`, which tracers write for "no span".
pub(crate) fn is_zero(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

fn hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// W3C Trace Context: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
pub(crate) fn traceparent(draft: &mut Draft, value: Piece<'_>) {
    let mut parts = value.text.trim().splitn(4, '-');
    if let (Some(version), Some(trace), Some(span), Some(_)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
        && hex(version, 2)
        && hex(trace, 32)
        && hex(span, 16)
        && !is_zero(trace)
    {
        draft.set(Slot::Trace, 90, value.range(trace));
        if !is_zero(span) {
            draft.caller = value.range(span);
        }
    }
}

/// B3 in one header: `TRACE-SPAN[-SAMPLED[-PARENT]]`.
pub(crate) fn b3(draft: &mut Draft, value: Piece<'_>) {
    let mut parts = value.text.trim().split('-');
    if let (Some(trace), Some(span)) = (parts.next(), parts.next())
        && (hex(trace, 32) || hex(trace, 16))
        && hex(span, 16)
    {
        draft.set(Slot::Trace, 91, value.range(trace));
        draft.set(Slot::Span, 91, value.range(span));
        if let Some(parent) = parts.nth(1).filter(|parent| hex(parent, 16)) {
            draft.set(Slot::ParentSpan, 91, value.range(parent));
        }
    }
}

/// AWS X-Ray: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`, or the root alone.
pub(crate) fn xray(draft: &mut Draft, value: Piece<'_>) {
    for part in value.text.split(';') {
        let (name, id) = part.trim().split_once('=').unwrap_or(("Root", part.trim()));
        if name == "Root" && is_root(id) {
            draft.set(Slot::Trace, 92, value.range(id));
        } else if (name == "Parent" || name == "Self") && hex(id, 16) {
            let slot = if name == "Parent" { Slot::ParentSpan } else { Slot::Span };
            draft.set(slot, 92, value.range(id));
        }
    }
}

fn is_root(id: &str) -> bool {
    let mut parts = id.split('-');
    parts.next() == Some("1")
        && parts.next().is_some_and(|time| hex(time, 8))
        && parts.next().is_some_and(|rest| hex(rest, 24))
        && parts.next().is_none()
}

/// Longest id, header or duration that is looked for in text.
const VALUE_BYTES_MAX: usize = 256;

/// How a value follows its name in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// `=` or `:`.
    Sign,
    /// Blanks alone: the value must look like an id.
    Blank,
}

fn is_value(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'@' | b'#')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// True when a word's first and last letters are those of a name looked for: most words end here.
#[inline]
const fn may_name(first: u8, last: u8) -> bool {
    match first | 0x20 {
        b'c' => matches!(last | 0x20, b'd' | b'g'),
        b'r' => matches!(last | 0x20, b'd' | b't' | b'e'),
        b't' => matches!(last | 0x20, b'd' | b'e' | b't' | b'k') || last.is_ascii_digit(),
        b's' => matches!(last | 0x20, b'd' | b'g' | b't'),
        b'x' | b'f' => matches!(last | 0x20, b'd'),
        b'p' | b'm' | b'w' => matches!(last | 0x20, b'd') || last.is_ascii_digit(),
        b'b' => last == b'3',
        b'd' => matches!(last | 0x20, b'n' | b's' | b'g'),
        b'e' => matches!(last | 0x20, b'd' | b's'),
        b'l' => matches!(last | 0x20, b'y' | b's'),
        _ => false,
    }
}

/// Finds ids that `piece` names, and whatever else a message says of requests.
pub(crate) fn in_text(draft: &mut Draft, piece: Piece<'_>) {
    let text = piece.text;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if !byte.is_ascii_alphabetic() {
            if byte == b'[' && bytes[at..].starts_with(b"[req-") {
                let id = value_at(text, at + 1);
                if id.len() > 4 {
                    draft.set(Slot::Correlation, FROM_TEXT, piece.range(id));
                }
            }
            // A digit begins no name, and the letters after it belong to its word.
            at += 1;
            if byte.is_ascii_digit() {
                while at < bytes.len() && is_name(bytes[at]) {
                    at += 1;
                }
            }
            continue;
        }
        let start = at;
        while at < bytes.len() && is_name(bytes[at]) {
            at += 1;
        }
        if may_name(byte, bytes[at - 1]) && at - start <= 28 {
            let name = text.get(start..at).unwrap_or_default();
            named(draft, piece, name, at);
        }
    }
}

/// `name` stands before byte `end` of the piece: takes the value behind it if it is a name we know.
fn named(draft: &mut Draft, piece: Piece<'_>, name: &str, end: usize) {
    let mut folded = [0_u8; 28];
    let mut len = 0;
    for byte in name.bytes().filter(|b| !matches!(b, b'_' | b'-' | b'.')) {
        folded[len] = byte.to_ascii_lowercase();
        len += 1;
    }
    let Some(folded) = folded.get(..len) else { return };
    let bytes = piece.text.as_bytes();
    let slot = match folded {
        b"correlationid" | b"requestid" | b"reqid" | b"xrequestid" | b"xcorrelationid" => Slot::Correlation,
        b"traceid" | b"xb3traceid" => Slot::Trace,
        b"spanid" | b"xb3spanid" => Slot::Span,
        b"parentspanid" | b"xb3parentspanid" => Slot::ParentSpan,
        b"thread" | b"threadid" | b"tid" | b"threadname" => Slot::Thread,
        b"parentrequestid" | b"parentcorrelationid" => Slot::ParentRequest,
        b"childcorrelationid" | b"spawnedrequest" | b"childrequestid" => Slot::ChildRequest,
        b"traceparent" => Slot::Traceparent,
        b"b3" => Slot::B3,
        b"xamzntraceid" | b"root" => Slot::XRay,
        b"duration" | b"durationms" | b"elapsed" | b"elapsedms" | b"latency" | b"latencyms" | b"took"
        | b"responsetime" => Slot::Duration,
        b"mainthread" | b"workerthread" | b"threadpoolexecutor" => {
            let id = value_at(piece.text, end - name.len());
            return draft.set(Slot::Thread, FROM_TEXT, piece.range(id));
        }
        b"spawning" | b"creating" | b"forked" | b"delegating" | b"subrequest" => {
            return phrase(draft, piece, folded, end);
        }
        _ => {
            let known = folded.starts_with(b"workerthread") || folded.starts_with(b"threadpoolexecutor");
            if known || folded.starts_with(b"pool") && is_pool(name) {
                draft.set(Slot::Thread, FROM_TEXT, piece.range(name));
            }
            return;
        }
    };
    // `"request_id": "…"` inside a text: the quote belongs to the name.
    let mut at = end + usize::from(matches!(bytes.get(end), Some(b'"' | b'\'')));
    let mut link = Link::Blank;
    let before = at;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'=' | b':' => link = Link::Sign,
            b' ' | b'\t' => {}
            _ => break,
        }
        at += 1;
    }
    if at == before {
        return;
    }
    at += usize::from(matches!(bytes.get(at), Some(b'"' | b'\'' | b'[' | b'<')));
    if slot == Slot::XRay || slot == Slot::B3 || slot == Slot::Traceparent {
        let from = if folded == b"root" { end - name.len() } else { at };
        let rest = bounded(piece.text, from);
        let stop = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ']'))
            .unwrap_or(rest.len());
        let value = piece.part(rest.get(..stop).unwrap_or_default());
        return match slot {
            Slot::XRay => xray(draft, value),
            Slot::B3 => b3(draft, value),
            _ => traceparent(draft, value),
        };
    }
    let value = value_at(piece.text, at);
    if slot == Slot::Duration {
        if link == Link::Sign || folded == b"took" {
            let style = crate::keys::Style::Plain;
            let unit = bounded(piece.text, at);
            let stop = unit.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(unit.len());
            let mut number = unit.get(..stop).unwrap_or_default();
            // `took 12 ms`
            if let Some(rest) = unit.get(stop..).and_then(|rest| rest.strip_prefix(' '))
                && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            {
                let word = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
                if matches!(
                    rest.get(..word),
                    Some("ms" | "s" | "us" | "ns" | "seconds" | "milliseconds" | "sec")
                ) {
                    number = unit.get(..stop + 1 + word).unwrap_or(number);
                }
            }
            if let Some(millis) = crate::draft::millis_of(number, style) {
                draft.set_duration(millis, FROM_TEXT);
            }
        }
        return;
    }
    let has_digit = value.bytes().any(|b| b.is_ascii_digit());
    let fits = match (slot, link) {
        (Slot::Trace, Link::Blank) => value.len() >= 16 && value.bytes().all(|b| b.is_ascii_hexdigit()),
        (_, Link::Sign) => !is_absent(value),
        (_, Link::Blank) => has_digit,
    };
    if fits && !(slot != Slot::Thread && is_zero(value)) {
        draft.set(slot, FROM_TEXT, piece.range(value));
    }
}

/// `pool-1-thread-2`
fn is_pool(name: &str) -> bool {
    let mut parts = name.split('-');
    let number =
        |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    parts.next() == Some("pool")
        && number(parts.next())
        && parts.next() == Some("thread")
        && number(parts.next())
}

/// Messages that say which request this one started.
fn phrase(draft: &mut Draft, piece: Piece<'_>, first: &[u8], end: usize) {
    const SECOND: [&str; 9] = [
        "request ",
        "subrequest ",
        "sub-request ",
        "child request ",
        "to ",
        "request: ",
        "subrequest: ",
        "child ",
        ": ",
    ];
    let mut rest = bounded(piece.text, end).trim_start_matches([' ', ':']);
    if first != b"subrequest" {
        let known = SECOND.iter().find_map(|words| rest.strip_prefix(words));
        let Some(after) = known else { return };
        rest = after.trim_start_matches([' ', ':']);
    }
    let stop =
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
    let id = rest.get(..stop).unwrap_or_default();
    if id.bytes().any(|b| b.is_ascii_digit()) {
        draft.set(Slot::ChildRequest, FROM_TEXT, piece.range(id));
    }
}

/// What stands from `start` on, as far as an id may reach: a line of nothing but names must not be read again for each.
fn bounded(text: &str, start: usize) -> &str {
    let rest = text.get(start..).unwrap_or_default();
    rest.get(..rest.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default()
}

/// The id that begins at `start`, without the punctuation that ends a sentence.
fn value_at(text: &str, start: usize) -> &str {
    let rest = bounded(text, start);
    let len = rest.bytes().take_while(|b| is_value(*b)).count();
    rest.get(..len).unwrap_or_default().trim_end_matches(['.', ':', '/', '-', '_', '#', '@'])
}

/// A quick look whether a message may say that it starts another request.
#[inline]
pub(crate) fn may_start_another(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3(b'q', b'k', b'_', bytes).is_some()
        || memchr::memchr_iter(b'g', bytes).any(|at| bytes[..at].ends_with(b"ele"))
}
