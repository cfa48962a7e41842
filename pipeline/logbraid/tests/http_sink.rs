//! The sink `http`, through the real program and real sockets: what a server answers, and what becomes of records.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// What the server does with a request.
enum Do {
    Answer(u16, String),
    /// Answers with these further header lines.
    With(u16, &'static str),
    /// Takes it and hangs up without an answer.
    HangUp,
    /// Answers only after a while.
    Slow(Duration),
}

/// A request as it came.
struct Got {
    number: usize,
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn text(&self) -> String {
        if self.head.contains("content-encoding: gzip") {
            let mut text = String::new();
            flate2_read(&self.body).read_to_string(&mut text).unwrap();
            return text;
        }
        String::from_utf8(self.body.clone()).unwrap()
    }
    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn flate2_read(bytes: &[u8]) -> impl std::io::Read + '_ {
    flate2::read::GzDecoder::new(bytes)
}

/// A server on a real socket; every request is answered by `script`, one at a time.
fn serve(listener: TcpListener, script: impl FnMut(&Got) -> Do + Send + 'static) {
    let script = Arc::new(Mutex::new((0_usize, script)));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let script = Arc::clone(&script);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Some(mut got) = request(&mut reader) {
                    let done = {
                        let mut script = script.lock().unwrap();
                        got.number = script.0;
                        script.0 += 1;
                        (script.1)(&got)
                    };
                    let stream = reader.get_mut();
                    let mut answer = |status: u16, more: &str, body: &str| {
                        let length = body.len();
                        write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{more}\r\n{body}")
                    };
                    let written = match done {
                        Do::Answer(status, body) => answer(status, "", &body),
                        Do::With(status, more) => answer(status, more, ""),
                        Do::HangUp => return,
                        Do::Slow(wait) => {
                            std::thread::sleep(wait);
                            answer(200, "", "")
                        }
                    };
                    if written.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Got> {
    let (mut head, mut length) = (String::new(), 0);
    let mut first = String::new();
    (reader.read_line(&mut first).ok()? > 0).then_some(())?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        let _infallible = writeln!(head, "{line}");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got { number: 0, path: first.split(' ').nth(1)?.to_owned(), head, body })
}

/// A port of the system's choice where nobody listens yet.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A file of lines, and the program that sends their entries.
struct World {
    folder: TempDir,
    child: Option<Child>,
}

impl World {
    /// Writes `lines` lines and the configuration with `settings` for the sink.
    fn new(address: SocketAddr, lines: usize, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let config = format!(
            "checkpoint: '{path}/state'\ntime: {{ idle_after: 300ms }}\n\
             operators:\n  - correlate: {{ gap: 1s }}\n  - hierarchy: {{}}\n\
             sinks:\n  - http: {{ url: 'http://{address}', take: [entries], batch: {{ wait: 0s, records: 50 }}{settings} }}\n"
        );
        std::fs::write(folder.path().join("run.yaml"), config).unwrap();
        let mut text = String::new();
        for number in 0..lines {
            let (second, milli) = (number / 1000 % 60, number % 1000);
            let _infallible = writeln!(
                text,
                "{{\"time\":\"2024-01-15T10:00:{second:02}.{milli:03}Z\",\"service\":\"api\",\"level\":\"INFO\",\
                 \"request_id\":\"r{}\",\"message\":\"m{number}\"}}",
                number / 4
            );
        }
        std::fs::write(folder.path().join("app.log"), text).unwrap();
        Self { folder, child: None }
    }

    fn run(&mut self) {
        let stderr = std::fs::File::create(self.path("stderr")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
        command.args(["run", "-c"]).arg(self.path("run.yaml")).arg(self.path("app.log"));
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        self.child = Some(command.spawn().unwrap());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Waits for the run to end by itself, well.
    fn ends(&mut self) {
        let mut child = self.child.take().unwrap();
        for _ in 0..3000 {
            if let Some(status) = child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(0), "{}", self.said());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        panic!("it does not end: {}", self.said());
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Names the file in the place of `DEAD`.
    fn keep_dead_letters(&self) {
        let config = std::fs::read_to_string(self.path("run.yaml")).unwrap();
        let dead = format!("'{}'", self.path("dead.ndjson").display());
        std::fs::write(self.path("run.yaml"), config.replace("DEAD", &dead)).unwrap();
    }

    fn dead_letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("dead.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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

type Messages = Arc<Mutex<Vec<String>>>;

fn take(taken: &Messages, records: &[Value]) {
    let messages = records.iter().filter_map(|record| Some(record["message"].as_str()?.to_owned()));
    taken.lock().unwrap().extend(messages);
}

fn all(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("m{number}")).collect()
}

fn set(taken: &Messages) -> BTreeSet<String> {
    taken.lock().unwrap().iter().cloned().collect()
}

#[test]
fn a_server_that_is_down_busy_rude_and_slow_gets_everything_in_order() {
    let address = free();
    let mut world = World::new(address, 600, ", token: abc, headers: { x-team: blue }, compression: gzip");
    world.run();
    // Nobody listens when it starts.
    std::thread::sleep(Duration::from_millis(700));
    assert!(world.child.as_mut().unwrap().try_wait().unwrap().is_none(), "{}", world.said());
    let taken = Messages::default();
    let seen = Arc::clone(&taken);
    serve(TcpListener::bind(address).unwrap(), move |got| {
        assert!(got.head.contains("authorization: bearer abc\n") && got.head.contains("x-team: blue\n"));
        assert!(got.head.contains("content-type: application/x-ndjson\n"), "{}", got.head);
        match got.number {
            0 => Do::Answer(503, "try later".to_owned()),
            1 => Do::With(429, "Retry-After: 1\r\n"),
            2 => Do::With(408, "Connection: close\r\n"),
            4 => Do::HangUp,
            _ => {
                take(&seen, &got.lines());
                if got.number == 6 {
                    Do::Slow(Duration::from_millis(300))
                } else {
                    Do::Answer(200, String::new())
                }
            }
        }
    });
    world.ends();
    let expected: Vec<String> = (0..600).map(|number| format!("m{number}")).collect();
    let mut got = taken.lock().unwrap().clone();
    got.sort_by_key(|message| message[1..].parse::<usize>().unwrap());
    assert_eq!(got, expected, "{}", world.said());
    assert!(world.said().contains("cannot connect"), "{}", world.said());
}

#[test]
fn the_one_record_that_is_refused_becomes_a_dead_letter_and_the_rest_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap(), 300, ", dead_letters: DEAD");
    world.keep_dead_letters();
    let taken = Messages::default();
    let seen = Arc::clone(&taken);
    serve(listener, move |got| {
        let lines = got.lines();
        if lines.iter().any(|record| record["message"] == "m123") {
            return Do::Answer(400, "m123 is \u{1b}[31mnot liked".to_owned());
        }
        take(&seen, &lines);
        Do::Answer(200, String::new())
    });
    world.run();
    world.ends();
    let mut expected = all(300);
    expected.remove("m123");
    assert_eq!(set(&taken), expected);
    assert_eq!(taken.lock().unwrap().len(), 299);
    let letters = world.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["type"], &letters[0]["status"]), (&json!("dead_letter"), &json!(400)));
    assert_eq!(letters[0]["record"]["message"], "m123");
    assert_eq!(letters[0]["why"], "answered 400: m123 is  [31mnot liked");
}

#[test]
fn each_item_of_a_bulk_request_is_judged_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world =
        World::new(listener.local_addr().unwrap(), 200, ", format: bulk, index: logs, dead_letters: DEAD");
    world.keep_dead_letters();
    let taken = Messages::default();
    let seen = Arc::clone(&taken);
    let mut refused_once = false;
    serve(listener, move |got| {
        assert_eq!(got.path, "/_bulk");
        let lines = got.lines();
        let mut items = Vec::new();
        for pair in lines.chunks(2) {
            assert_eq!(pair[0]["index"]["_index"], "logs");
            assert_eq!(pair[0]["index"]["_id"], pair[1]["id"]);
            assert_eq!(pair[1]["@timestamp"], pair[1]["timestamp"]);
            let status = match pair[1]["message"].as_str().unwrap() {
                "m7" => 400,
                "m8" if !std::mem::replace(&mut refused_once, true) => 429,
                _ => {
                    take(&seen, &pair[1..]);
                    201
                }
            };
            items.push(
                json!({ "index": { "status": status, "error": { "type": "mapper_parsing_exception" } } }),
            );
        }
        Do::Answer(200, json!({ "errors": true, "items": items }).to_string())
    });
    world.run();
    world.ends();
    let mut expected = all(200);
    expected.remove("m7");
    assert_eq!(set(&taken), expected, "{}", world.said());
    assert_eq!(taken.lock().unwrap().len(), 199, "none came twice");
    let letters = world.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["record"]["message"], "m7");
}

