//! TLS of the sources that listen over TCP, with OpenSSL's and curl's own programs as senders.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslStream};

use super::certificates::Authority;
use super::world::{World, refused};

/// `tls` of a source whose files are the authority's.
fn tls(authority: &Authority, file: &str, client_ca: bool) -> String {
    let folder = authority.path().display();
    let client_ca = if client_ca { format!(", client_ca: '{folder}/ca.pem'") } else { String::new() };
    format!("tls: {{ certificate: '{folder}/{file}.pem', key: '{folder}/{file}.key'{client_ca} }}")
}

/// A handshake, with a certificate of the sender's own where there is one.
fn handshake(
    world: &World,
    kind: &str,
    ca: &Path,
    own: Option<&str>,
) -> Result<SslStream<TcpStream>, String> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(ca.join("ca.pem")).unwrap();
    if let Some(own) = own {
        connector.set_certificate_file(ca.join(format!("{own}.pem")), SslFiletype::PEM).unwrap();
        connector.set_private_key_file(ca.join(format!("{own}.key")), SslFiletype::PEM).unwrap();
    }
    connector.build().connect("127.0.0.1", world.connect(kind)).map_err(|error| error.to_string())
}

fn curl(world: &World, scheme: &str, args: &[&str]) -> Output {
    let url = format!("{scheme}://{}/", world.address(""));
    Command::new("curl")
        .args(["-sS", "-m", "20", "--data-binary", "level=info msg=curl"])
        .args(args)
        .arg(url)
        .output()
        .unwrap()
}

