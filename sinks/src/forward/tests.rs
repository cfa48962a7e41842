//! Settings and chunks; the wire is tested through the program.

use serde_json::{Value, json};

use super::message::first;
use super::*;
use crate::tests::{build, finding, stats};

fn chunk(more: Value, records: &[Record]) -> Chunk {
    let mut value = json!({ "to": "h:1" });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config: Config = serde_json::from_value(value).unwrap();
    let mut pending = Pending::new(config.batch);
    for record in records {
        pending.push(Piece::of(record, &config.tag, &|| EventTime::from_millis(5)));
    }
    Chunk::of(&pending, &config).unwrap()
}

type Message = (String, serde_bytes::ByteBuf, Value);

fn read(chunk: &Chunk) -> Message {
    let (message, length): (Message, usize) = first(&chunk.message).unwrap().unwrap();
    assert_eq!(length, chunk.message.len(), "nothing stands behind it");
    message
}

#[test]
fn wrong_settings_are_named_with_a_proposal() {
    let fault = |more: Value| {
        let mut value = json!({ "to": "h:1" });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        build("forward", value)
            .err()
            .map_or_else(|| "no error".to_owned(), |error| format!("{}: {error}", error.path))
    };
    assert_eq!(fault(json!({ "shared_key": "k", "user": { "name": "n", "password": "p" } })), "no error");
    for (more, path) in [
        (json!({ "to": "h" }), "to: "),
        (json!({ "tag": " " }), "tag: "),
        (json!({ "shared_key": "" }), "shared_key: "),
        (json!({ "user": { "name": "n", "password": "p" } }), "user: "),
        (json!({ "timeout": "1ms" }), "timeout: "),
        (json!({ "batch": { "records": 0 } }), "batch.records: "),
        (json!({ "tls": { "key": "k.pem" } }), "tls.key: "),
        (json!({ "tls": { "ca": "" } }), "tls.ca: "),
    ] {
        assert!(fault(more.clone()).starts_with(path), "{more}: {}", fault(more.clone()));
    }
}

#[test]
fn a_chunk_has_the_records_of_one_tag_and_an_id_that_stays() {
    let odd = "quote \" slash \\ line\nend\r nul\0 \u{2028} ä😀";
    let records = [finding(odd), finding("two"), stats(), finding("three")];
    let made = chunk(json!({}), &records);
    assert_eq!(made.count, 2, "the third record has another tag");
    assert_eq!(chunk(json!({}), &records).id, made.id);
    assert_ne!(chunk(json!({}), &records[1..]).id, made.id);
    let (tag, entries, options) = read(&made);
    assert_eq!((tag.as_str(), &options["size"]), ("logbraid.finding", &json!(2)));
    assert_eq!(options["chunk"].as_str(), made.id.as_deref());
    assert_eq!(entries[..10], [0x92, 0xd7, 0, 0x65, 0xa5, 0x02, 0x20, 0x07, 0x27, 0x0e]);
    let ((_, record), _): ((Value, Value), usize) =
        first(&[&[0x92, 1], &entries[11..]].concat()).unwrap().unwrap();
    assert_eq!((record["type"].as_str(), record["title"].as_str()), (Some("finding"), Some(odd)));
}

#[test]
fn without_acks_there_is_no_id_and_gzip_is_named() {
    let made = chunk(json!({ "acks": false, "compression": "gzip", "tag": "{service}.x" }), &[stats()]);
    let (tag, entries, options) = read(&made);
    assert_eq!((tag.as_str(), made.id.as_deref()), ("none.x", None));
    assert_eq!(options, json!({ "size": 1, "compressed": "gzip" }));
    assert_eq!(entries[..2], [0x1f, 0x8b]);
}

#[test]
fn answers_in_parts_are_waited_for_and_others_are_refused() {
    let whole = rmp_serde::to_vec_named(&json!({ "ack": "abc" })).unwrap();
    for length in 0..whole.len() {
        assert!(first::<message::Ack>(&whole[..length]).unwrap().is_none(), "{length}");
    }
    assert_eq!(first::<message::Ack>(&whole).unwrap().unwrap().0.ack, "abc");
    for bad in [&b"\xc1"[..], b"\x01", b"HTTP/1.1 400", b"\xa3abc"] {
        assert!(first::<message::Ack>(bad).is_err(), "{bad:x?}");
    }
    // A depth without end.
    assert!(first::<Value>(&[0x91; 100]).is_err());
}
