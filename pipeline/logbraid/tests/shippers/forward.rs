//! The source `forward`, with a client of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest as _, Sha512};

use super::world::{World, noise, refused};

const PLAIN: &str = "forward: { listen: '127.0.0.1:0' }";

fn text(text: &str) -> Vec<u8> {
    [&[0xda][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [&[0xc6][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [&[0xdc][..], &u16::try_from(items.len()).unwrap().to_be_bytes(), &items.concat()].concat()
}

fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let all: Vec<u8> = members.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [&[0x80 | u8::try_from(members.len()).unwrap()][..], &all].concat()
}

/// A moment with nanoseconds.
fn time(number: u32) -> Vec<u8> {
    [&[0xd7, 0][..], &1_705_312_800_u32.to_be_bytes(), &(number * 1000).to_be_bytes()].concat()
}

fn record(message: &str) -> Vec<u8> {
    map(&[("message", text(message)), ("level", text("warn"))])
}

fn entry(number: u32) -> Vec<u8> {
    array(&[time(number), record(&format!("m{number:05}"))])
}

/// A chunk in mode PackedForward that asks for an answer.
fn chunk(id: &str, numbers: std::ops::Range<u32>) -> Vec<u8> {
    let packed: Vec<u8> = numbers.flat_map(entry).collect();
    array(&[text("app.web"), bytes(&packed), map(&[("chunk", text(id))])])
}

/// The id that is acknowledged, or nothing when the connection ended.
fn acknowledged(stream: &mut TcpStream) -> Option<String> {
    // The id's length is in two bytes.
    let mut head = [0; 8];
    stream.read_exact(&mut head).ok()?;
    assert_eq!(&head[..6], b"\x81\xa3ack\xda", "{head:x?}");
    let mut id = vec![0; usize::from(head[7])];
    stream.read_exact(&mut id).ok()?;
    String::from_utf8(id).ok()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.stdout
}

#[test]
fn all_four_modes_arrive_with_their_times_and_are_acknowledged_where_it_is_asked_for() {
    let world = World::start(PLAIN);
    let mut stream = world.connect("");
    let option = |id: &str| map(&[("chunk", text(id)), ("size", vec![1])]);
    // Seconds and no answer; then entries with a name of their own, with metadata, and no map at all.
    let seconds = [&[0xce][..], &1_705_312_799_u32.to_be_bytes()].concat();
    let own = map(&[("log", text("plain text")), ("kubernetes", map(&[("container_name", text("cart"))]))]);
    let metadata = array(&[time(7), map(&[("source", text("x"))])]);
    for message in [
        array(&[text("app.web"), seconds, record("seconds")]),
        vec![0xc0],
        array(&[text("app.web"), time(1), record("message"), option("a")]),
        array(&[text("app.web"), array(&[entry(2), entry(3), array(&[time(4), own])]), option("b")]),
        array(&[
            text("app.web"),
            bytes(&[entry(5), array(&[metadata, record("metadata")])].concat()),
            option("c"),
        ]),
        array(&[
            text("app.web"),
            // Members of a compressed chunk may follow one another.
            bytes(&[gzip(&entry(8)), gzip(&entry(9))].concat()),
            map(&[("compressed", text("gzip")), ("chunk", text("d"))]),
        ]),
        array(&[text("app.web"), time(10), text("no map"), option("e")]),
    ] {
        stream.write_all(&message).unwrap();
    }
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(acknowledged(&mut stream).as_deref(), Some(id), "{}", world.said());
    }
    let records = world.records(10);
    assert_eq!(records.len(), 10, "{records:?}");
    for (message, stamp) in [
        ("seconds", "2024-01-15T09:59:59Z"),
        ("message", "2024-01-15T10:00:00.000001Z"),
        ("m00009", "2024-01-15T10:00:00.000009Z"),
        ("plain text", "2024-01-15T10:00:00.000004Z"),
        ("no map", "2024-01-15T10:00:00.000010Z"),
    ] {
        assert_eq!(records[message]["timestamp"], stamp, "{}", records[message]);
        let service = if message == "plain text" { "cart" } else { "app.web" };
        assert_eq!(records[message]["service"], service, "{}", records[message]);
    }
    assert_eq!(records["m00002"]["level"], "WARN");
    assert_eq!(records["metadata"]["fields"]["metadata"]["source"], "x", "{}", records["metadata"]);
}

/// What a client that knows `key` says to a HELO, and what it is answered.
fn shake(world: &World, key: &str) -> (TcpStream, bool) {
    let mut stream = world.connect("");
    let mut helo = [0; 1 + 5 + 1 + 6 + 2 + 16 + 5 + 2 + 10 + 1];
    stream.read_exact(&mut helo).unwrap();
    let nonce = &helo[15..31];
    let hex = |parts: &[&[u8]]| -> String {
        let mut hash = Sha512::new();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    };
    let digest = hex(&[b"salt", b"client", nonce, key.as_bytes()]);
    let ping = ["PING", "client", "salt", &digest, "", ""].map(text);
    stream.write_all(&array(&ping)).unwrap();
    let mut head = [0; 7];
    stream.read_exact(&mut head).unwrap();
    let well = head[6] == 0xc3;
    let mut rest = Vec::new();
    if well {
        rest.resize(2 + 2 + 8 + 2 + 128, 0);
        stream.read_exact(&mut rest).unwrap();
        let proof = hex(&[b"salt", b"logbraid", nonce, key.as_bytes()]);
        assert!(String::from_utf8_lossy(&rest).ends_with(&proof), "the server proves that it knows the key");
    } else {
        stream.read_to_end(&mut rest).unwrap();
        assert!(String::from_utf8_lossy(&rest).contains("shared_key mismatch"), "{rest:x?}");
    }
    (stream, well)
}

#[test]
fn who_does_not_know_the_shared_key_is_told_and_sends_nothing() {
    let world = World::start("forward: { listen: '127.0.0.1:0', shared_key: s3cret, service: shop }");
    assert!(!shake(&world, "s3creT").1);
    let mut rude = world.connect("");
    rude.write_all(&chunk("rude", 0..3)).unwrap();
    let mut answer = Vec::new();
    let _ended = rude.read_to_end(&mut answer);
    assert!(!answer.windows(3).any(|bytes| bytes == b"ack"), "{answer:x?}");
    let (mut stream, well) = shake(&world, "s3cret");
    assert!(well);
    stream.write_all(&chunk("known", 10..11)).unwrap();
    assert_eq!(acknowledged(&mut stream).as_deref(), Some("known"));
    let records = world.records(1);
    assert_eq!(records.keys().collect::<Vec<_>>(), ["m00010"]);
    assert_eq!(
        (&records["m00010"]["service"], &records["m00010"]["fields"]["tag"]),
        (&"shop".into(), &"app.web".into())
    );
    assert!(world.metric("received_refused_total", 2.0) >= 2.0);
    for _ in 0..500 {
        if world.said().contains("was cut off") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(world.said().contains("shared key") && !world.said().contains("s3cret"), "{}", world.said());
}

#[test]
fn hostile_bytes_end_only_their_own_connection() {
    let world = World::start("forward: { listen: '127.0.0.1:0', message: 64KiB, timeout: 1s }");
    let before = world.resident();
    let bomb = gzip(&vec![0xc0; 50 << 20]);
    assert!(bomb.len() < 64 << 10);
    let compressed = |packed: &[u8]| {
        array(&[text("t"), bytes(packed), map(&[("compressed", text("gzip")), ("chunk", text("x"))])])
    };
    let mut attacks: Vec<Vec<u8>> = (1..60).map(|seed| noise(seed, 3000)).collect();
    attacks.extend([
        // Lengths that are lies, nests without an end, a bomb, no gzip, an entry that ends early, other values.
        b"\x93\xa1t\xdb\xff\xff\xff\xff".to_vec(),
        b"\x92\xa1t\xdd\xff\xff\xff\xff".to_vec(),
        [&b"\x93\xa1t\x01"[..], &vec![0x91; 40_000]].concat(),
        [&b"\x93\xa1t\x01"[..], &[0x91; 200], &[0x01]].concat(),
        compressed(&bomb),
        compressed(b"no gzip at all"),
        array(&[text("t"), bytes(b"\x92\x01\x81\xa1a"), map(&[("chunk", text("x"))])]),
        array(&[text("t"), bytes(&vec![0; 70_000])]),
        array(&[text("t"), vec![1], record("x"), map(&[]), vec![1]]),
        array(&[text("t"), vec![0xc3], record("x")]),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x93\xa1t\xc6\0\0\x10\0 never ends".to_vec(),
    ]);
    let count = attacks.len();
    for attack in attacks {
        let mut stream = world.connect("");
        // One who is cut off early may not be read to the end.
        let _cut_off = stream.write_all(&attack);
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).is_ok() {
            assert!(!answer.windows(3).any(|bytes| bytes == b"ack"), "{attack:x?}");
        }
    }
    assert!(count > 60);
    let silent: Vec<_> = (0..300).map(|_| world.connect("")).collect();
    let mut stream = world.connect("");
    stream.write_all(&chunk("honest", 0..100)).unwrap();
    assert_eq!(acknowledged(&mut stream).as_deref(), Some("honest"), "{}", world.said());
    assert!(
        world.metric("received_refused_total", 10.0) >= 10.0
            && world.metric("received_timeouts_total", 1.0) >= 1.0
    );
    assert!(world.said().matches("was cut off").count() <= 3, "{}", world.said());
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
            stream.write_all(&chunk(&format!("c{first}"), first..first + 50)).unwrap();
            assert_eq!(acknowledged(&mut stream), Some(format!("c{first}")), "{}", world.said());
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
fn a_chunk_whose_sender_left_before_it_was_told_is_there_once_when_it_comes_again() {
    let world = World::start(PLAIN);
    let pid = world.pid();
    // The sender is gone before the program reads what it sent.
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let mut left = world.connect("");
    left.write_all(&chunk("again", 0..20)).unwrap();
    drop(left);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert!(world.metric("received_lines_total", 20.0) >= 20.0);
    // Its place is empty again once it was found to be gone.
    for _ in 0..500 {
        if world.metric("received_connections", 0.0) < 0.5 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut stream = world.connect("");
    stream.write_all(&chunk("again", 0..20)).unwrap();
    assert_eq!(acknowledged(&mut stream).as_deref(), Some("again"));
    // The same id with other entries is another chunk.
    stream.write_all(&chunk("again", 20..21)).unwrap();
    assert_eq!(acknowledged(&mut stream).as_deref(), Some("again"));
    assert_eq!(world.messages(21).len(), 21);
    assert!((world.metric("received_lines_total", 21.0) - 21.0).abs() < 0.5);
}

#[test]
fn impossible_settings_are_told_with_help() {
    let world = World::start(PLAIN);
    for (source, texts) in [
        ("forward: {}".to_owned(), ["'listen'", "forward"]),
        ("forward: { listen: here }".to_owned(), ["'here' is not an address", "127.0.0.1:8080"]),
        ("forward: { listen: ':0', message: 1GiB }".to_owned(), ["'message'", "try `16MiB`"]),
        ("forward: { listen: ':0', shared_key: '' }".to_owned(), ["'shared_key'", "leave it out"]),
        (
            format!("forward: {{ listen: '{}' }}", world.address("")),
            ["cannot listen on", "choose another port"],
        ),
    ] {
        let text = refused(&format!("checkpoint: '{{path}}/state'\nsources: [{source}]\n"));
        assert!(texts.iter().all(|part| text.contains(part)), "{source}: {text}");
    }
}

#[test]
fn the_log_of_a_source_that_is_gone_is_told_of_and_the_new_source_serves() {
    let mut world = World::start(PLAIN);
    let mut stream = world.connect("");
    stream.write_all(&chunk("one", 0..10)).unwrap();
    assert_eq!(acknowledged(&mut stream).as_deref(), Some("one"));
    world.kill();
    let config = world.folder.path().join("run.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("127.0.0.1:0'", "127.0.0.2:0'")).unwrap();
    world.run();
    let said = world.said();
    assert!(said.contains("is not configured any more") && said.contains("forward-127.0.0.1-0"), "{said}");
    let mut stream = world.connect("");
    stream.write_all(&chunk("two", 10..20)).unwrap();
    assert_eq!(acknowledged(&mut stream).as_deref(), Some("two"));
}
