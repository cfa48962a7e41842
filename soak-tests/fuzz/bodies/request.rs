//! Whatever the bytes are, reading them as a request to any question, asking it of a small window and writing the answer
//! ends without a panic. The first byte chooses the question, the rest is its request as JSON.

use std::sync::{Arc, LazyLock};

use logbraid_core::{Batch, Event, EventTime, Level, PartitionId, Row, Source, Text};
use logbraid_index::{IndexWriter, Options};
use logbraid_query::{Canvas, QUESTIONS, Window};

static WINDOW: LazyLock<Window> = LazyLock::new(|| {
    let mut batch = Batch::new(Arc::new(Source::lines("fuzz.log", PartitionId(0))));
    for number in 0..60_u32 {
        let start = batch.text.len() as u32;
        let line = format!(
            "req-{} span-{number:04x} w-{} message number {}",
            number % 7,
            number % 3,
            number * number
        );
        batch.text.push_str(&line);
        let part = |from: u32, len: usize| Text { start: start + from, len: len as u32 };
        batch.rows.push(Row {
            time: EventTime::from_millis(1_705_312_800_000 + i64::from(number) * 37),
            offset: u64::from(start),
            line: u64::from(number) + 1,
            duration_ms: f64::from(number) / 4.0,
            raw: part(0, line.len()),
            message: part(20, line.len() - 20),
            correlation: part(0, 5),
            span: part(6, 9),
            thread: part(16, 3),
            level: Some(Level::ALL[number as usize % 6]),
            ..Row::default()
        });
    }
    let batch = Arc::new(batch);
    let mut writer = IndexWriter::new(Options::default());
    for row in 0..batch.rows.len() {
        writer.push(&Event::new(Arc::clone(&batch), row as u32));
    }
    writer.finish();
    writer.publish();
    let view = writer.view();
    let now = view.newest();
    Window::new(view, now, false)
});

/// Runs the target on one input; a panic is a find.
pub fn run(data: &[u8]) {
    let Some((which, request)) = data.split_first() else { return };
    let Some(spec) = QUESTIONS.get(usize::from(*which) % QUESTIONS.len()) else { return };
    let Ok(request) = serde_json::from_slice(request) else { return };
    let Ok(asked) = (spec.from_json)(&request) else { return };
    if let Ok(answered) = asked.ask(&WINDOW, Some(Canvas::new(80, true))) {
        let _value = answered.to_value();
    }
}
