//! systemd's journal at the source `http`, as `systemd-journal-upload` sends it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::world::{World, noise};

const PLAIN: &str = "http: { listen: '127.0.0.1:0' }";
const KIND: &str = "application/vnd.fdo.journal";

fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
}

/// An entry of 2026-09-21T14:13:20Z.
fn entry(message: &str) -> Vec<u8> {
    format!(
        "__CURSOR=s=1;i={message}\n__REALTIME_TIMESTAMP=1790000000123456\n_HOSTNAME=n1\n_PID=77\nPRIORITY=4\n\
         SYSLOG_IDENTIFIER=sshd\n_SYSTEMD_UNIT=ssh.service\nMESSAGE={message}\n\n"
    )
    .into_bytes()
}

fn entries(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(|number| entry(&format!("m{number:05}"))).collect()
}

/// An upload whose body is open.
struct Upload(TcpStream);

impl Upload {
    fn open(world: &World) -> Self {
        Self::open_as(world, KIND, "")
    }
    fn open_as(world: &World, kind: &str, header: &str) -> Self {
        let mut stream = world.connect("");
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\
             Accept: text/plain\r\n{header}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self(stream)
    }
    /// Sends a chunk; false when nobody takes it any more.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut head = String::new();
        write!(head, "{:x}\r\n", bytes.len()).unwrap();
        self.0.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).is_ok()
    }
    /// The status and the text of the answer, once there is one.
    fn answer(mut self) -> (u16, String) {
        let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
        let length = |answer: &[u8]| {
            let text = String::from_utf8_lossy(answer).into_owned();
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            (body.len() >= length.parse().ok()?).then(|| (head.to_owned(), body.to_owned()))
        };
        loop {
            if let Some((head, body)) = length(&answer) {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return (status.unwrap_or(0), body);
            }
            match self.0.read(&mut bytes) {
                Ok(read) if read > 0 => answer.extend_from_slice(&bytes[..read]),
                _ => return (0, String::from_utf8_lossy(&answer).into_owned()),
            }
        }
    }
    fn end(mut self) -> (u16, String) {
        let _refused_early = self.0.write_all(b"0\r\n\r\n");
        self.answer()
    }
}

/// Uploads in one chunk.
fn upload(world: &World, bytes: &[u8]) -> (u16, String) {
    let mut upload = Upload::open(world);
    upload.send(bytes);
    upload.end()
}

#[test]
fn what_a_journal_has_arrives_with_its_time_its_level_its_names_and_its_bytes() {
    let world = World::start(PLAIN);
    let bytes = [
        entry("m1"),
        b"__REALTIME_TIMESTAMP=1790000001000000\nPRIORITY=3\n_SYSTEMD_UNIT=cart.service\n".to_vec(),
        binary("MESSAGE", b"m2\nat line two"),
        b"\n__REALTIME_TIMESTAMP=1790000002000000\nPRIORITY=6\nOBJECT_PID=1\nOBJECT_PID=2\n".to_vec(),
        binary("MESSAGE", b"m3 \xff"),
        // journalctl ends an entry with an empty line, and so does the body.
        b"\n__REALTIME_TIMESTAMP=1790000003000000\nMESSAGE={\"level\":\"warn\",\"msg\":\"m4\",\"request_id\":\"r-7\"}\n".to_vec(),
    ]
    .concat();
    assert_eq!(upload(&world, &bytes), (202, "{\"accepted\":4}\n".to_owned()), "{}", world.said());
    let records = world.records(4);
    for (message, time, level, service) in [
        ("m1", "2026-09-21T14:13:20.123456Z", Some("WARN"), Some("sshd")),
        ("m2\nat line two", "2026-09-21T14:13:21Z", Some("ERROR"), Some("cart")),
        ("m3 \u{fffd}", "2026-09-21T14:13:22Z", Some("INFO"), None),
        ("m4", "2026-09-21T14:13:23Z", Some("WARN"), None),
    ] {
        let record = records.get(message).unwrap_or_else(|| panic!("{message}: {records:?}"));
        assert_eq!(record["timestamp"], time, "{record}");
        assert_eq!((record["level"].as_str(), record["service"].as_str()), (level, service), "{record}");
    }
    let first = &records["m1"];
    assert_eq!((&first["host"], &first["thread_id"]), (&"n1".into(), &"77".into()), "{first}");
    assert!(first.to_string().contains("s=1;i=m1"), "{first}");
    assert_eq!(records["m4"]["correlation_id"], "r-7");
}

