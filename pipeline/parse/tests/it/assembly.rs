use super::{assembled, assembled_with, auto, compiled};
use std::sync::Arc;

use logbraid_core::{Event, EventTime, Fields, Flags, Level, TimeFrom};
use logbraid_parse::{Assembler, Framing, Parser, RawBatch, RawRecord};

fn messages(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::message).collect()
}

#[test]
fn a_java_trace_joins_its_record() {
    let events = assembled(
        "2024-01-15 10:00:00 ERROR [main] x.Y: boom\n\tat a.b(C.java:1)\n\tat a.c(C.java:2)\nCaused by: java.io.IOException: disk\n\t... 2 more\n2024-01-15 10:00:01 INFO [main] x.Y: next\n",
    );
    assert_eq!(
        messages(&events),
        [
            "boom\n\tat a.b(C.java:1)\n\tat a.c(C.java:2)\nCaused by: java.io.IOException: disk\n\t... 2 more",
            "next"
        ]
    );
    assert!(events[0].flags().has(Flags::MULTILINE) && !events[1].flags().has(Flags::MULTILINE));
}

#[test]
fn a_python_traceback_joins_up_to_and_with_its_last_line() {
    let events = assembled(
        "2024-01-15 10:00:00,000 ERROR app failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: bad\nplain line after\n",
    );
    assert_eq!(events.len(), 2);
    assert!(events[0].message().ends_with("ValueError: bad"));
    assert_eq!(events[1].message(), "plain line after");
}

#[test]
fn an_uncaught_exception_is_an_error_of_its_own() {
    let events = assembled(
        "2024-01-15 10:00:00,000 INFO all is well\nTraceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'x'\n",
    );
    assert_eq!(events.len(), 2);
    assert_eq!((events[1].row().level, events[1].row().time_from), (Some(Level::Error), TimeFrom::Carried));
    assert!(events[1].message().ends_with("KeyError: 'x'"));
}

#[test]
fn go_and_rust_panics_stay_whole() {
    let go = "panic: boom\n\ngoroutine 1 [running]:\nmain.f(...)\n\t/src/main.go:5\nmain.main()\n\t/src/main.go:9 +0x1d\nexit status 2\nnext thing\n";
    let events = assembled(go);
    assert_eq!(events.len(), 2, "{:?}", messages(&events));
    assert_eq!(events[0].row().level, Some(Level::Fatal));
    let rust = "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/x.rs:1\nnote: run with `RUST_BACKTRACE=full`\nnext thing\n";
    let events = assembled(rust);
    assert_eq!(events.len(), 2, "{:?}", messages(&events));
    assert_eq!(events[0].row().level, Some(Level::Fatal));
}

#[test]
fn traces_of_two_threads_written_through_one_another_stay_apart() {
    let text = "\
2024-01-15 10:00:00,001 ERROR [t1] x.Y: one java.lang.Exception
2024-01-15 10:00:00,002 ERROR [t2] x.Y: two java.lang.Exception
2024-01-15 10:00:00,003 ERROR [t1] x.Y: \tat a.one(A.java:1)
2024-01-15 10:00:00,004 ERROR [t2] x.Y: \tat b.two(B.java:1)
2024-01-15 10:00:00,005 ERROR [t1] x.Y: Caused by: one
2024-01-15 10:00:00,006 INFO [t1] x.Y: on
2024-01-15 10:00:00,007 INFO [t2] x.Y: on
";
    let events = assembled(text);
    assert_eq!(
        messages(&events),
        [
            "one java.lang.Exception\n\tat a.one(A.java:1)\nCaused by: one",
            "two java.lang.Exception\n\tat b.two(B.java:1)",
            "on",
            "on"
        ]
    );
}