#[test]
fn items_that_were_taken_do_not_come_again_while_another_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap(), 200, ", format: bulk");
    let taken = Messages::default();
    let seen = Arc::clone(&taken);
    let mut refusals = 0;
    serve(listener, move |got| {
        let lines = got.lines();
        let items = lines.chunks(2).map(|pair| {
            let refused = pair[1]["message"] == "m7" && refusals < 3;
            refusals += usize::from(refused);
            if !refused {
                take(&seen, &pair[1..]);
            }
            json!({ "index": { "status": if refused { 400 } else { 201 } } })
        });
        Do::Answer(200, json!({ "errors": true, "items": items.collect::<Vec<_>>() }).to_string())
    });
    world.run();
    world.ends();
    assert_eq!(set(&taken), all(200), "{}", world.said());
    assert_eq!(taken.lock().unwrap().len(), 200, "none came twice");
    assert!(world.said().contains("name a file in `dead_letters`"), "{}", world.said());
}

#[test]
fn what_an_otlp_server_took_in_part_is_not_sent_again_and_what_it_said_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap(), 300, ", format: otlp, dead_letters: DEAD");
    world.keep_dead_letters();
    let taken = Messages::default();
    let seen = Arc::clone(&taken);
    let mut answers = 0;
    serve(listener, move |got| {
        let value: Value = serde_json::from_str(&got.text()).unwrap();
        for resource in value["resourceLogs"].as_array().unwrap() {
            for record in resource["scopeLogs"][0]["logRecords"].as_array().unwrap() {
                seen.lock().unwrap().push(record["body"]["stringValue"].as_str().unwrap().to_owned());
            }
        }
        answers += 1;
        let rejected = if answers == 1 { "2" } else { "0" };
        let said = json!({ "rejectedLogRecords": rejected, "errorMessage": "too old" });
        Do::Answer(200, json!({ "partialSuccess": said }).to_string())
    });
    world.run();
    world.ends();
    assert_eq!(set(&taken), all(300), "{}", world.said());
    assert_eq!(taken.lock().unwrap().len(), 300, "none came twice");
    let letters = world.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&letters[0]["type"], &letters[0]["rejected"], &letters[0]["why"]),
        (&json!("rejected"), &json!(2), &json!("too old"))
    );
}

