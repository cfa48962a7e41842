//! What the batch tool gets wrong in parsing, and what must not be copied.

use super::{assembled, auto, batch_of, check, events_with, one, seen};

#[test]
fn an_absent_level_is_absent_not_a_word() {
    assert_eq!(one("no level here").row().level, None);
}

#[test]
fn blank_lines_are_counted_and_make_no_entry() {
    let batch = batch_of(&auto(), "x", b"a\n\n  \t\r\nb\n", 0, 1);
    assert_eq!((batch.rows.len(), batch.blank, batch.rows[1].line), (2, 2, 4));
}

#[test]
fn one_byte_of_invalid_utf8_costs_one_line_its_bytes_not_the_file() {
    let events = events_with(&auto(), b"{\"msg\":\"a\"}\n{\"msg\":\"b\xff\"}\n{\"msg\":\"c\"}\n");
    assert_eq!(events.iter().map(logbraid_core::Event::message).collect::<Vec<_>>(), ["a", "b\u{fffd}", "c"]);
}

#[test]
fn three_pairs_in_a_sentence_do_not_make_it_logfmt() {
    check(&[(
        "2024-01-15 10:00:00 ERROR [worker-1] x request_id=a trace_id=b span_id=c",
        "2024-01-15T10:00:00Z ERROR thread=worker-1 correlation=a trace=b span=c | x request_id=a trace_id=b span_id=c",
    )]);
}

#[test]
fn a_reserved_key_with_an_unusable_value_stays_in_fields() {
    let event = one(r#"{"timestamp":"soon","level":["x"],"thread":{"a":1},"message":"m","service":true}"#);
    let fields = event.source().reader.fields(event.row().format, event.raw());
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["timestamp", "level", "thread", "service"]);
}

