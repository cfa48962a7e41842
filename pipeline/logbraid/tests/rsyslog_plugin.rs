//! `logbraid plugin rsyslog`, with the test in rsyslog's part: a line, then its confirmation, then the next.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

struct Plugin {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Plugin {
    fn start(address: &str, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
        command.args(["plugin", "rsyslog", "--to", &format!("http://{address}")]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        let mut plugin = Self { child, to, from };
        assert_eq!(plugin.heard(), "OK", "it says that it is ready");
        plugin
    }
    fn heard(&mut self) -> String {
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
    fn ask(&mut self, line: &str) -> String {
        self.to.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
        self.heard()
    }
    fn end(mut self) {
        drop(self.to.take());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

/// Starts the engine; what it listens at.
fn engine(folder: &Path) -> (Child, String) {
    let path = folder.display();
    let config = format!(
        "checkpoint: '{path}/state'\nwal: {{ disk: 64MiB }}\ntime: {{ idle_after: 300ms }}\n\
         sources:\n  - http: {{ listen: '127.0.0.1:0' }}\n\
         sinks:\n  - file: {{ path: '{path}/out.ndjson', take: [entries, late, rejects] }}\n"
    );
    std::fs::write(folder.join("run.yaml"), config).unwrap();
    let stderr = std::fs::File::create(folder.join("stderr")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
    command.args(["run", "-c"]).arg(folder.join("run.yaml"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    for _ in 0..1000 {
        let said = std::fs::read_to_string(folder.join("stderr")).unwrap();
        if let Some((address, _)) = said.split("ready on ").nth(1).and_then(|rest| rest.split_once('\n')) {
            return (child, address.to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(child);
    panic!("nobody listens: {}", std::fs::read_to_string(folder.join("stderr")).unwrap());
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn line(number: usize) -> String {
    format!("{{\"time\":\"2024-01-15T10:00:00Z\",\"app\":\"a\",\"msg\":\"m{number}\"}}")
}

/// The messages that are written, once all of `expected` are.
fn written(folder: &Path, expected: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for _ in 0..1000 {
        let text = std::fs::read_to_string(folder.join("out.ndjson")).unwrap_or_default();
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = records.filter_map(|record| Some(record["message"].as_str()?.to_owned())).collect();
        if found.is_superset(expected) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    found
}

#[test]
fn what_was_confirmed_is_written_after_kills_and_what_was_not_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, address) = engine(folder.path());
    let mut plugin = Plugin::start(&address, &[]);
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        for number in round * 40..round * 40 + 40 {
            assert_eq!(plugin.ask(&line(number)), "OK");
            expected.insert(format!("m{number}"));
        }
        kill(child);
        let refused = plugin.ask(&line(1000 + round));
        assert!(refused.starts_with("not taken: cannot connect"), "{refused}");
        plugin.end();
        // The system chooses another port, so rsyslog's child is another one, too.
        let address;
        (child, address) = engine(folder.path());
        plugin = Plugin::start(&address, &[]);
        // As rsyslog does after its pause.
        assert_eq!(plugin.ask(&line(1000 + round)), "OK");
        expected.insert(format!("m{}", 1000 + round));
    }
    plugin.end();
    let found = written(folder.path(), &expected);
    kill(child);
    assert_eq!(found, expected);
}

#[test]
fn the_lines_of_a_transaction_are_confirmed_together() {
    let folder = tempfile::tempdir().unwrap();
    let (child, address) = engine(folder.path());
    let mut plugin = Plugin::start(&address, &["--transactions"]);
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        assert_eq!(plugin.ask("BEGIN TRANSACTION"), "OK");
        for number in round * 10..round * 10 + 10 {
            assert_eq!(plugin.ask(&line(number)), "DEFER_COMMIT");
            expected.insert(format!("m{number}"));
        }
        assert_eq!(plugin.ask("COMMIT TRANSACTION"), "OK");
    }
    plugin.end();
    let found = written(folder.path(), &expected);
    kill(child);
    assert_eq!(found, expected);
}

#[test]
fn without_transactions_their_marks_are_messages() {
    let folder = tempfile::tempdir().unwrap();
    let (child, address) = engine(folder.path());
    let mut plugin = Plugin::start(&address, &[]);
    assert_eq!(plugin.ask("BEGIN TRANSACTION"), "OK");
    plugin.end();
    let expected = BTreeSet::from(["BEGIN TRANSACTION".to_owned()]);
    let found = written(folder.path(), &expected);
    kill(child);
    assert_eq!(found, expected);
}

#[test]
fn a_line_without_measure_is_cut_and_holds_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let (child, address) = engine(folder.path());
    let mut plugin = Plugin::start(&address, &[]);
    assert_eq!(plugin.ask(&format!("2024-01-15T10:00:00Z INFO {}", "x".repeat(40 << 20))), "OK");
    assert_eq!(plugin.ask(&line(1)), "OK");
    plugin.end();
    let long = "x".repeat((1 << 20) - "2024-01-15T10:00:00Z INFO ".len());
    let expected = BTreeSet::from([long, "m1".to_owned()]);
    let found = written(folder.path(), &expected);
    kill(child);
    assert_eq!(
        found.iter().map(String::len).collect::<Vec<_>>(),
        expected.iter().map(String::len).collect::<Vec<_>>()
    );
}

#[test]
fn dots_are_written_while_an_answer_takes_long_and_a_refusal_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for answer in ["HTTP/1.1 200 OK", "HTTP/1.1 429 x"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut part = [0; 4096];
            let _read = stream.read(&mut part).unwrap();
            std::thread::sleep(Duration::from_millis(400));
            let body = "\u{1b}full\n";
            let length = body.len();
            write!(stream, "{answer}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
                .unwrap();
        }
    });
    let mut plugin = Plugin::start(&address, &["--keep-alive", "50ms"]);
    let answer = plugin.ask(&line(1));
    assert!(answer.starts_with("..") && answer.trim_start_matches('.') == "OK", "{answer}");
    let answer = plugin.ask(&line(2));
    assert!(answer.ends_with(".not taken: answered 429: full"), "{answer}");
    plugin.end();
}

#[test]
fn an_address_that_cannot_be_is_a_mistake_with_help() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
    command.args(["plugin", "rsyslog", "--to", "ftp://127.0.0.1"]).stdin(Stdio::null());
    let done = command.output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("https") && said.contains("help:"), "{said}");
}
