//! What a table's columns mean, and its rows as JSON records for the parser.
//!
//! Columns keep their names, and the parser knows what names mean. Added is only what it could not know: which column is
//! the time, the level that a status stands for, and a message for rows that have none.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Row};
use serde_json::{Map, Value};

/// Names of times, the first one that is there and holds one counts; further ones end in `_at`, `_time` or `_ts`.
const TIMES: [&str; 17] = [
    "timestamp",
    "time",
    "ts",
    "datetime",
    "date_time",
    "event_time",
    "log_time",
    "logged_at",
    "occurred_at",
    "created_at",
    "inserted_at",
    "started_at",
    "created",
    "received_at",
    "updated_at",
    "date",
    "_ts",
];
const TIME_ENDS: [&str; 3] = ["_at", "_time", "_ts"];
/// Names that the parser takes for a level.
const LEVELS: [&str; 8] =
    ["level", "severity", "log_level", "loglevel", "lvl", "level_name", "severity_text", "levelno"];
/// Names that the parser takes for a message.
const MESSAGES: [&str; 10] = [
    "message",
    "msg",
    "text",
    "content",
    "short_message",
    "body",
    "event",
    "log",
    "log_message",
    "full_message",
];
/// Names of what serves as a message where there is no other.
const INSTEAD: [&str; 5] = ["description", "summary", "details", "title", "action"];
/// States of work, and the levels that they stand for.
const STATES: [(&str, &str); 29] = [
    ("pending", "INFO"),
    ("queued", "INFO"),
    ("scheduled", "INFO"),
    ("created", "INFO"),
    ("new", "INFO"),
    ("running", "INFO"),
    ("started", "INFO"),
    ("processing", "INFO"),
    ("active", "INFO"),
    ("completed", "INFO"),
    ("complete", "INFO"),
    ("succeeded", "INFO"),
    ("success", "INFO"),
    ("finished", "INFO"),
    ("done", "INFO"),
    ("ok", "INFO"),
    ("cancelled", "WARN"),
    ("canceled", "WARN"),
    ("lease_expired", "WARN"),
    ("expired", "WARN"),
    ("timeout", "WARN"),
    ("timed_out", "WARN"),
    ("retrying", "WARN"),
    ("aborted", "WARN"),
    ("failed", "ERROR"),
    ("failure", "ERROR"),
    ("error", "ERROR"),
    ("errored", "ERROR"),
    ("crashed", "ERROR"),
];
/// Most columns that a message is made of, and most characters of each.
const MADE_OF_MAX: usize = 6;
const MADE_CHARS_MAX: usize = 60;

/// A table whose rows are known by heart.
struct Known {
    name: &'static str,
    service: &'static str,
    time: &'static str,
    /// Columns stand in braces.
    message: &'static str,
}

const KNOWN: [Known; 2] = [
    Known {
        name: "qler_jobs",
        service: "qler",
        time: "created_at",
        message: "[job] {task} ({ulid}) status={status}",
    },
    Known {
        name: "qler_job_attempts",
        service: "qler",
        time: "started_at",
        message: "[attempt] job={job_ulid} attempt={attempt_number} status={status}",
    },
];

/// A table or a view, and how its rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub(super) name: String,
    columns: Vec<String>,
    /// The name of the rows' own numbers; views, and tables that were made without, have none.
    number: Option<&'static str>,
    time: Option<usize>,
    known: Option<usize>,
}

