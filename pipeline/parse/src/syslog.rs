//! Syslog: RFC 5424, RFC 3164, and BSD lines as daemons write them to files.

use logbraid_core::Format;

use crate::draft::{Draft, Piece};
use crate::keys::Slot;
use crate::level::{find_level, syslog};
use crate::parser::{Engine, OUTER, outer};
use crate::time::{Allow, Found, scan};
use crate::{ids, logfmt, shape};

/// The parts of the head of one line.
#[derive(Debug, Default)]
pub(crate) struct Head<'a> {
    pub(crate) severity: Option<u64>,
    pub(crate) facility: Option<u64>,
    pub(crate) host: &'a str,
    pub(crate) app: &'a str,
    pub(crate) pid: &'a str,
    pub(crate) msgid: &'a str,
    /// Structured data as written, with its brackets.
    pub(crate) data: &'a str,
    pub(crate) message: &'a str,
}

/// `<13>` at the start: its number, and what follows.
pub(crate) fn priority(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    if !(1..=3).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse().ok().filter(|number| *number <= 191).map(|number| (number, rest))
}

/// The next word, and what follows the blank after it.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (!word.is_empty()).then_some((word, rest))
}

/// Structured data at the start: its length.
fn data_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'-') {
        return Some(1);
    }
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let mut inside = false;
        loop {
            at += 1;
            match bytes.get(at)? {
                b'\\' if inside => at += 1,
                b'"' => inside = !inside,
                b']' if !inside => break,
                _ => {}
            }
        }
        at += 1;
    }
    (at > 0).then_some(at)
}

/// The parameters of structured data: name and value, escapes left in.
pub(crate) fn parameters(data: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.find("=\"") {
        let name = rest.get(..at).unwrap_or_default().rsplit([' ', '[', ']']).next().unwrap_or_default();
        let value = rest.get(at + 2..).unwrap_or_default();
        let bytes = value.as_bytes();
        let mut end = 0;
        while end < bytes.len() && bytes[end] != b'"' {
            end += 1 + usize::from(bytes[end] == b'\\');
        }
        let end = end.min(value.len());
        let Some(text) = value.get(..end) else { break };
        found.push((name, text));
        rest = value.get(end + 1..).unwrap_or_default();
    }
    found
}

/// `tag[pid]:`, `tag:`, `tag(unit)[pid] (more):` at the start.
fn tag(text: &str) -> Option<(&str, &str, &str)> {
    let bytes = text.as_bytes();
    let start = bytes.iter().take(4).take_while(|b| matches!(b, b'-' | b' ')).count();
    let mut at = start;
    while bytes.get(at).is_some_and(|b| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b'+' | b'#' | b'*')
    }) {
        at += 1;
    }
    if at == start || at - start > 96 {
        return None;
    }
    if bytes.get(at) == Some(&b'(') {
        at += text.get(at..)?.find(')')? + 1;
    } else if bytes.get(at) == Some(&b' ') {
        // `syslogd 1.4.1:` and `Microsoft Word[123]:`
        let word =
            bytes[at + 1..].iter().take(32).take_while(|b| b.is_ascii_alphanumeric() || **b == b'.').count();
        let end = at + 1 + word;
        let version = bytes.get(at + 1).is_some_and(u8::is_ascii_digit) && bytes.get(end) == Some(&b':');
        let digits = bytes.get(end + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        let pid = bytes.get(end) == Some(&b'[') && digits > 0 && bytes.get(end + 1 + digits) == Some(&b']');
        if word > 0 && (version || pid) {
            at = end;
        }
    }
    let mut name = text.get(start..at)?;
    let mut pid = "";
    if bytes.get(at) == Some(&b'[') {
        let close = text.get(at..)?.find(']')? + at;
        pid = text.get(at + 1..close)?;
        if pid.contains(' ') {
            return None;
        }
        at = close + 1;
        if text.get(at..)?.starts_with(" (") {
            let close = text.get(at..)?.find(')')? + at;
            if bytes.get(close + 1) == Some(&b':') {
                at = close + 1;
            }
        }
    } else if let Some(short) = name.strip_suffix(':') {
        name = short;
    }
    (bytes.get(at) == Some(&b':') && matches!(bytes.get(at + 1), None | Some(b' ' | b'\t')))
        .then(|| (name, pid, text.get(at + 1..).unwrap_or_default()))
}

/// True for lines with a full date in digits that may go on as syslog does.
fn tagged(bytes: &[u8]) -> bool {
    match bytes.get(10) {
        Some(b'T') => true,
        Some(b' ') => memchr::memmem::find(&bytes[..bytes.len().min(160)], b"]: ").is_some(),
        _ => false,
    }
}

