//! What is wrong with a statement: where, and how to mend it.

use std::sync::{Arc, Mutex};

use rusqlite::{Error, ErrorCode};

use super::columns;
use crate::QuestionError;

/// What the query wanted to do and must not, as SQLite names it.
pub(super) type Denied = Arc<Mutex<Option<String>>>;

/// Longest statement.
const SQL_BYTES_MAX: usize = 64 << 10;

/// The one statement of `sql`, without what follows its semicolon.
pub(super) fn statement(sql: &str) -> Result<&str, QuestionError> {
    if sql.len() > SQL_BYTES_MAX {
        let message = format!("the statement is {} bytes long; {SQL_BYTES_MAX} are allowed", sql.len());
        return Err(QuestionError::new("query", message).help("put long lists of values into a filter"));
    }
    if sql.contains('\0') {
        return Err(QuestionError::new("query", "the statement has a NUL character"));
    }
    let (end, more) = first(sql);
    if more {
        return Err(QuestionError::new("query", format!("a second statement begins at {}", place(sql, end)))
            .help("ask one statement at a time; `WITH … SELECT` names intermediate results"));
    }
    let one = sql.get(..end).unwrap_or(sql);
    if words(one).next().is_none() {
        return Err(QuestionError::new("query", "the statement is empty")
            .help("try `SELECT level, count(*) FROM logs GROUP BY level`"));
    }
    Ok(one)
}

/// Where the first statement of `sql` ends, or the second begins; and whether there is a second.
fn first(sql: &str) -> (usize, bool) {
    let mut end = None;
    for (at, word) in words(sql) {
        match (end, word) {
            (None, b';') => end = Some(at),
            (None, _) | (Some(_), b';') => {}
            (Some(_), _) => return (at, true),
        }
    }
    (end.unwrap_or(sql.len()), false)
}

/// The first byte of each token and where it stands, comments and blanks left out: quoted texts are one token, all else
/// is told byte by byte.
fn words(sql: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = sql.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..)?;
            let first = *rest.first()?;
            let start = at;
            let skip = |end: &[u8]| {
                memchr::memmem::find(rest.get(1..).unwrap_or_default(), end)
                    .map(|found| found + 1 + end.len())
            };
            match first {
                b'\'' | b'"' | b'`' | b'[' => {
                    let close = if first == b'[' { b']' } else { first };
                    at += skip(&[close]).unwrap_or(rest.len());
                    return Some((start, first));
                }
                b'-' if rest.starts_with(b"--") => at += skip(b"\n").unwrap_or(rest.len()),
                b'/' if rest.starts_with(b"/*") => {
                    at += memchr::memmem::find(rest.get(2..)?, b"*/").map_or(rest.len(), |found| found + 4);
                }
                _ if first.is_ascii_whitespace() => at += 1,
                _ => {
                    at += 1;
                    return Some((start, first));
                }
            }
        }
    })
}

/// `line:column` of a byte, both from 1 on, columns in characters.
fn place(sql: &str, byte: usize) -> String {
    let before = sql.get(..byte).unwrap_or(sql);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

/// An error of SQLite, as the asker's mistake.
pub(super) fn fault(error: &Error, sql: &str, steps_max: u64, denied: Option<String>) -> QuestionError {
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::OperationInterrupted) {
        return QuestionError::new("query", format!("the query was stopped after {steps_max} steps"))
            .help("narrow it, as with `WHERE timestamp >= …`, or raise `--max-steps`");
    }
    if let Some(what) = &denied {
        let what = words_of(what);
        return QuestionError::new("query", format!("`sql` only reads: {what} is not allowed"))
            .help("ask with SELECT, on the table `logs`");
    }
    let (message, at) = match error {
        Error::SqlInputError { msg, offset, .. } => {
            let place = usize::try_from(*offset).ok().map(|at| place(sql, at));
            (msg.clone(), place)
        }
        Error::SqliteFailure(_, Some(message)) => (message.clone(), None),
        error => (error.to_string(), None),
    };
    let message = match message.strip_prefix("near \"\": ").unwrap_or(&message) {
        "incomplete input" => "the statement is incomplete".to_owned(),
        message => message.replace('"', "`"),
    };
    let text = at.map_or_else(|| message.clone(), |at| format!("{message}, at {at}"));
    QuestionError::new("query", text).help(help(&message))
}

/// `CreateTable { table_name: "x" }` as words: `create table`.
fn words_of(action: &str) -> String {
    let name = action.split([' ', '{']).next().unwrap_or_default();
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_uppercase());
    }
    words
}

fn help(message: &str) -> String {
    if let Some(name) = message.strip_prefix("no such column: ") {
        let wanted = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        let near = columns::names()
            .map(|known| (strsim::damerau_levenshtein(known, &wanted), known))
            .filter(|(distance, _)| *distance <= 3)
            .min();
        if let Some((_, near)) = near {
            return format!("did you mean `{near}`?");
        }
        return format!("other fields are in `fields`, as in `fields->>'$.{wanted}'`; {}", schema());
    }
    if message.starts_with("no such table") {
        return format!("the entries are the table `logs`; {}", schema());
    }
    "the SQL is SQLite's; `PRAGMA table_info(logs)` lists the columns".to_owned()
}

fn schema() -> String {
    let names: Vec<&str> = columns::names().collect();
    format!("`logs` has the columns {}", names.join(", "))
}
