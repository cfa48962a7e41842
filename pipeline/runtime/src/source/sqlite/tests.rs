//! Databases as inputs: what comes out of the one parser.

use std::fs;
use std::sync::Arc;

use logbraid_core::{Fields, Flags};
use logbraid_parse::{Parser, Settings};
use tokio::sync::mpsc;

use super::*;
use crate::clock::HostClock;
use crate::source::inputs::{InputKind, resolve};
use crate::source::intake::{Control, Message, Positions};

struct Database {
    folder: tempfile::TempDir,
    connection: Connection,
}

impl Database {
    fn new(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("app.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        Self { folder, connection }
    }
    fn input(&self, table: &str) -> String {
        format!("sqlite:{}/app.db{table}", self.folder.path().display())
    }
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
    /// What `input` means: the names of its inputs, then the notices; or the error and its help.
    fn inputs(&self, input: &str) -> Vec<String> {
        match resolve(&[input], false) {
            Ok(found) => {
                let names = found.inputs.into_iter().map(|input| input.name);
                names.chain(found.notices).map(|text| self.short(&text)).collect()
            }
            Err(error) => vec![self.short(&format!("{error}; {}", error.help.clone().unwrap_or_default()))],
        }
    }
    /// Every row of `table`, as the parser understands it: `line time level service request message`.
    fn rows(&self, table: &str) -> Vec<String> {
        let mut run = Run::start(&self.input(table), false, Positions::new());
        run.until_end();
        run.rows
    }
}

/// A source that is being read, and what the parser made of it.
struct Run {
    receiver: mpsc::Receiver<Message>,
    control: Control,
    threads: Vec<std::thread::JoinHandle<()>>,
    parser: Parser,
    rows: Vec<String>,
    raws: Vec<String>,
    sources: Vec<String>,
    notices: Vec<String>,
}

impl Run {
    fn start(input: &str, follow: bool, positions: Positions) -> Self {
        let inputs = resolve(&[input], follow).unwrap().inputs;
        let compiled = Arc::new(Settings::default().compile().unwrap());
        let (sender, receiver) = mpsc::channel(16);
        let intake = Intake::new(sender, positions, compiled.reader(), Arc::new(HostClock::default()));
        let control = intake.control();
        let options =
            Options { follow, poll: Duration::from_millis(2), max_line: 4096, ..Options::default() };
        let threads = crate::source::spawn(inputs, options, intake).unwrap();
        let parser = Parser::new(compiled, &Fields::default());
        let (rows, raws, sources, notices) = Default::default();
        Self { receiver, control, threads, parser, rows, raws, sources, notices }
    }
    fn take(&mut self, message: Message) {
        match message {
            Message::Batch { raw, .. } => {
                self.control.taken(raw.source.partition);
                let batch = Arc::new(self.parser.parse(raw));
                for at in 0..batch.rows.len() {
                    let event = logbraid_core::Event::new(Arc::clone(&batch), u32::try_from(at).unwrap());
                    let row = event.row();
                    let timed = row.time.is_known() && !row.flags.has(Flags::NO_TIMESTAMP);
                    let time = if timed { row.time.to_string() } else { "-".to_owned() };
                    let level = row.level.map_or("-", logbraid_core::Level::name);
                    let request = event.text(row.correlation).unwrap_or("-");
                    let service = event.service().unwrap_or("-");
                    let message = event.message();
                    self.rows.push(format!("{} {time} {level} {service} {request} {message}", row.line));
                    self.raws.push(event.raw().to_owned());
                    let place = logbraid_core::SourceRef::new(event.source(), row);
                    self.sources.push(serde_json::to_string(&place).unwrap());
                }
            }
            Message::Notice { text, .. } => self.notices.push(text),
            _ => {}
        }
    }
    fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..4000 {
            while let Ok(message) = self.receiver.try_recv() {
                self.take(message);
            }
            if done(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("waited in vain; seen {:?}, told {:?}", self.rows, self.notices);
    }
    fn until_end(&mut self) {
        self.until(|run| run.threads.iter().all(std::thread::JoinHandle::is_finished));
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
    }
}

const LOGS: &str = "
    CREATE TABLE logs(ts, level TEXT, message TEXT, request_id TEXT, status INTEGER);
    INSERT INTO logs VALUES
        ('2024-01-15T10:00:00Z', 'INFO', 'GET /cart', 'req-1', 200),
        ('2024-01-15 10:00:01.5', 'error', 'charge failed', 'req-1', 502);
    DELETE FROM logs WHERE rowid = 1;
    INSERT INTO logs VALUES ('2024-01-15T10:00:02Z', 'WARN', 'retrying', NULL, NULL);
";

#[test]
fn a_row_is_an_entry_whose_line_is_its_number() {
    let database = Database::new(LOGS);
    let expected = [
        "2 2024-01-15T10:00:01.500Z ERROR logs req-1 charge failed",
        "3 2024-01-15T10:00:02Z WARN logs - retrying",
    ];
    assert_eq!(database.rows("#logs"), expected);
    let mut run = Run::start(&database.input(""), false, Positions::new());
    run.until_end();
    assert_eq!(database.short(&run.sources[0]), r#"{"input":"sqlite:app.db#logs","line":2}"#);
    let record = r#"{"timestamp":"2024-01-15 10:00:01.5","level":"error","message":"charge failed","request_id":"req-1","status":502}"#;
    assert_eq!(run.raws[0], record);
}

#[test]
fn a_database_is_known_by_its_first_bytes_and_labels_name_services() {
    let database = Database::new(LOGS);
    let path = database.input("").replace("sqlite:", "");
    assert_eq!(database.inputs(&path), ["sqlite:app.db#logs"]);
    assert_eq!(database.inputs(&database.input("#LOGS")), ["sqlite:app.db#logs"]);
    let labelled = resolve(&[format!("shop={}", database.input(""))], false).unwrap();
    assert_eq!(labelled.inputs[0].label.as_deref(), Some("shop"));
    assert!(matches!(labelled.inputs[0].kind, InputKind::Sqlite { .. }));
}

#[test]
fn epochs_of_every_unit_and_iso_times_are_times() {
    let database = Database::new(
        "CREATE TABLE e(created_at, message);
         INSERT INTO e VALUES (1705312800, 's'), (1705312800250, 'ms'), (1705312800250000, 'us'),
            (1705312800250000000, 'ns'), (1705312800.25, 'float'), ('1705312800', 'text'),
            ('2024-01-15T11:00:00+01:00', 'iso'), ('2024-01-15 10:00:00', 'naive'), (NULL, 'none');",
    );
    let expected = [
        "1 2024-01-15T10:00:00Z - e - s",
        "2 2024-01-15T10:00:00.250Z - e - ms",
        "3 2024-01-15T10:00:00.250Z - e - us",
        "4 2024-01-15T10:00:00.250Z - e - ns",
        "5 2024-01-15T10:00:00.250Z - e - float",
        "6 2024-01-15T10:00:00Z - e - text",
        "7 2024-01-15T10:00:00Z - e - iso",
        "8 2024-01-15T10:00:00Z - e - naive",
        // The batch tool gives it the moment of reading.
        "9 - - e - none",
    ];
    assert_eq!(database.rows("#e"), expected);
}

#[test]
fn the_batch_tools_tables_are_read_as_it_reads_them() {
    let database = Database::new(
        "CREATE TABLE qler_jobs(_id INTEGER PRIMARY KEY, ulid, task, status, queue_name, priority, attempts,
            correlation_id, created_at, data);
         INSERT INTO qler_jobs VALUES
            (1, '01A', 'send', 'completed', 'mail', 5, 1, 'c-1', 1705312800, NULL),
            (2, '01B', 'send', 'failed', 'mail', 5, 3, 'c-2', 1705312801, '{\"extra\": 7, \"ulid\": \"old\"}'),
            (3, '01C', NULL, 'cancelled', 'mail', 5, 0, NULL, 1705312802000, NULL),
            (4, '01D', 'send', 'odd', 'mail', 5, 0, NULL, 1705312803, NULL);
         CREATE TABLE qler_job_attempts(_id INTEGER PRIMARY KEY, job_ulid, attempt_number, worker_id, status,
            error, started_at);
         INSERT INTO qler_job_attempts VALUES (1, '01B', 3, 'w-1', 'failed', 'boom', 1705312801),
            (2, '01C', 1, 'w-1', 'lease_expired', NULL, 1705312802);",
    );
    let jobs = [
        "1 2024-01-15T10:00:00Z INFO qler c-1 [job] send (01A) status=completed",
        "2 2024-01-15T10:00:01Z ERROR qler c-2 [job] send (01B) status=failed",
        "3 2024-01-15T10:00:02Z WARN qler - [job] - (01C) status=cancelled",
        "4 2024-01-15T10:00:03Z INFO qler - [job] send (01D) status=odd",
    ];
    assert_eq!(database.rows("#qler_jobs"), jobs);
    let attempts = [
        "1 2024-01-15T10:00:01Z ERROR qler - [attempt] job=01B attempt=3 status=failed",
        "2 2024-01-15T10:00:02Z WARN qler - [attempt] job=01C attempt=1 status=lease_expired",
    ];
    assert_eq!(database.rows("#qler_job_attempts"), attempts);
    // All tables of a database are read, each as an input of its own.
    assert_eq!(
        database.inputs(&database.input("")),
        ["sqlite:app.db#qler_job_attempts", "sqlite:app.db#qler_jobs"]
    );
    let mut run = Run::start(&database.input("#qler_jobs"), false, Positions::new());
    run.until_end();
    assert!(run.raws[1].contains(r#""extra":7,"ulid":"01B""#), "columns overlay `data`: {}", run.raws[1]);
}

#[test]
fn other_tables_keep_every_column_and_get_a_message_of_them() {
    let database = Database::new(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, status, customer, total REAL, created_at INTEGER);
         INSERT INTO orders VALUES (7, 'failed', 'ann', 9.5, 1705312800);",
    );
    assert_eq!(
        database.rows("#orders"),
        ["7 2024-01-15T10:00:00Z ERROR orders - [orders] id=7 status=failed customer=ann total=9.5"]
    );
}

#[test]
fn a_column_that_holds_no_time_is_not_taken_for_one() {
    let database = Database::new(
        "CREATE TABLE t(time, at, logged_at, message);
         INSERT INTO t VALUES (12, 'noon', '2024-01-15T10:00:00Z', 'x');",
    );
    let mut run = Run::start(&database.input("#t"), false, Positions::new());
    run.until_end();
    assert!(run.raws[0].starts_with(r#"{"timestamp":"2024-01-15T10:00:00Z","time":12,"#), "{}", run.raws[0]);
}

#[test]
fn views_and_tables_without_row_numbers_are_read_by_place() {
    let database = Database::new(
        "CREATE TABLE kv(k TEXT PRIMARY KEY, ts, msg) WITHOUT ROWID;
         INSERT INTO kv VALUES ('b', '2024-01-15T10:00:01Z', 'two'), ('a', '2024-01-15T10:00:00Z', 'one');
         CREATE VIEW v AS SELECT ts AS timestamp, upper(msg) AS message FROM kv;",
    );
    assert_eq!(
        database.rows("#kv"),
        ["1 2024-01-15T10:00:00Z - kv - one", "2 2024-01-15T10:00:01Z - kv - two"]
    );
    assert_eq!(database.rows("#v"), ["1 2024-01-15T10:00:00Z - v - ONE", "2 2024-01-15T10:00:01Z - v - TWO"]);
}

#[test]
fn more_rows_than_a_page_come_once_each_and_in_order() {
    let database = Database::new(
        "CREATE TABLE logs(ts INTEGER, message TEXT);
         INSERT INTO logs WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
            SELECT 1705312800 + i, 'row ' || i FROM n;",
    );
    let rows = database.rows("");
    assert_eq!(rows.len(), 5000);
    assert!(rows.iter().enumerate().all(|(at, row)| row.starts_with(&format!("{} ", at + 1))));
}

#[test]
fn a_followed_table_gives_new_rows_and_the_next_run_goes_on_behind_them() {
    let database = Database::new(LOGS);
    database.connection.execute_batch("PRAGMA journal_mode = wal").unwrap();
    let mut run = Run::start(&database.input("#logs"), true, Positions::new());
    run.until(|run| run.rows.len() == 2);
    let insert = "INSERT INTO logs VALUES ('2024-01-15T10:00:03Z', 'INFO', 'new', NULL, NULL)";
    database.connection.execute_batch(insert).unwrap();
    run.until(|run| run.rows.len() == 3);
    assert_eq!(run.rows[2], "4 2024-01-15T10:00:03Z INFO logs - new");
    run.control.stop();
    run.until_end();

    let whole = database.folder.path().canonicalize().unwrap();
    let identity = format!("sqlite:{}/app.db#logs", whole.display());
    let positions = Positions::from([(identity, Mark { offset: 4, ..Mark::START })]);
    let mut run = Run::start(&database.input("#logs"), false, positions);
    run.until_end();
    assert_eq!(run.rows, ["4 2024-01-15T10:00:03Z INFO logs - new"]);
}

#[test]
fn rows_are_read_while_somebody_writes() {
    let database = Database::new(LOGS);
    database
        .connection
        .execute_batch("PRAGMA journal_mode = wal; BEGIN IMMEDIATE; DELETE FROM logs")
        .unwrap();
    assert_eq!(database.rows("#logs").len(), 2);
}

#[test]
fn texts_that_are_too_long_are_cut_and_told() {
    let database = Database::new(
        "CREATE TABLE logs(ts, message, more);
         INSERT INTO logs VALUES (1705312800, replace(hex(zeroblob(50000)), '00', '\"x'), 'kept');
         INSERT INTO logs VALUES (1705312801, 'short', x'ff00fe');",
    );
    let mut run = Run::start(&database.input("#logs"), false, Positions::new());
    run.until_end();
    assert!(run.raws[0].len() < 4096 && run.raws[0].ends_with(r#""more":"kept"}"#), "{}", run.raws[0]);
    assert!(run.raws[1].ends_with(r#""more":"ff00fe"}"#), "{}", run.raws[1]);
    let told = database.short(&run.notices.join("; "));
    assert_eq!(told, "`sqlite:app.db#logs`: texts of 1 rows were cut to fit 4096 bytes");
}

#[test]
fn what_cannot_be_read_is_told_with_a_way_out() {
    let database = Database::new(
        "CREATE TABLE logs(ts, message); CREATE TABLE users(name, mail); CREATE VIEW broken AS SELECT * FROM gone;",
    );
    let told = |input: &str| database.inputs(input).join(" | ");
    let folder = database.folder.path();
    fs::write(folder.join("text.db"), "2024-01-15 INFO not a database, but a log\n".repeat(100)).unwrap();
    let input = |name: &str| database.input("").replace("app.db", name);
    assert_eq!(told(&input("ap.db")), "`sqlite:ap.db`: no such file; there is `app.db`");
    assert_eq!(
        told(&input("text.db")),
        "`sqlite:text.db` is not an SQLite database; leave `sqlite:` out if it is a file of lines; an encrypted \
         database cannot be read"
    );
    assert_eq!(
        told(&database.input("#log")),
        "`sqlite:app.db` has no table `log`; did you mean `sqlite:app.db#logs`?"
    );
    assert_eq!(
        told(&database.input("#nothing_like_it")),
        "`sqlite:app.db` has no table `nothing_like_it`; it has `broken`, `logs`, `users`"
    );
    assert!(told(&database.input("#users")).starts_with(
        "`sqlite:app.db#users` has no column that holds a time, a level or a message; it has `name`"
    ));
    assert_eq!(
        database.inputs(&database.input(""))[..2],
        ["sqlite:app.db#logs", "`sqlite:app.db#broken` was left out: no such table: main.gone"]
    );
    let empty = Database::new("");
    assert_eq!(empty.inputs(&empty.input("")).len(), 1);
    let nothing = Database::new("CREATE TABLE users(name)");
    assert_eq!(
        nothing.inputs(&nothing.input("")),
        [
            "`sqlite:app.db` has no table that looks like a log; it has `users`; name one: `sqlite:app.db#TABLE`"
        ]
    );
}

#[test]
fn a_damaged_database_is_told_and_what_was_readable_is_read() {
    let database = Database::new(
        "PRAGMA page_size = 512;
         CREATE TABLE logs(ts INTEGER, message TEXT);
         INSERT INTO logs WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
            SELECT 1705312800 + i, 'row number ' || i FROM n;",
    );
    let path = database.folder.path().join("app.db");
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let mut run = Run::start(&database.input("#logs"), false, Positions::new());
    run.until_end();
    assert!(run.rows.len() > 100, "{}", run.rows.len());
    let told = database.short(&run.notices.join("; "));
    assert!(told.starts_with("`sqlite:app.db#logs` is damaged: database disk image is malformed"), "{told}");
}

#[test]
fn the_last_rows_are_read_without_the_others() {
    let database = Database::new(
        "CREATE TABLE logs(ts INTEGER, message TEXT);
         INSERT INTO logs WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
            SELECT 1705312800 + i, i FROM n;",
    );
    let found = find(&database.folder.path().join("app.db"), None).unwrap();
    let lines = last(&database.folder.path().join("app.db"), &found.tables[0]).unwrap();
    let lines: Vec<&str> = std::str::from_utf8(&lines).unwrap().lines().collect();
    assert_eq!(lines.len(), 1024);
    assert!(lines[0].starts_with(r#"{"timestamp":1705317800,"#), "{}", lines[0]);
}
