//! `logbraid plugin annotate`, played by the part that rsyslog plays: a line, then its answer, then the next line.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Plugin {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Plugin {
    fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
        command.args(["plugin", "annotate"]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from }
    }

    /// Sends one line and waits for its answer: it would wait for ever if the answer needed another line.
    fn ask(&mut self, line: impl AsRef<[u8]>) -> Value {
        let mut line = line.as_ref().to_vec();
        line.push(b'\n');
        self.to.as_mut().unwrap().write_all(&line).unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    fn end(mut self) {
        drop(self.to.take());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        self.from.read_line(&mut rest).unwrap();
        assert_eq!(rest, "", "one answer a line");
    }
}

#[test]
fn each_line_is_answered_before_the_next_is_sent() {
    let mut plugin = Plugin::start(&[]);
    let line = |level: &str, message: &str| {
        json!({ "time": "2024-01-15T10:00:00Z", "service": "api", "level": level, "request_id": "r1",
                "message": message })
        .to_string()
    };
    let first = plugin.ask(line("info", "took 5 ms"));
    let said = &first["$!"]["logbraid"];
    assert_eq!(
        (&said["request"], &said["decision"], &said["anomaly"]),
        (&json!("r1"), &json!("open"), &json!(false))
    );
    let second = plugin.ask(line("info", "took 7 ms"));
    assert_eq!(second["$!"]["logbraid"]["template"], said["template"], "{first} {second}");
    assert!(said["template"].is_string(), "{first}");
    let failed = plugin.ask(line("error", "no route"));
    let said = &failed["$!"]["logbraid"];
    assert_eq!(
        (&said["decision"], &said["entries"], &said["errors"]),
        (&json!("keep"), &json!(3), &json!(1))
    );
    assert_eq!(said["anomalies"], json!(["error"]));
    let after = plugin.ask(line("info", "bye"));
    assert_eq!(after["$!"]["logbraid"]["decision"], "keep", "what is known of the request stays known");
    plugin.end();
}

#[test]
fn a_line_without_an_id_has_the_request_of_its_thread() {
    let mut plugin = Plugin::start(&[]);
    let own = json!({ "time": "2024-01-15T10:00:00Z", "service": "a", "thread": "worker-1", "request_id": "r9", "message": "x" });
    plugin.ask(own.to_string());
    let next =
        json!({ "time": "2024-01-15T10:00:00.1Z", "service": "a", "thread": "worker-1", "message": "y" });
    let said = plugin.ask(next.to_string());
    let said = &said["$!"]["logbraid"];
    assert_eq!((&said["request"], &said["attributed"]), (&json!("r9"), &json!(true)));
    plugin.end();
}

#[test]
fn a_message_that_its_service_never_wrote_is_told_after_the_warm_up() {
    let mut plugin = Plugin::start(&["--warm-up", "1m"]);
    let line = |minute: u32, message: &str| {
        json!({ "time": format!("2024-01-15T10:{minute:02}:00Z"), "service": "a", "message": message })
            .to_string()
    };
    for minute in 0..5 {
        assert_eq!(plugin.ask(line(minute, "tick tock"))["$!"]["logbraid"]["anomaly"], false);
    }
    let said = plugin.ask(line(6, "disk sda1 has failed its self test"));
    assert_eq!(said["$!"]["logbraid"]["anomalies"], json!(["new_template"]), "{said}");
    plugin.end();
}

#[test]
fn hostile_lines_are_answered_and_honest_ones_after_them_too() {
    let mut plugin = Plugin::start(&[]);
    let deep = "[".repeat(50_000);
    let long = vec![b'x'; 3 << 20];
    let lines: [&[u8]; 12] = [
        b"",
        b"\r",
        b"\0\0\0",
        b"\xff\xfe\x00a",
        b"{",
        b"{\"time\":\"9999-99-99\",\"message\":1e999}",
        b"{\"time\":99999999999999999999,\"request_id\":[],\"level\":{}}",
        b"\x1b[31m\x07",
        b"{\"message\":\"a\",\"message\":\"b\"}",
        b"    at com.example.Foo(Foo.java:1)",
        deep.as_bytes(),
        &long,
    ];
    for _ in 0..3 {
        for line in lines {
            assert!(plugin.ask(line).is_object());
        }
    }
    // Bytes by a fixed rule, without line ends.
    let mut state = 42_u32;
    for length in 0..400 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let line: Vec<u8> =
            (0..length).map(|_| next()).map(|byte| if byte == b'\n' { b' ' } else { byte }).collect();
        assert!(plugin.ask(line).is_object());
    }
    let said = plugin.ask("time=2024-01-15T10:00:00Z level=error request_id=r5 msg=\"no route\"");
    assert_eq!(said["$!"]["logbraid"]["request"], "r5", "{said}");
    plugin.end();
}

#[test]
fn as_a_record_the_object_that_came_has_what_is_known_added() {
    let mut plugin = Plugin::start(&["--as", "record"]);
    let said = plugin.ask("{\"message\":\"no route\",\"level\":\"error\",\"tag\":7}");
    assert_eq!(
        (&said["tag"], &said["message"], &said["logbraid"]["anomaly"]),
        (&json!(7), &json!("no route"), &json!(true))
    );
    let said = plugin.ask("just a line");
    assert_eq!(said["message"], "just a line");
    assert_eq!(plugin.ask(""), json!({ "message": "" }));
    plugin.end();
}
