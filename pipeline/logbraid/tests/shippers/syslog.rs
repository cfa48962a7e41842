//! The source `syslog`.

use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::Duration;

use super::world::{World, noise, refused};

const ALL: &str =
    "syslog: { tcp: '127.0.0.1:0', udp: '127.0.0.1:0', unix: '{path}/log', unix_stream: '{path}/stream' }";
const TCP: &str = "syslog: { tcp: '127.0.0.1:0' }";

/// A message with a time of its own, so that no two are late for one another.
fn message(number: usize) -> String {
    format!("<14>1 2024-01-15T10:00:00.{:06}Z host app 7 - - m{number:05}", number % 1_000_000)
}

/// False, and told, where there is no `logger`.
fn logger(arguments: &[&str]) -> bool {
    match Command::new("logger").args(arguments).output() {
        Ok(output) => {
            assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            eprintln!("skipped: logger: {error}");
            false
        }
    }
}

#[test]
fn what_logger_sends_arrives_with_its_fields_whichever_way_it_comes() {
    let world = World::start(ALL);
    let (tcp, udp) = (world.address("tcp").port().to_string(), world.address("udp").port().to_string());
    let path = world.folder.path().join("log");
    let stream = world.folder.path().join("stream");
    let (path, stream) = (path.to_str().unwrap(), stream.to_str().unwrap());
    let new = ["--rfc5424", "--id=77", "-t", "payments", "-p", "local0.err"];
    let data = ["--sd-id", "order@1", "--sd-param", "request_id=\"r-9\""];
    let ways: [(&[&str], &str); 6] = [
        (&["-T", "-n", "127.0.0.1", "-P", &tcp, "--octet-count"], "counted"),
        (&["-T", "-n", "127.0.0.1", "-P", &tcp], "newlines"),
        (&["-d", "-n", "127.0.0.1", "-P", &udp], "udp"),
        (&["-u", path], "unix"),
        (&["-u", stream], "stream"),
        (
            &[
                "-T",
                "-n",
                "127.0.0.1",
                "-P",
                &tcp,
                "--octet-count",
                "--rfc3164",
                "-t",
                "gate",
                "-p",
                "user.warning",
            ],
            "old",
        ),
    ];
    for (arguments, text) in ways {
        let new: &[&str] = if text == "old" { &[] } else { &new };
        let data: &[&str] = if text == "old" { &[] } else { &data };
        if !logger(&[arguments, new, data, &[text]].concat()) {
            return;
        }
    }
    let records = world.records(6);
    assert_eq!(records.len(), 6, "{records:?} {}", world.said());
    for (text, record) in &records {
        let expected = if text == "old" { ("WARN", "gate") } else { ("ERROR", "payments") };
        assert_eq!(
            (&record["level"], &record["service"]),
            (&expected.0.into(), &expected.1.into()),
            "{record}"
        );
        assert!(record["host"].is_string() && record["format"] == "syslog", "{record}");
        if text != "old" {
            assert_eq!((&record["thread_id"], &record["correlation_id"]), (&"77".into(), &"r-9".into()));
            assert_eq!(record["fields"]["order@1"]["request_id"], "r-9");
        }
    }
}

