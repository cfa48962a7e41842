use serde_json::{Value, json};

use super::*;
use crate::testing::{answer, asked, window, window_of};

fn shop() -> Window {
    window_of(&[
        (
            "logs/api.log",
            "
            2024-01-15T23:59:59Z INFO [w-1] GET /cart request_id=req-1
            2024-01-16T00:00:00Z ERROR [w-1] charge failed request_id=req-1
            Caused by: java.net.ConnectException: refused
                at com.shop.Charge.run(Charge.java:7)
            2024-01-16T00:00:02Z INFO [w-2] done
            2024-01-16T00:00:03Z WARN [w-2] Charge retried
            ",
        ),
        (
            "db=db.log",
            r#"{"ts":"2024-01-16T00:00:01Z","level":"debug","msg":"select \u001b[31m1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","rows":3}"#,
        ),
    ])
}

fn drawn(options: Value, width: usize) -> String {
    let view: View = asked(options);
    let reply = view.ask(&shop()).unwrap();
    let mut canvas = Canvas::new(width, false);
    assert!(view.draw(&reply.answer, &mut canvas));
    canvas.text
}

fn messages(options: Value) -> Vec<String> {
    let answer = answer(&asked::<View>(options), &shop());
    let first = |entry: &Value| entry["message"].as_str().unwrap().lines().next().unwrap().to_owned();
    answer["entries"].as_array().unwrap().iter().map(first).collect()
}

#[test]
fn entries_of_all_inputs_stand_in_the_order_of_time_and_say_where_they_were_read() {
    insta::assert_snapshot!(drawn(json!({}), 90), @r"
    ── 2024-01-15 UTC ──
    api.log:1 23:59:59.000 INFO  -  [w-1] [req-1] GET /cart request_id=req-1
    ── 2024-01-16 UTC ──
    api.log:2 00:00:00.000 ERROR -  [w-1] [req-1] charge failed request_id=req-1
                                    Caused by: java.net.ConnectException: refused
                                        at com.shop.Charge.run(Charge.java:7)
    db.log:1  00:00:01.000 DEBUG db select ␛[31m1
                                    trace=4bf92f3577b34da6a3ce929d0e0e4736 rows=3
    api.log:5 00:00:02.000 INFO  -  [w-2] done
    api.log:6 00:00:03.000 WARN  -  [w-2] Charge retried
    ");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_nothing_is_lost() {
    let text = drawn(json!({}), 48);
    assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 48), "{text}");
    for word in ["com.shop.Charge.run", "4bf92f3577b34da6a3ce929d0e0e4736", "rows=3"] {
        let whole: String = text.split_whitespace().collect();
        assert!(whole.contains(word), "{word}: {text}");
    }
}

#[test]
fn the_last_entries_are_shown_and_the_others_counted() {
    let answer = answer(&asked::<View>(json!({"lines": 2})), &shop());
    assert_eq!(json!([answer["total_matches"], answer["shown"], answer["truncated"]]), json!([5, 2, true]));
    assert!(drawn(json!({"lines": 2}), 80).ends_with("… 3 entries before these\n"));
}

#[test]
fn line_numbers_are_those_of_the_file_whatever_is_left_out() {
    // The batch tool counts what its filters left.
    let answer = answer(&asked::<View>(json!({"level": ["warn+"]})), &shop());
    let lines: Vec<&Value> =
        answer["entries"].as_array().unwrap().iter().map(|entry| &entry["source"]["line"]).collect();
    assert_eq!(lines, [&json!(2), &json!(6)]);
}

#[test]
fn grep_finds_plain_text_in_any_case() {
    assert_eq!(messages(json!({"grep": "CHARGE"})), ["charge failed request_id=req-1", "Charge retried"]);
    assert_eq!(messages(json!({"grep": "[w"})), [""; 0]);
}

#[test]
fn neighbours_are_those_of_the_same_input() {
    let text = drawn(json!({"grep": "done", "context": 1, "plain": true}), 80);
    assert!(text.contains("charge failed") && text.contains("Charge retried"), "{text}");
    assert!(!text.contains("select"), "{text}");
    let answer = answer(&asked::<View>(json!({"grep": "done", "context": 1})), &shop());
    let context: Vec<&Value> =
        answer["entries"].as_array().unwrap().iter().map(|entry| &entry["is_context"]).collect();
    assert_eq!(context, [&json!(true), &Value::Null, &json!(true)]);
}

#[test]
fn nothing_that_a_log_contains_is_executed() {
    let text = drawn(json!({}), 80);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("␛[31m1"), "{text}");
}

#[test]
fn a_stream_selects_as_a_window_does() {
    let all = answer(&asked::<View>(json!({})), &shop());
    assert_eq!(all["total_matches"], json!(5));
    let everything = asked::<View>(json!({"raw": true})).ask(&shop()).unwrap().answer.entries;
    for options in [
        json!({"level": ["warn+"]}),
        json!({"level": ["INFO", "DEBUG"]}),
        json!({"level": ["UNKNOWN"]}),
        json!({"service": ["db"]}),
        json!({"thread": "w-1"}),
        json!({"correlation": "req-1"}),
        json!({"trace": "4bf92f3577b34da6a3ce929d0e0e4736"}),
        json!({"query": "^charge"}),
        json!({"query": "java:7", "fixed": true, "raw": true}),
        json!({"grep": "CHARGE", "level": ["WARN"]}),
    ] {
        let view: View = asked(options.clone());
        let window = view.ask(&shop()).unwrap().answer.total_matches;
        let selected = Selected::new(view.selection()).unwrap();
        let stream = everything.iter().filter(|line| selected.has(&line.entry)).count();
        assert_eq!(window, stream as u64, "{options}");
    }
}

#[test]
fn nothing_to_show_is_told_by_the_status() {
    assert!(!asked::<View>(json!({})).ask(&window("")).unwrap().found);
}
