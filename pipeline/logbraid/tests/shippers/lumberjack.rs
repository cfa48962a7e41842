//! The source `lumberjack`, with a client of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::world::{World, noise, refused};

const PLAIN: &str = "lumberjack: { listen: '127.0.0.1:0' }";

fn number(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    number(u32::try_from(bytes.len()).unwrap())
}

fn event(sequence: u32, json: &str) -> Vec<u8> {
    [b"2J", &number(sequence)[..], &length(json.as_bytes()), json.as_bytes()].concat()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn packed(frames: &[u8]) -> Vec<u8> {
    let bytes = zlib(frames);
    [b"2C", &length(&bytes)[..], &bytes].concat()
}

/// A line as Filebeat sends it.
fn beat(message: &str) -> String {
    serde_json::json!({
        "@timestamp": "2024-01-15T10:00:00.250Z",
        "@metadata": { "beat": "filebeat", "type": "_doc", "version": "8.11.0" },
        "message": message,
        "log": { "offset": 71, "file": { "path": "/var/log/containers/cart.log" } },
        "stream": "stderr",
        "kubernetes": { "container": { "name": "cart" }, "pod": { "name": "cart-5d4f8-x2x" }, "node": { "name": "n1" } },
        "agent": { "type": "filebeat", "version": "8.11.0", "name": "shipper" },
        "host": { "name": "n1" },
        "fields": { "team": "shop" },
    })
    .to_string()
}

/// A window of events `m00000` and so on, of which each second window is compressed.
fn window(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let count = number(numbers.end - numbers.start);
    let compressed = numbers.start.is_multiple_of(100);
    let events: Vec<u8> =
        (1..).zip(numbers).flat_map(|(sequence, id)| event(sequence, &beat(&format!("m{id:05}")))).collect();
    let events = if compressed { packed(&events) } else { events };
    [b"2W", &count[..], &events].concat()
}

/// The number that is acknowledged next, or nothing when the connection ended.
fn acknowledged(stream: &mut TcpStream) -> Option<u32> {
    let mut frame = [0; 6];
    stream.read_exact(&mut frame).ok()?;
    assert_eq!(&frame[..2], b"2A");
    Some(u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]))
}

/// Waits until `last` is acknowledged; the numbers on the way to it, those that only keep the connection alive as well.
fn acknowledged_to(stream: &mut TcpStream, last: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        numbers.push(acknowledged(stream).expect("it is acknowledged"));
    }
    numbers
}

#[test]
fn what_filebeat_sends_arrives_with_its_time_its_names_and_what_its_message_says() {
    let world = World::start(PLAIN);
    let mut stream = world.connect("");
    let frames = [
        event(1, &beat("m1")),
        event(2, &beat(r#"{"time":"2024-01-15T10:00:01Z","level":"warn","msg":"m2","request_id":"r-7"}"#)),
        event(3, &beat("2024-01-15T10:00:02.000Z ERROR m3")),
    ];
    stream.write_all(&[b"2W\0\0\0\0", &b"2W\0\0\0\x03"[..], &packed(&frames.concat())].concat()).unwrap();
    acknowledged_to(&mut stream, 3);
    let records = world.records(3);
    assert_eq!(records.len(), 3, "{records:?}");
    for (message, time, level) in [
        ("m1", "2024-01-15T10:00:00.250Z", None),
        ("m2", "2024-01-15T10:00:01Z", Some("WARN")),
        ("m3", "2024-01-15T10:00:02Z", Some("ERROR")),
    ] {
        let record = &records[message];
        assert_eq!(record["timestamp"], time, "{record}");
        assert_eq!(record["level"].as_str(), level, "{record}");
        assert_eq!((&record["service"], &record["host"]), (&"cart".into(), &"n1".into()), "{record}");
        assert!(record["fields"].to_string().contains("shop"), "{record}");
    }
    assert_eq!(records["m2"]["correlation_id"], "r-7", "{}", records["m2"]);
}

#[test]
fn a_long_window_is_acknowledged_in_parts_and_windows_that_do_not_wait_one_after_the_other() {
    let world = World::start(PLAIN);
    let mut stream = world.connect("");
    let filler = "x".repeat(10_000);
    let long: Vec<u8> = (1..=300).flat_map(|at| event(at, &beat(&format!("m{at:05} {filler}")))).collect();
    let mut writer = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        writer.write_all(&[b"2W", &number(300)[..], &long].concat()).unwrap();
        writer.write_all(&window(1000..1003)).unwrap();
        writer.write_all(&window(1100..1105)).unwrap();
    });
    let numbers = acknowledged_to(&mut stream, 300);
    let parts: std::collections::BTreeSet<&u32> = numbers.iter().collect();
    assert!(parts.len() >= 3 && numbers.is_sorted(), "{numbers:?}");
    acknowledged_to(&mut stream, 3);
    acknowledged_to(&mut stream, 5);
    writer.join().unwrap();
    assert_eq!(world.records(308).len(), 308);
}

