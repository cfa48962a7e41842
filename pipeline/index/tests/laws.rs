//! What goes in comes out; what is too old or too much leaves, and nothing else.
#![allow(clippy::unwrap_used, clippy::format_push_string, reason = "a test may panic, and need not be fast")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Line, at, events, line, source_name, steady};
use logbraid_core::template::template_id;
use logbraid_core::{Event, EventTime, FieldId, Flags, Level, Span};
use logbraid_index::{
    Column, EntryRef, Filter, IndexWriter, LevelSet, Options, Place, Term, Texts, View, check,
};
use proptest::prelude::*;

/// An entry as text: all that it carries.
fn told(event: &Event) -> String {
    let row = event.row();
    let text = |text| event.text(text);
    let mut fields: BTreeMap<FieldId, Vec<&str>> = BTreeMap::new();
    for (field, value) in event.extras() {
        fields.entry(*field).or_default().extend(event.text(*value));
    }
    let names = [event.service(), event.host(), text(row.thread), text(row.correlation), text(row.trace)];
    let spans = [text(row.span), text(row.parent_span)];
    let duration = (!row.duration_ms.is_nan()).then_some(row.duration_ms.to_bits());
    let flags: Vec<_> = event.flags().names().collect();
    format!(
        "{} {} {} {} {:?} {names:?} {spans:?} {duration:?} {fields:?} {flags:?} {} {} {:?} {:?}",
        row.time.nanos(),
        event.source().name,
        row.offset,
        row.line,
        row.level,
        template_id(event.message()),
        event.id(),
        event.message(),
        event.raw()
    )
}

/// The same of an entry of a view.
fn shown<'v>(entry: EntryRef<'v>, texts: &mut Texts<'v>) -> String {
    let mut fields: BTreeMap<FieldId, Vec<&str>> = BTreeMap::new();
    for field in (0..8).map(FieldId) {
        let values: Vec<&str> = entry.all(Column::Field(field)).collect();
        if !values.is_empty() {
            fields.insert(field, values);
        }
    }
    let names = [entry.service(), entry.host(), entry.thread(), entry.correlation(), entry.trace()];
    let spans = [entry.span(), entry.parent_span()];
    let duration = entry.duration_ms().map(f64::to_bits);
    let flags: Vec<_> = entry.flags().names().collect();
    format!(
        "{} {} {} {} {:?} {names:?} {spans:?} {duration:?} {fields:?} {flags:?} {} {} {:?} {:?}",
        entry.time().nanos(),
        entry.input(),
        entry.offset(),
        entry.line(),
        entry.level(),
        entry.template(),
        texts.id(entry).unwrap(),
        texts.message(entry).unwrap().to_owned(),
        texts.raw(entry).unwrap()
    )
}

fn all(view: &View) -> Vec<String> {
    let mut texts = Texts::new();
    view.iter().map(|entry| shown(entry, &mut texts)).collect()
}

/// The events in the order of every output.
fn ordered(events: &[Event]) -> Vec<&Event> {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| (event.time(), event.source().name.clone(), event.row().offset));
    events
}

fn indexed(lines: &[Line], options: Options) -> IndexWriter {
    let mut writer = IndexWriter::new(options);
    for event in &events(lines) {
        writer.push(event);
    }
    writer.publish();
    writer
}

fn kept(span_ms: i64) -> Options {
    Options { span: Some(Span::from_millis(span_ms)), ..Options::default() }
}

