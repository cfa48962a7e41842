//! Finds what a message says was called: `Connection refused to payments-db:5432`, `timeout calling inventory`.

/// Words before an address that make even a plain word with a port one: `dial tcp redis:6379`.
const BEFORE_ADDRESS: [&str; 20] = [
    "to",
    "from",
    "at",
    "host",
    "tcp",
    "udp",
    "connect",
    "connecting",
    "reach",
    "reaching",
    "calling",
    "with",
    "on",
    "server",
    "upstream",
    "backend",
    "broker",
    "database",
    "address",
    "dial",
];
/// Words that look like a name after `calling` or `from` and are none.
const NO_NAMES: [&str; 24] = [
    "the", "a", "an", "this", "that", "it", "its", "client", "user", "peer", "server", "service", "upstream",
    "remote", "request", "response", "thread", "main", "cache", "queue", "database", "db", "socket",
    "stream",
];
/// Endings of files, whose line numbers look like ports.
const FILES: [&str; 16] = [
    ".go", ".rs", ".java", ".py", ".js", ".ts", ".rb", ".c", ".cc", ".cpp", ".h", ".cs", ".kt", ".php",
    ".scala", ".log",
];
/// Words after the first this many are not looked at.
const WORDS_MAX: usize = 64;

/// The address or service that a message names as what it called; `known` says which plain words are services.
pub(crate) fn target(message: &str, known: impl Fn(&str) -> bool) -> Option<&str> {
    let line = message.lines().next().unwrap_or_default();
    let mut before = "";
    let mut two_before = "";
    let mut named = None;
    for word in
        line.split([' ', '\t', ',', ';', '"', '\'', '`', '=']).filter(|word| !word.is_empty()).take(WORDS_MAX)
    {
        let word = word.trim_matches(|c: char| matches!(c, '(' | ')' | '<' | '>' | '{' | '}' | '!' | '?'));
        if let Some(address) = address(word, before) {
            return Some(address);
        }
        if named.is_none() && is_call(before, two_before) {
            let name = word.trim_end_matches(['.', ':']);
            if is_name(name, before, &known) {
                named = Some(name);
            }
        }
        (two_before, before) = (before, word);
    }
    named
}

/// `host:port` within a word, a URL's included. `before` is the word before it.
fn address<'a>(word: &'a str, before: &str) -> Option<&'a str> {
    let (word, url) = match word.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (word, false),
    };
    let word = word.split(['/', '?', '#']).next()?;
    // What stands before an @ may be a password.
    let word = word.rsplit('@').next()?;
    let word = word.trim_end_matches([':', '.']);
    let word = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    let Some((host, port)) = word.rsplit_once(':') else {
        return (url && is_host(word)).then_some(word);
    };
    let host = host.trim_matches(['[', ']']);
    let port: u32 =
        if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) { port.parse().ok()? } else { 0 };
    if !(1..=65_535).contains(&port) || FILES.iter().any(|end| host.ends_with(end)) {
        return None;
    }
    let six =
        host.contains(':') && host.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%'));
    let dotted = host.contains('.') && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let clear = url || six || dotted || host.contains(['.', '-']) || host == "localhost";
    let said = BEFORE_ADDRESS.iter().any(|known| known.eq_ignore_ascii_case(before.trim_end_matches(':')));
    // A time such as 10:00:05 has digits only before the last colon.
    let time = six && host.bytes().all(|b| b.is_ascii_digit() || b == b':');
    ((six && !time) || (is_host(host) && (clear || said))).then_some(word)
}

fn is_host(host: &str) -> bool {
    let letters = host.bytes().any(|b| b.is_ascii_alphabetic());
    let four = host.split('.').count() == 4 && host.split('.').all(|part| part.parse::<u8>().is_ok());
    let valid = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    !host.is_empty() && valid && (letters || four)
}

/// `calling X`, `call to X`, `request to X`, `from X`, `upstream X`.
fn is_call(before: &str, two_before: &str) -> bool {
    let is = |word: &str, names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    is(before, &["calling", "from", "upstream", "dependency"])
        || (is(before, &["to"]) && is(two_before, &["call", "request", "connect", "connection", "refused"]))
}

fn is_name(name: &str, before: &str, known: &impl Fn(&str) -> bool) -> bool {
    let word = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let no_name = NO_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    // Much comes `from` somewhere; a name with parts or of a service is meant as one.
    let clear = name.contains(['-', '_']) || before.eq_ignore_ascii_case("calling");
    word && (known(name) || (clear && !no_name))
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn targets_are_found_and_what_looks_like_one_is_not() {
        for (message, found) in [
            ("Connection refused to payments-db:5432", Some("payments-db:5432")),
            ("dial tcp 10.0.0.7:6379: connect: connection refused", Some("10.0.0.7:6379")),
            ("dial tcp redis:6379: i/o timeout", Some("redis:6379")),
            ("POST http://user:secret@inventory:8080/items failed", Some("inventory:8080")),
            ("GET https://api.example.com/v1 502", Some("api.example.com")),
            ("connect to [fe80::1]:5432 failed", Some("[fe80::1]:5432")),
            ("timeout calling inventory after 3s", Some("inventory")),
            ("upstream error from payments-api.", Some("payments-api")),
            ("no answer from billing", Some("billing")),
            ("panic at main.go:42", None),
            ("failed at 10:00:05", None),
            ("status code:500", None),
            ("error:404 from the client", None),
            ("reading from socket", None),
            ("ratio 3:4", None),
            ("", None),
            (":: : /:// @", None),
        ] {
            assert_eq!(target(message, |word| word == "billing"), found, "{message}");
        }
    }
}
