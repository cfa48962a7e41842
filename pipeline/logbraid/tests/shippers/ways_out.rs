//! The sinks `forward`, `syslog` and `http` with TLS, through real programs on both sides: one that sends, and one that
//! is sent to and killed.

use std::fmt::Write as _;
use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Authority;
use super::world::World;

/// A program that reads a file and sends its entries to `sink`.
struct Sending {
    folder: TempDir,
    child: Child,
}

impl Sending {
    fn start(lines: std::ops::Range<usize>, sink: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let mut text = String::new();
        for number in lines {
            let (second, milli) = (number / 1000 % 60, number % 1000);
            let _infallible = writeln!(
                text,
                "{{\"time\":\"2024-01-15T10:00:{second:02}.{milli:03}Z\",\"level\":\"WARN\",\"service\":\"api\",\
                 \"message\":\"m{number} é\"}}"
            );
        }
        std::fs::write(folder.path().join("app.log"), text).unwrap();
        let config = format!(
            "checkpoint: '{path}/state'\nsources: [files: {{ paths: ['{path}/app.log'], follow: true }}]\n\
             time: {{ idle_after: 300ms }}\noperators: []\nsinks: [{sink}]\n"
        );
        std::fs::write(folder.path().join("run.yaml"), config).unwrap();
        let stderr = File::create(folder.path().join("stderr")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
        command.args(["run", "-c"]).arg(folder.path().join("run.yaml"));
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().unwrap();
        Self { folder, child }
    }
    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }
    /// Waits until it says `text`.
    fn says(&self, text: &str) {
        for _ in 0..1000 {
            if self.said().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not say `{text}`: {}", self.said());
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port where nobody listens yet.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Messages `m0` to `m…` are all there.
fn all(world: &World, lines: usize, said: &str) {
    let found = world.records(lines);
    let lost = (0..lines).find(|number| !found.contains_key(&format!("m{number} é")));
    assert!(lost.is_none() && found.len() == lines, "{} of {lines}, lost {lost:?}: {said}", found.len());
    assert_eq!(found["m7 é"]["level"], "WARN");
    assert_eq!(found["m7 é"]["service"], "api");
}

#[test]
fn chunks_with_a_shared_key_and_tls_survive_kills_of_who_takes_them() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    let (folder, listen) = (authority.path().display(), free());
    let mut world = World::start(&format!(
        "forward: {{ listen: '{listen}', shared_key: k, tls: {{ certificate: '{folder}/server.pem', key: '{folder}/server.key' }} }}"
    ));
    let sending = Sending::start(
        0..20_000,
        &format!(
            "forward: {{ to: '{listen}', take: [entries], shared_key: k, tls: {{ ca: '{folder}/ca.pem' }}, \
             compression: gzip, timeout: 2s, batch: {{ records: 200, wait: 0s }} }}"
        ),
    );
    for _ in 0..2 {
        world.metric("received_lines_total", 1000.0);
        world.kill();
        world.run();
    }
    all(&world, 20_000, &sending.said());
}

#[test]
fn messages_of_syslog_arrive_over_tcp_tls_udp_and_unix_sockets() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    let (folder, listen) = (authority.path().display(), free());
    let world = World::start(&format!(
        "syslog: {{ tcp: '{listen}', tls: {{ certificate: '{folder}/server.pem', key: '{folder}/server.key' }} }}"
    ));
    let sending = Sending::start(
        0..3000,
        &format!(
            "syslog: {{ tcp: '{listen}', take: [entries], tls: {{ ca: '{folder}/ca.pem' }}, format: text }}"
        ),
    );
    all(&world, 3000, &sending.said());
    drop((sending, world));
    let world = World::start(
        "syslog: { tcp: '127.0.0.1:0', udp: '127.0.0.1:0', unix: '{path}/log', unix_stream: '{path}/stream' }",
    );
    let path = world.folder.path().display();
    let tcp = format!("tcp: '{}'", world.address("tcp"));
    let udp = format!("udp: '{}'", world.address("udp"));
    let (unix, stream) = (format!("unix: '{path}/log'"), format!("unix_stream: '{path}/stream'"));
    let ways = [(tcp, ", framing: newline"), (udp, ""), (unix, ""), (stream, "")];
    for (from, (way, more)) in (0..).step_by(100).zip(ways) {
        // So few that no datagram is dropped.
        let sending = Sending::start(
            from..from + 100,
            &format!("syslog: {{ {way}, take: [entries], format: text{more} }}"),
        );
        all(&world, from + 100, &sending.said());
    }
}

#[test]
fn https_is_posted_and_a_certificate_of_another_authority_or_name_is_said() {
    let (authority, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    authority.vouch("server", "127.0.0.1");
    authority.vouch("named", "logs.example");
    authority.vouch("own", "sender");
    let folder = authority.path().display();
    let source = |file: &str| {
        World::start(&format!(
            "http: {{ listen: '127.0.0.1:0', tls: {{ certificate: '{folder}/{file}.pem', key: '{folder}/{file}.key', client_ca: '{folder}/ca.pem' }} }}"
        ))
    };
    let own = format!("certificate: '{folder}/own.pem', key: '{folder}/own.key'");
    let sink = |world: &World, tls: &str| {
        format!("http: {{ url: 'https://{}', take: [entries], tls: {{ {tls} }} }}", world.address(""))
    };
    let world = source("server");
    let sending = Sending::start(0..3000, &sink(&world, &format!("ca: '{folder}/ca.pem', {own}")));
    let found = world.records(3000);
    assert_eq!(found.len(), 3000, "{}", sending.said());
    let stranger =
        Sending::start(0..1, &sink(&world, &format!("ca: '{}/ca.pem', {own}", other.path().display())));
    stranger.says("the server's certificate is not accepted");
    stranger.says("`tls.ca` names whose are accepted");
    let without = Sending::start(0..1, &sink(&world, &format!("ca: '{folder}/ca.pem'")));
    without.says("if the server asks for a certificate, name it in `tls.certificate`");
    let plain =
        Sending::start(0..1, &format!("http: {{ url: 'http://{}', take: [entries] }}", world.address("")));
    plain.says("the connection broke");
    let named = source("named");
    let wrong = Sending::start(0..1, &sink(&named, &format!("ca: '{folder}/ca.pem', {own}")));
    wrong.says("it is not for `127.0.0.1`; `tls.name` says what it is for");
    let right =
        Sending::start(0..100, &sink(&named, &format!("ca: '{folder}/ca.pem', {own}, name: logs.example")));
    assert_eq!(named.records(100).len(), 100, "{}", right.said());
}

#[test]
fn a_wrong_key_a_server_without_one_and_a_missing_file_are_said() {
    let world = World::start("forward: { listen: '127.0.0.1:0', shared_key: right }");
    let to = world.address("").to_string();
    let wrong = Sending::start(0..1, &format!("forward: {{ to: '{to}', shared_key: wrong }}"));
    drop(wrong);
    let sink = |more: &str| format!("forward: {{ to: '{to}', take: [entries], timeout: 1s{more} }}");
    let wrong = Sending::start(0..1, &sink(", shared_key: wrong"));
    wrong.says("the server refuses us: shared_key mismatch; see `shared_key`");
    let none = Sending::start(0..1, &sink(""));
    none.says("does it ask for a `shared_key`");
    let missing = Sending::start(0..1, &sink(", tls: { ca: /nowhere/ca.pem }"));
    missing.says("/nowhere/ca.pem' cannot be read");
    missing.says("name a file that this user may read");
    let open = World::start("forward: { listen: '127.0.0.1:0' }");
    let to = open.address("").to_string();
    let asked = Sending::start(
        0..1,
        &format!("forward: {{ to: '{to}', take: [entries], timeout: 1s, shared_key: k }}"),
    );
    asked.says("waiting for the server's HELO; does it ask for a shared key?");
    let nobody =
        Sending::start(0..1, &format!("syslog: {{ tcp: '{}', take: [entries], timeout: 1s }}", free()));
    nobody.says("cannot connect");
}

#[test]
fn a_server_of_syslog_that_asks_for_a_certificate_is_heard_though_it_answers_nothing() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    let (folder, listen) = (authority.path().display(), free());
    let world = World::start(&format!(
        "syslog: {{ tcp: '{listen}', tls: {{ certificate: '{folder}/server.pem', key: '{folder}/server.key', \
         client_ca: '{folder}/ca.pem' }} }}"
    ));
    let sending = Sending::start(
        0..100,
        &format!(
            "syslog: {{ tcp: '{listen}', take: [entries], tls: {{ ca: '{folder}/ca.pem' }}, timeout: 2s }}"
        ),
    );
    sending.says("name it in `tls.certificate`");
    world.metric("received_tls_refused_total", 2.0);
    assert!(sending.said().contains("trying again until it works"), "{}", sending.said());
}
