use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use serde_json::json;

use super::draw::draw;
use super::feed::{Asked, Figures, Told};
use super::screen::{Outcome, Pane, Screen};

/// A second of the demo incident.
fn figures(uptime_ms: f64, read: u64) -> Told {
    let chain = json!(["payments-db", "payments", "checkout", "gateway"]);
    Told::Figures(Box::new(Figures {
        run: json!({ "uptime_ms": uptime_ms, "troubles": {}, "figures": {
            "in_events_total": read, "correlate_open_groups": 2, "watermark_lag_ms": 500, "rejected_total": 0,
            "index_entries": 747, "watermark_ms": 1 } }),
        board: json!({ "next": 3, "findings": [
            { "id": "a", "severity": "medium", "kind": "bottleneck", "title": "`inventory` takes 1455 ms of 1461 ms",
              "at": "2025-03-04T09:31:42.458Z", "occurrences": 1, "key": { "value": "req-1075" }, "data": {} },
            { "id": "b", "severity": "critical", "kind": "error_flow",
              "title": "payments-db: connection refused\u{1b}[31m spread to gateway",
              "at": "2025-03-04T09:31:03.928Z", "occurrences": 12, "key": { "value": "req-1037" },
              "data": { "chain": chain } } ],
          "requests": [
            { "key": { "value": "req-1037" }, "outcome": "error", "start": "2025-03-04T09:31:03.649Z",
              "duration_ms": 286, "services": ["gateway", "checkout"], "entries": 12, "levels": { "ERROR": 4 } },
            { "key": { "value": "req-1075" }, "outcome": "ok", "start": "2025-03-04T09:31:42.455Z",
              "duration_ms": 1461, "services": ["gateway", "inventory"], "entries": 5, "levels": { "INFO": 5 } } ] }),
        stats: json!({ "by_service": { "values": { "inventory": read / 4, "payments-db": 126 } } }),
        triage: json!({ "services": [{ "service": "payments-db", "errors": 13 }] }),
        open: json!({ "results": [
            { "id": "req-1037", "start": "2025-03-04T09:31:03.649Z", "last": "2025-03-04T09:31:03.935Z" },
            { "id": "req-1088", "start": "2025-03-04T09:31:55.339Z", "last": "2025-03-04T09:31:55.430Z",
              "entries": 3, "errors": 0, "services": "gateway,checkout" } ] }),
    }))
}

fn screen() -> Screen {
    let mut screen = Screen::new("http://127.0.0.1:9600".to_owned());
    screen.take(figures(1000.0, 700));
    screen.take(figures(2000.0, 1934));
    screen
}

fn drawn(screen: &mut Screen, width: u16, height: u16) -> String {
    let mut terminal =
        Terminal::new(TestBackend::new(width, height)).expect("a backend in memory cannot fail");
    terminal.draw(|frame| draw(frame, screen)).expect("a backend in memory cannot fail");
    terminal.backend().to_string()
}

fn press(screen: &mut Screen, code: KeyCode) -> Outcome {
    screen.key(KeyEvent::from(code))
}

#[test]
fn an_incident_can_be_seen_at_a_glance() {
    assert_snapshot!(drawn(&mut screen(), 120, 24));
}

#[test]
fn a_small_terminal_is_drawn_on_too() {
    for (width, height) in [(1, 1), (3, 2), (20, 5), (40, 10)] {
        drawn(&mut screen(), width, height);
    }
    assert!(drawn(&mut screen(), 40, 12).contains("logbraid"));
}

#[test]
fn what_a_log_contains_is_shown_and_not_executed() {
    let text = drawn(&mut screen(), 120, 24);
    assert!(text.contains("refused␛[31m") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_request_is_one_key_away_and_the_list_one_key_back() {
    let mut screen = screen();
    drawn(&mut screen, 100, 24);
    let asked = Asked { id: "req-1037".to_owned(), width: 100 };
    assert_eq!(press(&mut screen, KeyCode::Enter), Outcome::Ask(asked), "the gravest finding is the first");
    let late = Told::Request { id: "another".to_owned(), text: "of another".to_owned() };
    screen.take(late);
    screen.take(Told::Request {
        id: "req-1037".to_owned(),
        text: "+0 gateway\n+29 payments-db ERROR\u{7}\n".to_owned(),
    });
    let text = drawn(&mut screen, 100, 24);
    assert!(text.contains("req-1037") && text.contains("ERROR␇") && !text.contains("of another"), "{text}");
    assert_eq!(press(&mut screen, KeyCode::Esc), Outcome::Nothing);
    assert!(screen.detail.is_none());
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Outcome::Quit);
}

#[test]
fn requests_can_be_had_in_every_order_and_closed_ones_are_not_open() {
    let mut screen = screen();
    let ids = |screen: &Screen| screen.requests.iter().map(|request| request.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&screen), ["req-1075", "req-1037", "req-1088"], "slowest first");
    let next = |screen: &mut Screen| {
        press(screen, KeyCode::Char('s'));
        screen.take(figures(3000.0, 1934));
        ids(screen)
    };
    assert_eq!(next(&mut screen), ["req-1088", "req-1075", "req-1037"], "newest first");
    assert_eq!(next(&mut screen), ["req-1037"], "failed");
    assert_eq!(next(&mut screen), ["req-1088"], "open");
    assert_eq!(screen.pane, Pane::Requests);
}

#[test]
fn keys_move_within_the_list_and_never_out_of_it() {
    let mut screen = screen();
    for code in [KeyCode::Up, KeyCode::Down, KeyCode::Down, KeyCode::Down, KeyCode::PageDown] {
        press(&mut screen, code);
    }
    assert_eq!(screen.at[Pane::Findings as usize], 1);
    for _ in 0..4 {
        press(&mut screen, KeyCode::Tab);
    }
    assert_eq!(screen.pane, Pane::Findings);
    press(&mut screen, KeyCode::BackTab);
    assert_eq!(screen.pane, Pane::Flows);
}
