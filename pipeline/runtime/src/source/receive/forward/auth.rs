//! The handshake with a shared key: the server's HELO has a nonce, the client's PING and the server's PONG prove with
//! SHA-512 that each knows the key. What is sent after it is not encrypted.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha512};

use super::msgpack::{Reader, Value};

/// The name by which the server is known to its clients.
const NAME: &str = "logbraid";
/// The longest PING.
pub(super) const PING_BYTES_MAX: usize = 4 << 10;

/// A handshake that has begun.
pub(super) struct Handshake<'a> {
    key: &'a str,
    nonce: [u8; 16],
}

impl<'a> Handshake<'a> {
    /// Begins one; the nonce is new.
    pub(super) fn new(key: &'a str) -> std::io::Result<Self> {
        let mut nonce = [0; 16];
        let got = rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty())?;
        if got == nonce.len() {
            Ok(Self { key, nonce })
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// `["HELO", {nonce, auth, keepalive}]`
    pub(super) fn helo(&self) -> Vec<u8> {
        let mut out = b"\x92\xa4HELO\x83\xa5nonce\xc4\x10".to_vec();
        out.extend_from_slice(&self.nonce);
        // Nobody is asked for a name and a password.
        out.extend_from_slice(b"\xa4auth\xc4\x00\xa9keepalive\xc3");
        out
    }

    /// `["PONG", well, reason, name, digest]` for a PING, and whether all is well.
    pub(super) fn pong(&self, ping: &[u8]) -> (bool, Vec<u8>) {
        let salt = self.salt(ping);
        let mut out = b"\x95\xa4PONG".to_vec();
        out.push(if salt.is_some() { 0xc3 } else { 0xc2 });
        let (reason, digest) = match salt {
            Some(salt) => ("", self.digest(salt, NAME.as_bytes())),
            None => ("shared_key mismatch", String::new()),
        };
        for text in [reason, NAME, &digest] {
            // All of them are shorter than 256 bytes.
            out.extend_from_slice(&[0xd9, u8::try_from(text.len()).unwrap_or(0)]);
            out.extend_from_slice(text.as_bytes());
        }
        (salt.is_some(), out)
    }

    /// The salt of a PING that knows the key: `["PING", host, salt, digest, user, password]`.
    fn salt<'b>(&self, ping: &'b [u8]) -> Option<&'b [u8]> {
        let mut reader = Reader::new(ping);
        if reader.next() != Ok(Value::Array(6)) {
            return None;
        }
        let mut text = || match reader.next() {
            Ok(Value::Text(text) | Value::Bytes(text)) => Some(text),
            _ => None,
        };
        let [kind, host, salt, digest] = [text()?, text()?, text()?, text()?];
        let expected = self.digest(salt, host);
        (kind == b"PING" && crate::admin::same(digest, expected.as_bytes())).then_some(salt)
    }

    fn digest(&self, salt: &[u8], host: &[u8]) -> String {
        let mut hash = Sha512::new();
        for part in [salt, host, &self.nonce, self.key.as_bytes()] {
            hash.update(part);
        }
        hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            // Writing to memory does not fail.
            let _infallible = write!(hex, "{byte:02x}");
            hex
        })
    }
}
