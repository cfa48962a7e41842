use std::sync::Arc;

use logbraid_core::{Batch, Event, Fields, Text};
use logbraid_parse::{Framing, Parser, RawBatch};
use proptest::prelude::*;

use super::{assembled_with, auto, source};

fn parse(bytes: &[u8]) -> Batch {
    let settings = auto();
    let mut parser = Parser::new(Arc::new(settings.clone()), &Fields::default());
    parser.parse(RawBatch {
        source: source(&settings, "x"),
        bytes: bytes.to_vec(),
        framing: Framing::Lines { offset: 0, line: 1 },
        ingest: logbraid_core::EventTime::from_nanos(super::NOW),
    })
}

fn sound(batch: &Batch) {
    let check = |text: Text| assert!(text.is_none() || batch.text.get(text.range()).is_some(), "{text:?}");
    for row in &batch.rows {
        let mut row = *row;
        check(row.raw);
        for text in row.texts_mut() {
            check(*text);
        }
        assert!(row.extras_start as usize + row.extras_len as usize <= batch.extras.len());
        let raw = row.raw.get(&batch.text).unwrap_or_default();
        let _fields = batch.source.reader.fields(row.format, raw);
    }
    for (_, text) in &batch.extras {
        check(*text);
    }
}

/// Lines that look like logs, put together from pieces that parsers stumble over.
fn line() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "2024-01-15 10:00:00",
        "2024-01-15T10:00:00.123Z",
        "Jan 15 10:00:00",
        "1705312800",
        "[",
        "]",
        "{",
        "}",
        "\"",
        ":",
        "=",
        " ",
        "  ",
        "\t",
        "ERROR",
        "info",
        "[main]",
        "[t1]",
        "msg=",
        "level=",
        "\"msg\":\"x\"",
        "{\"level\":\"warn\",\"msg\":\"hi\"}",
        "at a.b(C)",
        "\tat a.b(C.java:1)",
        "Caused by: x",
        "Traceback (most recent call last):",
        "  File \"x\"",
        "ValueError: y",
        "... 3 more",
        "goroutine 1 [running]:",
        "panic: x",
        "thread 'm' panicked at a:",
        "<13>",
        "<165>1 ",
        "host app[1]:",
        "stdout F ",
        "stderr P ",
        "2024-01-15T10:00:00.1Z stdout P {\"a\":",
        "2024-01-15T10:00:00.1Z stdout F 1}",
        "2024-01-15T10:00:00.1Z stderr F \tat x.y(z)",
        "ä",
        "😀",
        "\u{feff}",
        "\0",
        "|",
        "-",
        ",",
        "request_id=r1",
        "traceparent: 00-",
        "03/04/2024 10:00:00",
        "25/04/2024 10:00:00",
        "1.2.3.4 - - [",
        "10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 5",
        "\\",
        "\\u00e4",
        "}}",
        "I0115 10:00:00.1 1 f.go:1] m",
        "D/T( 1): m",
        "E ",
        "spawning request c-1",
    ]);
    prop::collection::vec(pieces, 0..7).prop_map(|pieces| pieces.concat())
}

fn view(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let row = event.row();
            let texts = [
                row.message,
                row.service,
                row.host,
                row.thread,
                row.correlation,
                row.trace,
                row.span,
                row.parent_span,
            ]
            .map(|text| event.text(text).map(str::to_owned));
            let extras: Vec<_> =
                event.extras().iter().map(|(id, text)| (*id, event.text(*text).map(str::to_owned))).collect();
            format!(
                "{:?}",
                (
                    row.time,
                    row.time_from,
                    row.offset,
                    row.line,
                    row.level,
                    row.format,
                    row.flags,
                    texts,
                    extras,
                    event.raw(),
                    row.duration_ms.to_bits()
                )
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_give_sound_rows(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        sound(&parse(&bytes));
    }

    #[test]
    fn arbitrary_lines_give_sound_rows(lines in prop::collection::vec(line(), 1..6)) {
        let batch = parse(lines.join("\n").as_bytes());
        sound(&batch);
        let rows = batch.rows.len() + batch.blank as usize;
        prop_assert!(rows == lines.len() || rows + 1 == lines.len());
    }

    #[test]
    fn nearly_json_gives_sound_rows(text in r#"\{("(msg|level|time|log|trace|fields)":("[a-z\\"{}0-9:-]{0,12}"|[0-9.e+-]{0,8}|\{"id":"x"\}|\[\]|null),?){0,5}\}?"#) {
        sound(&parse(text.as_bytes()));
    }

    #[test]
    fn the_cut_does_not_matter(
        lines in prop::collection::vec(line(), 1..24),
        cuts in prop::collection::vec(1_usize..6, 1..6),
        other in prop::collection::vec(1_usize..6, 1..6),
    ) {
        let text = lines.join("\n") + "\n";
        let settings = auto();
        let (whole, _) = assembled_with(&settings, &text, &[]);
        let (cut, _) = assembled_with(&settings, &text, &cuts);
        let (again, _) = assembled_with(&settings, &text, &other);
        prop_assert_eq!(view(&whole), view(&cut));
        prop_assert_eq!(view(&cut), view(&again));
        for event in &whole {
            sound(event.batch());
        }
    }
}
