//! Files that go on: growth, rotation, truncation, and what comes later.

use super::*;

#[test]
fn what_is_appended_is_delivered_and_a_partial_line_waits_for_its_end() {
    let folder = Folder::new();
    let path = folder.write("a.log", "one\ntw");
    let mut run = Run::start(&[&path], quick(true));
    run.until(|run| run.lines() == 1);
    folder.append("a.log", "o\nthree\nfo");
    run.until(|run| run.lines() == 3);
    let run = run.stop();
    assert_eq!(run.texts(), ["one", "two", "three", "fo"], "the rest comes when following ends");
    assert_eq!(run.partitions()[0].lines[3], Line { offset: 14, number: 4, text: "fo".to_owned() });
}

#[test]
fn the_partial_line_stays_for_the_next_run_where_positions_are_kept() {
    let folder = Folder::new();
    let path = folder.write("a.log", "one\ntw");
    let mut run = Run::start(&[&path], Options { partial_at_stop: false, ..quick(true) });
    run.until(|run| run.lines() == 1);
    assert_eq!(run.stop().texts(), ["one"]);
}

#[test]
fn a_first_line_that_is_not_complete_comes_when_following_ends() {
    let folder = Folder::new();
    let path = folder.write("a.log", "o");
    let run = Run::start(&[&path], quick(true));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(run.stop().texts(), ["o"]);
}

