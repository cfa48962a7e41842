//! Any bytes give sound rows, whole or cut in two at a line's end, and the cut does not change what is released.

use std::sync::{Arc, LazyLock};

use logbraid_core::{Batch, Event, EventTime, Fields, PartitionId, Source, Text};
use logbraid_parse::{Assembler, Compiled, Framing, Parser, RawBatch, Settings};

fn parse(settings: &Compiled, bytes: &[u8], offset: u64, line: u64) -> Batch {
    let mut source = Source::lines("fuzz.log", PartitionId(0));
    source.reader = settings.reader();
    Parser::new(Arc::new(settings.clone()), &Fields::default()).parse(RawBatch {
        source: Arc::new(source),
        bytes: bytes.to_vec(),
        framing: Framing::Lines { offset, line },
        ingest: EventTime::from_millis(1_800_000_000_000),
    })
}

fn sound(batch: &Batch) {
    for row in &batch.rows {
        let mut row = *row;
        let raw = row.raw;
        for text in row.texts_mut().map(|text| *text).into_iter().chain([raw]) {
            assert!(text.is_none() || batch.text.get(text.range()).is_some());
        }
        let raw = row.raw.get(&batch.text).unwrap_or_default();
        let _fields = batch.source.reader.fields(row.format, raw);
    }
    for (_, text) in &batch.extras {
        assert!(text.is_none() || batch.text.get(text.range()).is_some());
    }
}

fn view(events: &[Event]) -> Vec<String> {
    let text = |event: &Event, text: Text| event.text(text).map(str::to_owned);
    events
        .iter()
        .map(|event| {
            let row = event.row();
            let ids = [row.thread, row.correlation, row.trace, row.span].map(|id| text(event, id));
            format!(
                "{:?}",
                (row.time, row.offset, row.line, row.level, row.flags, event.raw(), event.message(), ids)
            )
        })
        .collect()
}

/// Runs the target on one input; a panic is a find.
pub fn run(bytes: &[u8]) {
    static SETTINGS: LazyLock<Option<Compiled>> = LazyLock::new(|| Settings::default().compile().ok());
    let Some(settings) = SETTINGS.as_ref() else { return };
    let whole = parse(settings, bytes, 0, 1);
    sound(&whole);
    let lines = |part: &[u8]| part.iter().filter(|b| **b == b'\n').count() as u64;
    let middle = bytes.len() / 2;
    let cut = bytes[..middle].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut parts = Vec::new();
    let mut assembler = Assembler::new(settings, EventTime::MIN);
    if cut > 0 {
        assembler.push(parse(settings, &bytes[..cut], 0, 1), &mut parts);
    }
    assembler.push(parse(settings, &bytes[cut..], cut as u64, 1 + lines(&bytes[..cut])), &mut parts);
    assembler.flush(&mut parts);
    let mut once = Vec::new();
    let mut assembler = Assembler::new(settings, EventTime::MIN);
    assembler.push(whole, &mut once);
    assembler.flush(&mut once);
    assert_eq!(view(&once), view(&parts));
    for event in &once {
        sound(event.batch());
    }
}