/// A workload, and after how many entries each to publish.
fn workload() -> impl Strategy<Value = (Vec<Line>, usize)> {
    (prop_oneof![Just(10_i64), Just(2_000), Just(100_000)], 1_usize..60)
        .prop_flat_map(|(span, step)| (proptest::collection::vec(line(span), 0..300), Just(step)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_goes_in_comes_out_at_every_publication((lines, step) in workload(), span in prop_oneof![Just(16_i64), Just(500), Just(200_000)]) {
        let mut writer = IndexWriter::new(kept(span));
        let events = events(&lines);
        for (number, event) in events.iter().enumerate() {
            writer.push(event);
            if number % step == 0 {
                writer.publish();
                let expected: Vec<String> = ordered(&events[..=number]).into_iter().map(told).collect();
                prop_assert_eq!(all(&writer.view()), expected);
            }
        }
        writer.finish();
        writer.publish();
        let expected: Vec<String> = ordered(&events).into_iter().map(told).collect();
        prop_assert_eq!(all(&writer.view()), expected);
        let view = writer.view();
        let mut back: Vec<u64> = view.scan_back(&Filter::default()).map(EntryRef::offset).collect();
        back.reverse();
        prop_assert_eq!(back, view.iter().map(EntryRef::offset).collect::<Vec<_>>());
    }

    #[test]
    fn a_filter_gives_what_a_look_at_every_entry_gives(
        (lines, _) in workload(),
        from in 0_i64..2000, len in 0_i64..4000, levels in proptest::collection::vec(proptest::sample::select(Level::ALL.to_vec()), 0..3),
        id in "req-[0-9]|s-[0-9]", service in proptest::option::of("api|db|x"), late in any::<bool>(),
    ) {
        let writer = indexed(&lines, kept(2_000));
        let view = writer.view();
        let mut filter = Filter::default().from(at(from)).before(at(from + len));
        if !levels.is_empty() {
            filter = filter.levels(levels.iter().copied().collect());
        }
        if from % 2 == 0 {
            filter = filter.any_of(Term::any_id(&id));
        }
        if let Some(service) = &service {
            filter = filter.is(Column::Service, service);
        }
        if late {
            filter = filter.flags(Flags::LATE);
        }
        let passes = |entry: &EntryRef<'_>| {
            let ids = [entry.correlation(), entry.trace(), entry.span(), entry.parent_span(), entry.thread()];
            (at(from)..at(from + len)).contains(&entry.time())
                && (levels.is_empty() || entry.level().is_some_and(|level| levels.contains(&level)))
                && (from % 2 != 0 || ids.contains(&Some(id.as_str())))
                && service.as_deref().is_none_or(|service| entry.service() == Some(service))
                && (!late || entry.flags().has(Flags::LATE))
        };
        let expected: Vec<EntryRef<'_>> = view.iter().filter(passes).collect();
        prop_assert_eq!(view.count(&filter), expected.len() as u64);
        let mut stored: Vec<EntryRef<'_>> = view.scan_stored(&filter).collect();
        stored.sort();
        prop_assert_eq!(&stored, &expected);
        prop_assert_eq!(view.scan(&filter).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ids_are_counted((lines, _) in workload()) {
        let writer = indexed(&lines, kept(2_000));
        let view = writer.view();
        let mut expected: BTreeMap<&str, (u64, i64, i64)> = BTreeMap::new();
        for line in &lines {
            if let Some(id) = &line.correlation {
                let entry = expected.entry(id).or_insert((0, i64::MAX, i64::MIN));
                *entry = (entry.0 + 1, entry.1.min(line.ms), entry.2.max(line.ms));
            }
        }
        let ids = view.ids(Column::Correlation, &Filter::default());
        let counted: BTreeMap<&str, (u64, i64, i64)> = ids
            .iter()
            .map(|id| (id.value, (id.count, (id.first.nanos() - at(0).nanos()) / 1_000_000, (id.last.nanos() - at(0).nanos()) / 1_000_000)))
            .collect();
        prop_assert_eq!(counted, expected);
        let everything = Filter::default().from(at(0));
        prop_assert_eq!(view.ids(Column::Correlation, &everything), ids, "with a filter that lets all through");
    }

    #[test]
    fn neighbours_are_those_of_the_file((lines, _) in workload(), place in 0_u64..100, before in 0_usize..5, after in 0_usize..5) {
        let writer = indexed(&lines, kept(500));
        let view = writer.view();
        let mut file: Vec<u64> = lines.iter().filter(|line| line.source == 0).zip(1_u64..).map(|(_, number)| number).collect();
        let split = file.partition_point(|line| *line < place);
        let mut tail = file.split_off(split);
        let exact = tail.first() == Some(&place);
        tail.truncate(after + usize::from(exact));
        let mut expected: Vec<u64> = file.split_off(file.len().saturating_sub(before));
        expected.extend(tail);
        let found: Vec<u64> = view.around(&source_name(0), Place::Line(place), before, after).into_iter().map(EntryRef::line).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn expiry_drops_whole_segments_and_nothing_younger_than_the_span((lines, _) in workload(), watermark in 0_i64..120_000) {
        let mut writer = indexed(&lines, kept(1_600));
        writer.advance(at(watermark));
        writer.publish();
        let view = writer.view();
        let shown: BTreeSet<i64> = view.iter().map(|entry| entry.time().nanos()).collect();
        let expired = writer.metrics().expired;
        prop_assert_eq!(view.entries() + expired, lines.len() as u64);
        for line in &lines {
            if line.ms >= watermark - 1_600 {
                prop_assert!(shown.contains(&at(line.ms).nanos()), "{} is within the span", line.ms);
            } else if line.ms < watermark - 1_700 {
                prop_assert!(!shown.contains(&at(line.ms).nanos()), "{} is older than the span and a slice", line.ms);
            }
        }
        prop_assert_eq!(view.complete_through(), at(watermark));
        prop_assert!(expired == 0 || view.covers().0 > EventTime::MIN);
        prop_assert!(view.iter().all(|entry| entry.time() >= view.covers().0));
    }

    #[test]
    fn a_damaged_block_never_panics((lines, _) in workload(), edits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8), cut in any::<u16>()) {
        let lines: Vec<Line> = lines.into_iter().map(|line| Line { source: 0, ..line }).collect();
        let mut writer = indexed(&lines, kept(1_000_000));
        writer.finish();
        writer.publish();
        let view = writer.view();
        for block in view.blocks() {
            prop_assert_eq!(check(block.encoded()), Ok(()));
            let mut bytes = block.encoded().to_vec();
            let len = bytes.len();
            for (place, byte) in &edits {
                bytes[usize::from(*place) % len] = *byte;
            }
            let _ = check(&bytes);
            let _ = check(&bytes[..usize::from(cut) % len]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = check(&bytes);
    }
}

/// The durations that come back for those that went in, in order.
fn stored(durations: &[f64]) -> Vec<Option<f64>> {
    let mut lines = steady(durations.len(), |_| "done".to_owned());
    for (line, duration) in lines.iter_mut().zip(durations) {
        line.duration = Some(*duration);
    }
    let view = indexed(&lines, Options::default()).view();
    view.iter().map(EntryRef::duration_ms).collect()
}

#[test]
fn one_entrys_fine_duration_does_not_cost_another_its_long_one() {
    // Each fits some decimal unit; the finest unit of one is too fine for the other.
    let long = [
        6.2e15,
        9e13,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        9e18,
        1e300,
    ];
    for long in long {
        for fine in [1.0, 0.5, 0.001, 0.000_001, 1e-7, 1.0 / 3.0] {
            assert_eq!(stored(&[long, fine]), [Some(long), Some(fine)]);
            assert_eq!(stored(&[fine, long]), [Some(fine), Some(long)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn durations_of_all_sizes_come_back_together(
        durations in proptest::collection::vec((0_u64..=1 << 53, 0_i32..10), 1..6)
    ) {
        let durations: Vec<f64> = durations.iter().map(|(whole, digits)| *whole as f64 / 10_f64.powi(*digits)).collect();
        let expected: Vec<Option<f64>> = durations.iter().copied().map(Some).collect();
        prop_assert_eq!(stored(&durations), expected);
    }
}

#[test]
fn a_view_stays_as_it_was() {
    let lines = steady(10_000, |number| format!("message {number}"));
    let events = events(&lines);
    let mut writer = IndexWriter::new(kept(1_000));
    for event in &events[..5_000] {
        writer.push(event);
    }
    writer.publish();
    let view = writer.view();
    let before = all(&view);
    for event in &events[5_000..] {
        writer.push(event);
    }
    writer.advance(at(10_000));
    writer.publish();
    assert_eq!(all(&view), before);
    assert!(writer.view().entries() < 1_100);
}

#[test]
fn what_came_too_late_for_the_span_is_counted() {
    let mut writer = indexed(&steady(10, |_| "x".to_owned()), kept(1_600));
    writer.advance(at(100_000));
    for event in &events(&steady(10, |_| "x".to_owned())) {
        writer.push(event);
    }
    writer.publish();
    assert_eq!(writer.view().entries(), 0);
    assert_eq!(writer.metrics().too_old, 10);
    assert_eq!(writer.metrics().expired, 10);
}

#[test]
fn a_reader_waits_until_the_writer_has_looked() {
    let writer = indexed(&steady(3, |_| "x".to_owned()), Options::default());
    let reader = writer.reader();
    assert!(!reader.is_waiting());
    reader.ask();
    assert!(reader.is_waiting(), "a silent stream's writer does not look");
    assert!(writer.is_asked() && !reader.is_waiting());
}

#[test]
fn drafts_stay_few_however_often_is_published() {
    let events = events(&steady(3_000, |number| format!("message {number}")));
    let mut writer = IndexWriter::new(Options::default());
    for event in &events {
        writer.push(event);
        writer.publish();
        assert!(writer.view().blocks().count() <= 12);
    }
    assert_eq!(writer.view().entries(), 3_000);
}

#[test]
fn levels_are_known_without_a_scan() {
    let writer = indexed(&steady(1_000, |_| "x".to_owned()), Options::default());
    let (levels, unknown) = writer.view().levels();
    assert_eq!((levels.of(Level::Error), levels.of(Level::Info), unknown), (100, 900, 0));
    assert_eq!(writer.view().count(&Filter::default().levels(LevelSet::at_least(Level::Warn))), 100);
}

#[test]
fn templates_are_counted_with_an_example() {
    let lines =
        steady(100, |number| if number % 4 == 0 { format!("took {number} ms") } else { "idle".to_owned() });
    let writer = indexed(&lines, Options::default());
    let view = writer.view();
    let templates = view.templates(&Filter::default());
    let told: Vec<(u64, String)> =
        templates.iter().map(|(_, count, example)| (*count, example.message().unwrap())).collect();
    assert_eq!(told, [(75, "idle".to_owned()), (25, "took 0 ms".to_owned())]);
}
