//! SQLite databases: a partition per table, a record per row, read in pages by the rows' numbers.
//!
//! The database is opened for reading alone. A page is a transaction of its own, so that neither a slow sink nor a
//! followed table keeps a writer waiting. Followed tables are asked for rows with greater numbers; a row that is changed
//! later is not read again.

mod table;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logbraid_core::Position;
use logbraid_core::progress::Mark;
use logbraid_parse::{Framing, RawRecord};
use rusqlite::{Connection, ErrorCode, OpenFlags, Result, params};

pub use self::table::Table;
use super::Options;
use super::inputs::{Input, InputError};
use super::intake::{Intake, Opening, Partition, Stopped};

/// What an SQLite database begins with.
pub const MAGIC: &[u8] = b"SQLite format 3\0";

/// Rows of a page.
const ROWS_MAX: u32 = 1024;
/// How long a locked database is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// Tables of a database that can be read, and what the user should know about the others.
#[derive(Debug, Default)]
pub struct Found {
    /// The tables, by name.
    pub tables: Vec<Table>,
    /// What was left out.
    pub notices: Vec<String>,
}

/// Splits `PATH#TABLE`; a file that has a `#` in its name is taken as a whole.
pub fn split(text: &str) -> (&Path, Option<&str>) {
    match text.rsplit_once('#') {
        Some((path, table)) if !Path::new(text).exists() => (Path::new(path), Some(table)),
        _ => (Path::new(text), None),
    }
}

/// The table `wanted` of a database, or all that look like logs.
pub fn find(path: &Path, wanted: Option<&str>) -> std::result::Result<Found, InputError> {
    let shown = format!("sqlite:{}", path.display());
    let broken = |error: rusqlite::Error| refused(&shown, &error);
    let connection = open(path).map_err(broken)?;
    let names = names(&connection).map_err(broken)?;
    if let Some(wanted) = wanted {
        let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(wanted)) else {
            let near = names.iter().find(|name| strsim::damerau_levenshtein(name, wanted) <= 3);
            return Err(InputError::new(format!("`{shown}` has no table `{wanted}`")).help(match near {
                Some(near) => format!("did you mean `{shown}#{near}`?"),
                None => format!("it has {}", listed(&names)),
            }));
        };
        let table = Table::look(&connection, name).map_err(broken)?;
        if !table.is_usable() {
            let message = format!("`{shown}#{name}` has no column that holds a time, a level or a message");
            let help = "name them in a view: `CREATE VIEW logs AS SELECT … AS timestamp, … AS message`";
            return Err(InputError::new(message).help(format!("it has {}; {help}", listed(table.columns()))));
        }
        return Ok(Found { tables: vec![table], notices: Vec::new() });
    }
    let mut notices = Vec::new();
    let mut tables = Vec::new();
    for name in &names {
        match Table::look(&connection, name) {
            Ok(table) => tables.push(table),
            // A view of a table that is gone must not hide the others.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
                notices.push(format!("`{shown}#{name}` was left out: {error}"));
            }
            Err(error) => return Err(broken(error)),
        }
    }
    let logs: Vec<Table> = tables.iter().filter(|table| table.is_log()).cloned().collect();
    if logs.is_empty() {
        let error = InputError::new(format!("`{shown}` has no table that looks like a log"));
        return Err(error.help(match tables.as_slice() {
            [] => "it has no table at all".to_owned(),
            _ => format!("it has {}; name one: `{shown}#TABLE`", listed(&names)),
        }));
    }
    let left: Vec<&str> =
        tables.iter().filter(|table| !table.is_log()).map(|table| table.name.as_str()).collect();
    if !left.is_empty() {
        notices.push(format!(
            "`{shown}`: {} left out, without both a time and a message, level or status",
            listed(&left)
        ));
    }
    Ok(Found { tables: logs, notices })
}

/// Names in back quotes; of many, the first.
fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    text.join(", ")
}

fn refused(shown: &str, error: &rusqlite::Error) -> InputError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => InputError::new(format!("`{shown}` is not an SQLite database"))
            .help("leave `sqlite:` out if it is a file of lines; an encrypted database cannot be read"),
        Some(ErrorCode::DatabaseCorrupt) => InputError::new(format!("`{shown}` is damaged: {error}"))
            .help("save what can be read: `sqlite3 DATABASE .recover | sqlite3 saved.db`"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            InputError::new(format!("`{shown}` was locked by another program for {} seconds", BUSY.as_secs()))
                .help("try again when it is done, or read a copy")
        }
        _ => InputError::new(format!("`{shown}` cannot be read: {error}")),
    }
}

/// The last rows of a table as records, a line each.
pub fn last(path: &Path, table: &Table) -> Result<Vec<u8>> {
    let connection = open(path)?;
    let mut statement = connection.prepare(&table.select_last())?;
    let mut rows = statement.query([ROWS_MAX])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.extend_from_slice(table.record(row, Options::default().max_line)?.0.as_bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Opens a database for reading.
fn open(path: &Path) -> Result<Connection> {
    // An absolute path cannot be taken for a URI.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let first = Connection::open_with_flags(&path, flags).and_then(prepared);
    let log_unreadable = |error: &rusqlite::Error| {
        matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
    };
    match first {
        // A write-ahead log needs a file beside the database; where none can be made, nobody writes either.
        Err(error) if log_unreadable(&error) && path.is_file() => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri(&path), flags).and_then(prepared).map_err(|_| error)
        }
        result => result,
    }
}

fn uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _infallible = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?immutable=1"
}