/// Appends numbered lines as a logger does: reopens its file every few lines, as after a signal.
fn writer(path: PathBuf, count: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for chunk in (0..count).collect::<Vec<_>>().chunks(50) {
            let mut file = appending(&path);
            for at in chunk {
                // In pieces, so that the reader sees lines without their ends.
                write!(file, "line ").unwrap();
                writeln!(file, "{at:06} {}", "x".repeat(at % 90)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

/// The numbers of all lines that were delivered, and that positions within partitions are right.
fn numbers(run: &Run) -> Vec<usize> {
    let mut numbers = Vec::new();
    for seen in run.partitions() {
        let (mut offset, mut number) = (0, 1);
        for line in &seen.lines {
            assert_eq!((line.offset, line.number), (offset, number), "{}", line.text);
            offset += line.text.len() as u64 + 1;
            number += 1;
            let at: usize = line.text.get(5..11).and_then(|at| at.parse().ok()).unwrap_or_else(|| {
                panic!("a torn line: {:?}", line.text);
            });
            assert_eq!(line.text, format!("line {at:06} {}", "x".repeat(at % 90)));
            numbers.push(at);
        }
    }
    numbers
}

#[test]
fn every_line_is_delivered_once_through_two_renames() {
    for pattern in ["app.log", "app.log*"] {
        let folder = Folder::new();
        let mut run = Run::start(&[&folder.text(pattern)], quick(true));
        let writer = writer(folder.path("app.log"), 10_000);
        for (at, to) in [(2000, "app.log.2"), (5000, "app.log.1")] {
            run.until(|run| run.lines() >= at);
            fs::rename(folder.path("app.log"), folder.path(to)).unwrap();
        }
        run.until(|run| run.lines() >= 10_000);
        writer.join().unwrap();
        run.until(|run| pattern != "app.log" || run.seen.values().filter(|seen| seen.finished).count() == 2);
        let run = run.stop();
        let mut numbers = numbers(&run);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10_000).collect::<Vec<_>>(), "{pattern}");
        assert_eq!(run.seen.len(), 3, "{pattern}");
    }
}

#[test]
fn a_truncated_file_begins_anew() {
    let folder = Folder::new();
    let path = folder.text("app.log");
    let mut run = Run::start(&[&path], quick(true));
    let first = writer(folder.path("app.log"), 3000);
    run.until(|run| run.lines() >= 3000);
    first.join().unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    let second = writer(folder.path("app.log"), 5000);
    run.until(|run| run.lines() >= 8000);
    second.join().unwrap();
    let run = run.stop();
    assert_eq!(numbers(&run), (0..3000).chain(0..5000).collect::<Vec<_>>());
    assert_eq!(run.seen.len(), 2);
    assert!(run.partitions()[0].finished);
}

#[test]
fn a_file_that_grew_past_its_old_length_after_truncation_begins_anew() {
    let folder = Folder::new();
    let path = folder.write("a.log", "old 1\nold 2\n");
    let mut run = Run::start(&[&path], quick(true));
    run.until(|run| run.lines() == 2);
    // Longer than before by the time anybody looks.
    folder.write("a.log", "new 1\nnew 2\nnew 3\nnew 4\n");
    run.until(|run| run.lines() == 6);
    assert_eq!(run.stop().texts(), ["old 1", "old 2", "new 1", "new 2", "new 3", "new 4"]);
}

#[test]
fn a_writer_that_keeps_its_handle_is_read_on_after_the_rename() {
    let folder = Folder::new();
    let path = folder.write("a.log", "one\n");
    let mut run = Run::start(&[&path], quick(true));
    run.until(|run| run.lines() == 1);
    let mut held = appending(&folder.path("a.log"));
    fs::rename(&path, folder.path("a.log.1")).unwrap();
    folder.write("a.log", "new\n");
    run.until(|run| run.lines() == 2);
    held.write_all(b"two\nthree").unwrap();
    run.until(|run| run.lines() == 3);
    // Once it is quiet, the old file ends with what its last line has.
    run.until(|run| run.partitions()[0].finished);
    assert_eq!(run.partitions()[0].texts(), ["one", "two", "three"]);
    assert_eq!(run.stop().partitions()[1].texts(), ["new"]);
}

#[test]
fn deletion_and_creation_are_a_new_partition() {
    let folder = Folder::new();
    let path = folder.write("a.log", "one\n");
    let mut run = Run::start(&[&path], quick(true));
    run.until(|run| run.lines() == 1);
    fs::remove_file(&path).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    folder.write("a.log", "two\n");
    run.until(|run| run.lines() == 2 && run.partitions()[0].finished);
    let run = run.stop();
    assert_eq!(run.seen.len(), 2);
    assert_eq!(run.texts(), ["one", "two"]);
}

#[test]
fn files_that_come_later_are_picked_up() {
    let folder = Folder::new();
    fs::create_dir(folder.path("logs")).unwrap();
    folder.write("logs/a.log", "a\n");
    let inputs = [folder.text("later.log"), format!("web={}", folder.text("logs/**/*.log"))];
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let mut run = Run::start(&inputs, quick(true));
    run.until(|run| run.lines() == 1 && run.notices.iter().any(|(_, text)| text.contains("waiting for")));
    fs::create_dir(folder.path("logs/new")).unwrap();
    folder.write("logs/new/b.log", "b\n");
    folder.write("logs/new/c.txt", "c\n");
    folder.write("later.log", "later\n");
    run.until(|run| run.lines() == 3);
    let run = run.stop();
    let mut texts = run.texts();
    texts.sort_unstable();
    assert_eq!(texts, ["a", "b", "later"]);
    let b = run.partitions().into_iter().find(|seen| seen.texts() == ["b"]).unwrap();
    assert_eq!(b.service.as_deref(), Some("web"));
}

#[test]
fn a_copy_made_by_rotation_is_not_read_again() {
    let folder = Folder::new();
    fs::create_dir(folder.path("logs")).unwrap();
    let text = numbered(100);
    folder.write("logs/app.log", &text);
    let mut run = Run::start(&[&folder.text("logs")], quick(true));
    run.until(|run| run.lines() == 100);
    fs::copy(folder.path("logs/app.log"), folder.path("logs/app.log.1")).unwrap();
    File::create(folder.path("logs/app.log")).unwrap();
    folder.append("logs/app.log", "after\n");
    run.until(|run| run.lines() == 101 && run.notices.iter().any(|(_, text)| text.contains("rotated copy")));
    assert_eq!(run.stop().lines(), 101);
}

#[test]
fn many_followed_files_work_with_few_descriptors() {
    let folder = Folder::new();
    for at in 0..300 {
        folder.write(&format!("{at}.log"), format!("first {at}\n"));
    }
    let mut run = Run::start(&[&folder.text("*.log")], Options { open_files_max: 10, ..quick(true) });
    run.until(|run| run.lines() == 300);
    for at in 0..300 {
        folder.append(&format!("{at}.log"), format!("second {at}\n"));
    }
    run.until(|run| run.lines() == 600);
    // A closed file is found again under its new name.
    fs::rename(folder.path("7.log"), folder.path("7.old")).unwrap();
    folder.append("7.old", "third 7\n");
    run.until(|run| run.lines() == 601);
    let run = run.stop();
    assert!(run.partitions().iter().all(|seen| seen.lines.len() >= 2));
    assert!(run.notices.is_empty(), "{:?}", run.notices);
}
