//! The files that scenarios ask about, made once a run and removed with it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::generate::layout::Layout;
use crate::generate::random::Random;
use crate::generate::{Order, Workload, entry};

/// A file, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Entries without spans.
    Plain,
    /// Entries with spans.
    Spans,
    /// Entries with spans and more errors.
    Errflow,
    /// One request through so many services, a file each.
    Services(u8),
    /// A database of jobs.
    Jobs,
}

/// Made files.
#[derive(Debug)]
pub struct Data {
    folder: tempfile::TempDir,
}

const TASKS: [&str; 10] = [
    "send_email",
    "process_payment",
    "generate_report",
    "sync_inventory",
    "resize_image",
    "send_notification",
    "cleanup_sessions",
    "reindex_search",
    "backup_database",
    "aggregate_metrics",
];
const QUEUES: [&str; 5] = ["default", "high", "low", "critical", "bulk"];

impl Data {
    /// Nothing made yet.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn new() -> io::Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("logbraid-scenarios-").tempdir()? })
    }

    /// The files of `kind` with `entries` each; services with their names.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn files(&self, kind: Kind, entries: u64) -> io::Result<Vec<(String, PathBuf)>> {
        let workload = Workload {
            entries,
            order: Order::Article,
            error_permille: if kind == Kind::Errflow { 150 } else { 100 },
            spans: matches!(kind, Kind::Spans | Kind::Errflow),
            ..Workload::default()
        };
        let folder = self.folder.path();
        let made = |name: &str, write: &dyn Fn(&Path) -> io::Result<()>| {
            let path = folder.join(name);
            if !path.exists() {
                write(&path)?;
            }
            Ok::<_, io::Error>(path)
        };
        let plain = |path: &Path| workload.write(Layout::Json, &mut File::create(path)?).map(drop);
        match kind {
            Kind::Plain => Ok(vec![(String::new(), made(&format!("{entries}.jsonl"), &plain)?)]),
            Kind::Spans => Ok(vec![(String::new(), made(&format!("{entries}_spans.jsonl"), &plain)?)]),
            Kind::Errflow => Ok(vec![(String::new(), made(&format!("errflow_{entries}.jsonl"), &plain)?)]),
            Kind::Jobs => {
                let path = made(&format!("jobs_{entries}.db"), &|path| {
                    jobs(path, entries, workload.seed).map_err(io::Error::other)
                })?;
                Ok(vec![(String::new(), path)])
            }
            Kind::Services(services) => (0..usize::from(services))
                .zip(entry::SERVICES)
                .map(|(at, name)| {
                    let path = made(&format!("ms{services}_{entries}_{name}.jsonl"), &|path| {
                        workload.write_service(at, Layout::Json, &mut File::create(path)?).map(drop)
                    })?;
                    Ok((name.to_owned(), path))
                })
                .collect(),
        }
    }

    /// A path for something that a scenario writes.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Removes the files of more than `entries`, which nobody asks about any more.
    pub fn forget(&self, kind: Kind, entries: u64) {
        for (_, path) in self.files(kind, entries).into_iter().flatten() {
            // Temporary files go with their folder at the latest.
            let _gone = fs::remove_file(path);
        }
    }
}

/// A database of jobs as a queue keeps them: rows of JSON beside the columns that the queue asks for.
fn jobs(path: &Path, rows: u64, seed: u64) -> rusqlite::Result<()> {
    let mut database = Connection::open(path)?;
    database.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         CREATE TABLE qler_jobs (_id INTEGER PRIMARY KEY AUTOINCREMENT, data JSON NOT NULL,
             _version INTEGER NOT NULL DEFAULT 1, ulid TEXT UNIQUE, status TEXT, queue_name TEXT, priority INTEGER,
             eta INTEGER DEFAULT 0, lease_expires_at INTEGER)",
    )?;
    let mut random = Random::new(seed);
    let pick = |random: &mut Random, from: &[&'static str]| {
        from[usize::try_from(random.below(from.len() as u64)).unwrap_or(0)]
    };
    let all = database.transaction()?;
    {
        let mut insert = all.prepare(
            "INSERT INTO qler_jobs (data, ulid, status, queue_name, priority) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut created_ms = 1_705_312_800_000_u64;
        for row in 0..rows {
            created_ms += random.between(500, 5000);
            let status = match random.below(100) {
                0..65 => "completed",
                65..80 => "failed",
                80..90 => "pending",
                90..95 => "running",
                _ => "cancelled",
            };
            let done = matches!(status, "completed" | "failed");
            let attempts = if done { random.between(1, 5) } else { 0 };
            let data = serde_json::json!({
                "task": pick(&mut random, &TASKS),
                "attempts": attempts,
                "correlation_id": format!("corr-{row:06}"),
                "created_at": created_ms as f64 / 1000.0,
            });
            let ulid = format!("{row:08}{:08}", random.below(100_000_000));
            let queue = pick(&mut random, &QUEUES);
            let priority = i64::try_from(random.below(11)).unwrap_or(0);
            insert.execute(params![data.to_string(), ulid, status, queue, priority])?;
        }
    }
    all.commit()
}