#[test]
fn a_window_that_does_not_arrive_whole_is_not_acknowledged_and_may_come_again() {
    let world = World::start("lumberjack: { listen: '127.0.0.1:0', timeout: 500ms }");
    let whole = window(1..40);
    let mut half = world.connect("");
    half.write_all(&whole[..whole.len() / 2]).unwrap();
    assert_eq!(acknowledged(&mut half), None, "it is closed after its time");
    let mut silent = world.connect("");
    std::thread::sleep(Duration::from_millis(1100));
    let mut stream = world.connect("");
    stream.write_all(&whole).unwrap();
    acknowledged_to(&mut stream, 39);
    silent.write_all(&window(50..51)).unwrap();
    acknowledged_to(&mut silent, 1);
    assert_eq!(world.messages(40).len(), 40);
    assert!(world.metric("received_timeouts_total", 1.0) >= 1.0);
    let written = std::fs::read_to_string(world.folder.path().join("out.ndjson")).unwrap();
    assert_eq!(written.lines().filter(|line| line.contains("\"type\":\"entry\"")).count(), 40, "{written}");
}

#[test]
fn hostile_bytes_end_only_their_own_connection() {
    let world =
        World::start("lumberjack: { listen: '127.0.0.1:0', message: 64KiB, window: 1000, timeout: 1s }");
    let before = world.resident();
    let bomb = zlib(&vec![b' '; 50 << 20]);
    assert!(bomb.len() < 64 << 10);
    let mut attacks: Vec<Vec<u8>> = (1..40).map(|seed| noise(seed, 3000)).collect();
    attacks.extend([
        b"2W\xff\xff\xff\xff".to_vec(),
        b"2W\0\0\0\x012J\0\0\0\x01\xff\xff\xff\xff".to_vec(),
        b"2W\0\0\0\x012C\xff\xff\xff\xff".to_vec(),
        [b"2W\0\0\0\x012C", &length(&bomb)[..], &bomb].concat(),
        b"2W\0\0\0\x012C\0\0\0\x07no zlib".to_vec(),
        [&b"2W\0\0\0\x01"[..], &packed(&packed(&event(1, "{}")))].concat(),
        event(1, "{}"),
        b"2W\0\0\0\x012D\0\0\0\x01\0\0\0\x01\0\0\0\x01a\0\0\0\x01b".to_vec(),
        b"1W\0\0\0\x01".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"2W\0\0\0\x012J\0\0\0\x01\0\0\0\x10never ends".to_vec(),
    ]);
    for attack in attacks {
        let mut stream = world.connect("");
        // One who is cut off early may not be read to the end.
        let _cut_off = stream.write_all(&attack);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{attack:x?}");
    }
    let silent: Vec<_> = (0..300).map(|_| world.connect("")).collect();
    let mut stream = world.connect("");
    stream.write_all(&window(0..50)).unwrap();
    acknowledged_to(&mut stream, 50);
    assert!(
        world.metric("received_refused_total", 40.0) >= 40.0
            && world.metric("received_timeouts_total", 1.0) >= 1.0
    );
    let said = world.said();
    assert!(said.contains("was cut off") && said.matches("was cut off").count() <= 3, "{said}");
    let grown = world.resident().saturating_sub(before);
    assert!(grown < 60 << 20, "{grown}");
    drop(silent);
}

#[test]
fn what_was_acknowledged_is_written_after_a_kill_and_once_by_id() {
    let mut world = World::start(PLAIN);
    for round in 0..4 {
        let mut stream = world.connect("");
        for part in 0..5 {
            let first = (round * 5 + part) * 50;
            stream.write_all(&window(first..first + 50)).unwrap();
            acknowledged_to(&mut stream, 50);
        }
        world.kill();
        world.run();
    }
    let expected: Vec<String> = (0..1000).map(|number| format!("m{number:05}")).collect();
    assert_eq!(world.messages(1000), expected);
    let written = std::fs::read_to_string(world.folder.path().join("out.ndjson")).unwrap();
    let ids = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((record["message"].as_str()?.to_owned(), record["id"].as_str()?.to_owned()))
    };
    let pairs: std::collections::BTreeSet<(String, String)> = written.lines().filter_map(ids).collect();
    assert_eq!(pairs.len(), 1000, "each has one id, however often it was written");
}

#[test]
fn impossible_settings_are_told_with_help() {
    let world = World::start(PLAIN);
    for (source, texts) in [
        ("lumberjack: {}".to_owned(), ["'listen'", "lumberjack"]),
        ("lumberjack: { listen: here }".to_owned(), ["'here' is not an address", "127.0.0.1:8080"]),
        ("lumberjack: { listen: ':0', message: 1GiB }".to_owned(), ["'message'", "try `16MiB`"]),
        ("lumberjack: { listen: ':0', window: 0 }".to_owned(), ["'window'", "try `100000`"]),
        ("lumberjack: { listen: ':0', connections: 0 }".to_owned(), ["'connections'", "try `2000`"]),
        (
            format!("lumberjack: {{ listen: '{}' }}", world.address("")),
            ["cannot listen on", "choose another port"],
        ),
    ] {
        let text = refused(&format!("checkpoint: '{{path}}/state'\nsources: [{source}]\n"));
        assert!(texts.iter().all(|part| text.contains(part)), "{source}: {text}");
    }
}
