use serde_json::{Value, json};

use super::Correlate;
use crate::testing::{answer, asked, lines, window, window_of};
use crate::{Canvas, Question, Window};

fn follow(window: &Window, options: Value) -> Value {
    answer(&asked::<Correlate>(options), window)
}

fn messages(answer: &Value) -> Vec<&str> {
    let items = answer["timeline"].as_array().expect("a list");
    items.iter().map(|item| item["message"].as_str().expect("a text")).collect()
}

fn shop() -> Window {
    window_of(&[
        (
            "api=api.log",
            "
            2024-01-15T10:00:00.100Z INFO [w-1] request_id=req-1 received
            2024-01-15T10:00:00.200Z INFO [w-1] looks at the cart
            2024-01-15T10:00:00.900Z ERROR [w-1] request_id=req-1 gave up
            2024-01-15T10:00:05Z INFO [w-1] request_id=req-2 received
            ",
        ),
        (
            "db=db.log",
            "
            2024-01-15T11:00:00.5+01:00 WARN [c-1] request_id=req-1 trace_id=4bf92f3577b34da6 slow
            2024-01-15T10:00:00.95Z INFO [c-1] trace_id=4bf92f3577b34da6 closed
            ",
        ),
    ])
}

#[test]
fn a_request_is_followed_through_files_threads_and_ids_in_the_order_of_time() {
    let answer = follow(&shop(), json!({"id": "req-1"}));
    assert_eq!(answer["identifier_type"], "correlation");
    assert_eq!(answer["trace"]["services"], json!(["api", "db"]));
    assert_eq!(answer["trace"]["duration_ms"], 850);
    assert_eq!((&answer["trace"]["total_entries"], &answer["trace"]["attributed"]), (&json!(5), &json!(1)));
    let texts = messages(&answer);
    let ends: Vec<&str> = texts.iter().filter_map(|text| text.split(' ').next_back()).collect();
    assert_eq!(ends, ["received", "cart", "slow", "up", "closed"]);
    assert_eq!(answer["timeline"][1]["confidence"], 0.88);
    assert_eq!(answer["error_point"]["sequence"], 4);
    assert_eq!(answer["trace"]["outcome"], "error");
}

#[test]
fn the_kind_of_an_id_is_found_out_whatever_it_looks_like() {
    let short = follow(&shop(), json!({"id": "4bf92f3577b34da6"}));
    assert_eq!((&short["identifier_type"], &short["trace"]["total_entries"]), (&json!("trace"), &json!(5)));
    let thread = follow(&shop(), json!({"id": "w-1"}));
    assert_eq!(
        (&thread["identifier_type"], &thread["trace"]["total_entries"]),
        (&json!("thread"), &json!(4))
    );
    // 32 characters make no trace.
    let long = "a-request-id-of-32-characters-ab";
    let window = window(&format!("2024-01-15T10:00:00Z INFO request_id={long} begins\n"));
    assert_eq!(follow(&window, json!({"id": long}))["identifier_type"], "correlation");
    assert_eq!(follow(&window, json!({"id": long, "type": "trace"}))["trace"]["outcome"], "not_found");
}

#[test]
fn nothing_found_is_no_success() {
    let reply = asked::<Correlate>(json!({"id": "nobody"})).ask(&shop()).expect("an answer");
    assert!(!reply.found);
    assert_eq!((reply.answer.trace.outcome, reply.answer.trace.total_entries), ("not_found", 0));
}

#[test]
fn what_the_range_cuts_off_counts_nowhere() {
    use crate::testing::at;
    let window = shop().between(at("2024-01-15T10:00:00.4Z"), at("2024-01-15T10:00:00.93Z"));
    let answer = follow(&window, json!({"id": "req-1"}));
    assert_eq!(
        (&answer["trace"]["total_entries"], &answer["trace"]["duration_ms"]),
        (&json!(2), &json!(400))
    );
}

#[test]
fn a_limit_cuts_the_list_and_nothing_else() {
    let log = lines(50, |n| {
        let level = if n == 40 { "ERROR" } else { "INFO" };
        format!("2024-01-15T10:00:{n:02}Z {level} request_id=a step {n}")
    });
    let answer = follow(&window(&log), json!({"id": "a", "limit": 10}));
    assert_eq!((messages(&answer).len(), &answer["truncated"]), (10, &json!(true)));
    assert_eq!(
        (&answer["trace"]["total_entries"], &answer["error_point"]["sequence"]),
        (&json!(50), &json!(41))
    );
    assert_eq!(answer["trace"]["duration_ms"], 49_000);
    let all = follow(&window(&log), json!({"id": "a", "limit": 0}));
    assert_eq!((messages(&all).len(), &all["truncated"]), (50, &json!(false)));
}

#[test]
fn a_line_is_shown_whole_when_it_is_asked_for_and_drawings_are_harmless() {
    let window = window("2024-01-15T10:00:00Z INFO request_id=a \u{1b}[2J gone\n");
    let question = asked::<Correlate>(json!({"id": "a", "show_raw": true}));
    let reply = question.ask(&window).expect("an answer");
    assert!(
        reply.answer.timeline[0].raw.as_deref().expect("the line").starts_with("2024-01-15T10:00:00Z INFO")
    );
    let mut canvas = Canvas::new(80, false);
    question.draw(&reply.answer, &mut canvas);
    assert!(canvas.text.contains("␛[2J gone") && !canvas.text.contains('\u{1b}'));
}