/// What OpenSSL's client program is shown, when it sends `line`.
fn s_client(world: &World, kind: &str, authority: &Authority, args: &[&str], line: &str) -> String {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-connect",
            &world.address(kind).to_string(),
            "-CAfile",
        ])
        .arg(authority.path().join("ca.pem"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _refused_early = child.stdin.take().unwrap().write_all(line.as_bytes());
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

/// True when the other end closes; what it says before that is read.
fn closes(stream: &mut impl std::io::Read) -> bool {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn http_is_answered_through_tls_and_who_speaks_plain_text_or_has_another_authority_is_refused() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    let world =
        World::start(&format!("http: {{ listen: '127.0.0.1:0', {} }}", tls(&authority, "server", false)));
    let ca = authority.path().join("ca.pem").display().to_string();
    for version in ["1.2", "1.3"] {
        let Output { stdout, stderr, .. } = curl(&world, "https", &["--cacert", &ca, "--tls-max", version]);
        assert_eq!(stdout, b"{\"accepted\":1}\n", "{}", String::from_utf8_lossy(&stderr));
    }
    assert_eq!(world.records(1)["curl"]["level"], "INFO");
    let old =
        curl(&world, "https", &["--cacert", &ca, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]);
    assert!(!old.status.success());
    // Those who do not know the authority leave, and plain text is no handshake; neither waits.
    let other = Authority::new("Other CA").path().join("ca.pem").display().to_string();
    assert_eq!(curl(&world, "https", &["--cacert", &other]).status.code(), Some(77), "no such file");
    let other = Authority::new("Other CA");
    let path = other.path().join("ca.pem").display().to_string();
    assert_eq!(curl(&world, "https", &["--cacert", &path]).status.code(), Some(60));
    assert!(!curl(&world, "http", &[]).status.success());
    assert!(world.metric("received_tls_refused_total", 3.0) >= 3.0);
    assert!(world.said().contains("was refused: "), "{}", world.said());
}

#[test]
fn forward_and_syslog_take_those_who_show_a_certificate_of_the_authority() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    authority.vouch("sender", "sender");
    authority.expired("old", "sender");
    let other = Authority::new("Test CA");
    other.vouch("sender", "sender");
    std::fs::copy(authority.path().join("ca.pem"), other.path().join("ca.pem")).unwrap();
    let tls = tls(&authority, "server", true);

    let world = World::start(&format!("forward: {{ listen: '127.0.0.1:0', {tls} }}"));
    let mut stream = handshake(&world, "", authority.path(), Some("sender")).unwrap();
    // ["app", 5, {"message": "m", "level": "warn"}, {"chunk": "c"}]
    let message = b"\x94\xa3app\x05\x82\xa7message\xa1m\xa5level\xa4warn\x81\xa5chunk\xa1c";
    for byte in message.chunks(7) {
        stream.write_all(byte).unwrap();
    }
    let mut ack = [0; 9];
    stream.read_exact(&mut ack).unwrap();
    assert_eq!(&ack, b"\x81\xa3ack\xda\0\x01c");
    assert_eq!(world.records(1)["m"]["level"], "WARN");
    for (ca, own) in [(&authority, None), (&authority, Some("old")), (&other, Some("sender"))] {
        // With TLS 1.3 a client has ended its part before it is refused.
        if let Ok(mut stream) = handshake(&world, "", ca.path(), own) {
            let _refused = stream.write_all(message);
            assert!(closes(&mut stream), "{own:?}");
        }
    }
    let mut plain = world.connect("");
    plain.write_all(message).unwrap();
    assert!(closes(&mut plain));
    assert!(world.metric("received_tls_refused_total", 4.0) >= 4.0, "{}", world.said());
    assert!((world.metric("received_lines_total", 1.0) - 1.0).abs() < f64::EPSILON);
    assert!(world.said().contains("showed no certificate"), "{}", world.said());

    let world = World::start(&format!("syslog: {{ tcp: '127.0.0.1:0', {tls} }}"));
    let pem = |name: &str| authority.path().join(name).display().to_string();
    let (certificate, key) = (pem("sender.pem"), pem("sender.key"));
    // Longer than a record of TLS, so that it comes in parts; the last has no end.
    let long = "x".repeat(40_000);
    let lines = format!(
        "<11>Jan 15 10:00:00 h app: first\n<11>Jan 15 10:00:00 h app: {long}\n<11>Jan 15 10:00:00 h app: last"
    );
    let said = s_client(&world, "tcp", &authority, &["-cert", &certificate, "-key", &key], &lines);
    let records = world.records(3);
    assert_eq!(records.keys().collect::<Vec<_>>(), ["first", "last", &long], "{said} {}", world.said());
    s_client(&world, "tcp", &authority, &[], "<11>Jan 15 10:00:00 h app: stranger\n");
    assert!(world.metric("received_tls_refused_total", 1.0) >= 1.0, "{}", world.said());
    assert_eq!(world.records(3).len(), 3);
}

#[test]
fn a_handshake_that_does_not_end_keeps_nobody_and_a_stop_does_not_wait_for_it() {
    let authority = Authority::new("Test CA");
    authority.expired("server", "127.0.0.1");
    let mut world = World::start(&format!(
        "forward: {{ listen: '127.0.0.1:0', timeout: 300ms, {} }}",
        tls(&authority, "server", false)
    ));
    assert!(world.said().contains("expired on Jan  2 "), "{}", world.said());
    // The beginning of a hello, and nothing.
    let mut half = world.connect("");
    half.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    let mut silent = world.connect("");
    assert!(closes(&mut half) && closes(&mut silent));
    assert!(world.metric("received_timeouts_total", 2.0) >= 2.0);
    let refused = handshake(&world, "", authority.path(), None).err().unwrap();
    assert!(refused.contains("certificate"), "{refused}");
    world.stop();

    let mut world =
        World::start(&format!("syslog: {{ tcp: '127.0.0.1:0', {} }}", tls(&authority, "server", false)));
    let _silent = world.connect("tcp");
    world.metric("received_connections", 1.0);
    world.stop();
}

#[test]
fn windows_of_lumberjack_are_acknowledged_through_tls_and_plain_ones_are_refused() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    let settings = tls(&authority, "server", false);
    let world = World::start(&format!("lumberjack: {{ listen: '127.0.0.1:0', timeout: 5s, {settings} }}"));
    let event = |number: u8, message: &str| {
        let json = format!("{{\"message\":\"{message}\"}}");
        let length = u32::try_from(json.len()).unwrap().to_be_bytes();
        [&b"2J\0\0\0"[..], &[number], &length, json.as_bytes()].concat()
    };
    // Longer than a record of TLS, so that it comes in parts.
    let long = "x".repeat(40_000);
    let window = [b"2W\0\0\0\x02".to_vec(), event(1, &long), event(2, "second")].concat();
    let mut stream = handshake(&world, "", authority.path(), None).unwrap();
    for _ in 0..2 {
        stream.write_all(&window).unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"2A\0\0\0\x02");
    }
    assert_eq!(world.messages(2), ["second", &long]);
    let mut plain = world.connect("");
    plain.write_all(&window).unwrap();
    assert!(closes(&mut plain));
    assert!(world.metric("received_tls_refused_total", 1.0) >= 1.0, "{}", world.said());
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let authority = Authority::new("Test CA");
    authority.vouch("server", "127.0.0.1");
    let (_, other) = authority.vouch("other", "127.0.0.1");
    let folder = authority.path().display().to_string();
    std::fs::write(authority.path().join("text"), "no PEM").unwrap();
    let told = |settings: &str| {
        let settings = settings.replace('@', &format!("{folder}/"));
        refused(&format!(
            "checkpoint: '{{path}}/state'\nsources: [http: {{ listen: '127.0.0.1:0', tls: {{ {settings} }} }}]\n"
        ))
    };
    for (settings, why) in [
        ("certificate: '@gone.pem', key: '@server.key'", "cannot be read: No such file"),
        ("certificate: '@text', key: '@server.key'", "holds no certificate in PEM"),
        ("certificate: '@server.pem', key: '@text'", "holds no private key in PEM"),
        ("certificate: '@server.pem', key: '@other.key'", "is not the key of the first certificate"),
        (
            "certificate: '@server.pem', key: '@server.key', client_ca: '@server.key'",
            "holds no certificate in PEM",
        ),
        ("certificate: '', key: '@server.key'", "must name a file"),
        ("certificate: '@server.pem'", "key"),
    ] {
        let said = told(settings);
        assert!(said.contains(why) && said.contains("help: "), "{settings}: {said}");
    }
    // One with a password is refused, and nobody is asked for it.
    let locked = Command::new("openssl")
        .args(["pkey", "-aes128", "-passout", "pass:secret", "-in"])
        .arg(&other)
        .args(["-out", &format!("{folder}/locked.key")])
        .status()
        .unwrap();
    assert!(locked.success());
    assert!(told("certificate: '@other.pem', key: '@locked.key'").contains("takes a password off"));
    let udp = refused(
        "checkpoint: '{path}/state'\nsources: [syslog: { udp: '127.0.0.1:0', tls: { certificate: a, key: b } }]\n",
    );
    assert!(udp.contains("'tls' is of 'tcp' alone") && udp.contains("help: "), "{udp}");
}
