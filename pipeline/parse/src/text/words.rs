//! What a word of a head can be.

use crate::level::{level_word, upper};

/// Longest bracket that is an item of a head.
pub(super) const BRACKET_BYTES_MAX: usize = 200;

/// A dotted name whose parts are words: a logger or a class, not a thread.
pub(super) fn is_logger(word: &str) -> bool {
    let mut parts = 0;
    for part in word.split('.') {
        if !part.starts_with(|c: char| c.is_alphabetic() || c == '_') || part.contains('-') {
            return false;
        }
        parts += 1;
    }
    parts >= 2
}

/// What a bracket can hold that is a thread. Outside a head that has begun, blanks and signs make it prose.
pub(super) fn can_be_thread(word: &str, begun: bool) -> bool {
    if word.is_empty() || word.len() > BRACKET_BYTES_MAX || !word.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    if is_logger(word) || level_word(word).is_some() || is_address(word) {
        return false;
    }
    let key = word.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    if word.as_bytes().get(key) == Some(&b'=') || word.contains(": ") || word.starts_with("client ") {
        return false;
    }
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/' | b'#' | b'@' | b'$')
    };
    if begun {
        word.bytes().all(|b| {
            plain(b) || matches!(b, b' ' | b'[' | b']' | b'=' | b',' | b'(' | b')' | b'*' | b'+' | b'~')
        })
    } else {
        word.bytes().all(plain)
    }
}

/// `10.0.0.1`, with a port or without.
pub(super) fn is_address(word: &str) -> bool {
    let host = word.split(':').next().unwrap_or(word);
    host.split('.').count() == 4 && host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// A word that may be a column before something certain: no word of a sentence looks like it.
pub(super) fn is_column(word: &str) -> bool {
    if word.contains('=') || word.ends_with([',', ';', '!', '?', '"', '\'']) {
        return false;
    }
    if matches!(word, "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS" | "PHP") {
        return false;
    }
    let signs = word
        .bytes()
        .any(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'/' | b':' | b'@' | b'$' | b'-'));
    signs || (word.len() > 1 && upper(word) && word.bytes().any(|b| b.is_ascii_uppercase()))
}

/// Level words that also begin sentences.
pub(super) fn is_prose(word: &str) -> bool {
    [
        "error",
        "warning",
        "critical",
        "note",
        "notice",
        "alert",
        "panic",
        "trace",
        "information",
        "warn",
        "fatal",
        "debug",
    ]
    .iter()
    .any(|known| known.eq_ignore_ascii_case(word))
        && word.starts_with(|c: char| c.is_ascii_uppercase())
}

/// `X-Request-Id`, `traceparent`: what follows is an id, not a message.
pub(super) fn names_an_id(name: &str) -> bool {
    let last = name.len().checked_sub(2).and_then(|at| name.get(at..));
    last.is_some_and(|end| end.eq_ignore_ascii_case("id")) && name.contains(['-', '_'])
        || name.eq_ignore_ascii_case("traceparent")
        || name.eq_ignore_ascii_case("b3")
}

/// A name of a logger, a module or a program.
pub(super) fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/' || c == '<')
        && word.len() <= 160
        && !word.contains("//")
        && word.chars().all(|c| {
            c.is_alphanumeric()
                || matches!(
                    c,
                    '.' | '_'
                        | '-'
                        | '$'
                        | '/'
                        | '@'
                        | '#'
                        | ':'
                        | '<'
                        | '>'
                        | '('
                        | ')'
                        | '['
                        | ']'
                        | '+'
                        | '*'
                        | '~'
                )
        })
}

/// `5759e988-bd86-2e3f-e1be-46a994272793`
pub(super) fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
