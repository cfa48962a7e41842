//! Every command that answers, as the registry lists them: examples work as they stand, budgets hold, and bad input is
//! told with a status, a message and a way out.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its world has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The budgets that are tried, in bytes.
const BUDGETS: [usize; 5] = [256, 1024, 4096, 16_384, 65_536];

/// A folder in which the repository's `configs` lie, so that examples work and nothing else is written to.
struct World(tempfile::TempDir);

struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").canonicalize().unwrap();
        std::os::unix::fs::symlink(configs, world.0.path().join("configs")).unwrap();
        world.write("app.log", b"2024-01-15T10:00:00Z INFO begin\n2024-01-15T10:00:01Z ERROR refused\n");
        let own = br"parse: {custom: {mine: {regex: '(?P<timestamp>\S+) (?P<level>\w+) (?P<message>.*)'}}}";
        world.write("pipeline.yaml", own);
        world
    }
    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
    }
    /// Runs a line of shell in which `logbraid` is the program.
    fn shell(&self, line: &str) -> Ran {
        let program = Path::new(env!("CARGO_BIN_EXE_logbraid")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path);
        self.run(command)
    }
    fn ask(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
        command.args(words);
        self.run(command)
    }
    fn run(&self, mut command: Command) -> Ran {
        let output = command
            .current_dir(self.0.path())
            .env("XDG_STATE_HOME", self.0.path().join("state"))
            .env_remove("LOGBRAID_TOKEN")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The examples of a question that need neither a running logbraid nor files of somebody's machine.
fn examples(question: &Value) -> Vec<String> {
    let all = question["examples"].as_array().unwrap().iter().filter_map(Value::as_str);
    all.filter(|example| {
        !["http:", "kafka:", "sqlite:", " /", " -f", " | ", "--max-bytes"]
            .iter()
            .any(|part| example.contains(part))
    })
    // What is written to a file is looked at here instead.
    .map(|example| example.split(" > ").next().unwrap_or(example).to_owned())
    .collect()
}

fn questions(world: &World) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&world.ask(&["questions", "--json"]).out).unwrap();
    listed["questions"].as_array().unwrap().clone()
}

/// The last document of an output of lines, or of one document.
fn last_document(text: &str, what: &str) -> Value {
    if let Ok(document) = serde_json::from_str(text) {
        return document;
    }
    let mut last = Value::Null;
    for line in text.lines() {
        last = serde_json::from_str(line).unwrap_or_else(|error| panic!("{what}: {error}: {line}"));
    }
    last
}

/// True when a document says what was left out, or that it cannot be cut.
fn says_what_is_missing(document: &Value) -> bool {
    let told = ["omitted", "shortened", "left_out"].iter().any(|key| document.get(key).is_some());
    (told && (document["truncated"] == true || document["type"] == "truncated"))
        || document["code"] == "too_large"
}

