//! One connection, kept open between requests and opened again when it is gone.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use logbraid_core::sink::SinkError;

use super::config::Target;
use crate::net;
use crate::net::tls::{self, Tls};

/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The wait that it asked for.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// A request's own parts.
pub(super) struct Post<'a> {
    pub(super) path: &'a str,
    pub(super) content_type: &'static str,
    pub(super) gzip: bool,
    pub(super) body: Bytes,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; it is polled while a request is under way.
    driver: Driver,
}

/// Sends requests, one at a time.
#[derive(Default)]
pub(super) struct Client {
    connection: Option<Connection>,
    tls: Option<Tls>,
}

impl Client {
    /// Reads what TLS needs, where `target` asks for it.
    pub(super) fn open(&mut self, target: &Target, tls: Option<&tls::Config>) -> Result<(), SinkError> {
        self.tls = target.secret.then(|| Tls::read(tls.unwrap_or(&tls::Config::default()))).transpose()?;
        Ok(())
    }

    /// Sends a request and reads its answer; an error says what happened, in words.
    pub(super) async fn post(
        &mut self,
        target: &Target,
        post: &Post<'_>,
        timeout: Duration,
    ) -> Result<Answer, String> {
        // Taken out: a request that is given up leaves no half-used connection behind.
        let kept = self.connection.take();
        let work = async {
            if let Some(kept) = kept
                && let Ok(done) = exchange(kept, target, post).await
            {
                return Ok(done);
            }
            // A kept connection that the server had closed says nothing about the server.
            let new = connect(target, self.tls.as_ref()).await?;
            let hint = self.tls.as_ref().map_or("", Tls::hint);
            exchange(new, target, post).await.map_err(|why| why + hint)
        };
        let Ok(done) = tokio::time::timeout(timeout, work).await else {
            return Err(format!("no answer within {timeout:?}"));
        };
        let (answer, connection) = done?;
        self.connection = connection;
        Ok(answer)
    }
}

async fn connect(target: &Target, tls: Option<&Tls>) -> Result<Connection, String> {
    let stream = target.address.connect(tls).await?;
    let (sender, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("cannot connect: {error}"))?;
    Ok(Connection { sender, driver: Box::pin(driver) })
}

/// One request and its answer; the connection comes back when it can be used again.
async fn exchange(
    connection: Connection,
    target: &Target,
    post: &Post<'_>,
) -> Result<(Answer, Option<Connection>), String> {
    let Connection { mut sender, driver } = connection;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(post.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, concat!("logbraid/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, post.content_type);
    if post.gzip {
        request = request.header(header::CONTENT_ENCODING, "gzip");
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(post.body.clone()))
        .map_err(|error| format!("the request cannot be written: {error}"))?;
    let mut driver = Some(driver);
    let mut broken = None;
    let answer = {
        let mut work = pin!(async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            Ok::<_, hyper::Error>(read(answer).await)
        });
        loop {
            let Some(open) = &mut driver else { break work.await };
            tokio::select! {
                biased;
                done = &mut work => break done,
                // What it had read is still handed over. A request that it had not begun waits in it, and ends with it.
                ended = open => (driver, broken) = (None, ended.err()),
            }
        }
    };
    // What broke the connection says more than that it is gone.
    let answer = answer.map_err(|error| net::broke(broken.as_ref().unwrap_or(&error)))??;
    Ok((answer, driver.map(|driver| Connection { sender, driver })))
}

async fn read(answer: Response<hyper::body::Incoming>) -> Result<Answer, String> {
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| format!("the answer cannot be read: {error}"))?.to_bytes();
    Ok(Answer { status, retry_after, body })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::config::Config;
    use super::*;

    /// Reads a request whose body is `x`.
    fn request(stream: &mut std::net::TcpStream) {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(b"\r\n\r\nx") {
            stream.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
    }

    #[test]
    fn a_server_that_closed_a_kept_connection_is_asked_over_a_new_one_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                request(&mut stream);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
            }
        });
        let config: Config =
            serde_json::from_value(serde_json::json!({ "url": format!("http://{address}") })).unwrap();
        let target = config.check().unwrap();
        let post =
            || Post { path: "/", content_type: "text/plain", gzip: false, body: Bytes::from_static(b"x") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = Client::default();
            for _ in 0..2 {
                let answer = client.post(&target, &post(), Duration::from_secs(5)).await;
                assert_eq!(answer.map(|answer| answer.status), Ok(200));
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        server.join().unwrap();
    }
}
