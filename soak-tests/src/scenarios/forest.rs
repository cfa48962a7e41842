//! The entries of a thread and of all spans below them, out of a held window, as one group.
//!
//! The batch tool's tree of a thread takes in what its spans started elsewhere. The question `hierarchy` keeps to a
//! thread's own entries, because a thread serves many requests; to compare like with like, the same nodes are gathered
//! here with the index's own means, and the library's tree builder does the rest.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use logbraid_core::{Group, Row, Source, Text};
use logbraid_index::{Column, EntryRef, Filter, Texts, View};

/// Their group.
///
/// # Errors
/// When an entry's text cannot be read any more.
pub fn group(view: &View, thread: &str) -> io::Result<Group> {
    let mut children: HashMap<&str, Vec<EntryRef<'_>>> = HashMap::new();
    for entry in view {
        if let Some(parent) = entry.parent_span() {
            children.entry(parent).or_default().push(entry);
        }
    }
    let own = view.scan(&Filter::default().is(Column::Thread, thread));
    let mut seen: HashSet<&str> = HashSet::new();
    let mut todo: Vec<EntryRef<'_>> = own.collect();
    let mut entries = Vec::new();
    while let Some(entry) = todo.pop() {
        let Some(span) = entry.span() else { continue };
        if seen.insert(span) {
            entries.push(entry);
            todo.extend(children.get(span).into_iter().flatten().copied());
        }
    }
    fill(&entries)
}

fn fill(entries: &[EntryRef<'_>]) -> io::Result<Group> {
    let (mut text, mut rows, mut texts) = (String::new(), Vec::with_capacity(entries.len()), Texts::new());
    let mut sources: Vec<Arc<Source>> = Vec::new();
    let mut group = Group::default();
    for entry in entries {
        if let Some(source) = entry.source().filter(|_| sources.is_empty()) {
            sources.push(Arc::clone(source));
        }
        let mut add = |part: Option<&str>| {
            let Some(part) = part else { return Text::NONE };
            let start = u32::try_from(text.len()).unwrap_or(u32::MAX);
            text.push_str(part);
            Text { start, len: u32::try_from(part.len()).unwrap_or(0) }
        };
        let message = texts.message(*entry).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let row = Row {
            time: entry.time(),
            offset: entry.offset(),
            line: entry.line(),
            duration_ms: entry.duration_ms().unwrap_or(f64::NAN),
            message: add(Some(message)),
            thread: add(entry.thread()),
            correlation: add(entry.correlation()),
            trace: add(entry.trace()),
            span: add(entry.span()),
            parent_span: add(entry.parent_span()),
            flags: entry.flags(),
            level: entry.level(),
            format: entry.format(),
            time_from: entry.time_from(),
            confidence: entry.confidence(),
            ..Row::default()
        };
        group.levels.add(entry.level());
        rows.push(row);
    }
    group.text = text.into();
    group.rows = rows.into();
    group.sources = sources;
    group.sort();
    Ok(group)
}
