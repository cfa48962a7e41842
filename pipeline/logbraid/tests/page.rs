//! The live page and what it reads, of a running program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const ENTRIES: &str = concat!(
    r#"{"time":"2024-01-15T10:00:00Z","service":"api","request_id":"r1","level":"INFO","msg":"begin"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:00:01Z","service":"db","request_id":"r1","level":"ERROR","msg":"<script>refused</script>"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:05:00Z","service":"api","request_id":"r2","level":"INFO","msg":"begin"}"#,
    "\n",
);

/// A running logbraid that reads its stdin.
struct Running {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Running {
    fn new(admin: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
        let port = port.port();
        let config = format!(
            "sources: [stdin: {{}}]\noperators: [thread: {{}}, index: {{}}, correlate: {{}}, hierarchy: {{}}, error_flow: {{}}]\n\
             sinks: [{{file: {{path: out.ndjson}}}}]\nadmin: {{listen: '127.0.0.1:{port}'{admin}}}\n"
        );
        std::fs::write(folder.path().join("live.yaml"), config).expect("there is room");
        let child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
            .args(["run", "-c", "live.yaml"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let running = Self { child, port, folder };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return running;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nobody listens at port {port}; the folder is {}", running.folder.path().display());
    }

    fn send(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is a pipe");
        stdin.write_all(text.as_bytes()).expect("the program reads");
        stdin.flush().expect("the program reads");
    }

    fn connect(&self, path: &str, more: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("time-outs can be set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
            .expect("it reads");
        stream
    }

    fn get(&self, path: &str, more: &str) -> String {
        let mut answer = String::new();
        self.connect(path, more).read_to_string(&mut answer).expect("answers are text");
        answer
    }

    /// The documents of events called `name`, as they come.
    fn events(&self, name: &str, more: &str) -> impl Iterator<Item = Value> + use<> {
        let mut lines = BufReader::new(self.connect("/events", more)).lines().map_while(Result::ok);
        let wanted = format!("event: {name}");
        std::iter::from_fn(move || {
            lines.by_ref().find(|line| *line == wanted)?;
            let data = lines.next()?;
            Some(serde_json::from_str(data.strip_prefix("data: ")?).expect("events carry JSON"))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn findings_and_requests_come_as_events_and_stand_on_the_board() {
    let mut running = Running::new("");
    let mut events = running.events("board", "");
    running.send(ENTRIES);
    let finding = events.find_map(|changes| changes["findings"].get(0).cloned()).expect("a finding comes");
    assert_eq!((&finding["service"], &finding["key"]["value"]), (&"db".into(), &"r1".into()));
    let mut figures = running.events("figures", "");
    let read = figures.find(|said| said["figures"]["in_events_total"] == 3);
    assert!(read.is_some_and(|said| said["troubles"] == serde_json::json!({})));

    // The request closes with the stream; then it is on the board, and an event of it has come.
    let board = running.get("/board?since=0&most=10", "");
    let body: Value =
        serde_json::from_str(board.split("\r\n\r\n").nth(1).expect("it has a body")).expect("JSON");
    assert_eq!(body["findings"][0]["id"], finding["id"]);
    let request = body["requests"].get(0).cloned();
    let request = request.or_else(|| events.find_map(|changes| changes["requests"].get(0).cloned()));
    let request = request.expect("r1 closes as time goes on");
    assert_eq!((&request["key"]["value"], &request["outcome"]), (&"r1".into(), &"error".into()));
    assert!(running.get("/board?sinc=0", "").starts_with("HTTP/1.1 400"));
}

#[test]
fn the_page_takes_nothing_from_elsewhere_and_holds_no_markup_from_strings() {
    let running = Running::new("");
    let page = running.get("/", "");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>logbraid</title>"), "{page}");
    assert!(page.contains("default-src 'none'; script-src 'self'; style-src 'self'"), "{page}");
    let mut files = vec![page.clone()];
    for part in page.split(['"', ' ']).filter(|part| part.starts_with("page/")) {
        let file = running.get(&format!("/{part}"), "");
        assert!(file.starts_with("HTTP/1.1 200") && file.contains("nosniff"), "{part}");
        files.push(file);
    }
    for name in ["dom.js", "lists.js", "request.js", "server.js"] {
        let file = running.get(&format!("/page/{name}"), "");
        assert!(file.starts_with("HTTP/1.1 200"), "{name}");
        files.push(file);
    }
    for file in &files {
        for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"] {
            assert!(!file.contains(bad), "{bad}");
        }
    }
}

#[test]
fn with_a_token_the_page_opens_and_what_runs_stays_closed() {
    let running = Running::new(", token: secret");
    assert!(running.get("/", "").starts_with("HTTP/1.1 200"));
    for path in ["/board", "/events", "/query/stats"] {
        assert!(running.get(path, "").starts_with("HTTP/1.1 401"), "{path}");
    }
    assert!(running.get("/board", "Authorization: Bearer secret\r\n").starts_with("HTTP/1.1 200"));
    assert!(running.events("figures", "Authorization: Bearer secret\r\n").next().is_some());
}
