//! `logbraid keep` as users meet it: which bytes come out, in which order, what is told, and the exit status.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its world has failed")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

struct Ran {
    status: i32,
    out: Vec<u8>,
    err: String,
}

fn keep(arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .arg("keep")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // A program that refuses its options does not read its input: that is no fault of this test.
    let writing = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writing.join().unwrap();
    Ran { status: status.code().unwrap_or(-1), out: stdout, err: String::from_utf8(stderr).unwrap() }
}

fn line(second: u32, level: &str, request: &str, message: &str) -> String {
    format!(
        "{{\"time\":\"2024-01-15T10:{:02}:{:02}Z\",\"level\":\"{level}\",\"request_id\":\"{request}\",\
         \"service\":\"api\",\"msg\":\"{message}\"}}\n",
        second / 60,
        second % 60
    )
}

/// One request that fails, one that is slow and one that is neither, interleaved.
fn three() -> [String; 7] {
    [
        line(0, "info", "bad", "begin"),
        line(0, "info", "slow", "begin"),
        line(1, "info", "good", "begin"),
        line(1, "error", "bad", "boom \\u00e9"),
        line(2, "info", "good", "end"),
        line(2, "info", "bad", "end"),
        line(9, "info", "slow", "end"),
    ]
}

#[test]
fn the_lines_of_failed_and_slow_requests_come_out_unchanged_and_in_order() {
    let lines = three();
    let ran = keep(&["--errors", "--slower", "5s"], lines.concat().as_bytes());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let wanted = [0, 3, 5, 1, 6].map(|at| lines[at].as_str()).concat();
    assert_eq!(String::from_utf8(ran.out).unwrap(), wanted);
    let (kept, all) = (wanted.len(), lines.concat().len());
    assert!(ran.err.contains(&format!("kept 5 of 7 lines (71.4 %), {kept} of {all} bytes")), "{}", ran.err);
    assert!(ran.err.contains("errors       3 lines"), "{}", ran.err);
    assert!(ran.err.contains("slower_than  2 lines"), "{}", ran.err);
}

#[test]
fn without_a_policy_what_failed_is_kept_and_quiet_says_nothing() {
    let lines = three();
    let ran = keep(&["--quiet"], lines.concat().as_bytes());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!(String::from_utf8(ran.out).unwrap(), [0, 3, 5].map(|at| lines[at].as_str()).concat());
}

#[test]
fn a_match_a_template_text_and_everything_can_be_asked_for() {
    let lines = three();
    let out = |arguments: &[&str]| {
        String::from_utf8(keep(arguments, lines.concat().as_bytes()).out).unwrap().lines().count()
    };
    assert_eq!(out(&["--match", "^bo+m"]), 3);
    assert_eq!(out(&["--template", "boom"]), 3);
    assert_eq!(out(&["--rest", "100%"]), 7);
    assert_eq!(out(&["--rest", "0"]), 0);
    assert_eq!(out(&["--errors", "--rest", "1.0"]), 7);
}

#[test]
fn bytes_that_are_no_text_carriage_returns_and_traces_come_out_as_they_came() {
    let mut input = Vec::new();
    input.extend_from_slice(b"2024-01-15 10:00:00 INFO [req-1] begin \xff\xfe\r\n");
    input.extend_from_slice(b"2024-01-15 10:00:01 ERROR [req-1] failed request_id=r1\r\n");
    input.extend_from_slice(b"\tat com.example.\xc3(Main.java:1)\r\n");
    input.extend_from_slice(b"\tat com.example.Main(Main.java:2)\r\n");
    let ran = keep(&["--rest", "100%"], &input);
    assert_eq!(ran.out, input, "{}", String::from_utf8_lossy(&ran.out));
    let unix: Vec<u8> = input.iter().copied().filter(|byte| *byte != b'\r').collect();
    assert_eq!(keep(&["--rest", "100%"], &unix).out, unix);
}

#[test]
fn a_line_longer_than_a_mebibyte_comes_out_whole() {
    let lines = [line(0, "info", "r", &"x".repeat(3 << 20)), line(1, "error", "r", "boom")].concat();
    assert!(keep(&["--errors"], lines.as_bytes()).out == lines.as_bytes());
}

#[test]
fn what_comes_too_late_for_its_request_is_kept_and_counted() {
    let mut lines = vec![line(0, "info", "old", "begin")];
    lines.extend((0..5).map(|n| line(600 + n * 60, "info", "tick", "tock")));
    lines.push(line(2, "info", "old", "late"));
    let ran = keep(&["--errors"], lines.concat().as_bytes());
    assert_eq!(String::from_utf8(ran.out).unwrap(), lines[6]);
    assert!(ran.err.contains("late         1 lines"), "{}", ran.err);
}

