use logbraid_core::{Chain, Element, EventTime, Flags, Operator, Span};
use logbraid_index::{Column, Filter, IndexReader};
use serde_json::json;

use super::Index;
use crate::correlate::Correlate;
use crate::testing::{at, built, events, refused};
use crate::thread::Thread;

/// A chain, and the reader of the index in it.
fn chain(stages: Vec<Box<dyn Operator>>) -> (Chain, IndexReader) {
    let chain = Chain::new(stages, false, Span::from_seconds(60));
    let shared = chain.shared().into_iter().find_map(|(_, shared)| shared.downcast::<IndexReader>().ok());
    let reader = (*shared.expect("the chain has an index")).clone();
    (chain, reader)
}

fn index(config: serde_json::Value) -> Box<dyn Operator> {
    Box::new(built::<Index>(config))
}

fn push(chain: &mut Chain, notation: &str, watermark: EventTime) {
    let mut elements: Vec<Element> = events(notation).into_iter().map(Element::Event).collect();
    elements.push(Element::Watermark(watermark));
    chain.push(&mut elements, &mut Vec::new());
}

fn messages(reader: &IndexReader) -> Vec<String> {
    reader.view().iter().filter_map(|entry| entry.message().ok()).collect()
}

const REQUEST: &str = "0 api w1 corr=r one|200 api w1 corr=r two|100 db w2 corr=r three";

#[test]
fn a_reader_sees_what_the_watermark_has_passed_and_up_to_when_it_is_complete() {
    let (mut chain, reader) = chain(vec![index(json!({}))]);
    assert_eq!(reader.view().entries(), 0);
    push(&mut chain, REQUEST, at(250.0));
    assert_eq!(messages(&reader), ["one", "three", "two"]);
    assert_eq!(reader.view().complete_through(), at(250.0));
    push(&mut chain, "300 api w1 corr=r four", at(310.0));
    assert_eq!(messages(&reader).len(), 3, "nobody asked");
    let before = reader.view().number();
    reader.ask();
    push(&mut chain, "", at(320.0));
    assert_eq!(messages(&reader).len(), 4);
    assert!(reader.view().number() > before);
}

#[test]
fn what_is_older_than_the_span_expires() {
    let (mut chain, reader) = chain(vec![index(json!({"span": "10s"}))]);
    push(&mut chain, REQUEST, at(250.0));
    push(&mut chain, "20000 api w1 late", at(20_000.0));
    assert_eq!(messages(&reader), ["late"]);
    assert!(reader.view().covers().0 >= at(9_000.0));
}

#[test]
fn entries_of_open_requests_are_seen_too_and_once() {
    let (mut chain, reader) =
        chain(vec![Box::new(built::<Correlate>(json!({"gap": "1s"}))), index(json!({}))]);
    push(&mut chain, REQUEST, at(500.0));
    assert_eq!(messages(&reader), ["one", "three", "two"]);
    // A late entry closes the request again; its other entries are not taken twice.
    push(&mut chain, "", at(2_000.0));
    push(&mut chain, "150 api w1 corr=r late", at(3_000.0));
    push(&mut chain, "", EventTime::MAX);
    assert_eq!(messages(&reader), ["one", "three", "late", "two"]);
    assert_eq!(reader.view().complete_through(), EventTime::MAX);
}

#[test]
fn an_entry_is_found_under_the_request_that_its_thread_led_to() {
    let (mut chain, reader) = chain(vec![Box::new(built::<Thread>(json!({}))), index(json!({}))]);
    push(&mut chain, "0 api w1 corr=r one|10 api w1 two", EventTime::MAX);
    let view = reader.view();
    let found: Vec<_> = view.scan(&Filter::default().is(Column::Correlation, "r")).collect();
    assert_eq!(found.len(), 2);
    assert!(found[1].flags().has(Flags::ATTRIBUTED) && found[1].confidence() < 100);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_help() {
    assert_eq!(refused::<Index>(json!({"span": "0s"})), "`span` must be longer than zero (try `15m`)");
    assert_eq!(
        refused::<Index>(json!({"memory": "1KiB"})),
        "`memory` must be at least `8MiB` (try `256MiB`)"
    );
}
