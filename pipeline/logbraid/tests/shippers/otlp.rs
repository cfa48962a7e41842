//! OpenTelemetry's logs at the source `http`.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::world::{World, noise};

const HTTP: &str = "http: { listen: '127.0.0.1:0', body: 64KiB }";

/// The status and the body of the answer.
fn post(world: &World, kind: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = world.connect("");
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // One who is refused early may not be read to the end.
    let _refused_early = stream.write_all(body);
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    assert!(status != 200 || head.contains(&format!("content-type: {kind}")), "{head}");
    (status, answer.get(end + 4..).unwrap_or_default().to_vec())
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let length = [u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
    [&[number << 3 | 2][..], &length, bytes].concat()
}

fn key_value(key: &str, text: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, text.as_bytes()))].concat()
}

/// A record of 2024-01-15T10:00:00.5Z.
pub(super) fn record(message: &str, trace: u8) -> Vec<u8> {
    let time = 1_705_312_800_500_000_000_u64.to_le_bytes();
    [
        [&[1 << 3 | 1][..], &time].concat(),
        vec![2 << 3, 17],
        field(5, &field(1, message.as_bytes())),
        field(6, &key_value("thread.name", &format!("w-{trace}"))),
        field(9, &[trace; 16]),
        field(10, &[7; 8]),
        vec![7 << 3, 0],
    ]
    .concat()
}

pub(super) fn request(records: &[Vec<u8>]) -> Vec<u8> {
    let resource = field(1, &field(1, &key_value("service.name", "pay")));
    let scope = field(1, &field(1, b"pay.db"));
    let records: Vec<u8> = records.iter().flat_map(|record| field(2, record)).collect();
    // The resource stands behind what it describes, which is allowed.
    field(1, &[field(2, &[scope, records].concat()), resource].concat())
}

fn as_json(records: &Value) -> Vec<u8> {
    let attributes = json!([{ "key": "service.name", "value": { "stringValue": "cart" } }]);
    let scopes = json!([{ "scope": { "name": "cart.web" }, "logRecords": records }]);
    json!({ "resourceLogs": [{ "resource": { "attributes": attributes }, "scopeLogs": scopes }] })
        .to_string()
        .into_bytes()
}

#[test]
fn records_as_protobuf_and_as_json_arrive_with_their_resource_ids_and_time() {
    let world = World::start(HTTP);
    let body = request(&[record("first", 0xab), record("second", 0)]);
    assert_eq!(post(&world, "application/x-protobuf", &body), (200, Vec::new()), "{}", world.said());
    let records = json!([
        { "timeUnixNano": "1705312800250000000", "severityText": "WARN", "body": { "stringValue": "third" },
          "traceId": "abababababababababababababababab", "spanId": "0707070707070707",
          "attributes": [{ "key": "n", "value": { "intValue": "5" } }, { "key": "l", "value": { "arrayValue": { "values": [{ "boolValue": true }] } } }] },
        { "timeUnixNano": "soon", "body": { "stringValue": "lost" } },
        { "observedTimeUnixNano": 1_705_312_800_750_000_000_u64, "severityNumber": 9, "body": { "stringValue": "fourth" } },
    ]);
    let (status, answer) = post(&world, "application/json", &as_json(&records));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["partialSuccess"]["rejectedLogRecords"]), (200, &"1".into()), "{answer}");
    let found = world.records(4);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["first", "fourth", "second", "third"], "{}", world.said());
    for (message, level, service, stamp) in [
        ("first", "ERROR", "pay", "2024-01-15T10:00:00.500Z"),
        ("third", "WARN", "cart", "2024-01-15T10:00:00.250Z"),
        ("fourth", "INFO", "cart", "2024-01-15T10:00:00.750Z"),
    ] {
        let record = &found[message];
        assert_eq!((&record["level"], &record["service"]), (&level.into(), &service.into()), "{record}");
        let shown =
            record["timestamp"].as_str().unwrap().trim_end_matches('Z').trim_end_matches('0').to_owned();
        assert_eq!(shown, stamp.trim_end_matches('Z').trim_end_matches('0'), "{record}");
    }
    for message in ["first", "third"] {
        assert_eq!(found[message]["trace_id"], "abababababababababababababababab", "{}", found[message]);
        assert_eq!(found[message]["span_id"], "0707070707070707");
    }
    assert_eq!(found["first"]["thread_id"], "w-171");
    assert!(found["second"]["trace_id"].is_null(), "an id of zeros is none");
    assert!(found["third"].to_string().contains("\"n\":5"), "{}", found["third"]);
}

#[test]
fn what_is_no_request_is_refused_and_a_bad_record_costs_only_itself() {
    let world = World::start(HTTP);
    let broken = [&[1 << 3][..], &[0xff; 12]].concat();
    let (status, answer) = post(&world, "application/x-protobuf", &request(&[broken, record("kept", 1)]));
    assert_eq!(
        (status, &answer[..1], &answer[2..4]),
        (200, &[1 << 3 | 2][..], &[1 << 3, 1][..]),
        "{answer:x?}"
    );
    assert!(String::from_utf8_lossy(&answer).contains("a number is too long"));
    // A resource that every one of many records would repeat.
    let resource = field(1, &field(1, &key_value("service.name", &"x".repeat(10_000))));
    let many: Vec<u8> = (0..900).flat_map(|_| field(2, b"")).collect();
    let swollen = field(1, &[resource, field(2, &many)].concat());
    for (kind, body, status, why) in [
        ("application/x-protobuf", b"\x0a\xff\xff\x03".to_vec(), 400, "a field ends early"),
        ("application/x-protobuf", swollen, 413, "raise `body`"),
        ("application/json", b"{\"resourceLogs\":5}".to_vec(), 400, "ExportLogsServiceRequest"),
        ("text/plain", b"x".to_vec(), 415, "application/x-protobuf"),
        ("application/json", vec![b'['; 60_000], 400, "ExportLogsServiceRequest"),
        ("application/json", vec![b' '; 70_000], 413, "`body`"),
    ] {
        let (answered, text) = post(&world, kind, &body);
        let text = String::from_utf8_lossy(&text);
        assert!(answered == status && text.contains(why), "{answered} {text}");
    }
    for seed in 0..100 {
        let kind = if seed % 2 == 0 { "application/x-protobuf" } else { "application/json" };
        let (status, _) = post(&world, kind, &noise(seed + 1, 2000));
        assert!([200, 400].contains(&status), "{status}");
    }
    assert!(world.records(1).contains_key("kept"));
}
