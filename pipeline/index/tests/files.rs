//! Text stays in its file, and whatever happens to the file is noticed per entry.
#![allow(clippy::unwrap_used, clippy::format_push_string, reason = "a test may panic, and need not be fast")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use logbraid_core::{Event, EventTime, Fields, PartitionId, Source};
use logbraid_index::{Backing, IndexWriter, Options, TextError, Texts, View};
use logbraid_parse::{Assembler, Framing, Parser, RawBatch, Settings};

/// The events of `bytes`, parsed as a source called `name`.
fn parsed(name: &str, bytes: &[u8]) -> Vec<Event> {
    let settings = Settings::default().compile().unwrap();
    let mut source = Source::lines(name, PartitionId(0));
    source.reader = settings.reader();
    let raw = RawBatch {
        source: Arc::new(source),
        bytes: bytes.to_vec(),
        framing: Framing::Lines { offset: 0, line: 1 },
        ingest: EventTime::from_millis(1_705_312_800_000),
    };
    let mut events = Vec::new();
    let mut assembler = Assembler::new(&settings, EventTime::MIN);
    assembler.push(Parser::new(Arc::new(settings), &Fields::default()).parse(raw), &mut events);
    assembler.flush(&mut events);
    events
}

fn indexed(events: &[Event]) -> Arc<View> {
    let mut writer = IndexWriter::new(Options { backing: Backing::Files, ..Options::default() });
    for event in events {
        writer.push(event);
    }
    writer.finish();
    writer.publish();
    writer.view()
}

fn log() -> String {
    let mut text = String::new();
    for number in 0..2_000 {
        text += &format!(
            "{{\"timestamp\":\"2025-01-15T10:{:02}:{:02}Z\",\"level\":\"ERROR\",\"message\":\"entry {number} failed\",\"thread_id\":\"w\",\"n\":{number}}}\r\n",
            number / 60 % 60,
            number % 60
        );
        if number % 100 == 7 {
            text += "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: bad\n";
            text +=
                "{\"timestamp\":\"2025-01-15T10:00:00Z\",\"message\":\"escaped \\\"quote\\\" \\u00e9\"}\n";
        }
    }
    text
}

fn assert_same(view: &View, events: &[Event]) {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| (event.time(), event.row().offset));
    let mut texts = Texts::new();
    assert_eq!(view.entries(), events.len() as u64);
    for (entry, event) in view.iter().zip(events) {
        assert_eq!(texts.raw(entry).unwrap(), event.raw());
        assert_eq!(texts.message(entry).unwrap(), event.message());
        assert_eq!(texts.id(entry).unwrap(), event.id());
        let fields = event.source().reader.fields(event.row().format, event.raw());
        assert_eq!(texts.fields(entry).unwrap(), fields);
    }
}

#[test]
fn text_is_read_from_the_file_even_after_it_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    fs::write(&path, log()).unwrap();
    let events = parsed(path.to_str().unwrap(), log().as_bytes());
    let view = indexed(&events);
    assert_same(&view, &events);
    let sizes = view.sizes();
    assert!(sizes.text < 20_000, "only joined lines and decoded messages are kept: {sizes:?}");
    assert!(sizes.total() < 64 * events.len(), "{sizes:?}");
    fs::rename(&path, folder.path().join("app.log.1")).unwrap();
    assert_same(&view, &events);
    fs::remove_file(folder.path().join("app.log.1")).unwrap();
    assert_same(&view, &events);
}

#[test]
fn a_file_that_was_truncated_or_overwritten_is_noticed_per_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    fs::write(&path, log()).unwrap();
    let events = parsed(path.to_str().unwrap(), log().as_bytes());
    let view = indexed(&events);
    // Each entry is read by itself, so that nothing is remembered from before the change.
    let changed = || view.iter().filter(|entry| texts_fail(entry.raw(), &path)).count();
    assert_eq!(changed(), 0);
    // One entry's bytes are written over, the file's length stays.
    let at = log().find("entry 3 failed").unwrap();
    let mut bytes = log().into_bytes();
    bytes[at] = b'E';
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(&bytes).unwrap();
    assert_eq!(changed(), 1);
    file.set_len(bytes.len() as u64 / 2).unwrap();
    let lost = changed();
    assert!(lost > 900 && lost < 1_100, "{lost}");
    file.set_len(0).unwrap();
    assert!(changed() > 1_900);
}

fn texts_fail(text: Result<String, TextError>, path: &Path) -> bool {
    match text {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error, TextError::Changed { path: path.to_owned() });
            true
        }
    }
}

#[test]
fn what_is_read_again_after_growth_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    let (head, tail) = ("2025-01-15T10:00:00Z INFO first\n", "2025-01-15T10:00:01Z INFO second\n");
    fs::write(&path, head).unwrap();
    let events = parsed(path.to_str().unwrap(), (head.to_owned() + tail).as_bytes());
    let mut writer = IndexWriter::new(Options { backing: Backing::Files, ..Options::default() });
    for event in &events {
        writer.push(event);
    }
    writer.publish();
    let view = writer.view();
    let mut texts = Texts::new();
    let entries: Vec<_> = view.iter().collect();
    assert_eq!(texts.message(entries[0]).unwrap(), "first");
    assert!(texts.message(entries[1]).is_err(), "it is not there yet");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(tail.as_bytes()).unwrap();
    assert_eq!(texts.message(entries[1]).unwrap(), "second");
}

#[test]
fn sources_that_are_no_plain_files_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log.gz");
    fs::write(&path, "not the text that was parsed, as when it was decompressed on its way").unwrap();
    for name in [path.to_str().unwrap(), "stdin", folder.path().to_str().unwrap(), "/dev/null"] {
        let events = parsed(name, log().as_bytes());
        let view = indexed(&events);
        assert_same(&view, &events);
    }
}

#[test]
fn bytes_that_are_not_utf8_are_kept_as_they_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    let bytes = b"2025-01-15T10:00:00Z INFO caf\xe9 \xff\n2025-01-15T10:00:01Z INFO fine\n";
    fs::write(&path, bytes).unwrap();
    let events = parsed(path.to_str().unwrap(), bytes);
    assert_same(&indexed(&events), &events);
}
