//! The memory's bound holds, whatever comes.
#![allow(clippy::unwrap_used, clippy::format_push_string, reason = "a test may panic, and need not be fast")]

mod common;

use common::{at, events, line, steady};
use logbraid_core::Span;
use logbraid_index::{Filter, IndexWriter, MEMORY_BYTES_MIN, Options, TextError, Texts};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn the_budget_holds_after_every_entry(
        lines in proptest::collection::vec(line(100_000), 1..200),
        repeat in 1_usize..200,
        long in proptest::collection::vec(0_usize..600_000, 0..6),
    ) {
        let mut lines = lines;
        for (number, len) in long.into_iter().enumerate() {
            let at = number * 7 % lines.len();
            lines[at].message = "long text ".repeat(len / 10);
        }
        let events = events(&lines);
        let mut writer =
            IndexWriter::new(Options { span: None, memory_bytes: MEMORY_BYTES_MIN, ..Options::default() });
        let mut pushed = 0_u64;
        for event in (0..repeat).flat_map(|_| &events) {
            writer.push(event);
            pushed += 1;
            if pushed.is_multiple_of(97) {
                writer.publish();
            }
            // Between two checks, 256 entries of less than 64 KiB may come; what is larger is checked at once.
            prop_assert!(writer.metrics().bytes() <= MEMORY_BYTES_MIN + (2 << 20), "{:?}", writer.metrics());
            if pushed > 3_000 {
                break;
            }
        }
        writer.publish();
        let metrics = writer.metrics();
        prop_assert!(metrics.bytes() <= MEMORY_BYTES_MIN);
        prop_assert_eq!(metrics.entries + metrics.evicted, pushed);
        prop_assert_eq!(writer.view().entries(), metrics.entries);
        prop_assert_eq!(writer.view().iter().count() as u64, metrics.entries);
    }
}

#[test]
fn the_oldest_leave_first_and_the_view_says_so() {
    // Texts that do not compress: four entries in five must leave.
    let noise = |number: usize| {
        (1..12).map(move |step| {
            format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_usize.wrapping_mul(step) >> 1))
        })
    };
    let lines = steady(60_000, |number| noise(number).collect::<String>());
    let mut writer = IndexWriter::new(Options {
        span: Some(Span::from_seconds(600)),
        memory_bytes: MEMORY_BYTES_MIN,
        ..Options::default()
    });
    for event in &events(&lines) {
        writer.push(event);
    }
    writer.publish();
    let view = writer.view();
    assert!(writer.metrics().bytes() <= MEMORY_BYTES_MIN);
    assert!(writer.metrics().evicted > 0);
    let (from, _) = view.covers();
    assert!(from > at(0));
    assert_eq!(view.newest(), at(59_999));
    let inside = view.count(&Filter::default().from(from));
    let expected = lines.iter().filter(|line| at(line.ms) >= from).count();
    assert_eq!(inside, expected as u64, "everything from there on is known");
}

#[test]
fn a_text_that_is_too_long_is_said_to_be() {
    let mut lines = steady(2, |_| "short".to_owned());
    lines[0].message = "x".repeat(MEMORY_BYTES_MIN / 4);
    let mut writer = IndexWriter::new(Options { memory_bytes: MEMORY_BYTES_MIN, ..Options::default() });
    for event in &events(&lines) {
        writer.push(event);
    }
    writer.publish();
    let view = writer.view();
    let mut texts = Texts::new();
    let told: Vec<_> = view.iter().map(|entry| texts.message(entry).map(str::to_owned)).collect();
    assert_eq!(told, [Err(TextError::TooLong), Ok("short".to_owned())]);
    assert_eq!(writer.metrics().texts_left_out, 1);
}