#[test]
fn explanations_go_to_stderr_and_a_dry_run_marks_instead_of_dropping() {
    let lines = three();
    let ran = keep(&["--explain", "--dry-run", "--slower", "5s"], lines.concat().as_bytes());
    let out = String::from_utf8(ran.out).unwrap();
    assert_eq!(out.lines().filter(|line| line.starts_with("keep {")).count(), 2, "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("drop {")).count(), 5, "{out}");
    assert!(ran.err.contains("keep slower_than  slow  2 lines, 9000 ms, 0 errors\n"), "{}", ran.err);
    assert!(ran.err.contains("drop none         bad  3 lines, 2000 ms, 1 errors\n"), "{}", ran.err);
}

#[test]
fn mistakes_are_told_with_the_option_at_fault_and_status_2() {
    for (arguments, says) in [
        (
            &["--rest", "200%"][..],
            "'200%' for '--rest <SHARE>': a share is from 0 to 1; write it like `1%` or `0.01`",
        ),
        (&["--rest", "some"], "'some' for '--rest <SHARE>': a share is from 0 to 1"),
        (&["--match", "("], "'(' for '--match <REGEX>': it is not a regular expression: unclosed group"),
        (
            &["--per-key", "0"],
            "'0' for '--per-key <N>': it must be requests a second, more than zero; try `10`",
        ),
        (&["--slower", "soon"], "'soon' for '--slower <SPAN>'"),
        (&["--by", "service"], "--per-key <N>"),
        (&["--erors"], "a similar argument exists: '--errors'"),
        (&["--gap", "0s"], "'gap' must be longer than zero"),
        (&["/nothing/here.log"], "no such file"),
    ] {
        let ran = keep(arguments, b"");
        assert_eq!((ran.status, ran.out.as_slice()), (2, &b""[..]), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.err.matches("error:").count(), 1, "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn empty_input_and_a_reader_that_leaves_end_well() {
    let ran = keep(&[], b"");
    assert_eq!((ran.status, ran.out.as_slice()), (0, &b""[..]));
    assert!(ran.err.contains("kept 0 of 0 lines (0.0 %)"), "{}", ran.err);
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(["keep", "--rest", "100%", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let text = line(0, "info", "r", "hello").repeat(20_000);
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || drop(input.write_all(text.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

const STRATEGIES: [&str; 8] =
    ["random", "representative", "diverse", "chronological", "errors_focused", "head", "tail", "edges"];

/// Lines a second apart: every tenth an error, one that is the only one of its kind.
fn many(count: u32) -> Vec<String> {
    (0..count)
        .map(|at| match at {
            137 => line(at, "fatal", "r", "power lost"),
            _ if at % 10 == 7 => line(at, "error", "r", &format!("refused by 10.0.0.{}", at % 200)),
            _ => line(at, "info", "r", &format!("served page {at}")),
        })
        .collect()
}

#[test]
fn a_reservoir_has_lines_of_the_whole_input_unchanged_and_in_order() {
    let lines = many(3000);
    for strategy in STRATEGIES {
        let arguments = ["--reservoir", "20", "--strategy", strategy];
        let ran = keep(&arguments, lines.concat().as_bytes());
        assert_eq!(ran.status, 0, "{}", ran.err);
        let out = String::from_utf8(ran.out.clone()).unwrap();
        let places: Vec<usize> = out
            .split_inclusive('\n')
            .map(|found| lines.iter().position(|line| line == found).expect("each is a line of the input"))
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{strategy}: in order, none twice: {places:?}");
        // One line of one template, and of two others two each, because no thread tells more apart.
        let least = if strategy == "diverse" { 5 } else { 20 };
        assert!((least..=20).contains(&places.len()), "{strategy}: {}", places.len());
        match strategy {
            "head" => assert_eq!(places, (0..20).collect::<Vec<_>>()),
            "tail" => assert_eq!(places, (2980..3000).collect::<Vec<_>>()),
            "diverse" | "errors_focused" => assert!(places.contains(&137), "{strategy}: the rarest is there"),
            "chronological" => {
                let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
                assert!(places[0] == 0 && places[19] == 2999 && gaps.max() <= Some(400), "{places:?}");
            }
            _ => {}
        }
        assert!(ran.err.contains("of 3000 lines"), "{}", ran.err);
        assert!(ran.err.contains("of 1 lines") && ran.err.contains("of 299 lines"), "by level: {}", ran.err);
        assert_eq!(keep(&arguments, lines.concat().as_bytes()).out, ran.out, "{strategy}: a seed decides");
    }
    let all = keep(&["--reservoir", "5000", "--strategy", "random"], lines.concat().as_bytes());
    assert_eq!(
        String::from_utf8(all.out).unwrap(),
        lines.concat(),
        "fewer lines than asked for are all there"
    );
    let other = |seed: &str| {
        keep(&["--reservoir", "20", "--strategy", "random", "--seed", seed], lines.concat().as_bytes()).out
    };
    assert_ne!(other("1"), other("2"));
}

#[test]
fn a_reservoir_chooses_what_the_question_sample_chooses() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.log"), many(1000).concat()).unwrap();
    for strategy in ["random", "representative", "head", "tail", "edges"] {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
            command.args(arguments).arg("app.log").args(["--strategy", strategy]).current_dir(folder.path());
            let ran = command.output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap()
        };
        let messages = |entries: Vec<serde_json::Value>, name: &str| -> Vec<String> {
            entries.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
        };
        let kept = run(&["keep", "--reservoir", "30"]);
        let kept = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let asked: serde_json::Value =
            serde_json::from_str(&run(&["sample", "--size", "30", "--output", "json"])).unwrap();
        let asked = asked["entries"].as_array().unwrap().clone();
        assert_eq!(messages(kept, "msg"), messages(asked, "message"), "{strategy}");
    }
}

#[test]
fn a_reservoir_tells_why_and_does_not_go_with_a_policy() {
    let ran = keep(&["--reservoir", "3", "--strategy", "edges", "--explain"], many(50).concat().as_bytes());
    assert!(
        ran.err.contains("keep the first of all") && ran.err.contains("keep the last of all"),
        "{}",
        ran.err
    );
    for wrong in [&["--reservoir", "3", "--errors"][..], &["--reservoir", "0"], &["--strategy", "head"]] {
        let ran = keep(wrong, b"");
        assert_eq!((ran.status, ran.out.len()), (2, 0), "{wrong:?}: {}", ran.err);
    }
    let nothing = keep(&["--reservoir", "3"], b"");
    assert_eq!((nothing.status, nothing.out.len()), (0, 0), "{}", nothing.err);
}
