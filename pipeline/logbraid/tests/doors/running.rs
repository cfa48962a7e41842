//! A program that runs and can be asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::common;

/// A request that fails, and another that lets time go on.
pub(crate) const ENTRIES: &str = concat!(
    r#"{"time":"2024-01-15T10:00:00Z","service":"api","request_id":"r1","level":"INFO","msg":"begin"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:00:01Z","service":"db","request_id":"r1","level":"ERROR","msg":"<script>refused</script>"}"#,
    "\n",
    r#"{"time":"2024-01-15T10:05:00Z","service":"api","request_id":"r2","level":"INFO","msg":"begin"}"#,
    "\n",
);

/// A running logbraid that reads its stdin.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn new(admin: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let config = format!(
            "sources: [stdin: {{}}]\noperators: [thread: {{}}, index: {{}}, correlate: {{}}, hierarchy: {{}}, error_flow: {{}}]\n\
             sinks: [{{file: {{path: out.ndjson}}}}]\nadmin: {{listen: '127.0.0.1:0'{admin}}}\n"
        );
        std::fs::write(folder.path().join("live.yaml"), config).expect("there is room");
        let (child, port) = common::start(folder.path());
        Self { child, port, _folder: folder }
    }

    pub(crate) fn send(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is a pipe");
        stdin.write_all(text.as_bytes()).expect("the program reads");
        stdin.flush().expect("the program reads");
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("time-outs can be set");
        stream
    }

    fn connect(&self, path: &str, more: &str) -> TcpStream {
        let mut stream = self.open();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
            .expect("it reads");
        stream
    }

    pub(crate) fn get(&self, path: &str, more: &str) -> String {
        let mut answer = String::new();
        self.connect(path, more).read_to_string(&mut answer).expect("answers are text");
        answer
    }

    /// What is answered to a POST of `body`.
    pub(crate) fn post(&self, path: &str, more: &str, body: &Value) -> String {
        let mut stream = self.open();
        let body = body.to_string();
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{more}\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers are text");
        answer
    }

    /// The documents of events called `name`, as they come.
    pub(crate) fn events(&self, name: &str, more: &str) -> impl Iterator<Item = Value> + use<> {
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
