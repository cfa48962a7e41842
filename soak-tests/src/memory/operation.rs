//! One operation in a process of its own: what it allocated, and what the kernel says that it grew by.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use logbraid_core::Operator;
use logbraid_core::component::{Component as _, Context, settings};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, EventTime, Fields, Span};
use logbraid_index::{IndexReader, View};
use logbraid_operators::index::Index;
use logbraid_parse::Settings;
use logbraid_runtime::replay::{Feed, Replay};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::alloc;
use crate::chain;
use crate::process;
use crate::scenarios::ours;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Read a file into an index that leaves text where it is.
    LoadFiles,
    /// Read the same lines into an index that keeps packed text, as a stream's does.
    LoadStream,
    /// Read a file and search it for its INFO entries, of which 100 are shown.
    SearchBroad,
    /// Read a file and build the tree of its first thread.
    Hierarchy,
    /// Read a database of jobs and write its rows as lines of JSON.
    DbToJsonl,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::LoadFiles, Self::LoadStream, Self::SearchBroad, Self::Hierarchy, Self::DbToJsonl];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadFiles => "load, file-backed",
            Self::LoadStream => "load, stream-backed",
            Self::SearchBroad => "search_memory_profile (16)",
            Self::Hierarchy => "hierarchy of a thread",
            Self::DbToJsonl => "db_source_memory (19)",
        }
    }
}

/// What an operation took, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Entries or rows that were read.
    pub entries: u64,
    /// Allocated by it and still held when it was done.
    pub held: i64,
    /// The most that it held.
    pub held_max: i64,
    /// Resident before and after.
    pub rss: (u64, u64),
    /// The most that was resident.
    pub rss_max: u64,
    /// Of the index: columns, dictionaries, packed text.
    pub index: (u64, u64, u64),
}

/// Does it in this process and prints what it took, as JSON.
///
/// # Errors
/// When the file cannot be read.
pub fn run(operation: Operation, file: &Path, out: &mut dyn Write) -> io::Result<bool> {
    let pid = std::process::id();
    let files = [(String::new(), file.to_owned())];
    // What the process needs at all is there before the operation begins.
    let before = process::rss(pid).unwrap_or(0);
    alloc::watch_process();
    let mut taken = Taken::default();
    let view = match operation {
        Operation::LoadFiles => ours::window(&files)?.shared(),
        Operation::LoadStream => stream(file)?.view(),
        Operation::SearchBroad | Operation::Hierarchy | Operation::DbToJsonl => {
            let window = ours::window(&files)?;
            let (question, request) = match operation {
                Operation::SearchBroad => ("search", json!({"level": ["INFO"], "limit": 100, "context": 3})),
                Operation::Hierarchy => ("hierarchy", json!({"id": first_thread(&window.shared())})),
                _ => ("emit", json!({})),
            };
            let mut answer = Vec::new();
            ours::ask(ours::asked(question, &request)?.as_ref(), &window, &mut answer)?;
            if operation == Operation::DbToJsonl {
                File::create(scratch(file))?.write_all(&answer)?;
                std::fs::remove_file(scratch(file))?;
            }
            window.shared()
        }
    };
    let sizes = view.sizes();
    (taken.held, taken.held_max) = alloc::held();
    taken.rss = (before, process::rss(pid).unwrap_or(0));
    taken.rss_max = process::rss_peak(pid).unwrap_or(0);
    taken.entries = view.entries();
    taken.index = (sizes.columns as u64, sizes.dictionaries as u64, sizes.text as u64);
    writeln!(out, "{}", serde_json::to_string(&taken)?)?;
    Ok(true)
}

fn scratch(file: &Path) -> PathBuf {
    file.with_extension("out.jsonl")
}

fn first_thread(view: &View) -> String {
    view.iter().find_map(|entry| entry.thread().map(str::to_owned)).unwrap_or_default()
}

/// The index of a stream of the file's lines, with everything in it.
fn stream(file: &Path) -> io::Result<IndexReader> {
    let time = TimeSettings::default();
    let (mut operators, mut fields) =
        chain::operators(&vec![("thread", json!({}))], time).map_err(io::Error::other)?;
    let mut context = Context {
        fields: &mut fields,
        time,
        carry: Span::from_seconds(2),
        originals: false,
        read: logbraid_core::component::no_files,
    };
    let config = settings(&json!({"span": "100000d", "memory": "2GiB"})).map_err(io::Error::other)?;
    let index = Index::build(config, &mut context).map_err(io::Error::other)?;
    let reader = index.reader();
    operators.push(Box::new(index) as Box<dyn Operator>);
    let chain = Chain::new(operators, false, Span::from_seconds(60));
    replay(file, chain, &fields, time)?;
    Ok(reader)
}

/// Sends the lines of a file through `chain`; none of the engine's own memory is left afterwards.
fn replay(file: &Path, chain: Chain, fields: &Fields, time: TimeSettings) -> io::Result<()> {
    let parse = std::sync::Arc::new(Settings::default().compile().map_err(io::Error::other)?);
    let feed = Feed { name: file.display().to_string(), bytes: std::fs::read(file)?.into() };
    drop(Replay::new(&parse, fields, chain, time, &[feed], None, EventTime::MIN).run(4096));
    Ok(())
}