#[test]
fn hostile_bytes_end_at_most_their_own_connection() {
    let world =
        World::start("syslog: { tcp: '127.0.0.1:0', udp: '127.0.0.1:0', message: 4KiB, timeout: 1s }");
    let before = world.resident();
    // Random bytes, an endless line, lengths that are too long, too short, far too long, and no message at all.
    let mut streams = Vec::new();
    for bytes in [
        noise(1, 300_000),
        vec![b'A'; 2_000_000],
        b"500 <14>cut short\n".to_vec(),
        b"3 <14>1 - - - - - - too short\n".to_vec(),
        b"999999999 <14>1 - - - - - - never ends".to_vec(),
        b"99999999999999999999 <14>no length\n".to_vec(),
        b"\0\0\0\n\n\r\n   \n".to_vec(),
    ] {
        let mut stream = world.connect("tcp");
        // One who is cut off may not be read to the end.
        let _cut_off = stream.write_all(&bytes);
        streams.push(stream);
    }
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..200_u16 {
        sender
            .send_to(&noise(u64::from(number) + 2, 1 + 7 * usize::from(number)), world.address("udp"))
            .unwrap();
        sender.send_to(b"", world.address("udp")).unwrap();
    }
    sender.send_to(&vec![b'B'; 60_000], world.address("udp")).unwrap();
    let mut honest = world.connect("tcp");
    writeln!(honest, "{}", message(1)).unwrap();
    assert!(world.metric("received_cut_total", 4.0) >= 4.0, "{}", world.said());
    // What does not end is kept and closed once its time is over.
    assert!(world.metric("received_timeouts_total", 2.0) >= 2.0);
    writeln!(honest, "{}", message(2)).unwrap();
    let found =
        |messages: Vec<String>| messages.iter().filter(|message| message.starts_with("m0000")).count();
    for _ in 0..1000 {
        if found(world.messages(0)) == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let messages = world.messages(0);
    assert_eq!(found(messages.clone()), 2, "{messages:?}");
    assert!(messages.iter().any(|message| message.ends_with("never ends")), "{messages:?}");
    let grown = world.resident().saturating_sub(before);
    assert!(grown < 60 << 20, "{grown}");
}

#[test]
fn silent_connections_and_unfinished_messages_keep_nobody_out() {
    let world = World::start(TCP);
    let before = world.resident();
    let silent: Vec<_> = (0..300).map(|_| world.connect("tcp")).collect();
    let mut unfinished: Vec<_> = (0..200).map(|_| world.connect("tcp")).collect();
    for stream in &mut unfinished {
        // Together more than unfinished messages may take.
        stream.set_nonblocking(true).unwrap();
        let _as_much_as_fits = stream.write(&vec![b'x'; 200_000]);
    }
    let mut honest = world.connect("tcp");
    for number in 0..50 {
        writeln!(honest, "{}", message(number)).unwrap();
    }
    assert_eq!(world.messages(50).len(), 50, "{}", world.said());
    let grown = world.resident().saturating_sub(before);
    assert!(grown < 120 << 20, "{grown}");
    drop((silent, unfinished));
}

#[test]
fn more_connections_than_may_be_are_closed_and_counted() {
    let world = World::start("syslog: { tcp: '127.0.0.1:0', connections: 2 }");
    let _two = [world.connect("tcp"), world.connect("tcp")];
    assert!(world.metric("received_connections", 2.0) >= 2.0);
    let _third = world.connect("tcp");
    assert!(world.metric("received_connections_refused_total", 1.0) >= 1.0);
}

#[test]
fn what_the_program_was_sent_before_it_stops_is_written_by_the_next_run() {
    let mut world = World::start(ALL);
    let mut tcp = world.connect("tcp");
    tcp.set_nodelay(true).unwrap();
    let mut stream = UnixStream::connect(world.folder.path().join("stream")).unwrap();
    let datagrams = UnixDatagram::unbound().unwrap();
    for number in 0..3000 {
        let message = message(number);
        match number % 3 {
            0 => write!(tcp, "{} {message}", message.len()).unwrap(),
            1 => writeln!(stream, "{message}").unwrap(),
            _ => assert!(datagrams.send_to(message.as_bytes(), world.folder.path().join("log")).is_ok()),
        }
    }
    // The last one has no end; all of it lies in the kernel at the latest.
    write!(tcp, "{}", message(3000)).unwrap();
    world.stop();
    world.run();
    let messages = world.messages(3001);
    let missing: Vec<String> = (0..=3000)
        .map(|number| format!("m{number:05}"))
        .filter(|message| !messages.contains(message))
        .collect();
    assert!(missing.is_empty(), "{missing:?} {}", world.said());
    world.kill();
    world.run();
    assert!(
        UnixStream::connect(world.folder.path().join("stream")).is_ok(),
        "a socket that was left is taken over"
    );
}

#[test]
fn datagrams_that_the_kernel_drops_are_counted() {
    let world = World::start("syslog: { udp: '127.0.0.1:0' }");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Longer than what the kernel holds takes to fill, while the program is not running.
    let pid = world.pid();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let message = vec![b'x'; 60_000];
    let sent = 2000;
    for _ in 0..sent {
        sender.send_to(&message, world.address("udp")).unwrap();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert!(world.metric("received_dropped_total", 1.0) >= 1.0);
    let taken = world.metric("received_lines_total", 1.0);
    let counted =
        || taken.max(world.metric("received_lines_total", 0.0)) + world.metric("received_dropped_total", 0.0);
    for _ in 0..500 {
        if counted() >= f64::from(sent) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!((counted() - f64::from(sent)).abs() < 0.5, "{} of {sent}", counted());
}

#[test]
fn addresses_that_cannot_be_used_are_told_with_help() {
    let world = World::start(ALL);
    let path = world.folder.path().display();
    let (tcp, udp) = (world.address("tcp"), world.address("udp"));
    for (source, texts) in [
        ("syslog: {}".to_owned(), ["'tcp'", "try `tcp: 127.0.0.1:5514`"]),
        ("syslog: { tcp: here }".to_owned(), ["'here' is not an address", "127.0.0.1:8080"]),
        ("syslog: { udp: ':0', message: 1GiB }".to_owned(), ["'message'", "try `256KiB`"]),
        (format!("syslog: {{ tcp: '{tcp}' }}"), ["cannot listen on", "choose another port"]),
        (format!("syslog: {{ udp: '{udp}' }}"), ["cannot listen on", "choose another port"]),
        (format!("syslog: {{ unix: '{path}/log' }}"), ["somebody listens on", "name another path"]),
        (format!("syslog: {{ unix_stream: '{path}/stream' }}"), ["somebody listens on", "name another path"]),
        (format!("syslog: {{ unix: '{path}/run.yaml' }}"), ["is no socket", "name another path"]),
        ("syslog: { unix: '{path}/none/log' }".to_owned(), ["cannot listen on", "make the folder first"]),
    ] {
        let text = refused(&format!("checkpoint: '{{path}}/state'\nsources: [{source}]\n"));
        assert!(texts.iter().all(|part| text.contains(part)), "{source}: {text}");
    }
}