#[test]
fn times_that_the_batch_tool_does_not_read_are_read() {
    check(&[
        (r#"{"timestamp":"2024-01-15T10:00:04","msg":"naive"}"#, "2024-01-15T10:00:04Z | naive"),
        (r#"{"timestamp":"2024-01-15T10:00:04+0200","msg":"no colon"}"#, "2024-01-15T08:00:04Z | no colon"),
        (r#"{"timestamp":1705312800.5,"msg":"float"}"#, "2024-01-15T10:00:00.500Z | float"),
        (r#"{"timestamp":1705312800123,"msg":"ms"}"#, "2024-01-15T10:00:00.123Z | ms"),
        (r#"{"timestamp":"1705312800","msg":"text"}"#, "2024-01-15T10:00:00Z | text"),
        (r#"{"datetime":"2024-01-15 10:00:00.123","msg":"key"}"#, "2024-01-15T10:00:00.123Z | key"),
        ("2024-01-15 10:00:00.123 fraction without zone", "2024-01-15T10:00:00.123Z | fraction without zone"),
        ("2024-01-15T10:00:00+0200 x", "2024-01-15T08:00:00Z | x"),
        ("2024-01-15 10:00:00,123 millis are kept", "2024-01-15T10:00:00.123Z | millis are kept"),
    ]);
}

#[test]
fn numeric_levels_and_threads_count() {
    check(&[
        (r#"{"level":50,"msg":"m","tid":7}"#, "ERROR thread=7 | m"),
        (r#"{"level":3,"msg":"m"}"#, "ERROR | m"),
        (r#"{"levelno":30,"msg":"m"}"#, "WARN | m"),
        ("thread=7 level=info msg=x", "INFO thread=7 | x"),
    ]);
}

#[test]
fn camel_case_nested_and_dotted_ids_count() {
    check(&[
        (r#"{"requestId":"r","spanID":"s","msg":"m"}"#, "correlation=r span=s | m"),
        (
            r#"{"context":{"request_id":"r"},"trace.id":"t","service.name":"a","msg":"m"}"#,
            "service=a correlation=r trace=t | m",
        ),
        (r#"{"loglevel":"warn","content":"m"}"#, "WARN | m"),
    ]);
}

#[test]
fn every_level_word_counts_in_any_case() {
    for (word, level) in [
        ("NOTICE", "INFO"),
        ("Err", "ERROR"),
        ("CRIT", "FATAL"),
        ("alert", "FATAL"),
        ("EMERG", "FATAL"),
        ("panic", "FATAL"),
        ("SEVERE", "ERROR"),
        ("Verbose", "TRACE"),
        ("INFORMATION", "INFO"),
        ("W", "WARN"),
        ("warning", "WARN"),
        ("E", "ERROR"),
        ("D", "DEBUG"),
        ("F", "FATAL"),
        ("trace", "TRACE"),
    ] {
        assert_eq!(
            seen(&one(&format!(r#"{{"level":"{word}","msg":"m"}}"#))),
            format!("{level} | m"),
            "{word}"
        );
    }
    check(&[("2024-01-15 10:00:00 CRIT x", "2024-01-15T10:00:00Z FATAL | x")]);
}

#[test]
fn a_bracketed_level_address_or_logger_is_no_thread() {
    check(&[
        ("[ERROR] x", "ERROR | x"),
        ("2024/01/15 10:00:00 [error] x", "2024-01-15T10:00:00Z ERROR | x"),
        ("2024-01-15 10:00:00 INFO [com.foo.Bar] x", "2024-01-15T10:00:00Z INFO logger=com.foo.Bar | x"),
        ("2024-01-15 10:00:00 INFO [10.0.0.1] x", "2024-01-15T10:00:00Z INFO | [10.0.0.1] x"),
        ("[2024-01-15T10:00:00Z] x", "2024-01-15T10:00:00Z | x"),
    ]);
}

#[test]
fn numbers_that_are_none_do_not_end_the_file() {
    check(&[
        ("level=info msg=a x=nan y=inf z=1e999 w=infinity", "INFO | a"),
        (r#"{"msg":"a","x":1e999}"#, "| a"),
    ]);
}

#[test]
fn the_parts_of_syslog_are_kept_apart() {
    check(&[(
        "<165>1 2003-10-11T22:14:15.003Z host app 7 ID47 - text",
        "2003-10-11T22:14:15.003Z INFO service=app host=host thread=7 | text",
    )]);
    assert!(seen(&one("<13>Oct 11 22:14:15 host app: text")).starts_with("2025-10-11T22:14:15Z"));
}

#[test]
fn user_and_agent_of_an_access_log_are_fields() {
    let event =
        one("1.2.3.4 - bob [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 5 \"http://ref\" \"curl/8\"");
    let fields = event.source().reader.fields(event.row().format, event.raw());
    assert_eq!((fields["user"].as_str(), fields["user_agent"].as_str()), (Some("bob"), Some("curl/8")));
    assert_eq!((fields["status"].as_u64(), fields["size"].as_u64()), (Some(200), Some(5)));
}

#[test]
fn the_time_format_of_a_user_format_is_used() {
    let settings = super::compiled(serde_json::json!({
        "custom": { "mine": { "regex": r"^(?P<timestamp>\S+ \S+) <(?P<level>\w+)> (?P<msg>.*) u=(?P<user>\w+)$", "timestamp_format": "%Y|%d|%m %H-%M-%S" } }
    }));
    let events =
        events_with(&settings, b"2024|15|01 10-00-00 <warn> hello u=bob\n{\"msg\":\"json still\"}\n");
    assert_eq!(seen(&events[0]), "2024-01-15T10:00:00Z WARN | hello");
    assert_eq!(seen(&events[1]), "| json still");
    let fields = events[0].source().reader.fields(events[0].row().format, events[0].raw());
    assert_eq!(fields["user"], "bob");
}

#[test]
fn stack_traces_are_part_of_their_record() {
    let events = assembled(
        "2024-01-15 10:00:00 ERROR [main] x.Y: boom\njava.lang.X: no\n\tat a.b(C.java:1)\nCaused by: d\n\t... 3 more\n2024-01-15 10:00:01 INFO next\n",
    );
    assert_eq!(events.len(), 3);
    assert_eq!(events[1].raw().lines().count(), 4);
}