#[test]
fn nothing_that_was_read_is_missing_after_kills_in_the_middle() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap(), 4000, "");
    let taken = Messages::default();
    let seen = Arc::clone(&taken);
    serve(listener, move |got| {
        take(&seen, &got.lines());
        Do::Slow(Duration::from_millis(10))
    });
    for part in 1..4 {
        world.run();
        let enough = || set(&taken).len() >= part * 900;
        for _ in 0..1000 {
            if enough() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(enough(), "{}", world.said());
        world.kill();
    }
    world.run();
    world.ends();
    assert_eq!(set(&taken), all(4000), "{}", world.said());
}

#[test]
fn otlp_has_spans_for_timelines_and_logs_for_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap(), 40, ", format: otlp");
    let config = std::fs::read_to_string(world.path("run.yaml")).unwrap();
    std::fs::write(world.path("run.yaml"), config.replace("[entries]", "[entries, timelines]")).unwrap();
    let seen = Arc::new(Mutex::new((0, 0, BTreeSet::new())));
    let counts = Arc::clone(&seen);
    serve(listener, move |got| {
        let value: Value = serde_json::from_str(&got.text()).unwrap();
        let (logs, spans, traces) = &mut *counts.lock().unwrap();
        match got.path.as_str() {
            "/v1/logs" => {
                for resource in value["resourceLogs"].as_array().unwrap() {
                    let service = &resource["resource"]["attributes"][0];
                    assert_eq!(*service, json!({ "key": "service.name", "value": { "stringValue": "api" } }));
                    *logs += resource["scopeLogs"][0]["logRecords"].as_array().unwrap().len();
                }
            }
            "/v1/traces" => {
                for resource in value["resourceSpans"].as_array().unwrap() {
                    for span in resource["scopeSpans"][0]["spans"].as_array().unwrap() {
                        *spans += 1;
                        traces.insert(span["traceId"].as_str().unwrap().to_owned());
                        assert_eq!(span["events"].as_array().unwrap().len(), 4);
                    }
                }
            }
            other => return Do::Answer(404, other.to_owned()),
        }
        Do::Answer(200, "{\"partialSuccess\":{}}".to_owned())
    });
    world.run();
    world.ends();
    let (logs, spans, traces) = &*seen.lock().unwrap();
    assert_eq!((*logs, *spans, traces.len()), (40, 10, 10), "{}", world.said());
}
