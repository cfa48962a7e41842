//! Sources against real files: the test drains the intake as the pipeline would.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use logbraid_core::event::NoFields;
use logbraid_core::progress::Mark;
use logbraid_core::{PartitionId, Span};
use logbraid_parse::Framing;
use tokio::sync::mpsc;

use super::inputs::resolve;
use super::intake::{Control, Message, Positions};
use super::*;
use crate::clock::HostClock;

mod follow;
mod read;

/// One line as it was delivered.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    offset: u64,
    number: u64,
    text: String,
}

/// One partition as it was delivered.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: String,
    identity: String,
    service: Option<String>,
    start: Option<Mark>,
    lines: Vec<Line>,
    batches: u64,
    finished: bool,
}

impl Seen {
    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }
}

/// A running source and everything it has said.
struct Run {
    control: Control,
    receiver: mpsc::Receiver<Message>,
    threads: Vec<JoinHandle<()>>,
    seen: BTreeMap<PartitionId, Seen>,
    notices: Vec<(bool, String)>,
    /// Sources that have opened what they begin with.
    ready: usize,
}

fn quick(follow: bool) -> Options {
    Options {
        follow,
        poll: Duration::from_millis(5),
        scan: Span::from_millis(20),
        rotate_wait: Span::from_millis(300),
        ..Options::default()
    }
}

impl Run {
    fn start(inputs: &[&str], options: Options) -> Self {
        Self::resume(inputs, options, Positions::new())
    }
    fn resume(inputs: &[&str], options: Options, positions: Positions) -> Self {
        let resolved = resolve(inputs, options.follow).unwrap();
        let mut run = Self::read(resolved.inputs, options, positions);
        run.notices.extend(resolved.notices.into_iter().map(|text| (false, text)));
        run
    }
    fn read(inputs: Vec<Input>, options: Options, positions: Positions) -> Self {
        let (sender, receiver) = mpsc::channel(16);
        let intake = Intake::new(sender, positions, Arc::new(NoFields), Arc::new(HostClock::default()));
        let control = intake.control();
        let threads = spawn(inputs, options, intake).unwrap();
        Self { control, receiver, threads, seen: BTreeMap::new(), notices: Vec::new(), ready: 0 }
    }
    fn take(&mut self, message: Message) {
        match message {
            Message::Open { source, identity, start, .. } => {
                let seen = Seen {
                    name: source.name.clone(),
                    identity,
                    service: source.service.clone(),
                    start: Some(start),
                    ..Seen::default()
                };
                assert!(self.seen.insert(source.partition, seen).is_none());
            }
            Message::Batch { sequence, raw } => {
                let id = raw.source.partition;
                let seen = self.seen.get_mut(&id).unwrap();
                assert_eq!(sequence, seen.batches);
                seen.batches += 1;
                assert!(!seen.finished);
                let Framing::Lines { mut offset, line: mut number } = raw.framing else {
                    panic!("files have lines")
                };
                for text in raw.bytes.split_inclusive(|byte| *byte == b'\n') {
                    let shown = String::from_utf8_lossy(text).trim_end_matches('\n').to_owned();
                    seen.lines.push(Line { offset, number, text: shown });
                    offset += text.len() as u64;
                    number += 1;
                }
                self.control.taken(id);
            }
            Message::Finish { partition, sequence } => {
                let seen = self.seen.get_mut(&partition).unwrap();
                assert_eq!(sequence, seen.batches);
                seen.finished = true;
            }
            Message::Ready { .. } => self.ready += 1,
            // Only sources that keep positions themselves say so.
            Message::Release { .. } | Message::Drop { .. } => {}
            Message::Notice { fatal, text } => self.notices.push((fatal, text)),
        }
    }
    /// Takes what comes until `done`; fails after a long while.
    fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..4000 {
            while let Ok(message) = self.receiver.try_recv() {
                self.take(message);
            }
            if done(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let counts: Vec<_> =
            self.seen.values().map(|seen| (&seen.name, seen.lines.len(), seen.finished)).collect();
        panic!("waited in vain; seen {counts:?}, notices {:?}", self.notices);
    }
    /// Takes everything until the threads have ended.
    fn end(mut self) -> Self {
        self.until(|run| run.threads.iter().all(JoinHandle::is_finished));
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
        assert_eq!(self.ready, self.threads.len(), "each source says once that it is ready");
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        assert!(self.seen.values().all(|seen| seen.finished), "every partition is finished");
        self
    }
    fn stop(self) -> Self {
        self.control.stop();
        self.end()
    }
    fn partitions(&self) -> Vec<&Seen> {
        self.seen.values().collect()
    }
    fn lines(&self) -> usize {
        self.seen.values().map(|seen| seen.lines.len()).sum()
    }
    /// Every line of every partition, in order.
    fn texts(&self) -> Vec<&str> {
        self.seen.values().flat_map(Seen::texts).collect()
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }
    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        appending(&self.path(name)).write_all(bytes.as_ref()).unwrap();
    }
}

fn numbered(count: usize) -> String {
    (1..=count).fold(String::new(), |text, at| text + &format!("line {at}\n"))
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}
