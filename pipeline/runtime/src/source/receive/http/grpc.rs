//! OpenTelemetry's logs by gRPC: `LogsService/Export` with one message, and its answer in trailers
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, Version};

use super::Shared;
use super::body::{self, Encoding};
use super::otlp::{self, Format};
use super::routes::{self, Problem};

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// Whether the message is compressed, and its length, stand before it.
const PREFIX_BYTES: usize = 5;

/// A message, and the status behind it.
pub(super) type Body = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

/// True for a request of gRPC, whatever it asks for.
pub(super) fn is_meant(request: &Request<Incoming>) -> bool {
    let kind = routes::content_type(request.headers());
    request.version() == Version::HTTP_2
        && kind.strip_prefix("application/grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// Answers a call.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (message, trailers) = match export(shared, request).await {
        Ok(message) => (framed(&message), status(Code::Ok, "")),
        Err(problem) => {
            routes::count(shared, &problem);
            let code = Code::of(problem.status);
            let mut trailers = status(code, &problem.reason);
            if code == Code::Unavailable {
                trailers.insert("grpc-status-details-bin", retry_info(&problem.reason));
            }
            (Bytes::new(), trailers)
        }
    };
    let mut answer = Response::new(Full::new(message).with_trailers(ready(Some(Ok(trailers)))));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip"));
    answer
}

async fn export(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Vec<u8>, Problem> {
    let (head, incoming) = request.into_parts();
    routes::admit(shared, &head.headers)?;
    if head.uri.path() != EXPORT {
        let path = head.uri.path().chars().take(200).collect::<String>();
        return Err(Problem::new(404, format!("there is no `{path}` here; logs go to `{EXPORT}`")));
    }
    if routes::content_type(&head.headers)
        .strip_prefix("application/grpc+")
        .is_some_and(|kind| kind != "proto")
    {
        return Err(Problem::new(415, "messages must be protobuf, `application/grpc`".to_owned()));
    }
    let encoding = head.headers.get("grpc-encoding").map_or(Ok(Encoding::Identity), Encoding::named)?;
    let (limit, received) = (shared.limit(), shared.door.now());
    let understand = move |mut bytes: Vec<u8>, held: &mut _| {
        let packed = unframe(&mut bytes)?;
        let encoding = if packed { encoding } else { Encoding::Identity };
        let body = body::decode(bytes, encoding, limit, held)?;
        otlp::read(&body, Format::Protobuf, limit, received)
    };
    let (logs, held) = routes::read(shared, incoming, limit.saturating_add(PREFIX_BYTES), understand).await?;
    drop(held);
    Ok(logs.keep(&shared.door, Format::Protobuf).await?)
}

/// Takes the prefix off the only message of a call; whether the message is compressed.
fn unframe(bytes: &mut Vec<u8>) -> Result<bool, Problem> {
    let bad = |what: &str| Problem::new(400, format!("the call has no single message: {what}"));
    let Some((&[packed, length @ ..], rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(bad("it ends within the first five bytes"));
    };
    let length = u64::from(u32::from_be_bytes(length));
    if rest.len() as u64 != length {
        return Err(bad(&format!("its length is {length}, and {} bytes follow", rest.len())));
    }
    bytes.drain(..PREFIX_BYTES);
    match packed {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(bad(&format!("{other} is no compressed flag"))),
    }
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// Statuses of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// After a status of HTTP: OTLP's clients try again what is unavailable or out of time, and nothing else of these.
    const fn of(status: u16) -> Self {
        match status {
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            404 | 415 => Self::Unimplemented,
            408 => Self::DeadlineExceeded,
            413 => Self::ResourceExhausted,
            429 | 503 => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

fn status(code: Code, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code as u16));
    if let Ok(message) = HeaderValue::try_from(percent_encoded(message))
        && !message.is_empty()
    {
        trailers.insert("grpc-message", message);
    }
    trailers
}

/// Visible ASCII as it is, all else by its bytes.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                // Writing to memory does not fail.
                let _infallible = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// How long to wait: `google.rpc.Status` with a `RetryInfo` of one second, as OTLP has it for servers with too much to do.
fn retry_info(message: &str) -> HeaderValue {
    let delay = otlp::message_field(1, &[1 << 3, 1]);
    let any =
        [otlp::message_field(1, b"type.googleapis.com/google.rpc.RetryInfo"), otlp::message_field(2, &delay)];
    let code = vec![1 << 3, Code::Unavailable as u8];
    let status = [code, otlp::message_field(2, message.as_bytes()), otlp::message_field(3, &any.concat())];
    HeaderValue::try_from(STANDARD_NO_PAD.encode(status.concat()))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_message_of_its_length() {
        let mut bytes = framed(b"abc").to_vec();
        assert!(!unframe(&mut bytes).unwrap());
        assert_eq!(bytes, b"abc");
        for (bad, why) in [
            (&b""[..], "first five bytes"),
            (b"\0\0\0\0", "first five bytes"),
            (b"\0\0\0\0\x02a", "its length is 2, and 1 bytes"),
            (b"\0\0\0\0\x01ab", "its length is 1, and 2 bytes"),
            (b"\0\xff\xff\xff\xffab", "its length is 4294967295"),
            (b"\x07\0\0\0\0", "7 is no compressed flag"),
        ] {
            let problem = unframe(&mut bad.to_vec()).unwrap_err();
            assert!(problem.status == 400 && problem.reason.contains(why), "{problem:?}");
        }
    }

    #[test]
    fn a_message_of_any_letters_is_a_header() {
        let trailers = status(Code::of(404), "é 100%\n");
        assert_eq!(trailers["grpc-status"], "12");
        assert_eq!(trailers["grpc-message"], "%C3%A9 100%25%0A");
    }
}
