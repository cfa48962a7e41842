use super::{assembled_with, auto, batch_of, compiled, events_with, one, seen};
use logbraid_core::{Flags, Format};
use logbraid_parse::{Bom, decode_utf16, detect_bom};

#[test]
fn invalid_utf8_is_mended_by_line_and_the_original_is_kept() {
    let bytes = b"first\nbad \xff\xfe line\r\nlast \xc3";
    let batch = batch_of(&auto(), "x", bytes, 100, 5);
    assert_eq!(batch.rows.len(), 3);
    let flagged: Vec<bool> = batch.rows.iter().map(|row| row.flags.has(Flags::INVALID_UTF8)).collect();
    assert_eq!(flagged, [false, true, true]);
    assert_eq!(batch.originals, [(1, b"bad \xff\xfe line".to_vec()), (2, b"last \xc3".to_vec())]);
    let offsets: Vec<u64> = batch.rows.iter().map(|row| row.offset).collect();
    assert_eq!(offsets, [100, 106, 119]);
    assert_eq!((batch.end_offset, batch.end_line), (100 + bytes.len() as u64, 8));
}

#[test]
fn carriage_returns_and_nul_bytes_do_no_harm() {
    let events = events_with(&auto(), b"{\"msg\":\"a\"}\r\n2024-01-15 10:00:00 INFO nul \0 here\r\nno end");
    let seen: Vec<&str> = events.iter().map(logbraid_core::Event::message).collect();
    assert_eq!(seen, ["a", "nul \0 here", "no end"]);
    assert!(!events[0].raw().ends_with('\r'));
}

#[test]
fn a_line_of_ten_megabytes_is_cut_on_a_character_and_flagged() {
    let line = format!("2024-01-15 10:00:00 ERROR {}\nnext\n", "ä".repeat(5 << 20));
    let events = events_with(&auto(), line.as_bytes());
    assert_eq!(events.len(), 2);
    assert!(events[0].row().flags.has(Flags::TRUNCATED) && events[0].raw().len() <= 1 << 20);
    assert_eq!(seen(&events[1]), "| next");
}

#[test]
fn broken_json_is_text() {
    for line in
        [r#"{"level":"error","msg":"cut of"#, r#"{"a":1} {"b":2}"#, "{", r#"{"a":}"#, "{a:1}", r#"["list"]"#]
    {
        let event = one(line);
        assert_eq!((event.row().format, event.message()), (Format::Text, line), "{line}");
    }
}

#[test]
fn deep_nesting_overflows_nothing() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 300, 50_000] {
            let inner = if open == "[" { "" } else { "1" };
            let line =
                format!("{{\"msg\":\"m\",\"x\":{}{inner}{}}}", open.repeat(depth), close.repeat(depth));
            let event = one(&line);
            assert!(!event.message().is_empty());
            let _fields = event.source().reader.fields(event.row().format, event.raw());
        }
    }
    let nested = (0..10)
        .fold(r#"{"msg":"core"}"#.to_owned(), |inner, _| serde_json::json!({ "log": inner }).to_string());
    assert!(!one(&nested).message().is_empty());
}