#[test]
fn streams_of_a_container_stay_apart() {
    let text = "\
2024-01-15T10:00:00.001Z stderr F java.lang.IllegalStateException: boom
2024-01-15T10:00:00.002Z stdout F all fine
2024-01-15T10:00:00.003Z stderr F \tat a.b(C.java:1)
2024-01-15T10:00:00.004Z stdout F still fine
";
    let events = assembled(text);
    assert_eq!(
        messages(&events),
        ["java.lang.IllegalStateException: boom\n\tat a.b(C.java:1)", "all fine", "still fine"]
    );
}

#[test]
fn parts_of_a_line_that_a_runtime_cut_are_one_record_again() {
    let text = "\
2024-01-15T10:00:00.001Z stdout P {\"level\":\"error\",
2024-01-15T10:00:00.001Z stderr F between
2024-01-15T10:00:00.002Z stdout P \"msg\":\"long
2024-01-15T10:00:00.003Z stdout F  story\",\"request_id\":\"r1\"}
2024-01-15T10:00:00.004Z stdout F next
";
    let events = assembled(text);
    assert_eq!(messages(&events), ["long story", "between", "next"]);
    assert_eq!(events[0].row().level, Some(Level::Error));
    assert_eq!(events[0].text(events[0].row().correlation), Some("r1"));
    assert_eq!(events[0].time().to_string(), "2024-01-15T10:00:00.001Z");
    assert_eq!(events[0].raw().lines().count(), 3);
}

#[test]
fn an_object_printed_over_several_lines_is_read_as_one() {
    let events = assembled("{\n  \"level\": \"warn\",\n  \"msg\": \"pretty\"\n}\n{\"msg\":\"flat\"}\n");
    assert_eq!(messages(&events), ["pretty", "flat"]);
    assert_eq!(events[0].row().level, Some(Level::Warn));
}

#[test]
fn a_record_without_a_time_carries_the_one_before() {
    let events = assembled("early\n2024-01-15 10:00:00 a\nlater\n{\"msg\":\"json\"}\n");
    let from: Vec<TimeFrom> = events.iter().map(|event| event.row().time_from).collect();
    assert_eq!(from, [TimeFrom::Carried, TimeFrom::Event, TimeFrom::Carried, TimeFrom::Carried]);
    assert_eq!(events[0].time(), events[1].time(), "it is dated by the first record with a time");
    assert_eq!(events[3].time(), events[1].time());
    assert!(events[2].flags().has(Flags::NO_TIMESTAMP));
}

