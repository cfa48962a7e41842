//! Bodies: read with a bound on bytes and time, decoded with a bound on what comes out.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::super::door::{Held, Refused};
use super::routes::Problem;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        headers.get(CONTENT_ENCODING).map_or(Ok(Self::Identity), Self::named)
    }
    pub(super) fn named(value: &HeaderValue) -> Result<Self, Problem> {
        match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            other => Err(Problem::new(
                415,
                format!("the encoding `{other}` is not understood; send gzip or no encoding"),
            )),
        }
    }
}

fn too_long(limit: usize) -> Problem {
    Problem::new(
        413,
        format!("a body may have {limit} bytes after decoding; send less at once, or raise `body`"),
    )
}

/// Reads a body of at most `limit` bytes; its memory is asked for as it comes.
pub(super) async fn read(mut body: Incoming, limit: usize, held: &mut Held) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(400, format!("the body ended early: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_long(limit));
        }
        held.grow(data.len())?;
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Bytes that are decoded at once.
const STEP: usize = 64 << 10;

/// Decodes a body; what comes out has at most `limit` bytes, and its memory is asked for as it comes.
pub(super) fn decode(
    bytes: Vec<u8>,
    encoding: Encoding,
    limit: usize,
    held: &mut Held,
) -> Result<Vec<u8>, Problem> {
    if encoding == Encoding::Identity {
        return Ok(bytes);
    }
    let mut decoder = MultiGzDecoder::new(bytes.as_slice());
    let mut decoded = Vec::new();
    loop {
        let start = decoded.len();
        held.grow(STEP)?;
        decoded.resize(start + STEP, 0);
        let read = decoder
            .read(&mut decoded[start..])
            .map_err(|error| Problem::new(400, format!("the body is not gzip: {error}")))?;
        decoded.truncate(start + read);
        drop(held.split(STEP - read));
        if decoded.len() > limit {
            return Err(too_long(limit));
        }
        if read == 0 {
            return Ok(decoded);
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Busy(_) => 429,
            Refused::Failed(_) | Refused::Stopping => 503,
        };
        Self::new(status, refused.to_string())
    }
}