#[test]
fn entries_are_written_while_the_body_is_open_and_answered_once_it_has_ended() {
    let world = World::start("http: { listen: '127.0.0.1:0', timeout: 500ms }");
    let mut open = Upload::open(&world);
    assert!(open.send(&entries(0..20)));
    assert_eq!(world.records(20).len(), 20, "the body is open");
    // Silence between entries is no fault, however long.
    std::thread::sleep(Duration::from_millis(1500));
    // A chunk may end anywhere.
    let more = entries(20..40);
    for part in more.chunks(97) {
        assert!(open.send(part));
    }
    assert_eq!(world.records(40).len(), 40);
    open.0.set_nonblocking(true).unwrap();
    assert!(open.0.read(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    open.0.set_nonblocking(false).unwrap();
    assert_eq!(open.end(), (202, "{\"accepted\":40}\n".to_owned()));
}

#[test]
fn an_entry_that_does_not_arrive_in_time_ends_its_upload_and_what_came_before_stays() {
    let world = World::start("http: { listen: '127.0.0.1:0', timeout: 500ms }");
    let mut half = Upload::open(&world);
    half.send(&[&entries(0..3)[..], b"MESSAGE=half"].concat());
    let (status, why) = half.answer();
    assert!(status == 408 && why.contains("500ms"), "{status} {why}");
    // One byte at a time is not in time either.
    let mut trickle = Upload::open(&world);
    for byte in [&b"MESSAGE="[..], &[b'x'; 100]].concat() {
        if !trickle.send(&[byte]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(trickle.answer().0, 408);
    assert_eq!(world.messages(3), ["m00000", "m00001", "m00002"]);
    assert!(world.metric("received_timeouts_total", 2.0) >= 2.0);
}

#[test]
fn what_was_answered_is_written_after_a_kill_and_what_was_not_may_come_again() {
    let mut world = World::start(PLAIN);
    assert_eq!(upload(&world, &entries(0..2000)).0, 202);
    let mut open = Upload::open(&world);
    assert!(open.send(&entries(2000..3000)));
    world.kill();
    assert_eq!(open.answer().0, 0, "nobody answers");
    world.run();
    assert_eq!(upload(&world, &entries(2000..3000)), (202, "{\"accepted\":1000}\n".to_owned()));
    let found = world.messages(3000);
    assert_eq!(found.len(), 3000);
    assert_eq!((found[0].as_str(), found[2999].as_str()), ("m00000", "m02999"));
}

#[test]
fn what_is_no_journal_is_refused_with_a_reason_and_an_upload_is_ended_with_its_listener() {
    let mut world = World::start(PLAIN);
    for (kind, header, body, status, why) in [
        ("text/plain", "", &b"MESSAGE=x\n"[..], 415, KIND),
        (KIND, "Content-Encoding: gzip\r\n", b"MESSAGE=x\n", 415, "without `Content-Encoding`"),
        (KIND, "Content-Encoding: zstd\r\n", b"MESSAGE=x\n", 415, "zstd"),
        (KIND, "", b"{\"MESSAGE\":\"x=y\"}\n", 400, "journalctl -o export"),
        (KIND, "", b"MESSAGE=kept1\n\nMESSAGE=x\nno field\n", 400, "1 entries before it were kept"),
        (KIND, "", b"MESSAGE=kept2\n\nMESSAGE=x", 400, "ends in the middle"),
        (KIND, "", b"MESSAGE=x\nB\n\0\0\0\0\0\0\0\x80", 400, "9223372036854775808"),
    ] {
        let mut open = Upload::open_as(&world, kind, header);
        open.send(body);
        let (answered, text) = open.end();
        assert!(answered == status && text.contains(why), "{why}: {answered} {text}");
    }
    assert_eq!(world.messages(2), ["kept1", "kept2"]);
    let token = World::start("http: { listen: '127.0.0.1:0', token: secret }");
    assert_eq!(upload(&token, &entries(0..1)).0, 401);
    let mut open = Upload::open(&world);
    assert!(open.send(&entries(0..10)));
    assert_eq!(world.records(12).len(), 12);
    world.stop();
    let (status, why) = open.answer();
    assert!(status == 503 && why.contains("stopping"), "{status} {why}");
}

#[test]
fn hostile_uploads_cost_little_and_an_entry_that_is_too_long_is_cut_and_counted() {
    let world = World::start("http: { listen: '127.0.0.1:0', body: 64KiB }");
    for seed in 0..100 {
        let body = if seed % 2 == 0 {
            noise(seed + 1, 3000)
        } else {
            [&entries(0..3)[..], &noise(seed + 1, 300)].concat()
        };
        let (status, text) = upload(&world, &body);
        assert!([202, 400].contains(&status), "{status} {text}");
    }
    let before = world.resident();
    let mut long = Upload::open(&world);
    long.send(&[&b"MESSAGE=first\n_PID=1\nCORE\n"[..], &(128_u64 << 20).to_le_bytes()].concat());
    let filler = vec![b'x'; 1 << 20];
    for _ in 0..128 {
        assert!(long.send(&filler));
    }
    long.send(b"\nSYSLOG_IDENTIFIER=app\n\nMESSAGE=");
    for _ in 0..64 {
        assert!(long.send(&filler));
    }
    long.send(b"\n\nMESSAGE=last\n\n");
    assert!(world.resident() < before + (64 << 20), "{before} {}", world.resident());
    assert_eq!(long.end(), (202, "{\"accepted\":3}\n".to_owned()));
    assert!(world.metric("received_cut_total", 2.0) >= 2.0);
    let records = world.records(6);
    assert_eq!(records["first"]["service"], "app", "what follows a long field is there");
    assert!(records.contains_key("last") && records.keys().any(|message| message.starts_with("xxxx")));
}

#[test]
fn many_unfinished_entries_keep_no_whole_ones_waiting() {
    let world = World::start("http: { listen: '127.0.0.1:0', timeout: 3s }");
    let half = [&b"MESSAGE="[..], &vec![b'x'; 4 << 20]].concat();
    let mut hostile: Vec<Upload> = (0..12).map(|_| Upload::open(&world)).collect();
    let senders: Vec<_> = hostile
        .drain(..)
        .map(|mut upload| {
            let half = half.clone();
            std::thread::spawn(move || {
                upload.send(&half);
                upload.answer().0
            })
        })
        .collect();
    assert_eq!(upload(&world, &entries(0..50)).0, 202);
    let statuses: Vec<u16> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    assert!(statuses.iter().all(|status| [408, 429].contains(status)), "{statuses:?}");
    assert_eq!(world.records(50).len(), 50);
}

/// A sink that writes to a pipe takes no more than is read of it.
#[test]
fn a_slow_pipeline_makes_an_upload_wait_and_refuses_nothing() {
    const ENTRIES: usize = 60_000;
    let mut world = World::start("http: { listen: '127.0.0.1:0', timeout: 500ms }");
    world.kill();
    // Entries of a minute: the log has to hold them all.
    let config = world.folder.path().join("run.yaml");
    let text = std::fs::read_to_string(&config).unwrap().replace("disk: 64MiB", "disk: 1GiB");
    std::fs::write(&config, text).unwrap();
    let pipe = world.folder.path().join("out.ndjson");
    // Nothing was written yet.
    let _gone = std::fs::remove_file(&pipe);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let opening = std::thread::spawn(move || File::open(pipe).unwrap());
    world.run();
    let mut open = Upload::open(&world);
    let filler = "x".repeat(2000);
    let sent = Arc::new(AtomicUsize::new(0));
    let progress = Arc::clone(&sent);
    let sender = std::thread::spawn(move || {
        for numbers in (0..ENTRIES).collect::<Vec<_>>().chunks(100) {
            let bytes: Vec<u8> = numbers
                .iter()
                .flat_map(|number| {
                    let time = 1_790_000_000_000_000_u64 + *number as u64 * 1000;
                    format!("__REALTIME_TIMESTAMP={time}\nFILLER={filler}\nMESSAGE=m{number:05}\n\n")
                        .into_bytes()
                })
                .collect();
            assert!(open.send(&bytes), "it is not refused");
            progress.fetch_add(numbers.len(), Ordering::Relaxed);
        }
        open.end()
    });
    let mut before = usize::MAX;
    for _ in 0..60 {
        std::thread::sleep(Duration::from_secs(1));
        let now = sent.load(Ordering::Relaxed);
        if std::mem::replace(&mut before, now) == now {
            break;
        }
    }
    assert!(before > 1000 && before < ENTRIES, "{before} were taken");
    assert!(!sender.is_finished());
    assert!(world.resident() < 400 << 20, "{}", world.resident());
    let pipe = opening.join().unwrap();
    let reader = std::thread::spawn(move || {
        let mut messages = BTreeSet::new();
        for line in BufReader::new(pipe).lines() {
            let record: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            assert!(messages.insert(record["message"].as_str().unwrap().to_owned()), "{record}");
            if messages.len() == ENTRIES {
                break;
            }
        }
        messages.len()
    });
    assert_eq!(sender.join().unwrap(), (202, format!("{{\"accepted\":{ENTRIES}}}\n")));
    assert_eq!(reader.join().unwrap(), ENTRIES);
}