#[test]
fn a_date_that_reads_two_ways_is_settled_by_the_source_itself() {
    let days = |text: &str| {
        assembled(text).iter().map(|event| event.time().to_string()[..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(days("03/04/2024 10:00:00 a\n"), ["2024-03-04"]);
    assert_eq!(days("25/04/2024 10:00:00 a\n03/04/2024 10:00:00 b\n"), ["2024-04-25", "2024-04-03"]);
    assert_eq!(days("04/25/2024 10:00:00 a\n03-04-2024 10:00:00 b\n"), ["2024-04-25", "2024-03-04"]);
}

#[test]
fn joined_records_have_bounds() {
    let settings = compiled(serde_json::json!({ "max_multiline_lines": 3, "max_line": "80B" }));
    let text = format!("2024-01-15 10:00:00 ERROR x\n{}", "\tat a.b(C)\n".repeat(7));
    let (events, assembler) = assembled_with(&settings, &text, &[]);
    assert_eq!(events.iter().map(|event| event.raw().lines().count()).collect::<Vec<_>>(), [3, 3, 2]);
    assert_eq!(assembler.joined_lines(), 5);
    let wide = format!("2024-01-15 10:00:00 ERROR x\n{}", "\tat a.bcdefghijklmnopqrstuvwxyz(C)\n".repeat(4));
    let (events, _) = assembled_with(&settings, &wide, &[]);
    assert!(events.iter().all(|event| event.raw().len() <= 80));
}

#[test]
fn multiline_can_be_switched_off() {
    let settings = compiled(serde_json::json!({ "multiline": "off" }));
    let (events, _) = assembled_with(&settings, "2024-01-15 10:00:00 ERROR x\n\tat a.b(C)\n", &[]);
    assert_eq!(events.len(), 2);
}

#[test]
fn a_restart_from_the_mark_repeats_what_was_not_released() {
    let text = "2024-01-15 10:00:00 INFO a\nuntimed\n2024-01-15 10:00:02 ERROR b Exception\n\tat x.y(Z)\n\tat x.z(Z)\n2024-01-15 10:00:09 INFO c\n2024-01-15 10:00:10 INFO d\n";
    let whole = assembled(text);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for stop in 1..lines.len() {
        let settings = auto();
        let mut first = logbraid_parse::Assembler::new(&settings, EventTime::MIN);
        let mut out = Vec::new();
        first.push(super::batch_of(&settings, "app.log", lines[..stop].concat().as_bytes(), 0, 1), &mut out);
        let (offset, line, carried) = first.mark();
        let mut second = logbraid_parse::Assembler::new(&settings, carried);
        let rest = &text[usize::try_from(offset).unwrap()..];
        second.push(super::batch_of(&settings, "app.log", rest.as_bytes(), offset, line), &mut out);
        second.flush(&mut out);
        let view = |events: &[Event]| -> Vec<(String, EventTime, u64)> {
            events.iter().map(|event| (event.raw().to_owned(), event.time(), event.row().line)).collect()
        };
        assert_eq!(view(&out), view(&whole), "stopped after {stop}");
    }
}

#[test]
fn a_banner_before_the_first_time_is_dated_by_it_and_not_by_the_moment_of_reading() {
    let text = "  ____ shop 1.0\nstarting\n2024-01-15T10:00:00Z INFO ready\n";
    for cuts in [vec![], vec![1], vec![1, 2]] {
        let (events, _) = crate::assembled_with(&crate::auto(), text, &cuts);
        let times: Vec<String> = events.iter().map(|event| event.time().to_string()).collect();
        assert!(times.iter().all(|time| time == "2024-01-15T10:00:00Z"), "{times:?}");
    }
}

#[test]
fn a_source_without_any_time_has_the_moment_of_reading_after_a_few_lines() {
    let text = "one more line\n".repeat(70);
    let (events, assembler) = crate::assembled_with(&crate::auto(), &text, &[10, 40]);
    assert_eq!(events.len(), 70);
    assert!(events.iter().all(|event| event.time() == EventTime::from_nanos(crate::NOW)));
    assert_eq!(assembler.mark().1, 71);
}

#[test]
fn what_another_sender_sent_continues_nothing() {
    let settings = auto();
    let text =
        "2024-01-15 10:00:00 ERROR x.Y: boom\n\tat a.b(C.java:1)\n\tat a.c(C.java:2)\n\tat a.d(C.java:3)\n";
    let messages = |fresh: usize| {
        let mut records = Vec::new();
        let mut start = 0;
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let len = u32::try_from(line.len()).expect("a line is short");
            records.push(RawRecord { start, len, offset: at as u64, ingest: None, fresh: at == fresh });
            start += len;
        }
        let mut parser = Parser::new(Arc::new(settings.clone()), &Fields::default());
        let mut assembler = Assembler::new(&settings, EventTime::MIN);
        let batch = RawBatch {
            source: super::source(&settings, "t"),
            bytes: text.into(),
            framing: Framing::Records(records),
            ingest: EventTime::MIN,
        };
        let mut events = Vec::new();
        assembler.push(parser.parse(batch), &mut events);
        assembler.flush(&mut events);
        events.iter().map(|event| event.message().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages(0), [text["2024-01-15 10:00:00 ERROR x.Y: ".len()..].trim_end()]);
    let stranger = messages(2);
    assert_eq!(stranger.len(), 2);
    assert_eq!(stranger[0], "boom\n\tat a.b(C.java:1)");
    assert!(stranger[1].ends_with("at a.c(C.java:2)\n\tat a.d(C.java:3)"), "{stranger:?}");
}