#[test]
fn every_question_has_an_example_that_finds_something_as_it_stands() {
    let world = World::new();
    let mut faults = Vec::new();
    for question in questions(&world) {
        let name = question["name"].as_str().unwrap();
        let examples = examples(&question);
        assert!(!examples.is_empty(), "`{name}` has no example");
        for example in examples {
            let ran = world.shell(&example);
            if ran.status != 0 || !ran.err.is_empty() || ran.out.is_empty() {
                faults.push(format!("{example}: {}: {} {}", ran.status, ran.out, ran.err));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_budget_holds_for_every_question() {
    let world = World::new();
    let (mut cut, mut faults) = (0, Vec::new());
    for question in questions(&world) {
        for (at, example) in examples(&question).iter().enumerate() {
            let whole = world.shell(&format!("{example} --output json"));
            let json = format!("{example} --output json --max-bytes");
            let lines = format!("{example} --output ndjson --max-bytes");
            for max in BUDGETS.iter().take(if at == 0 { BUDGETS.len() } else { 1 }) {
                for ask in [&json, &lines] {
                    let ran = world.shell(&format!("{ask} {max}"));
                    let document = last_document(&ran.out, ask);
                    let too_long = ask == &json && whole.out.len() > *max;
                    cut += usize::from(too_long);
                    if ran.out.len() > *max
                        || (too_long && !says_what_is_missing(&document))
                        || (ran.status != whole.status && document["code"] != "too_large")
                    {
                        faults.push(format!(
                            "{ask} {max}: {} bytes of {}: {}",
                            ran.out.len(),
                            whole.out.len(),
                            ran.out
                        ));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(cut > 20, "{cut}: the demo's answers are long enough to be cut");
}

/// The commands that are no questions and take `--max-bytes`, with what they are asked.
const OTHERS: [(&str, &str); 11] = [
    ("run", "run configs/demo --output json"),
    ("session create", "session create configs/demo --name other"),
    ("session query", "session query shop ids"),
    (
        "session note",
        "session note shop --text 'the pool is full, and what is written here is long enough to be cut'",
    ),
    ("session list", "session list"),
    ("session show", "session show shop"),
    ("session rerun", "session rerun shop"),
    ("session report", "session report shop --format json"),
    ("session conclude", "session conclude shop --summary 'the pool was too small'"),
    ("session undo", "session undo shop"),
    ("session redo", "session redo shop"),
];
/// After which nothing is left to ask.
const LAST: (&str, &str) = ("session delete", "session delete shop");
/// Commands whose output is not made of answers.
const WITHOUT: [&str; 9] =
    ["check", "completions", "keep", "man", "plugin annotate", "plugin rsyslog", "questions", "test", "top"];

/// The words of every command at the end of the tree, and whether it takes `--max-bytes`.
fn leaves(command: &clap::Command, words: &str, out: &mut BTreeMap<String, bool>) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let words = format!("{words} {}", inner.get_name()).trim().to_owned();
        if inner.has_subcommands() {
            leaves(inner, &words, out);
        } else {
            // `session query` hands its words on to a question.
            let takes = inner.get_arguments().any(|arg| arg.get_long() == Some("max-bytes"));
            out.insert(words.clone(), takes || words == "session query");
        }
    }
}

#[test]
fn every_budget_holds_for_every_other_command() {
    let world = World::new();
    let mut commands = BTreeMap::new();
    leaves(&logbraid::cli::program(), "", &mut commands);
    for question in questions(&world) {
        let name = question["name"].as_str().unwrap();
        assert_eq!(commands.remove(name), Some(true), "`{name}` takes no `--max-bytes`");
    }
    // What never ends cannot be cut, and says so.
    let ran = world.ask(&["watch", "app.log", "--max-bytes", "256"]);
    assert!(ran.status == 2 && ran.out.len() <= 256, "{}", ran.out);
    assert_eq!(commands.remove("watch"), Some(true));
    // An agent's answers keep to it: `tests/doors/mcp.rs`.
    assert_eq!(commands.remove("mcp"), Some(true));
    let expected: BTreeSet<&str> = OTHERS.iter().chain([&LAST]).map(|(name, _)| *name).collect();
    let with: BTreeSet<&str> =
        commands.iter().filter(|(_, takes)| **takes).map(|(name, _)| name.as_str()).collect();
    assert_eq!(with, expected, "commands with a budget that this test does not try");
    let without: Vec<&str> =
        commands.iter().filter(|(_, takes)| !**takes).map(|(name, _)| name.as_str()).collect();
    assert_eq!(without, WITHOUT, "commands without a budget");

    for max in BUDGETS {
        let world = World::new();
        assert_eq!(world.shell("logbraid session create configs/demo --name shop").status, 0);
        assert_eq!(world.shell("logbraid session query shop --level error+").status, 0);
        for (name, words) in OTHERS.iter().chain([&LAST]) {
            let ran = world.shell(&format!("logbraid {words} --max-bytes {max}"));
            assert!(ran.out.len() <= max, "{name} {max}: {} bytes", ran.out.len());
            assert_eq!(ran.status, 0, "{name} {max}: {} {}", ran.out, ran.err);
            let document = last_document(&ran.out, name);
            assert!(document.is_object(), "{name} {max}: {}", ran.out);
            if max == 256 && matches!(*name, "run" | "session show" | "session query" | "session report") {
                assert!(says_what_is_missing(&document), "{name} {max}: {document}");
            }
        }
    }
    let lines = World::new().shell("logbraid run configs/demo --output ndjson --max-bytes 256");
    assert!(
        lines.out.len() <= 256 && says_what_is_missing(&last_document(&lines.out, "run")),
        "{}",
        lines.out
    );
}

/// The questions that take an identifier first, and what they are told besides.
const OF_ONE_ID: [&[&str]; 6] = [
    &["hierarchy", "nobody"],
    &["correlate", "nobody"],
    &["timeline", "nobody"],
    &["error-flow", "nobody"],
    &["bottleneck", "nobody"],
    &["export", "nobody", "--as", "otlp"],
];

#[test]
fn an_id_that_nobody_carries_is_no_failure_and_is_named() {
    let world = World::new();
    for words in OF_ONE_ID {
        let ran = world.ask(&[words, &["app.log"]].concat());
        assert_eq!(ran.status, 1, "{words:?}: {} {}", ran.out, ran.err);
        assert!(last_document(&ran.out, words[0]).to_string().contains("nobody"), "{words:?}: {}", ran.out);
    }
    let ran = world.ask(&["compare", "nobody", "nobody-else", "app.log"]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("nobody-else"), "{}", ran.out);
}

#[test]
fn an_empty_file_holds_nothing_for_any_question() {
    let world = World::new();
    world.write("empty.log", b"");
    world.write("blank.log", b"\n\n  \n");
    for question in questions(&world) {
        let name = question["name"].as_str().unwrap();
        for example in examples(&question) {
            let mut words: Vec<&str> = example.split(' ').filter(|word| !word.contains("demo")).collect();
            // Questions without any entry, such as lists of formats, and those with a fault of their own stay as they are.
            if words.len() == example.split(' ').count() || example.contains(['\'', '"']) {
                continue;
            }
            words.extend(["empty.log", "blank.log"]);
            let ran = world.shell(&words.join(" "));
            assert!(ran.status == 1 || ran.status == 2, "{name}: {words:?}: {} {}", ran.status, ran.out);
            if ran.status == 2 {
                assert_eq!(last_document(&ran.out, name)["type"], "error", "{words:?}");
            }
        }
    }
}

#[test]
fn input_that_is_no_log_is_told_or_answered_as_far_as_it_goes() {
    let world = World::new();
    let noise: Vec<u8> =
        (0..20_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    world.write("binary.bin", &noise);
    world.write("zeros.log", &[0; 5000]);
    world.write("broken.gz", b"\x1f\x8b\x08\x00this is no gzip");
    world.write("broken.db", b"SQLite format 3\0and then something else entirely");
    world.write("nothing.db", b"");
    world.write("text.db", b"2024-01-15T10:00:00Z INFO no database\n");
    std::fs::create_dir(world.0.path().join("folder")).unwrap();
    for question in
        ["search", "stats", "triage", "ids", "templates", "metrics", "schema", "detect", "summarize", "view"]
    {
        for input in ["binary.bin", "zeros.log"] {
            let ran = world.ask(&[question, input]);
            assert!((0..2).contains(&ran.status), "{question} {input}: {} {}", ran.status, ran.err);
            last_document(&ran.out, question);
        }
    }
    for (input, message, help) in [
        ("folder", "holds no file", ""),
        ("no.log", "no such file", ""),
        ("sqlite:no.db", "no.db", ""),
        ("sqlite:broken.db", "broken.db", ""),
        ("sqlite:text.db", "text.db", ""),
        ("sqlite:nothing.db", "nothing.db", ""),
        ("sqlite:folder", "folder", ""),
    ] {
        let ran = world.ask(&["search", input]);
        assert!((2..4).contains(&ran.status), "{input}: {} {}", ran.status, ran.out);
        let told = last_document(&ran.out, input);
        assert!(ran.err.contains("error: ") || told["type"] == "error", "{input}: {} {}", ran.out, ran.err);
        let all = format!("{} {}", ran.out, ran.err);
        assert!(all.contains(message) && all.contains(help), "{input}: {all}");
    }
    let ran = world.ask(&["search", "broken.gz"]);
    assert!(ran.status != 0 && ran.err.contains("broken.gz"), "{} {} {}", ran.status, ran.out, ran.err);
}

#[test]
fn mistakes_in_a_question_are_told_with_a_way_out() {
    let world = World::new();
    let mut faults = Vec::new();
    for (words, message, help) in [
        // Expressions.
        ("search --query '[' app.log", "not a regular expression", "--fixed"),
        ("search --exclude-query '(?P<' app.log", "not a regular expression", "--fixed"),
        ("emit --query '*' app.log", "not a regular expression", "--fixed"),
        ("verify-pattern --pattern '(' app.log", "unclosed group", ""),
        ("correlate-events --trigger-pattern '(' app.log", "regular expression", ""),
        ("format validate -r '('", "unclosed group", ""),
        ("search --query 'x{1000000}' app.log", "regular expression", ""),
        // Times and windows.
        ("search --after '2024-13-45' app.log", "is not a moment", "-30m"),
        ("search --last 3x app.log", "3x", ""),
        ("search --last=-5m app.log", "", ""),
        ("search --after 2024-01-02 --before 2024-01-01 app.log", "not earlier", "swap"),
        ("correlate-events --trigger-level ERROR --window=-5s app.log", "-5s", ""),
        ("correlate-events --trigger-level ERROR --window soon app.log", "soon", ""),
        ("correlate-events --anchor-timestamp never --window 5s app.log", "never", ""),
        ("correlate-events app.log", "", "--trigger"),
        ("diff app.log", "", "--baseline"),
        ("diff --baseline 0s app.log", "baseline", ""),
        (
            "diff --before-start 2024-01-02 --before-end 2024-01-01 --after-start 2024-01-03 --after-end 2024-01-04 app.log",
            "",
            "",
        ),
        ("metrics --bucket 0s app.log", "bucket", ""),
        // Numbers and names.
        ("hierarchy x --min-confidence 7 app.log", "min", ""),
        ("sample --size many app.log", "many", ""),
        ("sample --strategy best app.log", "best", ""),
        ("sample --size 0 app.log", "must be from 1 to 10000, found 0", ""),
        ("context app.log line-two", "line-two", ""),
        ("search --level LOUDER app.log", "LOUDER", ""),
        ("export x --as visio app.log", "visio", ""),
        ("correlation run --rules no.yaml app.log", "no.yaml", ""),
        ("correlation run --rules app.log app.log", "app.log", ""),
        ("correlation list", "", "--rules"),
        ("sql 'SELECT nothing FROM logs' app.log", "nothing", ""),
        ("sql 'DROP TABLE logs' app.log", "", ""),
        ("sql 'SELECT * FROM entries' app.log", "entries", "logs"),
        ("session show nobody", "nobody", ""),
        ("search --fields nothing app.log", "nothing", ""),
        ("search -c app.log", "app.log", ""),
        ("serach app.log", "serach", "search"),
    ] {
        let ran = world.shell(&format!("logbraid {words}"));
        let all = format!("{} {}", ran.out, ran.err).replace("\\\"", "\"");
        let error: Value = serde_json::from_str(&ran.out).unwrap_or_default();
        let told = ran.err.starts_with("error: ") && error["type"] == json!("error");
        let helps = error["help"].as_str().is_some_and(|help| !help.is_empty());
        // Neither a stack nor the name of a type.
        let plain = !all.contains("panicked") && !all.contains("::");
        if ran.status != 2 || !all.contains(message) || !all.contains(help) || !told || !helps || !plain {
            faults.push(format!("{words}: {}: {all}", ran.status));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_closed_stdout_ends_an_answer_quietly() {
    let world = World::new();
    let mut log = std::fs::File::create(world.0.path().join("long.log")).unwrap();
    for n in 0..20_000 {
        writeln!(log, "2024-01-15T10:00:00Z INFO line {n} of a log that fills every pipe").unwrap();
    }
    let ran = world.shell("logbraid emit long.log | head -n 1");
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""));
}
