//! Questions as users meet them: what they answer, how mistakes are told, and with which status they end.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its world has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

mod common;

struct World(tempfile::TempDir);

const LINES: &str = "\
{\"time\":\"2024-01-15T10:00:00Z\",\"level\":\"info\",\"service\":\"api\",\"request_id\":\"r1\",\"msg\":\"begin\"}
{\"time\":\"2024-01-15T10:00:01Z\",\"level\":\"error\",\"service\":\"db\",\"request_id\":\"r1\",\"msg\":\"connection refused \\u001b[31m\"}
{\"time\":\"2024-01-15T10:01:00Z\",\"level\":\"info\",\"service\":\"api\",\"request_id\":\"r2\",\"msg\":\"begin\"}
{\"time\":\"2024-01-15T10:01:01Z\",\"level\":\"info\",\"service\":\"api\",\"request_id\":\"r2\",\"msg\":\"end\"}
";

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        world.write("app.log", LINES.as_bytes());
        world
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
    fn ask(&self, arguments: &[&str]) -> Ran {
        ask_in(self.0.path(), arguments, b"", &[])
    }
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }
}

fn ask_in(folder: &Path, arguments: &[&str], stdin: &[u8], environment: &[(&str, &str)]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder)
        .env_remove("LOGBRAID_TOKEN")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it: that is no fault of this test.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

#[test]
fn the_status_says_whether_anything_was_found() {
    let world = World::new();
    let found = world.ask(&["search", "--level", "ERROR", "app.log"]);
    assert_eq!((found.status, found.err.as_str()), (0, ""));
    let answer = found.json();
    assert_eq!(answer["summary"]["total_matches"], 1);
    assert_eq!(answer["results"][0]["correlation_id"], "r1");
    assert_eq!(answer.get("complete_through"), None, "all of the file is known");
    let nothing = world.ask(&["search", "--level", "FATAL", "app.log"]);
    assert_eq!((nothing.status, &nothing.json()["summary"]["total_matches"]), (1, &json!(0)));
    assert_eq!(world.ask(&["ids", "--type", "trace", "app.log"]).status, 1);
}

#[test]
fn stdin_files_globs_folders_and_labels_are_the_same_inputs() {
    let world = World::new();
    std::fs::create_dir(world.path("logs")).unwrap();
    world.write("logs/a.log", LINES.as_bytes());
    let total = |ran: Ran| ran.json()["summary"]["total_matches"].clone();
    assert_eq!(total(world.ask(&["search", "logs"])), 4);
    assert_eq!(total(world.ask(&["search", "logs/*.log", "app.log"])), 8);
    assert_eq!(total(world.ask(&["search", "--files", "app.log", "--files", "logs/a.log"])), 8);
    assert_eq!(total(ask_in(world.0.path(), &["search", "-"], LINES.as_bytes(), &[])), 4);
    assert_eq!(total(ask_in(world.0.path(), &["search"], LINES.as_bytes(), &[])), 4);
    let plain = world.write("plain.log", b"2024-01-15T10:00:00Z INFO hello\n");
    let labelled = world.ask(&["search", "--service", "web", &format!("web={}", plain.display())]);
    assert_eq!(labelled.json()["results"][0]["service"], "web");
    // A configuration's sources are read when nothing else is named.
    world.write("c.yaml", b"sources: [{files: {paths: [app.log]}}]\n");
    assert_eq!(total(world.ask(&["search", "-c", "c.yaml"])), 4);
}

#[test]
fn the_range_is_of_event_time_and_the_last_span_ends_at_the_newest_entry() {
    let world = World::new();
    let messages = |arguments: &[&str]| {
        let answer = world.ask(arguments).json();
        answer["results"].as_array().unwrap().iter().map(|hit| hit["message"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(messages(&["search", "--last", "30s", "app.log"]), ["\"begin\"", "\"end\""]);
    assert_eq!(messages(&["search", "--after", "2024-01-15 10:01:01", "app.log"]), ["\"end\""]);
    assert_eq!(messages(&["search", "--before", "2024-01-15T11:00:01+01:00", "app.log"]), ["\"begin\""]);
    assert_eq!(messages(&["search", "--after", "-1s", "app.log"]), ["\"begin\"", "\"end\""]);
}

#[test]
fn mistakes_are_told_on_both_streams_with_a_proposal_and_status_two() {
    let world = World::new();
    std::fs::create_dir(world.path("empty")).unwrap();
    for (arguments, code, message, help) in [
        (&["search", "--query", "(", "app.log"][..], "query", "'(' is not a regular expression", "--fixed"),
        (&["search", "--exclude-query", "(", "app.log"], "query", "unclosed group", "--fixed"),
        (&["search", "--level", "LOUD", "app.log"], "usage", "LOUD", ""),
        (&["search", "--after", "yesterday", "app.log"], "usage", "'yesterday' is not a moment", "-30m"),
        (
            &["search", "--after", "2024-01-16", "--before", "2024-01-15", "app.log"],
            "usage",
            "not earlier",
            "swap",
        ),
        (&["search", "--after", "2024-01-16", "--last", "1h", "app.log"], "usage", "both say", ""),
        (&["search", "--last", "soon", "app.log"], "usage", "soon", ""),
        (&["search", "--limit", "-1", "app.log"], "usage", "-1", ""),
        (&["search", "--nonsense", "app.log"], "usage", "--nonsense", ""),
        (&["search", "no.log"], "input", "no such file", ""),
        (&["search", "empty"], "input", "holds no file", ""),
        (&["search", "*.nothing"], "input", "matches no file", ""),
        (&["search", "https://127.0.0.1"], "input", "not https", "tunnel"),
        (&["search", "http://127.0.0.1:1", "app.log"], "input", "together", ""),
        (&["search", "http://127.0.0.1:1"], "unreachable", "nobody answers", "running"),
        (&["search", "--fields", "no_such", "app.log"], "usage", "no item has 'no_such'", "message"),
        (&["search", "--format", "xml", "app.log"], "usage", "xml", "json"),
        (&["context", "app.log"], "usage", "needs a line", "42"),
        (&["format", "test", "app.log"], "usage", "needs", "-r"),
        (&["format", "validate", "-r", "("], "regex", "unclosed group", ""),
    ] {
        let ran = world.ask(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {} {}", ran.out, ran.err);
        let error = ran.json();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{arguments:?}");
        let told = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        assert!(told("message").contains(message), "{arguments:?}: {error}");
        assert!(told("help").contains(help), "{arguments:?}: {error}");
        assert!(ran.err.starts_with("error: "), "{arguments:?}: {}", ran.err);
    }
    // For people, there is nothing on stdout.
    let ran = world.ask(&["search", "--output", "pretty", "no.log"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    // A budget holds for errors, too.
    let ran = world.ask(&["search", "--max-bytes", "60", "no-such-file-anywhere-here.log"]);
    assert!(ran.out.len() <= 60, "{}", ran.out);
    ran.json();
}

#[test]
fn bad_input_is_answered_as_far_as_it_goes() {
    let world = World::new();
    world.write("empty.log", b"");
    let empty = world.ask(&["search", "empty.log"]);
    assert_eq!((empty.status, &empty.json()["summary"]["total_matches"]), (1, &json!(0)));
    assert_eq!(world.ask(&["stats", "empty.log"]).status, 1);
    let binary: Vec<u8> =
        (0..4096_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    world.write("binary.bin", &binary);
    let ran = world.ask(&["search", "binary.bin"]);
    assert!(ran.status < 2, "{}", ran.err);
    ran.json();
    world.write("bad.log", b"2024-01-15T10:00:00Z INFO caf\xe9\nmetric=nan other=1e999 third=x\n\n{\"a\":\n");
    let ran = world.ask(&["search", "bad.log"]);
    assert_eq!((ran.status, &ran.json()["summary"]["total_matches"]), (0, &json!(3)));
}

#[test]
fn what_does_not_fit_into_memory_is_not_left_out_in_silence() {
    let world = World::new();
    let mut lines = String::new();
    for n in 0..150_000_u32 {
        // Texts that do not pack well: the index must let some go.
        let word = |part: u64| (u64::from(n) * 8 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let noise = format!("{:016x}{:016x}{:016x}{:016x}", word(1), word(2), word(3), word(4));
        lines.extend([
            &format!("2024-01-15T10:{:02}:{:02}Z INFO took {noise}", n / 3600 % 60, n / 60 % 60),
            "\n",
        ]);
    }
    let ran = ask_in(world.0.path(), &["search", "--memory", "4MiB", "--count-only"], lines.as_bytes(), &[]);
    let answer = ran.json();
    assert!(answer["summary"]["total_matches"].as_u64().unwrap() < 150_000);
    assert_eq!(answer["truncated"], true);
    assert!(answer["complete_from"].as_str().unwrap() > "2024-01-15T10:00:00Z");
    assert!(ran.err.contains("did not fit into --memory 4MiB"), "{}", ran.err);
    let all = ask_in(world.0.path(), &["search", "--count-only"], lines.as_bytes(), &[]).json();
    assert_eq!((&all["summary"]["total_matches"], &all["truncated"]), (&json!(150_000), &json!(false)));
}

#[test]
fn answers_have_four_forms_and_can_be_shortened() {
    let world = World::new();
    let pretty = world.ask(&["search", "--output", "pretty", "app.log"]);
    assert!(pretty.out.contains("ERROR db connection refused ␛[31m"), "{}", pretty.out);
    let lines = world.ask(&["search", "--output", "ndjson", "app.log"]).out;
    let types: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone()).collect();
    assert_eq!(types, ["results", "results", "results", "results", "answer"]);
    assert!(world.ask(&["search", "--pretty", "app.log"]).out.lines().count() > 20);
    let short = world.ask(&["search", "--compact", "--fields", "message,source", "app.log"]).json();
    assert_eq!(short["results"][3], json!({ "message": "end", "source": "app.log:4" }));
    let emitted = world.ask(&["emit", "--fields", "message", "--level", "ERROR", "app.log"]);
    assert_eq!(emitted.out, "{\"message\":\"connection refused \\u001b[31m\"}\n");
}

#[test]
fn help_shows_a_questions_own_options_and_those_of_all() {
    let world = World::new();
    let help = world.ask(&["search", "--help"]);
    assert_eq!(help.status, 0);
    for part in ["Finds entries", "--exclude-query", "--max-bytes", "[INPUT]", "--last"] {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
    assert!(world.ask(&["questions"]).out.contains("format validate"));
    let typo = world.ask(&["serach", "app.log"]);
    assert!(typo.err.contains("did you mean `search`?"), "{}", typo.err);
}

/// A logbraid that runs until it is dropped.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// Reads from its stdin, which stays open; keeps a window unless `operators` says otherwise.
    fn new(world: &World, operators: &str, admin: &str) -> Self {
        let config = format!(
            "sources: [stdin: {{}}]\noperators: {operators}\nsinks: [{{file: {{path: out.ndjson}}}}]\nadmin: {{listen: '127.0.0.1:0'{admin}}}\n"
        );
        world.write("live.yaml", config.as_bytes());
        let (child, port) = common::start(world.0.path());
        Self { child, port }
    }
    fn feed(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    /// Status and body.
    fn http(&self, request: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let body = rest.split_once("\r\n\r\n").unwrap().1;
        let code = status.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap_or(Value::Null))
    }
    fn get(&self, path: &str) -> (u16, Value) {
        self.http(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }
    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.http(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const INDEX: &str = "[{thread: {}}, {index: {span: 1d}}]";

#[test]
fn a_running_logbraid_answers_the_same_questions_and_says_how_far() {
    let world = World::new();
    let mut running = Running::new(&world, INDEX, "");
    running.feed(LINES);
    // Time goes on: what came before is complete.
    running.feed("{\"time\":\"2024-01-15T10:05:00Z\",\"msg\":\"tick\"}\n");
    let url = running.url();
    let mut live = world.ask(&["search", "--level", "error", &url]);
    for _ in 0..400 {
        if live.status == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
        live = world.ask(&["search", "--level", "error", &url]);
    }
    assert_eq!(live.status, 0, "{} {}", live.out, live.err);
    let mut answer = live.json();
    let through = answer.as_object_mut().unwrap().remove("complete_through").unwrap();
    // Two seconds behind the newest entry; the last line waits for the next, which might belong to it.
    assert!(through.as_str().unwrap() >= "2024-01-15T10:00:58Z", "{through}");
    let filed = world.ask(&["search", "--level", "error", "-"]);
    assert_eq!(filed.status, 1, "an empty stdin holds nothing");
    let filed = ask_in(world.0.path(), &["search", "--level", "error"], LINES.as_bytes(), &[]).json();
    assert_eq!(answer["results"], filed["results"]);

    let (status, got) = running.get("/query/search?level=error&compact=true&fields=message");
    assert_eq!((status, &got["results"]), (200, &json!([{ "message": "connection refused \u{1b}[31m" }])));
    let (status, posted) =
        running.post("/query/search", r#"{"level":["error"],"compact":true,"fields":["message"]}"#);
    assert_eq!((status, &posted["results"]), (200, &got["results"]));
    let (status, list) = running.get("/query");
    assert!(status == 200 && list["questions"].as_array().unwrap().len() > 8);
    // Nothing found is an answer, too; the status is told by the client.
    assert_eq!(world.ask(&["search", "--level", "fatal", &url]).status, 1);
    assert_eq!(running.get("/query/search?level=fatal").0, 200);
    let cut = world.ask(&["search", "--max-bytes", "300", &url]);
    assert!(cut.out.len() <= 300 && cut.json()["truncated"] == true, "{}", cut.out);
    let drawn = world.ask(&["search", "--output", "pretty", "--level", "error", &url]);
    assert!(drawn.out.contains("ERROR db connection refused ␛[31m"), "{}", drawn.out);

    for (path, status, code) in [
        ("/query/serach", 404, "unknown_question"),
        ("/query/search?levle=error", 400, "usage"),
        ("/query/search?level=loud", 400, "usage"),
        ("/query/search?query=(", 400, "query"),
        ("/query/search?fixed=perhaps", 400, "usage"),
        ("/query/search?after=yesterday", 400, "usage"),
        ("/query/search?files=/etc/passwd", 400, "usage"),
    ] {
        let (got, error) = running.get(path);
        assert_eq!((got, &error["code"]), (status, &json!(code)), "{path}: {error}");
    }
    assert_eq!(running.post("/query/search", "[1]").0, 400);
    assert_eq!(running.post("/query/search", r#"{"limit":"many"}"#).1["code"], "usage");
}

#[test]
fn a_token_is_asked_for_and_a_window_is_needed() {
    let world = World::new();
    let running = Running::new(&world, "[{thread: {}}]", ", token: s3cret");
    let url = running.url();
    let without = world.ask(&["ids", &url]);
    assert_eq!((without.status, &without.json()["code"]), (2, &json!("token")));
    assert!(without.err.contains("LOGBRAID_TOKEN"), "{}", without.err);
    let wrong = ask_in(world.0.path(), &["ids", &url], b"", &[("LOGBRAID_TOKEN", "other")]);
    assert!(wrong.err.contains("does not accept the token"), "{}", wrong.err);
    let right = ask_in(world.0.path(), &["ids", &url], b"", &[("LOGBRAID_TOKEN", "s3cret")]);
    assert_eq!((right.status, &right.json()["code"]), (2, &json!("no_window")));
    assert!(right.err.contains("index"), "{}", right.err);
}
