//! Lines that a container runtime or a tool wrapped: unwrapped here, and the inside read again.

use logbraid_core::Flags;

use crate::draft::{Draft, Piece};
use crate::keys::Slot;
use crate::parser::{Engine, OUTER, outer};
use crate::service::without_suffix;
use crate::time::Found;

/// Docker cuts lines into parts of this size.
pub(crate) const DOCKER_PART_BYTES: usize = 16 * 1024;

/// What a line of a Kubernetes node holds.
pub(crate) struct Cri<'a> {
    pub(crate) time: &'a str,
    pub(crate) stderr: bool,
    pub(crate) partial: bool,
    pub(crate) content: &'a str,
}

/// `2024-01-15T10:00:00.123456789Z stdout F text`
pub(crate) fn split_cri(line: &str) -> Option<Cri<'_>> {
    let bytes = line.as_bytes();
    if bytes.len() < 29 || bytes[4] != b'-' || bytes[10] != b'T' {
        return None;
    }
    let blank = memchr::memchr(b' ', bytes.get(19..40.min(bytes.len()))?)? + 19;
    let (time, rest) = line.split_at_checked(blank)?;
    let (stderr, rest) = match rest.strip_prefix(" stdout ") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix(" stderr ")?),
    };
    let (tag, content) = rest.split_once(' ').unwrap_or((rest, ""));
    let partial = match tag.split(':').next()? {
        "F" => false,
        "P" => true,
        _ => return None,
    };
    Some(Cri { time, stderr, partial, content })
}

/// Reads a line as the container runtime interface writes it.
pub(crate) fn cri(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>, wraps: u8) -> bool {
    let Some(line) = split_cri(piece.text) else { return false };
    let Some(nanos) = engine.day.rfc3339(line.time) else { return false };
    if line.partial {
        draft.row.message = piece.range(line.content);
        draft.row.flags.set(Flags::PARTIAL);
    } else if line.content.trim().is_empty() {
        draft.row.message = piece.range(line.content);
    } else {
        engine.line(draft, piece.part(line.content), wraps + 1);
    }
    outer_time(draft, nanos);
    if line.stderr {
        draft.row.flags.set(Flags::STDERR);
    }
    true
}

/// The wrapper's time counts where the record inside has none.
pub(crate) fn outer_time(draft: &mut Draft, nanos: i64) {
    if !draft.row.time.is_known() {
        draft.set_time(Found { nanos, end: 0, flags: Flags::default(), epoch: false }, OUTER);
    }
}

/// `[pod/NAME/CONTAINER] text`, as `kubectl logs --prefix` writes it.
pub(crate) fn kubectl(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>, wraps: u8) -> bool {
    let Some((name, content)) = piece.text.strip_prefix("[pod/").and_then(|rest| rest.split_once("] "))
    else {
        return false;
    };
    let Some((pod, container)) = name.split_once('/') else { return false };
    if name.contains(' ') {
        return false;
    }
    engine.line(draft, piece.part(content), wraps + 1);
    let short = without_suffix(pod);
    let common = matches!(container, "app" | "main" | "server" | "web" | "container");
    outer(draft, Slot::Service, piece, if common { short } else { container });
    outer(draft, Slot::Host, piece, pod);
    true
}

/// `web-1  | text`, as `docker compose logs` writes it.
pub(crate) fn compose(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>, wraps: u8) -> bool {
    let bytes = piece.text.as_bytes();
    let name_len = bytes
        .iter()
        .take(64)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        .count();
    let blanks =
        bytes.get(name_len..).unwrap_or_default().iter().take(64).take_while(|b| **b == b' ').count();
    let bar = name_len + blanks;
    if blanks == 0 || bytes.get(bar) != Some(&b'|') || !matches!(bytes.get(bar + 1), None | Some(b' ')) {
        return false;
    }
    let name = &piece.text[..name_len];
    let Some((service, number)) = name.rsplit_once(['-', '_']) else { return false };
    if service.is_empty() || number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    // One blank after the bar belongs to the wrapper, further ones to the text.
    let content = piece.text.get(bar + 2..).unwrap_or_default();
    engine.line(draft, piece.part(content), wraps + 1);
    outer(draft, Slot::Service, piece, service);
    outer(draft, Slot::Host, piece, name);
    true
}

/// What a container wrote, out of the line that its runtime made of it.
pub(crate) fn content(line: &str) -> Option<String> {
    if let Some(cri) = split_cri(line) {
        return Some(cri.content.to_owned());
    }
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    match object.remove("log") {
        Some(serde_json::Value::String(text)) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
        _ => None,
    }
}
