//! Files and pipes that end.

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_file_is_delivered_whole_with_its_positions() {
    let folder = Folder::new();
    let text = numbered(100_000) + "and no end";
    let path = folder.write("a.log", &text);
    let run = Run::start(&[&format!("api={path}")], Options { read_bytes: 4096, ..quick(false) }).end();
    let [seen] = run.partitions()[..] else { panic!("one partition") };
    assert_eq!((seen.name.as_str(), seen.service.as_deref()), (path.as_str(), Some("api")));
    assert_eq!(seen.start, Some(Mark::START));
    assert_eq!(seen.texts().join("\n"), text);
    let mut offset = 0;
    for (number, line) in (1..).zip(&seen.lines) {
        assert_eq!((line.number, line.offset), (number, offset));
        offset += line.text.len() as u64 + 1;
    }
    assert!(run.notices.is_empty(), "{:?}", run.notices);
}

#[test]
fn compressed_files_are_decoded_by_their_content() {
    let folder = Folder::new();
    let (one, two) = (numbered(20_000), "another member\n".repeat(1000));
    folder.write("a.log", gzip(one.as_bytes()));
    folder.write("b.gz", [gzip(one.as_bytes()), gzip(two.as_bytes())].concat());
    folder.write("c.zst", zstd::encode_all(one.as_bytes(), 1).unwrap());
    let frames = [zstd::encode_all(one.as_bytes(), 1).unwrap(), zstd::encode_all(two.as_bytes(), 1).unwrap()];
    folder.write("d", frames.concat());
    let run = Run::start(&[&folder.text("")], quick(false)).end();
    let mut lines: Vec<usize> = run.partitions().iter().map(|seen| seen.lines.len()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [20_000, 20_000, 21_000, 21_000]);
    let last = run
        .partitions()
        .iter()
        .find_map(|seen| seen.lines.last().filter(|line| line.number == 20_000))
        .cloned();
    assert_eq!(
        last.unwrap().offset,
        (one.len() - "line 20000\n".len()) as u64,
        "offsets count decoded bytes"
    );
    assert!(run.notices.is_empty(), "{:?}", run.notices);
}

#[test]
fn of_a_truncated_archive_what_can_be_read_is_delivered() {
    let folder = Folder::new();
    let numbers = (0..50_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_string());
    let text = numbers.collect::<Vec<_>>().join("\n") + "\n";
    let whole = gzip(text.as_bytes());
    let path = folder.write("cut.gz", &whole[..whole.len() / 2]);
    let frame = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let other = folder.write("cut.zst", &frame[..frame.len() * 3 / 4]);
    let good = folder.write("good.log", "fine\n");
    let run = Run::start(&[&path, &other, &good], quick(false)).end();
    assert_eq!(run.notices.len(), 2, "{:?}", run.notices);
    assert!(run.notices.iter().all(|(fatal, text)| *fatal && text.contains("the rest is lost")));
    for seen in run.partitions() {
        match seen.name.as_str() {
            name if name == good => assert_eq!(seen.texts(), ["fine"]),
            _ => {
                assert!(seen.lines.len() > 5_000, "{} lines", seen.lines.len());
                let whole = seen.lines.len() - 1;
                assert!(text.starts_with(&(seen.texts()[..whole].join("\n") + "\n")));
            }
        }
    }
}

#[test]
fn utf16_files_are_text() {
    let folder = Folder::new();
    let text = "grüße\nzweite Zeile 😀\n";
    let bytes: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    let run = Run::start(&[&folder.write("a.log", bytes)], quick(false)).end();
    assert_eq!(run.texts(), ["grüße", "zweite Zeile 😀"]);
}

