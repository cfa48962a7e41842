//! The Model Context Protocol, over pipes and over HTTP, as a client speaks it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::running::{ENTRIES, Running};

/// A server and both ends of its pipes.
struct Server {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
}

impl Server {
    fn start(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
        command.arg("mcp").args(words).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env_remove("LOGBRAID_TOKEN").envs(environment.iter().copied());
        let mut process = command.spawn().expect("the program starts");
        let to = process.stdin.take().expect("stdin is a pipe");
        let from = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let mut server = Self { process, to, from, last: 0 };
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let info = server.call("initialize", hello);
        assert_eq!(info["result"]["serverInfo"]["name"], "logbraid", "{info}");
        server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        server
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.to, "{message}").expect("the server reads");
    }

    /// Calls a method and waits for its answer.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).expect("the server writes") > 0, "the server has ended");
            let answer: Value = serde_json::from_str(&line).expect("stdout carries messages only");
            if answer["id"] == id {
                return answer;
            }
        }
    }

    /// A tool's answer, and whether it is a refusal.
    fn tool(&mut self, name: &str, arguments: Value) -> (String, bool) {
        let answer = self.call("tools/call", json!({ "name": name, "arguments": arguments }));
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text, result["isError"] == true)
    }

    /// Closes its stdin, as a client does that goes away; its exit status.
    fn end(self) -> Option<i32> {
        let Self { mut process, to, from, .. } = self;
        drop(to);
        drop(from);
        process.wait().expect("the server ends").code()
    }
}

/// What a client adds that knows the token of the running one.
const TOKEN: &str = "Authorization: Bearer secret\r\n";

fn demo() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_incident_is_found_within_the_budget_and_the_server_ends_with_its_client() {
    let mut server = Server::start(&demo(), &["*.log", "--max-bytes", "3KiB"], &[]);
    let tools = server.call("tools/list", json!({}));
    let tools = tools["result"]["tools"].as_array().expect("there are tools").clone();
    assert_eq!(tools.len(), logbraid_query::QUESTIONS.len());
    assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));

    let (text, refused) = server.tool("investigate", json!({ "top": 2 }));
    assert!(!refused && text.len() <= 3072, "{} bytes: {text}", text.len());
    let overview = parsed(&text);
    assert_eq!(overview["failures"][0]["began_in"], "payments-db");
    let (text, _) =
        server.tool("error_flow", json!({ "id": overview["failures"][0]["example"], "max_bytes": "1KiB" }));
    assert!(text.len() <= 1024 && text.contains("connection refused"), "{text}");
    // A call may ask for less than the server allows, never for more.
    let (text, _) = server.tool("search", json!({ "limit": 0, "max_bytes": "1MiB" }));
    assert!(text.len() <= 3072 && parsed(&text)["truncated"] == true, "{} bytes", text.len());
    assert_eq!(server.end(), Some(0));
}

#[test]
fn mistakes_come_back_as_answers_that_say_how_to_mend_them() {
    let mut server = Server::start(&demo(), &["*.log"], &[]);
    let (text, refused) = server.tool("serach", json!({}));
    assert!(refused && text.contains("search"), "{text}");
    let (text, refused) = server.tool("search", json!({ "levle": ["error"] }));
    assert!(refused && text.contains("did you mean"), "{text}");
    let (text, refused) = server.tool("search", json!({ "max_bytes": "plenty" }));
    assert!(refused && text.contains("max_bytes"), "{text}");
    let (text, refused) = server.tool("search", json!({ "inputs": ["/etc/passwd"] }));
    assert!(refused && text.contains("inputs"), "the inputs are those of the command line: {text}");
    let unknown = server.call("resources/read", json!({ "uri": "logbraid://finding/none" }));
    assert!(unknown["error"]["message"].as_str().is_some_and(|text| text.contains("none")), "{unknown}");
}

