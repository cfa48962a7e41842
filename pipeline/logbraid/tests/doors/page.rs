//! The live page and what it reads.

use serde_json::Value;

use crate::running::{ENTRIES, Running};

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