impl Table {
    /// Looks at the columns of `name`, which exists.
    pub(super) fn look(connection: &Connection, name: &str) -> Result<Self> {
        let mut statement =
            connection.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1")?;
        let columns: Vec<String> = statement.query_map([name], |row| row.get(0))?.collect::<Result<_>>()?;
        let named = |wanted: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(wanted));
        let numbers = ["rowid", "_rowid_", "oid"].into_iter().filter(|number| named(number).is_none());
        let number = numbers.into_iter().find(|number| {
            connection.prepare(&format!("SELECT {number} FROM {} LIMIT 0", quoted(name))).is_ok()
        });
        let known = KNOWN
            .iter()
            .position(|known| known.name == name && named(known.time).is_some() && named("status").is_some());
        let mut table = Self { name: name.to_owned(), columns, number, time: None, known };
        table.time = table.find_time(connection)?;
        Ok(table)
    }

    fn find_time(&self, connection: &Connection) -> Result<Option<usize>> {
        if let Some(known) = self.known.and_then(|at| KNOWN.get(at)) {
            return Ok(self.find(known.time));
        }
        let ends = |name: &str| TIME_ENDS.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        let by_end =
            (0..self.columns.len()).filter(|at| self.columns.get(*at).is_some_and(|name| ends(name)));
        for at in TIMES.iter().filter_map(|name| self.find(name)).chain(by_end) {
            let Some(column) = self.columns.get(at).map(|name| quoted(name)) else { continue };
            let sql =
                format!("SELECT {column} FROM {} WHERE {column} IS NOT NULL LIMIT 1", quoted(&self.name));
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let is_time = match rows.next()? {
                Some(row) => may_be_a_time(row.get_ref(0)?),
                None => true,
            };
            if is_time {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }
    fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.find(name).is_some())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The names of its columns.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }
    /// True when its rows look like a log: they have a time, and say something.
    pub(super) fn is_log(&self) -> bool {
        self.time.is_some() && (self.says() || self.has(&["data"]))
    }
    /// True when something of a row can be understood.
    pub(super) fn is_usable(&self) -> bool {
        self.time.is_some() || self.says() || self.has(&["data"])
    }
    fn says(&self) -> bool {
        self.has(&LEVELS) || self.has(&MESSAGES) || self.has(&["status", "state"])
    }
    /// True when its rows have numbers, so that new ones can be told from old ones.
    pub(super) const fn is_numbered(&self) -> bool {
        self.number.is_some()
    }
    /// The service of rows that name none.
    pub(super) fn service(&self) -> &str {
        self.known.and_then(|at| KNOWN.get(at)).map_or(&self.name, |known| known.service)
    }

    /// The statement that reads rows: the number first, if there is one. Of a numbered table, it reads `?2` rows from
    /// number `?1` on.
    pub(super) fn select(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
        let (columns, table) = (columns.join(", "), quoted(&self.name));
        match self.number {
            Some(number) => {
                format!(
                    "SELECT {number}, {columns} FROM {table} WHERE {number} >= ?1 ORDER BY {number} LIMIT ?2"
                )
            }
            None => format!("SELECT 0, {columns} FROM {table}"),
        }
    }

    /// The statement that reads the last `?1` rows, whose first column means nothing.
    pub(super) fn select_last(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
        let by = match (self.number, self.time.and_then(|at| self.columns.get(at))) {
            (Some(number), _) => number.to_owned(),
            (None, Some(time)) => quoted(time),
            (None, None) => "1".to_owned(),
        };
        format!("SELECT 0, {} FROM {} ORDER BY {by} DESC LIMIT ?1", columns.join(", "), quoted(&self.name))
    }

    /// A row as one JSON record of about `bytes_max` at most, to which long texts are cut; true when one was.
    pub(super) fn record(&self, row: &Row<'_>, bytes_max: usize) -> Result<(String, bool)> {
        let mut record = Map::new();
        let mut cut = false;
        // Several texts share the room; what JSON escapes takes up to six times its bytes.
        let each_max = (bytes_max / 6 / self.columns.len().max(1)).max(64);
        let text_max = bytes_max / 6;
        let total: usize = (0..self.columns.len()).map(|at| row.get_ref(at + 1).map_or(0, size)).sum();
        let text_max = if total > text_max { each_max } else { text_max };
        if let Some(time) = self.time {
            let time = value(row.get_ref(time + 1)?, text_max, &mut cut);
            if !time.is_null() {
                record.insert("timestamp".to_owned(), time);
            }
        }
        let data = self.find("data").map(|at| row.get_ref(at + 1)).transpose()?;
        let data = data.and_then(|data| match data {
            ValueRef::Text(text) if text.len() <= text_max => serde_json::from_slice(text).ok(),
            _ => None,
        });
        let unpacked = data.is_some();
        let unpacked_fields: Map<String, Value> = data.unwrap_or_default();
        record.extend(unpacked_fields);
        for (at, name) in self.columns.iter().enumerate() {
            let shown = value(row.get_ref(at + 1)?, text_max, &mut cut);
            if Some(at) == self.time || shown.is_null() || unpacked && name.eq_ignore_ascii_case("data") {
                continue;
            }
            record.insert(name.clone(), shown);
        }
        self.add_message(&mut record);
        self.add_level(&mut record);
        Ok((Value::Object(record).to_string(), cut))
    }

    fn add_level(&self, record: &mut Map<String, Value>) {
        if get(record, &LEVELS).is_some() {
            return;
        }
        let state = get(record, &["status", "state"]).and_then(Value::as_str).map(str::to_ascii_lowercase);
        let level = STATES.iter().find(|(name, _)| Some(*name) == state.as_deref()).map(|(_, level)| *level);
        if let Some(level) = level.or(self.known.map(|_| "INFO")) {
            record.insert("level".to_owned(), level.into());
        }
    }

    fn add_message(&self, record: &mut Map<String, Value>) {
        if get(record, &MESSAGES).is_some_and(Value::is_string) {
            return;
        }
        let message = if let Some(known) = self.known.and_then(|at| KNOWN.get(at)) {
            filled(known.message, record)
        } else if let Some(Value::String(text)) = get(record, &INSTEAD) {
            text.clone()
        } else {
            let plain = record.iter().filter(|(name, value)| {
                *name != "timestamp"
                    && !LEVELS.contains(&name.as_str())
                    && !name.starts_with('_')
                    && !value.is_array()
                    && !value.is_object()
            });
            let words: Vec<String> =
                plain.take(MADE_OF_MAX).map(|(name, value)| format!("{name}={}", short(value))).collect();
            format!("[{}] {}", self.name, words.join(" "))
        };
        record.insert("message".to_owned(), message.into());
    }
}