#[test]
fn findings_and_timelines_are_resources() {
    let mut server = Server::start(&demo(), &["*.log"], &[]);
    let list = server.call("resources/list", json!({}));
    let list = list["result"]["resources"].as_array().expect("there are resources").clone();
    assert_eq!(list[0]["uri"], "logbraid://findings");
    let critical = list.iter().find(|resource| {
        resource["description"].as_str().is_some_and(|about| about.contains("error_flow, severity critical"))
    });
    let critical = critical.expect("the incident is a finding");
    let mut read = |uri: &Value| {
        let answer = server.call("resources/read", json!({ "uri": uri }));
        parsed(answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")))
    };
    let finding = read(&critical["uri"]);
    assert_eq!((&finding["kind"], &finding["service"]), (&json!("error_flow"), &json!("payments-db")));
    let address =
        format!("logbraid://timeline/{}", finding["key"]["value"].as_str().expect("it has a request"));
    assert_eq!(read(&json!(address))["total_entries"], 12);
}

#[test]
fn files_that_change_are_read_again_and_inputs_can_be_left_to_the_calls() {
    let folder = tempfile::tempdir().expect("there is room");
    let log = folder.path().join("app.log");
    std::fs::write(&log, "2024-01-15T10:00:00Z ERROR one\n").expect("there is room");
    let mut server = Server::start(folder.path(), &[], &[]);
    let (text, refused) = server.tool("stats", json!({}));
    assert!(refused && text.contains("inputs"), "{text}");
    let total = |server: &mut Server| {
        parsed(&server.tool("stats", json!({ "inputs": ["app.log"] })).0)["total"].clone()
    };
    assert_eq!(total(&mut server), 1);
    std::fs::write(&log, "2024-01-15T10:00:00Z ERROR one\n2024-01-15T10:00:01Z ERROR two\n")
        .expect("there is room");
    assert_eq!(total(&mut server), 2);
    let (text, refused) = server.tool("stats", json!({ "inputs": ["-"] }));
    assert!(refused, "stdin is the client's: {text}");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn the_window_of_a_running_logbraid_can_be_asked_over_pipes() {
    let mut running = Running::new(", token: secret");
    let mut events = running.events("board", TOKEN);
    running.send(ENTRIES);
    let finding = events.find_map(|changes| changes["findings"].get(0).cloned()).expect("a finding comes");
    let address = format!("http://127.0.0.1:{}", running.port);
    let folder = tempfile::tempdir().expect("there is room");
    let mut server = Server::start(folder.path(), &[&address], &[("LOGBRAID_TOKEN", "secret")]);
    let (text, refused) = server.tool("search", json!({ "level": ["error"] }));
    assert!(!refused && text.contains("<script>refused"), "{text}");
    let list = server.call("resources/list", json!({}));
    let first = &list["result"]["resources"][1]["uri"];
    assert_eq!(
        first,
        &json!(format!("logbraid://finding/{}", finding["id"].as_str().expect("it has an id")))
    );
    let read = server.call("resources/read", json!({ "uri": first }));
    assert!(read["result"]["contents"][0]["text"].as_str().is_some_and(|text| text.contains("refused")));
    // A mistake comes back in the words of the one that runs.
    let (text, refused) = server.tool("search", json!({ "levle": ["error"] }));
    assert!(refused && text.contains("did you mean"), "{text}");
    assert_eq!(server.end(), Some(0));

    drop(running);
    let mut server = Server::start(folder.path(), &[&address], &[]);
    let (text, refused) = server.tool("stats", json!({}));
    assert!(refused && text.contains("nobody answers"), "{text}");
}

/// The answer to a message over HTTP.
fn posted(running: &Running, more: &str, message: &Value) -> Value {
    let answer = running.post("/mcp", more, message);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response has a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}: {body}");
    parsed(body)
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": "a", "method": method, "params": params })
}

#[test]
fn agents_reach_a_running_logbraid_at_its_admin_address() {
    let mut running = Running::new("");
    let mut events = running.events("board", "");
    running.send(ENTRIES);
    events.find_map(|changes| changes["findings"].get(0).cloned()).expect("a finding comes");
    let hello = posted(&running, "", &request("initialize", json!({ "protocolVersion": "2025-03-26" })));
    assert_eq!((&hello["id"], &hello["result"]["protocolVersion"]), (&json!("a"), &json!("2025-03-26")));
    let noted = running.post("/mcp", "", &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    assert!(noted.starts_with("HTTP/1.1 202"), "{noted}");
    let arguments = json!({ "name": "search", "arguments": { "level": ["error"] } });
    let found = posted(&running, "", &request("tools/call", arguments));
    let text = found["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(found["result"]["isError"] == false && text.contains("refused"), "{found}");
    let findings = posted(&running, "", &request("resources/read", json!({ "uri": "logbraid://findings" })));
    let text = findings["result"]["contents"][0]["text"].as_str().unwrap_or_default();
    assert!(parsed(text)["findings"][0]["service"] == "db", "{findings}");
    assert!(running.get("/mcp", "").starts_with("HTTP/1.1 405"));
}

#[test]
fn pages_of_other_places_may_not_ask_and_neither_may_whoever_has_no_token() {
    let running = Running::new(", token: secret");
    let ping = request("ping", json!({}));
    assert!(running.post("/mcp", "", &ping).starts_with("HTTP/1.1 401"));
    let from = |origin: &str| running.post("/mcp", &format!("{TOKEN}Origin: {origin}\r\n"), &ping);
    assert!(from("http://evil.example").starts_with("HTTP/1.1 403"));
    assert!(from("http://localhost").starts_with("HTTP/1.1 200"));
}

#[test]
fn requests_of_the_stateless_revision_need_no_handshake() {
    let running = Running::new("");
    let of = |version: &str| json!({ "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {} });
    let found = posted(&running, "", &request("server/discover", json!({ "_meta": of("2026-07-28") })));
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    let list = posted(&running, "", &request("tools/list", json!({ "_meta": of("2026-07-28") })));
    assert_eq!(list["result"]["resultType"], "complete");
    assert_eq!(list["result"]["tools"].as_array().map(Vec::len), Some(logbraid_query::QUESTIONS.len()));
    let other = posted(&running, "", &request("tools/list", json!({ "_meta": of("1999-01-01") })));
    assert_eq!(other["error"]["code"], -32022);
    assert!(other["error"]["data"]["supported"].as_array().is_some_and(|all| all.len() > 1), "{other}");
    let refused = running.post("/mcp", "MCP-Protocol-Version: 1999-01-01\r\n", &request("ping", json!({})));
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
}

#[test]
fn what_is_no_message_is_refused_and_the_next_one_is_answered() {
    let mut server = Server::start(&demo(), &["*.log"], &[]);
    let long = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{}\"}}", "x".repeat(5 << 20));
    for (text, code) in [
        ("{", -32700),
        ("[]", -32600),
        ("{\"id\":{},\"method\":\"ping\"}", -32600),
        ("\u{0}\u{1b}", -32700),
        (long.as_str(), -32700),
    ] {
        writeln!(server.to, "{text}").expect("the server reads");
        let mut line = String::new();
        server.from.read_line(&mut line).expect("the server writes");
        assert_eq!(parsed(&line)["error"]["code"], code, "{line}");
    }
    for (method, params, code) in [
        ("tools/list_all", json!({}), -32601),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({ "name": "search", "arguments": [] }), -32602),
        ("resources/read", json!({ "uri": "file:///etc/passwd" }), -32002),
    ] {
        assert_eq!(server.call(method, params)["error"]["code"], code, "{method}");
    }
    assert_eq!(server.call("ping", json!({}))["result"], json!({}));
    assert_eq!(server.end(), Some(0));
}
