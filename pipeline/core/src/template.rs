//! Masks what varies in a message, so that messages of one kind compare equal.

use crate::id::Id;

/// The message with its variable words replaced by `<*>`: numbers, hex, UUIDs, addresses, paths, quoted text.
///
/// ```
/// use logbraid_core::template::mask;
/// assert_eq!(mask("Connection refused to db-7:5432 after 30ms"), "Connection refused to <*> after <*>");
/// assert_eq!(mask("user 'bob' not found"), "user <*> not found");
/// ```
pub fn mask(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start().len();
        out.push_str(&rest[..blank]);
        rest = &rest[blank..];
        if rest.is_empty() {
            break;
        }
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'))
            && let Some(end) = rest[1..].find(quote)
        {
            out.push_str("<*>");
            rest = &rest[end + 2..];
            continue;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        mask_word(&rest[..end], &mut out);
        rest = &rest[end..];
    }
    out
}

/// The id of a message's template: equal for messages that differ only in what [`mask`] replaces.
pub fn template_id(message: &str) -> Id {
    Id::of(&[&mask(message)])
}

fn mask_word(word: &str, out: &mut String) {
    // `key=value` keeps its key; brackets and closing punctuation stay outside of the mask.
    let head = word.find(['=', '(', '[', '{', '<']).map_or(0, |at| at + 1);
    let (prefix, value) = word.split_at(head);
    let tail = value.trim_end_matches([',', ';', ':', '.', ')', ']', '}', '>', '!', '?']).len();
    let (value, suffix) = value.split_at(tail);
    out.push_str(prefix);
    if varies(value) {
        out.push_str("<*>");
    } else {
        out.push_str(value);
    }
    out.push_str(suffix);
}

fn varies(word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let digits = word.bytes().any(|b| b.is_ascii_digit());
    let path = word.len() > 1 && (word.starts_with('/') || word.contains("://"));
    let hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    digits || path || hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked_and_the_words_stay() {
        for (message, masked) in [
            ("took 12.5ms", "took <*>"),
            ("GET /api/users/7 200 3ms", "GET <*> <*> <*>"),
            ("id=42, name=bob", "id=<*>, name=bob"),
            ("deadbeefcafe gone", "<*> gone"),
            ("  leading 1\nsecond line 2", "  leading <*>"),
            ("don't stop", "don't stop"),
            ("", ""),
            ("'", "'"),
        ] {
            assert_eq!(mask(message), masked);
        }
    }
}