#[test]
fn a_line_of_ten_megabytes_is_cut_and_the_next_is_whole() {
    let folder = Folder::new();
    let path = folder.write("a.log", format!("before\n{}\nafter\n", "x".repeat(10 << 20)));
    let run = Run::start(&[&path], quick(false)).end();
    let lengths: Vec<usize> = run.texts().iter().map(|text| text.len()).collect();
    assert_eq!(lengths, [6, (1 << 20) + 1, 5]);
    assert_eq!(run.partitions()[0].lines[2].number, 3);
    assert_eq!(run.partitions()[0].lines[2].offset, 7 + (10 << 20) + 1);
}

#[test]
fn reading_resumes_at_the_mark_of_an_earlier_run_even_after_a_rename() {
    let folder = Folder::new();
    let text = numbered(1000);
    let plain = folder.write("a.log", &text);
    let packed = folder.write("b.gz", gzip(text.as_bytes()));
    let wide: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let wide = folder.write("c.log", wide);
    let first = Run::start(&[&plain, &packed, &wide], quick(false)).end();
    let mut positions = Positions::new();
    for seen in first.partitions() {
        let line = &seen.lines[499];
        let mark = Mark { offset: line.offset, line: line.number, ..Mark::START };
        positions.insert(seen.identity.clone(), mark);
    }
    assert_eq!(positions.len(), 3);
    fs::rename(&plain, folder.path("moved.log")).unwrap();
    folder.append("moved.log", "grown\n");
    let second = Run::resume(&[&folder.text("moved.log"), &packed, &wide], quick(false), positions).end();
    for seen in second.partitions() {
        let grown = usize::from(seen.name.ends_with("moved.log"));
        assert_eq!(seen.lines.len(), 501 + grown, "{}", seen.name);
        assert_eq!(seen.lines[0].text, "line 500");
        assert_eq!(seen.lines[0].number, 500);
    }
}

#[test]
fn a_small_file_keeps_its_identity_while_it_grows() {
    let folder = Folder::new();
    let path = folder.write("a.log", "one\n");
    let first = Run::start(&[&path], quick(false)).end();
    let mark = Mark { offset: 4, line: 2, ..Mark::START };
    let positions = Positions::from([(first.partitions()[0].identity.clone(), mark)]);
    folder.append("a.log", numbered(100));
    let second = Run::resume(&[&path], quick(false), positions.clone()).end();
    assert_eq!(second.partitions()[0].lines[0], Line { offset: 4, number: 2, text: "line 1".to_owned() });
    assert_eq!(second.partitions()[0].identity, first.partitions()[0].identity);
    // Written anew in place: the same inode, other first bytes.
    folder.write("a.log", numbered(100));
    let third = Run::resume(&[&path], quick(false), positions).end();
    assert_eq!(third.partitions()[0].start, Some(Mark::START));
}

#[test]
fn a_file_that_became_shorter_than_its_mark_is_read_from_its_beginning() {
    let folder = Folder::new();
    let path = folder.write("a.log", numbered(10));
    let first = Run::start(&[&path], quick(false)).end();
    let mark = Mark { offset: 5000, line: 700, ..Mark::START };
    let positions = Positions::from([(first.partitions()[0].identity.clone(), mark)]);
    let second = Run::resume(&[&path], quick(false), positions).end();
    assert_eq!(second.lines(), 10);
    assert!(second.notices[0].1.contains("shorter than it was"));
}

#[test]
fn what_was_rotated_away_between_two_runs_is_read_to_its_end() {
    let folder = Folder::new();
    let path = folder.write("app.log", numbered(10));
    let first = Run::start(&[&path], quick(false)).end();
    let line = first.partitions()[0].lines[7].clone();
    let mark = Mark { offset: line.offset, line: line.number, ..Mark::START };
    let positions = Positions::from([(first.partitions()[0].identity.clone(), mark)]);
    fs::rename(&path, folder.path("app.log.1")).unwrap();
    folder.write("app.log", "new\n");
    let second = Run::resume(&[&path], quick(false), positions).end();
    let mut texts = second.texts();
    texts.sort_unstable();
    assert_eq!(texts, ["line 10", "line 8", "line 9", "new"]);
}

