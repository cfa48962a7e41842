//! Tells messages that speak of a retry from others: a branch-free look at pairs of letters, then the words.

use memchr::memchr2_iter;

/// True when a message says that something is tried again: `retry`, `retrying`, `retries`, `retried`, `reconnecting`,
/// `attempt 3`, in any case.
pub(super) fn speaks_of_a_retry(message: &str) -> bool {
    let bytes = message.as_bytes();
    if !may_speak(bytes) {
        return false;
    }
    // Few letters are an `r` at the head of a word, and fewer a `p` after `attem`.
    memchr2_iter(b'r', b'R', bytes).any(|at| is_head(bytes, at) && is_retry(&bytes[at + 1..]))
        || memchr2_iter(b'p', b'P', bytes).any(|at| is_attempt(bytes, at))
}

/// True for a text with `tr`, `tt` or `nn`, in any case: all of the words have one of them, and most messages none.
#[expect(clippy::needless_bitwise_bool, reason = "without branches many bytes are compared at once")]
fn may_speak(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    pairs.fold(false, |found, (first, second)| {
        let (first, second) = (first | 0x20, second | 0x20);
        let after_t = (first == b't') & ((second == b'r') | (second == b't'));
        found | after_t | ((first == b'n') & (second == b'n'))
    })
}

/// True when no letter stands before: `reretry` is no word.
fn is_head(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|before| !bytes[before].is_ascii_alphabetic())
}

fn is_retry(rest: &[u8]) -> bool {
    let starts = |word: &[u8]| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    // `retri` begins `retrieve`, too.
    starts(b"etry") || starts(b"etries") || starts(b"etried") || starts(b"econnect")
}

/// `attempt 3`, `attempt #3`, `attempt=3`, `attempt: 3`, `attempt number 3`.
fn is_attempt(bytes: &[u8], at: usize) -> bool {
    let Some(start) = at.checked_sub(5) else { return false };
    if !bytes[start..at].eq_ignore_ascii_case(b"attem") || !is_head(bytes, start) {
        return false;
    }
    let Some((b't' | b'T', rest)) = bytes[at + 1..].split_first() else { return false };
    let rest = match rest.get(..7) {
        Some(word) if word.eq_ignore_ascii_case(b" number") => &rest[7..],
        _ => rest,
    };
    let gap = rest.iter().take(3).take_while(|byte| matches!(byte, b' ' | b'#' | b':' | b'=')).count();
    gap > 0 && rest.get(gap).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::speaks_of_a_retry;

    #[test]
    fn retries_are_told_from_other_words() {
        for yes in [
            "retry",
            "Retrying in 5s",
            "RETRIES exhausted",
            "will be retried",
            "re-sent after retry 3",
            "Reconnecting…",
            "connect: attempt 2 of 5",
            "ATTEMPT #3",
            "attempt=4",
            "attempt number 7",
            "x retry_count=3",
        ] {
            assert!(speaks_of_a_retry(yes), "{yes}");
        }
        for no in [
            "",
            "r",
            "p",
            "t",
            "retrieve",
            "retrieved 5 rows",
            "attempt failed",
            "attempts",
            "reattempt 3",
            "country",
            "poetry",
            "attem",
            "attemp",
            "attempt",
            "attempt ",
            "autoretry",
            "reconnaissance",
            "ärretry",
        ] {
            assert!(!speaks_of_a_retry(no), "{no}");
        }
    }
}
