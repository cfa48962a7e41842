//! Plain text: the head of a line is taken apart item by item, what remains is the message.
//!
//! ```text
//! 2015-10-18 18:01:47,978 INFO [main] org.apache.Foo: Created application
//! └ time                └ level └ thread └ logger     └ message
//! ```

mod component;
mod head;
mod words;

use logbraid_core::{Flags, Format, Level};

use crate::draft::{Draft, FROM_TEXT, Piece};
use crate::keys::Slot;
use crate::level::{find_level, level_word};
use crate::parser::Engine;
use crate::time::{Allow, Found, scan};
use crate::{ids, logfmt, shape};
use head::Head;
use words::is_logger;

/// Rank of what the head says.
const HEAD: u8 = 20;
/// How far into a line a time is looked for when the head has none.
const SEARCH_BYTES: usize = 1024;

/// Reads a line of text.
pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>) {
    let text = piece.text;
    let mut head = Head::new(piece);
    head.run(engine);
    head.tell(draft);
    draft.format(Format::Text);
    let headless = head.time.is_none() && head.level.is_none();
    let rest = text.get(head.sure..).unwrap_or_default();
    let message = rest.trim();
    draft.set(Slot::Message, HEAD, piece.range(message));
    // A head before pairs, `2024-01-15T10:00:00Z level=info msg=…`
    if !headless && pairs_follow(message) {
        let held = (draft.row.time, draft.ranks);
        let mut inner = Draft::default();
        if logfmt::read(engine, &mut inner, piece.part(message), 2) {
            inner.settle();
            draft.merge(&mut inner);
            if held.0.is_known() {
                draft.row.time = held.0;
                draft.ranks = held.1;
            }
        }
    }
    if draft.row.level.is_none()
        && let Some(level) = find_level(message).or_else(|| php_level(message))
    {
        draft.set_level(level, FROM_TEXT);
    }
    if !draft.row.time.is_known()
        && let Some(found) = search(engine, text)
    {
        draft.set_time(found, FROM_TEXT);
    }
    ids::in_text(draft, piece);
    if draft.row.thread.is_none()
        && let Some(thread) = named_thread(message)
    {
        draft.set(Slot::Thread, FROM_TEXT, piece.range(thread));
    }
    if headless {
        bare(draft, text, message);
    } else {
        // The indent behind the head shows that a record continues the one before it.
        let raw = rest.trim_end();
        let raw = raw.strip_prefix(' ').unwrap_or(raw);
        draft.row.flags.set(shape::of_message(raw, draft.row.level));
    }
    if text.as_bytes().contains(&b'\n') {
        draft.row.flags.set(Flags::MULTILINE);
    }
}

/// A line without a head: a continuation, or the beginning of a trace.
fn bare(draft: &mut Draft, text: &str, message: &str) {
    let flags = shape::of_bare_line(text);
    draft.row.flags.set(flags);
    if flags.has(Flags::CONTINUATION) && !message.starts_with(shape::TRACEBACK) {
        // What a frame's text happens to contain is neither its level nor its time.
        draft.row.level = None;
        draft.forget_time();
    } else if draft.row.level.is_none()
        && (message.starts_with(shape::TRACEBACK) || message.starts_with("Exception in thread "))
    {
        draft.set_level(Level::Error, FROM_TEXT);
    } else if message.starts_with("thread '") && message.contains(" panicked at") {
        draft.set_level(Level::Fatal, FROM_TEXT);
    }
}

/// `PHP Fatal error:  Uncaught …`
fn php_level(message: &str) -> Option<Level> {
    let kind = message.strip_prefix("PHP ")?.split(':').next()?;
    Some(match kind {
        "Fatal error" | "Parse error" | "Catchable fatal error" => Level::Error,
        "Warning" => Level::Warn,
        "Notice" | "Deprecated" | "Strict Standards" => Level::Info,
        _ => return None,
    })
}

fn pairs_follow(message: &str) -> bool {
    let key = message
        .bytes()
        .take(40)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        .count();
    key > 0 && message.as_bytes().get(key) == Some(&b'=')
}

/// A full date and time further right in the line.
fn search(engine: &Engine, text: &str) -> Option<Found> {
    let bytes = text.as_bytes().get(..text.len().min(SEARCH_BYTES))?;
    let mut at = 0;
    while let Some(next) = memchr::memchr(b':', bytes.get(at..)?) {
        // `YYYY-MM-DDTHH` stands before the first colon of a time.
        let colon = at + next;
        if let Some(start) = colon.checked_sub(13)
            && (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
            && bytes[start].is_ascii_digit()
            && matches!(bytes[start + 4], b'-' | b'/')
            && let Some(found) = scan(&bytes[start..], &engine.context, Allow::INSIDE)
        {
            return Some(found);
        }
        at = colon + 1;
    }
    None
}

/// `[worker-1]` within a message, where the word itself says that it is a thread.
fn named_thread(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('[')?;
    let (word, _) = rest.split_once(']')?;
    let known = ["thread", "worker", "pool", "exec", "nio-"].iter().any(|part| word.contains(part));
    let shaped = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    (known && shaped && word.len() <= 64 && level_word(word).is_none() && !is_logger(word)).then_some(word)
}