fn prepared(connection: Connection) -> Result<Connection> {
    connection.busy_timeout(BUSY)?;
    // Views of a stranger's database must not call functions that do more than compute.
    connection.execute_batch("PRAGMA query_only = 1; PRAGMA trusted_schema = 0")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Tables and views, without SQLite's own and those that hold another table's parts.
fn names(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Records of rows on their way.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    records: Vec<RawRecord>,
}

impl Page {
    fn add(&mut self, record: &str, offset: u64) {
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(record.as_bytes());
        self.records.push(RawRecord { start, len, offset, ingest: None, fresh: false });
    }
    fn send(self, partition: &mut Partition) -> std::result::Result<(), Stopped> {
        if self.records.is_empty() {
            Ok(())
        } else {
            partition.send(self.bytes, Framing::Records(self.records))
        }
    }
}

/// A table that is being read.
struct Reading<'a> {
    name: &'a str,
    table: &'a Table,
    options: &'a Options,
    intake: &'a Intake,
    /// The number of the next row.
    next: u64,
    /// Rows whose texts were cut.
    cut: u64,
}

/// Reads `table` of the database at `path` to its end, or on and on.
pub(super) fn run(input: &Input, path: &Path, table: &Table, options: &Options, intake: &Intake) {
    let connection = match open(path) {
        Ok(connection) => connection,
        Err(error) => {
            let InputError { message, .. } = refused(&input.name, &error);
            intake.notice(true, message);
            // `Stopped` means that nobody listens any more; so below.
            let _stopped = intake.ready();
            return;
        }
    };
    let whole: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let identity = format!("sqlite:{}#{}", whole.display(), table.name);
    let start = intake.position(&identity).unwrap_or(Mark::START);
    let opening = Opening {
        name: input.name.clone(),
        identity,
        position: Position::Row,
        service: Some(input.label.clone().unwrap_or_else(|| table.service().to_owned())),
        host: None,
        bounded: !options.follow,
    };
    let Ok(mut partition) = intake.open(opening, start) else { return };
    if intake.ready().is_err() {
        return;
    }
    let mut reading = Reading { name: &input.name, table, options, intake, next: start.offset, cut: 0 };
    let result = if table.is_numbered() {
        reading.numbered(&connection, &mut partition)
    } else {
        reading.whole(&connection, &mut partition)
    };
    match result {
        Ok(Err(Stopped)) if intake.is_closed() => return,
        Ok(_) => {}
        Err(error) => {
            let InputError { message, .. } = refused(&input.name, &error);
            intake.notice(true, format!("{message}; rows before number {} were read", reading.next));
        }
    }
    if reading.cut > 0 {
        let limit = options.max_line;
        intake.notice(
            false,
            format!("`{}`: texts of {} rows were cut to fit {limit} bytes", input.name, reading.cut),
        );
    }
    let _stopped = partition.finish();
}

impl Reading<'_> {
    /// Reads page by page, and when followed, waits for more.
    fn numbered(
        &mut self,
        connection: &Connection,
        partition: &mut Partition,
    ) -> Result<std::result::Result<(), Stopped>> {
        let mut statement = connection.prepare(&self.table.select())?;
        let mut version = None;
        loop {
            if self.options.follow {
                // Changes whenever another connection has written.
                let now: i64 = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
                if version == Some(now) {
                    if self.intake.is_stopped() {
                        return Ok(Ok(()));
                    }
                    std::thread::sleep(self.options.poll);
                    continue;
                }
                version = Some(now);
            }
            loop {
                if self.intake.is_stopped() {
                    return Ok(Ok(()));
                }
                let Ok(from) = i64::try_from(self.next) else { break };
                // Numbers below 1 are possible, and nobody uses them.
                let from = if from == 0 { i64::MIN } else { from };
                let mut page = Page::default();
                let mut full = true;
                let mut rows = statement.query(params![from, ROWS_MAX])?;
                while page.bytes.len() < self.options.read_bytes {
                    let Some(row) = rows.next()? else {
                        full = page.records.len() >= ROWS_MAX as usize;
                        break;
                    };
                    let number = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
                    self.add(&mut page, row, number)?;
                }
                drop(rows);
                if let Err(stopped) = page.send(partition) {
                    return Ok(Err(stopped));
                }
                if !full {
                    break;
                }
            }
            if !self.options.follow {
                return Ok(Ok(()));
            }
        }
    }

    /// Reads what has no numbers in one go; a row's number is its place.
    fn whole(
        &mut self,
        connection: &Connection,
        partition: &mut Partition,
    ) -> Result<std::result::Result<(), Stopped>> {
        if self.options.follow {
            let name = self.name;
            self.intake.notice(false, format!("`{name}` is not followed: its rows have no numbers"));
        }
        let mut statement = connection.prepare(&self.table.select())?;
        let mut rows = statement.query([])?;
        let mut page = Page::default();
        let mut number = 0;
        while let Some(row) = rows.next()? {
            number += 1;
            if number < self.next {
                continue;
            }
            self.add(&mut page, row, number)?;
            let full = page.records.len() >= ROWS_MAX as usize || page.bytes.len() >= self.options.read_bytes;
            if full && let Err(stopped) = std::mem::take(&mut page).send(partition) {
                return Ok(Err(stopped));
            }
        }
        Ok(page.send(partition))
    }

    fn add(&mut self, page: &mut Page, row: &rusqlite::Row<'_>, number: u64) -> Result<()> {
        let (record, cut) = self.table.record(row, self.options.max_line)?;
        self.cut += u64::from(cut);
        page.add(&record, number);
        self.next = number.saturating_add(1);
        Ok(())
    }
}
