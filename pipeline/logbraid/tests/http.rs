//! The source `http`, through the real program: what is accepted, what is refused, and what survives.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a configuration, and the program that runs it.
struct World {
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

/// The system chooses the port, and the program says which: no two tests can have the same.
const ANY: &str = "127.0.0.1:0";

impl World {
    /// Starts with `settings` for the source beside its address.
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let config = format!(
            "checkpoint: '{path}/state'\nwal: {{ disk: 64MiB }}\ntime: {{ idle_after: 300ms }}\n\
             sources:\n  - http: {{ listen: '{ANY}'{settings} }}\n\
             sinks:\n  - file: {{ path: '{path}/out.ndjson', take: [entries, late, rejects] }}\n"
        );
        std::fs::write(folder.path().join("run.yaml"), config).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut world = Self { folder, address, child: None };
        world.run();
        world
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("run.yaml")
    }

    fn run(&mut self) {
        let stderr = File::create(self.folder.path().join("stderr")).unwrap();
        self.child = Some(command(&self.config()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
        for _ in 0..1000 {
            if let Some(address) =
                self.said().split("ready on ").nth(1).and_then(|rest| rest.split_once('\n'))
            {
                self.address = address.0.parse().unwrap();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nobody listens: {}", self.said());
    }

    /// What the program has written on its standard error.
    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends one request; the status, the head and the body of the answer.
    fn send(&self, head: &str, body: &[u8]) -> (u16, String, String) {
        let mut stream = self.connect();
        let request =
            format!("{head}\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        // One who is refused early may not be read to the end.
        let _refused_early = stream.write_all(body);
        answer(stream)
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let (status, _, body) = self.send(&format!("POST {path} HTTP/1.1"), body.as_bytes());
        (
            status,
            serde_json::from_str(&body)
                .unwrap_or_else(|error| panic!("{status} {error}: {body}{}", self.said())),
        )
    }

    /// The messages that are written, once there are `count` of them.
    fn messages(&self, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        for _ in 0..1500 {
            messages = self.written();
            if messages.len() >= count {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        messages
    }

    fn written(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("out.ndjson")).unwrap_or_default();
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut messages: Vec<String> =
            records.filter_map(|record| Some(record["message"].as_str()?.to_owned())).collect();
        messages.sort();
        messages
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
    command.arg("run").arg("-c").arg(config).stdin(Stdio::null());
    command
}

fn answer(stream: TcpStream) -> (u16, String, String) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap_or(());
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head, String::from_utf8(body).unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.stdout
}

fn line(number: usize) -> String {
    format!("{{\"timestamp\":\"2024-01-15T10:00:00.{number:03}Z\",\"message\":\"m{number}\"}}\n")
}

#[test]
fn lines_arrays_values_and_plain_text_are_entries_and_their_number_is_answered() {
    let world = World::start("");
    let ndjson = format!("{}\r\n\n{}", line(1).trim_end(), line(2));
    assert_eq!(world.post("/", &ndjson), (200, serde_json::json!({ "accepted": 2 })));
    let array = format!("[{},\n{}, \"2024-01-15T10:00:01Z INFO m5\"]", line(3), line(4));
    assert_eq!(world.post("/", &array).1["accepted"], 3);
    let pretty = "{\n \"timestamp\": \"2024-01-15T10:00:02Z\",\n \"message\": \"m6\"\n}\n";
    let (status, _, body) =
        world.send("POST / HTTP/1.1\r\nContent-Type: application/json; charset=utf-8", pretty.as_bytes());
    assert_eq!((status, body.trim()), (200, "{\"accepted\":1}"));
    let (status, _, body) =
        world.send("POST / HTTP/1.1\r\nContent-Encoding: gzip", &gzip(line(7).as_bytes()));
    assert_eq!((status, body.trim()), (200, "{\"accepted\":1}"));
    assert_eq!(
        world.post("/", "[w-1] 2024-01-15T10:00:03Z ERROR m8\n").1["accepted"],
        1,
        "a bracket is no array"
    );
    assert_eq!(world.post("/", " \n\r\n").1["accepted"], 0);
    let messages = world.messages(8);
    assert_eq!(messages.len(), 8, "{messages:?}");
    for (message, number) in messages.iter().zip(1..) {
        assert!(message.ends_with(&format!("m{number}")), "{messages:?}");
    }
}

#[test]
fn each_item_of_a_bulk_request_has_an_answer_of_its_own() {
    let world = World::start("");
    let body = format!(
        "{{\"create\":{{\"_id\":\"a\"}}}}\n{}{{\"index\":{{\"_index\":\"other\"}}}}\nnot json\n{{\"delete\":{{\"_id\":\"b\"}}}}\n\
         {{\"update\":{{}}}}\n{{\"doc\":{{}}}}\n{{\"index\":{{}}}}\n{}",
        line(1),
        line(2)
    );
    let (status, answer) = world.post("/app/_bulk", &body);
    assert_eq!((status, &answer["errors"]), (200, &Value::Bool(true)));
    let items = answer["items"].as_array().unwrap();
    assert_eq!(
        items[0]["create"],
        serde_json::json!({"_index":"app","_id":"a","result":"created","status":201})
    );
    assert_eq!(items[1]["index"]["_index"], "other");
    assert_eq!(items[1]["index"]["error"]["type"], "document_parsing_exception");
    assert_eq!((&items[2]["delete"]["status"], &items[3]["update"]["status"]), (&400.into(), &400.into()));
    assert_eq!((items.len(), &items[4]["index"]["status"]), (5, &201.into()));
    assert_eq!(world.messages(2), ["m1", "m2"]);

    for (body, why) in [
        ("{\"create\":{}}\n", "no document after it"),
        ("nonsense\n{}\n", "line 1 of the bulk body: not an action"),
        ("{\"create\":{},\"index\":{}}\n{}\n", "one of `create` and `index`"),
        ("{\"fetch\":{}}\n{}\n", "`fetch` is not an action"),
    ] {
        let (status, answer) = world.post("/_bulk", body);
        let reason = answer["error"]["reason"].as_str().unwrap();
        assert!(status == 400 && reason.contains(why), "{status} {reason}");
    }
    let (status, _, body) = world.send("GET / HTTP/1.1", b"");
    assert!(status == 200 && body.contains("\"number\":\"8."), "{body}");
}

#[test]
fn what_cannot_be_taken_is_refused_with_a_reason_and_stops_nobody() {
    let world = World::start(", body: 64KiB, token: s3cret, timeout: 1s");
    let auth = "\r\nAuthorization: Bearer s3cret";
    let bomb = gzip(&vec![b' '; 20 << 20]);
    assert!(bomb.len() < 64 << 10);
    let cases: [(String, &[u8], u16, &str); 8] = [
        ("POST / HTTP/1.1".to_owned(), b"x\n", 401, "Authorization: Bearer"),
        ("POST / HTTP/1.1\r\nAuthorization: Bearer s3creT".to_owned(), b"x\n", 401, "Authorization: Bearer"),
        (format!("POST /nowhere HTTP/1.1{auth}"), b"x\n", 404, "`/_bulk`"),
        (format!("DELETE / HTTP/1.1{auth}"), b"", 405, "POST"),
        (format!("POST / HTTP/1.1{auth}\r\nContent-Encoding: br"), b"x\n", 415, "gzip"),
        (format!("POST / HTTP/1.1{auth}\r\nContent-Encoding: gzip"), b"x\n", 400, "not gzip"),
        (format!("POST / HTTP/1.1{auth}\r\nContent-Encoding: gzip"), &bomb, 413, "65536 bytes"),
        (format!("POST / HTTP/1.1{auth}\r\nContent-Type: application/json"), b"{\"a\":", 400, "not JSON"),
    ];
    for (head, body, status, why) in &cases {
        let (answered, _, text) = world.send(head, body);
        assert!(answered == *status && text.contains(why), "{head}: {answered} {text}");
    }
    let (status, _, text) = world.send(&format!("POST / HTTP/1.1{auth}"), &vec![b'x'; 65_537]);
    assert!(status == 413 && text.contains("`body`"), "{status} {text}");

    // Bytes that are no HTTP, a head without an end, and a body that does not come.
    for bytes in [&b"\x00\xff\xfe garbage \r\n\r\n"[..], &vec![b'A'; 100_000], b"GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = world.connect();
        let _refused_early = stream.write_all(bytes);
        let (status, _, _) = answer(stream);
        assert!((400..500).contains(&status) || status == 0, "{status}");
    }
    let mut slow = world.connect();
    slow.write_all(format!("POST / HTTP/1.1\r\nHost: x{auth}\r\nContent-Length: 10\r\n\r\nabc").as_bytes())
        .unwrap();
    let (status, _, text) = answer(slow);
    assert!(status == 408 && text.contains("did not arrive"), "{status} {text}");

    let (status, _, body) = world.send(&format!("POST / HTTP/1.1{auth}"), line(1).as_bytes());
    assert_eq!((status, body.trim()), (200, "{\"accepted\":1}"));
    assert_eq!(world.messages(1), ["m1"]);
}

/// Resident bytes of a process.
fn resident(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn silent_connections_and_unfinished_bodies_keep_nobody_out_and_cost_little() {
    let world = World::start("");
    let before = resident(world.child.as_ref().unwrap());
    let idle: Vec<TcpStream> = (0..400).map(|_| world.connect()).collect();
    let mut unfinished: Vec<TcpStream> = (0..100).map(|_| world.connect()).collect();
    for stream in &mut unfinished {
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc").unwrap();
    }
    for number in 0..20 {
        assert_eq!(world.post("/", &line(number)).0, 200);
    }
    assert_eq!(world.messages(20).len(), 20);
    let after = resident(world.child.as_ref().unwrap());
    assert!(after - before.min(after) < 40 << 20, "{before} {after}");
    drop((idle, unfinished));
}

#[test]
fn what_was_acknowledged_is_written_after_a_kill_and_once_by_id() {
    let mut world = World::start("");
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut body = String::new();
        for number in round * 100..round * 100 + 100 {
            let _infallible = write!(body, "{}", line(number));
            acknowledged.push(format!("m{number}"));
        }
        assert_eq!(world.post("/", &body).0, 200);
        world.kill();
        world.run();
    }
    acknowledged.sort();
    let mut written = world.messages(acknowledged.len());
    written.dedup();
    assert_eq!(written, acknowledged);
}

fn refused(config: &str, folder: &Path) -> (Option<i32>, String) {
    let path = folder.join("bad.yaml");
    std::fs::write(&path, config).unwrap();
    let Output { status, stderr, .. } = command(&path).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_port_in_use_a_log_in_use_and_impossible_settings_are_told_with_help() {
    let world = World::start("");
    let folder = tempfile::tempdir().unwrap();
    let taken = world.address;
    let wal = world.folder.path().join("state.wal");
    let wal = wal.display();
    // The log's folder is named after the address as it is written.
    let same =
        format!("wal: {{ path: '{wal}' }}\nsources: [http: {{ listen: 'localhost:{}' }}]\n", taken.port());
    for (config, texts) in [
        (format!("sources: [http: {{ listen: '{taken}' }}]\n"), ["cannot listen on", "choose another port"]),
        (same, ["cannot listen on", "choose another port"]),
        (
            format!("wal: {{ path: /proc/nowhere }}\nsources: [http: {{ listen: '{ANY}' }}]\n"),
            ["write-ahead log in '/proc/nowhere", "wal.path"],
        ),
        ("sources: [http: { listen: here }]\n".to_owned(), ["'here' is not an address", "127.0.0.1:8080"]),
        (format!("sources: [http: {{ listen: '{ANY}', body: 1GiB }}]\n"), ["'body'", "try `16MiB`"]),
        (
            format!("sources: [http: {{ listen: '{ANY}' }}, http: {{ listen: '{ANY}' }}]\n"),
            ["two sources listen", "keep one"],
        ),
        (format!("wal: {{ disk: 1MiB }}\nsources: [http: {{ listen: '{ANY}' }}]\n"), ["'disk'", "64MiB"]),
    ] {
        let (code, text) = refused(&config, folder.path());
        assert!(code == Some(2) && texts.iter().all(|part| text.contains(part)), "{config}{code:?} {text}");
    }
}
