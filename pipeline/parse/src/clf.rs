//! Access logs of web servers: common and combined log format.

use std::fmt::Write as _;

use logbraid_core::{Format, Level};

use crate::draft::{Draft, FROM_TEXT, Piece};
use crate::ids;
use crate::keys::Slot;
use crate::parser::Engine;
use crate::time::{Allow, scan};

/// The parts of one line.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(crate) remote: &'a str,
    pub(crate) ident: &'a str,
    pub(crate) user: &'a str,
    pub(crate) time: &'a str,
    pub(crate) request: &'a str,
    pub(crate) status: &'a str,
    pub(crate) size: &'a str,
    pub(crate) referer: Option<&'a str>,
    pub(crate) agent: Option<&'a str>,
    /// What custom formats append.
    pub(crate) rest: &'a str,
}

/// A quoted text at the start, with escaped quotes inside, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('"')?;
    let bytes = rest.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some((rest.get(..at)?, rest.get(at + 1..)?)),
            _ => at += 1,
        }
    }
}

/// Splits `host ident user [time] "request" status size ["referer" "agent"]`.
pub(crate) fn split(line: &str) -> Option<Access<'_>> {
    let open = memchr::memchr(b'[', line.as_bytes())?;
    // Only one layout of time stands here: `10/Oct/2000`.
    if line.as_bytes().get(open + 3) != Some(&b'/') {
        return None;
    }
    let mut head = line.get(..open)?.split(' ');
    let (remote, ident) = (head.next()?, head.next()?);
    let levelled = remote.split_once(':').is_some_and(|(word, _)| crate::level::level_word(word).is_some());
    if remote.is_empty() || ident.is_empty() || open < 6 || levelled {
        return None;
    }
    let user = line.get(remote.len() + ident.len() + 2..open)?.trim_end();
    let (time, rest) = line.get(open + 1..)?.split_once("] ")?;
    if time.len() < 17 {
        return None;
    }
    let (request, rest) = quoted(rest)?;
    let mut tail = rest.trim_start().splitn(3, ' ');
    let (status, size) = (tail.next()?, tail.next().unwrap_or("-"));
    if status.len() != 3 || !status.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut rest = tail.next().unwrap_or_default();
    let mut next = || {
        let (value, after) = quoted(rest)?;
        rest = after.trim_start();
        Some(value)
    };
    let referer = next();
    let agent = next();
    Some(Access { remote, ident, user, time, request, status, size, referer, agent, rest })
}

pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>) -> bool {
    let Some(line) = split(piece.text) else { return false };
    let Some(found) = scan(line.time.as_bytes(), &engine.context, Allow::INSIDE) else { return false };
    draft.set_time(found, 10);
    let level = match line.status.as_bytes()[0] {
        b'5'.. => Level::Error,
        b'4' => Level::Warn,
        _ => Level::Info,
    };
    draft.set_level(level, 10);
    let mut message = String::with_capacity(line.remote.len() + line.request.len() + 8);
    let _written = write!(message, "{} {} {}", line.remote, line.request, line.status);
    let message = engine.tail.push(&message);
    draft.set(Slot::Message, 10, message);
    draft.format(Format::Clf);
    if !line.rest.is_empty() {
        for pair in crate::logfmt::Pairs::new(line.rest) {
            if let Some(entry) = engine.table.get(pair.key) {
                let value = piece.part(pair.value);
                let (slot, style, extra) = (entry.slot, entry.style, entry.extra);
                draft.take(slot, style, FROM_TEXT, value, &mut engine.day, &engine.context);
                if let Some(id) = extra {
                    draft.extra(id, value.range(pair.value));
                }
            }
        }
        ids::in_text(draft, piece.part(line.rest));
    }
    true
}
