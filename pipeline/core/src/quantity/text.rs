//! Numbers in messages: `name=12ms`, `name: 12 MB`, `took 5 s`.

use super::unit::{Unit, number_len, quantity};

/// A name in a message is at most so long, in bytes.
const NAME_MAX: usize = 64;
/// Words that state how long something took, when a time follows.
const TOOK: [&str; 6] = ["took", "elapsed", "duration", "latency", "time", "in"];

/// Finds the measured numbers in the first line of `message`, each name once, first occurrence first.
///
/// `=` links a name to any number; a colon only to one with a unit, or to a bare one that something closes, because
/// `user:87` is an id, `db-7:5432` an address and `charges: 1 row` prose. Times of day, dates and addresses are no numbers.
pub fn numbers(message: &str, mut found: impl FnMut(&str, f64, Unit)) {
    let end = memchr::memchr(b'\n', message.as_bytes()).unwrap_or(message.len());
    let line = message.get(..end).unwrap_or_default();
    for at in memchr::memchr2_iter(b'=', b':', line.as_bytes()) {
        if let Some((name, value, unit)) = linked(line, at) {
            found(name, value, unit);
        }
    }
    if let Some((value, unit)) = took(line) {
        found("duration", value, unit);
    }
}

/// The name before the sign at `at` and the number behind it.
fn linked(line: &str, at: usize) -> Option<(&str, f64, Unit)> {
    let (before, after) = (line.get(..at)?, line.get(at + 1..)?);
    let colon = line.as_bytes().get(at) == Some(&b':');
    let value = after.trim_start_matches([' ', '\t']);
    let (len, closed, unit_len) = measured(value)?;
    let bare = unit_len == 0;
    if colon && bare {
        // `: 12` alone, and something must close it.
        let spaced = value.len() < after.len();
        if !spaced || !closed {
            return None;
        }
    }
    let name = name_before(before)?;
    if colon && bare && !name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') {
        return None;
    }
    let (value, unit) = quantity(value.get(..len)?)?;
    Some((name, value, unit))
}

/// How many bytes at the beginning of `text` are a number with its unit; whether the text or a mark closes it; how long
/// the unit is.
fn measured(text: &str) -> Option<(usize, bool, usize)> {
    let digits = number_len(text);
    if digits == 0 {
        return None;
    }
    let rest = text.get(digits..)?;
    let glued = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '%' | '°'))).unwrap_or(rest.len());
    let mut len = digits + glued;
    let mut unit_len = glued;
    if glued == 0
        && let Some(spaced) = rest.strip_prefix(' ')
    {
        // `12 ms`: a known unit alone, so that `1 row` has none.
        let word =
            spaced.find(|c: char| !(c.is_alphabetic() || matches!(c, '%' | '°'))).unwrap_or(spaced.len());
        if Unit::of(spaced.get(..word)?).is_some() {
            len = digits + 1 + word;
            unit_len = word;
        }
    }
    let rest = text.get(len..)?;
    let mut next = rest.chars();
    let closed = match next.next() {
        None | Some(',' | ';' | ')' | ']' | '}' | '"' | '\'' | '|' | '&' | '>') => true,
        // A full stop ends a sentence, not a version.
        Some('.') if next.next().is_none_or(|c| !c.is_alphanumeric()) => true,
        Some(c) if c.is_whitespace() => false,
        // `49/50`, `10:00`, `2024-01`, `1.2.3`: no numbers.
        Some(_) => return None,
    };
    Some((len, closed, unit_len))
}

/// The name that `before` ends in: letters, digits, `_`, `-` and `.`, beginning with a letter or `_`.
fn name_before(before: &str) -> Option<&str> {
    let trimmed = before.trim_end_matches([' ', '\t']).trim_end_matches(['"', '\'']);
    let len = trimmed
        .bytes()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        .count();
    let name = trimmed.get(trimmed.len() - len..)?;
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (named && len <= NAME_MAX && !is_id(name)).then_some(name)
}

/// `took 12 ms`, `in 5s`: a time that has no name of its own.
fn took(line: &str) -> Option<(f64, Unit)> {
    let mut words = line.split_ascii_whitespace();
    let mut before = words.next()?;
    for word in words {
        if word.as_bytes().first().is_some_and(u8::is_ascii_digit)
            && TOOK.iter().any(|took| took.eq_ignore_ascii_case(before))
        {
            let at = word.as_ptr() as usize - line.as_ptr() as usize;
            let text = line.get(at..)?;
            if let Some((len, _, unit_len)) = measured(text)
                && unit_len > 0
                && let Some((value, Unit::Millis)) = quantity(text.get(..len)?)
            {
                return Some((value, Unit::Millis));
            }
        }
        before = word;
    }
    None
}

/// Names of what is counted but not measured: ports, processes, users, and everything that ends in `id`.
pub fn is_id(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let exact = [
        "port", "pid", "ppid", "uid", "euid", "gid", "egid", "tid", "line", "lineno", "seq", "sequence",
        "facility",
    ];
    if exact.iter().any(|id| id.eq_ignore_ascii_case(last)) {
        return true;
    }
    let bytes = last.as_bytes();
    let cut = bytes.len().saturating_sub(2);
    let (head, tail) = bytes.split_at(cut);
    // `user_id`, `userId`, `id`; not `paid`.
    match tail {
        b"id" => head.is_empty() || head.ends_with(b"_") || head.ends_with(b"-"),
        b"Id" | b"ID" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(message: &str) -> String {
        let mut all = Vec::new();
        numbers(message, |name, value, unit| {
            all.push(format!("{name}={value}{}", unit.name().unwrap_or("")));
        });
        all.join(" ")
    }

    #[test]
    fn numbers_with_names_are_found_in_one_unit() {
        for (message, expected) in [
            ("took=5ms", "took=5ms"),
            ("took=5s, size=1.5KiB", "took=5000ms size=1536bytes"),
            ("latency: 250 us (p99)", "latency=0.25ms"),
            ("wait=1m30s", "wait=90000ms"),
            ("memory usage: 87%", "usage=87%"),
            ("queue=-3 rows=1e3", "queue=-3 rows=1000"),
            ("http.status=200.", "http.status=200"),
            ("temp=21.5°C", "temp=21.5°C"),
            ("POST /checkout 201 in 61 ms", "duration=61ms"),
            ("took 1.5 s", "duration=1500ms"),
            ("attempts: 3, giving up", "attempts=3"),
            ("{\"depth\": 4}", "depth=4"),
        ] {
            assert_eq!(found(message), expected, "{message}");
        }
    }

    #[test]
    fn times_addresses_ids_and_prose_are_no_metrics() {
        for message in [
            "at 2024-01-15T10:00:00 T10:00:00",
            "date=2024-01-15 at=10:00:00",
            "refused by db-7:5432 user:87",
            "port=80 pid=7 user_id=42 requestId=9 id=1",
            "charges: 1 row",
            "version=1.2.3 used=49/50 hash=12ab name=x",
            "no numbers at all",
            "order 5: done in 3 steps",
            "first line\nsecond=2",
            "size=1e999 x=nan y=inf",
        ] {
            assert_eq!(found(message), "", "{message}");
        }
    }
}