/// Splits a line, and finds its time.
pub(crate) fn split<'a>(line: &'a str, engine: &Engine) -> Option<(Head<'a>, Option<Found>)> {
    let mut head = Head::default();
    let mut rest = line;
    if let Some((number, after)) = priority(line) {
        head.severity = Some(number % 8);
        head.facility = Some(number / 8);
        rest = after;
        let version = rest.bytes().take_while(u8::is_ascii_digit).count();
        if (1..=2).contains(&version)
            && let Some(after) = rest.get(version..).and_then(|rest| rest.strip_prefix(' '))
            && let Some(found) = structured(&mut head, after, engine)
        {
            return Some((head, found));
        }
    }
    let bytes = rest.as_bytes();
    let lettered = bytes.first().is_some_and(u8::is_ascii_uppercase);
    // A time in digits begins a line of syslog only in RFC 3339, or where `host tag[pid]:` surely follows it.
    let digit = bytes.first().is_some_and(u8::is_ascii_digit) && (head.severity.is_some() || tagged(bytes));
    let found = if lettered || digit { scan(bytes, &engine.context, Allow::HEAD) } else { None };
    let Some(found) = found else {
        head.severity?;
        match tag(rest) {
            Some((app, pid, message)) => (head.app, head.pid, head.message) = (app, pid, message),
            None => head.message = rest,
        }
        return Some((head, None));
    };
    let after = rest.get(found.end..)?.strip_prefix(' ');
    let traditional = after.and_then(|after| {
        let (host, after) = word(after)?;
        let plain =
            !host.ends_with(':') && !host.starts_with('[') && crate::level::level_word(host).is_none();
        if !plain {
            return None;
        }
        Some((host, tag(after.trim_start())?))
    });
    if let Some((host, (app, pid, message))) = traditional {
        // With a time that any log may begin with, only `host tag[pid]:` is surely syslog.
        if head.severity.is_none() && !lettered && pid.is_empty() && app != "kernel" {
            return None;
        }
        (head.host, head.app, head.pid, head.message) = (host, app, pid, message);
        return Some((head, Some(found)));
    }
    // The daemon's own remark has no tag.
    if let Some((host, message)) = after.and_then(word)
        && lettered
        && message.contains("last message repeated ")
    {
        (head.host, head.message) = (host, message);
        return Some((head, Some(found)));
    }
    head.severity?;
    // Forwarders leave out the host, or the tag.
    let after = after.unwrap_or_default();
    if let Some((app, pid, message)) = tag(after) {
        (head.app, head.pid, head.message) = (app, pid, message);
    } else {
        head.message = after;
    }
    Some((head, Some(found)))
}

/// RFC 5424 after its version.
#[expect(
    clippy::option_option,
    reason = "the outer says whether it is RFC 5424, the inner whether it has a time"
)]
fn structured<'a>(head: &mut Head<'a>, text: &'a str, engine: &Engine) -> Option<Option<Found>> {
    let (time, rest) = word(text)?;
    let (host, rest) = word(rest)?;
    let (app, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (msgid, rest) = word(rest)?;
    let len = data_len(rest)?;
    let found = scan(time.as_bytes(), &engine.context, Allow::VALUE);
    if found.is_none() && time != "-" {
        return None;
    }
    (head.host, head.app, head.pid, head.msgid) = (host, app, pid, msgid);
    head.data = rest.get(..len)?;
    let message = rest.get(len..)?;
    let message = message.strip_prefix(' ').unwrap_or(message);
    head.message = message.strip_prefix('\u{feff}').unwrap_or(message);
    Some(found)
}

/// Reads a syslog line; the message is read again where it is a record itself.
pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>, wraps: u8) -> bool {
    let Some((head, found)) = split(piece.text, engine) else { return false };
    draft.format(Format::Syslog);
    let message = head.message.trim();
    let first = message.as_bytes().first().copied().unwrap_or(b' ');
    let mut inside = false;
    let record = matches!(first, b'{' | b'<' | b'[') || first.is_ascii_digit();
    if wraps < 4 && (record || logfmt::begins(message)) {
        inside = carried(engine, draft, piece.part(message), wraps);
    }
    if let Some(found) = found
        && !draft.row.time.is_known()
    {
        draft.set_time(found, OUTER);
    }
    outer(draft, Slot::Host, piece, head.host);
    outer(draft, Slot::Service, piece, service(head.app));
    outer(draft, Slot::Thread, piece, head.pid);
    for (name, value) in parameters(head.data) {
        if let Some(entry) = engine.table.get(name) {
            let (slot, style, extra) = (entry.slot, entry.style, entry.extra);
            let rank = OUTER + entry.rank.min(30);
            let value = piece.part(value);
            draft.take(slot, style, rank, value, &mut engine.day, &engine.context);
            if let Some(id) = extra {
                draft.extra(id, value.range(value.text));
            }
        }
    }
    if !inside {
        draft.row.message = piece.range(message);
        ids::in_text(draft, piece.part(message));
        let raw = head.message.strip_prefix(' ').unwrap_or(head.message).trim_end();
        draft.row.flags.set(shape::of_message(raw, None));
    }
    if draft.row.level.is_none() {
        let level = match head.severity {
            Some(severity) => syslog(severity),
            None => find_level(message).or_else(|| engine.implied_level(message)),
        };
        if let Some(level) = level {
            draft.set_level(level, OUTER);
        }
        if level.is_some_and(logbraid_core::Level::is_error) && shape::mentions_failure(message) {
            draft.row.flags.set(logbraid_core::Flags::TRACE_HEAD);
        }
    }
    true
}

/// The program of a tag: without the path before it and the module behind it.
fn service(tag: &str) -> &str {
    let name = tag.split('(').next().unwrap_or(tag);
    let name = if name.starts_with('/') { name.rsplit('/').next().unwrap_or(name) } else { name };
    name.strip_suffix(".service").unwrap_or(name)
}

/// Reads the message as a record of its own, if it is one: JSON, logfmt, or a line with a time of its own.
fn carried(engine: &mut Engine, draft: &mut Draft, message: Piece<'_>, wraps: u8) -> bool {
    let mut inner = Draft::default();
    engine.line(&mut inner, message, wraps + 1);
    let own = inner.row.format != Format::Text || (inner.row.time.is_known() && inner.row.level.is_some());
    if own {
        inner.settle();
        let format = inner.row.format;
        draft.merge(&mut inner);
        draft.format(if format == Format::Text { Format::Syslog } else { format });
    }
    own
}
