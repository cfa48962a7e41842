//! The right answers, counted without logbraid and without the batch tool: lines are read with `serde_json`, spans and
//! words are counted in maps.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use serde::Deserialize;

/// What is counted of a line.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    timestamp: String,
    level: String,
    message: String,
    thread_id: String,
    correlation_id: String,
    #[serde(default)]
    span_id: Option<String>,
    #[serde(default)]
    parent_span_id: Option<String>,
}

/// A file, read in the plainest way.
#[derive(Debug, Default)]
pub struct Truth {
    lines: Vec<Line>,
}

impl Truth {
    /// Reads `files`.
    ///
    /// # Errors
    /// When one cannot be read, or a line is not what the generator writes.
    pub fn read(files: &[(String, PathBuf)]) -> io::Result<Self> {
        let mut lines = Vec::new();
        for (_, path) in files {
            for line in BufReader::new(File::open(path)?).lines() {
                lines.push(serde_json::from_str(&line?)?);
            }
        }
        Ok(Self { lines })
    }
    /// How many lines there are.
    pub fn entries(&self) -> usize {
        self.lines.len()
    }
    /// The thread of the first line.
    pub fn first_thread(&self) -> String {
        self.lines.first().map(|line| line.thread_id.clone()).unwrap_or_default()
    }
    /// Lines of `level` whose message holds `word` in any case, as line numbers in the order of time.
    pub fn matches(&self, level: &str, word: &str) -> Vec<u64> {
        let mut found: Vec<(&str, u64)> = (1..)
            .zip(&self.lines)
            .filter(|(_, line)| line.level == level && line.message.to_ascii_lowercase().contains(word))
            // Before the Z there may be no fraction: times of equal length compare as texts, the rest by their head.
            .map(|(number, line)| (line.timestamp.trim_end_matches('Z'), number))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, number)| number).collect()
    }
    /// Lines of a request.
    pub fn of_request(&self, id: &str) -> usize {
        self.lines.iter().filter(|line| line.correlation_id == id).count()
    }
    /// Spans of `thread` and all spans below them; and how many of them are errors.
    pub fn forest(&self, thread: &str) -> (usize, usize) {
        let mut children: HashMap<&str, Vec<&Line>> = HashMap::new();
        for line in &self.lines {
            if let Some(parent) = &line.parent_span_id {
                children.entry(parent).or_default().push(line);
            }
        }
        let mut todo: Vec<&Line> = self.lines.iter().filter(|line| line.thread_id == thread).collect();
        let (mut seen, mut errors) = (HashSet::new(), 0);
        while let Some(line) = todo.pop() {
            let Some(span) = line.span_id.as_deref() else { continue };
            if seen.insert(span) {
                errors += usize::from(line.level == "ERROR");
                todo.extend(children.get(span).into_iter().flatten());
            }
        }
        (seen.len(), errors)
    }
    /// Lines of `thread`.
    pub fn of_thread(&self, thread: &str) -> usize {
        self.lines.iter().filter(|line| line.thread_id == thread).count()
    }
}