#[test]
fn of_duplicate_keys_the_last_counts() {
    assert_eq!(seen(&one(r#"{"msg":"a","msg":"b","level":"info","level":"warn"}"#)), "WARN | b");
}

#[test]
fn absurd_numbers_are_no_times_and_no_durations() {
    for number in [
        "-1",
        "0",
        "1e308",
        "18446744073709551615",
        "99999999999999999999999999",
        "-9223372036854775808",
        "1e999",
        "0.1",
    ] {
        let line = format!(
            r#"{{"msg":"m","timestamp":{number},"level":{number},"duration_ms":{number},"thread":{number}}}"#
        );
        let event = one(&line);
        assert!(event.row().duration_ms.is_nan() || event.row().duration_ms.is_finite());
        assert!(event.message() == "m" || event.row().format == Format::Text, "{line}");
    }
    for time in [
        "2024-13-45T99:99:99Z",
        "0000-00-00 00:00:00",
        "9999-12-31T23:59:59Z",
        "2023-02-29 10:00:00",
        "99999999999999999999",
    ] {
        assert!(one(&format!("{time} x")).row().flags.has(Flags::NO_TIMESTAMP), "{time}");
    }
}

#[test]
fn utf16_is_decoded_however_it_is_cut() {
    let text = "2024-01-15 ärger 😀\n";
    for (bom, big) in [(Bom::Utf16Le, false), (Bom::Utf16Be, true)] {
        let bytes: Vec<u8> = text
            .encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect();
        assert_eq!(decode_utf16(&bytes, bom), text);
        let mut decoder = logbraid_parse::Utf16::new(bom);
        let mut out = String::new();
        for byte in &bytes {
            decoder.push(&[*byte], &mut out);
        }
        decoder.finish(&mut out);
        assert_eq!(out, text);
    }
    assert_eq!(decode_utf16(&[0x00, 0xd8, 0x41], Bom::Utf16Le), "\u{fffd}\u{fffd}");
    assert_eq!(detect_bom(&[0xfe, 0xff, 0]), Some(Bom::Utf16Be));
    assert_eq!(detect_bom(&[0xef, 0xbb, 0xbf]).map(Bom::bytes), Some(3));
}

#[test]
fn records_of_a_message_log_keep_their_offsets_and_lines() {
    use logbraid_core::{EventTime, Fields};
    use logbraid_parse::{Framing, Parser, RawBatch, RawRecord};
    let settings = auto();
    let mut parser = Parser::new(std::sync::Arc::new(settings.clone()), &Fields::default());
    let bytes = b"{\"msg\":\"a\"}2024-01-15 10:00:00 ERROR b\n\tat c\xff\xc3\xa9".to_vec();
    let record = |start: u32, len: u32, offset| RawRecord {
        start,
        len,
        offset,
        ingest: Some(EventTime::from_millis(7)),
        fresh: false,
    };
    let records = vec![record(0, 11, 40), record(11, 34, 41), record(45, 1, 42), record(900, 9, 43)];
    let batch = parser.parse(RawBatch {
        source: super::source(&settings, "t"),
        bytes,
        framing: Framing::Records(records),
        ingest: EventTime::MIN,
    });
    let offsets: Vec<u64> = batch.rows.iter().map(|row| row.offset).collect();
    assert_eq!(offsets, [40, 41, 42]);
    assert_eq!(batch.rows[1].message.get(&batch.text), Some("b\n\tat c\u{fffd}"));
    assert!(batch.rows[1].flags.has(Flags::MULTILINE | Flags::INVALID_UTF8));
    assert_eq!((batch.blank, batch.end_offset), (1, 44));
    assert_eq!(batch.rows[0].time, EventTime::from_millis(7));
}

#[test]
fn a_line_outside_a_forced_format_is_rejected_and_kept() {
    for (format, good, bad) in [
        ("json", r#"{"msg":"a"}"#, "plain"),
        ("logfmt", "msg=a", "just words"),
        ("syslog", "<13>Jan 15 10:00:00 h a: b", "plain"),
        ("clf", "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 5", "plain"),
        ("cri", "2024-01-15T10:00:00.123456789Z stdout F a", "plain"),
    ] {
        let settings = compiled(serde_json::json!({ "formats": format }));
        let batch = batch_of(&settings, "x", format!("{good}\n{bad}\n").as_bytes(), 0, 1);
        assert_eq!(batch.rejected, [1], "{format}");
        assert_eq!(batch.rows[1].message.get(&batch.text), Some(bad));
        let (events, _) = assembled_with(&settings, &format!("{good}\n{bad}\n"), &[]);
        assert_eq!(
            events.iter().map(logbraid_core::Event::is_rejected).collect::<Vec<_>>(),
            [false, true],
            "{format}"
        );
    }
    let text = compiled(serde_json::json!({ "formats": "text" }));
    assert_eq!(events_with(&text, br#"{"msg":"a"}"#)[0].row().format, Format::Text);
}
