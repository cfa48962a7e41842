//! OpenTelemetry's logs by gRPC at the source `http`, with a client of HTTP/2 that plays gRPC's part.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::otlp::{record, request};
use super::world::{World, noise};

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn framed(packed: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[packed], &length[..], message].concat()
}

/// A path, headers, and a body.
type Call<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>);

/// The status, its words, and the message of each call, all of them at once over one connection.
fn calls(world: &World, calls: Vec<Call<'_>>) -> Vec<(i32, String, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.address("")).await.unwrap();
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(driver);
        let work = calls.into_iter().map(|(path, headers, body)| {
            let mut sender = sender.clone();
            let mut request = hyper::Request::post(format!("http://test{path}")).header("te", "trailers");
            if !headers.iter().any(|(name, _)| *name == "content-type") {
                request = request.header("content-type", "application/grpc");
            }
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            async move {
                let answer =
                    sender.send_request(request.body(Full::<Bytes>::from(body)).unwrap()).await.unwrap();
                assert_eq!(answer.status(), 200);
                let body = answer.into_body().collect().await.unwrap();
                let trailers = body.trailers().unwrap();
                let text =
                    |name: &str| trailers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
                (text("grpc-status").parse().unwrap(), text("grpc-message"), body.to_bytes().to_vec())
            }
        });
        futures::future::join_all(work).await
    })
}

#[test]
fn exports_by_grpc_arrive_beside_http_1_and_each_call_is_answered_by_itself() {
    let world = World::start("http: { listen: '127.0.0.1:0', body: 64KiB }");
    let many = (0..20).map(|number| {
        let message =
            request(&[record(&format!("m{number}"), number), record(&format!("n{number}"), number)]);
        let (packed, headers) = match number % 2 {
            0 => (0, vec![]),
            _ => (1, vec![("grpc-encoding", "gzip")]),
        };
        let body = if packed == 1 { gzip(&message) } else { message };
        (EXPORT, headers, framed(packed, &body))
    });
    for answer in calls(&world, many.collect()) {
        assert_eq!(answer, (0, String::new(), framed(0, b"")));
    }
    let mut plain = world.connect("");
    plain
        .write_all(b"POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 8\r\n\r\nmsg=here")
        .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let found = world.records(41);
    assert_eq!(found.len(), 41, "{}", world.said());
    assert_eq!((&found["n7"]["service"], &found["n7"]["level"]), (&"pay".into(), &"ERROR".into()));
}

#[test]
fn what_is_no_export_gets_a_status_of_grpc_and_a_bad_record_costs_only_itself() {
    let world = World::start("http: { listen: '127.0.0.1:0', body: 64KiB, token: 'secret' }");
    let good = || framed(0, &request(&[record("kept", 1)]));
    let token = ("authorization", "Bearer secret");
    let broken = [&[1 << 3][..], &[0xff; 12]].concat();
    let (status, _, answer) =
        calls(&world, vec![(EXPORT, vec![token], framed(0, &request(&[broken, record("kept", 1)])))])
            .remove(0);
    assert_eq!(status, 0);
    assert!(String::from_utf8_lossy(&answer).contains("a number is too long"), "{answer:x?}");
    let bomb = framed(1, &gzip(&vec![0; 1 << 20]));
    let cases = vec![
        ((EXPORT, vec![], good()), 16, "Bearer TOKEN"),
        (("/grpc.health.v1.Health/Check", vec![token], good()), 12, "LogsService/Export"),
        ((EXPORT, vec![token, ("content-type", "application/grpc+json")], good()), 12, "must be protobuf"),
        ((EXPORT, vec![token, ("grpc-encoding", "snappy")], good()), 12, "snappy"),
        ((EXPORT, vec![token], framed(0, b"\x0a\xff\xff\x03")), 3, "a field ends early"),
        ((EXPORT, vec![token], b"\0\0".to_vec()), 3, "first five bytes"),
        ((EXPORT, vec![token], framed(0, &vec![0; 70_000])), 8, "raise `body`"),
        ((EXPORT, vec![token, ("grpc-encoding", "gzip")], bomb), 8, "raise `body`"),
        ((EXPORT, vec![token, ("grpc-encoding", "gzip")], framed(1, b"no gzip")), 3, "not gzip"),
    ];
    for (case, status, why) in cases {
        let (answered, said, _) = calls(&world, vec![case]).remove(0);
        assert!(answered == status && said.contains(why), "{answered}: {said}; {status}: {why}");
    }
    let noisy = (0..50).map(|seed| (EXPORT, vec![token], framed(0, &noise(seed + 1, 2000))));
    for (status, said, _) in calls(&world, noisy.collect()) {
        assert!([0, 3].contains(&status), "{status} {said}");
    }
    assert!(world.records(1).contains_key("kept"));
}

#[test]
fn connections_that_begin_as_http_2_and_say_no_more_end() {
    let world = World::start("http: { listen: '127.0.0.1:0', timeout: 300ms }");
    for begin in [&b""[..], b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * nonsense"] {
        let mut stream = world.connect("");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(begin).unwrap();
        let mut bytes = Vec::new();
        // It may be reset as well.
        let ended = stream.read_to_end(&mut bytes);
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(!ended.as_ref().is_err_and(timed_out), "{begin:?} {ended:?}");
    }
    let good = framed(0, &request(&[record("after", 1)]));
    assert_eq!(calls(&world, vec![(EXPORT, vec![], good)])[0].0, 0);
    assert!(world.records(1).contains_key("after"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}
