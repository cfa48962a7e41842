//! The program as users meet it: what it writes where, and its exit status.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its world has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct World(tempfile::TempDir);

/// Two requests, one of which fails; a minute apart.
const LINES: &str = "\
{\"time\":\"2024-01-15T10:00:00Z\",\"level\":\"info\",\"service\":\"api\",\"request_id\":\"r1\",\"msg\":\"begin\"}
{\"time\":\"2024-01-15T10:00:01Z\",\"level\":\"error\",\"service\":\"db\",\"request_id\":\"r1\",\"msg\":\"connection refused \\u001b[31m\"}
{\"time\":\"2024-01-15T10:01:00Z\",\"level\":\"info\",\"service\":\"api\",\"request_id\":\"r2\",\"msg\":\"begin\"}
{\"time\":\"2024-01-15T10:01:01Z\",\"level\":\"info\",\"service\":\"api\",\"request_id\":\"r2\",\"msg\":\"end\"}
";

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        world.write("app.log", LINES);
        world
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
    fn run(&self, arguments: &str, stdin: &str) -> Ran {
        run_in(self.0.path(), arguments, stdin)
    }
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

fn run_in(folder: &Path, arguments: &str, stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it: that is no fault of this test.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

fn json(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn stdin_and_files_give_the_same_records() {
    let world = World::new();
    let piped = world.run("", LINES);
    assert_eq!((piped.status, piped.err.as_str()), (0, ""));
    let records = json(&piped.out);
    let timelines: Vec<_> = records.iter().filter(|record| record["type"] == "timeline").collect();
    assert_eq!(timelines.len(), 2, "{}", piped.out);
    assert_eq!(timelines[0]["outcome"], "error");
    assert!(records.iter().any(|record| record["type"] == "finding"), "{}", piped.out);
    let ids = |text: &str| json(text).iter().map(|record| record["id"].to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&world.run("app.log", "").out), ids(&piped.out));
    assert_eq!(ids(&world.run("run -", LINES).out), ids(&piped.out));
}

#[test]
fn the_status_says_what_happened() {
    let world = World::new();
    assert_eq!(world.run("app.log", "").status, 0);
    assert_eq!(world.run("app.log --fail-on low", "").status, 1);
    assert_eq!(world.run("--after 2024-01-15T10:00:30Z app.log --fail-on low", "").status, 0);
    assert_eq!(world.run("missing.log", "").status, 2);
    assert_eq!(world.run("--no-such-option", "").status, 2);
    assert_eq!(world.run("check -c missing.yaml", "").status, 2);
    assert_eq!(world.run("--help", "").status, 0);
    assert_eq!(world.run("--version", "").status, 0);
    assert_eq!(world.run("completions bash", "").status, 0);
    assert_eq!(world.run("man", "").status, 0);
}

#[test]
fn mistakes_are_told_on_stderr_and_as_json_on_request() {
    let world = World::new();
    world.write("c.yaml", "operators:\n  - correlate:\n      gap: 0s\n");
    let ran = world.run("check -c c.yaml", "");
    let first = ran.err.lines().next().unwrap();
    assert_eq!(first, "error: c.yaml:3:12: operator 'correlate': 'gap' must be longer than zero");
    assert!(ran.err.lines().nth(1).unwrap().trim_start().starts_with("help: "), "{}", ran.err);
    assert_eq!(ran.out, "");
    let ran = world.run("-c c.yaml --output json", LINES);
    let document = &json(&ran.out)[0];
    assert_eq!((ran.status, &document["type"], &document["code"]), (2, &"error".into(), &"value".into()));
    let ran = world.run("--output ndjson --emit nonsense", "");
    assert_eq!(json(&ran.out)[0]["code"], "usage");
    let ran = world.run("chekc -c c.yaml", "");
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (2, "error: 'chekc' is neither a command nor a file\n  help: did you mean `check`?\n")
    );
    let ran = world.run("ap.log", "");
    assert!(ran.err.contains("no such file") && ran.err.contains("there is `app.log`"), "{}", ran.err);
}

#[test]
fn what_is_emitted_can_be_chosen_and_bounded() {
    let world = World::new();
    let kinds = |text: &str| {
        json(text).iter().map(|record| record["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&world.run("app.log --emit entries", "").out), ["entry"; 4]);
    assert_eq!(world.run("app.log --output raw", "").out, LINES);
    let all = world.run("app.log --output json", "").out;
    let document: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert!(document["records"].as_array().unwrap().len() >= 3);
    for bytes in [100, 1000, 2000] {
        let ran = world.run(&format!("app.log --output json --max-bytes {bytes}"), "");
        assert!(ran.out.len() <= bytes, "{} of {bytes}", ran.out.len());
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["truncated"], true);
    }
    let pretty = world.run("app.log --output pretty", "").out;
    assert!(pretty.contains("✗ r1") && pretty.contains("␛[31m") && !pretty.contains('\u{1b}'), "{pretty}");
}

#[test]
fn time_can_be_cut_out() {
    let world = World::new();
    let messages =
        |arguments: &str| json(&world.run(&format!("{arguments} --emit entries app.log"), "").out).len();
    assert_eq!(messages("--after 2024-01-15T10:00:01Z"), 3);
    assert_eq!(messages("--before 2024-01-15T10:00:01Z"), 1);
    assert_eq!(messages("--last 30s"), 2);
    assert_eq!(messages("--last 1h"), 4);
    assert_eq!(world.run("--after yesterday app.log", "").status, 2);
    assert_eq!(world.run("--after 2024-01-16 --before 2024-01-15 app.log", "").status, 2);
}

#[test]
fn a_checked_configuration_is_printed_with_its_defaults_and_drawn() {
    let world = World::new();
    world.write("c.yaml", "sources: [files: {paths: [app.log], follow: false}]\nadmin: {listen: 127.0.0.1:0, token: '${LOGBRAID_X:-s3cret}'}\n");
    let printed = world.run("check -c c.yaml", "");
    assert_eq!(printed.status, 0, "{}", printed.err);
    assert!(printed.out.contains("max_delay: 2s") && !printed.out.contains("s3cret"), "{}", printed.out);
    world.write("again.yaml", &printed.out);
    assert_eq!(world.run("check -c again.yaml", "").out, printed.out);
    assert!(world.run("check -c c.yaml --graph mermaid", "").out.starts_with("flowchart LR\n"));
    assert!(world.run("check -c c.yaml --graph dot", "").out.starts_with("digraph logbraid {\n"));
    let ran = world.run("-c c.yaml", "");
    assert_eq!((ran.status, json(&ran.out).len() >= 3), (0, true), "{}", ran.err);
}

#[test]
fn a_configuration_s_own_tests_pass_or_fail() {
    let world = World::new();
    let config = |outcome: &str| {
        let lines: Vec<String> = LINES.lines().map(|line| format!("      - '{line}'")).collect();
        let lines = lines.join("\n");
        format!(
            "\
tests:
  - name: a failed request
    input:
{lines}
      - {{ pass: 5m }}
      - {{ restart: true }}
    expect: [{{ type: timeline, key: {{ value: r1 }}, outcome: {outcome} }}]
    counts: {{ timelines: 2 }}
"
        )
    };
    world.write("good.yaml", &config("error"));
    world.write("bad.yaml", &config("ok"));
    let ran = world.run("test -c good.yaml", "");
    assert_eq!((ran.status, ran.out.as_str()), (0, "ok     good.yaml: a failed request\n"), "{}", ran.err);
    let ran = world.run("test -c good.yaml bad.yaml", "");
    assert_eq!(ran.status, 1);
    assert!(
        ran.out.contains("FAILED bad.yaml: a failed request")
            && ran.out.contains("outcome: expected \"ok\", found \"error\""),
        "{}",
        ran.out
    );
    let ran = world.run("test -c bad.yaml --output ndjson", "");
    assert_eq!(json(&ran.out)[0]["ok"], false);
    world.write("none.yaml", "time: {tick: 1s}\n");
    assert_eq!(world.run("test -c none.yaml", "").status, 2);
}

#[test]
fn a_closed_output_ends_quietly() {
    let world = World::new();
    world.write("many.log", &LINES.repeat(20_000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_logbraid"))
        .args(["many.log", "--emit", "entries"])
        .current_dir(world.0.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}