#[test]
fn a_thousand_files_are_read_with_few_open_at_a_time() {
    let folder = Folder::new();
    for at in 0..1200 {
        folder.write(&format!("{at}.log"), format!("file {at}\n").repeat(1000));
    }
    let options = Options { open_files_max: 20, read_bytes: 4096, ..quick(false) };
    let mut run = Run::start(&[&folder.text("*.log")], options);
    let mut open_max = 0;
    run.until(|run| {
        let open = fs::read_dir("/proc/self/fd").map_or(0, |fds| {
            let ours = folder.0.path();
            fds.flatten().filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(ours))).count()
        });
        open_max = open_max.max(open);
        run.threads.iter().all(JoinHandle::is_finished)
    });
    let run = run.end();
    assert!(open_max <= 22, "{open_max} files were open");
    assert_eq!(run.seen.len(), 1200);
    for seen in run.partitions() {
        assert_eq!(seen.lines.len(), 1000);
        assert!(seen.lines.iter().all(|line| line.text == seen.lines[0].text));
    }
    assert!(run.notices.is_empty());
}

#[test]
fn a_file_that_is_lost_does_not_stop_the_others() {
    let folder = Folder::new();
    let (a, b) = (folder.write("a.log", "a\n"), folder.write("b.log", "b\n"));
    let inputs = resolve(&[&a, &b], false).unwrap().inputs;
    fs::remove_file(&a).unwrap();
    let run = Run::read(inputs, quick(false), Positions::new()).end();
    assert_eq!(run.texts(), ["b"]);
    assert!(run.notices[0].0 && run.notices[0].1.contains("a.log"));
}

fn pipe(folder: &Folder) -> String {
    let path = folder.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    path.display().to_string()
}

#[test]
fn a_pipe_delivers_whole_lines_at_once_and_ends_with_its_writer() {
    let folder = Folder::new();
    let path = pipe(&folder);
    let mut run = Run::start(&[&path], quick(false));
    run.until(|run| run.seen.len() == 1);
    let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(b"one\ntwo\nthr").unwrap();
    run.until(|run| run.lines() == 2);
    writer.write_all(b"ee\nlast").unwrap();
    run.until(|run| run.lines() == 3);
    drop(writer);
    let run = run.end();
    assert_eq!(run.texts(), ["one", "two", "three", "last"]);
    assert_eq!(run.partitions()[0].lines[3], Line { offset: 14, number: 4, text: "last".to_owned() });
}

#[test]
fn a_compressed_pipe_is_decoded() {
    let folder = Folder::new();
    let path = pipe(&folder);
    let run = Run::start(&[&path], quick(false));
    let writer = std::thread::spawn(move || fs::write(path, gzip(b"one\ntwo\n")).unwrap());
    let run = run.end();
    writer.join().unwrap();
    assert_eq!(run.texts(), ["one", "two"]);
}

#[test]
fn a_followed_pipe_outlives_its_writers_and_is_drained_when_stopped() {
    let folder = Folder::new();
    let path = pipe(&folder);
    let mut run = Run::start(&[&path], quick(true));
    run.until(|run| run.seen.len() == 1);
    for text in ["one\n", "two\n"] {
        fs::write(&path, text).unwrap();
        let before = run.lines();
        run.until(|run| run.lines() == before + 1);
    }
    fs::write(&path, "three\nfour\nand").unwrap();
    let run = run.stop();
    assert_eq!(run.texts(), ["one", "two", "three", "four", "and"]);
}

#[test]
fn the_source_ends_when_the_pipeline_stops_or_goes_away() {
    let folder = Folder::new();
    let path = folder.write("a.log", numbered(500_000));
    let run = Run::start(&[&path], Options { read_bytes: 4096, ..quick(false) });
    let Run { control, receiver, threads, .. } = run;
    std::thread::sleep(Duration::from_millis(50));
    control.stop();
    drop(receiver);
    for thread in threads {
        thread.join().unwrap();
    }
}