fn get<'a>(record: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| {
        record.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

/// `template` with the columns that stand in braces; what a row has not becomes `-`.
fn filled(template: &str, record: &Map<String, Value>) -> String {
    let mut text = String::new();
    for part in template.split('{') {
        match part.split_once('}') {
            Some((name, rest)) => {
                text += &get(record, &[name]).map_or_else(|| "-".to_owned(), short);
                text += rest;
            }
            None => text += part,
        }
    }
    text
}

fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(MADE_CHARS_MAX).collect()
}

fn may_be_a_time(value: ValueRef<'_>) -> bool {
    match value {
        // Seconds since 1970, from 1973 on; milliseconds and finer are greater.
        ValueRef::Integer(number) => number >= 100_000_000,
        ValueRef::Real(number) => number >= 1e8,
        ValueRef::Text(text) => {
            text.len() >= 8 && text.iter().filter(|byte| byte.is_ascii_digit()).count() >= 4
        }
        ValueRef::Null | ValueRef::Blob(_) => false,
    }
}

fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

fn value(value: ValueRef<'_>, text_max: usize, cut: &mut bool) -> Value {
    let mut text = |bytes: &[u8], max: usize| {
        *cut |= bytes.len() > max;
        String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes)).into_owned()
    };
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number),
        ValueRef::Text(bytes) => text(bytes, text_max).into(),
        ValueRef::Blob(bytes) if std::str::from_utf8(bytes).is_ok() => text(bytes, text_max).into(),
        ValueRef::Blob(bytes) => {
            *cut |= bytes.len() > text_max / 2;
            let shown = bytes.get(..text_max / 2).unwrap_or(bytes);
            let digits = shown.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect::<String>().into()
        }
    }
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
